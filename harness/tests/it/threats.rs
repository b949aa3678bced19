//! Nothing escapes: each attack first succeeds where nothing contains it, then is contained at L3; what holds at L1
//! is stated beside it. `harness/README.md` shows the same table.

use crate::support::{fixture, harness, has, skip};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A submission that attacks, with another one, and a secret, beside it.
struct Scene {
    home: TempDir,
}

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
            .args(["check", "mallory", "ex1/request-reply", "--seed", "1"])
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

    /// What holds at each level: where nothing contains it, at L1, at L3.
    #[track_caller]
    fn check(&self, attack: &str, argument: &str, without: &str, contained_at_l1: bool) {
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
        if has_level("L1") {
            let outcome = self.attack("L1", attack, argument);
            assert_eq!(
                !outcome.succeeded, contained_at_l1,
                "{attack} at L1: {}",
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
    scene.check("read_file", "../ada/solution.txt", "L0", true);
    scene.check(
        "read_file",
        &text(&scene.path("ada/solution.txt")),
        "L0",
        true,
    );
    scene.check("write_file", "../ada/solution.txt", "L0", true);
}

#[test]
fn the_harness_itself_and_what_it_expects_cannot_be_read() {
    if !ready() {
        return;
    }
    Scene::new().check("read_file", env!("CARGO_BIN_EXE_harness"), "L0", true);
}

#[test]
fn the_environment_of_the_harness_cannot_be_read() {
    if !ready() {
        return;
    }
    Scene::new().check("find_in", &format!("environ={SECRET}"), "L0", true);
}

#[test]
fn the_command_line_of_the_harness_can_be_read_below_l3_only() {
    if !ready() {
        return;
    }
    Scene::new().check("find_in", "cmdline=ex1/request-reply", "L0", false);
}

#[test]
fn the_harness_can_be_neither_killed_nor_traced() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    let mark = "ex1/request-reply";
    // Landlock keeps signals in from Linux 6.12 on.
    scene.check("kill_harness", mark, "L0", kernel_is_at_least((6, 12)));
    let restricted = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    if restricted.is_ok_and(|scope| scope.trim() != "0") {
        skip("needs a kernel that lets a user trace their own processes (yama/ptrace_scope)");
        return;
    }
    scene.check("trace_harness", mark, "L0", true);
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
    Scene::new().check("fork_many", "700", "L3n", true);
}

#[test]
fn a_memory_bomb_of_any_kind_is_stopped() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    scene.check("take_private", "1800", "L3n", true);
    scene.check("take_shared", "1300", "L3n", true);
    scene.check("take_memfd", "1", "L3n", true);
}

#[test]
fn the_disk_cannot_be_filled() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    // At L1 a program may fill its own folder, file by file, but no other.
    scene.check("fill", ".", "L3n", false);
    scene.check("fill", "/tmp", "L3n", true);
    scene.check("fill", "/dev/shm", "L3n", false);
    scene.check("big_file", ".", "L3n", true);
}

#[test]
fn the_processor_is_not_taken_for_ever() {
    if !ready() {
        return;
    }
    Scene::new().check("take_processor", "", "L3n", true);
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
    Scene::new().check("connect", &address, "L0", false);
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
    Scene::new().check("sniff", "", "L0", true);
}

#[test]
fn no_new_user_namespace_can_be_made() {
    if !ready() {
        return;
    }
    Scene::new().check("new_user_namespace", "", "L3n", true);
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
        true,
    );
    scene.check("read_file", "/etc/shadow", "L0", false);
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
    for level in ["L1", "L3"] {
        let out = scene.path(&format!("results-{level}"));
        let argument = format!("{}={}", text(&target), text(&out));
        let outcome = scene.attack(level, "plant_link", &argument);
        assert!(!outcome.succeeded, "{level}: {}", outcome.said);
        assert_eq!(outcome.status, Some(0), "{level}: {}", outcome.said);
    }
}

#[test]
fn what_programs_write_beside_themselves_is_gone_after_the_scenario() {
    if !ready() {
        return;
    }
    let scene = Scene::new();
    // No attack: a log. It must work, and leave the submission as it was handed in.
    let outcome = scene.attack("L3", "write_file", "log.txt");
    assert!(outcome.succeeded, "{}", outcome.said);
    assert!(!scene.path("mallory/log.txt").exists());
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

#[test]
fn a_killed_harness_leaves_no_process_after_a_second() {
    if !ready() || !has(&["kill"]) {
        return;
    }
    let copy = crate::support::Copy::of("hostile/never-binds");
    let mut harness: std::process::Child = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("check")
        .arg(&copy.dir)
        .current_dir(copy.home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the harness can be started");
    let until = |what: &str, within: std::time::Duration, condition: &dyn Fn() -> bool| {
        let deadline = std::time::Instant::now() + within;
        while !condition() {
            assert!(
                std::time::Instant::now() < deadline,
                "waited {within:?} until {what}"
            );
            // The process table announces nothing.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let runs = || {
        copy.leftovers().iter().any(|words| {
            words.contains("python")
                && words.contains("server.py")
                && !words.contains("bwrap")
                && !words.contains("__inside")
        })
    };
    until(
        "the program runs",
        std::time::Duration::from_secs(30),
        &runs,
    );
    harness.kill().expect("it can be killed");
    harness.wait().expect("it ends");
    until(
        "nothing is left",
        std::time::Duration::from_secs(1),
        &|| copy.leftovers().is_empty(),
    );
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
