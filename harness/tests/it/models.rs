//! The model solutions pass everything, and what they say on the way is as it was reviewed.

use crate::support::{Checked, harness, has, has_capture, has_netns, root};
use std::fs;
use tempfile::TempDir;

/// The models' manifest for use from another folder. The clock's client is told its choices and when to stop:
/// left alone it goes on for ever, and no two transcripts would be the same.
fn manifest() -> String {
    let root = root();
    let (exercises, target) = (root.join("exercises"), root.join("target"));
    let text = fs::read_to_string(exercises.join("lab.toml")).expect("the models have a manifest");
    let text = text
        .replace("../target", &target.display().to_string())
        .replace(
            "cargo build ",
            &format!(
                "cargo build --manifest-path {} ",
                root.join("Cargo.toml").display()
            ),
        )
        .replace("dir = \"", &format!("dir = \"{}/", exercises.display()));
    let client = "release/ex3-client {host}:{port}";
    assert!(
        text.contains(client),
        "the clock's client is started in another way now"
    );
    text.replace(
        client,
        "release/ex3-client {host}:{port} --seed 6 --count 5",
    )
}

#[test]
fn models_pass_everything_with_the_transcripts_that_were_reviewed() {
    if !has(&["cargo"]) || !has_netns() || !has_capture() {
        return;
    }
    let home = TempDir::new().expect("a temporary folder can be made");
    fs::write(home.path().join("lab.toml"), manifest()).expect("the manifest can be written");
    let output = harness(home.path())
        .args(["check", "--seed", "1", "--format", "json"])
        .output()
        .expect("the harness can be started");
    let checked = Checked::read(output);
    assert_eq!(checked.trouble(), "");
    assert_eq!(checked.status, 0);
    assert_eq!(checked.report["score"], checked.report["max_score"]);

    let scenes = home.path().join("lab-results/latest/scenes");
    let mut names: Vec<String> = fs::read_dir(&scenes)
        .expect("there is evidence")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in names {
        let transcript = fs::read_to_string(scenes.join(&name).join("transcript.txt"))
            .expect("each scene has a transcript");
        let transcript = transcript.replace(&root().join("target").display().to_string(), "target");
        snapshots::check("models", &name, &transcript);
    }
}
