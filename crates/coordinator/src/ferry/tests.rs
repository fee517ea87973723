//! That what was readable is handed on before the ferry arrives.

use std::{io::Write as _, os::unix::net::UnixStream};

use leasehold_queue::{Command, StreamId};
use tokio::io::AsyncReadExt as _;

use super::*;

/// What is in a socket when the ferry sets out has been handed on by two tasks when it arrives.
#[tokio::test]
async fn it_arrives_behind_what_was_readable() {
    let (mut far, near) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut near = tokio::net::UnixStream::from_std(near).unwrap();
    let (hop, mut hopped) = mpsc::channel(1);
    let (liveness, mut heard) = mpsc::channel(4);
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        while near.read_u8().await.is_ok() {
            hop.send(()).await.unwrap();
        }
    });
    let session = liveness.clone();
    tasks.spawn(async move {
        while hopped.recv().await.is_some() {
            let word = Command::Drain { stream: StreamId(1) };
            session.send(Liveness::Event(word)).await.unwrap();
        }
    });
    let ferry = Ferry::launch(liveness, &tasks);
    for round in 0..100 {
        let time = Time::from_unix_ms(round);
        far.write_all(&[7]).unwrap();
        assert!(!ferry.set_out(time));
        assert!(matches!(heard.recv().await, Some(Liveness::Event(_))), "round {round}");
        let arrived = heard.recv().await;
        assert!(matches!(arrived, Some(Liveness::HeardUntil(at)) if at == time), "{arrived:?}");
    }
}
