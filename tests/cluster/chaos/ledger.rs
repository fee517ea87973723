//! The ledger that executions keep themselves, read back: who ran what, from when to when, and wrote what.
//!
//! It knows the lines `leasehold-witness` writes, and judges nothing.

use std::collections::BTreeMap;

/// What an execution said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Begin,
    End,
    Stopped,
    Aborted,
    /// Another execution, under this token, lived at this moment.
    Saw(i64),
    Wrote,
    Refused,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) verb: Verb,
    pub(crate) task: String,
    pub(crate) token: i64,
    pub(crate) pid: u32,
    pub(crate) worker: String,
    /// Nanoseconds of boot time.
    pub(crate) at: i128,
}

/// Every line of a ledger, in the order in which they were written. A line that is not one fails the test: each is
/// written in one call.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    text.lines().map(|it| line(it).unwrap_or_else(|| panic!("not a line: {it:?}"))).collect()
}

fn line(text: &str) -> Option<Line> {
    let words: Vec<&str> = text.split(' ').collect();
    let (&[verb, task, token, pid, worker, at], other) = words.split_first_chunk::<6>()?;
    let verb = match (verb, other) {
        ("begin", []) => Verb::Begin,
        ("end", []) => Verb::End,
        ("stopped", []) => Verb::Stopped,
        ("aborted", []) => Verb::Aborted,
        ("wrote", []) => Verb::Wrote,
        ("saw", [token]) => Verb::Saw(token.parse().ok()?),
        ("refused", [_]) => Verb::Refused,
        _ => return None,
    };
    Some(Line {
        verb,
        task: task.to_owned(),
        token: token.parse().ok()?,
        pid: pid.parse().ok()?,
        worker: worker.to_owned(),
        at: at.parse().ok()?,
    })
}

/// One execution of a task, from its first line to its last. One that was killed may have lived on for a moment after
/// its last line; who met it then has said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) token: i64,
    pub(crate) worker: String,
    pub(crate) begin: i128,
    pub(crate) last: i128,
    /// The other executions it saw alive when it began.
    pub(crate) saw: Vec<i64>,
    /// How often it said that it begins.
    pub(crate) begins: u32,
}

/// The executions of each task, in the order in which they began.
pub(crate) fn executions(lines: &[Line]) -> BTreeMap<&str, Vec<Execution>> {
    let mut tasks: BTreeMap<&str, Vec<Execution>> = BTreeMap::new();
    for line in lines {
        let executions = tasks.entry(&line.task).or_default();
        let known = executions.iter_mut().find(|it| it.token == line.token);
        if let Some(execution) = known {
            execution.last = line.at;
            execution.begins += u32::from(line.verb == Verb::Begin);
            if let Verb::Saw(other) = line.verb {
                execution.saw.push(other);
            }
            continue;
        }
        assert_eq!(line.verb, Verb::Begin, "an execution begins before it does anything else");
        executions.push(Execution {
            token: line.token,
            worker: line.worker.clone(),
            begin: line.at,
            last: line.at,
            saw: Vec::new(),
            begins: 1,
        });
    }
    tasks
}

#[test]
fn a_ledger_is_read_as_it_was_written() {
    let text = "begin t 1 9 w 10\nbegin t 2 8 v 20\nsaw t 2 8 v 21 1\nend t 1 9 w 30\n";
    let lines = lines(text);
    assert_eq!(lines[2].verb, Verb::Saw(1));
    assert_eq!((lines[0].pid, lines[0].at), (9, 10));
    let executions = executions(&lines);
    let execution = |token, worker: &str, begin, last, saw: &[i64]| Execution {
        token,
        worker: worker.to_owned(),
        begin,
        last,
        saw: saw.to_vec(),
        begins: 1,
    };
    assert_eq!(executions["t"], [execution(1, "w", 10, 30, &[]), execution(2, "v", 20, 21, &[1])]);
    for bad in ["begin t 1 9 w", "end t 1 9 w 10 2", "saw t 1 9 w 10", "ate t 1 9 w 10"] {
        assert_eq!(line(bad), None, "{bad}");
    }
}
