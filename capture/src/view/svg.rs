//! tmp
use crate::conversation::*;
/// t
pub struct Svg;
impl Svg {
    /// t
    pub fn new(_: super::Style) -> Self {
        Svg
    }
    /// t
    pub fn into_svg(self) -> String {
        String::new()
    }
}
impl Sink for Svg {
    fn step(&mut self, _: &Conversation, _: &Step<'_>) {}
    fn late_messages(&mut self, _: &Conversation, _: &[Message<'_>]) {}
    fn retired(&mut self, _: &Conversation) {}
}
