//! A data directory belongs to one process at a time, and only to this product, at no later version than its own.

use std::{fs, net::SocketAddr, path::Path};

use crate::{
    client::spec,
    condition::SOON,
    coordinator::{self, Coordinator},
    process::Process,
};

/// Where the header of a SQLite file keeps the number that this product calls its format.
const FORMAT_AT: usize = 60;

/// Where it keeps the number that names the product.
const PRODUCT_AT: usize = 68;

#[tokio::test]
async fn a_second_coordinator_on_the_directory_names_the_first_and_goes() {
    let coordinator = Coordinator::start().await;
    let mut second = start_on(&coordinator.data(), coordinator.dir(), "second");
    second.exits_with(73, SOON).await;
    let log = second.log();
    let pid = coordinator.process.pid().as_raw_nonzero().to_string();
    assert!(log.contains(&pid), "the holder's process {pid} is named:\n{log}");
    assert!(log.contains(&coordinator.address.to_string()), "so is its address:\n{log}");
    coordinator.client().submit(spec("echo")).await;
}

#[tokio::test]
async fn a_file_of_a_later_version_or_another_product_is_refused_untouched() {
    let mut coordinator = Coordinator::start().await;
    coordinator.client().submit(spec("echo")).await;
    coordinator.stop().await;
    let path = coordinator.data().join("leasehold.db");
    let sound = fs::read(&path).expect("the journal is one file");
    for (case, at) in [("later", FORMAT_AT), ("foreign", PRODUCT_AT)] {
        let mut changed = sound.clone();
        changed[at..at + 4].copy_from_slice(&0x7fff_fffe_u32.to_be_bytes());
        fs::write(&path, &changed).expect("the journal can be changed");
        let mut refused = start_on(&coordinator.data(), coordinator.dir(), case);
        let status = refused.exit(SOON).await;
        // 75 would ask a supervisor to try again, and nothing would be different then.
        assert!(
            !matches!(status.code(), None | Some(0 | 75)),
            "{case}: {status}\n{}",
            refused.log()
        );
        assert!(refused.log().contains("leasehold.db"), "{case}: {}", refused.log());
        assert!(fs::read(&path).expect("it is still there") == changed, "{case}: it was touched");
    }
    fs::write(&path, &sound).expect("the journal can be put back");
    coordinator.restart().await;
    assert_eq!(coordinator.client().list("default").await.len(), 1);
}

/// Starts a coordinator that is not expected to stay.
fn start_on(data: &Path, logs: &Path, name: &str) -> Process {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let command = coordinator::command(data, any, any);
    Process::spawn(name, command, logs.join(format!("{name}.log")))
}
