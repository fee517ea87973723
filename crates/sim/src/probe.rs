//! What has to happen sometimes: a search in which one of these never does has looked at too little.

/// Which of them happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes(u64);

macro_rules! probes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something that has to happen sometimes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Probe { $(#[doc = $text] $name,)* }

        impl Probe {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// In words.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

probes! {
    OutcomeAccepted = "an outcome was accepted",
    OutcomeStale = "a late outcome was fenced",
    OutcomeDuplicate = "a repeated outcome was recognised",
    VerdictRetained = "a lease was retained at a hello",
    VerdictLost = "a lease was lost at a hello",
    SessionExpired = "a session expired",
    SessionResumed = "a session went on over a new stream",
    LeaseSurvivedRestart = "a lease was kept over a restart",
    WorkerFenced = "a worker fenced itself",
    WorkerWokeLate = "a worker woke up beyond its leases",
    Evicted = "a worker was evicted",
    Configured = "another configuration held without a restart",
    OperatorRevoked = "an operator took a lease away",
    Quarantined = "a worker was quarantined",
    QuotaReached = "a namespace had as much open as it may",
    LimitReached = "all the permits of a limit were taken",
    GoodbyeSaid = "a worker said goodbye",
    HandedBack = "a lease was handed back",
    LossLimit = "a task died of lost workers",
    AttemptsExhausted = "a task used up its attempts",
    AttemptTimeout = "an attempt ran out of time",
    TotalTimeout = "a task ran out of time",
    StartTimeout = "a task was not started in time",
    Hung = "work was stopped because it made no progress",
    Resumed = "an attempt went on from a checkpoint",
    AssignedAlike = "an assignment said only how it differs from the one before",
    OutcomeUnknown = "a task that runs once was lost with its worker",
    QueueTimeout = "a task was not started within its queue timeout",
    GivenUp = "a task was leased again while its last worker did not stop",
    CancelledLeased = "a leased task was cancelled",
    CancelLost = "a result won against a cancel",
    KeyKnown = "an idempotency key was known",
    KeyKnownAfterRestart = "an idempotency key was known over a restart",
    Replayed = "a dead letter was replayed",
    Paused = "a queue was paused",
    BatchLost = "a crash lost a batch",
    BatchKept = "a crash kept a batch that nobody had heard of",
    CrashInRecovery = "a coordinator died before its first batch was durable",
    DiskFull = "an append met a full disk",
    AppendFailed = "an append failed",
    AppendFailedButDone = "an append failed and was durable",
    Stalled = "the coordinator was held up",
    Slept = "the coordinator's machine slept",
    RefusedFull = "a submit was refused for want of room on the disk",
    Doubled = "a call arrived twice",
    Ruined = "a worker never came back",
    HalfOpen = "a stream was given up that nobody had ended",
    LateFrame = "a frame arrived on a stream that had been replaced",
    Trimmed = "the journal was trimmed",
    Moved = "a task was written again for a trim",
    Terminated = "a coordinator ended in order",
    Replaced = "a session ended because its process was known to be gone",
    StuckHandler = "a handler outlived its kill",
    Recovered = "a journal was read back",
    Extended = "work was given more time",
    GuardKilled = "a guard ended the work of a worker that stood still",
    LateAccepted = "a late result counted",
    TurnedAway = "a worker was turned away because too many came",
    CircuitOpened = "a circuit opened",
    CircuitClosed = "a circuit closed after it had been open",
    Compared = "a rebuilt queue was compared with the live one",
}

impl Probes {
    /// It happened.
    pub const fn hit(&mut self, probe: Probe) {
        self.0 |= 1 << (probe as u8);
    }

    /// Whether it happened.
    pub const fn has(self, probe: Probe) -> bool {
        self.0 & 1 << (probe as u8) != 0
    }

    /// What happened in either.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What never happened.
    pub fn missed(self) -> Vec<Probe> {
        Probe::ALL.iter().copied().filter(|probe| !self.has(*probe)).collect()
    }
}
