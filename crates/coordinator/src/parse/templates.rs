//! What tasks have in common, read once: a submit that says what one of the last did is given the same template.
//!
//! Most are like the one before but for their payload, so their names need not be checked and made anew. That they share one
//! template also lets the queue know at a glance what it knows of it already.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use leasehold_proto::v1;
use leasehold_queue::Template;
use prost_types::{Duration, Timestamp};

use crate::config::Config;

/// How many are remembered. Each is compared until one fits, which most do not in their first field.
pub(super) const KNOWN_MAX: usize = 8;

/// The last ones that kept every rule, newest first.
#[derive(Clone, Debug, Default)]
pub struct Templates(Arc<Mutex<VecDeque<Known>>>);

/// What a template is made from, beside the configuration.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    namespace: String,
    /// Whether it is said by when the task has to be over; when, is its own.
    pub(super) is_timed: bool,
    /// Without what is a task's own.
    pub(super) spec: Box<v1::TaskSpec>,
}

#[derive(Debug)]
struct Known {
    config: Arc<Config>,
    said: Said,
    template: Arc<Template>,
}

/// What a request says of its task alone.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) payload: Bytes,
    pub(super) initial_delay: Option<Duration>,
    pub(super) total: Option<Duration>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) labels: HashMap<String, String>,
    pub(super) trace: Option<v1::TraceContext>,
}

impl Said {
    /// Tells what tasks can have in common from what is a task's own.
    pub(super) fn of(namespace: String, mut spec: Box<v1::TaskSpec>) -> (Self, Own) {
        let own = Own {
            payload: mem::take(&mut spec.payload),
            initial_delay: spec.initial_delay.take(),
            total: spec.timeouts.as_mut().and_then(|said| said.total.take()),
            deadline: spec.timeouts.as_mut().and_then(|said| said.deadline.take()),
            labels: mem::take(&mut spec.labels),
            trace: spec.trace_context.take(),
        };
        let is_timed = own.total.is_some() || own.deadline.is_some();
        (Self { namespace, is_timed, spec }, own)
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn timeouts(&self) -> v1::Timeouts {
        self.spec.timeouts.unwrap_or_default()
    }
}

impl Templates {
    /// What was made of the same under the same configuration, if that is remembered.
    pub(super) fn find(&self, config: &Arc<Config>, said: &Said) -> Option<Arc<Template>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |it: &Known| Arc::ptr_eq(&it.config, config) && it.said == *said;
        let at = known.iter().position(fits)?;
        if 0 < at
            && let Some(found) = known.remove(at)
        {
            known.push_front(found);
        }
        known.front().map(|it| Arc::clone(&it.template))
    }

    /// Remembers what was made of it.
    pub(super) fn keep(&self, config: &Arc<Config>, said: Said, template: &Arc<Template>) {
        let (config, template) = (Arc::clone(config), Arc::clone(template));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.truncate(KNOWN_MAX - 1);
        known.push_front(Known { config, said, template });
    }
}
