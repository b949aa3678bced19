//! Guesses a `lab.toml` from the files of a folder, for `harness init`.
//!
//! Files are paired by their names: one with "server" beside one with "client", the rest of the name telling
//! which exercise. What cannot be told is left as a comment for the author.

use crate::lab::Exercise;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The text of a manifest, and how many exercises were recognised.
///
/// # Errors
/// When the folder cannot be read.
pub fn guess(dir: &Path) -> std::io::Result<(String, usize)> {
    let mut files = Vec::new();
    list(dir, Path::new(""), 0, &mut files)?;
    files.sort();
    let mut text = String::from(
        "# What the harness needs to know about this submission. Correct what was guessed wrong.\n\
         # Placeholders in commands: {host} {port} {name}\n",
    );
    let mut found = 0;
    for (exercise, server, client) in pairs(&files) {
        let (Some(server_command), Some(client_command)) = (command(&server), command(&client))
        else {
            continue;
        };
        let folder = server
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let _ = write!(text, "\n[{exercise}]    # {}\n", exercise.title());
        if let Some(folder) = folder {
            let _ = writeln!(text, "dir = {:?}", folder.display().to_string());
        }
        let _ = writeln!(
            text,
            "server = {server_command:?}\nclient = {client_command:?}"
        );
        found += 1;
    }
    if found == 0 {
        text.push_str(
            "\n# No pair of files with \"server\" and \"client\" in their names was found. For example:\n\
             # [ex1]\n# server = \"python3 UDP_Server.py\"\n# client = \"python3 UDP_Client.py\"\n",
        );
    }
    Ok((text, found))
}

fn list(root: &Path, below: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && depth < 2 && !hidden {
            list(root, &path, depth + 1, files)?;
        } else if kind.is_file() && command(&path).is_some() {
            files.push(path);
        }
    }
    Ok(())
}

/// The command that runs a source file in the folder it lies in, if its ending is known.
fn command(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let quoted = shell_words::quote(name);
    match file.extension()?.to_str()? {
        "py" => Some(format!("python3 {quoted}")),
        "js" | "mjs" => Some(format!("node {quoted}")),
        "java" => Some(format!("java {quoted}")),
        "rb" => Some(format!("ruby {quoted}")),
        _ => None,
    }
}

/// Servers with their clients: the same name with the one word replaced by the other, in the same folder.
fn pairs(files: &[PathBuf]) -> Vec<(Exercise, PathBuf, PathBuf)> {
    let mut pairs: Vec<(Exercise, PathBuf, PathBuf)> = Vec::new();
    for server in files {
        let name = server.to_string_lossy().to_lowercase();
        if !name.contains("server") {
            continue;
        }
        let wanted = name.replace("server", "client");
        let Some(client) = files
            .iter()
            .find(|file| file.to_string_lossy().to_lowercase() == wanted)
        else {
            continue;
        };
        if let Some(exercise) = exercise_of(&name)
            && !pairs.iter().any(|(taken, _, _)| *taken == exercise)
        {
            pairs.push((exercise, server.clone(), client.clone()));
        }
    }
    pairs.sort_by_key(|(exercise, _, _)| *exercise);
    pairs
}

/// Which exercise a path in lower case speaks of: by number, else by subject.
fn exercise_of(path: &str) -> Option<Exercise> {
    let with_programs = |exercise: &Exercise| exercise.endpoint().is_some();
    let numbered = Exercise::ALL
        .into_iter()
        .filter(with_programs)
        .find(|exercise| {
            let number = &exercise.id()[2..];
            [
                "ex", "q", "task", "question", "exercise", "ex_", "q_", "task_", "ex-", "q-",
            ]
            .iter()
            .any(|word| path.contains(&format!("{word}{number}")))
        });
    let subjects = [
        ("chat", Exercise::Ex8),
        ("calc", Exercise::Ex6),
        ("clock", Exercise::Ex3),
        ("date", Exercise::Ex3),
        ("time", Exercise::Ex3),
        ("udp", Exercise::Ex1),
        ("tcp", Exercise::Ex4),
    ];
    numbered.or_else(|| {
        subjects
            .iter()
            .find(|(word, _)| path.contains(word))
            .map(|(_, exercise)| *exercise)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<Exercise>) {
        assert_eq!(exercise_of(path), expected, "{path}");
    }

    #[test]
    fn numbers_and_subjects_tell_the_exercise() {
        check("q6/server.py", Some(Exercise::Ex6));
        check("udp_server.py", Some(Exercise::Ex1));
        check("tcp_server.py", Some(Exercise::Ex4));
        check("chat_server.py", Some(Exercise::Ex8));
        check("tcp_calculator_server.py", Some(Exercise::Ex6));
        check("server.py", None);
    }
}
