//! Ways to get the protocol wrong, each at the place where the shell around the queue would get it wrong.
//!
//! A model that finds nothing proves something only if it finds these.

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Effects leave before their records are durable.
    EffectsBeforeDurable,
    /// Answers to outcomes leave before the records of what they say are durable.
    AnswersBeforeDurable,
    /// Ends are told before their records are durable.
    EndsBeforeDurable,
    /// Grants are not written down.
    GrantsUnwritten,
    /// An outcome counts for whatever lease the worker has.
    FenceByWorker,
    /// An outcome counts for its task, whoever has the lease.
    NoFence,
    /// An outcome counts for its task although the task was replayed since.
    GenerationIgnored,
    /// A dropped stream ends the leases of its worker.
    RequeueOnDrop,
    /// A start ends every lease that it finds in the journal.
    RequeueAtBoot,
    /// A restart forgets the longest session TTL ever promised.
    TtlForgotten,
    /// What could not be sent on one stream is sent on the next.
    UnsentSurvives,
    /// A restart counts tokens from the beginning.
    TokensReused,
    /// A worker forgets an outcome once it is sent.
    ForgottenWhenSent,
    /// What a worker says it holds is not compared with what the coordinator believes.
    NoInventory,
    /// A worker that stops because its session may have run out says that it drains.
    FencedSaysDraining,
    /// A worker goes on when its session may have run out.
    NoSelfFence,
    /// A coordinator acknowledges heartbeats without knowing that it has not been replaced. What is shipped does so, and
    /// relies on the lock of its data directory: there is no second coordinator.
    HeartbeatsUnconfirmed,
    /// A coordinator takes a hello for the latest although it has heard one of a later stream: it does not look at the
    /// hello's number.
    HellosOutOfOrder,
}

/// Every variant, a configuration in which it does harm, and the invariant that it breaks there first.
pub const VARIANTS: &[(Variant, &str, &str)] = &[
    (Variant::EffectsBeforeDurable, "calm", "I2"),
    (Variant::AnswersBeforeDurable, "calm", "I5"),
    (Variant::EndsBeforeDurable, "calm", "I3"),
    (Variant::GrantsUnwritten, "calm", "I7"),
    (Variant::FenceByWorker, "lone-silence", "I4"),
    (Variant::NoFence, "lone-silence", "I4"),
    (Variant::GenerationIgnored, "replay", "I27"),
    (Variant::RequeueOnDrop, "drops", "I1"),
    (Variant::RequeueAtBoot, "crashes", "I1"),
    (Variant::TtlForgotten, "shorter-ttl", "I1"),
    (Variant::UnsentSurvives, "drops", "I8"),
    (Variant::TokensReused, "crashes", "assertion"),
    (Variant::ForgottenWhenSent, "drops", "I8"),
    (Variant::NoInventory, "drops", "I20"),
    (Variant::FencedSaysDraining, "lone-silence", "I20"),
    (Variant::NoSelfFence, "silence", "I1"),
    (Variant::HeartbeatsUnconfirmed, "superseded-renewed", "I1"),
    (Variant::HellosOutOfOrder, "drops", "I8"),
];
