//! What goes wrong, with whom, and for how long.

use std::{fmt, time::Duration};

use crate::chance::{one, percent, time};

/// A machine on the simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    /// The coordinator's.
    Coordinator,
    /// That of the worker with this number.
    Worker(usize),
    /// That of the caller with this number.
    Caller(usize),
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str(crate::wire::COORDINATOR),
            Self::Worker(number) => write!(f, "worker-{number}"),
            Self::Caller(number) => write!(f, "caller-{number}"),
        }
    }
}

/// A trouble. That with a link is with the one between the coordinator and that machine: there are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Packets wait and arrive later: a short outage, as TCP sits it out.
    Held(Machine),
    /// Packets are lost both ways, and the connections with them: nobody sends again what the network lost.
    Cut(Machine),
    /// What the coordinator sends is lost.
    Unheard(Machine),
    /// What the coordinator is sent is lost.
    Mute(Machine),
    /// Every connection is reset at once; new ones can be made.
    Reset(Machine),
    /// The process is killed, and its peers are told so by its system.
    Killed(Machine),
    /// The machine is gone, and its peers are told nothing.
    Gone(Machine),
    /// The process is asked to end, and killed if it has not when the trouble is over.
    Restarted(Machine),
    /// The disk takes this long for a write.
    SlowDisk(Duration),
}

/// A trouble at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What it is.
    pub trouble: Trouble,
}

/// How a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    /// As it should be.
    #[default]
    Whole,
    /// Packets wait.
    Held,
    /// What the coordinator sends is lost.
    Unheard,
    /// What it is sent is lost.
    Mute,
    /// Everything is lost.
    Cut,
}

impl Trouble {
    /// What it does to the link of a machine.
    pub(crate) fn link(self, machine: Machine) -> Link {
        let (link, of) = match self {
            Self::Held(of) => (Link::Held, of),
            Self::Cut(of) | Self::Gone(of) => (Link::Cut, of),
            Self::Unheard(of) => (Link::Unheard, of),
            Self::Mute(of) => (Link::Mute, of),
            Self::Reset(_) | Self::Killed(_) | Self::Restarted(_) | Self::SlowDisk(_) => {
                return Link::Whole;
            }
        };
        // A coordinator that cannot be reached is so for all.
        if of == machine || of == Machine::Coordinator { link } else { Link::Whole }
    }
}

/// The kinds of trouble there are in one run: some runs have none of a kind.
pub(crate) struct Weather(Vec<Kind>);

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Links,
    Kills,
    Restarts,
    Disk,
}

impl Weather {
    pub(crate) fn draw(rng: &mut fastrand::Rng) -> Self {
        let often = [(Kind::Links, 80), (Kind::Kills, 70), (Kind::Restarts, 40), (Kind::Disk, 50)];
        let drawn = often.into_iter().filter(|(_, of_hundred)| percent(rng, *of_hundred));
        Self(drawn.map(|(kind, _)| kind).collect())
    }

    /// A fault that begins before `until`, if the weather has any.
    pub(crate) fn fault(
        &self,
        rng: &mut fastrand::Rng,
        machines: &[Machine],
        until: Duration,
    ) -> Option<Fault> {
        let at = until.mul_f64(rng.f64());
        let machine = one(rng, Machine::Coordinator, machines);
        let is_caller = matches!(machine, Machine::Caller(_));
        let trouble = match rng.choice(&self.0)? {
            Kind::Links => {
                let links = [Trouble::Held, Trouble::Unheard, Trouble::Mute, Trouble::Reset];
                one(rng, Trouble::Cut(machine), &links.map(|it| it(machine)))
            }
            // Callers have no process that anybody would miss.
            Kind::Kills | Kind::Restarts if is_caller => return None,
            Kind::Kills => one(rng, Trouble::Killed(machine), &[Trouble::Gone(machine)]),
            Kind::Restarts => Trouble::Restarted(machine),
            Kind::Disk => Trouble::SlowDisk(time(rng, 50..3_000)),
        };
        // Mostly shorter than a session, sometimes longer.
        let lasts = if percent(rng, 70) { time(rng, 50..6_000) } else { time(rng, 6_000..40_000) };
        Some(Fault { at, lasts, trouble })
    }
}
