//! The window's bookkeeping, as scripts of what happens to it.

use leasehold_proto::v1::SubmitTaskRequest;
use prost::Message as _;

use super::{BATCH_BYTES_MAX, WINDOW_BYTES_MAX, Window, Wording};
use crate::{Error, TaskSpec, spec::Likeness, submit::Receipt};

fn task(name: &str) -> TaskSpec {
    TaskSpec::new("t").idempotency_key(name)
}

/// Takes in a task whose payload has so many bytes.
fn push_large(window: &mut Window, bytes: usize) {
    window.push(TaskSpec::new("t").payload(vec![0; bytes]), bytes);
}

/// The next message to who knows nothing of tasks that are alike.
fn take(window: &mut Window) -> Vec<SubmitTaskRequest> {
    window.take_batch("", Wording::Full)
}

fn accepted(name: &str) -> Receipt {
    Receipt { task_id: name.to_owned(), deduplicated: false, expected_finish: None }
}

fn failed() -> Error {
    Error::Malformed { address: String::new(), missing: "an answer" }
}

/// Runs a script of single characters, and says what was sent and what came out.
///
/// `a` to `z` take a task in, `>` sends a message, `+` accepts the oldest task that was sent,
/// `~` puts it back, `!` breaks the call, `X` gives everything up.
fn run(batch_max: usize, script: &str) -> String {
    let mut window = Window::new(100, batch_max);
    let mut sent: Vec<String> = Vec::new();
    let mut log = String::new();
    for step in script.chars() {
        match step {
            '>' => {
                let names: Vec<String> =
                    take(&mut window).into_iter().map(|it| it.idempotency_key).collect();
                log.extend([">", &names.concat(), " "]);
                sent.extend(names);
            }
            '+' => {
                let name = sent.remove(0);
                assert!(window.answer(Ok(accepted(&name))));
            }
            '~' => {
                sent.remove(0);
                assert!(window.postpone());
            }
            '!' => {
                sent.clear();
                window.rewind();
            }
            'X' => window.fail(&failed()),
            name => window.push(task(&name.to_string()), 1),
        }
        while let Some(answer) = window.pop() {
            log.push_str(&answer.map_or_else(|_| "x".to_owned(), |it| it.task_id));
        }
    }
    log.trim_end().to_owned()
}

#[test]
fn scripts() {
    let cases = [
        ("one after the other", 9, "a>+b>+", ">a a>b b"),
        ("a message holds what is waiting", 9, "abc>+++", ">abc abc"),
        ("and no more than it may", 2, "abc>>+++", ">ab >c abc"),
        ("nothing waiting, nothing sent", 9, "a>>+", ">a > a"),
        ("answers come out in the order of the input", 9, "abc>~++>+", ">abc >a abc"),
        ("put back behind what waits", 9, "ab>c~+>++", ">ab >ca abc"),
        ("a break sends everything again, in order", 9, "ab>c!>+++", ">ab >abc abc"),
        ("what was answered is not sent again", 9, "ab>+!>+", ">ab a>b b"),
        ("a second break as well", 9, "ab>!>!>++", ">ab >ab >ab ab"),
        ("put back, then a break: sent again once", 9, "ab>~!>++", ">ab >ba ab"),
        ("giving up answers what is open", 9, "abc>+X", ">abc axx"),
        ("giving up before anything was sent", 9, "abX", "xx"),
    ];
    for (name, batch_max, script, log) in cases {
        assert_eq!(run(batch_max, script), log, "{name}");
    }
}

#[test]
fn an_answer_too_many_is_noticed() {
    let mut window = Window::new(10, 10);
    assert!(!window.answer(Ok(accepted("a"))) && !window.postpone());
    window.push(task("a"), 1);
    assert!(!window.answer(Ok(accepted("a"))), "it has not been sent");
}

#[test]
fn there_is_room_for_so_many_and_so_much() {
    let mut window = Window::new(2, 10);
    assert!(window.has_room() && window.is_empty());
    window.push(task("a"), 1);
    assert!(window.has_room());
    window.push(task("b"), 1);
    assert!(!window.has_room(), "two is the most");
    assert_eq!(take(&mut window).len(), 2);
    assert!(!window.has_room(), "sent is not answered");
    assert!(window.answer(Ok(accepted("a"))) && window.pop().is_some());
    assert!(window.has_room());

    let mut window = Window::new(1_000_000, 10);
    push_large(&mut window, WINDOW_BYTES_MAX);
    assert!(!window.has_room(), "the window is full of one large task");
    take(&mut window);
    assert!(window.answer(Ok(accepted("a"))));
    window.pop();
    assert!(window.has_room());
}

#[test]
fn a_message_is_bounded_in_bytes_but_holds_one_task_of_any_size() {
    let mut window = Window::new(10, 10);
    for bytes in
        [2 * BATCH_BYTES_MAX, BATCH_BYTES_MAX / 2, BATCH_BYTES_MAX / 4, BATCH_BYTES_MAX / 2]
    {
        push_large(&mut window, bytes);
    }
    let sizes = [take(&mut window).len(), take(&mut window).len(), take(&mut window).len()];
    assert_eq!(sizes, [1, 2, 1]);
}

#[test]
fn only_what_has_a_key_may_be_sent_twice() {
    let mut window = Window::new(10, 10);
    window.push(task("a"), 1);
    window.push(task(""), 1);
    assert!(!window.has_sent_without_key(), "nothing was sent yet");
    take(&mut window);
    assert!(window.has_sent_without_key());
    assert!(window.answer(Ok(accepted("a"))) && window.answer(Ok(accepted("b"))));
    assert!(!window.has_sent_without_key(), "it has its answer");
}

#[test]
fn a_task_that_no_message_could_carry_is_answered_in_its_place() {
    let mut window = Window::new(10, 10);
    window.push(task("a"), 1);
    window.push_answered(Err(failed()));
    window.push(task("c"), 1);
    let sent: Vec<String> = take(&mut window).into_iter().map(|it| it.idempotency_key).collect();
    assert_eq!(sent, ["a", "c"]);
    assert!(window.answer(Ok(accepted("a"))) && window.answer(Ok(accepted("c"))));
    let answers: Vec<bool> = std::iter::from_fn(|| window.pop()).map(|it| it.is_ok()).collect();
    assert_eq!(answers, [true, false, true]);
}

#[test]
fn what_is_like_the_task_before_it_is_sent_without_what_both_say() {
    let other = || TaskSpec::new("t").priority(1);
    let timed = || TaskSpec::new("t").within(std::time::Duration::from_secs(1));
    let row = [task(""), task("k"), other(), other(), task(""), timed(), timed(), task("")];
    let sent = |wording, batch_max| {
        let (mut likeness, mut window) = (Likeness::default(), Window::new(100, batch_max));
        for mut spec in row.clone() {
            let bytes = likeness.take_in(&mut spec, "ns");
            assert!(spec.message("ns").encoded_len() <= bytes);
            window.push(spec, bytes);
        }
        let mut alike = String::new();
        while window.has_waiting() {
            for request in window.take_batch("ns", wording) {
                let is_alike = request.alike_payload.is_some();
                assert_eq!(request.spec.is_none(), is_alike, "one or the other");
                assert_eq!(request.namespace.is_empty(), is_alike, "it is taken from there");
                alike.push(if is_alike { 'a' } else { '-' });
            }
            alike.push('>');
        }
        alike
    };
    assert_eq!(sent(Wording::Brief, 100), "-a-a---->");
    assert_eq!(
        sent(Wording::Brief, 1),
        "->".repeat(row.len()),
        "there is none before it in its message"
    );
    assert_eq!(sent(Wording::Brief, 3), "-a->--->-->");
    assert_eq!(sent(Wording::Full, 100), "-------->");
}
