//! How a client connects, how long it waits and when it repeats a call. Knows no network.

use std::time::Duration;

use leasehold_policy::{Backoff, Jitter, namespace};

use crate::Error;

/// Where the coordinator is when nobody says otherwise.
pub(crate) const ADDRESS_DEFAULT: &str = "http://127.0.0.1:7171";

/// Long enough for a coordinator that restarts, short enough for a person.
const CALL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// A TCP handshake that takes longer than this will not happen.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// A coordinator that replays a large journal is back within this time.
const OUTAGE_MAX_DEFAULT: Duration = Duration::from_mins(2);

/// The longest time anything is waited for: timers and the header of a call's deadline end not far beyond.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_hours(365 * 24);

/// What the coordinator accepts as one message, with the room it leaves for framing.
const MESSAGE_BYTES_MAX_DEFAULT: usize = 4 * 1024 * 1024 + 64 * 1024;

/// The longest name of a client that the coordinator listens to.
const CLIENT_NAME_BYTES_MAX: usize = 128;

/// The pace of repeated calls: 100 ms doubled up to 5 s, drawn with full jitter.
const BACKOFF_DEFAULT: Backoff = Backoff {
    initial: Duration::from_millis(100),
    factor: 2.0,
    cap: Duration::from_secs(5),
    jitter: Jitter::Full,
};

/// Whether calls are repeated when the coordinator cannot be reached or asks for patience.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retry {
    /// Every call is made once.
    Never,
    /// Calls are repeated at this pace, never before the time a refusal names.
    WithBackoff(Backoff),
}

/// Whether a submit without an idempotency key is given one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GeneratedKeys {
    /// A random 128-bit key, so that a submit whose answer was lost can be repeated and still makes
    /// one task. The cost: about 100 bytes of the coordinator's key budget until an hour after the
    /// task's end.
    #[default]
    Random,
    /// None: a submit whose answer was lost is reported as such and not repeated.
    Absent,
}

/// How a [`Client`](crate::Client) behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    pub(crate) address: String,
    pub(crate) call_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) outage_max: Duration,
    pub(crate) message_bytes_max: usize,
    pub(crate) retry: Retry,
    pub(crate) generated_keys: GeneratedKeys,
    pub(crate) client_name: String,
    pub(crate) namespace: String,
}

impl ClientOptions {
    /// The defaults, for the coordinator at `address`: `http://host:port`, or `host:port`.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), ..Self::default() }
    }

    /// How long one call may take, its repetitions included. Default 30 s; more than a year
    /// means a year.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout.min(TIMEOUT_MAX);
        self
    }

    /// How long one attempt to connect may take. Default 5 s; more than a year means a year.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.min(TIMEOUT_MAX);
        self
    }

    /// How long a wait, a watch or a submit stream sits out a coordinator that was there and went away.
    /// Default 2 min. One that was never reached is given up after the call timeout.
    #[must_use]
    pub fn outage_max(mut self, limit: Duration) -> Self {
        self.outage_max = limit.min(TIMEOUT_MAX);
        self
    }

    /// The largest message received, and the largest task sent on a stream, in bytes. Default
    /// 4 MiB + 64 KiB, as the coordinator's own limit.
    #[must_use]
    pub fn message_bytes_max(mut self, limit: usize) -> Self {
        self.message_bytes_max = limit;
        self
    }

    /// Whether and at what pace calls are repeated. Default: 100 ms doubled up to 5 s, full jitter.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Whether submits without an idempotency key are given one. Default: yes, unless calls are never
    /// repeated.
    #[must_use]
    pub fn generated_keys(mut self, keys: GeneratedKeys) -> Self {
        self.generated_keys = keys;
        self
    }

    /// What the coordinator is to call this client, 1 to 128 visible ASCII characters: clients of one name share one
    /// `limits.submit_rate`. Default: none, and the coordinator goes by the address it is called from.
    #[must_use]
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = name.into();
        self
    }

    /// Of which namespace its tasks and queues are: 1 to 63 characters of `A-Z a-z 0-9 . _ -`. A task that is named by its id is
    /// found whatever its namespace. Default "default".
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The namespace that it names, if that is not the one of whoever names none.
    pub(crate) fn other_namespace(&self) -> Option<&str> {
        Some(&*self.namespace).filter(|it| !it.is_empty() && *it != namespace::DEFAULT)
    }

    /// Refuses a message that the coordinator would not take. Only a stream asks: there the
    /// coordinator's own refusal would end the call, and the other tasks on it.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<(), Error> {
        let limit = self.message_bytes_max;
        if bytes <= limit {
            return Ok(());
        }
        Err(Error::MessageTooLarge { found: bytes.to_string(), limit: limit.to_string() })
    }

    /// Refuses a name that cannot be told.
    pub(crate) fn check_name(&self) -> Result<(), Error> {
        let name = &self.client_name;
        if name.len() <= CLIENT_NAME_BYTES_MAX && name.bytes().all(|c| c.is_ascii_graphic()) {
            return Ok(());
        }
        Err(Error::InvalidName { name: name.clone() })
    }

    /// Whether a submit without a key gets one: only worth its cost if calls are repeated at all.
    pub(crate) fn generates_keys(&self) -> bool {
        self.retry != Retry::Never && self.generated_keys == GeneratedKeys::Random
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            address: ADDRESS_DEFAULT.to_owned(),
            call_timeout: CALL_TIMEOUT_DEFAULT,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            outage_max: OUTAGE_MAX_DEFAULT,
            message_bytes_max: MESSAGE_BYTES_MAX_DEFAULT,
            retry: Retry::WithBackoff(BACKOFF_DEFAULT),
            generated_keys: GeneratedKeys::Random,
            client_name: String::new(),
            namespace: String::new(),
        }
    }
}

impl From<&str> for ClientOptions {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

impl From<String> for ClientOptions {
    fn from(address: String) -> Self {
        Self::new(address)
    }
}
