//! tmp
use crate::conversation::*;
/// t
#[derive(Default)]
pub struct Totals {
    n: u64,
}
impl Totals {
    /// t
    pub fn conversations(&self) -> u64 {
        self.n
    }
}
impl Sink for Totals {
    fn step(&mut self, _: &Conversation, _: &Step<'_>) {}
    fn late_messages(&mut self, _: &Conversation, _: &[Message<'_>]) {}
    fn retired(&mut self, _: &Conversation) {
        self.n += 1
    }
}
