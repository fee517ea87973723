//! Plans as text: one JSON value a line, so that a fault or a wish can be taken out by hand and a difference be read.
//!
//! A seed means another plan as soon as anything is drawn differently. What was stored stays what it was.

use std::time::Duration;

use leasehold_queue::{Exclusivity, Guarantee, LeaseTerms};
use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    moment::Micros,
    plan::{Plan, Setting, Wish},
};

/// A plan, and what it once broke.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What was broken, in words.
    pub story: String,
    /// The plan.
    pub plan: Plan,
}

/// Why a text is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// A line is not one of a plan's.
    #[error("line {0} is no line of a plan")]
    Line(usize, #[source] serde_json::Error),
    /// Nothing says what the cluster is.
    #[error("a plan needs a line with its setting")]
    NoSetting,
}

/// One line of the text.
#[derive(Debug, Deserialize, Serialize)]
enum Line {
    Story(String),
    Seed(u64),
    Setting(Box<Setting>),
    Fault(Fault),
    Wish(Micros, Wish),
}

impl Stored {
    /// The plan of a text. Faults and wishes may be in any order.
    pub fn of(text: &str) -> Result<Self, Malformed> {
        let (mut story, mut seed, mut setting) = (String::new(), 0, None);
        let (mut faults, mut wishes) = (Vec::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            match serde_json::from_str(line).map_err(|error| Malformed::Line(number, error))? {
                Line::Story(it) => story = it,
                Line::Seed(it) => seed = it,
                Line::Setting(it) => setting = Some(*it),
                Line::Fault(it) => faults.push(it),
                Line::Wish(at, it) => wishes.push((at, it)),
            }
        }
        faults.sort_by_key(|fault| fault.at);
        wishes.sort_by_key(|(at, _)| *at);
        let setting = setting.ok_or(Malformed::NoSetting)?;
        Ok(Self { story, plan: Plan { seed, setting, faults, wishes } })
    }

    /// The text of the plan, line by line.
    pub fn lines(self) -> Result<Vec<String>, serde_json::Error> {
        let Plan { seed, setting, faults, wishes } = self.plan;
        let setting = Line::Setting(Box::new(setting));
        let mut lines = vec![Line::Story(self.story), Line::Seed(seed), setting];
        lines.extend(faults.into_iter().map(Line::Fault));
        lines.extend(wishes.into_iter().map(|(at, wish)| Line::Wish(at, wish)));
        lines.iter().map(serde_json::to_string).collect()
    }
}

/// What a task asks of its leases, as text: the core knows no format.
#[derive(Deserialize, Serialize)]
#[serde(remote = "LeaseTerms")]
pub(crate) struct Terms {
    #[serde(with = "HowOften")]
    guarantee: Guarantee,
    #[serde(with = "HowAlone")]
    exclusivity: Exclusivity,
    queue_timeout: Option<Duration>,
    progress_timeout: Option<Duration>,
}

/// Whether nothing has to be said of them.
pub(crate) fn asks_nothing(terms: &LeaseTerms) -> bool {
    *terms == LeaseTerms::default()
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "Guarantee")]
enum HowOften {
    AtLeastOnce,
    AtMostOnce,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "Exclusivity")]
enum HowAlone {
    Strict,
    BestEffort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_the_plan() {
        for seed in 0..200 {
            let stored = Stored { story: format!("seed {seed}"), plan: Plan::of(seed) };
            let lines = stored.clone().lines().unwrap_or_default();
            let read = Stored::of(&lines.join("\n"));
            let plan = read.map(|read| format!("{read:?}"));
            assert_eq!(plan.ok(), Some(format!("{stored:?}")), "{lines:#?}");
        }
    }

    #[test]
    fn what_is_no_plan_says_where() {
        let check = |text: &str, expected: &str| {
            let refused = Stored::of(text).map_err(|malformed| malformed.to_string());
            assert_eq!(refused.map(|_| ()), Err(expected.to_owned()));
        };
        check("{\"Seed\":7}", "a plan needs a line with its setting");
        check("{\"Seed\":7}\n\n", "line 2 is no line of a plan");
        check("{\"Seed\":7}\n{\"Fault\":{\"at\":1}}", "line 2 is no line of a plan");
    }
}
