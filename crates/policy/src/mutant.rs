//! Deliberate bugs, one at a time, by which the simulator proves that it would see them.
//!
//! Only a build with the feature `mutants` has any: without it every question is answered with a constant no, and the
//! compiler takes the question away. Each mutant stands at the line of the rule it breaks.

#[cfg(feature = "mutants")]
use std::cell::Cell;

#[cfg(feature = "mutants")]
thread_local! {
    /// Which mutant is alive on this thread; 0: none. A simulation runs on one thread, so that each can hunt its own.
    static ALIVE: Cell<u8> = const { Cell::new(0) };
}

macro_rules! mutants {
    ($($name:ident = $text:literal,)*) => {
        /// A deliberate bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Mutant { $(#[doc = $text] $name,)* }

        impl Mutant {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it does wrong.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

mutants! {
    EffectsBeforeDurable = "effects leave before their batch is durable",
    OneBatchEarly = "effects wait for the batch before theirs",
    FenceByWorker = "an outcome is fenced by its worker, not by its token",
    NoFence = "a late outcome is accepted",
    DuplicateCalledStale = "a repeated outcome is called stale",
    RequeueOnDrop = "leases end with their stream",
    TokenReuse = "tokens begin anew with each process",
    KeysForgottenAtBoot = "idempotency keys are not rebuilt",
    KeyNotKept = "an idempotency key ends with its task",
    KeyDroppedByTrim = "a trim drops kept keys",
    TrimDropsLive = "a trim drops live tasks",
    MoveForgetsCancel = "a moved task forgets that it was cancelled",
    TtlShortenedAtBoot = "the longest promised TTL is forgotten over a restart",
    LongerTtlUnpromised = "a longer TTL is promised to workers before it is written down",
    TtlFollowsConfig = "a session is believed in for as long as is configured now, not as its worker was promised",
    LeaseForgottenAtBoot = "leases are forgotten at boot",
    NoGraceAtBoot = "leases found at boot get no grace",
    CancelForgottenAtBoot = "a cancel is forgotten over a restart",
    PauseForgottenAtBoot = "a pause is forgotten over a restart",
    StallNotShifted = "a stall of the coordinator costs sessions their time",
    DriftIgnored = "the coordinator gives a session up before its worker does",
    NeverExpires = "sessions never expire",
    ExpiryForgetsLeases = "the leases of an expired session never end",
    DisconnectExpires = "a session ends with its stream",
    CulledByTheUsual = "a task is ended that has less time left than most runs take, though some took less",
    PausedGranted = "tasks of a paused queue are leased",
    AttemptsNotCounted = "failed attempts are not counted",
    LossesNotCounted = "lost workers are not counted",
    HandedBackCosts = "a lease that is handed back costs an attempt",
    FailureCostsNothing = "a failed attempt costs nothing",
    RevokedAtOnce = "a revoked lease is given to others at once",
    HelloForgetsRunning = "what a hello says is running is taken for lost",
    HeartbeatForgetsHeld = "what a heartbeat names is taken for missing",
    CancelGoesOn = "a cancelled task is tried again",
    WaitNeverEnds = "a wait never ends",
    GenerationKept = "a replay keeps the generation",
    OvertakenHelloHeard = "a hello that was overtaken is listened to",
    StartIgnored = "a hello of an earlier process is listened to if it arrives late enough",
    SilentOutlives = "a process that never answers keeps the one that lives away",
    ReplacedKept = "a process that is known to be gone keeps its leases until its time is over",
    AllReplaced = "a new process of a worker ends the sessions of all before it",
    NoOutbox = "an outcome is forgotten when it is sent",
    AllAlike = "an assignment is said to be like the one before it whatever that says",
    OutboxNotRepeated = "outcomes are not said again on a new stream",
    FencesLate = "a worker believes in its leases too long",
    NeverFences = "a worker never fences itself",
    ValidFromReceipt = "a worker counts from when an answer arrived",
    PromiseKept = "a worker keeps a longer promise under shorter terms",
    KillForgotten = "work is not killed when its grace is over",
    DoubtSaidAsDrain = "a worker that doubts its session says that it drains",
    InventoryIncomplete = "a hello does not name what runs",
    FinishedNotNamed = "a hello does not name what waits to be acknowledged",
    PriorityIgnored = "the order of tasks does not look at their priorities",
    ZombieSlotFree = "the slot of a cancelled task is free before its worker has spoken",
    LostWorkTakesNoSlot = "work of a lost lease takes no slot though it goes on",
    HardLimitForgotten = "the coordinator relies on the worker to end an attempt in time",
    TotalLimitForgotten = "the total time of a leased task does not run out",
    CancelWaitsForEver = "a cancelled task waits for its worker for ever",
    HushNeverEnds = "a worker that once had no capacity is never asked again",
    CancelDenied = "a cancel of a leased task is answered as if it had ended",
    DeadLetterForgotten = "a failed task leaves no dead letter",
    NeverRetracted = "what was leased ahead is never asked back",
    RetractedCosts = "a lease that is asked back costs an attempt",
    RunningGivenBack = "a worker gives back a lease whose work it has begun",
    PrefetchUnbounded = "a worker is leased more ahead than it said it takes",
    LossCalledStop = "a lost lease is said to have been stopped",
    OnceTriedAgain = "a task that runs at most once is tried again when its worker is lost",
    OnceUnheard = "what was never acknowledged counts as not started for a task that runs once",
    StrictGivesUp = "a task is leased again though its worker has not stopped",
    SharedWaits = "a task that need not wait for its last worker does",
    QueueTimeoutForgotten = "a task waits for its first start for ever",
    SilenceForgotten = "work that makes no progress goes on",
    ProgressUnheard = "what work says of its progress is no sign of life",
    EvictedHeard = "an evicted worker is acknowledged as if nothing had happened",
    CheckpointNotNewest = "the first checkpoint of a task is kept, not the newest",
    CheckpointUnfenced = "a checkpoint of a lease that is over is kept",
    MoveForgetsCheckpoint = "a moved task forgets its checkpoint",
    CheckpointLeftBehind = "an outcome overtakes what its handler had saved",
    LateAnyway = "a late result counts in a queue that does not want it",
    LateRefused = "a late result of the newest lease is stale in a queue that wants it",
    ExtensionUnwritten = "more time is granted and not written down",
    ExtensionForgottenAtBoot = "what an attempt was given is forgotten over a restart",
    ExtensionShortens = "who asks for less time than he has loses the rest",
    ExtensionUnbounded = "an attempt is given more time than one may have",
    ExtensionAtOnce = "a worker gives work the time that it asks for",
    ExtensionFromReceipt = "a worker counts more time from when the answer arrived",
    ExtensionUnheard = "a worker does not hear that work was given more time",
    GuardedLonger = "guards may believe in leases for longer than their worker",
    GuardNotTold = "guards are not told that the session goes on",
    TurnedAwayPays = "who is turned away at the door takes a place all the same",
    ValveShut = "nothing less urgent goes before what is more urgent, however long it waits",
    ValveOpen = "the oldest goes before what is more urgent at every grant",
    SchemaIgnored = "a task goes to workers that do not read its payload",
    SelectorIgnored = "a task goes to any worker that serves its type, whatever labels it asks for",
    GateNeverOpens = "who waits for tokens is not looked at again when they have come",
    PermitFreeAtRevoke = "the permits of a lease are free as soon as it is revoked",
    PermitsForgottenAtBoot = "the leases that are found at boot hold no permits",
    PermitBeyondCap = "one permit more than there are is given away",
    BucketsFullAtBoot = "a restart fills every bucket",
    RefundUnbounded = "a charge that comes back late comes back whole",
    SizeIgnored = "a lease is granted where one slot is free, however much it takes",
    SizeForgottenAtBoot = "the leases that are found at boot take one slot each",
    ReservedForEver = "a session stays reserved for a task that does not wait any more",
    ProbesUnbounded = "a half-open circuit lets everybody through",
    ProbeNeverLeaves = "a probe that is over keeps its place",
    ExplainedBriefly = "an explanation names only the first thing that holds a task",
    QuotaBeyond = "a namespace has one task more open than it may",
    QuotaForgottenAtBoot = "what is open over a restart counts against no quota",
    PayloadLost = "a payload that was let go comes back empty",
    PayloadMistaken = "a payload that was read ahead is that of the task before it",
    RowTwice = "a replayed dead letter stays in its table",
}

impl Mutant {
    /// Whether it is alive.
    #[cfg(feature = "mutants")]
    pub fn is_alive(self) -> bool {
        ALIVE.get() == self as u8 + 1
    }

    /// Whether it is alive: never.
    #[cfg(not(feature = "mutants"))]
    #[expect(clippy::unused_self, reason = "the answer is the same for all")]
    pub const fn is_alive(self) -> bool {
        false
    }

    /// Brings it to life on this thread, in place of the one that was.
    #[cfg(feature = "mutants")]
    pub fn live(self) {
        ALIVE.set(self as u8 + 1);
    }

    /// No mutant is alive on this thread.
    #[cfg(feature = "mutants")]
    pub fn none() {
        ALIVE.set(0);
    }
}
