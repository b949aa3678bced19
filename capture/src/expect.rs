//! tmp
use crate::conversation::*;
/// t
#[derive(Clone, Debug)]
pub struct Expectation;
impl std::str::FromStr for Expectation {
    type Err = String;
    fn from_str(_: &str) -> Result<Self, String> {
        Ok(Expectation)
    }
}
/// t
pub struct Judge;
/// t
#[derive(Debug)]
pub struct Verdict {
    /// t
    pub text: String,
    /// t
    pub met: bool,
    /// t
    pub because: String,
}
impl Judge {
    /// t
    pub fn new(_: Vec<Expectation>) -> Self {
        Judge
    }
    /// t
    pub fn verdicts(self) -> Vec<Verdict> {
        vec![]
    }
}
impl Sink for Judge {
    fn step(&mut self, _: &Conversation, _: &Step<'_>) {}
    fn late_messages(&mut self, _: &Conversation, _: &[Message<'_>]) {}
    fn retired(&mut self, _: &Conversation) {}
}
