//! An instructor's rubric: what each check is worth, what is switched off, what students are not shown.
//!
//! ```toml
//! total  = 20                               # refused unless the points add up to this
//! off    = ["ex2", "ex3/random-gap"]        # exercises or checks: not reported, not counted
//! hidden = ["ex8/many-clients"]             # counted, not shown to students
//!
//! [points]
//! "ex6/arithmetic" = 3
//! "ex3/lost-reply" = 0.5                    # a robustness check that counts
//! ex8 = 6                                   # its required checks make 6 together
//! ```
//!
//! Pure: a text and the scenarios make a [`Rubric`], or a mistake with its place. A rubric says of every single check
//! what it is worth, whatever the scenarios of another day say, so that results which keep it come to the same points
//! again. It is applied while verdicts are settled (see [`crate::results::Run::verdicts`]): a check that is off is dropped last,
//! when it has told those that need it how it went. Nothing is left unplayed for a rubric: another one may count it.

use crate::diagnostic::{Mistake, Source};
use crate::judge::{Status, Verdict};
use crate::lab::{self, ADVICE, CHECKS, Exercise, Kind};
use crate::report::text::points as shown;
use crate::scenario::{CheckBlock, Library};
use crate::text::visible;
use miette::{Result, miette};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Nothing is worth more.
const MOST: f64 = 1000.0;

/// Sums that differ by less are the same: thirds do not add up in binary.
const SAME: f64 = 1e-6;

/// What the file may hold.
const KEYS: [&str; 4] = ["total", "off", "hidden", "points"];

/// What each check is worth, what is off and what is hidden; exercises are resolved to the ids of their checks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rubric {
    /// The worth of every check that is not off.
    pub points: BTreeMap<String, f64>,
    /// Checks, and advice, that are not reported.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub off: BTreeSet<String>,
    /// Checks, and advice, that students are not shown.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hidden: BTreeSet<String>,
}

impl Rubric {
    /// Reads a rubric for the checks of a library.
    ///
    /// # Errors
    /// When the file cannot be read, or with its first mistake.
    pub fn read(path: &Path, library: &Library) -> Result<Self> {
        let source = Source::read(path).map_err(|error| {
            miette!(
                help = "a rubric is a TOML file such as: [points] \"ex6/arithmetic\" = 3",
                "{error}"
            )
        })?;
        Self::parse(&source, library).map_err(|mistake| miette::Report::new(*mistake))
    }

    /// The rubric in a text.
    ///
    /// # Errors
    /// Its first mistake, with the place and what to write instead.
    pub fn parse(source: &Source, library: &Library) -> Checked<Self> {
        let table = DeTable::parse(&source.text).map_err(|error| syntax_error(source, &error))?;
        let reader = Reader { source, library };
        reader.rubric(table.get_ref())
    }

    /// What a check is worth: by the rubric, or as its scenario says.
    pub fn worth(&self, check: &CheckBlock) -> f64 {
        self.points.get(&check.id).copied().unwrap_or(check.points)
    }

    /// Gives verdicts that were not settled yet the points of the rubric, in proportion to what was earned. What was left
    /// out of the sum stays so.
    pub fn weigh(&self, verdicts: &mut [Verdict]) {
        for verdict in verdicts {
            let Some(worth) = self.points.get(&verdict.id).copied() else {
                continue;
            };
            (verdict.points, verdict.max_points) = if verdict.max_points > 0.0 {
                (verdict.points / verdict.max_points * worth, worth)
            } else {
                match verdict.status {
                    Status::Pass => (worth, worth),
                    Status::Fail => (0.0, worth),
                    Status::NotRun | Status::Inconclusive => (0.0, 0.0),
                }
            };
        }
    }

    /// Settled verdicts without those that are off, the hidden ones marked.
    pub fn trim(&self, mut verdicts: Vec<Verdict>) -> Vec<Verdict> {
        verdicts.retain(|verdict| !self.off.contains(&verdict.id));
        // Experiments stand beside the answers of ex7, and say nothing by themselves.
        let ex7 = Exercise::Ex7.id();
        let mut answers = CHECKS.iter().filter(|(id, _)| belongs(id, ex7));
        if answers.all(|(id, _)| self.off.contains(*id)) {
            verdicts.retain(|verdict| verdict.kind != Kind::Experiment);
        }
        for verdict in &mut verdicts {
            verdict.hidden = self.hidden.contains(&verdict.id);
        }
        verdicts
    }

    /// What everything is worth together.
    pub fn total(&self) -> f64 {
        sum(self.points.values().copied())
    }
}

/// Points of a sum without the noise of binary fractions.
pub fn sum(points: impl Iterator<Item = f64>) -> f64 {
    // A sum of nothing is -0.0.
    let sum = points.sum::<f64>() + 0.0;
    let rounded = (sum * 1e9).round() / 1e9;
    if rounded.is_finite() { rounded } else { sum }
}

type Checked<T> = std::result::Result<T, Box<Mistake>>;

type Place = Range<usize>;

fn syntax_error(source: &Source, error: &toml::de::Error) -> Box<Mistake> {
    let span = error.span().unwrap_or(0..0);
    let line = source.text.get(span.start..).unwrap_or_default();
    let line = line.lines().next().unwrap_or_default();
    let message = error.message();
    let help = if line.starts_with('/') {
        "write an id with a slash in quotes: \"ex6/arithmetic\" = 3"
    } else if message.contains("duplicate key") {
        "keep one of the two"
    } else {
        "lines read total = 20, off = [\"ex2\", \"ex3/random-gap\"], [points], \"ex6/arithmetic\" = 3"
    };
    source.mistake(
        (span.start, span.len()),
        visible(message.lines().next().unwrap_or("this is not TOML")),
        "here",
        help.to_owned(),
    )
}

/// Something that is named, with every check it stands for.
struct Named {
    text: String,
    span: Place,
    ids: BTreeSet<String>,
}

impl Named {
    fn is_exercise(&self) -> bool {
        !self.text.contains('/')
    }

    fn meets(&self, other: &Named) -> bool {
        !self.ids.is_disjoint(&other.ids)
    }
}

struct Reader<'a> {
    source: &'a Source,
    library: &'a Library,
}

impl Reader<'_> {
    fn rubric(&self, table: &DeTable<'_>) -> Checked<Rubric> {
        let mut total = None;
        let (mut off, mut hidden) = (Vec::new(), Vec::new());
        let mut points = Vec::new();
        for (key, value) in in_order(table) {
            match key.get_ref().as_ref() {
                "total" => total = Some((self.number(value)?, value.span())),
                "off" => off = self.list(value)?,
                "hidden" => hidden = self.list(value)?,
                "points" => points = self.points(value)?,
                other => return Err(self.unknown_key(other, key.span())),
            }
        }
        let is_off: BTreeSet<String> = all_ids(&off);
        for named in hidden.iter().chain(points.iter().map(|(named, _)| named)) {
            if named.ids.is_subset(&is_off) {
                return Err(self.wrong(
                    &named.span,
                    format!("`{}` is switched off", named.text),
                    "leave it out here, or take it out of `off`".to_owned(),
                ));
            }
        }
        let points = self.worths(&points, &is_off)?;
        let rubric = Rubric {
            points,
            off: is_off,
            hidden: all_ids(&hidden),
        };
        if let Some((wanted, span)) = total
            && (rubric.total() - wanted).abs() > SAME
        {
            return Err(self.wrong(
                &span,
                format!(
                    "the points add up to {}, not to {}",
                    shown(rubric.total()),
                    shown(wanted)
                ),
                format!(
                    "{}; change the points, or write total = {}",
                    sums(&rubric),
                    shown(rubric.total())
                ),
            ));
        }
        Ok(rubric)
    }

    fn unknown_key(&self, key: &str, span: Place) -> Box<Mistake> {
        let help = if self.ids_of(key).is_some() {
            format!("points stand below a line [points]: \"{key}\" = 3")
        } else {
            match lab::nearest(key, KEYS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", KEYS.join(", ")),
            }
        };
        let message = format!("a rubric has no `{}`", visible(key));
        self.wrong(&span, message, help)
    }

    /// The checks, and the advice, that an id stands for.
    fn ids_of(&self, text: &str) -> Option<BTreeSet<String>> {
        let all = || {
            let checks = CHECKS.iter().map(|(id, _)| *id);
            checks.chain(ADVICE.iter().copied())
        };
        let ids: BTreeSet<String> = if text.parse::<Exercise>().is_ok() {
            all()
                .filter(|id| belongs(id, text))
                .map(str::to_owned)
                .collect()
        } else {
            all().filter(|id| *id == text).map(str::to_owned).collect()
        };
        (!ids.is_empty()).then_some(ids)
    }

    fn named(&self, text: &str, span: Place) -> Checked<Named> {
        if let Some(ids) = self.ids_of(text) {
            return Ok(Named {
                text: text.to_owned(),
                span,
                ids,
            });
        }
        let known = CHECKS.iter().map(|(id, _)| *id);
        let known = known.chain(ADVICE.iter().copied());
        let known = known.chain(Exercise::ALL.iter().map(|exercise| exercise.id()));
        let help = match lab::nearest(text, known) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "exercises are ex1 to ex8; `harness list` shows all checks".to_owned(),
        };
        let what = if text.contains('/') {
            "check"
        } else {
            "exercise"
        };
        let message = format!("the lab has no {what} `{}`", visible(text));
        Err(self.wrong(&span, message, help))
    }

    fn list(&self, value: &Spanned<DeValue<'_>>) -> Checked<Vec<Named>> {
        let Some(items) = value.get_ref().as_array() else {
            return Err(self.wrong(
                &value.span(),
                "this is no list of exercises and checks",
                "write a list of texts: [\"ex2\", \"ex3/random-gap\"]".to_owned(),
            ));
        };
        let mut list: Vec<Named> = Vec::new();
        for item in items {
            let Some(text) = item.get_ref().as_str() else {
                return Err(self.wrong(
                    &item.span(),
                    "this is no exercise and no check",
                    "write an id in quotes, such as \"ex2\" or \"ex3/random-gap\"".to_owned(),
                ));
            };
            let named = self.named(text, item.span())?;
            if let Some(other) = list.iter().find(|other| other.meets(&named)) {
                return Err(self.wrong(
                    &named.span,
                    if other.text == named.text {
                        format!("`{}` is named twice", named.text)
                    } else {
                        format!(
                            "`{}` is named twice: with `{}` as well",
                            named.text, other.text
                        )
                    },
                    "keep one of the two".to_owned(),
                ));
            }
            list.push(named);
        }
        Ok(list)
    }

    fn points(&self, value: &Spanned<DeValue<'_>>) -> Checked<Vec<(Named, f64)>> {
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.wrong(
                &value.span(),
                "these are no points",
                "write a line [points], and below it lines such as \"ex6/arithmetic\" = 3"
                    .to_owned(),
            ));
        };
        let mut points: Vec<(Named, f64)> = Vec::new();
        for (key, value) in in_order(table) {
            let named = self.named(key.get_ref(), key.span())?;
            if let Some(inner) = value.get_ref().as_table() {
                let inner = inner
                    .keys()
                    .next()
                    .map_or("arithmetic", |key| key.get_ref());
                let help = format!(
                    "write an id in quotes: \"{}/{}\" = 3",
                    named.text,
                    visible(inner)
                );
                return Err(self.wrong(&named.span, "these are no points", help));
            }
            if let Some((other, _)) = points.iter().find(|(other, _)| other.meets(&named)) {
                let exercise = if named.is_exercise() { &named } else { other };
                return Err(self.wrong(
                    &named.span,
                    format!("both `{}` and `{}` have points", other.text, named.text),
                    format!(
                        "an exercise's points are shared out among its checks: give points to `{}`, or to its checks one by one",
                        exercise.text
                    ),
                ));
            }
            let number = self.number(value)?;
            points.push((named, number));
        }
        Ok(points)
    }

    fn number(&self, value: &Spanned<DeValue<'_>>) -> Checked<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_or(f64::INFINITY, |integer| integer as f64),
            DeValue::Float(float) => float.as_str().parse().unwrap_or(f64::NAN),
            other => {
                let help = match other.as_str().map(str::parse::<f64>) {
                    Some(Ok(_)) => "write the number without quotes".to_owned(),
                    _ => "write a number, such as 2 or 0.5".to_owned(),
                };
                return Err(self.wrong(&value.span(), "this is no number", help));
            }
        };
        if (0.0..=MOST).contains(&number) {
            // Never minus nothing.
            return Ok(number + 0.0);
        }
        let help = match number < 0.0 {
            true => "what must not be counted stands in `off`; nothing costs points".to_owned(),
            false => "write a number in that range, such as 2 or 0.5".to_owned(),
        };
        let message = format!("points are a number from 0 to {MOST}");
        Err(self.wrong(&value.span(), message, help))
    }

    /// What every check of the library is worth that is not off.
    fn worths(
        &self,
        points: &[(Named, f64)],
        off: &BTreeSet<String>,
    ) -> Checked<BTreeMap<String, f64>> {
        let blocks = || {
            let scenarios = self.library.scenarios.iter();
            scenarios
                .flat_map(|scenario| &scenario.checks)
                .filter(|block| matches!(block.kind, Kind::Required | Kind::Robustness))
                .filter(|block| !off.contains(&block.id))
        };
        let mut worths: BTreeMap<String, f64> = blocks()
            .map(|block| (block.id.clone(), block.points))
            .collect();
        for (named, number) in points {
            if named.is_exercise() {
                let required = || {
                    blocks().filter(|block| {
                        block.kind == Kind::Required && belongs(&block.id, &named.text)
                    })
                };
                let sum: f64 = required().map(|block| block.points).sum();
                if sum <= 0.0 {
                    return Err(self.wrong(
                        &named.span,
                        format!("nothing that counts is tried of `{}`", named.text),
                        "leave it out, or give points to its checks one by one; `harness list` shows what can be tried"
                            .to_owned(),
                    ));
                }
                for block in required() {
                    worths.insert(block.id.clone(), block.points * number / sum);
                }
            } else if ADVICE.contains(&named.text.as_str()) {
                return Err(self.wrong(
                    &named.span,
                    format!(
                        "`{}` is advice and no check: it can be worth nothing",
                        named.text
                    ),
                    "leave it out".to_owned(),
                ));
            } else if let Some(worth) = worths.get_mut(&named.text) {
                *worth = *number;
            } else {
                return Err(self.wrong(
                    &named.span,
                    format!(
                        "`{}` is in no scenario: nobody could earn these points",
                        named.text
                    ),
                    "leave it out; `harness list` shows what can be tried".to_owned(),
                ));
            }
        }
        Ok(worths)
    }

    fn wrong(&self, span: &Place, message: impl Into<String>, help: String) -> Box<Mistake> {
        self.source
            .mistake((span.start, span.len()), message, "here", help)
    }
}

/// The lines of a table in the order of the file.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(
    &'t Spanned<std::borrow::Cow<'i, str>>,
    &'t Spanned<DeValue<'i>>,
)> {
    let mut lines: Vec<_> = table.iter().collect();
    lines.sort_by_key(|(key, _)| key.span().start);
    lines
}

fn all_ids(list: &[Named]) -> BTreeSet<String> {
    list.iter().flat_map(|named| named.ids.clone()).collect()
}

fn belongs(id: &str, exercise: &str) -> bool {
    id.split('/').next() == Some(exercise)
}

/// What each exercise is worth, in words.
fn sums(rubric: &Rubric) -> String {
    let of = |exercise: &Exercise| {
        let checks = rubric.points.iter();
        let mut checks = checks
            .filter(|(id, _)| belongs(id, exercise.id()))
            .peekable();
        checks.peek()?;
        let sum = sum(checks.map(|(_, points)| *points));
        Some(format!("{exercise} {}", shown(sum)))
    };
    let sums: Vec<String> = Exercise::ALL.iter().filter_map(of).collect();
    sums.join(", ")
}

#[cfg(test)]
mod tests;
