//! The client: one lazily opened connection and the options every call obeys.

use std::sync::Arc;

use leasehold_proto::{
    NAMESPACES,
    v1::{
        self, admin_service_client::AdminServiceClient,
        dead_letter_service_client::DeadLetterServiceClient,
        task_service_client::TaskServiceClient,
    },
};
use tokio::sync::OnceCell;
use tonic::transport::{Channel, Endpoint};

use crate::{
    ClientOptions, Error,
    call::{Call, call_span},
    outage::{Outage, Repeat},
};

/// HTTP/2 windows. Received small frames are budgeted at half the connection's window, so a busy
/// stream needs a large one.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// How often a call in flight asks whether the coordinator's machine still answers, and for how long.
const KEEPALIVE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// What an operator's list may hold: every worker with its task types and leases comes in one message.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connection to a coordinator. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    options: Arc<ClientOptions>,
    /// Set once the coordinator has said that it knows namespaces.
    knows_namespaces: Arc<OnceCell<()>>,
}

impl Client {
    /// A client of the coordinator at an address, or with [`ClientOptions`].
    ///
    /// Nothing is sent: the connection is opened by the first call, and again whenever it broke.
    /// Call it inside a tokio runtime, which drives the connection.
    pub fn connect(options: impl Into<ClientOptions>) -> Result<Self, Error> {
        Self::connect_with(options, |endpoint| endpoint.connect_lazy())
    }

    /// The same over connections of the caller's making, such as through a tunnel: `dial` turns the endpoint, with
    /// everything the client wants of it, into a channel.
    pub fn connect_with(
        options: impl Into<ClientOptions>,
        dial: impl FnOnce(Endpoint) -> Channel,
    ) -> Result<Self, Error> {
        let mut options = options.into();
        if !options.address.contains("://") {
            options.address = format!("http://{}", options.address);
        }
        options.check_name()?;
        let endpoint = endpoint(&options.address)?
            .connect_timeout(options.connect_timeout)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .tcp_nodelay(true)
            .user_agent(concat!("leasehold-client/", env!("CARGO_PKG_VERSION")))
            .map_err(|_| invalid_address(&options.address, "the client has no name"))?;
        Ok(Self {
            channel: dial(endpoint),
            options: Arc::new(options),
            knows_namespaces: Arc::default(),
        })
    }

    /// Shows one task.
    pub async fn get(&self, task_id: &str) -> Result<v1::Task, Error> {
        let request = v1::GetTaskRequest { task_id: task_id.to_owned() };
        let response = self
            .call("leasehold.v1.TaskService/GetTask", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.task_service();
                async move { service.get_task(request).await }
            })
            .await?;
        response.task.ok_or_else(|| self.malformed("a task"))
    }

    /// Says why a task is where it is: everything that holds it back, what would change that, and how it is likely to fare.
    pub async fn explain(&self, task_id: &str) -> Result<v1::Explanation, Error> {
        let request = v1::ExplainTaskRequest { task_id: task_id.to_owned() };
        let response = self
            .call("leasehold.v1.TaskService/ExplainTask", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.task_service();
                async move { service.explain_task(request).await }
            })
            .await?;
        response.explanation.ok_or_else(|| self.malformed("an explanation"))
    }

    /// Asks for a task to end, durably. Its state says whether it has ended or is still being stopped.
    pub async fn cancel(&self, task_id: &str) -> Result<v1::Task, Error> {
        let request = v1::CancelTaskRequest { task_id: task_id.to_owned() };
        let response = self
            .call("leasehold.v1.TaskService/CancelTask", Repeat::Safe)
            .unary(request, |request| {
                let mut service = self.task_service();
                async move { service.cancel_task(request).await }
            })
            .await?;
        response.task.ok_or_else(|| self.malformed("a task"))
    }

    /// Where the coordinator should be.
    pub fn address(&self) -> &str {
        &self.options.address
    }

    /// Before a namespace is first named: a coordinator that knows none would overlook it, and do with "default" what was
    /// meant for another.
    pub(crate) async fn check_namespace(&self) -> Result<(), Error> {
        let Some(namespace) = self.options.other_namespace() else { return Ok(()) };
        let asked = async || {
            let features = self.cluster().await?.features;
            let is_known = features.iter().any(|it| it == NAMESPACES);
            let unknown = || Error::NoNamespaces {
                address: self.options.address.clone(),
                namespace: namespace.to_owned(),
            };
            is_known.then_some(()).ok_or_else(unknown)
        };
        self.knows_namespaces.get_or_try_init(asked).await.copied()
    }

    /// The namespace of everything that is not named by an id, as a request has it.
    pub(crate) fn namespace(&self) -> String {
        self.options.namespace.clone()
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// A call of `method`, written `package.Service/Method`.
    pub(crate) fn call(&self, method: &'static str, repeat: Repeat) -> Call<'_> {
        Call::new(&self.options, repeat, call_span(method))
    }

    /// The outages of something that lasts: short before the coordinator has been reached, so that a
    /// wrong address is found out; long afterwards, so that a restart is sat out.
    pub(crate) fn outage(&self) -> Outage {
        let ClientOptions { retry, call_timeout, outage_max, .. } = *self.options;
        Outage::new(retry, call_timeout).later(outage_max)
    }

    pub(crate) fn task_service(&self) -> TaskServiceClient<Channel> {
        TaskServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.message_bytes_max)
    }

    pub(crate) fn dead_letter_service(&self) -> DeadLetterServiceClient<Channel> {
        DeadLetterServiceClient::new(self.channel.clone())
            .max_decoding_message_size(self.options.message_bytes_max)
    }

    pub(crate) fn admin_service(&self) -> AdminServiceClient<Channel> {
        let limit = self.options.message_bytes_max.max(LIST_BYTES_MAX);
        AdminServiceClient::new(self.channel.clone()).max_decoding_message_size(limit)
    }

    pub(crate) fn malformed(&self, missing: &'static str) -> Error {
        Error::Malformed { address: self.options.address.clone(), missing }
    }
}

/// Where a coordinator listens. What would be spoken to in clear text although it says otherwise, or at a
/// port that nobody named, is none.
fn endpoint(address: &str) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|_| invalid_address(address, "it cannot be parsed"))?;
    let problem = match endpoint.uri().scheme_str() {
        Some("https") => Some("TLS is not supported yet"),
        Some("http") if endpoint.uri().port_u16().is_none() => Some("it has no port"),
        Some("http") => None,
        Some(_) | None => Some("it does not begin with http://"),
    };
    match problem {
        Some(problem) => Err(invalid_address(address, problem)),
        None => Ok(endpoint),
    }
}

fn invalid_address(address: &str, problem: &'static str) -> Error {
    Error::InvalidAddress { address: address.to_owned(), problem }
}

#[cfg(test)]
mod tests;
