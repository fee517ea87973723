//! Dead letters: look at a task that failed for good, and replay it.

use leasehold_proto::v1::{
    GetDeadLetterRequest, ReplayDeadLetterRequest, ReplayDeadLetterResponse, Task,
};

use crate::{Client, Error, outage::Repeat};

impl Client {
    /// Shows one dead letter, payload included.
    pub async fn dead_letter(&self, task_id: &str) -> Result<Task, Error> {
        let request = GetDeadLetterRequest { task_id: task_id.to_owned() };
        let response = self
            .call("leasehold.v1.DeadLetterService/GetDeadLetter", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.dead_letter_service();
                async move { service.get_dead_letter(request).await }
            })
            .await?;
        response.task.ok_or_else(|| self.malformed("a task"))
    }

    /// Puts a dead letter back into its queue. The generation that failed makes the call safe to
    /// repeat; where none is given, the stored one is looked up first.
    pub async fn replay(
        &self,
        task_id: &str,
        generation: Option<i32>,
    ) -> Result<ReplayDeadLetterResponse, Error> {
        let generation = match generation {
            Some(generation) => generation,
            None => self.dead_letter(task_id).await?.generation,
        };
        let request = ReplayDeadLetterRequest { task_id: task_id.to_owned(), generation };
        self.call("leasehold.v1.DeadLetterService/ReplayDeadLetter", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.dead_letter_service();
                async move { service.replay_dead_letter(request).await }
            })
            .await
    }
}
