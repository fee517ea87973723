//! Numbers as JSON has them: decimal, exact, of any size. `1`, `1.0` and `10e-1` are one number.

use std::{cmp::Ordering, fmt};

/// How many digits a number may have, and how large its exponent may be: beyond any number that means something.
const DIGITS_MAX: usize = 1_000;

/// A number: the digits times ten to the exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    sign: Sign,
    /// Without zeros at either end; none at all for zero, whose sign and exponent are those of 0.
    digits: String,
    exponent: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

impl Number {
    /// Reads what is a number in JSON. None: it is too long, or its exponent too large.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (sign, text) = match text.strip_prefix('-') {
            Some(rest) => (Sign::Minus, rest),
            None => (Sign::Plus, text),
        };
        let (decimal, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        if DIGITS_MAX < whole.len() + fraction.len() {
            return None;
        }
        let exponent: i64 = exponent.parse().ok()?;
        let limit = i64::try_from(DIGITS_MAX).ok()?;
        if !(-limit..=limit).contains(&exponent) {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self::zero());
        }
        let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
        let places = i64::try_from(fraction.len()).ok()?;
        Some(Self { sign, digits: significant.to_owned(), exponent: exponent - places + zeros })
    }

    /// Nothing.
    pub(super) fn zero() -> Self {
        Self { sign: Sign::Plus, digits: String::new(), exponent: 0 }
    }

    /// One.
    pub(super) fn one() -> Self {
        Self { sign: Sign::Plus, digits: "1".to_owned(), exponent: 0 }
    }

    /// Whether it has no fraction.
    pub(super) fn is_whole(&self) -> bool {
        0 <= self.exponent
    }

    /// Whether it is less than zero.
    pub(super) fn is_negative(&self) -> bool {
        self.sign == Sign::Minus
    }

    /// Whether it is a whole number of times the other one. None: they are too far apart to be divided here.
    pub(super) fn is_multiple_of(&self, other: &Self) -> Option<bool> {
        let common = self.exponent.min(other.exponent);
        let (own, other) = (self.units(common)?, other.units(common)?);
        (other != 0).then(|| own % other == 0)
    }

    /// Its size in units of ten to the exponent.
    fn units(&self, exponent: i64) -> Option<u128> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let digits: u128 = self.digits.parse().ok()?;
        let zeros = u32::try_from(self.exponent - exponent).ok()?;
        digits.checked_mul(10u128.checked_pow(zeros)?)
    }

    /// Where its first digit stands.
    fn magnitude(&self) -> i64 {
        self.exponent + i64::try_from(self.digits.len()).unwrap_or(i64::MAX)
    }

    /// How the sizes compare, signs aside. Neither is zero.
    fn compare_sizes(&self, other: &Self) -> Ordering {
        // Digits begin at the same place and end in no zero: their texts compare as they do.
        self.magnitude().cmp(&other.magnitude()).then_with(|| self.digits.cmp(&other.digits))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |it: &Self| match it.sign {
            _ if it.digits.is_empty() => 0,
            Sign::Plus => 1,
            Sign::Minus => -1,
        };
        rank(self).cmp(&rank(other)).then_with(|| match self.sign {
            _ if self.digits.is_empty() => Ordering::Equal,
            Sign::Plus => self.compare_sizes(other),
            Sign::Minus => other.compare_sizes(self),
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The canonical text: the digits, and behind an `e` the exponent if it is not 0.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        write!(f, "{sign}{digits}")?;
        if self.exponent == 0 { Ok(()) } else { write!(f, "e{}", self.exponent) }
    }
}

#[cfg(test)]
mod tests;
