//! Addresses of a local network that are written into programs: what `address` in `lab.toml` is for.
//!
//! Only looks, and only near the programs: a hint is made of what is found, never a verdict.

use super::Programs;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Larger files are no source code.
const MOST_OCTETS: u64 = 256 << 10;
/// More files than that are no exercise.
const MOST_FILES: usize = 200;

impl Programs {
    /// Private addresses (RFC 1918) in the text files of the programs' folder, in order.
    pub fn lan_addresses(&self) -> BTreeSet<Ipv4Addr> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .take(MOST_FILES)
            .filter(|entry| entry.file_name() != super::FILE)
            .filter(|entry| {
                // A FIFO would be waited for.
                let metadata = entry.metadata();
                metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MOST_OCTETS)
            })
            .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
            .flat_map(|text| private_in(&text))
            .collect()
    }
}

fn private_in(text: &str) -> Vec<Ipv4Addr> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .filter_map(|word| word.trim_matches('.').parse().ok())
        .filter(Ipv4Addr::is_private)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_found_and_others_are_not() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            let found: Vec<String> = private_in(text).iter().map(Ipv4Addr::to_string).collect();
            assert_eq!(found, expected);
        }
        check("HOST = '10.196.3.4'  # mine", &["10.196.3.4"]);
        check("bind((\"192.168.1.20\", 20001))", &["192.168.1.20"]);
        check("at 172.16.0.9:20001.", &["172.16.0.9"]);
        check("127.0.0.1 0.0.0.0 8.8.8.8 255.255.255.255 1.2.3", &[]);
        check("version 10.1.2.3.4", &[]);
    }
}
