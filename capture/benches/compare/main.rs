//! To come.
#[path = "../made/mod.rs"]
mod made;

use made::container::Format;
use made::generate::{Plan, generate};
use std::io::BufWriter;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[1] == "difficult" {
        return difficult(&args[2]);
    }
    let file = std::fs::File::create(&args[1]).expect("file");
    let truth = generate(
        Plan {
            seed: 1,
            scale: args[2].parse().expect("number"),
            format: if args[1].ends_with("ng") {
                Format::PcapNg
            } else {
                Format::Pcap
            },
        },
        BufWriter::with_capacity(1 << 20, file),
    )
    .expect("written");
    println!("{}", serde_json::to_string(&truth).expect("json"));
}

fn difficult(folder: &str) {
    for d in made::difficult::all() {
        let ext = if d.file.starts_with(&[10, 13, 13, 10]) {
            "pcapng"
        } else {
            "pcap"
        };
        std::fs::write(format!("{folder}/{}.{ext}", d.name), d.file).expect("w");
    }
}
