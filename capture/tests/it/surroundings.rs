//! A private network is made the same whatever surrounds the program: who started it, and with which rights.

use crate::support::{has, skip};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture");
/// What the command in the private network does.
const SCRIPT: &str = "echo inside; exit 5";

#[track_caller]
fn check(output: &Output) {
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert_eq!(output.stdout, b"inside\n", "{output:?}");
}

fn output(command: &mut Command) -> Output {
    command.output().expect("it can be started")
}

/// Whether this user may have a private network without any rights.
fn is_possible() -> bool {
    let plain = output(Command::new(CAPTURE).args(["run", "--", "true"]));
    plain.status.success() || skip("needs private networks (see what `capture run -- true` says)")
}

/// Whether this is root, who can take rights from what it starts.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root() || skip("needs root, to take rights away")
}

#[test]
fn a_caller_that_ignores_its_children_changes_nothing() {
    if !is_possible() || !has(&["timeout", "env"]) {
        return;
    }
    let ignoring = || {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "30", "env", "--ignore-signal=CHLD"]);
        command
    };
    if !output(ignoring().arg("true")).status.success() {
        skip("needs an env that knows --ignore-signal");
        return;
    }
    check(&output(
        ignoring().args([CAPTURE, "run", "--", "sh", "-c", SCRIPT]),
    ));
}

#[test]
fn root_with_some_rights_only_gets_a_private_network_like_anybody() {
    if !is_possible() || !is_root() || !has(&["setpriv"]) {
        return;
    }
    // The first is how a container starts that may make namespaces but is given nothing else.
    for lost in ["-net_admin", "-net_raw", "-sys_admin"] {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", lost, "--inh-caps=-all", CAPTURE, "run"]);
        check(&output(command.args(["--", "sh", "-c", SCRIPT])));
    }
}

/// The kernel guards a program that its user cannot read like one that has rights of its own (setcap).
#[test]
fn a_program_whose_process_is_guarded_gets_a_private_network_too() {
    if !is_possible() || !is_root() || !has(&["setpriv"]) {
        return;
    }
    let folder = TempDir::new().expect("a folder can be made");
    let guarded = folder.path().join("capture");
    fs::copy(CAPTURE, &guarded).expect("the program can be copied");
    let permit = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("they are this user's");
    };
    permit(folder.path(), 0o755);
    permit(&guarded, 0o711);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    // setpriv keeps rights until it becomes another program, and with them could read this one.
    command.args(["sh", "-c", "exec \"$0\" run -- sh -c \"$1\""]);
    command.arg(&guarded).arg(SCRIPT);
    check(&output(command.current_dir("/")));
}
