//! The operator's HTTP port: metrics for Prometheus, health for whoever restarts the process or sends it work.
//!
//! It answers from what is in memory and asks neither the engine nor the disk: it must answer when they do not.

use std::io;

use axum::{
    Router,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE},
    },
    middleware::map_response,
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    handle::{Handle, Unavailable},
    metrics::Metrics,
    transport::Acceptor,
};

#[cfg(test)]
mod tests;

/// A scraper, a probe, a person: nobody needs more connections at once.
pub const CONNECTIONS_MAX: u32 = 64;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How far the process is: the handle appears when the engine has read the journal.
pub type Progress = watch::Receiver<Option<Handle>>;

/// What the port tells.
#[derive(Clone, Debug)]
pub struct Ops {
    /// What is counted.
    pub metrics: Metrics,
    /// How far the process is.
    pub progress: Progress,
}

impl Ops {
    /// Serves until `stopping` is cancelled.
    pub async fn serve(self, acceptor: Acceptor, stopping: CancellationToken) -> io::Result<()> {
        let stop = stopping.cancelled_owned();
        axum::serve(acceptor.for_visits(), self.routes()).with_graceful_shutdown(stop).await
    }

    fn routes(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(alive))
            .route("/readyz", get(ready))
            .layer(map_response(goodbye))
            .with_state(self)
    }

    /// Why the process should get no work; none: it should.
    ///
    /// A full disk is no reason: everything but new tasks is served, and no other coordinator could do better.
    fn unready(&self) -> Option<&'static str> {
        let admission = self.progress.borrow().as_ref().map(Handle::admission);
        let Some(admission) = admission else { return Some("recovering") };
        match admission {
            Err(Unavailable::ShuttingDown) => Some("shutting down"),
            Err(Unavailable::Stopped) => Some("stopped"),
            Ok(())
            | Err(
                Unavailable::StorageFull { .. }
                | Unavailable::Overloaded { .. }
                | Unavailable::Unreadable,
            ) => None,
        }
    }
}

/// Ends the connection with its first answer: an idle one would keep somebody else out.
async fn goodbye(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn metrics(State(ops): State<Ops>) -> Response {
    match ops.metrics.render() {
        Ok(page) => ([(CONTENT_TYPE, OPENMETRICS)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot print the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// That this is answered says it all.
async fn alive() -> &'static str {
    "ok\n"
}

async fn ready(State(ops): State<Ops>) -> (StatusCode, String) {
    match ops.unready() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
