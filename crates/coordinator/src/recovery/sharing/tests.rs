//! Equal templates become one, whatever batches they were read from.

use std::{sync::Arc, time::Duration};

use leasehold_policy::{Backoff, Jitter, Time};
use leasehold_queue::{
    Admission, LeaseTerms, Phase, Record, Retry, Shape, Task, TaskId, TaskSpec, Template,
};

use super::{KNOWN_MAX, Sharing};

fn template(queue: &str) -> Arc<Template> {
    let backoff = Backoff {
        initial: Duration::from_secs(1),
        factor: 2.0,
        cap: Duration::from_mins(5),
        jitter: Jitter::Full,
    };
    Arc::new(Template {
        queue: queue.into(),
        task_type: "t".into(),
        content_type: "".into(),
        priority: 5,
        start_timeout: Duration::from_secs(10),
        attempt_timeout: Duration::from_mins(5),
        kill_grace: Duration::from_secs(5),
        retry: Retry { max_attempts: 5, backoff },
        terms: LeaseTerms::default(),
        claims: None,
        fairness_key: "".into(),
        shape: Shape::default(),
        admission: Admission::default(),
    })
}

fn accepted(template: Arc<Template>) -> Record {
    let spec = TaskSpec {
        template,
        payload: "input".into(),
        initial_delay: Duration::ZERO,
        total_timeout: Duration::from_hours(24),
        labels: Vec::new(),
        trace: None,
        key: None,
    };
    Record::TaskAccepted(Box::new(Task {
        id: TaskId::from_u128(7),
        spec: Arc::new(spec),
        submitted: Time::default(),
        deadline: Time::NEVER,
        generation: 1,
        revision: 1,
        attempts: 0,
        leases: 0,
        worker_losses: 0,
        ran: false,
        cancel_requested: false,
        last_failure: None,
        last_token: None,
        ledger: None,
        checkpoint: None,
        phase: Phase::Queued,
    }))
}

/// The template of a task that is read now, once it is shared.
fn shared(sharing: &mut Sharing, template: Arc<Template>) -> Arc<Template> {
    let (mut record, as_read) = (accepted(Arc::clone(&template)), accepted(template));
    sharing.share(&mut record);
    assert_eq!(record, as_read, "it says what it said");
    let Record::TaskAccepted(task) = record else { unreachable!("it is what it was") };
    Arc::clone(&task.spec.template)
}

#[test]
fn equal_templates_become_one() {
    let mut sharing = Sharing::default();
    let first = shared(&mut sharing, template("a"));
    let other = shared(&mut sharing, template("b"));
    assert!(!Arc::ptr_eq(&first, &other));
    let of_a_later_batch = template("a");
    assert!(Arc::ptr_eq(&first, &shared(&mut sharing, Arc::clone(&of_a_later_batch))));
    assert!(Arc::ptr_eq(&first, &shared(&mut sharing, of_a_later_batch)));
    assert!(Arc::ptr_eq(&other, &shared(&mut sharing, template("b"))));
}

#[test]
fn the_oldest_of_many_is_forgotten() {
    let mut sharing = Sharing::default();
    let first = shared(&mut sharing, template("a"));
    for at in 1..KNOWN_MAX {
        shared(&mut sharing, template(&at.to_string()));
    }
    assert!(Arc::ptr_eq(&first, &shared(&mut sharing, template("a"))));
    for at in 0..KNOWN_MAX {
        shared(&mut sharing, template(&at.to_string()));
    }
    assert!(!Arc::ptr_eq(&first, &shared(&mut sharing, template("a"))));
}
