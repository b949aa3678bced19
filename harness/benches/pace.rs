//! How long a check of the model solutions takes beside its own limit, and what isolation costs.
//!
//! A check that plays its scenarios at the same time can be no faster than the slowest of them alone; one that plays
//! them one after the other needs the sum. Run it with `cargo bench -p harness`; it takes two to three minutes.
//! Ratios hold better than seconds: the machine is shared with whatever else runs on it.

use harness::world::isolation::{Attempt, Isolation, PROBE_ARGUMENT};
use harness::world::sandbox::Confinement;
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
    isolation(&out);
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

/// What each level costs, side by side: one program; a scenario with two; fifty scenarios with a sleep of 2 s each.
fn isolation(out: &Path) {
    let best = Isolation::probe(None);
    let seclusion = best.seclusion;
    let starts = [
        ("a program, bare", None),
        ("a program in a namespace", Some(Confinement::None)),
        ("a program at L3", Some(Confinement::Bubble)),
    ];
    for (what, confinement) in starts {
        let mut times: Vec<Duration> = (0..50)
            .map(|_| {
                let mut command = match confinement {
                    None => Command::new("true"),
                    Some(confinement) => {
                        let attempt = Attempt {
                            seclusion,
                            confinement,
                            bwrap: best.bwrap.clone(),
                        };
                        let spec = serde_json::to_string(&attempt).expect("it can be written");
                        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
                        command.args([PROBE_ARGUMENT, &spec]);
                        command
                    }
                };
                let began = Instant::now();
                let status = command.status().expect("it can be started");
                assert!(status.success(), "{what} is refused here");
                began.elapsed()
            })
            .collect();
        times.sort();
        println!(
            "{what:<31} {:6.1} ms  median of 50",
            times[25].as_secs_f64() * 1e3
        );
    }
    for level in ["L3n", "L3"] {
        let mut times: Vec<Duration> = (0..5)
            .map(|_| {
                check(out, &["ex4", "--isolation", level]);
                slowest_scene(&out.join("latest/scenes"))
            })
            .collect();
        times.sort();
        println!(
            "a TCP hello at {level:<16} {:6.0} ms  median of 5",
            times[2].as_secs_f64() * 1e3
        );
    }
    let class = tempfile::TempDir::new().expect("a folder can be made");
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    let programs = programs.canonicalize().expect("the models are built");
    let manifest = format!(
        "[ex1]\nserver = \"{0}/ex1-server --bind {{host}}:{{port}}\"\n\
         client = [\"sh\", \"-c\", \"sleep 2; exec {0}/ex1-client {{host}}:{{port}}\"]\n",
        programs.display()
    );
    std::fs::write(class.path().join("lab.toml"), manifest).expect("it can be written");
    let scenarios = class.path().join("scenarios/ex1");
    std::fs::create_dir_all(&scenarios).expect("a folder can be made");
    let scenario = "scenario sleeper exercise=ex1 {
        start server
        check \"ex1/request-reply\" \"A client that sleeps first is served\" points=1 {
            sheet \"Run the Client and Server processes and observe the output.\"
            hint \"Does it wake up?\"
            start client ada
            ada exits within=20
        }
    }";
    std::fs::write(scenarios.join("sleeper.kdl"), scenario).expect("it can be written");
    for level in ["L3n", "L3"] {
        let began = Instant::now();
        let all: Vec<std::process::Child> = (0..50)
            .map(|number| {
                Command::new(env!("CARGO_BIN_EXE_harness"))
                    .arg("check")
                    .arg(class.path())
                    .args(["--isolation", level, "--out"])
                    .arg(out.join(format!("sleeper-{number}")))
                    .arg("--scenarios")
                    .arg(class.path().join("scenarios"))
                    .stdout(std::process::Stdio::null())
                    .spawn()
                    .expect("the harness can be started")
            })
            .collect();
        for mut one in all {
            let status = one.wait().expect("it ends");
            assert!(status.success(), "a sleeper does not pass");
        }
        println!(
            "50 sleeps of 2 s at once, {level:<5} {:6.1} s",
            began.elapsed().as_secs_f64()
        );
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
