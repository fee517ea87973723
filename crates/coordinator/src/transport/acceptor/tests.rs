//! Connections over real sockets.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Acceptor, PAUSE_MAX, PAUSE_MIN, Patience, connections_max};
use crate::metrics::Metrics;

async fn acceptor(most: u32) -> (Acceptor, Metrics) {
    let metrics = Metrics::default();
    let any = "127.0.0.1:0".parse().unwrap();
    (Acceptor::bind(any, most, metrics.clone()).await.unwrap(), metrics)
}

fn has(metrics: &Metrics, line: &str) {
    let page = metrics.render().unwrap();
    assert!(page.lines().any(|is| is == line), "{line:?} is missing in\n{page}");
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_its_place_is_taken_later() {
    let (mut acceptor, metrics) = acceptor(1).await;
    let address = acceptor.address().unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let (held, _) = acceptor.next().await;
    let mut second = TcpStream::connect(address).await.unwrap();
    let server = async { acceptor.next().await.1 };
    let client = async {
        // Turned away: the end of the stream, before anybody has said anything.
        let read = second.read(&mut [0; 1]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        drop(held);
        TcpStream::connect(address).await.unwrap()
    };
    let (peer, third) = tokio::join!(server, client);
    assert_eq!(peer, third.local_addr().unwrap());
    has(&metrics, "leasehold_connections_turned_away_total 1");
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let (mut acceptor, metrics) = acceptor(1).await;
    acceptor.patience = Patience::FirstWords(Duration::from_millis(20));
    let _peer = TcpStream::connect(acceptor.address().unwrap()).await.unwrap();
    let (mut connection, _) = acceptor.next().await;
    has(&metrics, "leasehold_connections 1");
    let error = connection.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    drop(connection);
    has(&metrics, "leasehold_connections 0");
}

#[tokio::test]
async fn a_visitor_may_not_stay_however_much_it_says() {
    let (acceptor, _) = acceptor(1).await;
    let mut acceptor =
        Acceptor { patience: Patience::Visit(Duration::from_millis(20)), ..acceptor };
    let mut peer = TcpStream::connect(acceptor.address().unwrap()).await.unwrap();
    let (mut connection, _) = acceptor.next().await;
    peer.write_all(&[b'x'; 64]).await.unwrap();
    let mut heard = [0; 64];
    connection.read_exact(&mut heard).await.unwrap();
    let error = connection.read(&mut heard).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_peer_that_dribbles_is_given_up() {
    let (mut acceptor, _) = acceptor(1).await;
    acceptor.patience = Patience::FirstWords(Duration::from_millis(20));
    let mut peer = TcpStream::connect(acceptor.address().unwrap()).await.unwrap();
    let (mut connection, _) = acceptor.next().await;
    peer.write_all(b"PRI * HTTP").await.unwrap();
    let (mut buffer, mut heard) = ([0; 64], 0);
    let error = loop {
        match connection.read(&mut buffer).await {
            Ok(more) => heard += more,
            Err(error) => break error,
        }
    };
    assert_eq!((heard, error.kind()), (10, io::ErrorKind::TimedOut));
}

#[tokio::test]
async fn a_peer_that_has_spoken_may_be_silent() {
    let (mut acceptor, _) = acceptor(1).await;
    acceptor.patience = Patience::FirstWords(Duration::from_millis(20));
    let mut peer = TcpStream::connect(acceptor.address().unwrap()).await.unwrap();
    let (mut connection, _) = acceptor.next().await;
    peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut preface = [0; 24];
    connection.read_exact(&mut preface).await.unwrap();
    let mut more = [0; 1];
    let silence = tokio::time::timeout(Duration::from_millis(80), connection.read(&mut more)).await;
    assert!(silence.is_err(), "still waiting: {silence:?}");
}

#[tokio::test]
async fn errors_of_accept_slow_it_down_unless_a_peer_is_to_blame() {
    let (mut acceptor, metrics) = acceptor(1).await;
    acceptor.calm_down(&io::ErrorKind::ConnectionAborted.into()).await;
    assert_eq!(acceptor.pause, PAUSE_MIN);
    // EMFILE.
    acceptor.calm_down(&io::Error::from_raw_os_error(24)).await;
    assert_eq!(acceptor.pause, PAUSE_MIN * 2);
    has(&metrics, "leasehold_connections_turned_away_total 1");
    acceptor.pause = PAUSE_MAX;
    acceptor.calm_down(&io::Error::from_raw_os_error(24)).await;
    assert_eq!(acceptor.pause, PAUSE_MAX);
}

#[test]
fn there_is_never_more_room_than_asked_for() {
    assert_eq!(connections_max(1), 1);
    assert!(connections_max(u32::MAX) >= 1);
}
