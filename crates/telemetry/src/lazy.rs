//! Spans that begin when somebody looks: when a line is written inside one, another span begins there, or its place in the trace
//! is asked for.
//!
//! Most work that has a span of its own says nothing inside it, and to begin, enter and end one takes longer than short work does.
//! Who looks cannot tell the difference. It takes a subscriber that nothing else wants spans of: see [`LazySpan::can_wait`].

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Span, Subscriber, dispatcher};
use tracing_core::span::Current;

thread_local! {
    /// What this thread works inside of, if that has not been there from the beginning.
    static HERE: RefCell<Option<LazySpan>> = const { RefCell::new(None) };
}

/// What a span is made of that has not begun.
pub trait Unseen: Send + Sync {
    /// Begins it.
    fn begin(&self) -> Span;
}

/// A span that has begun only if somebody has looked.
pub enum LazySpan {
    /// Nobody has.
    Unseen(Arc<dyn Unseen>),
    /// Somebody has, or it could not wait.
    Begun(Span),
}

impl LazySpan {
    /// Whether spans of this thread can wait until somebody looks: where this crate's subscriber is that of the process, and no
    /// collector wants them.
    pub fn can_wait() -> bool {
        // Where a scope has a subscriber of its own, a second look inside the first finds none: no span could begin there.
        dispatcher::get_default(|_| dispatcher::get_default(Dispatch::is::<Lazily>))
    }

    /// Works inside the span.
    pub fn in_scope<T>(&mut self, work: impl FnOnce() -> T) -> T {
        match self {
            Self::Begun(span) => span.in_scope(work),
            Self::Unseen(_) if Self::can_wait() => {
                let _scope = Scope::enter(self);
                work()
            }
            Self::Unseen(unseen) => {
                let span = unseen.begin();
                let result = span.in_scope(work);
                *self = Self::Begun(span);
                result
            }
        }
    }
}

/// A thread's stay inside a span that nobody may have looked at.
struct Scope<'a> {
    span: &'a mut LazySpan,
    around: Option<LazySpan>,
}

impl<'a> Scope<'a> {
    fn enter(span: &'a mut LazySpan) -> Self {
        let own = mem::replace(span, LazySpan::Begun(Span::none()));
        Self { span, around: swap(Some(own)) }
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        let Some(own) = swap(self.around.take()) else { return };
        if let LazySpan::Begun(span) = &own {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
        *self.span = own;
    }
}

/// Puts a span in the place of the one that this thread works inside of.
fn swap(mut span: Option<LazySpan>) -> Option<LazySpan> {
    // A thread that ends has none, and what is put there comes back.
    let _ended = HERE.try_with(|here| mem::swap(&mut *here.borrow_mut(), &mut span));
    span
}

/// Somebody looks: what this thread works inside of begins, unless it has.
fn look() {
    let begun = match swap(None) {
        None => return,
        Some(LazySpan::Unseen(unseen)) => {
            let span = unseen.begin();
            span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
            LazySpan::Begun(span)
        }
        Some(begun @ LazySpan::Begun(_)) => begun,
    };
    // Nothing was put there meanwhile.
    drop(swap(Some(begun)));
}

/// A subscriber before which spans begin that wait.
pub(crate) struct Lazily(Box<dyn Subscriber + Send + Sync>);

impl Lazily {
    pub(crate) fn new(subscriber: impl Subscriber + Send + Sync) -> Self {
        Self(Box::new(subscriber))
    }

    /// A part of the subscriber.
    pub(crate) fn part<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl Subscriber for Lazily {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.0.on_register_dispatch(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What is found here is kept until the event or span is there: no other may begin in between.
        look();
        self.0.enabled(metadata)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        look();
        self.0.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.0.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        look();
        self.0.event(event);
    }

    fn enter(&self, span: &Id) {
        look();
        self.0.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.0.try_close(id)
    }

    fn current_span(&self) -> Current {
        look();
        self.0.current_span()
    }
}
