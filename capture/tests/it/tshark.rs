//! Every difficult capture, and some that look like the lab's, as tshark understands them: frame by frame the flags,
//! relative numbers, windows, lengths and octets, and conversation by conversation the two streams.
//!
//! Where we show something else on purpose, the capture says so and why ([`difficult::Differs`]). Beyond that: tshark numbers
//! streams for each transport apart and counts those of all ports, so the two numbers are matched by frames; what an
//! ICMP message quotes is decoded by tshark as if it had been sent again, and left out here.

use crate::made::container::Format;
use crate::made::difficult;
use crate::made::generate::{Plan, generate};
use crate::support::{has, read, read_json};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

const PORTS: [u16; 2] = [20001, 20002];

#[test]
fn difficult_captures_are_understood_as_by_tshark() {
    if !has(&["tshark"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut failures = Vec::new();
    for difficult in difficult::all() {
        let file = folder.path().join(difficult.file_name());
        std::fs::write(&file, &difficult.file).expect("the file can be written");
        let found = differences(&file);
        let expected = difficult.differs.is_some();
        failures.extend(
            found
                .into_iter()
                .filter(|found| !(expected && found.is_stream))
                .map(|found| format!("{}: {}", difficult.name, found.text)),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn captures_like_the_labs_are_understood_as_by_tshark() {
    if !has(&["tshark"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut failures = Vec::new();
    for (seed, format) in [
        (1, Format::Pcap),
        (2, Format::PcapNg),
        (3, Format::PcapNanos),
    ] {
        let file = folder.path().join(format!("lab-{seed}"));
        let plan = Plan {
            seed,
            scale: 0.002,
            format,
        };
        let mut octets = Vec::new();
        generate(plan, &mut octets).expect("memory takes all that is written");
        std::fs::write(&file, octets).expect("the file can be written");
        let found = differences(&file);
        failures.extend(
            found
                .into_iter()
                .map(|found| format!("seed {seed}: {}", found.text)),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Something that tshark sees in another way.
struct Difference {
    is_stream: bool,
    text: String,
}

/// A segment or datagram, in either program's words.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    src: SocketAddr,
    dst: SocketAddr,
    segment: Option<Segment>,
    payload_len: u64,
    payload: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Segment {
    flags: u64,
    seq: i64,
    ack: Option<i64>,
    window: u64,
}

/// Which conversation a frame belongs to, for tshark: the transport and its number there.
type Stream = (&'static str, u64);

fn differences(file: &Path) -> Vec<Difference> {
    let ours = read_json(file);
    let (theirs, mut followed) = dissect(file);
    let mut differences = Vec::new();
    let mut streams: BTreeMap<u64, Stream> = BTreeMap::new();
    let mut seen = 0;
    for line in ours.iter().filter(|line| line["proto"] != "icmp") {
        seen += 1;
        let number = line["n"].as_u64().expect("a frame has a number");
        let conversation = line["conversation"].as_u64().expect("and a conversation");
        let Some((stream, packet)) = theirs.get(&number) else {
            differences.push(Difference {
                is_stream: false,
                text: format!("frame {number}: tshark sees nothing of the lab's"),
            });
            continue;
        };
        if our_packet(line) != *packet {
            differences.push(Difference {
                is_stream: false,
                text: format!(
                    "frame {number}:\n  {:?}, tshark:\n  {packet:?}",
                    our_packet(line)
                ),
            });
        }
        // One conversation, one stream.
        let same = streams.entry(conversation).or_insert(*stream);
        if same != stream {
            differences.push(Difference {
                is_stream: true,
                text: format!("frame {number}: {conversation} is {same:?} and {stream:?}"),
            });
        }
    }
    if seen != theirs.len() {
        differences.push(Difference {
            is_stream: false,
            text: format!("{seen} packets, tshark: {}", theirs.len()),
        });
    }

    let more: Vec<Stream> = streams
        .values()
        .filter(|stream| !followed.contains_key(stream))
        .copied()
        .collect();
    if !more.is_empty() {
        let mut command = tshark(file);
        command.arg("-q");
        followed.extend(take_streams(&output(follow(command, &more))));
    }
    let said = read_streams(file);
    for (conversation, stream) in &streams {
        let first = ours
            .iter()
            .find(|line| line["conversation"] == *conversation)
            .map(our_packet);
        let Some((first, followed)) = first.zip(followed.get(stream)) else {
            differences.push(Difference {
                is_stream: true,
                text: format!("conversation {conversation}: tshark follows no {stream:?}"),
            });
            continue;
        };
        // tshark calls the two ends 0 and 1, whoever began.
        let is_lab = |end: &SocketAddr| PORTS.contains(&end.port());
        let client = if is_lab(&first.src) && !is_lab(&first.dst) {
            first.dst
        } else {
            first.src
        };
        for (side, name) in ["client", "server"].into_iter().enumerate() {
            let node = usize::from((followed.first == client) != (side == 0));
            let said = said
                .get(&(*conversation, name))
                .map_or(&[][..], Vec::as_slice);
            if said != followed.said[node] {
                differences.push(Difference {
                    is_stream: true,
                    text: format!(
                        "conversation {conversation}, {name}:\n  {:?}, tshark:\n  {:?}",
                        String::from_utf8_lossy(said),
                        String::from_utf8_lossy(&followed.said[node])
                    ),
                });
            }
        }
    }
    differences
}

fn our_packet(line: &Value) -> Packet {
    let end = |field: &str| -> SocketAddr {
        let text = line[field].as_str().expect("an address and a port");
        text.parse().expect("an address and a port")
    };
    let segment = line["flags"].as_array().map(|flags| Segment {
        flags: flags
            .iter()
            .map(|flag| match flag.as_str().unwrap_or_default() {
                "FIN" => 0x01,
                "SYN" => 0x02,
                "RST" => 0x04,
                "PSH" => 0x08,
                "ACK" => 0x10,
                "URG" => 0x20,
                "ECE" => 0x40,
                "CWR" => 0x80,
                other => panic!("{other} is no flag"),
            })
            .sum(),
        seq: line["seq"].as_i64().expect("a segment has a number"),
        ack: line["ack"].as_i64(),
        window: line["window"].as_u64().expect("a segment has a window"),
    });
    Packet {
        src: end("src"),
        dst: end("dst"),
        segment,
        payload_len: line["payload_len"].as_u64().expect("and a length"),
        payload: line["payload_hex"].as_str().unwrap_or_default().to_owned(),
    }
}

/// tshark without anything that would take the text for more than octets.
fn tshark(file: &Path) -> Command {
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(file);
    for option in [
        "tcp.relative_sequence_numbers:TRUE",
        "tcp.analyze_sequence_numbers:TRUE",
        "tcp.desegment_tcp_streams:FALSE",
        "tcp.try_heuristic_first:FALSE",
        "udp.try_heuristic_first:FALSE",
        "ip.defragment:TRUE",
        "ipv6.defragment:TRUE",
    ] {
        tshark.args(["-o", option]);
    }
    for port in PORTS {
        for transport in ["tcp", "udp"] {
            tshark.args(["-d", &format!("{transport}.port=={port},data")]);
        }
    }
    tshark
}

fn output(mut tshark: Command) -> String {
    let output = tshark.output().expect("tshark can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("fields are ASCII")
}

/// Every segment and datagram on the lab's ports, by the number of its frame; and the first few streams, which is all
/// of them in a small capture.
fn dissect(file: &Path) -> (BTreeMap<u64, (Stream, Packet)>, BTreeMap<Stream, Followed>) {
    let fields = [
        "frame.number",
        "icmp.type",
        "icmpv6.type",
        "ip.src",
        "ip.dst",
        "ipv6.src",
        "ipv6.dst",
        "tcp.stream",
        "tcp.srcport",
        "tcp.dstport",
        "tcp.flags",
        "tcp.seq",
        "tcp.ack",
        "tcp.window_size",
        "tcp.len",
        "tcp.payload",
        "udp.stream",
        "udp.srcport",
        "udp.dstport",
        "udp.length",
        "udp.payload",
    ];
    let mut command = tshark(file);
    command.args(["-T", "fields", "-E", "occurrence=f"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = output(follow(command, &[("tcp", 0), ("tcp", 1), ("udp", 0)]));
    // The streams come after a line of equals signs.
    let (packets, streams) = output.split_at(output.find("\n====").unwrap_or(output.len()));
    let packets = packets
        .lines()
        .filter_map(|line| {
            let values: BTreeMap<&str, &str> = fields.into_iter().zip(line.split('\t')).collect();
            let text = |field: &str| Some(values[field]).filter(|value| !value.is_empty());
            let number = |field: &str| text(field)?.parse::<u64>().ok();
            if text("icmp.type").or(text("icmpv6.type")).is_some() {
                return None;
            }
            let address = |v4, v6| text(v4).or(text(v6))?.parse::<IpAddr>().ok();
            let transport = if text("tcp.stream").is_some() {
                "tcp"
            } else {
                "udp"
            };
            let port = |field: &str| number(&format!("{transport}.{field}"))?.try_into().ok();
            let src = SocketAddr::new(address("ip.src", "ipv6.src")?, port("srcport")?);
            let dst = SocketAddr::new(address("ip.dst", "ipv6.dst")?, port("dstport")?);
            if !PORTS.contains(&src.port()) && !PORTS.contains(&dst.port()) {
                return None;
            }
            let flags = text("tcp.flags").map(|flags| {
                u64::from_str_radix(flags.trim_start_matches("0x"), 16).expect("hexadecimal")
            });
            let segment = flags.map(|flags| Segment {
                flags,
                seq: number("tcp.seq").unwrap_or_default() as i64,
                // Without ACK the field means nothing.
                ack: number("tcp.ack")
                    .filter(|_| flags & 0x10 != 0)
                    .map(|ack| ack as i64),
                window: number("tcp.window_size").unwrap_or_default(),
            });
            let packet = Packet {
                src,
                dst,
                segment,
                // The length of UDP counts its header.
                payload_len: number("tcp.len")
                    .or_else(|| number("udp.length")?.checked_sub(8))
                    .unwrap_or_default(),
                payload: text("tcp.payload")
                    .or(text("udp.payload"))
                    .unwrap_or_default()
                    .replace(':', ""),
            };
            let stream = (transport, number(&format!("{transport}.stream"))?);
            Some((number("frame.number")?, (stream, packet)))
        })
        .collect();
    (packets, take_streams(streams))
}

/// What tshark puts together.
struct Followed {
    /// The end it calls 0.
    first: SocketAddr,
    said: [Vec<u8>; 2],
}

/// Has it follow these streams, too.
fn follow(mut tshark: Command, streams: &[Stream]) -> Command {
    for (transport, number) in streams {
        tshark.args(["-z", &format!("follow,{transport},raw,{number}")]);
    }
    tshark
}

/// What it prints of the streams it follows: hexadecimal, with a tab before what the end 1 said.
fn take_streams(text: &str) -> BTreeMap<Stream, Followed> {
    let mut followed: BTreeMap<Stream, Followed> = BTreeMap::new();
    let mut stream = ("tcp", 0);
    for line in text.lines() {
        if let Some(filter) = line.strip_prefix("Filter: ") {
            let number = filter.split_whitespace().last().unwrap_or_default();
            let transport = if filter.starts_with("udp") {
                "udp"
            } else {
                "tcp"
            };
            stream = (transport, number.parse().expect("a stream's number"));
        } else if let Some(end) = line.strip_prefix("Node 0: ") {
            // There is none where no such stream is.
            if let Ok(first) = end.parse() {
                let said = [Vec::new(), Vec::new()];
                followed.insert(stream, Followed { first, said });
            }
        } else if let Some(followed) = followed.get_mut(&stream) {
            let node = usize::from(line.starts_with('\t'));
            let digits = line.trim();
            if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                followed.said[node].extend(octets(digits));
            }
        }
    }
    followed
}

/// What each side of each conversation said.
fn read_streams(file: &Path) -> BTreeMap<(u64, &'static str), Vec<u8>> {
    let output = read(file, &["--view", "follow", "--format", "json"]);
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let mut streams: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("each line is JSON");
        let number = line["conversation"].as_u64().expect("it has a number");
        let side = if line["from"] == "client" {
            "client"
        } else {
            "server"
        };
        let said = line["payload_hex"].as_str().expect("and octets");
        streams
            .entry((number, side))
            .or_default()
            .extend(octets(said));
    }
    streams
}

fn octets(hexadecimal: &str) -> impl Iterator<Item = u8> {
    hexadecimal.as_bytes().chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).expect("digits are ASCII");
        u8::from_str_radix(pair, 16).expect("hexadecimal")
    })
}
