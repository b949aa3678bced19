//! `harness doctor`.

use super::{Failure, print};
use crate::world::{Isolation, Level};
use miette::Result;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn run() -> Result<u8, Failure> {
    let isolation = Isolation::probe();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "isolation {}: {}",
        isolation.level,
        isolation.shared()
    );
    let _ = writeln!(text, "\ntried, best first");
    for trial in &isolation.trials {
        let outcome = trial
            .error
            .as_ref()
            .map_or("granted".to_owned(), |error| format!("refused: {error}"));
        let _ = writeln!(text, "  {}: {outcome}", trial.what);
    }
    let advice = advice(&isolation);
    if !advice.is_empty() {
        let _ = writeln!(text, "\nto get more");
        for line in advice {
            let _ = writeln!(text, "  {line}");
        }
    }
    let _ = writeln!(text, "\nlanguages found");
    for (program, language) in [
        ("python3", "Python"),
        ("node", "JavaScript"),
        ("java", "Java"),
        ("cc", "C"),
        ("go", "Go"),
        ("ruby", "Ruby"),
    ] {
        let found = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        });
        let _ = writeln!(
            text,
            "  {language:<11} {}",
            if found { program } else { "–" }
        );
    }
    print(&text)?;
    Ok(0)
}

/// Commands that would raise the level on this system, as far as its refusals tell.
fn advice(isolation: &Isolation) -> Vec<String> {
    if isolation.level >= Level::L3n {
        return Vec::new();
    }
    let setting = |name: &str| {
        std::fs::read_to_string(format!("/proc/sys/{name}"))
            .ok()
            .map(|value| value.trim().to_owned())
    };
    let mut advice = Vec::new();
    if setting("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        advice.push("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0    (Ubuntu: until the next start)".to_owned());
    }
    if setting("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        advice.push("sudo sysctl -w kernel.unprivileged_userns_clone=1".to_owned());
    }
    if setting("user/max_user_namespaces").as_deref() == Some("0") {
        advice.push("sudo sysctl -w user.max_user_namespaces=15000".to_owned());
    }
    if Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists() {
        advice.push("start the container with: --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined".to_owned());
    }
    if advice.is_empty() {
        advice.push("run the harness as root: the system refuses namespaces to ordinary users and does not say why".to_owned());
    }
    advice
}
