//! Figures: what a process has used, what rounds have in common, how servers compare, and whether goals are met.

use std::{fmt::Write as _, fs, io, time::Duration};

use nix::unistd::{SysconfVar, sysconf};

/// One round of one server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Replies, or deliveries.
    pub messages: u64,
    /// For how long they were counted.
    pub time: Duration,
    /// What the server's process has had of the processors meanwhile.
    pub cpu: Duration,
    /// The most memory the server's process has ever had.
    pub peak_kib: u64,
    /// Half of the messages took at most so long.
    pub p50: Duration,
    /// All but a hundredth took at most so long.
    pub p99: Duration,
    /// What a member costs who says nothing, where there are members.
    pub idle_kib: Option<f64>,
}

/// The medians of a server's rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Messages per second.
    pub rate: f64,
    /// Seconds of processor time for a million messages.
    pub cpu_per_million: f64,
    /// MiB.
    pub peak_mib: f64,
    /// Milliseconds.
    pub p50_ms: f64,
    /// Milliseconds.
    pub p99_ms: f64,
    /// KiB for each silent member.
    pub idle_kib: Option<f64>,
}

impl Summary {
    /// `None` without a round.
    pub fn of(rounds: &[Measured]) -> Option<Self> {
        let of = |value: fn(&Measured) -> f64| median(rounds.iter().map(value));
        let idle: Option<Vec<f64>> = rounds.iter().map(|round| round.idle_kib).collect();
        Some(Self {
            rate: of(|round| round.messages as f64 / round.time.as_secs_f64())?,
            cpu_per_million: of(|round| {
                round.cpu.as_secs_f64() * 1e6 / (round.messages.max(1)) as f64
            })?,
            peak_mib: of(|round| round.peak_kib as f64 / 1024.0)?,
            p50_ms: of(|round| round.p50.as_secs_f64() * 1e3)?,
            p99_ms: of(|round| round.p99.as_secs_f64() * 1e3)?,
            idle_kib: idle.and_then(median),
        })
    }
}

/// The middle one, or the mean of the middle two. `None` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(values[middle - 1], upper)
    })
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The rate is to be at least so many times that of another server.
    Rate,
    /// The p99 is to be at most so many times that of another server.
    P99,
    /// A silent member is to cost at most so many KiB.
    IdleKib,
}

/// Something our server wants to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// What is compared.
    pub aim: Aim,
    /// With which server; unused for memory.
    pub peer: &'static str,
    /// How many times, or how many KiB.
    pub bound: f64,
}

impl Goal {
    /// In words, with the verdict. The first of the rows is ours.
    pub fn judge(&self, rows: &[(&str, Summary)]) -> String {
        let Some((_, ours)) = rows.first() else {
            return "goal: nothing was measured".to_owned();
        };
        let (value, met, text) = if self.aim == Aim::IdleKib {
            let value = ours.idle_kib.unwrap_or(f64::NAN);
            let text = format!("≤ {} KiB for each silent member", self.bound);
            (value, value <= self.bound, text)
        } else {
            let Some((_, peer)) = rows.iter().find(|(name, _)| *name == self.peer) else {
                return format!("goal: not compared, {} was not measured", self.peer);
            };
            if self.aim == Aim::Rate {
                let value = ours.rate / peer.rate;
                (
                    value,
                    value >= self.bound,
                    format!("≥ {} × {}", self.bound, self.peer),
                )
            } else {
                let value = ours.p99_ms / peer.p99_ms;
                (
                    value,
                    value <= self.bound,
                    format!("p99 ≤ {} × {}", self.bound, self.peer),
                )
            }
        };
        let verdict = if met { "met" } else { "missed" };
        format!("goal {verdict}: {text}: {value:.2}")
    }
}

/// A table. The first row is ours, and `ours/its` compares its rate with the others'.
pub fn table(messages: &str, rows: &[(&str, Summary)]) -> String {
    let idle = rows.iter().any(|(_, row)| row.idle_kib.is_some());
    let mut text = format!(
        "{:<22}{:>13}{:>10}{:>12}{:>10}{:>10}{:>10}",
        "",
        format!("{messages}/s"),
        "ours/its",
        "CPU s/mill.",
        "peak MiB",
        "p50 ms",
        "p99 ms"
    );
    text.push_str(if idle { "  KiB/silent\n" } else { "\n" });
    for (name, row) in rows {
        let ratio = rows[0].1.rate / row.rate;
        let _ = write!(
            text,
            "{name:<22}{:>13.0}{ratio:>10.2}{:>12.3}{:>10.1}{:>10.3}{:>10.3}",
            row.rate, row.cpu_per_million, row.peak_mib, row.p50_ms, row.p99_ms
        );
        match row.idle_kib {
            Some(kib) if idle => {
                let _ = writeln!(text, "{kib:>12.1}");
            }
            _ => text.push('\n'),
        }
    }
    text
}

/// Memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What it has in memory now.
    pub resident_kib: u64,
    /// The most it ever had.
    pub peak_kib: u64,
}

/// # Errors
/// There is no such process.
pub fn memory(process: u32) -> io::Result<Memory> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path)?;
    let field = |name| status_kib(&status, name).ok_or_else(|| unreadable(&path));
    Ok(Memory {
        resident_kib: field("VmRSS:")?,
        peak_kib: field("VmHWM:")?,
    })
}

/// The processor time that a process has had, its own and the kernel's for it, all of its threads together.
///
/// # Errors
/// There is no such process.
pub fn processor_time(process: u32) -> io::Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path)?;
    let ticks = processor_ticks(&stat).ok_or_else(|| unreadable(&path))?;
    let a_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(Duration::from_secs_f64(ticks as f64 / a_second as f64))
}

fn unreadable(path: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{path} is not as proc(5) describes it"),
    )
}

fn status_kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// `utime` and `stime`, fields 14 and 15 (proc(5)).
fn processor_ticks(stat: &str) -> Option<u64> {
    // The second field is the name, in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    Some(field()? + field()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(rate: f64, p99_ms: f64, idle_kib: Option<f64>) -> Summary {
        Summary {
            rate,
            cpu_per_million: 0.5,
            peak_mib: 3.25,
            p50_ms: 0.1,
            p99_ms,
            idle_kib,
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0, 2.0, 100.0], Some(3.0)),
        ] {
            assert_eq!(median(values), expected);
        }
    }

    #[test]
    fn a_summary_has_the_median_of_each_figure() {
        let round = |messages, cpu_ms, peak_kib| Measured {
            messages,
            time: Duration::from_secs(2),
            cpu: Duration::from_millis(cpu_ms),
            peak_kib,
            p50: Duration::from_micros(100),
            p99: Duration::from_micros(900),
            idle_kib: None,
        };
        let rounds = [
            round(1000, 1, 1024),
            round(4000, 8, 2048),
            round(2000, 2, 4096),
        ];
        let summary = Summary::of(&rounds).expect("three rounds");
        assert_eq!((summary.rate, summary.cpu_per_million), (1000.0, 1.0));
        assert_eq!((summary.peak_mib, summary.p99_ms), (2.0, 0.9));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_goal_is_met_at_its_bound_and_missed_below() {
        let rows = [
            ("ours", summary(80.0, 5.0, Some(8.0))),
            ("theirs", summary(100.0, 4.0, None)),
        ];
        for (aim, peer, bound, expected) in [
            (Aim::Rate, "theirs", 0.8, "goal met: ≥ 0.8 × theirs: 0.80"),
            (
                Aim::Rate,
                "theirs",
                0.9,
                "goal missed: ≥ 0.9 × theirs: 0.80",
            ),
            (
                Aim::P99,
                "theirs",
                1.0,
                "goal missed: p99 ≤ 1 × theirs: 1.25",
            ),
            (
                Aim::IdleKib,
                "",
                8.0,
                "goal met: ≤ 8 KiB for each silent member: 8.00",
            ),
            (
                Aim::Rate,
                "nobody",
                1.0,
                "goal: not compared, nobody was not measured",
            ),
        ] {
            assert_eq!(Goal { aim, peer, bound }.judge(&rows), expected);
        }
    }

    #[test]
    fn a_table_compares_each_row_with_the_first() {
        let rows = [
            ("ours", summary(80.0, 5.0, None)),
            ("theirs", summary(160.0, 4.0, None)),
        ];
        let expected = [
            "                          replies/s  ours/its CPU s/mill.  peak MiB    p50 ms    p99 ms",
            "ours                             80      1.00       0.500       3.2     0.100     5.000",
            "theirs                          160      0.50       0.500       3.2     0.100     4.000",
            "",
        ]
        .join("\n");
        assert_eq!(table("replies", &rows), expected);
    }

    #[test]
    fn the_kernel_is_understood() {
        let stat = "42 (a name) with )) S 1 2 3 4 5 6 7 8 9 10 130 24 0 0 20 0 1";
        assert_eq!(processor_ticks(stat), Some(154));
        assert_eq!(processor_ticks("42 (a) S 1"), None);
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(status_kib(status, "VmRSS:"), Some(1024));
        assert_eq!(status_kib(status, "VmSwap:"), None);
        let own = memory(std::process::id()).expect("this process is there");
        assert!(0 < own.resident_kib && own.resident_kib <= own.peak_kib);
        processor_time(std::process::id()).expect("this process is there");
    }
}
