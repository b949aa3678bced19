//! What `capture` found in a made file, beside what was put into it.

use super::made::generate::Truth;
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// One line for each figure that is another; one line in all when none is.
pub(crate) fn compare(truth: &Truth, file: &Path) -> anyhow::Result<Vec<String>> {
    let found = count(file)?;
    let put = [
        ("frames of the lab", truth.lab_frames),
        ("TCP conversations", truth.tcp.conversations),
        ("handshakes", truth.tcp.complete),
        ("refused", truth.tcp.refused),
        ("unanswered", truth.tcp.unanswered),
        ("resets", truth.tcp.reset),
        ("closed by both", truth.tcp.closed),
        (
            "retransmissions",
            truth.tcp.retransmissions + truth.tcp.syns_again,
        ),
        ("retransmissions after a loss", truth.tcp.after_loss),
        ("out of order", truth.tcp.reordered),
        ("UDP conversations", truth.udp.conversations),
        ("UDP replies", truth.udp.answered),
        ("UDP port unreachable", truth.udp.unreachable),
    ];
    let mut lines: Vec<String> = put
        .iter()
        .filter(|(what, count)| found.get(what).copied().unwrap_or_default() != *count)
        .map(|(what, count)| {
            let found = found.get(what).copied().unwrap_or_default();
            format!("WRONG: {what}: {count} were put in, {found} were found")
        })
        .collect();
    lines.extend(totals(truth, file)?);
    if lines.is_empty() {
        lines.push(format!(
            "found all that was put in: {} figures from the frames agree, and so do the totals",
            put.len()
        ));
    }
    Ok(lines)
}

/// From the JSON line of each segment and datagram.
fn count(file: &Path) -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let mut counts = BTreeMap::new();
    let mut add = |what: &'static str, count: u64| *counts.entry(what).or_insert(0) += count;
    // By number: whether it is TCP, and whether anything came back.
    let mut conversations: Vec<(bool, bool)> = Vec::new();
    lines(file, "segments", |line| {
        add("frames of the lab", 1);
        let number = line["conversation"].as_u64().unwrap_or(u64::MAX) as usize;
        let is_tcp = line["proto"] == "tcp";
        if number == conversations.len() {
            conversations.push((is_tcp, false));
            add(
                if is_tcp {
                    "TCP conversations"
                } else {
                    "UDP conversations"
                },
                1,
            );
        }
        // The client is who came first, and no two have the same ends here.
        let src = line["src"].as_str().unwrap_or_default();
        if let Some(conversation) = conversations.get_mut(number)
            && (src.ends_with(":20001") || src.ends_with(":20002"))
        {
            conversation.1 = true;
        }
        for note in line["notes"].as_array().into_iter().flatten() {
            match note.as_str().unwrap_or_default() {
                "handshake 3/3" => add("handshakes", 1),
                "refused" => add("refused", 1),
                "reset" => add("resets", 1),
                "FIN 2/2" => add("closed by both", 1),
                "retransmission" => add("retransmissions", 1),
                "retransmission, fills a gap" => add("retransmissions after a loss", 1),
                "out of order, fills a gap" => add("out of order", 1),
                "port unreachable" => add("UDP port unreachable", 1),
                note if note.starts_with("reply to ") => add("UDP replies", 1),
                _ => {}
            }
        }
    })?;
    let unanswered = conversations.iter().filter(|(tcp, back)| *tcp && !back);
    add("unanswered", unanswered.count() as u64);
    Ok(counts)
}

/// From the totals that the summary ends with: its last JSON line, `{"total":{…}}`.
fn totals(truth: &Truth, file: &Path) -> anyhow::Result<Vec<String>> {
    let mut total = Value::Null;
    lines(file, "summary", |mut line| {
        if line["total"].is_object() {
            total = line["total"].take();
        }
    })?;
    let left_out = total["left_out"].as_array().into_iter().flatten();
    let left_out: u64 = left_out.filter_map(|row| row["frames"].as_u64()).sum();
    let (tcp, udp) = (&truth.tcp, &truth.udp);
    let put = [
        ("conversations", tcp.conversations + udp.conversations),
        ("tcp", tcp.conversations),
        ("udp", udp.conversations),
        ("complete", tcp.complete),
        ("refused", tcp.refused),
        ("unanswered", tcp.unanswered),
        ("reset", tcp.reset),
        ("closed", tcp.closed),
        // ICMP messages are about packets, and none of them.
        ("packets", truth.lab_frames - udp.unreachable),
        ("octets", tcp.octets + udp.octets),
        (
            "retransmissions",
            tcp.retransmissions + tcp.after_loss + tcp.syns_again,
        ),
        ("out_of_order", tcp.reordered),
        ("requests", udp.requests),
        ("answered", udp.answered),
    ];
    let mut found: Vec<(&str, u64, Option<u64>)> = put
        .into_iter()
        .map(|(what, count)| (what, count, total[what].as_u64()))
        .collect();
    found.push(("left_out", truth.other_frames, Some(left_out)));
    Ok(found
        .into_iter()
        .filter(|(_, put, found)| *found != Some(*put))
        .map(|(what, put, found)| match found {
            Some(found) => format!("WRONG: total {what}: {put} were put in, {found} were found"),
            None => format!("WRONG: total {what}: {put} were put in, the summary does not say"),
        })
        .collect())
}

fn lines(file: &Path, view: &str, mut each: impl FnMut(Value)) -> anyhow::Result<()> {
    let mut capture = Command::new(env!("CARGO_BIN_EXE_capture"))
        .arg("read")
        .arg(file)
        .args(["--view", view, "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .context("capture cannot be started")?;
    let output = capture.stdout.take().context("its output is a pipe")?;
    for line in BufReader::with_capacity(1 << 20, output).lines() {
        each(serde_json::from_str(&line?).context("each line is JSON")?);
    }
    let status = capture.wait()?;
    anyhow::ensure!(status.success(), "capture ended with {status}");
    Ok(())
}
