//! The list is the contract's.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::{Kind, METHODS, OTHER, of};

/// Every method of a descriptor set, and whether one of its sides is a stream.
fn described(descriptors: &[u8]) -> BTreeSet<(String, bool)> {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let mut methods = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                methods.insert((name, method.client_streaming() || method.server_streaming()));
            }
        }
    }
    methods
}

#[test]
fn every_method_of_the_contract_is_known() {
    let mut expected = described(leasehold_proto::FILE_DESCRIPTOR_SET);
    expected.extend(described(tonic_health::pb::FILE_DESCRIPTOR_SET));
    expected.extend(described(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
    expected.extend(described(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
    let known: BTreeSet<_> =
        METHODS.iter().map(|(name, kind)| ((*name).to_owned(), *kind == Kind::Stream)).collect();
    // Health's newest method is not served by the library.
    expected.retain(|(name, _)| name != "grpc.health.v1.Health/List");
    assert_eq!(known, expected);
}

#[test]
fn the_list_is_sorted() {
    assert!(METHODS.is_sorted_by_key(|(name, _)| *name));
}

#[test]
fn paths_name_methods() {
    let found = of("/leasehold.v1.TaskService/AwaitTask");
    assert_eq!((found.name, found.kind), ("leasehold.v1.TaskService/AwaitTask", Kind::Waiting));
    for path in ["", "/", "/leasehold.v1.TaskService/Nonsense", "leasehold.v1.TaskService"] {
        assert_eq!(of(path), OTHER, "{path}");
    }
}
