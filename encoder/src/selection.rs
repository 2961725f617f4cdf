//! The candidates of this build with what is known of each on this machine.

use media::{Codec, CodecSet, FrameRate, PixelFormat, Size};
use thiserror::Error;

use crate::candidates::Candidate;
use crate::choice::{Choice, Demand, Outcome, Preference, Verdict, choose};
use crate::probe::{Cache, InProcess, Outcomes, Prober};

/// Why there is no encoder.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The configuration names an encoder that this build does not have.
    #[error("there is no encoder named {name:?}; this build has {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// None can be used.
    #[error("no video encoder can be used: {reasons}{}", asked(pinned.as_deref()))]
    NoneUsable {
        /// Every candidate with its reason.
        reasons: String,
        /// The one that was asked for.
        pinned: Option<String>,
    },
}

fn asked(pinned: Option<&str>) -> String {
    pinned.map_or_else(String::new, |name| format!(" ({name} was asked for)"))
}

/// Every candidate with its verdict; says for each session which may be used.
#[derive(Clone, Debug)]
pub struct Encoders {
    candidates: Vec<Candidate>,
    preference: Preference,
    table: Vec<Verdict>,
    remembered: Vec<&'static str>,
}

impl Encoders {
    /// Tries every candidate that may be used, except those that `cache` has a verdict of.
    ///
    /// # Errors
    /// [`SelectError::Unknown`] when the preference names what is not there: a typo would silently
    /// allow what was forbidden.
    pub fn probe(
        candidates: Vec<Candidate>,
        preference: Preference,
        prober: &dyn Prober,
        cache: Option<&Cache>,
    ) -> Result<Self, SelectError> {
        let known: Vec<_> = candidates.iter().map(|candidate| candidate.name).collect();
        for name in preference.pinned.iter().chain(&preference.forbidden) {
            if !known.contains(&name.as_str()) {
                return Err(SelectError::Unknown { name: name.clone(), known });
            }
        }
        let allowed = candidates.iter().filter(|each| preference.allows(each.name, each.codec));
        let mut found = cache.map(Cache::load).unwrap_or_default();
        let (remembered, new): (Vec<_>, Vec<_>) =
            allowed.cloned().partition(|candidate| found.contains_key(candidate.name));
        for verdict in prober.probe(&new) {
            found.insert(verdict.name.into(), verdict.outcome);
        }
        if let Some(cache) = cache.filter(|_| !new.is_empty()) {
            cache.store(&found);
        }
        let table = candidates.iter().map(|candidate| {
            let allowed = preference.allows(candidate.name, candidate.codec);
            let outcome = found.remove(candidate.name).filter(|_| allowed);
            Verdict::of(candidate, outcome.unwrap_or(Outcome::Untried))
        });
        Ok(Self {
            table: table.collect(),
            remembered: remembered.iter().map(|candidate| candidate.name).collect(),
            candidates,
            preference,
        })
    }

    /// What is known of each, in the table's order.
    pub fn table(&self) -> &[Verdict] {
        &self.table
    }

    /// Whether all that is known was known before.
    pub fn nothing_was_tried(&self) -> bool {
        let tried = self.table.iter().filter(|verdict| verdict.outcome != Outcome::Untried);
        tried.count() == self.remembered.len()
    }

    /// Those that are worth another try: they did not answer, had no session to give, or failed in a way
    /// that may pass. Software that did not answer at this start is left until the next: it woke no device.
    pub fn doubtful(&self) -> Vec<&'static str> {
        let doubtful = |verdict: &&Verdict| match verdict.outcome {
            Outcome::Unanswered { .. } => {
                verdict.hardware || self.remembered.contains(&verdict.name)
            }
            Outcome::Busy { .. } | Outcome::Failed { .. } => true,
            Outcome::Works { .. } | Outcome::Declined { .. } | Outcome::Untried => false,
        };
        self.table.iter().filter(doubtful).map(|verdict| verdict.name).collect()
    }

    /// Tries those again that failed at an earlier start and are [`Self::doubtful`]. Blocks.
    pub fn try_remembered(&mut self, prober: &dyn Prober) {
        let doubtful = self.doubtful();
        let again = |candidate: &&Candidate| {
            doubtful.contains(&candidate.name) && self.remembered.contains(&candidate.name)
        };
        let candidates: Vec<_> = self.candidates.iter().filter(again).cloned().collect();
        for verdict in prober.probe(&candidates) {
            self.replace(verdict);
        }
    }

    /// The candidate of this name, where it may be used.
    pub fn candidate(&self, name: &str) -> Option<&Candidate> {
        let mut candidates = self.candidates.iter();
        let candidate = candidates.find(|candidate| candidate.name == name)?;
        self.preference.allows(candidate.name, candidate.codec).then_some(candidate)
    }

    /// What is known of those that were tried, as a cache keeps it.
    pub fn known(&self) -> Outcomes {
        let tried = self.table.iter().filter(|verdict| verdict.outcome != Outcome::Untried);
        tried.map(|verdict| (verdict.name.to_owned(), verdict.outcome.clone())).collect()
    }

    /// What was found when a candidate was tried again takes the place of what was known. One that
    /// worked and had no session to give for the trial still works, and what it cost once it can cost again.
    pub fn replace(&mut self, mut verdict: Verdict) {
        self.remembered.retain(|name| *name != verdict.name);
        let busy = matches!(verdict.outcome, Outcome::Busy { .. });
        let known = self.table.iter_mut().find(|known| known.name == verdict.name);
        if let Some(known) = known.filter(|known| !(busy && known.works())) {
            let before = known.cost();
            if let (Outcome::Works { cost, .. }, Some(before)) = (&mut verdict.outcome, before) {
                *cost = cost.least(before);
            }
            *known = verdict;
        }
    }

    /// A candidate had no session to give, with `open` of them open by this process. It is not used
    /// until [`Self::session_ended`], or until it is tried again and has one.
    pub fn session_refused(&mut self, name: &str, open: u32) {
        if let Some(known) = self.table.iter_mut().find(|known| known.name == name) {
            known.full = Some(open);
        }
    }

    /// Hardware was given a session back. Codecs of one device have their sessions in common, so that
    /// any of them may have one to give now.
    pub fn session_ended(&mut self) {
        self.table.iter_mut().for_each(|known| known.full = None);
    }

    /// Whether one of them is not used for want of a session alone.
    pub fn is_full(&self) -> bool {
        self.table.iter().any(|known| known.full.is_some())
    }

    /// Whether this one is not used for want of a session alone.
    pub fn is_full_of(&self, name: &str) -> bool {
        self.table.iter().any(|known| known.name == name && known.full.is_some())
    }

    /// Which candidates a session with this demand gets.
    pub fn choose(&self, demand: &Demand) -> Choice {
        choose(&self.table, demand, &self.preference)
    }

    /// The candidates of a choice in the order of use. Those that were found to ignore what they are told
    /// while they run are started anew for it.
    ///
    /// # Errors
    /// [`SelectError::NoneUsable`].
    pub fn usable(&self, choice: &Choice) -> Result<Vec<Candidate>, SelectError> {
        let names = choice.usable();
        let usable = names.iter().filter_map(|name| {
            let known = self.table.iter().find(|known| known.name == *name)?;
            Some(self.candidate(name)?.restarting(known.restarts()))
        });
        let usable: Vec<_> = usable.collect();
        if usable.is_empty() {
            let pinned = self.preference.pinned.clone();
            return Err(SelectError::NoneUsable { reasons: choice.reasons(), pinned });
        }
        Ok(usable)
    }
}

/// The result of [`select`].
#[derive(Clone, Debug)]
pub struct Selection {
    /// What is used, best first; never empty. The later ones replace one that fails at run time.
    pub usable: Vec<Candidate>,
    /// Every candidate, in the table's order.
    pub table: Vec<Verdict>,
}

impl Selection {
    /// The encoder that comes first.
    pub fn chosen(&self) -> &Candidate {
        &self.usable[0]
    }
}

/// Tries every candidate in this process, for hosts and tests whose drivers are sound. What is
/// demanded is so little that no encoder is too slow for it.
///
/// # Errors
/// [`SelectError`] when a name is unknown or no candidate is left.
pub fn select(
    candidates: Vec<Candidate>,
    preference: &Preference,
) -> Result<Selection, SelectError> {
    let encoders = Encoders::probe(candidates, preference.clone(), &InProcess, None)?;
    let demand = Demand {
        size: Size::new(320, 192),
        rate: FrameRate::fps(1),
        format: PixelFormat::Nv12,
        waves: false,
        decodes: CodecSet::of(&Codec::ALL),
        holds: None,
    };
    let usable = encoders.usable(&encoders.choose(&demand))?;
    Ok(Selection { usable, table: encoders.table })
}
