//! What the demo says while it runs: a bar on a terminal, a line every tenth of the way elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Lines written on the way where there is no terminal.
const STEPS: usize = 10;

const STYLE: &str = "{bar:40} {percent:>3} %  {pos}/{len} tasks {msg}  {elapsed}";

/// The progress of one run.
#[derive(Debug)]
pub(crate) struct Progress {
    /// What happens to the tasks.
    verb: &'static str,
    total: usize,
    bar: Option<ProgressBar>,
    /// How many of the [`STEPS`] have been said.
    step: usize,
}

impl Progress {
    /// Nothing has happened to `total` tasks.
    pub(crate) fn new(verb: &'static str, total: usize) -> Self {
        let bar = io::stdout().is_terminal().then(|| bar(verb, total));
        Self { verb, total, bar, step: 0 }
    }

    /// It has happened to so many.
    pub(crate) fn show(&mut self, done: usize) {
        let Self { verb, total, .. } = *self;
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            return;
        }
        let step = done * STEPS / total.max(1);
        if self.step < step {
            self.step = step;
            self.say(&format!("{:>3} %  {done}/{total} tasks {verb}", step * 100 / STEPS));
        }
    }

    /// Says a line without disturbing the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Writes a line to standard output.
pub(crate) fn say(line: &str) {
    // A reader that has gone away misses the words, and the exit code still counts.
    drop(writeln!(io::stdout(), "{line}"));
}

fn bar(verb: &'static str, total: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stdout())
        .with_message(verb);
    match ProgressStyle::with_template(STYLE) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
