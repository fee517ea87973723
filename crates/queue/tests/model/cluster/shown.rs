//! What the real queue answers and holds, as lines that can be compared.

use leasehold_policy::Time;
use leasehold_queue::{
    Lease, NotWelcome, Phase, Queue, Reckoned, Refusal, ReplayRefusal, Reply, Task, TaskId,
};

/// What a watcher can tell of a task.
pub(super) fn visible(task: &Task) -> String {
    let Task { id, revision, attempts, cancel_requested, phase, .. } = task;
    let phase = match phase {
        Phase::Leased(lease) => {
            let Lease { token, started, revoking, .. } = &**lease;
            format!("{token} {started:?} {revoking:?}")
        }
        waits => format!("{waits:?}"),
    };
    format!("{id} r{revision} {attempts} {cancel_requested} {phase}")
}

/// Everything that a journal rebuilds, to the last field.
pub(super) fn durable(queue: &Queue, now: Time) -> Vec<String> {
    let tasks = queue.tasks_after(TaskId::from_u128(0)).map(|task| {
        let mut task = task.clone();
        match &mut task.phase {
            Phase::Leased(lease) => {
                (lease.session, lease.progress) = (None, None);
                if let Some(revoking) = &mut lease.revoking {
                    revoking.delivered = None;
                }
                (lease.heard, lease.silence_since) = (None, None);
                lease.reckoned = Reckoned::default();
            }
            // A wait that is over is a matter of the time, not of the journal.
            Phase::Scheduled { eligible, .. } if *eligible <= now => task.phase = Phase::Queued,
            Phase::Scheduled { .. } | Phase::Queued => {}
        }
        format!("{task:?}")
    });
    let keys = queue.kept_keys().filter(|kept| now < kept.until).map(|kept| format!("{kept:?}"));
    let lasting = queue.queues().filter(|q| q.paused || 0 < q.scheduled + q.queued + q.leased);
    let pauses = lasting.map(|q| format!("{} {}", q.name, q.paused));
    tasks.chain(keys).chain(pauses).chain([format!("{} bytes", queue.open_bytes())]).collect()
}

/// What a reply says, in the words of the reference.
pub(super) fn reply_line(reply: &Reply) -> String {
    match reply {
        Reply::Done => "done".into(),
        Reply::Submitted(Ok(accepted)) if accepted.deduplicated => {
            format!("accepted {} again", accepted.id)
        }
        Reply::Submitted(Ok(accepted)) => format!("accepted {}", accepted.id),
        Reply::Submitted(Err(Refusal::KeyConflict { task, .. })) => format!("conflict {task}"),
        Reply::Submitted(Err(Refusal::Full { what, used, .. }))
        | Reply::Replayed(Err(ReplayRefusal::Refused(Refusal::Full { what, used, .. }))) => {
            format!("full {what} {used}")
        }
        Reply::Submitted(Err(Refusal::Quota { namespace, what, used, .. }))
        | Reply::Replayed(Err(ReplayRefusal::Refused(Refusal::Quota {
            namespace,
            what,
            used,
            ..
        }))) => {
            format!("quota {namespace} {what} {used}")
        }
        Reply::Submitted(Err(Refusal::Infeasible(_))) => "infeasible".into(),
        Reply::Submitted(Err(Refusal::UnknownQueue { .. })) => "unknown queue".into(),
        Reply::Submitted(Err(Refusal::CircuitOpen { guarded, .. })) => format!("open {guarded}"),
        Reply::Reset(exists) => format!("reset {exists}"),
        Reply::Cancelled(None) => "no such task".into(),
        Reply::Cancelled(Some(cancelled)) => match cancelled.1 {
            Some(_) => format!("cancelled {}", cancelled.0.id),
            None => format!("cancelling {}", cancelled.0.id),
        },
        Reply::Replayed(Ok(replayed)) => format!("generation {}", replayed.generation),
        Reply::Replayed(Err(ReplayRefusal::AlreadyOpen(_))) => "already open".into(),
        Reply::Replayed(Err(ReplayRefusal::Refused(_))) => "conflict".into(),
        Reply::Paused(exists) => format!("paused {exists}"),
        Reply::Welcome(Err(NotWelcome::Outlived)) => "Outlived".into(),
        Reply::Welcome(Err(NotWelcome::Banned { left })) => format!("banned for {left:?}"),
        Reply::Welcome(Ok(welcome)) => {
            let verdicts = welcome.verdicts.iter();
            let verdicts: Vec<String> = verdicts
                .map(|(token, verdict)| {
                    format!("{token} {}", format!("{verdict:?}").to_lowercase())
                })
                .collect();
            format!("welcome {:?} resumed {} {verdicts:?}", welcome.session, welcome.resumed)
        }
        Reply::Heard(heard) => format!("heard {heard}"),
        Reply::Draining(known) => format!("draining {known}"),
        Reply::Revoked(task) => format!("revoked {task:?}"),
        Reply::Evicted(known) => format!("evicted {known}"),
        Reply::Saved(saved) => format!("saved {saved:?}"),
        Reply::Granted(it) => {
            format!("granted {}, ended {}", it.leased, it.expired + it.culled)
        }
    }
}
