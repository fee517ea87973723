//! The methods that are served: their names for spans and metrics, and how long they last.

/// A method that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Method {
    /// Its full name; what is not served has one name in common, so that callers cannot invent series.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// How long a call lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One answer, at once.
    Unary,
    /// One answer, when something has happened.
    Waiting,
    /// A stream, as long as both sides like. A span over one would say nothing.
    Stream,
}

const OTHER: Method = Method { name: "_OTHER", kind: Kind::Unary };

/// Every method, by name.
pub(super) const METHODS: [(&str, Kind); 39] = [
    ("externalscaler.ExternalScaler/GetMetricSpec", Kind::Unary),
    ("externalscaler.ExternalScaler/GetMetrics", Kind::Unary),
    ("externalscaler.ExternalScaler/IsActive", Kind::Unary),
    ("externalscaler.ExternalScaler/StreamIsActive", Kind::Stream),
    ("externalscaler.ExternalScaler/StreamMetricSpec", Kind::Stream),
    ("grpc.health.v1.Health/Check", Kind::Unary),
    ("grpc.health.v1.Health/Watch", Kind::Stream),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Kind::Stream),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Kind::Stream),
    ("leasehold.v1.AdminService/DiffConfig", Kind::Unary),
    ("leasehold.v1.AdminService/DrainWorkers", Kind::Unary),
    ("leasehold.v1.AdminService/EvictWorker", Kind::Unary),
    ("leasehold.v1.AdminService/ExplainQueue", Kind::Unary),
    ("leasehold.v1.AdminService/FollowPool", Kind::Unary),
    ("leasehold.v1.AdminService/GetCluster", Kind::Unary),
    ("leasehold.v1.AdminService/GetConfig", Kind::Unary),
    ("leasehold.v1.AdminService/GetScaling", Kind::Unary),
    ("leasehold.v1.AdminService/ListBreakers", Kind::Unary),
    ("leasehold.v1.AdminService/ListNamespaces", Kind::Unary),
    ("leasehold.v1.AdminService/ListQueues", Kind::Unary),
    ("leasehold.v1.AdminService/ListWorkers", Kind::Unary),
    ("leasehold.v1.AdminService/PauseQueue", Kind::Unary),
    ("leasehold.v1.AdminService/ReloadConfig", Kind::Unary),
    ("leasehold.v1.AdminService/ResetBreaker", Kind::Unary),
    ("leasehold.v1.AdminService/ResumeQueue", Kind::Unary),
    ("leasehold.v1.AdminService/RevokeLease", Kind::Unary),
    ("leasehold.v1.DeadLetterService/GetDeadLetter", Kind::Unary),
    ("leasehold.v1.DeadLetterService/ListDeadLetters", Kind::Unary),
    ("leasehold.v1.DeadLetterService/ReplayDeadLetter", Kind::Unary),
    ("leasehold.v1.TaskService/AwaitTask", Kind::Waiting),
    ("leasehold.v1.TaskService/BatchSubmitTasks", Kind::Unary),
    ("leasehold.v1.TaskService/CancelTask", Kind::Unary),
    ("leasehold.v1.TaskService/ExplainTask", Kind::Unary),
    ("leasehold.v1.TaskService/GetTask", Kind::Unary),
    ("leasehold.v1.TaskService/ListTasks", Kind::Unary),
    ("leasehold.v1.TaskService/StreamSubmitTasks", Kind::Stream),
    ("leasehold.v1.TaskService/SubmitTask", Kind::Unary),
    ("leasehold.v1.TaskService/WatchTasks", Kind::Stream),
    ("leasehold.v1.WorkerService/Connect", Kind::Stream),
];

/// The method that the path of a call names.
pub(super) fn of(path: &str) -> Method {
    let name = path.strip_prefix('/').unwrap_or(path);
    let found = METHODS.binary_search_by_key(&name, |(name, _)| name);
    let known = found.ok().and_then(|at| METHODS.get(at));
    known.map_or(OTHER, |(name, kind)| Method { name, kind: *kind })
}

#[cfg(test)]
mod tests;
