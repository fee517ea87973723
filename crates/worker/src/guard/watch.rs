//! The guard itself: start the program, watch it and the worker, leave nothing behind.

use std::{
    env::set_current_dir,
    ffi::OsString,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    process::{Child, Command},
    sync::{Arc, atomic::AtomicBool},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, ioctl_fionbio},
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_current_process_group,
        kill_process_group, pidfd_open, set_child_subreaper, setpgid, waitpgid,
    },
    thread::set_name,
};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::{
    feed::{Feed, Source},
    link::Report,
};

/// The signals that are meant for the program when they reach the group.
const SIGNALS: [i32; 7] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2];

/// The guard's exit code when it could not do its work. The worker sees that there is no report, and kills the group.
const EXIT_BROKEN: i32 = 70;

/// How the watch ended.
enum Watched {
    /// The program exited.
    Exited(Report),
    /// The worker wants it gone, or is gone itself.
    Unwanted,
}

/// Guards the program that the arguments name, to its end. The result is the guard's exit code.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> i32 {
    let Err(_nobody_to_tell) = guard(arguments) else { return 0 };
    // Whatever failed, nothing may go on unguarded. This ends the guard too, unless it has left the group already.
    let _nothing_left = kill_process_group(getpid(), Signal::KILL).is_ok();
    EXIT_BROKEN
}

fn guard(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    // Started by way of /proc/self/exe it would be listed as `exe`. It is only for people.
    let _unnamed = set_name(c"leasehold-guard");
    let refuge = arguments.next().and_then(|it| Pid::from_raw(it.to_str()?.parse().ok()?));
    let directory = arguments.next().unwrap_or_default();
    let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    worker.set_nonblocking(true)?;
    for signal in SIGNALS {
        // Caught, not ignored: an ignored signal would stay ignored in the program.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    super::expect_children();
    // What the program leaves behind becomes the guard's child, so that it can wait until all of it is gone.
    set_child_subreaper(Some(getpid()))?;
    if !directory.is_empty()
        && let Err(error) = set_current_dir(&directory)
    {
        return tell(&worker, Report::not_entered(&error));
    }
    let (child, feed) = match start(arguments, worker.try_clone()?) {
        Ok(started) => started,
        Err(error) => return tell(&worker, Report::not_started(&error)),
    };
    let report = watch(child, feed, refuge)?;
    tell(&worker, report)
}

/// Starts the program in the guard's own group, with a pipe for its stdin.
fn start(
    mut command: impl Iterator<Item = OsString>,
    worker: UnixStream,
) -> io::Result<(Child, Feed)> {
    let (stdin, feed) = io::pipe()?;
    ioctl_fionbio(&feed, true)?;
    let program = command.next().unwrap_or_default();
    let child = Command::new(program).args(command).stdin(stdin).spawn()?;
    Ok((child, Feed::new(worker, feed)))
}

/// Watches until the program has ended, by itself or by force, and nothing of its group is left.
fn watch(mut child: Child, mut feed: Feed, refuge: Option<Pid>) -> io::Result<Report> {
    if let Watched::Exited(report) = watch_both(&mut child, &mut feed)? {
        kill_rest(refuge)?;
        reap_rest()?;
        return Ok(report);
    }
    kill_rest(refuge)?;
    // The program itself may have left the group; what it started there is out of reach. One that runs as another user
    // cannot be killed, and is waited for.
    let _unkillable = child.kill();
    let report = Report::of(child.wait()?);
    reap_rest()?;
    Ok(report)
}

fn watch_both(child: &mut Child, feed: &mut Feed) -> io::Result<Watched> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let exit = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let wanted = if feed.wants_input() { PollFlags::IN } else { PollFlags::empty() };
        let mut polled = vec![
            PollFd::new(&exit, PollFlags::IN),
            // Also while the program does not take its input: the worker's end may close at any time.
            PollFd::from_borrowed_fd(feed.source(), wanted | PollFlags::RDHUP),
        ];
        polled.extend(feed.wanted_output().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_over = polled.first().is_some_and(|it| !it.revents().is_empty());
        let said = polled.get(1).map_or(PollFlags::empty(), PollFd::revents);
        if is_over {
            return Ok(Watched::Exited(Report::of(child.wait()?)));
        }
        let is_gone = said.intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR);
        if is_gone || feed.read()? == Source::Closed {
            return Ok(Watched::Unwanted);
        }
        feed.write();
    }
}

/// Kills everything in the group but the guard.
fn kill_rest(refuge: Option<Pid>) -> io::Result<()> {
    let group = getpid();
    if refuge.is_none() || setpgid(None, refuge).is_err() {
        // The worker is gone, and its group with it: there is nobody to report to.
        kill_current_process_group(Signal::KILL)?;
    }
    match kill_process_group(group, Signal::KILL) {
        // What runs as another user is not killed, and not left either: it is waited for.
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until nothing of the group is left.
fn reap_rest() -> io::Result<()> {
    loop {
        match waitpgid(getpid(), WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn tell(mut worker: &UnixStream, report: Report) -> io::Result<()> {
    // Five bytes always fit: nothing else is ever sent this way.
    worker.write_all(&report.encode())
}
