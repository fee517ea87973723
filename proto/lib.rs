//! The wire contract of Leasehold: the services and messages of `leasehold.v1`, and what KEDA asks of it.
//!
//! Generated from `proto/leasehold/v1/*.proto` and `proto/externalscaler/*.proto`. It depends on no other package of the repository and
//! knows nothing of how the coordinator or a worker is built.

mod codec;
pub mod duration;

pub use generated::{externalscaler, v1};

#[allow(
    clippy::pedantic,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    clippy::wildcard_enum_match_arm,
    clippy::clone_on_ref_ptr,
    clippy::unused_trait_names,
    clippy::large_enum_variant,
    unused_qualifications,
    unreachable_pub,
    reason = "generated code"
)]
mod generated {
    /// The services and messages of version 1.
    pub mod v1 {
        tonic::include_proto!("leasehold.v1");
    }

    /// The service by which KEDA asks how many workers there should be. Its names are KEDA's.
    pub mod externalscaler {
        tonic::include_proto!("externalscaler");
    }
}

impl v1::Reason {
    /// The reason as `ErrorInfo` carries it: its name without the enum's prefix, such as `QUEUE_FULL`.
    pub fn name(self) -> &'static str {
        let full = self.as_str_name();
        full.strip_prefix("REASON_").unwrap_or(full)
    }

    /// The reason that an `ErrorInfo` names; `None` if this version knows none of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::from_str_name(&format!("REASON_{name}"))
    }
}

/// The domain of every `ErrorInfo` this product sends.
pub const ERROR_DOMAIN: &str = "leasehold.dev";

/// How a coordinator says that it knows namespaces, among the features of `GetCluster`.
pub const NAMESPACES: &str = "namespaces";

/// How a coordinator says, there too, that it reads requests which say only how a task differs from the one before it.
pub const ALIKE: &str = "alike";

/// The metadata in which the answer to a stream of submits names the features of the coordinator, separated by commas.
pub const FEATURES_METADATA: &str = "leasehold-features";

/// The version of the worker protocol that this contract describes.
pub const PROTOCOL_VERSION: i32 = 1;

/// The encoded file descriptor set of the contract, for reflection and fingerprints.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/leasehold.v1.bin"));
