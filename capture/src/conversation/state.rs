//! The states of a connection's two ends, as an onlooker can tell them (RFC 9293 §3.3.2).
//!
//! An onlooker sees segments, not states: an end is put into the state that it has once the segment has been
//! sent, or received by the other end. LISTEN is never seen, since no segment tells of it.

use std::fmt;

/// Where one end of a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No connection.
    #[default]
    Closed,
    /// Has sent a SYN and waits for the peer's.
    SynSent,
    /// Has received a SYN and sent its own, and waits for it to be acknowledged.
    SynReceived,
    /// Open: text may go both ways.
    Established,
    /// Has sent a FIN, which is not acknowledged yet.
    FinWait1,
    /// Its FIN is acknowledged, and it waits for the peer's.
    FinWait2,
    /// Has received the peer's FIN and may still send.
    CloseWait,
    /// Both have sent a FIN, and neither's is acknowledged.
    Closing,
    /// Has received a FIN, sent its own, and waits for it to be acknowledged.
    LastAck,
    /// Is done, and waits for late segments to die out.
    TimeWait,
}

/// What happens to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It sends a SYN.
    SendsSyn,
    /// It receives a SYN, ACK or, having sent a SYN, a SYN.
    ReceivesSyn,
    /// Its SYN is acknowledged.
    SynAcknowledged,
    /// It sends a FIN.
    SendsFin,
    /// It receives a FIN.
    ReceivesFin,
    /// Its FIN is acknowledged.
    FinAcknowledged,
    /// A RST is sent either way.
    Reset,
}

impl State {
    /// The state after something happened to this end (RFC 9293 figure 5). What does not fit changes nothing.
    #[must_use]
    pub fn after(self, happening: Happening) -> State {
        use Happening as H;
        use State as S;
        match (self, happening) {
            (_, H::Reset) => S::Closed,
            (S::Closed, H::SendsSyn) => S::SynSent,
            (S::Closed, H::ReceivesSyn) => S::SynReceived,
            (S::SynSent, H::ReceivesSyn) => S::SynReceived,
            (S::SynSent | S::SynReceived, H::SynAcknowledged) => S::Established,
            (S::SynReceived | S::Established, H::SendsFin) => S::FinWait1,
            (S::CloseWait, H::SendsFin) => S::LastAck,
            (S::SynReceived | S::Established, H::ReceivesFin) => S::CloseWait,
            (S::FinWait1, H::ReceivesFin) => S::Closing,
            (S::FinWait2, H::ReceivesFin) => S::TimeWait,
            (S::FinWait1, H::FinAcknowledged) => S::FinWait2,
            (S::Closing, H::FinAcknowledged) => S::TimeWait,
            (S::LastAck, H::FinAcknowledged) => S::Closed,
            (state, _) => state,
        }
    }

    /// Its name as the RFC spells it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Closed => "CLOSED",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::Established => "ESTABLISHED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::Closing => "CLOSING",
            State::LastAck => "LAST-ACK",
            State::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Happening as H;
    use State as S;

    #[track_caller]
    fn check(happenings: &[Happening], states: &[State]) {
        let mut state = S::Closed;
        for (happening, expected) in happenings.iter().zip(states) {
            state = state.after(*happening);
            assert_eq!(state, *expected, "after {happening:?}");
        }
    }

    #[test]
    fn the_end_that_closes_first_waits_in_time_wait() {
        check(
            &[
                H::SendsSyn,
                H::SynAcknowledged,
                H::SendsFin,
                H::FinAcknowledged,
                H::ReceivesFin,
            ],
            &[
                S::SynSent,
                S::Established,
                S::FinWait1,
                S::FinWait2,
                S::TimeWait,
            ],
        );
    }

    #[test]
    fn the_other_end_closes_with_the_last_ack() {
        check(
            &[
                H::ReceivesSyn,
                H::SynAcknowledged,
                H::ReceivesFin,
                H::SendsFin,
                H::FinAcknowledged,
            ],
            &[
                S::SynReceived,
                S::Established,
                S::CloseWait,
                S::LastAck,
                S::Closed,
            ],
        );
    }

    #[test]
    fn both_may_close_at_once() {
        check(
            &[
                H::SendsSyn,
                H::SynAcknowledged,
                H::SendsFin,
                H::ReceivesFin,
                H::FinAcknowledged,
            ],
            &[
                S::SynSent,
                S::Established,
                S::FinWait1,
                S::Closing,
                S::TimeWait,
            ],
        );
    }

    #[test]
    fn a_reset_ends_everything() {
        check(&[H::SendsSyn, H::Reset], &[S::SynSent, S::Closed]);
    }
}
