//! A live bar on stderr for waits that last, on a terminal only.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Redraws a second: smooth to the eye, nothing to the machine.
const REDRAWS_HZ: u8 = 10;

/// How often the bar moves by itself, so that a stalled wait is seen to be alive.
const TICK: Duration = Duration::from_millis(200);

/// What the bar looks like.
const TEMPLATE: &str = "{spinner} {msg} {wide_bar} {pos}/{len} {per_sec} {elapsed} left {eta}";

/// What it looks like where the end is not known.
const SPINNER_TEMPLATE: &str = "{spinner} {msg} {pos} {per_sec} {elapsed}";

/// A bar of `total` steps; one that is never drawn unless stderr is a terminal.
pub(crate) fn bar(total: u64, message: &'static str) -> ProgressBar {
    live(ProgressBar::with_draw_target(Some(total), target()), TEMPLATE, message)
}

/// The same for a number of steps that nobody knows.
pub(crate) fn spinner(message: &'static str) -> ProgressBar {
    live(ProgressBar::with_draw_target(None, target()), SPINNER_TEMPLATE, message)
}

fn live(bar: ProgressBar, template: &str, message: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bar.with_style(style).with_message(message);
    bar.enable_steady_tick(TICK);
    bar
}

fn target() -> ProgressDrawTarget {
    if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(REDRAWS_HZ)
    } else {
        ProgressDrawTarget::hidden()
    }
}
