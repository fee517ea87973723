//! Functions of workers. Those of one worker share a connection, on which each says when it began and when it was dropped: by the
//! clock that all processes of the machine share.

use std::{
    io::{self, Read as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use tokio::{
    sync::{Mutex, mpsc},
    time,
};

use super::super::super::holder::{Said, WORD_BYTES, Word, monotonic_nanos};

/// How many words wait to be looked at. Whoever says more waits, after they have been dated.
const WORDS_WAITING_MAX: usize = 65_536;

/// What comes in.
#[derive(Debug)]
pub(super) struct Door(Mutex<mpsc::Receiver<Word>>);

/// Those that run, and those that did.
#[derive(Debug)]
pub(in super::super) struct Functions<'a> {
    door: &'a Door,
    begun: usize,
    dropped: Vec<Instant>,
}

impl Door {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let (heard, words) = mpsc::channel(WORDS_WAITING_MAX);
        // It ends with the process, as a worker may come at any time.
        let listen = move || {
            for worker in listener.incoming().map_while(Result::ok) {
                let heard = heard.clone();
                let hear = move || hear(worker, &heard);
                if thread::Builder::new().name("words".to_owned()).spawn(hear).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("door".to_owned()).spawn(listen)?;
        Ok(Self(Mutex::new(words)))
    }
}

/// Hands on what the functions of a worker say, until it is gone.
fn hear(mut worker: UnixStream, heard: &mpsc::Sender<Word>) {
    let mut word = [0; WORD_BYTES];
    while worker.read_exact(&mut word).is_ok() {
        if heard.blocking_send(Word::read(word)).is_err() {
            return;
        }
    }
}

impl<'a> Functions<'a> {
    pub(super) const fn behind(door: &'a Door) -> Self {
        Self { door, begun: 0, dropped: Vec::new() }
    }

    /// How many run.
    pub(super) const fn len(&self) -> usize {
        self.begun.saturating_sub(self.dropped.len())
    }

    pub(super) async fn admit(&mut self) -> io::Result<()> {
        let word = self.door.0.lock().await.recv().await.ok_or(Errno::PIPE)?;
        self.note(word);
        Ok(())
    }

    pub(super) async fn deaths(mut self, patience: Duration) -> io::Result<Vec<Instant>> {
        let door = self.door;
        let mut words = door.0.lock().await;
        while self.dropped.len() < self.begun {
            let Ok(word) = time::timeout(patience, words.recv()).await else { break };
            self.note(word.ok_or(Errno::PIPE)?);
        }
        Ok(self.dropped)
    }

    fn note(&mut self, word: Word) {
        match word.said {
            Said::Begun => self.begun += 1,
            Said::Dropped => {
                let ago = Duration::from_nanos(monotonic_nanos().saturating_sub(word.nanos));
                let now = Instant::now();
                self.dropped.push(now.checked_sub(ago).unwrap_or(now));
            }
        }
    }
}
