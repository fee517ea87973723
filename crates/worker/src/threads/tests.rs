//! How many threads there are, and how long.

use std::{collections::BTreeSet, future, num::NonZero, sync::Arc, thread};

use super::Thread;

#[tokio::test]
async fn connections_share_threads_once_there_are_half_as_many_as_processors() {
    let most = thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2);
    let shared: Vec<Arc<Thread>> = (0..3 * most).map(|_| Thread::share().unwrap()).collect();
    let mut carriers = BTreeSet::new();
    for it in &shared {
        let carrier = it.runtime().spawn(async { format!("{:?}", thread::current().id()) });
        carriers.insert(carrier.await.unwrap());
    }
    // Others in this process may have some of them.
    assert!(carriers.len() <= most, "{carriers:?}");
}

#[tokio::test]
async fn a_thread_ends_with_the_last_connection_on_it() {
    let thread = Arc::new(Thread::start().unwrap());
    let other = Arc::clone(&thread);
    let connection = thread.runtime().spawn(future::pending::<()>());
    drop(thread);
    other.runtime().spawn(future::ready(())).await.expect("it carries the other one on");
    drop(other);
    assert!(connection.await.unwrap_err().is_cancelled(), "nothing goes on");
}
