//! The letters of the record codec: integers, texts, names, times.
//!
//! Integers are LEB128 varints. A time is written as its distance from the base time of the batch, a name that a
//! batch repeats as a number. The reader trusts nothing: every length is compared with what is left.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use leasehold_policy::Time;
use leasehold_queue::{Name, TaskId, Template, Token, Trace};

/// How many different names one batch numbers; later ones are written out each time.
const NAMES_MAX: usize = 4_096;

/// The longest name that is numbered: queue, task type and worker names are at most this long.
const NUMBERED_NAME_BYTES_MAX: usize = 128;

/// How many of them are also known by their place in memory: the workers', above all, which come again and again.
const NEAR_NAMES_MAX: usize = 8;

/// How many templates one batch numbers: those that come later are written out each time.
const TEMPLATES_MAX: usize = 32;

/// The first format whose structs can have extras.
const EXTRAS_FORMAT: u8 = 2;

/// What stands in front of a trace, or for it.
const NO_TRACE: u8 = 0;
const TRACE: u8 = 1;
const TRACE_AGAIN: u8 = 2;

/// What stands behind the last extra of a struct.
const NO_EXTRA: u8 = 0;

/// Why bytes are not what a [`Pen`] wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("the bytes end within a {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// A number is larger than it can be.
    #[error("a {what} is out of range")]
    OutOfRange {
        /// What was being read.
        what: &'static str,
    },
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A kind that this version does not know.
    #[error("unknown {what} {kind}")]
    UnknownKind {
        /// What was being read.
        what: &'static str,
        /// Its number.
        kind: u8,
    },
    /// The batch has another format.
    #[error("format {found}, but this version reads formats up to {known}")]
    UnknownFormat {
        /// The format of the batch.
        found: u8,
        /// The newest one this version reads.
        known: u8,
    },
}

/// Writes.
#[derive(Debug, Default)]
pub(super) struct Pen {
    bytes: Vec<u8>,
    base: u64,
    names: BTreeMap<Name, u64>,
    /// Some of them, with their numbers.
    near: Vec<(Name, u64)>,
    templates: Vec<Arc<Template>>,
    /// The last one that was written.
    trace: Option<Arc<Trace>>,
    /// Where the latest blob is that is to be filled in.
    gap: Option<Range<usize>>,
}

impl Pen {
    pub(super) fn new(base: Time) -> Self {
        Self { base: base.unix_ms(), ..Self::default() }
    }

    /// Makes room: what grows step by step is copied at each.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    #[expect(clippy::fn_params_excessive_bools, reason = "a flag is what is written")]
    pub(super) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub(super) fn integer(&mut self, value: impl Into<u64>) {
        let mut rest: u64 = value.into();
        while rest > 0x7f {
            self.byte((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.byte((rest & 0x7f) as u8);
    }

    pub(super) fn blob(&mut self, blob: &[u8]) {
        self.integer(blob.len() as u64);
        self.raw(blob);
    }

    /// Room for a blob of `len` bytes that somebody else has.
    pub(super) fn gap(&mut self, len: usize) {
        self.integer(len as u64);
        let gap = self.bytes.len()..self.bytes.len() + len;
        self.bytes.resize(gap.end, 0);
        self.gap = Some(gap);
    }

    /// Where the blob is that is to be filled in, if there was one since the last call.
    pub(super) const fn take_gap(&mut self) -> Option<Range<usize>> {
        self.gap.take()
    }

    pub(super) fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    /// A name that is likely to come again: 0 and the text the first time, its number from then on.
    pub(super) fn name(&mut self, name: &Name) {
        let near = self.near.iter().find(|(other, _)| Arc::ptr_eq(other, name));
        if let Some((_, number)) = near {
            return self.integer(*number);
        }
        if let Some(number) = self.names.get(name).copied() {
            if NEAR_NAMES_MAX <= self.near.len() {
                self.near.clear();
            }
            self.near.push((Arc::clone(name), number));
            return self.integer(number);
        }
        self.integer(0_u64);
        self.text(name);
        if self.names.len() < NAMES_MAX && name.len() <= NUMBERED_NAME_BYTES_MAX {
            self.names.insert(Arc::clone(name), self.names.len() as u64 + 1);
        }
    }

    /// What tasks have in common: 0 and all of it the first time, its number from then on. Those that share it are known by
    /// its place in memory.
    pub(super) fn template(&mut self, template: &Arc<Template>) {
        let at = self.templates.iter().rposition(|it| Arc::ptr_eq(it, template));
        if let Some(at) = at {
            return self.integer(at as u64 + 1);
        }
        self.integer(0_u64);
        if self.templates.len() < TEMPLATES_MAX {
            self.templates.push(Arc::clone(template));
        }
        self.whole_template(template);
    }

    /// Tasks that were submitted together mostly have the trace of the one before.
    pub(super) fn trace(&mut self, trace: Option<&Arc<Trace>>) {
        let Some(trace) = trace else { return self.byte(NO_TRACE) };
        // What is shared is equal: its text is not looked at.
        if self.trace.as_ref() == Some(trace) {
            return self.byte(TRACE_AGAIN);
        }
        self.byte(TRACE);
        self.text(&trace.parent);
        self.text(&trace.state);
        self.trace = Some(Arc::clone(trace));
    }

    pub(super) fn time(&mut self, time: Time) {
        let distance = time.unix_ms().wrapping_sub(self.base).cast_signed();
        self.integer((distance << 1 ^ distance >> 63).cast_unsigned());
    }

    pub(super) fn duration(&mut self, duration: Duration) {
        self.integer(duration.as_secs());
        self.integer(duration.subsec_nanos());
    }

    pub(super) fn task_id(&mut self, id: TaskId) {
        self.raw(&id.as_u128().to_be_bytes());
    }

    pub(super) fn token(&mut self, token: Token) {
        self.raw(&token.as_i64().to_be_bytes());
    }

    /// A field that the first format of its struct did not have, if it says something. Each struct has its own kinds,
    /// which are never used again for something else.
    pub(super) fn extra<T>(
        &mut self,
        kind: u8,
        value: Option<&T>,
        write: impl FnOnce(&mut Self, &T),
    ) {
        debug_assert!(kind != NO_EXTRA, "an extra has a kind");
        if let Some(value) = value {
            self.byte(kind);
            write(self, value);
        }
    }

    /// Ends the extras of a struct.
    pub(super) fn end_extras(&mut self) {
        self.byte(NO_EXTRA);
    }

    pub(super) fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Reads.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// The format of the bytes; one that is known.
    format: u8,
    base: u64,
    names: Vec<Name>,
    templates: Vec<Arc<Template>>,
    trace: Option<Arc<Trace>>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], format: u8, base: Time) -> Self {
        let (names, templates) = (Vec::new(), Vec::new());
        Self { rest: bytes, format, base: base.unix_ms(), names, templates, trace: None }
    }

    /// Whether the bytes are of this format or a later one.
    pub(super) const fn since(&self, format: u8) -> bool {
        format <= self.format
    }

    /// The next extra of a struct: the kind of a field that its first format did not have. None: there are no more.
    pub(super) fn extra(&mut self) -> Result<Option<u8>, Malformed> {
        if !self.since(EXTRAS_FORMAT) {
            return Ok(None);
        }
        Ok(Some(self.byte("extra")?).filter(|kind| *kind != NO_EXTRA))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(Malformed::Truncated { what })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], Malformed> {
        let (taken, rest) =
            self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated { what })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    pub(super) fn digest(&mut self) -> Result<[u8; 16], Malformed> {
        self.array("digest")
    }

    pub(super) fn float(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_be_bytes(self.array("number")?))
    }

    pub(super) fn flag(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::OutOfRange { what }),
        }
    }

    pub(super) fn integer(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed::OutOfRange { what });
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::OutOfRange { what })
    }

    pub(super) fn small(&mut self, what: &'static str) -> Result<u32, Malformed> {
        u32::try_from(self.integer(what)?).map_err(|_| Malformed::OutOfRange { what })
    }

    /// A count of things that take at least one byte each.
    pub(super) fn count(&mut self, what: &'static str) -> Result<usize, Malformed> {
        let count = self.integer(what)?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            Ok(_) | Err(_) => Err(Malformed::Truncated { what }),
        }
    }

    /// Bytes of their own, so that they do not keep the whole batch in memory.
    pub(super) fn blob(&mut self, what: &'static str) -> Result<Bytes, Malformed> {
        let count = self.count(what)?;
        Ok(Bytes::copy_from_slice(self.take(count, what)?))
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<Name, Malformed> {
        let count = self.count(what)?;
        let text = str::from_utf8(self.take(count, what)?).map_err(|_| Malformed::NotUtf8)?;
        Ok(Name::from(text))
    }

    pub(super) fn name(&mut self, what: &'static str) -> Result<Name, Malformed> {
        let number = self.integer(what)?;
        if let Some(index) = number.checked_sub(1) {
            let name = usize::try_from(index).ok().and_then(|index| self.names.get(index));
            return name.map(Arc::clone).ok_or(Malformed::OutOfRange { what });
        }
        let name = self.text(what)?;
        if self.names.len() < NAMES_MAX && name.len() <= NUMBERED_NAME_BYTES_MAX {
            self.names.push(Arc::clone(&name));
        }
        Ok(name)
    }

    pub(super) fn template(&mut self) -> Result<Arc<Template>, Malformed> {
        let number = self.integer("template")?;
        if let Some(index) = number.checked_sub(1) {
            let template = usize::try_from(index).ok().and_then(|at| self.templates.get(at));
            return template.map(Arc::clone).ok_or(Malformed::OutOfRange { what: "template" });
        }
        let template = Arc::new(self.whole_template()?);
        if self.templates.len() < TEMPLATES_MAX {
            self.templates.push(Arc::clone(&template));
        }
        Ok(template)
    }

    pub(super) fn trace(&mut self) -> Result<Option<Arc<Trace>>, Malformed> {
        let what = "trace";
        match self.byte(what)? {
            NO_TRACE => return Ok(None),
            TRACE => self.trace = Some(Arc::new(self.whole_trace()?)),
            TRACE_AGAIN if self.trace.is_some() => {}
            _ => return Err(Malformed::OutOfRange { what }),
        }
        Ok(self.trace.clone())
    }

    pub(super) fn whole_trace(&mut self) -> Result<Trace, Malformed> {
        Ok(Trace { parent: self.text("traceparent")?, state: self.text("tracestate")? })
    }

    pub(super) fn time(&mut self) -> Result<Time, Malformed> {
        let bits = self.integer("time")?;
        let distance = (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed();
        Ok(Time::from_unix_ms(self.base.wrapping_add_signed(distance)))
    }

    pub(super) fn duration(&mut self) -> Result<Duration, Malformed> {
        let (secs, nanos) = (self.integer("duration")?, self.small("duration")?);
        if nanos < 1_000_000_000 {
            Ok(Duration::new(secs, nanos))
        } else {
            Err(Malformed::OutOfRange { what: "duration" })
        }
    }

    pub(super) fn task_id(&mut self) -> Result<TaskId, Malformed> {
        Ok(TaskId::from_u128(u128::from_be_bytes(self.array("task id")?)))
    }

    pub(super) fn token(&mut self) -> Result<Token, Malformed> {
        Ok(Token::from_i64(i64::from_be_bytes(self.array("token")?)))
    }

    /// The end of the extras of a struct that has none so far.
    pub(super) fn no_extras(&mut self, what: &'static str) -> Result<(), Malformed> {
        match self.extra()? {
            None => Ok(()),
            Some(kind) => Err(Malformed::UnknownKind { what, kind }),
        }
    }

    pub(super) fn option<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.flag(what)? { read(self).map(Some) } else { Ok(None) }
    }
}
