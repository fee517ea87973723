//! Trace context in gRPC metadata.

use tonic::metadata::{MetadataMap, MetadataValue};

use crate::TraceContext;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

impl TraceContext {
    /// What the caller sent; `None` if it sent nothing valid.
    ///
    /// Two `traceparent` headers contradict each other and count as none; several `tracestate`
    /// headers are one list in pieces.
    pub fn from_metadata(metadata: &MetadataMap) -> Option<Self> {
        let mut parents = metadata.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
        let states: Option<Vec<&str>> =
            metadata.get_all(TRACESTATE).iter().map(|state| state.to_str().ok()).collect();
        Self::parse(parent.to_str().ok()?, &states.unwrap_or_default().join(","))
    }

    /// Writes the context into `metadata` in place of any that is there.
    pub fn inject(&self, metadata: &mut MetadataMap) {
        metadata.remove(TRACEPARENT);
        metadata.remove(TRACESTATE);
        // Both are ASCII by construction, so neither conversion fails.
        if let Ok(value) = MetadataValue::try_from(self.traceparent()) {
            metadata.insert(TRACEPARENT, value);
        }
        if let Ok(value) = MetadataValue::try_from(self.tracestate())
            && !value.is_empty()
        {
            metadata.insert(TRACESTATE, value);
        }
    }
}

#[cfg(test)]
mod tests;
