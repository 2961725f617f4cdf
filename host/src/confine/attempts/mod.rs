//! What games try against their sandboxes, as far as it can be noticed without privileges and without slowing games down.
//!
//! | seen | how | what a game gets |
//! |---|---|---|
//! | system calls that lead out ([`filter`](super::filter)) | the kernel asks the node about each | `EPERM` |
//! | connections and packets that lead nowhere | the kernel counts them in the sandbox's network | what the network says |
//! | opening what the node keeps to itself | an empty file or folder lies in its place, watched | nothing |
//!
//! Each is counted for its session and for the node, and told in a line of the log whenever the count of its kind has
//! another digit. No path, address or argument is kept. Not noticed: names that do not exist in the sandbox, which are a failed
//! lookup like any other, abstract sockets among them; and what the kernel refuses before anybody is asked (files of other
//! users, signals, raw sockets).
//!
//! A node that is asked more than [`calls::A_SECOND`] times a second lets the game's threads wait for their answers.

mod calls;
mod lures;
mod nowhere;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media::MediaTime;
use rustix::process::Pid;

use calls::Calls;
pub use calls::install;
pub(super) use lures::{Lures, Shown};
use nowhere::Nowhere;

/// How often what is not told by itself is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A kind of attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// To change what is mounted.
    Mounts,
    /// To make or enter namespaces.
    Namespaces,
    /// To look into other processes.
    Processes,
    /// To reach keys of the kernel.
    Keys,
    /// To use sockets that reach past the network.
    Sockets,
    /// To change the machine, or to load programs into its kernel.
    Machine,
    /// To connect or send to where nothing is that the sandbox may reach.
    Network,
    /// To open what the node keeps to itself.
    Files,
}

impl Attempt {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Mounts,
        Self::Namespaces,
        Self::Processes,
        Self::Keys,
        Self::Sockets,
        Self::Machine,
        Self::Network,
        Self::Files,
    ];

    /// A word for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Namespaces => "namespaces",
            Self::Processes => "processes",
            Self::Keys => "keys",
            Self::Sockets => "sockets",
            Self::Machine => "machine",
            Self::Network => "network",
            Self::Files => "files",
        }
    }
}

/// How often each was made.
#[derive(Debug, Default)]
pub struct Attempts([AtomicU64; Attempt::ALL.len()]);

impl Attempts {
    /// How often this was made.
    pub fn count(&self, attempt: Attempt) -> u64 {
        self.0[attempt as usize].load(Ordering::Acquire)
    }

    /// Those that were made, and how often.
    pub fn made(&self) -> impl Iterator<Item = (Attempt, u64)> {
        let counts = Attempt::ALL.map(|attempt| (attempt, self.count(attempt)));
        counts.into_iter().filter(|(_, count)| *count > 0)
    }

    fn add(&self, attempt: Attempt, more: u64) {
        self.0[attempt as usize].fetch_add(more, Ordering::Release);
    }
}

/// Where attempts of a sandbox are counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) session: Arc<Attempts>,
    pub(super) node: Arc<Attempts>,
}

impl Books {
    /// Counts, and tells it where the count gains a digit: the log of a game that does nothing else has twenty lines.
    pub(super) fn count(&self, attempt: Attempt, more: u64) {
        if more == 0 {
            return;
        }
        let before = self.session.count(attempt);
        self.node.add(attempt, more);
        if gains_a_digit(before, more) {
            let (kind, count) = (attempt.name(), before + more);
            tracing::warn!(kind, count, "a game tried what its sandbox refuses");
        }
        // Last: whoever sees what one sandbox tried finds it in the sum and in the log. One thread
        // counts what is of one kind.
        self.session.add(attempt, more);
    }
}

fn gains_a_digit(before: u64, more: u64) -> bool {
    let digits = |count: u64| count.checked_ilog10().map_or(0, |log| log + 1);
    digits(before) < digits(before + more)
}

/// Looks at one sandbox. Told the time; never waits.
#[derive(Debug, Default)]
pub(super) struct Watch {
    books: Books,
    calls: Option<Calls>,
    lures: Option<Lures>,
    nowhere: Option<Nowhere>,
    looked: MediaTime,
}

impl Watch {
    pub(super) fn new(books: Books) -> Self {
        Self { books, ..Self::default() }
    }

    /// What lies where the game has nothing to look for.
    pub(super) fn lay(&mut self, lures: Lures) {
        self.lures = Some(lures);
    }

    /// The sandbox has a first process, which may have handed out where its calls are told, and, where it
    /// has no way out, a network in which every attempt leads nowhere.
    pub(super) fn begin(&mut self, calls: Option<OwnedFd>, alone: Option<Pid>) {
        match calls {
            Some(listener) => self.calls = Some(Calls::new(listener)),
            None => tracing::warn!("calls that a game is refused are not told"),
        }
        self.nowhere = alone.and_then(|pid| {
            Nowhere::of(pid)
                .inspect_err(|error| tracing::warn!(%error, "a game's network is not watched"))
                .ok()
        });
    }

    /// What can be read once something is to be answered, and how long to wait at most.
    pub(super) fn wait(&mut self, now: MediaTime) -> (Option<BorrowedFd<'_>>, Duration) {
        let look = LOOK.saturating_sub(now.since(self.looked));
        let Some(calls) = &mut self.calls else { return (None, look) };
        match calls.allowance(now) {
            Ok(_) => (Some(Calls::as_fd(calls)), look),
            Err(later) => (None, look.min(later)),
        }
    }

    /// Answers what is asked.
    pub(super) fn answer(&mut self, now: MediaTime) {
        let Some(calls) = &mut self.calls else { return };
        let books = &self.books;
        if !calls.answer(now, |attempt| books.count(attempt, 1)) {
            self.calls = None;
        }
    }

    /// Looks at what is not told by itself, if it is time to.
    pub(super) fn look(&mut self, now: MediaTime) {
        if now.since(self.looked) >= LOOK {
            self.looked = now;
            self.look_now();
        }
    }

    /// The same at once.
    pub(super) fn look_now(&mut self) {
        if let Some(nowhere) = &mut self.nowhere {
            self.books.count(Attempt::Network, nowhere.news());
        }
        if let Some(lures) = &mut self.lures {
            self.books.count(Attempt::Files, lures.news());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_for_its_session_and_for_the_node() {
        let node = Arc::new(Attempts::default());
        let books = || Books { node: node.clone(), ..Books::default() };
        let (one, other) = (books(), books());
        one.count(Attempt::Mounts, 2);
        one.count(Attempt::Files, 0);
        other.count(Attempt::Mounts, 1);
        assert_eq!(one.session.made().collect::<Vec<_>>(), [(Attempt::Mounts, 2)]);
        assert_eq!(node.made().collect::<Vec<_>>(), [(Attempt::Mounts, 3)]);
        for (place, attempt) in Attempt::ALL.into_iter().enumerate() {
            assert_eq!(attempt as usize, place);
        }
    }

    #[test]
    fn the_log_has_a_line_for_each_digit() {
        let lines = (0..100_000).filter(|before| gains_a_digit(*before, 1)).count();
        assert_eq!(lines, 6, "1, 10, 100, 1000, 10000, 100000");
        assert!(gains_a_digit(0, 7) && gains_a_digit(7, 5_000) && !gains_a_digit(10, 89));
    }
}
