//! One position in a distributed trace, as W3C Trace Context writes it.
//!
//! It parses strictly: whatever is not exactly right is no context at all, and the caller starts a
//! new trace. It knows no span, subscriber or transport.

mod tracestate;

use std::num::{NonZeroU64, NonZeroU128};

/// The flags this crate understands and therefore passes on; the others must be cleared.
const KNOWN_FLAGS: u8 = SAMPLED | RANDOM_TRACE_ID;
const SAMPLED: u8 = 0x01;
const RANDOM_TRACE_ID: u8 = 0x02;

/// How long a `traceparent` is.
const TRACEPARENT_BYTES: usize = 55;

/// How many hexadecimal digits make 64 bits.
const WORD_DIGITS: usize = 16;

/// The trace a piece of work belongs to, and the span in it that caused the work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    pub(crate) trace_id: NonZeroU128,
    pub(crate) span_id: NonZeroU64,
    pub(crate) flags: u8,
    /// As received, if it is valid and short enough; otherwise empty.
    tracestate: String,
}

impl TraceContext {
    /// Reads the two W3C headers; `None` if `traceparent` is not exactly right.
    ///
    /// A bad `tracestate` costs only itself, as the specification asks: it is dropped and the
    /// trace goes on.
    pub fn parse(traceparent: &str, tracestate: &str) -> Option<Self> {
        let (version, rest) = split_hex::<2>(traceparent)?;
        let (trace_id, rest) = split_hex::<32>(rest.strip_prefix('-')?)?;
        let (span_id, rest) = split_hex::<16>(rest.strip_prefix('-')?)?;
        let (flags, rest) = split_hex::<2>(rest.strip_prefix('-')?)?;
        // A later version may append fields, but only behind another dash. 0xff is no version.
        let ends_well = rest.is_empty() || (version != 0 && rest.starts_with('-'));
        if version == 0xff || !ends_well {
            return None;
        }
        Some(Self {
            trace_id: NonZeroU128::new(trace_id)?,
            span_id: NonZeroU64::new(u64::try_from(span_id).ok()?)?,
            flags: u8::try_from(flags).ok()? & KNOWN_FLAGS,
            tracestate: tracestate::checked(tracestate).to_owned(),
        })
    }

    /// The start of a new trace, sampled.
    pub fn generate() -> Self {
        Self {
            trace_id: NonZeroU128::new(fastrand::u128(..)).unwrap_or(NonZeroU128::MIN),
            span_id: fresh_span_id(),
            flags: SAMPLED | RANDOM_TRACE_ID,
            tracestate: String::new(),
        }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: fresh_span_id(), ..self.clone() }
    }

    /// What the standard environment variables `TRACEPARENT` and `TRACESTATE` hold.
    ///
    /// A program run by a worker finds its task's context there.
    pub fn from_environment() -> Option<Self> {
        let traceparent = std::env::var("TRACEPARENT").ok()?;
        Self::parse(&traceparent, &std::env::var("TRACESTATE").unwrap_or_default())
    }

    pub(crate) fn from_parts(
        trace_id: NonZeroU128,
        span_id: NonZeroU64,
        flags: u8,
        tracestate: &str,
    ) -> Self {
        let tracestate = tracestate::checked(tracestate).to_owned();
        Self { trace_id, span_id, flags: flags & KNOWN_FLAGS, tracestate }
    }

    /// The trace id: 32 lower-case hexadecimal digits.
    pub fn trace_id(&self) -> String {
        Digits::default().hex(&self.trace_id.get().to_be_bytes()).text()
    }

    /// The span id: 16 lower-case hexadecimal digits.
    pub fn span_id(&self) -> String {
        Digits::default().hex(&self.span_id.get().to_be_bytes()).text()
    }

    /// Whether the caller records this trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The `traceparent` header.
    pub fn traceparent(&self) -> String {
        let ids = Digits(Vec::with_capacity(TRACEPARENT_BYTES)).hex(&[0]).dash();
        let ids = ids.hex(&self.trace_id.get().to_be_bytes()).dash();
        ids.hex(&self.span_id.get().to_be_bytes()).dash().hex(&[self.flags]).text()
    }

    /// The `tracestate` header; empty if there is none. At most 512 bytes.
    pub fn tracestate(&self) -> &str {
        &self.tracestate
    }
}

fn fresh_span_id() -> NonZeroU64 {
    NonZeroU64::new(fastrand::u64(..)).unwrap_or(NonZeroU64::MIN)
}

/// Text of lower-case hexadecimal digits. Every task has its ids written and read, and what writes and reads any number takes
/// several times as long.
#[derive(Default)]
struct Digits(Vec<u8>);

impl Digits {
    fn hex(mut self, bytes: &[u8]) -> Self {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
        self.0.reserve(2 * bytes.len());
        for byte in bytes {
            self.0.extend_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
        }
        self
    }

    fn dash(mut self) -> Self {
        self.0.push(b'-');
        self
    }

    fn text(self) -> String {
        String::from_utf8(self.0).unwrap_or_default()
    }
}

/// Takes `N` lower-case hexadecimal digits off the front.
fn split_hex<const N: usize>(text: &str) -> Option<(u128, &str)> {
    let (digits, rest) = text.split_at_checked(N)?;
    let (high, low) = digits.as_bytes().split_at(N.saturating_sub(WORD_DIGITS));
    Some((u128::from(word(high)?) << u64::BITS | u128::from(word(low)?), rest))
}

/// The number that at most [`WORD_DIGITS`] lower-case hexadecimal digits are.
fn word(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests;
