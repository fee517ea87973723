//! Leases that are held while others expire, and that do not end.

use std::time::Duration;

use leasehold_client::{Client, TaskSpec};

use super::super::{
    holder,
    load::{self, Load},
    spawned::Worker,
};
use crate::failure::Failure;

/// Longer than any run.
const LIFE: Duration = Duration::from_hours(12);

/// The workers that hold them. They are killed when this is dropped.
#[derive(Debug)]
pub(super) struct Beside {
    _workers: Vec<Worker>,
}

impl Beside {
    /// Has so many held, once all of them run.
    pub(super) async fn hold(
        client: &Client,
        leases: u32,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let load = Load::of_nobody();
        let queue = load.queue();
        let workers = Worker::crowd_of_functions(client.address(), queue, leases, None)?;
        let spec = TaskSpec::new(queue)
            .queue(queue)
            .payload(holder::UNSEEN)
            .attempt_timeout(LIFE)
            .total_timeout(LIFE)
            .max_attempts(1);
        load::submit_alike(client, &spec, leases).await?;
        let all_held = || async { Ok(load::leased(client, queue).await? == i64::from(leases)) };
        load::until(patience, "not all leases beside are held", all_held).await?;
        Ok(Self { _workers: workers })
    }
}
