//! Nothing escapes: each attack first succeeds where nothing contains it, then is contained at L3; what holds at L1r
//! and L1 is stated beside it. `harness/README.md` shows the same table.

use crate::support::{Copy, fixture, harness, harness_at, has, skip};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A submission that attacks, with another one, and a secret, beside it.
struct Scene {
    home: TempDir,
}

/// The levels below L3 that contain something.
const BELOW: [&str; 2] = ["L1r", "L1"];

const SECRET: &str = "socket-lab-secret-in-the-environment";

/// What came of an attack.
#[derive(Debug)]
struct Outcome {
    succeeded: bool,
    said: String,
    status: Option<i32>,
}

impl Scene {
    fn new() -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let here = home.path();
        for (name, file) in [("mallory", "attack.py"), ("mallory", "client.py")] {
            fs::create_dir_all(here.join(name)).expect("a folder can be made");
            let from = fixture("threats").join(file);
            fs::copy(from, here.join(name).join(file)).expect("a file can be copied");
        }
        fs::create_dir(here.join("ada")).expect("a folder can be made");
        fs::write(here.join("ada/solution.txt"), "Ada's solution").expect("it can be written");
        Scene { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs one attack at a level.
    #[track_caller]
    fn attack(&self, level: &str, attack: &str, argument: &str) -> Outcome {
        let manifest = format!(
            "[ex1]\nserver = [\"python3\", \"attack.py\", \"{{host}}\", \"{{port}}\", \"{attack}\"]\n\
             client = \"python3 client.py {{host}} {{port}}\"\n"
        );
        fs::write(self.path("mallory/lab.toml"), manifest).expect("it can be written");
        fs::write(self.path("mallory/argument"), argument).expect("it can be written");
        let out = self.path(&format!("results-{level}"));
        let output = harness(self.home.path())
            .args([
                "check",
                "mallory",
                "ex1/request-reply",
                "--seed",
                "1",
                "--reruns",
                "0",
            ])
            .args(["--isolation", level, "--format", "json", "--out"])
            .arg(&out)
            .env("SOCKET_LAB_SECRET", SECRET)
            .stdin(Stdio::null())
            .output()
            .expect("the harness can be started");
        let events = fs::read_to_string(out.join("latest/scenes/hello-udp/events.jsonl"));
        let said = events.unwrap_or_default() + &String::from_utf8_lossy(&output.stderr);
        let limited = said.contains("\"usage-limit\"");
        let succeeded = said.contains("ATTACK SUCCEEDED") && !limited;
        assert!(
            succeeded
                || limited
                || said.contains("ATTACK FAILED")
                || output.status.code() != Some(0),
            "nothing is known of the attack: {said}"
        );
        Outcome {
            succeeded,
            said,
            status: output.status.code(),
        }
    }

    /// What holds at each level: it succeeds where nothing contains it (`without`), is contained at L3, and below that at
    /// the levels that are named, of [`BELOW`].
    #[track_caller]
    fn check(&self, attack: &str, argument: &str, without: &str, contained_at: &[&str]) {
        let outcome = self.attack(without, attack, argument);
        if !outcome.succeeded {
            // Where the machine itself forbids it, nothing can be shown.
            eprintln!("{}", outcome.said);
            skip(&format!("needs {attack} to work at {without}"));
            return;
        }
        let outcome = self.attack("L3", attack, argument);
        assert!(
            !outcome.succeeded,
            "{attack} is not contained at L3: {}",
            outcome.said
        );
        for level in BELOW.into_iter().filter(|level| has_level(level)) {
            let outcome = self.attack(level, attack, argument);
            assert_eq!(
                !outcome.succeeded,
                contained_at.contains(&level),
                "{attack} at {level}: {}",
                outcome.said
            );
        }
    }
}

/// Whether this machine reaches a level.
fn has_level(level: &str) -> bool {
    let output = harness(Path::new("."))
        .args(["doctor", "--isolation", level])
        .output()
        .expect("the harness can be started");
    String::from_utf8_lossy(&output.stdout).starts_with(&format!("isolation {level}:"))
        || skip(&format!("needs isolation {level} (see `harness doctor`)"))
}

fn ready() -> bool {
    has(&["python3"]) && has_level("L3")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn other_submissions_can_neither_be_read_nor_changed() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    scene.check("read_file", "../ada/solution.txt", "L0", &BELOW);
    scene.check(
        "read_file",
        &text(&scene.path("ada/solution.txt")),
        "L0",
        &BELOW,
    );
    scene.check("write_file", "../ada/solution.txt", "L0", &BELOW);
}

#[test]
fn the_harness_itself_and_what_it_expects_cannot_be_read() {
    if !ready() {
        return;
    }
    Scene::new().check("read_file", env!("CARGO_BIN_EXE_harness"), "L0", &BELOW);
}

#[test]
fn the_environment_of_the_harness_cannot_be_read() {
    if !ready() {
        return;
    }
    Scene::new().check("find_in", &format!("environ={SECRET}"), "L0", &BELOW);
}

#[test]
fn the_command_line_of_the_harness_can_be_read_below_l3_only() {
    if !ready() {
        return;
    }
    Scene::new().check("find_in", "cmdline=ex1/request-reply", "L0", &[]);
}

#[test]
fn the_harness_can_be_neither_killed_nor_traced() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    let mark = "ex1/request-reply";
    // Landlock keeps signals in from Linux 6.12 on.
    let contained: &[&str] = if kernel_is_at_least((6, 12)) {
        &BELOW
    } else {
        &["L1r"]
    };
    scene.check("kill_harness", mark, "L0", contained);
    let restricted = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    if restricted.is_ok_and(|scope| scope.trim() != "0") {
        skip("needs a kernel that lets a user trace their own processes (yama/ptrace_scope)");
        return;
    }
    scene.check("trace_harness", mark, "L0", &BELOW);
}

fn kernel_is_at_least(wanted: (u32, u32)) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

#[test]
fn a_fork_bomb_is_stopped() {
    if !ready() {
        return;
    }
    Scene::new().check("fork_many", "700", "L3n", &BELOW);
}

#[test]
fn a_memory_bomb_of_any_kind_is_stopped() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    scene.check("take_private", "1800", "L3n", &BELOW);
    scene.check("take_shared", "1300", "L3n", &BELOW);
    scene.check("take_memfd", "1", "L3n", &BELOW);
}

#[test]
fn the_disk_cannot_be_filled() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    // At L1 a program may fill its own folder, file by file, but no other; at L1r the copy of it.
    scene.check("fill", ".", "L3n", &[]);
    scene.check("fill", "/tmp", "L3n", &BELOW);
    scene.check("fill", "/dev/shm", "L3n", &[]);
    scene.check("big_file", ".", "L3n", &BELOW);
}

#[test]
fn the_processor_is_not_taken_for_ever() {
    if !ready() {
        return;
    }
    Scene::new().check("take_processor", "", "L3n", &BELOW);
}

#[test]
fn other_networks_cannot_be_reached() {
    if !ready() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener
        .local_addr()
        .expect("it has an address")
        .to_string();
    // Landlock knows ports, not addresses.
    Scene::new().check("connect", &address, "L0", &[]);
}

#[test]
fn packets_cannot_be_forged_or_sniffed() {
    if !ready() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        skip("needs root, who alone can do it without a sandbox");
        return;
    }
    Scene::new().check("sniff", "", "L0", &BELOW);
}

#[test]
fn no_new_user_namespace_can_be_made() {
    if !ready() {
        return;
    }
    Scene::new().check("new_user_namespace", "", "L3n", &BELOW);
}

#[test]
fn the_settings_of_the_machine_cannot_be_changed() {
    if !ready() {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        skip("needs root, who alone can do it without a sandbox");
        return;
    }
    let scene = Scene::new();
    scene.check(
        "machine_settings",
        "/proc/sys/kernel/core_pattern",
        "L0",
        &BELOW,
    );
    scene.check("read_file", "/etc/shadow", "L0", &["L1r"]);
}

#[test]
fn evidence_can_be_neither_written_nor_led_elsewhere() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    let (target, out) = (scene.path("ada"), scene.path("results-L0"));
    let outcome = scene.attack(
        "L0",
        "plant_link",
        &format!("{}={}", text(&target), text(&out)),
    );
    // It is planted; nothing is written through it, and the harness says so instead of hanging on the FIFO.
    assert_eq!(outcome.status, Some(4), "{}", outcome.said);
    assert_eq!(fs::read_dir(&target).expect("it is there").count(), 1);
    for level in ["L1", "L1r", "L3"]
        .into_iter()
        .filter(|level| has_level(level))
    {
        let out = scene.path(&format!("results-{level}"));
        let argument = format!("{}={}", text(&target), text(&out));
        let outcome = scene.attack(level, "plant_link", &argument);
        assert!(!outcome.succeeded, "{level}: {}", outcome.said);
        assert_eq!(outcome.status, Some(0), "{level}: {}", outcome.said);
    }
}

#[test]
fn the_report_of_an_earlier_run_cannot_be_changed() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    scene.attack("L3", "take_processor", "");
    let report = scene.path("results-L3/latest/report.json");
    let report = report.canonicalize().expect("there is a report");
    scene.check("write_file", &text(&report), "L0", &BELOW);
}

#[test]
fn what_programs_write_beside_themselves_is_gone_after_the_scenario() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    // No attack: a log. It must work, and leave the submission as it was handed in.
    for level in ["L3", "L1r"].into_iter().filter(|level| has_level(level)) {
        let outcome = scene.attack(level, "write_file", "log.txt");
        assert!(outcome.succeeded, "{level}: {}", outcome.said);
        assert!(!scene.path("mallory/log.txt").exists());
    }
}

#[test]
fn a_layer_that_is_refused_is_missing_in_the_report() {
    if !ready() || !has(&["unshare", "mount", "sh"]) {
        return;
    }
    /// The kernel lays no third layer over two.
    const TWO_LAYERS: &str = "mount -t tmpfs none layers && cd layers && mkdir u1 w1 u2 w2 && cd .. && for n in 1 2; do
        mount -t overlay -o lowerdir=mallory,upperdir=layers/u$n,workdir=layers/w$n overlay mallory || exit 9
    done; exec \"$@\"";
    let scene = Scene::new();
    fs::create_dir(scene.path("layers")).expect("a folder can be made");
    scene.attack("L3", "write_file", "log.txt");
    let missing = |layers: &str| {
        let mut command = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let output = command
            .args(["--mount", "sh", "-c", layers, "sh"])
            .arg(env!("CARGO_BIN_EXE_harness"))
            .args(["check", "mallory", "ex1/request-reply", "--format", "json"])
            .current_dir(scene.home.path())
            .output()
            .expect("unshare can be started");
        let checked = crate::support::Checked::read(output);
        assert_eq!(checked.report["isolation"]["level"], "L3");
        assert_eq!(checked.trouble(), "");
        checked.report["isolation"]["missing"].to_string()
    };
    assert_eq!(missing("exec \"$@\""), "[]");
    let said = missing(TWO_LAYERS);
    assert!(
        said.contains("a layer over the submission's folder"),
        "{said}"
    );
}

#[test]
fn a_required_level_that_is_not_there_stops_everything_before_anything_is_run() {
    if !has(&["python3"]) {
        return;
    }
    let scene = Scene::new();
    let manifest = "build = \"python3 -c 'open(\\\"built\\\", \\\"w\\\")'\"\n[ex1]\nserver = \"python3 attack.py\"\nclient = \"python3 client.py\"\n";
    fs::write(scene.path("mallory/lab.toml"), manifest).expect("it can be written");
    let output = harness(scene.home.path())
        .args([
            "check",
            "mallory",
            "--isolation",
            "L0",
            "--require-isolation",
            "L3",
        ])
        .output()
        .expect("the harness can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("isolation L3 is required") && said.contains("leave out --isolation L0"),
        "{said}"
    );
    assert!(!scene.path("mallory/built").exists() && !scene.path("lab-results").exists());
}

/// A server that leaves a daemon behind and never answers, so that a check of it is certain to be under way. Both have
/// the mark among their arguments.
const LEAVES_A_DAEMON: &str = "
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sleeper = 'import time; time.sleep(600)'
        os.execv(sys.executable, [sys.executable, '-c', sleeper, sys.argv[1] + '-daemon'])
    os._exit(0)
os.wait()
time.sleep(600)
";

/// Processes that have this as an argument of its own.
fn running(mark: &str) -> Vec<nix::unistd::Pid> {
    processes_with(|words| {
        words
            .split(|octet| *octet == 0)
            .any(|word| word == mark.as_bytes())
    })
}

/// Processes that have this anywhere in their arguments, as those do that are about to become the program.
fn mentioning(mark: &str) -> Vec<nix::unistd::Pid> {
    processes_with(|words| {
        words
            .windows(mark.len())
            .any(|part| part == mark.as_bytes())
    })
}

fn processes_with(condition: impl Fn(&[u8]) -> bool) -> Vec<nix::unistd::Pid> {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes
        .filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|words| condition(&words)))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(nix::unistd::Pid::from_raw)
        .collect()
}

fn kill_all(pids: Vec<nix::unistd::Pid>) {
    for pid in pids {
        nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).expect("it is this test's");
    }
}

#[track_caller]
fn until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {within:?} until {what}");
        // The process table announces nothing.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_harness_leaves_no_process_after_a_second() {
    if !ready() || !has(&["sh"]) {
        return;
    }
    let scene = Scene::new();
    let mark = format!("socket-lab-mark-{}", std::process::id());
    let daemon = format!("{mark}-daemon");
    fs::write(scene.path("mallory/server.py"), LEAVES_A_DAEMON).expect("it can be written");
    let manifest = format!(
        "[ex1]\nserver = \"python3 server.py {mark}\"\nclient = \"python3 client.py {{host}} {{port}}\"\n"
    );
    fs::write(scene.path("mallory/lab.toml"), manifest).expect("it can be written");
    let both_run = || !running(&mark).is_empty() && !running(&daemon).is_empty();

    // Whoever starts a program without more ado and is killed leaves everything.
    let mut parent = Command::new("sh")
        .args(["-c", "python3 server.py \"$0\"; :", &mark])
        .current_dir(scene.path("mallory"))
        .spawn()
        .expect("a shell can be started");
    until("both run", Duration::from_secs(30), both_run);
    parent.kill().expect("it can be killed");
    parent.wait().expect("it ends");
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        assert!(both_run(), "nothing has to contain anything here");
        std::thread::sleep(Duration::from_millis(100));
    }
    kill_all(mentioning(&mark));
    let gone = || mentioning(&mark).is_empty();
    until("they are gone", Duration::from_secs(10), gone);

    for level in ["L3", "L1r", "L1"]
        .into_iter()
        .filter(|level| has_level(level))
    {
        let mut harness = harness(scene.home.path())
            .args(["check", "mallory", "--isolation", level])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the harness can be started");
        until("both run", Duration::from_secs(90), both_run);
        harness.kill().expect("it can be killed");
        harness.wait().expect("it ends");
        until("nothing is left", Duration::from_secs(1), gone);
    }
}

#[test]
fn a_build_leaves_no_daemon_where_anything_contains_it() {
    if !ready() {
        return;
    }
    for level in ["L3n", "L3", "L1r", "L1"]
        .into_iter()
        .filter(|level| has_level(level))
    {
        let scene = Scene::new();
        let mark = format!("socket-lab-build-{}-{level}", std::process::id());
        let build = LEAVES_A_DAEMON.replace("time.sleep(600)\n", "");
        fs::write(scene.path("mallory/build.py"), build).expect("it can be written");
        let manifest = format!(
            "build = \"python3 build.py {mark}\"\n[ex1]\n\
             server = \"python3 attack.py {{host}} {{port}} take_processor\"\n\
             client = \"python3 client.py {{host}} {{port}}\"\n"
        );
        fs::write(scene.path("mallory/lab.toml"), manifest).expect("it can be written");
        fs::write(scene.path("mallory/argument"), "").expect("it can be written");
        let output = harness(scene.home.path())
            .args([
                "check",
                "mallory",
                "ex1/request-reply",
                "--isolation",
                level,
            ])
            .output()
            .expect("the harness can be started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{level}: {said}");
        let left = running(&format!("{mark}-daemon"));
        let escapes = level == "L3n";
        assert_eq!(!left.is_empty(), escapes, "{level}: {left:?}");
        kill_all(left);
    }
}

#[test]
fn three_hundred_scenarios_have_networks_of_their_own_at_once() {
    let _alone = crate::support::alone();
    const ALL: usize = 300;
    /// So many come to life at the same time, as a machine with two cores can take; each is the home of a check.
    const WAVE: [&str; 10] = [
        "ex1/request-reply",
        "ex1/server-prints-message",
        "ex1/client-prints-reply",
        "ex1/serves-again",
        "ex3/time",
        "ex3/date",
        "ex3/client-prints-reply",
        "ex3/both-requests",
        "ex3/random-gap",
        "ex3/server-keeps-serving",
    ];
    /// What they need together: each wire's buffer in the kernel has 16 MiB.
    const MEMORY_KIB: u64 = 10 << 20;
    if !ready() || !has(&["sh", "mktemp"]) {
        return;
    }
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?
            .split_whitespace()
            .next()
    });
    if available.and_then(|kib| kib.parse().ok()).unwrap_or(0) < MEMORY_KIB {
        skip("needs 10 GiB of memory that is not in use");
        return;
    }
    let scene = Scene::new();
    let dir = scene.path("mallory");
    for name in ["alive", "done"] {
        fs::create_dir(dir.join(name)).expect("a folder can be made");
    }
    nix::unistd::mkfifo(&dir.join("go"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let server = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  s.bind(('127.0.0.1', 20001))\n\
                  while True:\n    text, peer = s.recvfrom(100)\n    s.sendto(b'Hello', peer)\n";
    let client = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  s.settimeout(3000)\ns.sendto(b'Hello', ('127.0.0.1', 20001))\ns.recv(100)\n";
    fs::write(dir.join("server.py"), server).expect("it can be written");
    fs::write(dir.join("client.py"), client).expect("it can be written");
    // Alive until everybody is: one octet of the FIFO lets one go on.
    let script = "mktemp alive/XXXXXX; read line < go; python3 client.py && mktemp done/XXXXXX";
    let programs =
        format!("server = \"python3 server.py\"\nclient = [\"sh\", \"-c\", \"{script}\"]\n");
    let manifest = format!("[ex1]\n{programs}[ex3]\n{programs}");
    fs::write(dir.join("lab.toml"), manifest).expect("it can be written");
    let scenes: String = WAVE
        .iter()
        .enumerate()
        .map(|(number, id)| {
            format!(
                "scenario scene-{number} exercise={} {{
                    start server
                    check {id:?} \"It has its answer\" points=1 {{
                        sheet \"Run the Client and Server processes and observe the output.\"
                        hint \"Is anybody else on this network?\"
                        start client ada
                        ada exits within=600
                    }}
                }}\n",
                &id[..3]
            )
        })
        .collect();
    fs::write(dir.join("scenes.kdl"), scenes).expect("it can be written");
    let count = |name: &str| fs::read_dir(dir.join(name)).map_or(0, Iterator::count);
    let report_of = |wave: usize| scene.path(&format!("report-{wave}.txt"));
    let told = |wave: usize, status: std::process::ExitStatus| {
        let report = fs::read_to_string(report_of(wave)).unwrap_or_default();
        panic!("{status}\n{report}");
    };
    let mut harnesses = Vec::new();
    for wave in 1..=ALL / WAVE.len() {
        let report = fs::File::create(report_of(wave)).expect("it can be made");
        let mut harness = harness(scene.home.path())
            .args(["check", "mallory", "--isolation", "L3n"])
            .args([
                "--reruns",
                "0",
                "--scenarios",
                "mallory",
                "--jobs",
                &WAVE.len().to_string(),
                "--out",
            ])
            .arg(scene.path(&format!("results-{wave}")))
            .stdout(report.try_clone().expect("it can be shared"))
            .stderr(report)
            .spawn()
            .expect("the harness can be started");
        let come = || {
            if let Some(status) = harness.try_wait().expect("it can be waited for") {
                told(wave, status);
            }
            count("alive") >= wave * WAVE.len()
        };
        until("the wave is alive", Duration::from_secs(600), come);
        harnesses.push(harness);
    }
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let networks: BTreeSet<PathBuf> = processes
        .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == dir))
        .filter_map(|entry| fs::read_link(entry.path().join("ns/net")).ok())
        .collect();
    assert_eq!(networks.len(), ALL, "networks at once");
    let mut go = fs::File::options()
        .read(true)
        .write(true)
        .open(dir.join("go"))
        .expect("somebody waits for it");
    // More than enough: where the machine was too slow for a verdict, a scenario is played again.
    go.write_all(&[b'\n'; 10 * ALL]).expect("they read it");
    for (harness, wave) in harnesses.iter_mut().zip(1..) {
        let status = harness.wait().expect("it ends");
        // So many at once may be more than the machine can judge, which is no failure.
        if !matches!(status.code(), Some(0 | 3)) {
            told(wave, status);
        }
    }
    assert!(count("done") >= ALL, "every client had its answer");
}

#[test]
fn root_can_run_what_others_own_and_nobody_else_may_read() {
    if !ready() || !has(&["chown", "chmod"]) {
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        skip("needs root");
        return;
    }
    let scene = Scene::new();
    for (program, argument) in [("chown", "1234:1234"), ("chmod", "go=")] {
        let status = Command::new(program)
            .args(["-R", argument])
            .arg(scene.path("mallory"))
            .status()
            .expect("it can be started");
        assert!(status.success());
    }
    let outcome = scene.attack("L3", "write_file", "log.txt");
    assert!(outcome.succeeded, "{}", outcome.said);
    for (attack, argument) in [
        ("read_file", "../ada/solution.txt"),
        ("read_file", "/etc/shadow"),
        ("new_user_namespace", ""),
        ("sniff", ""),
        ("machine_settings", "/proc/sys/kernel/core_pattern"),
        ("kill_harness", "ex1/request-reply"),
    ] {
        let outcome = scene.attack("L3", attack, argument);
        assert!(!outcome.succeeded, "{attack}: {}", outcome.said);
    }
}

#[test]
fn a_program_with_the_address_sanitizer_runs_in_the_sandbox() {
    if !ready() || !has(&["gcc"]) {
        return;
    }
    let scene = Scene::new();
    let dir = scene.path("mallory");
    fs::copy(
        fixture("threats").join("sanitized.c"),
        dir.join("sanitized.c"),
    )
    .expect("it can be copied");
    fs::write(dir.join("argument"), "log.txt").expect("it can be written");
    let manifest = "[ex1]\nbuild = \"gcc -fsanitize=address -o client sanitized.c\"\n\
                    server = \"python3 attack.py {host} {port} write_file\"\n\
                    client = \"./client {host} {port}\"\n";
    fs::write(dir.join("lab.toml"), manifest).expect("it can be written");
    let output = harness(scene.home.path())
        .args([
            "check",
            "mallory",
            "--require-isolation",
            "L3",
            "--format",
            "json",
        ])
        .output()
        .expect("the harness can be started");
    let checked = crate::support::Checked::read(output);
    if checked.trouble().contains("cannot find") && checked.trouble().contains("asan") {
        skip("needs the compiler's address sanitizer");
        return;
    }
    assert_eq!(checked.trouble(), "");
}

#[test]
fn what_starts_programs_is_taken_only_if_it_was_made_with_the_harness() {
    if !ready() {
        return;
    }
    let copy = Copy::of("beginner");
    let here = copy.home.path();
    let installed = here.join("harness");
    fs::copy(env!("CARGO_BIN_EXE_harness"), &installed).expect("it can be copied");
    let check = |beside: Option<String>, passes: bool| {
        if let Some(script) = &beside {
            let small = here.join("harness-inside");
            fs::write(&small, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
            fs::set_permissions(&small, fs::Permissions::from_mode(0o755))
                .expect("it can be made a program");
        }
        let output = harness_at(&installed, here)
            .args(["check", "beginner", "ex4/exchange", "--reruns", "0"])
            .output()
            .expect("it can be started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), passes, "{beside:?}: {said}");
    };
    check(None, true);
    check(Some("echo made of something else".to_owned()), true);
    // It says what the true one says, and starts nothing.
    let small = env!("CARGO_BIN_EXE_harness-inside");
    let does_nothing = format!("[ \"$1\" != __sources ] || exec '{small}' __sources");
    check(Some(does_nothing), false);
}
