//! tmp
use super::*;
/// t
pub struct Report;
impl Report {
    /// t
    pub fn new(_: Style) -> Self {
        Report
    }
}
impl View for Report {
    fn begin(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
    fn step(&mut self, _: &mut Vec<u8>, _: &Conversation, _: &Step<'_>) {}
    fn late_messages(&mut self, _: &mut Vec<u8>, _: &Conversation, _: &[Message<'_>]) {}
    fn end(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
    fn resume(&mut self, _: &mut Vec<u8>, _: &Conversation) {}
}
