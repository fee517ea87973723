//! The page that Prometheus reads.

use std::time::Duration;

use leasehold_queue::{EndKind, Ending, RevocationReason};

use super::{
    CheckpointFate, Metrics, RevocationStage, Scaled, SlotState, TaskState, WorkerState,
    label::Label,
};

/// Every fact once.
fn counted() -> Metrics {
    let metrics = Metrics::default();
    metrics.submitted(3);
    metrics.deduplicated(2);
    metrics.waited(Duration::from_millis(3));
    metrics.attempt_started();
    metrics.attempt_ended(EndKind::Panic);
    metrics.ran(Duration::from_secs(1));
    metrics.task_ended(Ending::Failed, Duration::from_secs(2));
    metrics.revoked(RevocationReason::AttemptTimeout);
    metrics.revocation_came_to(RevocationStage::Stopped, Duration::from_millis(40));
    metrics.stopped_late();
    metrics.checkpoint(CheckpointFate::NoRoom);
    metrics.stale();
    metrics.replayed();
    metrics.culled(2, Duration::from_millis(1_500));
    metrics.committed(Duration::from_millis(2), 17);
    metrics.read_back(Duration::from_millis(3));
    metrics.stalled(Duration::from_millis(250));
    metrics.set_tasks(TaskState::Running, 4);
    metrics.set_workers(WorkerState::Draining, 5);
    metrics.set_slots(SlotState::Free, 6);
    metrics.set_oldest_queued(Duration::from_millis(1_500));
    metrics.set_store(7, u64::MAX);
    metrics.set_payloads(9);
    metrics.payloads_read(3);
    metrics.set_epoch(8);
    metrics.set_pool("gone", 1, 1);
    metrics.forget_pool("gone");
    metrics.set_pool("thumbs", 3, 5);
    metrics.scaled(Scaled::Up);
    metrics.answered("leasehold.v1.TaskService/GetTask", "OK", Duration::from_millis(1));
    metrics.refused("QUEUE_FULL");
    metrics.panicked();
    metrics.skipped_event();
    metrics.connected();
    metrics.connected();
    metrics.disconnected();
    metrics.turned_away();
    metrics
}

#[test]
fn every_fact_is_on_the_page() {
    let page = counted().render().unwrap();
    let lines = [
        concat!("leasehold_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "leasehold_tasks_submitted_total 3",
        "leasehold_tasks_deduplicated_total 2",
        "leasehold_task_queue_wait_seconds_bucket{le=\"0.005\"} 1",
        "leasehold_task_attempts_started_total 1",
        "leasehold_task_attempts_finished_total{outcome=\"panic\"} 1",
        "leasehold_task_attempts_finished_total{outcome=\"succeeded\"} 0",
        "leasehold_task_run_seconds_count 1",
        "leasehold_tasks_finished_total{outcome=\"failed\"} 1",
        "leasehold_task_end_to_end_seconds_sum 2.0",
        "leasehold_lease_revocations_total{reason=\"attempt_timeout\"} 1",
        "leasehold_lease_revocation_seconds_bucket{le=\"0.05\",stage=\"stopped\"} 1",
        "leasehold_lease_revocation_seconds_count{stage=\"unproved\"} 0",
        "leasehold_leases_stopped_late_total 1",
        "leasehold_checkpoints_total{fate=\"no_room\"} 1",
        "leasehold_stale_results_total 1",
        "leasehold_dead_letters_replayed_total 1",
        "leasehold_tasks_culled_total 2",
        "leasehold_culled_run_seconds_total 1.5",
        "leasehold_store_commit_seconds_bucket{le=\"0.002\"} 1",
        "leasehold_store_commit_batch_size_bucket{le=\"64.0\"} 1",
        "leasehold_store_read_back_seconds_bucket{le=\"0.005\"} 1",
        "leasehold_stall_seconds_total 0.25",
        "leasehold_tasks{state=\"running\"} 4",
        "leasehold_tasks{state=\"queued\"} 0",
        "leasehold_workers{state=\"draining\"} 5",
        "leasehold_worker_slots{state=\"free\"} 6",
        "leasehold_oldest_runnable_age_seconds 1.5",
        "leasehold_store_bytes 7",
        "leasehold_store_free_bytes 9223372036854775807",
        "leasehold_payload_memory_bytes 9",
        "leasehold_payloads_read_total 3",
        "leasehold_epoch 8",
        "leasehold_pool_workers{pool=\"thumbs\"} 3",
        "leasehold_desired_workers{pool=\"thumbs\"} 5",
        "leasehold_scaling_decisions_total{direction=\"up\"} 1",
        "leasehold_scaling_decisions_total{direction=\"down\"} 0",
        "leasehold_refusals_total{reason=\"QUEUE_FULL\"} 1",
        "leasehold_panics_total 1",
        "leasehold_worker_events_skipped_total 1",
        "leasehold_connections 1",
        "leasehold_connections_turned_away_total 1",
        "# EOF",
    ];
    for line in lines {
        assert!(page.lines().any(|is| is == line), "{line:?} is missing in\n{page}");
    }
    let call = "leasehold_rpc_server_call_duration_seconds_count{method=\"leasehold.v1.TaskService/GetTask\",code=\"OK\"} 1";
    assert!(page.contains(call), "{page}");
}

#[test]
fn every_series_has_the_prefix_and_a_help_text() {
    let page = counted().render().unwrap();
    let mut helped = std::collections::BTreeSet::new();
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(text.len() > 10, "{line}");
            helped.insert(name.to_owned());
        } else if !line.starts_with('#') {
            assert!(line.starts_with("leasehold_"), "{line}");
            assert!(helped.iter().any(|name| line.starts_with(name.as_str())), "{line}");
        }
    }
}

#[test]
fn every_value_of_a_label_has_its_own_member() {
    fn check<L: Label>() {
        let mut names: Vec<_> = L::ALL.iter().map(|label| label.value()).collect();
        for (at, label) in L::ALL.iter().enumerate() {
            assert_eq!(label.index(), at, "{}", label.value());
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), L::ALL.len());
    }
    check::<EndKind>();
    check::<Scaled>();
    check::<RevocationStage>();
    check::<TaskState>();
    check::<WorkerState>();
    check::<SlotState>();
    check::<Ending>();
    check::<RevocationReason>();
}
