//! What there is to capture from, and whether it can be captured now: found out by trying.

use crate::source::live::{self, Interface, LiveError};
use crate::text;
use serde::Serialize;
use std::net::IpAddr;

/// An interface and what trying to capture there came to.
#[derive(Debug)]
pub struct Tried {
    /// The interface.
    pub interface: Interface,
    /// Why not, where it cannot be captured.
    pub problem: Option<LiveError>,
    /// Whether it is the one that is captured when none is asked for.
    pub is_default: bool,
}

/// Tries every network interface.
///
/// # Errors
/// When libpcap cannot list them.
pub fn try_all() -> Result<Vec<Tried>, LiveError> {
    let mut default_is_known = false;
    Ok(live::interfaces()?
        .into_iter()
        .map(|interface| Tried {
            problem: live::try_open(&interface.name).err(),
            is_default: interface.loopback && !std::mem::replace(&mut default_is_known, true),
            interface,
        })
        .collect())
}

/// A table for people.
pub fn table(all: &[Tried]) -> String {
    let rows = all.iter().map(|tried| {
        let interface = &tried.interface;
        let addresses: Vec<String> = interface.addresses.iter().map(IpAddr::to_string).collect();
        [
            if tried.is_default { "*" } else { " " }.to_owned(),
            text::safe(interface.name.as_bytes()),
            state(interface).to_owned(),
            match &tried.problem {
                None => "yes".to_owned(),
                Some(problem) => short(problem),
            },
            match (addresses.is_empty(), &interface.description) {
                (true, Some(description)) => text::safe(description.as_bytes()),
                _ => addresses.join(", "),
            },
        ]
    });
    let heading = ["", "interface", "state", "capture", "addresses"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(heading).chain(rows).collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:width$}  ");
        }
        line += &row[4];
        table += line.trim_end();
        table.push('\n');
    }
    table
}

fn state(interface: &Interface) -> &'static str {
    match (interface.loopback, interface.up) {
        (true, true) => "loopback, up",
        (true, false) => "loopback, down",
        (false, true) => "up",
        (false, false) => "down",
    }
}

fn short(problem: &LiveError) -> String {
    let said = match problem {
        LiveError::NotPermitted { .. } => return "not permitted".to_owned(),
        LiveError::Other { why, .. } => why.clone(),
        other => other.to_string(),
    };
    text::safe(said.as_bytes())
}

/// One object, without a newline.
pub fn json(tried: &Tried) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        name: &'a str,
        description: Option<&'a str>,
        default: bool,
        loopback: bool,
        up: bool,
        addresses: &'a [IpAddr],
        capture: bool,
        permitted: bool,
        problem: Option<String>,
    }
    let interface = &tried.interface;
    let line = Line {
        name: &interface.name,
        description: interface.description.as_deref(),
        default: tried.is_default,
        loopback: interface.loopback,
        up: interface.up,
        addresses: &interface.addresses,
        capture: tried.problem.is_none(),
        permitted: !matches!(tried.problem, Some(LiveError::NotPermitted { .. })),
        problem: tried.problem.as_ref().map(ToString::to_string),
    };
    serde_json::to_string(&line).expect("text, flags and addresses are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(name: &str, loopback: bool, addresses: &[&str], problem: Option<LiveError>) -> Tried {
        Tried {
            interface: Interface {
                name: name.to_owned(),
                description: (name == "any").then(|| "all of them".to_owned()),
                addresses: addresses
                    .iter()
                    .map(|text| text.parse().expect("an address"))
                    .collect(),
                loopback,
                up: name != "eth1",
            },
            problem,
            is_default: loopback,
        }
    }

    fn some() -> Vec<Tried> {
        let no = LiveError::NotPermitted {
            interface: "eth0".to_owned(),
            why: "CAP_NET_RAW".to_owned(),
        };
        let down = LiveError::Other {
            interface: "eth1".to_owned(),
            why: "That device is not up".to_owned(),
        };
        vec![
            tried("eth0", false, &["10.0.0.7"], Some(no)),
            tried("any", false, &[], None),
            tried("lo", true, &["127.0.0.1", "::1"], None),
            tried("eth1", false, &[], Some(down)),
        ]
    }

    #[test]
    fn the_table_says_where_it_can_be_captured() {
        let expected = "   \
   interface  state         capture                addresses
   eth0       up            not permitted          10.0.0.7
   any        up            yes                    all of them
*  lo         loopback, up  yes                    127.0.0.1, ::1
   eth1       down          That device is not up
";
        assert_eq!(table(&some()), expected);
    }

    #[test]
    fn each_interface_is_one_object() {
        assert_eq!(
            json(&some()[2]),
            r#"{"name":"lo","description":null,"default":true,"loopback":true,"up":true,"addresses":["127.0.0.1","::1"],"capture":true,"permitted":true,"problem":null}"#
        );
        let not_permitted = json(&some()[0]);
        assert!(
            not_permitted.contains(r#""capture":false,"permitted":false"#),
            "{not_permitted}"
        );
    }
}
