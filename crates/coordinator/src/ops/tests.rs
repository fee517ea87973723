//! The pages of the port, over real sockets.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{CONNECTIONS_MAX, Ops};
use crate::{
    archive::{Archive, Desk},
    engine::Inbox,
    handle::{Handle, Unavailable},
    metrics::Metrics,
    status::Status,
    transport::Acceptor,
};

/// What the port says, as it came over the wire.
async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn check(answer: &str, code: u16, end: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    assert!(answer.ends_with(end), "{answer}");
}

#[tokio::test]
async fn the_port_tells_how_far_the_process_is() {
    let metrics = Metrics::default();
    let any = "127.0.0.1:0".parse().unwrap();
    let acceptor = Acceptor::bind(any, CONNECTIONS_MAX, metrics.clone()).await.unwrap();
    let address = acceptor.address().unwrap();
    let (progress, watched) = watch::channel(None);
    let stopping = CancellationToken::new();
    let ops = Ops { metrics: metrics.clone(), progress: watched };
    let mut server = JoinSet::new();
    server.spawn(ops.serve(acceptor, stopping.clone()));

    check(&get(address, "/healthz").await, 200, "ok\n");
    check(&get(address, "/readyz").await, 503, "recovering\n");

    let dir = tempfile::tempdir().unwrap();
    let journal =
        leasehold_journal::Journal::open(dir.path(), leasehold_journal::Options::default())
            .unwrap();
    let status = std::sync::Arc::new(Status::new(
        "j".to_owned(),
        1,
        leasehold_policy::Time::default(),
        crate::status::Applied::default(),
    ));
    let (senders, _inbox) = Inbox::new();
    let archive = Archive::open(&journal, Desk::Threads).unwrap();
    let shared = std::sync::Arc::clone(&status);
    let handle = Handle::new(senders.admission, senders.control, shared, archive);
    progress.send_replace(Some(handle));
    let full = Unavailable::StorageFull { free_bytes: 0, reserve_bytes: 1 };
    let cases = [
        (None, 200, "ok\n"),
        (Some(full), 200, "ok\n"),
        (Some(Unavailable::full("calls", 1)), 200, "ok\n"),
        (Some(Unavailable::ShuttingDown), 503, "shutting down\n"),
        (Some(Unavailable::Stopped), 503, "stopped\n"),
    ];
    for (refusal, code, said) in cases {
        status.refuse(refusal);
        check(&get(address, "/readyz").await, code, said);
    }

    metrics.submitted(7);
    let page = get(address, "/metrics").await;
    check(&page, 200, "# EOF\n");
    assert!(page.contains("content-type: application/openmetrics-text; version=1.0.0"), "{page}");
    assert!(page.contains("\nleasehold_tasks_submitted_total 7\n"), "{page}");
    check(&get(address, "/nothing").await, 404, "");
    // Whoever would like to stay does not: the end of the answer is the end of the connection.
    let mut visitor = TcpStream::connect(address).await.unwrap();
    visitor.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    visitor.read_to_string(&mut answer).await.unwrap();
    check(&answer, 200, "ok\n");

    stopping.cancel();
    server.join_next().await.unwrap().unwrap().unwrap();
}
