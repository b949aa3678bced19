//! Captures with everything that goes wrong on a wire: what was said comes out, and what happened is remarked.

use crate::made::difficult::{self, Difficult, Said};
use crate::support::{read, read_json, read_stream};
use std::path::{Path, PathBuf};

/// Does the same with each of them, and tells of all that fail.
#[track_caller]
fn check(examine: impl Fn(&Difficult, &Path) -> Result<(), String>) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let failures: Vec<String> = difficult::all()
        .iter()
        .filter_map(|difficult| {
            let file: PathBuf = folder.path().join(difficult.file_name());
            std::fs::write(&file, &difficult.file).expect("the file can be written");
            let failure = examine(difficult, &file).err()?;
            Some(format!("{}: {failure}", difficult.name))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn both_sides_are_heard_as_they_spoke() {
    check(|difficult, file| {
        let conversations = read_json(file)
            .iter()
            .filter_map(|line| line["conversation"].as_u64())
            .max()
            .map_or(0, |last| last + 1);
        let heard: Vec<Said> = (0..conversations)
            .map(|number| Said {
                client: read_stream(file, number, "client"),
                server: read_stream(file, number, "server"),
            })
            .collect();
        if heard == difficult.said {
            Ok(())
        } else {
            Err(format!(
                "{:?} was said, {heard:?} was heard",
                difficult.said
            ))
        }
    });
}

#[test]
fn what_is_remarkable_is_remarked() {
    check(|difficult, file| {
        let lines = read_json(file);
        for (number, note) in &difficult.notes {
            let Some(line) = lines.iter().find(|line| line["n"] == *number) else {
                return Err(format!("no line for frame {number}"));
            };
            let notes = line["notes"].as_array().into_iter().flatten();
            if !notes.clone().any(|said| said == note) {
                return Err(format!(
                    "frame {number}: {note:?} is missing in {}",
                    line["notes"]
                ));
            }
        }
        Ok(())
    });
}

#[test]
fn every_view_shows_every_capture() {
    let views = ["talk", "segments", "ladder", "follow", "summary", "report"];
    check(|_, file| {
        for view in views {
            let output = read(file, &["--view", view]);
            if !output.status.success() || output.stdout.is_empty() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{view}: {}, {said:?}", output.status));
            }
        }
        Ok(())
    });
}

#[test]
fn nothing_acts_on_the_terminal() {
    let views = ["talk", "segments", "ladder", "follow", "summary", "report"];
    check(|_, file| {
        for view in views {
            let shown = read(file, &["--view", view]).stdout;
            let shown = String::from_utf8(shown).map_err(|error| error.to_string())?;
            let acts = shown
                .chars()
                .find(|&c| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c));
            if let Some(acts) = acts {
                return Err(format!("{view} lets {acts:?} through"));
            }
        }
        Ok(())
    });
}
