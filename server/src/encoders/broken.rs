//! The encoders that broke in one session, and what its clients get all the same.
//!
//! A try codes a few small pictures of 8 bits, so that one which passes says little of a session that
//! asks for more. What broke is therefore trusted once more at most, and not with the whole session while
//! there is something sound: one that breaks alone in its codec ends it.
//!
//! It knows nothing of tries but how many each passed, and opens nothing.

use encoder::Candidate;

/// Those that broke in one session, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broken(Vec<Broke>);

#[derive(Clone, Debug)]
struct Broke {
    name: &'static str,
    times: u32,
    /// How many tries it had passed by then.
    passed: u64,
}

/// What a session may make of an encoder, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It did not break.
    Sound,
    /// It broke once, and has passed a try since.
    Mended,
    /// It broke once: better than none.
    Doubtful,
    /// It broke more than once, and never comes back.
    Lost,
}

impl Broken {
    /// One broke that had passed so many tries by then.
    pub(super) fn add(&mut self, name: &'static str, passed: u64) {
        match self.0.iter_mut().find(|broke| broke.name == name) {
            Some(broke) => (broke.times, broke.passed) = (broke.times + 1, passed),
            None => self.0.push(Broke { name, times: 1, passed }),
        }
    }

    /// Whether it broke, mended or not.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|broke| broke.name == name)
    }

    /// What remains of `usable`, which is in the order of use, for a connection: encoders of one codec.
    /// Empty where all are lost. `passed` says how many tries each has passed by now.
    pub(super) fn leave(
        &self,
        mut usable: Vec<Candidate>,
        passed: impl Fn(&str) -> u64,
    ) -> Vec<Candidate> {
        let standing = |candidate: &Candidate| {
            let broke = self.0.iter().find(|broke| broke.name == candidate.name);
            broke.map_or(Standing::Sound, |broke| match broke.times {
                1 if broke.passed == passed(candidate.name) => Standing::Doubtful,
                1 => Standing::Mended,
                _ => Standing::Lost,
            })
        };
        let best = usable.iter().map(standing).min().unwrap_or(Standing::Lost);
        if best == Standing::Lost {
            return Vec::new();
        }
        // Of its codec is also what is mended: where that breaks again, the best takes over.
        let codec = usable.iter().find(|each| standing(each) == best).map(|best| best.codec);
        let worst = best.max(Standing::Mended);
        usable.retain(|each| Some(each.codec) == codec && standing(each) <= worst);
        usable
    }
}
