//! What may be said of a history: nothing acknowledged is lost, nothing is accepted twice, everything ends.
//!
//! It knows logs alone: what submitters were told, what workers were told, what the coordinator shows in the end.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_proto::v1::{ResultDisposition, Task, TaskState};

use crate::{
    crew::{Answer, result},
    script::bytes,
};

/// The union of all logs of a run.
#[derive(Clone, Default)]
pub(crate) struct History {
    /// Each idempotency key with every task id it was answered with.
    pub(crate) acknowledged: BTreeMap<String, BTreeSet<String>>,
    /// Every answer to an outcome.
    pub(crate) answers: Vec<Answer>,
    /// Every task the coordinator shows in the end.
    pub(crate) shown: Vec<Task>,
}

impl History {
    /// Everything that must not be, in words.
    pub(crate) fn violations(&self) -> Vec<String> {
        [self.submits(), self.ends(), self.acceptances(), self.unheard(), self.tokens()].concat()
    }

    /// An acknowledged task is shown; a key names one task, and nothing is shown that nobody submitted.
    pub(crate) fn submits(&self) -> Vec<String> {
        let mut wrong = self.lost();
        for (key, ids) in self.acknowledged.iter().filter(|(_, ids)| ids.len() != 1) {
            wrong.push(format!("key {key} names {} tasks: {ids:?}", ids.len()));
        }
        let shown: BTreeSet<&str> = self.shown.iter().map(|it| it.task_id.as_str()).collect();
        if shown.len() != self.shown.len() {
            wrong.push("a task is shown twice".to_owned());
        }
        let known: BTreeSet<&String> = self.acknowledged.values().flatten().collect();
        let extra = self.shown.iter().filter(|it| !known.contains(&it.task_id));
        wrong.extend(extra.map(|it| format!("task {} was never acknowledged", it.task_id)));
        wrong
    }

    /// The tasks that were acknowledged and are not shown.
    pub(crate) fn lost(&self) -> Vec<String> {
        let shown: BTreeSet<&str> = self.shown.iter().map(|it| it.task_id.as_str()).collect();
        let lost = self.acknowledged.values().flatten().filter(|id| !shown.contains(id.as_str()));
        lost.map(|id| format!("task {id} was acknowledged and is lost")).collect()
    }

    /// Every task has succeeded.
    pub(crate) fn ends(&self) -> Vec<String> {
        let open = self.shown.iter().filter(|it| it.state() != TaskState::Succeeded);
        open.map(|it| format!("task {} is {}", it.task_id, it.state().as_str_name())).collect()
    }

    /// One success of one lease is accepted for each task, once; repeats of it are told so.
    pub(crate) fn acceptances(&self) -> Vec<String> {
        let mut accepted = self.accepted();
        let mut wrong = Vec::new();
        for task in &self.shown {
            let answers = accepted.remove(task.task_id.as_str()).unwrap_or_default();
            wrong.extend(acceptance_of(task, &answers));
        }
        wrong.extend(accepted.keys().map(|task| format!("task {task} was accepted and is lost")));
        wrong
    }

    /// Some worker was told of each success. One that is killed may not live to hear it.
    fn unheard(&self) -> Vec<String> {
        let accepted = self.accepted();
        let unheard = self.shown.iter().filter(|it| !accepted.contains_key(it.task_id.as_str()));
        unheard
            .map(|it| format!("no worker was told that task {} was accepted", it.task_id))
            .collect()
    }

    /// The answers that settled each task.
    fn accepted(&self) -> BTreeMap<&str, Vec<&Answer>> {
        let mut accepted: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
        for answer in self.answers.iter().filter(|it| it.success && settles(it.disposition)) {
            accepted.entry(&answer.task).or_default().push(answer);
        }
        accepted
    }

    /// No token was ever given out for two tasks or to two workers.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let mut holders: BTreeMap<i64, (&str, &str)> = BTreeMap::new();
        let mut wrong = Vec::new();
        for answer in &self.answers {
            let holder = (answer.task.as_str(), answer.worker.as_str());
            if *holders.entry(answer.token).or_insert(holder) != holder {
                wrong.push(format!("token {} was given out twice", answer.token));
            }
        }
        wrong
    }
}

/// Whether an answer says that the outcome counts.
fn settles(disposition: ResultDisposition) -> bool {
    matches!(disposition, ResultDisposition::Accepted | ResultDisposition::Duplicate)
}

/// What is wrong with the answers that settled one task.
fn acceptance_of(task: &Task, answers: &[&Answer]) -> Vec<String> {
    let id = &task.task_id;
    let tokens: BTreeSet<i64> = answers.iter().map(|it| it.token).collect();
    let first = answers.iter().filter(|it| it.disposition == ResultDisposition::Accepted).count();
    let mut wrong = Vec::new();
    match tokens.iter().next() {
        Some(token) if tokens.len() == 1 => {
            let expected = result(id, *token);
            // A list leaves results out.
            if !task.result.is_empty() && task.result != bytes(expected.as_bytes()) {
                wrong.push(format!("task {id} has the result {:?}, not {expected:?}", task.result));
            }
        }
        Some(_) => wrong.push(format!("task {id} was accepted under the tokens {tokens:?}")),
        None => {}
    }
    if first > 1 {
        wrong.push(format!("task {id} was accepted {first} times"));
    }
    wrong
}

/// A run of two tasks, the second one answered again after a crash, that nothing is wrong with.
fn sound() -> History {
    let answer = |task: &str, token, success, disposition| Answer {
        worker: "w".to_owned(),
        task: task.to_owned(),
        token,
        success,
        disposition,
    };
    let task = |id: &str, token| Task {
        task_id: id.to_owned(),
        state: TaskState::Succeeded.into(),
        result: bytes(result(id, token).as_bytes()),
        ..Task::default()
    };
    let acknowledged = |key: &str, id: &str| (key.to_owned(), BTreeSet::from([id.to_owned()]));
    History {
        acknowledged: BTreeMap::from([acknowledged("ka", "a"), acknowledged("kb", "b")]),
        answers: vec![
            answer("a", 1, true, ResultDisposition::Accepted),
            answer("b", 2, false, ResultDisposition::Accepted),
            answer("b", 3, true, ResultDisposition::Duplicate),
            answer("b", 4, true, ResultDisposition::Stale),
        ],
        shown: vec![task("a", 1), task("b", 3)],
    }
}

#[test]
fn forged_histories_are_found_out() {
    assert_eq!(sound().violations(), [""; 0]);
    check("is lost", |history| drop(history.shown.pop()));
    check("names 2 tasks", |history| {
        history.acknowledged.get_mut("ka").unwrap().insert("b".to_owned());
    });
    check("is shown twice", |history| history.shown.push(history.shown[0].clone()));
    check("never acknowledged", |history| drop(history.acknowledged.remove("kb")));
    check("TASK_STATE_RUNNING", |history| history.shown[0].set_state(TaskState::Running));
    check("accepted 2 times", |history| history.answers.push(history.answers[0].clone()));
    check("under the tokens {1, 9}", |history| {
        history.answers.push(Answer { token: 9, ..history.answers[0].clone() });
    });
    check("no worker was told", |history| drop(history.answers.remove(0)));
    check("has the result", |history| history.shown[0].result = bytes(b"b 3"));
    check("token 1 was given out twice", |history| history.answers[2].token = 1);
    check("token 2 was given out twice", |history| {
        let other = Answer { worker: "v".to_owned(), ..history.answers[1].clone() };
        history.answers.push(other);
    });
}

/// Spoils a sound history and expects the judge to say so.
fn check(complaint: &str, spoil: impl FnOnce(&mut History)) {
    let mut history = sound();
    spoil(&mut history);
    let violations = history.violations();
    assert!(violations.iter().any(|it| it.contains(complaint)), "{complaint}: {violations:#?}");
}
