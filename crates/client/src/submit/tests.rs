//! Which submits are safe to repeat, and how a batch's answers are read.

use std::time::Duration;

use leasehold_proto::v1::{Refusal, SubmitOutcome, SubmitTaskResponse, submit_outcome::Outcome};
use tonic::{Code, Status};

use super::{Submission, fail, keyed, read_outcome, repeat_of};
use crate::{ClientOptions, Error, GeneratedKeys, Retry, TaskSpec, outage::Repeat};

#[test]
fn a_submit_is_repeated_only_under_a_key() {
    let options = ClientOptions::default;
    let request = |key: &str| TaskSpec::new("t").idempotency_key(key);
    let key = |spec: &TaskSpec| spec.message("").idempotency_key;
    let cases = [
        ("the caller's", request("mine"), options(), Repeat::Safe),
        ("a generated one", request(""), options(), Repeat::Safe),
        (
            "none wanted",
            request(""),
            options().generated_keys(GeneratedKeys::Absent),
            Repeat::OnlyIfRefused,
        ),
        ("no retries", request(""), options().retry(Retry::Never), Repeat::OnlyIfRefused),
    ];
    for (name, request, options, repeat) in cases {
        let given = key(&request);
        let keyed = keyed(request, &options);
        assert_eq!(repeat_of(&keyed), repeat, "{name}");
        assert!(given.is_empty() || key(&keyed) == given, "{name}: a key is kept");
    }
    let keys = [keyed(request(""), &options()), keyed(request(""), &options())];
    assert_ne!(key(&keys[0]), key(&keys[1]));
}

#[test]
fn outcomes_are_accepted_refused_or_missing() {
    let missing =
        || Error::Malformed { address: "here".to_owned(), missing: "an outcome for each task" };
    let accepted = SubmitTaskResponse {
        task_id: "id".to_owned(),
        deduplicated: true,
        expected_finish_time: None,
    };
    let accepted = SubmitOutcome { outcome: Some(Outcome::Accepted(accepted)) };
    let receipt = read_outcome(accepted, missing).expect("accepted");
    assert_eq!((receipt.task_id.as_str(), receipt.deduplicated), ("id", true));

    let refused = Refusal { code: Code::InvalidArgument.into(), ..Default::default() };
    let refused = SubmitOutcome { outcome: Some(Outcome::Refused(refused.into())) };
    assert_eq!(read_outcome(refused, missing).expect_err("refused").code(), Code::InvalidArgument);

    let nothing = SubmitOutcome { outcome: None };
    assert_eq!(read_outcome(nothing, missing).expect_err("malformed").code(), Code::Internal);
}

#[test]
fn a_last_try_that_ran_out_of_time_says_less_than_a_refusal_unless_it_may_have_counted() {
    let refused = |retry_delay| {
        let refusal =
            Refusal { code: Code::ResourceExhausted.into(), retry_delay, ..Default::default() };
        crate::Refusal::from_wire(refusal)
    };
    let for_now = || Some(refused(Some(prost_types::Duration::default())));
    let late = Status::deadline_exceeded("");
    let lost = Status::unavailable("");
    for (key, before, last, code) in [
        ("k", for_now(), &late, Code::ResourceExhausted),
        ("k", for_now(), &lost, Code::Unavailable),
        ("k", None, &late, Code::DeadlineExceeded),
        ("", for_now(), &late, Code::DeadlineExceeded),
        ("", Some(refused(None)), &late, Code::ResourceExhausted),
    ] {
        let spec = TaskSpec::new("t").idempotency_key(key);
        let outcome = before.map(|refusal| Err(Error::Refused(Box::new(refusal))));
        let mut tasks = [Submission { spec, outcome }];
        fail(&mut tasks, &Error::from_status(last.clone(), "here", Duration::ZERO));
        let [Submission { outcome, .. }] = tasks;
        let told = outcome.and_then(Result::err).map(|error| error.code());
        assert_eq!(told, Some(code), "{key:?}, then {last:?}");
    }
}
