//! Which addresses are taken, and what is said of the others.

use super::Client;
use crate::{ClientOptions, Error};

#[tokio::test]
async fn what_is_no_address_is_refused_by_name() {
    let cases = [
        ("127.0.0.1:7171", None),
        ("http://localhost:80", None),
        ("[::1]:7171", None),
        ("https://localhost:7171", Some("TLS is not supported yet")),
        ("HTTPS://localhost:7171", Some("TLS is not supported yet")),
        ("localhost", Some("it has no port")),
        ("http://localhost", Some("it has no port")),
        ("ftp://localhost:7171", Some("it does not begin with http://")),
        ("http://a b:1", Some("it cannot be parsed")),
        ("", Some("it cannot be parsed")),
    ];
    for (address, problem) in cases {
        let refused = Client::connect(address).err().map(|error| error.to_string());
        let said = refused.as_deref().and_then(|line| line.split_once(": ")).map(|(_, why)| why);
        assert_eq!(said.is_some(), problem.is_some(), "{address}: {refused:?}");
        if let Some(problem) = problem {
            assert!(refused.is_some_and(|line| line.ends_with(problem)), "{address}");
        }
    }
}

#[tokio::test]
async fn a_name_is_one_that_can_be_told() {
    let (longest, longer) = ("x".repeat(128), "x".repeat(129));
    let cases = [
        ("", true),
        ("ci-7", true),
        (longest.as_str(), true),
        (longer.as_str(), false),
        ("a b", false),
        ("ä", false),
    ];
    for (name, is_one) in cases {
        let made = Client::connect(ClientOptions::new("[::1]:7171").client_name(name));
        let refused = made.err().is_some_and(|error| matches!(error, Error::InvalidName { .. }));
        assert_eq!(refused, !is_one, "{name}");
    }
}
