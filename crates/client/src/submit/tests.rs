//! Which submits are safe to repeat, and how a batch's answers are read.

use leasehold_proto::v1::{
    Refusal, SubmitOutcome, SubmitTaskRequest, SubmitTaskResponse, submit_outcome::Outcome,
};
use tonic::Code;

use super::{keyed, read_outcome, repeat_of};
use crate::{ClientOptions, Error, GeneratedKeys, Retry, outage::Repeat};

#[test]
fn a_submit_is_repeated_only_under_a_key() {
    let options = ClientOptions::default;
    let request =
        |key: &str| SubmitTaskRequest { idempotency_key: key.into(), ..Default::default() };
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
        let given = request.idempotency_key.clone();
        let keyed = keyed(request, &options);
        assert_eq!(repeat_of(&keyed), repeat, "{name}");
        assert!(given.is_empty() || keyed.idempotency_key == given, "{name}: a key is kept");
    }
    let keys = [keyed(request(""), &options()), keyed(request(""), &options())];
    assert_ne!(keys[0].idempotency_key, keys[1].idempotency_key);
}

#[test]
fn outcomes_are_accepted_refused_or_missing() {
    let missing =
        || Error::Malformed { address: "here".to_owned(), missing: "an outcome for each task" };
    let accepted = SubmitTaskResponse { task_id: "id".to_owned(), deduplicated: true };
    let accepted = SubmitOutcome { outcome: Some(Outcome::Accepted(accepted)) };
    let receipt = read_outcome(accepted, missing).expect("accepted");
    assert_eq!((receipt.task_id.as_str(), receipt.deduplicated), ("id", true));

    let refused = Refusal { code: Code::InvalidArgument.into(), ..Default::default() };
    let refused = SubmitOutcome { outcome: Some(Outcome::Refused(refused)) };
    assert_eq!(read_outcome(refused, missing).expect_err("refused").code(), Code::InvalidArgument);

    let nothing = SubmitOutcome { outcome: None };
    assert_eq!(read_outcome(nothing, missing).expect_err("malformed").code(), Code::Internal);
}
