//! What a datagram means for its conversation: requests and replies, paired (RFC 768 itself knows neither).

use super::note::{Note, Notes};
use super::{Conversation, Direction};
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Requests that wait for a reply at most; older ones count as unanswered.
const MOST_PENDING: usize = 64;
/// When a request comes so long after the one before, the client has given that one up: a reply then belongs to the
/// newer one.
const GIVEN_UP_AFTER: i64 = 500_000_000;

/// The requests that wait for a reply.
#[derive(Debug, Default)]
pub(super) struct Udp {
    pending: VecDeque<(u64, Timestamp)>,
}

impl Udp {
    /// Takes in a datagram that goes in `direction`.
    pub(super) fn take(
        &mut self,
        info: &mut Conversation,
        direction: Direction,
        (number, time): (u64, Timestamp),
        notes: &mut Notes,
    ) {
        match direction {
            Direction::ToServer => {
                info.exchanges.requests += 1;
                if let Some(&(_, last)) = self.pending.back()
                    && time.nanos_since(last) >= GIVEN_UP_AFTER
                {
                    self.pending.clear();
                }
                if self.pending.len() == MOST_PENDING {
                    self.pending.pop_front();
                }
                self.pending.push_back((number, time));
            }
            Direction::ToClient => {
                if let Some((request, sent)) = self.pending.pop_front() {
                    info.exchanges.answered += 1;
                    let nanos = time.nanos_since(sent).max(0).unsigned_abs();
                    notes.push(Note::ReplyTo {
                        number: request,
                        nanos,
                    });
                }
            }
        }
    }
}
