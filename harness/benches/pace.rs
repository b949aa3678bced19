//! How long a check of the model solutions takes beside its own limit.
//!
//! A check that plays its scenarios at the same time can be no faster than the slowest of them alone; one that plays
//! them one after the other needs the sum. Run it with `cargo bench -p harness`; it takes two to three minutes.
//! Ratios hold better than seconds: the machine is shared with whatever else runs on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("run it with `cargo bench -p harness`");
        return;
    }
    let out = std::env::temp_dir().join(format!("harness-pace-{}", std::process::id()));
    // The first run builds the models; it is not counted.
    check(&out, &[]);
    let mut together: Vec<Duration> = (0..3).map(|_| check(&out, &[])).collect();
    together.sort();
    let slowest = slowest_scene(&out.join("latest/scenes"));
    let alone = check(&out, &["--jobs", "1"]);
    let seconds = |time: Duration| time.as_secs_f64();
    println!(
        "the slowest scenario            {:6.1} s   the limit",
        seconds(slowest)
    );
    let row = |what: &str, time: Duration| {
        println!(
            "{what:<31} {:6.1} s   {:.1} × the limit",
            seconds(time),
            seconds(time) / seconds(slowest)
        );
    };
    row("all at the same time (median)", together[1]);
    row("one after the other", alone);
    if let Err(error) = std::fs::remove_dir_all(&out) {
        eprintln!("cannot remove {}: {error}", out.display());
    }
}

fn check(out: &Path, arguments: &[&str]) -> Duration {
    let exercises = Path::new(env!("CARGO_MANIFEST_DIR")).join("../exercises");
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("check")
        .arg(exercises)
        .args(["--seed", "1", "--out"])
        .arg(out)
        .args(arguments)
        .output()
        .expect("the harness can be started");
    assert!(
        output.status.success(),
        "the models do not pass: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    began.elapsed()
}

/// The moment of the last event, of the scenario that lasted longest.
fn slowest_scene(scenes: &Path) -> Duration {
    let events = |entry: std::fs::DirEntry| -> PathBuf { entry.path().join("events.jsonl") };
    let ends = std::fs::read_dir(scenes)
        .expect("there is evidence")
        .flatten()
        .map(events)
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("each scenario has events");
            let last: serde_json::Value =
                serde_json::from_str(text.lines().last().expect("at least one"))
                    .expect("events are JSON");
            Duration::from_micros(last["at_us"].as_u64().expect("events have a moment"))
        });
    ends.max().expect("at least one scenario")
}
