//! A collector of traces: a real OTLP receiver over gRPC that keeps what it is sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    resource::v1::Resource,
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A span as it arrived, its ids in hex as `traceparent` writes them.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace_id: String,
    pub(crate) id: String,
    pub(crate) parent_id: String,
}

/// A running receiver; it stops when dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    _server: JoinSet<Result<(), tonic::transport::Error>>,
}

impl Collector {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let spans = Arc::default();
        let service = TraceServiceServer::new(Receiver { spans: Arc::clone(&spans) });
        let server = Server::builder().add_service(service);
        let mut running = JoinSet::new();
        running.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, spans, _server: running }
    }

    /// Everything that has arrived of one trace.
    pub(crate) fn trace(&self, trace_id: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|it| it.trace_id == trace_id).collect()
    }

    /// Everything that has arrived.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What makes a process send its spans here, and soon.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned())]
            .map(|(key, value)| (key.to_owned(), value))
            .to_vec()
    }
}

struct Receiver {
    spans: Arc<Mutex<Vec<Span>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut arrived = Vec::new();
        for batch in request.into_inner().resource_spans {
            let service = service_name(batch.resource.as_ref());
            let spans = batch.scope_spans.into_iter().flat_map(|it| it.spans);
            arrived.extend(spans.map(|it| Span {
                service: service.clone(),
                name: it.name,
                trace_id: hex(&it.trace_id),
                id: hex(&it.span_id),
                parent_id: hex(&it.parent_span_id),
            }));
        }
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).extend(arrived);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn service_name(resource: Option<&Resource>) -> String {
    let attributes = resource.map(|it| it.attributes.as_slice()).unwrap_or_default();
    let name = attributes.iter().find(|it| it.key == "service.name");
    match name.and_then(|it| it.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(name)) => name.clone(),
        other => panic!("a process sends spans without a name: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, it| format!("{text}{it:02x}"))
}
