//! The gRPC server: one listener for clients, workers and operators, hardened against all of them.
//!
//! The libraries' defaults bound little: connections, streams, resets, headers and messages get their bounds here. It
//! knows nothing of what the services do.

use std::{io, time::Duration};

use futures_util::Stream;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use leasehold_proto::externalscaler::external_scaler_server::ExternalScalerServer;
use leasehold_proto::v1::{
    admin_service_server::AdminServiceServer,
    dead_letter_service_server::DeadLetterServiceServer,
    task_service_server::TaskServiceServer,
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::{Routes, RoutesBuilder},
    transport::server::{Connected, TcpConnectInfo},
};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};
use tower::Layer as _;

use crate::{
    handle::Handle,
    metrics::Metrics,
    reload::Reloader,
    scaling::Scaling,
    service::{AdminApi, DeadLetterApi, ScalerApi, TaskApi},
};

mod acceptor;
mod connection;
mod deadline;
mod method;
mod rpc;
mod server;
#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, connections_max};
pub use deadline::CallDeadline;

use rpc::RpcLayer;

/// Streams of one connection: a worker needs one, a client that waits for many tasks some dozens.
const STREAMS_MAX: u32 = 128;

/// Streams that this side had to reset before the connection is given up: a peer that provokes resets
/// (`MadeYouReset`) never stops by itself. The count is for the life of a connection.
const LOCAL_RESETS_MAX: usize = 1_024;

/// Streams reset by the peer that have not been looked at yet ("rapid reset").
const PENDING_RESETS_MAX: usize = 20;

/// The headers of one call.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// What a connection remembers of headers that were sent to it, so that they can be sent in short: nothing. A worker makes
/// one call in hours.
const HEADER_TABLE_BYTES: u32 = 0;

/// What may be under way on one stream: a few messages.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// What may be under way on one connection. The library tolerates small frames up to half of it, so that a smaller
/// one would end busy connections of workers.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// A dead peer is noticed within both together. Leases do not depend on it.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// One message: 4 MiB of content and what is wrapped around it.
pub const MESSAGE_BYTES_MAX: usize = (4 << 20) + (64 << 10);

/// The services whose health is told apart; the empty name is the process.
const HEALTH_NAMES: [&str; 3] = ["", "leasehold.v1.TaskService", "leasehold.v1.WorkerService"];

/// Whether the process says that it serves, over gRPC. Starts with no.
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    /// Not serving yet.
    pub async fn starting() -> Self {
        let health = Self(HealthReporter::new());
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// From here on: serving.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// From here on: not serving, so that callers look elsewhere before the connection ends.
    pub async fn stopping(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for name in HEALTH_NAMES {
            self.0.set_service_status(name, status).await;
        }
    }
}

/// Everything that is served on one port.
#[derive(Debug)]
pub struct Services<W> {
    /// The way to the engine.
    pub handle: Handle,
    /// How many workers there should be.
    pub scaling: Scaling,
    /// The worker stream.
    pub worker: W,
    /// Who looks at the configuration file.
    pub reloader: Reloader,
    /// Whether it serves.
    pub health: Health,
    /// What is counted.
    pub metrics: Metrics,
    /// Cancelled when the process begins to end: waits and streams end, connections are told to go elsewhere.
    pub stopping: CancellationToken,
}

impl<W: WorkerService> Services<W> {
    /// Serves whoever comes until `stopping` is cancelled and every call has ended. The worker's stream ends when its
    /// service ends it.
    pub async fn serve<C>(self, incoming: impl Stream<Item = io::Result<C>>)
    where
        C: AsyncRead
            + AsyncWrite
            + Connected<ConnectInfo = TcpConnectInfo>
            + Unpin
            + Send
            + 'static,
    {
        let layer = RpcLayer::new(self.metrics.clone());
        let stopping = self.stopping.clone();
        server::serve(&protocol(), layer.layer(self.routes()), incoming, stopping).await;
    }

    fn routes(self) -> Routes {
        let Self { handle, scaling, worker, reloader, health, metrics, stopping } = self;
        let scaler = ScalerApi::new(scaling.clone(), stopping.clone());
        let tasks = TaskApi::new(handle.clone(), metrics, stopping);
        let dead = DeadLetterApi::new(handle.clone());
        let admin = AdminApi::new(handle, scaling, reloader);
        let health = HealthService::from_health_reporter(health.0);
        let mut routes = Routes::builder();
        routes
            .add_service(TaskServiceServer::new(tasks).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(
                WorkerServiceServer::new(worker).max_decoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(DeadLetterServiceServer::new(dead))
            .add_service(AdminServiceServer::new(admin))
            .add_service(ExternalScalerServer::new(scaler))
            .add_service(HealthServer::new(health));
        reflection(&mut routes);
        routes.routes().prepare()
    }
}

/// Adds reflection in both versions that tools speak. Without it, everything else serves on.
fn reflection(routes: &mut RoutesBuilder) {
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(leasehold_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (describe().build_v1(), describe().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            routes.add_service(v1).add_service(v1alpha);
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "cannot offer reflection"),
    }
}

fn protocol() -> http2::Builder<TokioExecutor> {
    let mut protocol = http2::Builder::new(TokioExecutor::new());
    protocol
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .header_table_size(HEADER_TABLE_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        // Nobody reads it, and each connection would remember it.
        .auto_date_header(false);
    protocol
}
