//! The table: `capture read` and the others on the same file.

use super::measure::{Cost, is_installed, measure};
use super::{Offline, truth, write_lab};
use anyhow::Context as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const CAPTURE: &str = env!("CARGO_BIN_EXE_capture");
/// How the others are told what `capture` does by itself.
const FILTER: &str = "port 20001 or port 20002";
const DISPLAY_FILTER: &str = "tcp.port in {20001, 20002} or udp.port in {20001, 20002}";
/// tshark takes a minute and a half for the whole file, so by default it gets a twentieth of it, and so does the
/// `capture` that it is compared with.
const TSHARK_SHARE: f64 = 1.0 / 20.0;
/// The scale at which a file has a megabyte.
const MEGABYTE: f64 = 1.0 / 222.6;
const PEAK_MEMORY: f64 = 40e6;

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

    let slow = [fields, follow];
    let mut contestants = fast(&file);
    if options.full {
        contestants.extend(slow.iter().map(|contestant| contestant(&file)));
    }
    let rows = run(&contestants, options.rounds);
    print_table(&file, &rows)?;
    print_goals(&rows);

    if !options.full {
        let file = folder.join("lab-twentieth.pcap");
        write_lab(&file, options.seed, options.scale * TSHARK_SHARE)?;
        let mut contestants: Vec<Contestant> = fast(&file)
            .into_iter()
            .filter(|one| one.name == TALK || one.name == SEGMENTS)
            .collect();
        contestants.extend(slow.iter().map(|contestant| contestant(&file)));
        let rows = run(&contestants, options.rounds.min(3));
        print_table(&file, &rows)?;
        print_goals(&rows);
    }
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

impl Row {
    /// The median of the rounds, in seconds and octets.
    fn median(&self) -> Option<(f64, f64)> {
        let costs = self.result.as_ref().ok()?;
        let mut walls: Vec<f64> = costs.iter().map(|cost| cost.wall.as_secs_f64()).collect();
        let mut peaks: Vec<f64> = costs.iter().map(|cost| cost.peak_octets as f64).collect();
        walls.sort_by(f64::total_cmp);
        peaks.sort_by(f64::total_cmp);
        Some((*walls.get(walls.len() / 2)?, *peaks.get(peaks.len() / 2)?))
    }
}

fn find(rows: &[Row], name: &str) -> Option<(f64, f64)> {
    rows.iter().find(|row| row.name == name)?.median()
}

fn print_table(file: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let megabytes = std::fs::metadata(file)?.len() as f64 / 1e6;
    println!("\n{megabytes:.0} MB, the median of each program's rounds, output to /dev/null");
    println!(
        "{:<40} {:>9} {:>10} {:>11} {:>12}",
        "", "wall", "× talk", "× segments", "peak memory"
    );
    let seconds = |name| find(rows, name).map(|(wall, _)| wall);
    let (talk, segments) = (seconds(TALK), seconds(SEGMENTS));
    let times =
        |wall: f64, of: Option<f64>| of.map_or(String::new(), |of| format!("{:.2}", wall / of));
    for row in rows {
        match (row.median(), &row.result) {
            (Some((wall, peak)), _) => println!(
                "{:<40} {:>7.3} s {:>10} {:>11} {:>9.1} MB",
                row.name,
                wall,
                times(wall, talk),
                times(wall, segments),
                peak / 1e6
            ),
            (None, Err(why)) => println!("{:<40} {why}", row.name),
            (None, Ok(_)) => {}
        }
    }
    Ok(())
}

/// What was aimed at, beside what was reached, as far as these rows can tell.
fn print_goals(rows: &[Row]) {
    println!();
    for (view, name) in [("talk", TALK), ("segments", SEGMENTS)] {
        let Some((own, peak)) = find(rows, name) else {
            continue;
        };
        let at_most = |of: &str, other: &str, goal: f64| {
            if let Some((wall, _)) = find(rows, other) {
                let ratio = own / wall;
                say(view, of, ratio, "≤", goal, ratio <= goal);
            }
        };
        let at_least = |of: &str, other: &str, goal: f64| {
            if let Some((wall, _)) = find(rows, other) {
                let ratio = wall / own;
                say(view, of, ratio, "≥", goal, ratio >= goal);
            }
        };
        at_most("time ÷ ngrep's", NGREP, 0.6);
        at_most("time ÷ the bare loop's", BARE, 2.5);
        at_least("tcpdump's time ÷ own", TCPDUMP, 12.0);
        at_least("tshark's time (fields) ÷ own", FIELDS, 100.0);
        say(
            view,
            "peak memory in MB",
            peak / 1e6,
            "≤",
            40.0,
            peak <= PEAK_MEMORY,
        );
    }
}

fn say(view: &str, what: &str, reached: f64, relation: &str, goal: f64, met: bool) {
    let verdict = if met { "reached" } else { "missed" };
    println!("{view:<9} {what:<32} {reached:>7.2}   goal {relation} {goal:<6} {verdict}");
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
