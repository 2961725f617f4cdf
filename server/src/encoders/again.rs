//! Trying candidates again beside the sessions.
//!
//! ```text
//!  asked for ──▶ tried ──▶ it works: the least pause ──▶ done
//!                 ▲  │                     │ it was asked for again
//!                 │  └─▶ it fails: twice the pause of before
//!                 └───────────◀──────────┘
//! ```
//!
//! Those of one request are tried together for as long as they fail, and each is done as soon as it alone
//! is. Only one try of a candidate is under way at a time, however many sessions lose it at once. One that
//! has just said that it has no session to give is left alone for its pause first, and not tried where a
//! session was given back by then: a try would take it from who plays.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use encoder::Candidate;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::NodeEncoders;

/// The most that candidates are left alone between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// Why a candidate waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is to be tried.
    Asked,
    /// It had no session to give when the wait began.
    Full,
    /// It worked.
    Works,
}

/// A candidate between two tries.
struct Waiting {
    candidate: Candidate,
    standing: Standing,
    /// The end of the wait.
    due: Instant,
    /// What it waits for if it fails the next time.
    pause: Duration,
}

impl NodeEncoders {
    /// Tries candidates again in the background, and as long as they fail now and then. One that is being
    /// tried, or was a moment ago, is tried once more after that.
    pub(crate) fn try_again(
        self: &Arc<Self>,
        names: &[&str],
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) {
        let mut candidates: Vec<_> = {
            let known = self.known();
            names.iter().filter_map(|name| known.candidate(name).cloned()).collect()
        };
        let mut trying = self.trying();
        candidates.retain(|candidate| match trying.entry(candidate.name) {
            Entry::Occupied(mut asked_again) => {
                asked_again.insert(true);
                false
            }
            Entry::Vacant(vacant) => {
                vacant.insert(false);
                true
            }
        });
        drop(trying);
        if candidates.is_empty() {
            return;
        }
        let (encoders, stopping) = (self.clone(), stopping.clone());
        tasks.spawn(async move {
            // A try under way does not hold up the end of the node: its child ends with it.
            stopping.run_until_cancelled(encoders.try_until_they_work(candidates)).await;
        });
    }

    async fn try_until_they_work(self: Arc<Self>, candidates: Vec<Candidate>) {
        let (due, pause) = (Instant::now(), self.retry);
        let wait = |candidate| Waiting { candidate, standing: Standing::Asked, due, pause };
        let mut waiting: Vec<_> = candidates.into_iter().map(wait).collect();
        while let Some(next) = waiting.iter().map(|each| each.due).min() {
            tokio::time::sleep_until(next).await;
            let due: Vec<_> = waiting.extract_if(.., |each| each.due <= next).collect();
            let mut tried = Vec::new();
            for mut each in due {
                let name = each.candidate.name;
                if each.standing != Standing::Asked && self.needs_no_more_tries(name) {
                    continue;
                }
                if each.standing != Standing::Full && self.is_full_of(name) {
                    (each.standing, each.due) = (Standing::Full, next + each.pause);
                    waiting.push(each);
                } else {
                    tried.push(each);
                }
            }
            take_turns(&mut tried);
            let again = tried.iter().map(|each| (each.candidate.name, false));
            // What is asked from here on may be for what this try does not see.
            self.trying().extend(again);
            let candidates = tried.iter().map(|each| each.candidate.clone()).collect();
            let failed = self.try_all(candidates).await;
            let now = Instant::now();
            waiting.extend(tried.into_iter().map(|each| {
                let name = each.candidate.name;
                if !failed.contains(&name) {
                    let (due, pause) = (now + self.retry, self.retry);
                    return Waiting { standing: Standing::Works, due, pause, ..each };
                }
                let full = self.is_full_of(name);
                let standing = if full { Standing::Full } else { Standing::Asked };
                let (due, pause) = (now + each.pause, (each.pause * 2).min(LONGEST_RETRY));
                Waiting { standing, due, pause, ..each }
            }));
        }
    }

    /// Whether a candidate that works is done with. If so, who asks from now on begins anew.
    fn needs_no_more_tries(&self, name: &'static str) -> bool {
        let mut trying = self.trying();
        let asked_again = trying.get(name).copied().unwrap_or_default();
        let done = !asked_again && !self.is_full_of(name);
        if done {
            trying.remove(name);
        }
        done
    }

    /// Those that do not work.
    async fn try_all(self: &Arc<Self>, candidates: Vec<Candidate>) -> Vec<&'static str> {
        if candidates.is_empty() {
            return Vec::new();
        }
        let encoders = self.clone();
        let tried = tokio::task::spawn_blocking(move || encoders.try_once(&candidates));
        // A try that panicked is a bug, and would be one the next time.
        tried.await.unwrap_or_default()
    }

    /// The same. Blocks.
    pub(super) fn try_once(&self, candidates: &[Candidate]) -> Vec<&'static str> {
        let verdicts = self.prober.probe(candidates);
        for verdict in &verdicts {
            let (encoder, verdict) = (verdict.name, verdict.reason());
            tracing::info!(encoder, verdict, "encoder tried again");
        }
        let (work, fail): (Vec<_>, Vec<_>) = verdicts.iter().partition(|verdict| verdict.works());
        let [work, fail] = [work, fail].map(|each| each.into_iter().map(|verdict| verdict.name));
        let (work, fail): (Vec<_>, Vec<_>) = (work.collect(), fail.collect());
        // One at a time, so that the newest is what stays.
        let _storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = self.change(|known| {
            verdicts.into_iter().for_each(|verdict| known.replace(verdict));
            known.known()
        });
        // After what is known: who sees this finds the candidate usable.
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &work {
            *passed.entry(name).or_default() += 1;
        }
        drop(passed);
        // What fails now may work after a reboot, and would be believed then.
        if let Some(cache) = self.cache.as_ref().filter(|_| !work.is_empty()) {
            cache.store(&outcomes);
        }
        fail
    }
}

/// Puts the first one of each library behind the others: where it hangs, they were not tried for it.
fn take_turns(tried: &mut Vec<Waiting>) {
    let mut seen = BTreeSet::new();
    let (first, others): (Vec<_>, Vec<_>) =
        tried.drain(..).partition(|each| seen.insert(each.candidate.library));
    tried.extend(others);
    tried.extend(first);
}
