//! `capture run` with real programs in real namespaces.

use crate::support::{has, skip};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, geteuid};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Nothing here takes that long; what does hangs.
const DEADLINE: Duration = Duration::from_secs(60);
/// Somebody who is not root.
const NOBODY: u32 = 65_534;

/// Accepts one client on the lab's port, notes what it says, answers, and closes when it has closed.
const SERVER: &str = "\
import socket
with socket.create_server(('127.0.0.1', 20001)) as server:
    print('bound', flush=True)
    peer, _ = server.accept()
    said = peer.recv(100)
    open('server-got', 'wb').write(said)
    peer.sendall(b'HELLO ' + said)
    while peer.recv(100):
        pass
    peer.close()
";

const CLIENT: &str = "\
import socket
with socket.create_connection(('127.0.0.1', 20001)) as server:
    server.sendall('Zoë'.encode())
    print(server.recv(100).decode())
";

/// The server in the background; the client when the server is there.
const SERVER_AND_CLIENT: &str =
    "mkfifo bound && { python3 server.py >bound & } && read word <bound && python3 client.py";

/// A folder with the two programs in it, for anybody to use.
fn lab() -> TempDir {
    let lab = TempDir::new().expect("a temporary folder can be made");
    fs::set_permissions(lab.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    fs::write(lab.path().join("server.py"), SERVER).expect("the folder is writable");
    fs::write(lab.path().join("client.py"), CLIENT).expect("the folder is writable");
    lab
}

/// `capture run` in that folder.
fn capture_run(lab: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capture"));
    command.arg("run").current_dir(lab.path());
    command
}

/// `capture run OPTIONS… -- sh -c SCRIPT` in that folder.
fn run_script(lab: &TempDir, options: &[&str], script: &str) -> Output {
    let mut command = capture_run(lab);
    command.args(options).args(["--", "sh", "-c", script]);
    output(&mut command)
}

/// What a command comes to.
#[track_caller]
fn output(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    end_of(command.spawn().expect("it can be started"))
}

/// What a running command comes to.
#[track_caller]
fn end_of(child: Child) -> Output {
    let id = child.id();
    let ended = in_time(move || child.wait_with_output());
    if ended.is_none() {
        let _ = kill(pid(id), Signal::SIGKILL);
    }
    ended.expect("it ends").expect("what it prints can be read")
}

/// Does something that may never come to an end; `None` when it does not.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    wait.recv_timeout(DEADLINE).ok()
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts it with pipes and waits until it says a line.
#[track_caller]
fn start_until_it_says(
    command: &mut Command,
    expected: &str,
) -> (Child, BufReader<impl std::io::Read + Send + use<>>) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let (said, lines) = in_time(move || {
        let mut said = String::new();
        let read = lines.read_line(&mut said);
        (read.map(|_| said), lines)
    })
    .expect("it says a line in time");
    assert_eq!(said.expect("it can be read").trim(), expected);
    (child, lines)
}

/// Whether private networks are possible here and the programs are on the PATH; otherwise says so where nobody can miss
/// it.
fn is_possible_with(programs: &[&str]) -> bool {
    let lab = lab();
    let tried = run_script(&lab, &[], "exit 0");
    if tried.status.code() == Some(3) {
        return skip(&format!("needs a private network: {}", stderr(&tried)));
    }
    has(programs)
}

/// Processes with this word among their arguments.
fn processes_with(word: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("there is a /proc").flatten() {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if words
            .split(|octet| *octet == 0)
            .any(|one| one == word.as_bytes())
        {
            found.extend(
                entry
                    .file_name()
                    .to_str()
                    .and_then(|id| id.parse::<u32>().ok()),
            );
        }
    }
    found
}

#[test]
fn the_exit_status_is_the_commands_own() {
    if !is_possible_with(&[]) {
        return;
    }
    #[track_caller]
    fn check(script: &str, expected: i32) {
        let output = run_script(&lab(), &[], script);
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{script}: {}",
            stderr(&output)
        );
    }
    check("exit 0", 0);
    check("exit 3", 3);
    check("exit 255", 255);
    check("kill -KILL $$", 128 + 9);
    check("kill -TERM $$", 128 + 15);
    // Whoever runs the tests in the background of a script has the signal ignored, and that is inherited.
    let interrupted = "exec env --default-signal=INT sh -c 'kill -INT $$'";
    check(interrupted, 128 + 2);
    // What it leaves behind does not change it.
    check("sh -c 'exit 4' & exit 5", 5);
}

#[test]
fn what_cannot_be_started_is_told_as_a_shell_does() {
    if !is_possible_with(&[]) {
        return;
    }
    let lab = lab();
    fs::write(
        lab.path().join("orphan"),
        "#!/there/is/no/such/interpreter\n",
    )
    .expect("writable");
    fs::set_permissions(lab.path().join("orphan"), fs::Permissions::from_mode(0o755))
        .expect("ours");
    #[track_caller]
    fn check(lab: &TempDir, command: &str, status: i32, says: &str) {
        let output = output(capture_run(lab).args(["--", command]));
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
    check(
        &lab,
        "no-such-command-anywhere",
        127,
        "no-such-command-anywhere: there is no such command",
    );
    check(
        &lab,
        "server.py",
        127,
        "the one in this folder is ./server.py",
    );
    check(&lab, "./nothing", 127, "./nothing: there is no such file");
    check(
        &lab,
        "./server.py",
        126,
        "./server.py: it may not be executed",
    );
    check(&lab, "./", 126, "that is a folder");
    check(&lab, "./orphan", 126, "first line names");
}

#[test]
fn a_mistake_in_the_arguments_runs_nothing() {
    let lab = lab();
    #[track_caller]
    fn check(lab: &TempDir, arguments: &[&str], says: &str) {
        let output = output(capture_run(lab).args(arguments));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
        assert!(!lab.path().join("ran").exists());
    }
    check(&lab, &[], "COMMAND");
    check(&lab, &["--"], "COMMAND");
    check(&lab, &["touch", "ran"], "--");
    check(&lab, &["--mtu", "67", "--", "touch", "ran"], "67");
    check(
        &lab,
        &["-o", "no/such/folder", "--", "touch", "ran"],
        "no/such/folder cannot be written",
    );
    check(
        &lab,
        &["-w", "-", "--", "touch", "ran"],
        "standard output is the command's",
    );
}

#[test]
fn standard_streams_are_untouched() {
    if !is_possible_with(&[]) {
        return;
    }
    let lab = lab();
    let mut child = capture_run(&lab)
        .args(["-o", "shown", "--", "sh", "-c", "cat; echo complaint >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let octets: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut stdin = child.stdin.take().expect("a pipe");
    let sent = octets.clone();
    let writer = thread::spawn(move || stdin.write_all(&sent));
    let output = end_of(child);
    writer
        .join()
        .expect("no panic")
        .expect("everything is read");
    assert!(output.stdout == octets);
    assert_eq!(stderr(&output), "complaint\n");
    let shown = fs::read_to_string(lab.path().join("shown")).expect("it was written");
    assert_eq!(shown, "0 of 0 frames shown\n");
}

#[test]
fn a_command_that_closes_its_output_has_closed_it() {
    if !is_possible_with(&[]) {
        return;
    }
    let lab = lab();
    let mut command = capture_run(&lab);
    command.args(["--", "sh", "-c", "echo ready; exec >&-; read word; exit 6"]);
    let (mut child, mut lines) = start_until_it_says(&mut command, "ready");
    let end = in_time(move || lines.read_to_end(&mut Vec::new()));
    assert_eq!(end.expect("the output ends").expect("it can be read"), 0);
    // It has not ended: it still reads.
    let stdin = child.stdin.as_mut().expect("a pipe");
    stdin.write_all(b"go on\n").expect("somebody reads");
    assert_eq!(end_of(child).status.code(), Some(6));
}

#[test]
fn descriptors_and_signals_are_as_without_it() {
    if !is_possible_with(&["ls", "grep"]) {
        return;
    }
    let script = "ls -1 /proc/self/fd; grep -e SigBlk -e SigIgn -e ^Groups /proc/self/status; umask; pwd; env | grep -v ^_=";
    let lab = lab();
    let mut plain = Command::new("sh");
    plain.args(["-c", script]).current_dir(lab.path());
    let plain = output(&mut plain);
    let inside = run_script(&lab, &["-w", "kept.pcapng", "-o", "shown"], script);
    assert!(plain.status.success() && !plain.stdout.is_empty());
    assert_eq!(stdout(&inside), stdout(&plain));
}

#[test]
fn a_server_and_a_client_are_shown_and_kept() {
    if !is_possible_with(&["python3", "mkfifo"]) {
        return;
    }
    let lab = lab();
    let output = run_script(&lab, &["-w", "kept.pcapng"], SERVER_AND_CLIENT);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "HELLO Zoë\n");
    assert_eq!(
        fs::read(lab.path().join("server-got")).expect("it was noted"),
        "Zoë".as_bytes()
    );
    let shown = stderr(&output);
    for expected in [
        "SYN, ACK",
        "\"Zoë\"",
        "\"HELLO Zoë\"",
        "handshake complete · 2 messages · plaintext readable · closed by the client",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
    let mut read = Command::new(env!("CARGO_BIN_EXE_capture"));
    read.args(["read", "kept.pcapng"]).current_dir(lab.path());
    let read = self::output(&mut read);
    assert_eq!(read.status.code(), Some(0), "{}", stderr(&read));
    assert_eq!(stderr(&read), "");
    let said = shown.replace(
        "capture: what the command had left running was ended with it\n",
        "",
    );
    assert_eq!(stdout(&read), said);
}

#[test]
fn expectations_change_a_status_of_zero_only() {
    if !is_possible_with(&["python3", "mkfifo"]) {
        return;
    }
    #[track_caller]
    fn check(expectation: &str, after: &str, status: i32) {
        let script = format!("{SERVER_AND_CLIENT}; {after}");
        let output = run_script(&lab(), &["--expect", expectation], &script);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    }
    check("handshake", "exit 0", 0);
    check("refused", "exit 0", 1);
    check("refused", "exit 9", 9);
}

#[test]
fn the_same_port_at_the_same_time_does_not_collide() {
    if !is_possible_with(&["python3"]) {
        return;
    }
    let lab = lab();
    let start = || {
        let mut command = capture_run(&lab);
        // Held until both are bound.
        let holding = "import socket\ns = socket.create_server(('127.0.0.1', 20001))\nprint('bound', flush=True)\ninput()";
        command.args(["--", "python3", "-c", holding]);
        start_until_it_says(&mut command, "bound").0
    };
    let both = [start(), start()];
    for mut child in both {
        let stdin = child.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"\n").expect("somebody reads");
        let output = end_of(child);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

/// A program that starts another one in a session of its own, and ends when that one runs.
const FORKS_A_DAEMON: &str = "\
import subprocess, sys
stays = 'import sys, signal; print(1, flush=True); signal.pause()'
daemon = subprocess.Popen([sys.executable, '-c', stays, sys.argv[1]],
    start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
daemon.stdout.readline()
";

#[test]
fn daemons_do_not_outlive_the_command() {
    if !is_possible_with(&["python3"]) {
        return;
    }
    let lab = lab();
    fs::write(lab.path().join("daemon.py"), FORKS_A_DAEMON).expect("the folder is writable");
    let word = |name: &str| format!("{name}-{}", lab.path().display());
    let outlives = word("outlives");
    let mut plain = Command::new("python3");
    plain.args(["daemon.py", &outlives]).current_dir(lab.path());
    assert!(output(&mut plain).status.success());
    let daemons = processes_with(&outlives);
    assert_eq!(daemons.len(), 1, "without containment it lives on");
    kill(pid(daemons[0]), Signal::SIGKILL).expect("it is there");

    let contained = word("contained");
    let output = output(capture_run(&lab).args(["--", "python3", "daemon.py", &contained]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("left running was ended"),
        "{}",
        stderr(&output)
    );
    assert_eq!(processes_with(&contained), Vec::<u32>::new());
}

#[test]
fn nothing_is_left_when_capture_is_killed() {
    if !is_possible_with(&["python3"]) {
        return;
    }
    let lab = lab();
    let mut command = capture_run(&lab);
    // The daemon holds the output too.
    command.args([
        "--",
        "sh",
        "-c",
        "(setsid sh -c 'echo daemon; trap : TERM; while :; do read x || wait; done') & wait",
    ]);
    let (mut child, mut lines) = start_until_it_says(&mut command, "daemon");
    child.kill().expect("it is there");
    child.wait().expect("it ends");
    let end = in_time(move || lines.read_to_end(&mut Vec::new()));
    assert!(end.is_some(), "nobody holds the output any more");
}

#[test]
fn ctrl_c_is_the_commands_business_and_everything_is_still_shown() {
    if !is_possible_with(&["python3"]) {
        return;
    }
    interrupt(|capture| killpg(capture, Signal::SIGINT).expect("the group is there"));
}

#[test]
fn an_interrupt_for_capture_alone_is_handed_to_the_command() {
    if !is_possible_with(&["python3"]) {
        return;
    }
    interrupt(|capture| kill(capture, Signal::SIGINT).expect("it is there"));
}

/// Runs a command that says a last word when it is interrupted, and has it interrupted.
#[track_caller]
fn interrupt(send: impl FnOnce(Pid)) {
    let script = "\
import socket, signal, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 20001))
s.sendto(b'before', s.getsockname())
signal.signal(signal.SIGINT, lambda *_: (s.sendto(b'after', s.getsockname()), sys.exit(5)))
print('ready', flush=True)
while True:
    signal.pause()
";
    let lab = lab();
    let mut command = capture_run(&lab);
    command
        .args(["--", "python3", "-c", script])
        .process_group(0);
    let (child, _lines) = start_until_it_says(&mut command, "ready");
    send(pid(child.id()));
    let output = end_of(child);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    for text in ["\"before\"", "\"after\""] {
        assert!(stderr(&output).contains(text), "{}", stderr(&output));
    }
}

#[test]
fn sigterm_is_handed_to_the_command() {
    terminate(|capture| kill(capture, Signal::SIGTERM).expect("it is there"));
}

#[test]
fn sigterm_for_everybody_of_that_name_is_handed_to_the_command() {
    terminate(|capture| {
        let tasks = format!("/proc/{capture}/task/{capture}/children");
        let children = fs::read_to_string(tasks).expect("Linux tells the children");
        let first = children.split_whitespace().next().expect("it has one");
        let first = Pid::from_raw(first.parse().expect("a number"));
        for process in [first, capture] {
            kill(process, Signal::SIGTERM).expect("it is there");
        }
    });
}

/// Runs a command that ends in its own way by SIGTERM, and has that sent.
#[track_caller]
fn terminate(send: impl FnOnce(Pid)) {
    if !is_possible_with(&[]) {
        return;
    }
    let lab = lab();
    let mut command = capture_run(&lab);
    command.args([
        "--",
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo ready; read word; exit 1",
    ]);
    let (mut child, _lines) = start_until_it_says(&mut command, "ready");
    // Held open: the end of input is not to be what ends it.
    let stdin = child.stdin.take();
    send(pid(child.id()));
    let output = end_of(child);
    drop(stdin);
    assert_eq!(output.status.code(), Some(9), "{}", stderr(&output));
}

#[test]
fn segments_have_a_cables_size_when_asked_for() {
    if !is_possible_with(&["python3"]) {
        return;
    }
    let script = "\
import socket, threading
server = socket.create_server(('127.0.0.1', 20001))
client = socket.create_connection(('127.0.0.1', 20001))
peer, _ = server.accept()
threading.Thread(target=lambda: (client.sendall(bytes(40000)), client.close())).start()
while peer.recv(65536):
    pass
";
    let lab = lab();
    let largest = |options: &[&str]| {
        let mut command = capture_run(&lab);
        command
            .args(options)
            .args(["--view", "segments", "--format", "json"]);
        let output = output(command.args(["--", "python3", "-c", script]));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let lines = stderr(&output);
        let lens = lines.lines().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line["payload_len"].as_u64()
        });
        lens.max().expect("there are segments")
    };
    assert!(largest(&[]) > 1500, "without it, loopback does not cut");
    // 1500 without the headers of IPv4 and TCP, and with or without timestamps.
    assert!([1460, 1448].contains(&largest(&["--mtu", "1500"])));
}

/// The command as somebody who is not root: a copy that anybody may start.
fn as_ordinary_user(lab: &TempDir) -> Command {
    let copy = lab.path().join("capture");
    fs::copy(env!("CARGO_BIN_EXE_capture"), &copy).expect("it can be copied");
    if !geteuid().is_root() {
        let mut command = Command::new(copy);
        command.current_dir(lab.path());
        return command;
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
    command.arg(copy).current_dir(lab.path());
    command
}

#[test]
fn an_ordinary_user_needs_no_privileges_and_owns_the_files() {
    if !is_possible_with(&["python3", "mkfifo", "setpriv", "id"]) {
        return;
    }
    let lab = lab();
    let mut command = as_ordinary_user(&lab);
    command.args(["run", "-w", "kept.pcapng", "-o", "shown", "--", "sh", "-c"]);
    command.arg(format!("id -u; {SERVER_AND_CLIENT}"));
    let output = output(&mut command);
    if output.status.code() == Some(3) {
        skip(&format!("needs user namespaces: {}", stderr(&output)));
        return;
    }
    let uid = if geteuid().is_root() {
        NOBODY
    } else {
        geteuid().as_raw()
    };
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), format!("{uid}\nHELLO Zoë\n"));
    let shown = fs::read_to_string(lab.path().join("shown")).expect("it was written");
    assert!(shown.contains("handshake complete"), "{shown}");
    for file in ["server-got", "kept.pcapng", "shown"] {
        let about = fs::metadata(lab.path().join(file)).expect("it was written");
        assert_eq!(about.uid(), uid, "{file}");
    }
}

#[test]
fn where_namespaces_are_denied_nothing_is_run_and_it_says_what_helps() {
    if !is_possible_with(&["unshare", "sh", "touch"]) {
        return;
    }
    #[track_caller]
    fn check(setting: &str, advice: &str) {
        let lab = lab();
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c"]);
        command
            .arg(format!("echo 0 > /proc/sys/user/{setting} && exec \"$@\""))
            .args(["sh".as_ref(), OsStr::new(env!("CARGO_BIN_EXE_capture"))])
            .args(["run", "--", "touch", "ran"])
            .current_dir(lab.path());
        let output = output(&mut command);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains("a private network is not permitted"),
            "{said}"
        );
        assert!(said.contains(advice), "{said}");
        assert!(said.contains("capture live"), "{said}");
        assert!(!exists(&lab, "ran"));
    }
    check(
        "max_net_namespaces",
        "sudo sysctl -w user.max_net_namespaces=15000",
    );
    check(
        "max_pid_namespaces",
        "sudo sysctl -w user.max_pid_namespaces=15000",
    );
}

fn exists(lab: &TempDir, file: &str) -> bool {
    Path::exists(&lab.path().join(file))
}
