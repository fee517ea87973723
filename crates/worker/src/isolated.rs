//! Rust functions that run in a process of their own: it can be killed, and what it breaks is one attempt.
//!
//! The process is the worker's executable, started again under a guard as a program would be. Its `main` runs like the
//! worker's, to the place where the worker would run: there it calls the one function and ends. This is the end of the
//! child and what both sides say to each other; the worker's end is a program's, in `program`. It knows no session.

mod child;
mod frame;

use std::{ffi::OsString, sync::Arc};

use bytes::BytesMut;

pub(crate) use self::{
    child::{MARKER, adopt, call},
    frame::{FAILURE_BYTES_MAX, Frame, HEADER_BYTES, PROGRESS_BYTES_MAX},
};
use crate::{Program, assignment::Token, program::EXECUTABLE, progress::Board};

/// Where what a child reports while it runs is to be left.
#[derive(Debug)]
pub(crate) struct Reports {
    pub(crate) board: Arc<Board>,
    pub(crate) token: Token,
}

impl Reports {
    /// Takes the progress off the front of what has been read.
    pub(crate) fn take_from(&self, bytes: &mut BytesMut) {
        while Frame::is_progress(bytes)
            && let Some(Frame::Progress(progress)) = Frame::take(bytes)
        {
            self.board.pass_on(self.token, progress);
        }
    }
}

/// The worker itself, with the arguments it was started with: its `main` must come to the same place.
pub(crate) fn program() -> Program {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    Program::new(EXECUTABLE).args(arguments)
}
