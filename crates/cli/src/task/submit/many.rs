//! Submitting JSON lines: read on a thread of their own, sent on one stream, answered in order.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, BufReader},
    path::Path,
    thread,
};

use leasehold_client::{Client, Error, Receipt, StreamOptions};
use leasehold_telemetry::TraceContext;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::{SubmitArgs, Wait, blocking, open, warn_if_late};
use crate::{
    Done,
    args::Format,
    exit::Exit,
    failure::{Failure, say},
    json::LineReceiptJson,
    jsonl::{Defaults, Lines, NumberedSpec},
    output::Output,
    progress,
    task::wait,
};

/// How many parsed lines wait to be sent: enough to keep the stream busy.
const LINES_BOUND: usize = 1_024;

/// The most tasks one command waits for: their ids are kept in memory.
const WAITED_TASKS_MAX: usize = 1_000_000;

/// Submits every line of a file, or of stdin.
pub(super) async fn run(args: &SubmitArgs, path: &Path, client: &Client, output: Output) -> Done {
    let defaults = Defaults { task_type: args.task_type.clone(), spec: args.spec()? };
    let mut report = Report::new(path, output, args.wait);
    let Reader { specs, end } = read(path, defaults).await?;
    submit(client, specs, args, &mut report).await?;
    // The reader hangs up without a word only when nobody listens any more.
    if let Ok(Err(failure)) = end.await {
        failure.report();
        report.exit.get_or_insert(failure.exit());
    }
    say(&format!("{} tasks accepted, {} refused", report.accepted, report.refused));
    let Some(wait) = args.wait.filter(|_| !report.task_ids.is_empty()) else {
        return Ok(report.exit.unwrap_or(Exit::Ok));
    };
    // What was accepted runs whatever became of other lines.
    let waited = wait::run(client, output, report.task_ids, wait.timeout()).await;
    let waited = waited.unwrap_or_else(|failure| {
        failure.report();
        failure.exit()
    });
    Ok(report.exit.unwrap_or(waited))
}

/// Sends the tasks, and reports each answer with the number of the line it belongs to.
async fn submit(
    client: &Client,
    specs: mpsc::Receiver<NumberedSpec>,
    args: &SubmitArgs,
    report: &mut Report,
) -> Result<(), Failure> {
    // Where the caller has a trace, all of it belongs there; else every line is a story of its own.
    let is_traced = !args.no_inherit && TraceContext::from_environment().is_some();
    // The numbers of the lines whose answers are still to come: as many as the stream's window holds.
    let numbers = RefCell::new(VecDeque::new());
    let input = ReceiverStream::new(specs).map(|(number, spec)| {
        numbers.borrow_mut().push_back(number);
        if is_traced { spec } else { spec.traceparent(TraceContext::generate().traceparent()) }
    });
    let mut stream = client.submit_stream(input, StreamOptions::default());
    let bar = progress::spinner("tasks submitted");
    while let Some(answer) = stream.next().await {
        let number = numbers.borrow_mut().pop_front().unwrap_or_default();
        bar.inc(1);
        bar.suspend(|| report.take(number, answer))?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// The lines as they are read, and how the reading ended.
struct Reader {
    specs: mpsc::Receiver<NumberedSpec>,
    end: oneshot::Receiver<Result<(), Failure>>,
}

/// Reads lines on a thread of its own, which a terminal or a pipe may block for as long as it likes.
async fn read(path: &Path, defaults: Defaults) -> Result<Reader, Failure> {
    let (specs_in, specs) = mpsc::channel(LINES_BOUND);
    let (end_in, end) = oneshot::channel();
    let name = path.display().to_string();
    let input: Box<dyn io::Read + Send> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let path = path.to_owned();
        Box::new(blocking(move || open(&path)).await?)
    };
    let mut lines = Lines::new(&name, BufReader::new(input), defaults);
    thread::Builder::new()
        .name("jsonl".to_owned())
        .spawn(move || {
            let ended = send_lines(&mut lines, &specs_in);
            drop(specs_in);
            // Nobody waits for the end of a command that was given up.
            drop(end_in.send(ended));
        })
        .map_err(|source| Failure::Runtime { source })?;
    Ok(Reader { specs, end })
}

fn send_lines(
    lines: &mut Lines<impl io::BufRead>,
    specs: &mpsc::Sender<NumberedSpec>,
) -> Result<(), Failure> {
    while let Some(spec) = lines.read()? {
        if specs.blocking_send(spec).is_err() {
            break;
        }
    }
    Ok(())
}

/// What became of the lines.
#[derive(Debug)]
struct Report {
    name: String,
    output: Output,
    wait: Option<Wait>,
    accepted: u64,
    refused: u64,
    /// To be waited for, if they are.
    task_ids: Vec<String>,
    /// How the process ends because of the first line that was refused.
    exit: Option<Exit>,
}

impl Report {
    fn new(path: &Path, output: Output, wait: Option<Wait>) -> Self {
        Self {
            name: path.display().to_string(),
            output,
            wait,
            accepted: 0,
            refused: 0,
            task_ids: Vec::new(),
            exit: None,
        }
    }

    fn take(&mut self, number: u64, answer: Result<Receipt, Error>) -> Result<(), Failure> {
        match answer {
            Ok(receipt) => self.accept(number, &receipt),
            Err(error) => {
                self.refuse(number, error);
                Ok(())
            }
        }
    }

    /// Prints the id at once: nobody could find the task if this program ended before it did. Where it is
    /// waited for, stdout is for the tasks that ended.
    fn accept(&mut self, number: u64, receipt: &Receipt) -> Result<(), Failure> {
        self.accepted += 1;
        warn_if_late(receipt.expected_finish, &format!("the task of line {number}"));
        if self.wait.is_none() {
            return match self.output.format() {
                Format::Json => self.output.json_line(&LineReceiptJson::new(number, receipt)),
                Format::Table => self.output.line(&receipt.task_id),
            };
        }
        say(&receipt.task_id);
        if self.task_ids.len() < WAITED_TASKS_MAX {
            self.task_ids.push(receipt.task_id.clone());
        } else if self.exit.is_none() {
            say(&format!("error: --wait waits for the first {WAITED_TASKS_MAX} tasks only"));
            self.exit = Some(Exit::Usage);
        }
        Ok(())
    }

    fn refuse(&mut self, number: u64, error: Error) {
        self.refused += 1;
        let failure = Failure::from(error);
        say(&format!("error: {}, line {number}: {}", self.name, failure.line()));
        self.exit.get_or_insert(failure.exit());
    }
}
