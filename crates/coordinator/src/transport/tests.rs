//! The server's own limits, as a peer without a library sees them.

use std::collections::BTreeMap;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::Layer as _;

use super::{Acceptor, protocol, rpc::RpcLayer, server};
use crate::metrics::Metrics;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

/// The kind and body of the next frame.
async fn frame(peer: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    peer.read_exact(&mut head).await.unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut body = vec![0; length as usize];
    peer.read_exact(&mut body).await.unwrap();
    (head[3], body)
}

#[tokio::test]
async fn limits_are_announced() {
    let metrics = Metrics::default();
    let any = "127.0.0.1:0".parse().unwrap();
    let acceptor = Acceptor::bind(any, 8, metrics.clone()).await.unwrap();
    let address = acceptor.address().unwrap();
    let (protocol, service) = (protocol(), RpcLayer::new(metrics).layer(Routes::default()));
    let served = server::serve(&protocol, service, acceptor.incoming(), CancellationToken::new());
    let client = async {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(PREFACE).await.unwrap();
        peer.write_all(&EMPTY_SETTINGS).await.unwrap();
        let (mut settings, mut window) = (BTreeMap::new(), 65_535);
        while settings.is_empty() || window == 65_535 {
            match frame(&mut peer).await {
                (SETTINGS, body) => settings.extend(body.chunks_exact(6).map(|setting| {
                    let id = u16::from_be_bytes([setting[0], setting[1]]);
                    let value = &setting[2..];
                    (id, u32::from_be_bytes([value[0], value[1], value[2], value[3]]))
                })),
                (WINDOW_UPDATE, body) => {
                    window += u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
                }
                _ => {}
            }
        }
        (settings, window)
    };
    let (settings, window) = tokio::select! {
        seen = client => seen,
        () = served => panic!("ended"),
    };
    assert_eq!(settings.get(&1), Some(&0), "table of headers");
    assert_eq!(settings.get(&3), Some(&128), "concurrent streams");
    assert_eq!(settings.get(&4), Some(&(1 << 20)), "window of a stream");
    assert_eq!(settings.get(&6), Some(&(16 << 10)), "list of headers");
    assert_eq!(window, 16 << 20, "window of the connection");
}
