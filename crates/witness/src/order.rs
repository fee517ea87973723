//! What a task's payload asks for: how long to work, and how to take a request to stop.

use std::{str::FromStr, time::Duration};

use anyhow::{Context as _, bail};

/// How work takes a request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// It stops at once.
    Polite,
    /// It goes on until it is stopped.
    Stubborn,
}

/// One task's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) manners: Manners,
    /// How long the work takes.
    pub(crate) length: Duration,
}

impl FromStr for Order {
    type Err = anyhow::Error;

    /// `polite 250` or `stubborn 250`, in milliseconds.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (manners, length) = text.trim().split_once(' ').context("an order has two words")?;
        let manners = match manners {
            "polite" => Manners::Polite,
            "stubborn" => Manners::Stubborn,
            other => bail!("nobody behaves like {other:?}"),
        };
        let length = length.parse().context("an order ends with milliseconds")?;
        Ok(Self { manners, length: Duration::from_millis(length) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_two_words() {
        let order = |manners, length| Order { manners, length: Duration::from_millis(length) };
        let good = [
            ("polite 250", order(Manners::Polite, 250)),
            ("stubborn 0\n", order(Manners::Stubborn, 0)),
        ];
        for (text, expected) in good {
            assert_eq!(text.parse::<Order>().ok(), Some(expected), "{text:?}");
        }
        for text in ["", "polite", "rude 5", "polite five", "polite -1", "polite 1 2"] {
            assert!(text.parse::<Order>().is_err(), "{text:?}");
        }
    }
}
