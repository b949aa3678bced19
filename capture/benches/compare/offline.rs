//! The table: `capture read` and the others on the same file.

use super::measure::{Cost, is_installed, measure};
use super::{Offline, truth, write_lab};
use anyhow::Context as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(super) const CAPTURE: &str = env!("CARGO_BIN_EXE_capture");
/// How the others are told what `capture` does by itself.
const FILTER: &str = "port 20001 or port 20002";
const DISPLAY_FILTER: &str = "tcp.port in {20001, 20002} or udp.port in {20001, 20002}";
/// The scale at which a file has a megabyte.
const MEGABYTE: f64 = 1.0 / 222.6;

const TALK: &str = "capture read --view talk";
const SEGMENTS: &str = "capture read --view segments";
const JSON: &str = "capture read --format json";
const BARE: &str = "bare loop: pcap-parser and etherparse";
const NGREP: &str = "ngrep -q";
const TCPDUMP: &str = "tcpdump -A -nn";
const TCPFLOW: &str = "tcpflow -c";
const FIELDS: &str = "tshark -T fields, with payload";
const FOLLOW: &str = "tshark -z follow, one conversation";

/// What to run, and under which name it is shown.
struct Contestant {
    name: &'static str,
    command: Vec<OsString>,
}

/// What came of it, round by round.
struct Row {
    name: &'static str,
    result: Result<Vec<Cost>, String>,
}

/// Runs everything and prints the tables.
pub(crate) fn compare(options: &Offline) -> anyhow::Result<()> {
    anyhow::ensure!(options.rounds > 0, "--rounds has to be at least 1");
    anyhow::ensure!(options.scale > 0.0, "--scale has to be more than 0");
    let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .context("no folder for the files can be made")?;
    let folder = match &options.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
            folder.as_path()
        }
        None => own.path(),
    };

    let file = folder.join("lab.pcap");
    let truth = write_lab(&file, options.seed, options.scale)?;
    println!("ground truth: {}", serde_json::to_string(&truth)?);
    for line in truth::compare(&truth, &file)? {
        println!("{line}");
    }

    let mut rows = run(&fast(&file), options.rounds);
    // A minute each, so they are not asked as often.
    let slow_rounds = if options.full { options.rounds } else { 1 };
    rows.extend(run(&[fields(&file), follow(&file)], slow_rounds));
    print_table(&file, &rows)?;
    print_goals(&rows);
    memory(options, folder)
}

/// Those that are done within seconds.
fn fast(file: &Path) -> Vec<Contestant> {
    let read = |name, options: &[&str]| {
        let mut command: Vec<OsString> = [CAPTURE, "read"].map(Into::into).into();
        command.push(file.into());
        command.extend(options.iter().map(Into::into));
        Contestant { name, command }
    };
    let this = std::env::current_exe().unwrap_or_default();
    let on_file = |name, before: &[&str], after: &[&str]| {
        let mut command: Vec<OsString> = before.iter().map(Into::into).collect();
        command.push(file.into());
        command.extend(after.iter().map(Into::into));
        Contestant { name, command }
    };
    vec![
        read(TALK, &["--view", "talk"]),
        read(SEGMENTS, &["--view", "segments"]),
        read(JSON, &["--view", "segments", "--format", "json"]),
        Contestant {
            name: BARE,
            command: vec![this.into(), "bare".into(), file.into()],
        },
        on_file(NGREP, &["ngrep", "-q", "-I"], &["", FILTER]),
        on_file(TCPFLOW, &["tcpflow", "-c", "-r"], &[FILTER]),
        on_file(TCPDUMP, &["tcpdump", "-A", "-nn", "-r"], &[FILTER]),
    ]
}

fn fields(file: &Path) -> Contestant {
    let mut command: Vec<OsString> = ["tshark", "-n", "-r"].map(Into::into).into();
    command.push(file.into());
    command.extend(["-Y", DISPLAY_FILTER, "-T", "fields"].map(Into::into));
    for field in [
        "frame.number",
        "frame.time_epoch",
        "ip.src",
        "ip.dst",
        "tcp.stream",
        "tcp.srcport",
        "tcp.dstport",
        "tcp.flags.str",
        "tcp.seq",
        "tcp.ack",
        "tcp.len",
        "tcp.payload",
        "udp.srcport",
        "udp.dstport",
        "udp.payload",
    ] {
        command.extend(["-e", field].map(Into::into));
    }
    Contestant {
        name: FIELDS,
        command,
    }
}

fn follow(file: &Path) -> Contestant {
    let mut command: Vec<OsString> = ["tshark", "-n", "-r"].map(Into::into).into();
    command.push(file.into());
    command.extend(["-q", "-z", "follow,tcp,ascii,0"].map(Into::into));
    Contestant {
        name: FOLLOW,
        command,
    }
}

/// Each once in every round, so that what else the machine does hits all of them.
fn run(contestants: &[Contestant], rounds: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = contestants
        .iter()
        .map(|contestant| Row {
            name: contestant.name,
            result: if is_installed(&contestant.command[0])
                || Path::new(&contestant.command[0]).is_absolute()
            {
                Ok(Vec::new())
            } else {
                Err("not installed".to_owned())
            },
        })
        .collect();
    for _ in 0..rounds {
        for (row, contestant) in rows.iter_mut().zip(contestants) {
            if let Ok(costs) = &mut row.result {
                match measure(&contestant.command) {
                    Ok(cost) => costs.push(cost),
                    Err(error) => row.result = Err(format!("{error:#}")),
                }
            }
        }
    }
    rows
}

/// The medians of a row.
#[derive(Clone, Copy)]
struct Medians {
    wall: f64,
    processor: f64,
    peak: f64,
}

impl Row {
    /// The medians of the rounds, in seconds and octets.
    fn medians(&self) -> Option<Medians> {
        let costs = self
            .result
            .as_ref()
            .ok()
            .filter(|costs| !costs.is_empty())?;
        let median = |of: fn(&Cost) -> f64| {
            let mut values: Vec<f64> = costs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Some(Medians {
            wall: median(|cost| cost.wall.as_secs_f64()),
            processor: median(|cost| cost.processor.as_secs_f64()),
            peak: median(|cost| cost.peak_octets as f64),
        })
    }
}

fn find(rows: &[Row], name: &str) -> Option<Medians> {
    rows.iter().find(|row| row.name == name)?.medians()
}

fn print_table(file: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let megabytes = std::fs::metadata(file)?.len() as f64 / 1e6;
    println!("\n{megabytes:.0} MB, the median of each program's rounds, output to /dev/null");
    println!(
        "{:<40} {:>9} {:>8} {:>10} {:>11} {:>12}",
        "", "wall", "× talk", "× segments", "processor", "peak memory"
    );
    let wall = |name| find(rows, name).map(|medians| medians.wall);
    let (talk, segments) = (wall(TALK), wall(SEGMENTS));
    let times =
        |wall: f64, of: Option<f64>| of.map_or(String::new(), |of| format!("{:.2}", wall / of));
    for row in rows {
        match (row.medians(), &row.result) {
            (Some(medians), _) => println!(
                "{:<40} {:>7.3} s {:>8} {:>10} {:>9.3} s {:>9.1} MB",
                row.name,
                medians.wall,
                times(medians.wall, talk),
                times(medians.wall, segments),
                medians.processor,
                medians.peak / 1e6
            ),
            (None, Err(why)) => println!("{:<40} {why}", row.name),
            (None, Ok(_)) => {}
        }
    }
    Ok(())
}

/// What was aimed at, beside what was reached, as far as these rows can tell.
fn print_goals(rows: &[Row]) {
    println!("\n{:<42} {:>8} {:>10}   goal", "", "by wall", "processor");
    for (view, name) in [("talk", TALK), ("segments", SEGMENTS)] {
        let Some(own) = find(rows, name) else {
            continue;
        };
        for (what, other, goal) in [
            ("time ÷ ngrep's", NGREP, Goal::AtMost(0.6)),
            ("time ÷ the bare loop's", BARE, Goal::AtMost(2.5)),
            ("tcpdump's time ÷ own", TCPDUMP, Goal::AtLeast(12.0)),
            ("tshark's time (fields) ÷ own", FIELDS, Goal::AtLeast(100.0)),
        ] {
            let Some(other) = find(rows, other) else {
                continue;
            };
            let ratio = |own: f64, other: f64| match goal {
                Goal::AtMost(_) => own / other,
                Goal::AtLeast(_) => other / own,
            };
            let by_wall = ratio(own.wall, other.wall);
            println!(
                "{view:<9} {what:<32} {by_wall:>8.2} {:>10.2}   {}",
                ratio(own.processor, other.processor),
                goal.verdict(by_wall)
            );
        }
        let peak = own.peak / 1e6;
        println!(
            "{view:<9} {:<32} {peak:>8.2} {:>10}   {}",
            "peak memory in MB",
            "",
            Goal::AtMost(40.0).verdict(peak)
        );
    }
}

#[derive(Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn verdict(self, reached: f64) -> String {
        let (relation, goal, met) = match self {
            Goal::AtMost(goal) => ("≤", goal, reached <= goal),
            Goal::AtLeast(goal) => ("≥", goal, reached >= goal),
        };
        let met = if met { "reached" } else { "missed" };
        format!("{relation} {goal:<4} {met}")
    }
}

/// Whether memory grows with the file.
fn memory(options: &Offline, folder: &Path) -> anyhow::Result<()> {
    println!("\npeak memory by the size of the file");
    println!(
        "{:<10} {:>12} {:>12} {:>12}",
        "", "talk", "segments", "summary"
    );
    let sizes: &[f64] = if options.full {
        &[20.0, 200.0, 2_000.0]
    } else {
        &[20.0, 200.0]
    };
    for megabytes in sizes {
        let file: PathBuf = folder.join("memory.pcap");
        write_lab(&file, options.seed, megabytes * MEGABYTE)?;
        print!("{:>7.0} MB", std::fs::metadata(&file)?.len() as f64 / 1e6);
        for view in ["talk", "segments", "summary"] {
            let mut command: Vec<OsString> =
                [CAPTURE, "read", "--view", view].map(Into::into).into();
            command.push(file.as_os_str().to_owned());
            let cost = measure(&command)?;
            print!(" {:>9.1} MB", cost.peak_octets as f64 / 1e6);
        }
        println!();
        std::fs::remove_file(&file)?;
    }
    Ok(())
}
