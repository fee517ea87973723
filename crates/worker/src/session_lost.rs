//! What becomes of running work when the worker can no longer prove that its session goes on.

/// What a worker does with work that runs when it has not been acknowledged for so long that its session may be over.
///
/// Work that has not begun is given back in either case, and work whose lease the coordinator says is over is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSessionLost {
    /// It is stopped before the session can be over, so that nobody else has the task while it runs.
    #[default]
    Stop,
    /// It goes on, and its result is delivered when the coordinator answers again. Somebody else may have the task by then:
    /// the coordinator compares fencing tokens and takes one result, but both have run. For work that may run twice at once,
    /// and costs more to begin again than to finish.
    Finish,
}
