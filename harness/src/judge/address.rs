//! Does a client call the server by an address at which another computer could be?
//!
//! 127.0.0.0/8 is on every computer that computer itself (RFC 1122 §3.2.1.3), so a client that calls it cannot be moved
//! to another one. What goes to an address nobody here has proves nothing: it may be the one of the student's own network.

use super::expect::who;
use super::ledger::Ledger;
use super::wire::Answer;
use crate::scenario::model::SERVER;

pub(super) fn calls_by_address(actor: &str, ledger: &Ledger) -> Answer {
    let client = who(actor, ledger);
    let called: Vec<_> = ledger
        .wire
        .crossings
        .iter()
        .map(|(_, crossing)| crossing)
        .filter(|crossing| crossing.from.as_deref() == Some(actor))
        .filter(|crossing| crossing.transport().is_some())
        .collect();
    if let Some(itself) = called
        .iter()
        .find(|crossing| crossing.dst.ip().to_canonical().is_loopback())
    {
        return Answer::No(format!(
            "{client} calls {}, which is on every computer that computer itself: it never leaves its own",
            itself.dst
        ));
    }
    if called
        .iter()
        .any(|crossing| crossing.to.as_deref() == Some(SERVER))
    {
        return Answer::Yes;
    }
    if let Some(elsewhere) = called.first() {
        return Answer::Unclear(format!(
            "{client} calls {}, and there is no such computer here; if that address is written into the code, add to \
             lab.toml: address = \"{}\"",
            elsewhere.dst,
            elsewhere.dst.ip()
        ));
    }
    Answer::Unclear(format!(
        "nothing of {client} has crossed the cable; if it asks its user for the server's address, let its command take \
         {{host}} in lab.toml"
    ))
}

#[cfg(test)]
mod tests {
    use crate::event::{Actor, Crossing, CrossingKind, Event, EventKind, Octets};
    use crate::judge::Ledger;
    use crate::judge::wire::Answer;
    use crate::scenario::{Library, Scenario};
    use std::sync::Arc;

    fn scenario() -> Scenario {
        let library = Library::built_in().expect("they can be read");
        let found = library
            .scenarios
            .into_iter()
            .find(|scenario| scenario.name == "across-hosts");
        found.expect("it is built in")
    }

    #[track_caller]
    fn check(calls: &[(&str, Option<&str>)], expected: &str) {
        let mut ledger = Ledger::new(Arc::new(scenario()));
        for (dst, to) in calls {
            let crossing = Crossing {
                frame: 1,
                conversation: 0,
                from: Some("ada".to_owned()),
                to: to.map(Actor::from),
                src: ([192, 0, 2, 20], 50_000).into(),
                dst: dst.parse().expect("an address"),
                what: CrossingKind::Datagram,
                len: 2,
                payload: Octets(b"hi".to_vec()),
            };
            ledger.apply(&Event {
                at_us: 1,
                kind: EventKind::Crossed(crossing),
            });
        }
        let found = match super::calls_by_address("ada", &ledger) {
            Answer::Yes => "yes".to_owned(),
            Answer::No(because) => format!("no: {because}"),
            Answer::NotYet(because) | Answer::Unclear(because) => format!("unclear: {because}"),
        };
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn only_the_own_computer_s_address_is_wrong() {
        check(&[("192.0.2.10:20001", Some("server"))], "yes");
        check(
            &[("127.0.0.1:20001", Some("server"))],
            "no: ada's client calls 127.0.0.1:20001",
        );
        check(&[("127.0.1.1:20001", None)], "no: ");
        check(&[("10.196.3.4:20001", None)], "unclear: ");
        check(&[("10.196.3.4:20001", None)], "address = \"10.196.3.4\"");
        check(&[], "unclear: nothing");
        // It may try an old address first.
        check(
            &[
                ("10.196.3.4:20001", None),
                ("192.0.2.10:20001", Some("server")),
            ],
            "yes",
        );
    }
}
