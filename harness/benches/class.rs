//! How fast a class is graded, beside what its programs cost.
//!
//! Forty submissions in Python, all tasks, half of them as beginners write and half with asyncio. Grading can be no
//! faster than the processor time of everything that is run, divided by the processors, nor than the slowest scenario
//! alone; the figure to watch is the ratio to the larger of the two. Run it with `cargo bench -p harness --bench class`;
//! it takes some minutes. `cargo bench -p harness --bench class -- 8` takes eight submissions,
//! `-- 40 --jobs 12` passes on what stands behind the number.

use nix::sys::resource::{Usage, UsageWho, getrusage};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// As many as in a class.
const SUBMISSIONS: usize = 40;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("run it with `cargo bench -p harness --bench class`");
        return;
    }
    let mut words = arguments
        .iter()
        .filter(|argument| *argument != "--bench")
        .cloned()
        .peekable();
    let number = words.peek().and_then(|word| word.parse().ok());
    if number.is_some() {
        words.next();
    }
    let number = number.unwrap_or(SUBMISSIONS);
    let home = TempDir::new().expect("a temporary folder can be made");
    for place in 0..number {
        let fixture = ["beginner", "asyncio"][place % 2];
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(fixture);
        copy(
            &from,
            &home.path().join(format!("class/{fixture}-{place:02}")),
        );
    }
    let began = Instant::now();
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"))
        .current_dir(home.path())
        .args(["grade", "class", "--seed", "1"])
        .args(words)
        .stdout(Stdio::null())
        .stderr(fs::File::create(home.path().join("said")).expect("it can be made"))
        .spawn()
        .expect("the harness can be started");
    let mut own = Own::default();
    let status = loop {
        own.look(harness.id());
        if let Some(status) = harness.try_wait().expect("it can be waited for") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let wall = began.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it can be asked");
    let said = fs::read_to_string(home.path().join("said")).expect("it was written");
    assert_eq!(status.code(), Some(0), "everybody passes: {said}");
    let (user, system) = times(&usage);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let slowest = slowest_scene(&home.path().join("results"));
    let limit = ((user + system) / cores as f64).max(slowest);
    let seconds = wall.as_secs_f64();
    let each = |time: f64| time / number as f64;
    println!("{number} submissions on {cores} processors");
    println!(
        "wall                   {seconds:8.1} s   {:.1} submissions a minute",
        number as f64 / seconds * 60.0
    );
    println!(
        "processor time         {:8.1} s   {:.2} s a submission ({:.2} in programs and harness, {:.2} in the kernel)",
        user + system,
        each(user + system),
        each(user),
        each(system)
    );
    println!("the slowest scenario   {slowest:8.1} s");
    println!(
        "the limit              {limit:8.1} s   the wall time is {:.2} × that",
        seconds / limit
    );
    println!(
        "the harness itself     {:8.1} s   of processor time, and {} MiB at most",
        own.processor,
        own.memory_kib / 1024
    );
    println!(
        "played again alone     {:8}     scenarios, because the machine lagged",
        again(&home.path().join("results"))
    );
}

/// What the harness's own process took, without its children.
#[derive(Default)]
struct Own {
    processor: f64,
    memory_kib: u64,
}

impl Own {
    /// Both only grow; what is not there any more changes nothing.
    fn look(&mut self, pid: u32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        self.memory_kib = peak.unwrap_or(self.memory_kib);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold blanks: the 12th and 13th field are ticks of a hundredth of a second.
        let ticks: Vec<f64> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse().ok())
            .collect();
        if ticks.len() == 2 {
            self.processor = ticks.iter().sum::<f64>() / 100.0;
        }
    }
}

fn times(usage: &Usage) -> (f64, f64) {
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    (seconds(usage.user_time()), seconds(usage.system_time()))
}

/// The moment of the last event, in seconds, of the scenario that lasted longest.
fn slowest_scene(results: &Path) -> f64 {
    let folders = |path: &Path| -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(path).expect("it can be read").flatten();
        let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        real.map(|entry| entry.path()).collect()
    };
    let scenes = folders(results)
        .into_iter()
        .flat_map(|submission| folders(&submission.join("scenes")));
    let end = |scene: std::path::PathBuf| {
        let text = fs::read_to_string(scene.join("events.jsonl")).expect("there are events");
        let last = text.lines().last().expect("at least one");
        let event: serde_json::Value = serde_json::from_str(last).expect("events are JSON");
        event["at_us"].as_f64().expect("events have a moment") / 1e6
    };
    scenes.map(end).fold(0.0, f64::max)
}

fn again(results: &Path) -> usize {
    let text = fs::read_to_string(results.join("index.json")).expect("there is an index");
    let index: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let rows = index["submissions"].as_array().expect("it has rows");
    rows.iter()
        .filter_map(|row| row["replayed"].as_array())
        .map(Vec::len)
        .sum()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from)
        .expect("the fixture can be read")
        .flatten()
    {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}
