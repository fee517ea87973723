//! Socket addresses as they are written in a configuration.

use std::net::SocketAddr;

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(source)?;
    text.parse().map_err(|_| {
        D::Error::custom(format_args!(
            "{text:?} is no address to listen on: write an IP address and a port, such as 127.0.0.1:7171"
        ))
    })
}

pub(super) fn serialize<S: Serializer>(value: &SocketAddr, sink: S) -> Result<S::Ok, S::Error> {
    sink.collect_str(value)
}
