//! Orders that are tried before they are paid: how long each was, and how many a renter tries in a day.
//!
//! A trial is written down as used up when it begins and as what it took when it ends, so that a node that goes down
//! meanwhile gives nothing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BootTime, Claimant, Denied, LeaseBook};
use crate::rental::{AccountId, BLOCKS_PER_DAY, BlockNumber, Order, RentId};

/// How far an order was tried; to be durable before the session is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialUse {
    /// The order.
    pub rent_id: RentId,
    /// Whose.
    pub renter: AccountId,
    /// The day of the chain, counted in 14,400 blocks, in which it was first tried.
    pub day: u32,
    /// Live time, or all that there is while it runs.
    pub used: Duration,
}

/// Bounded by what orders cost: each takes the chain's fixed fee.
#[derive(Debug, Default)]
pub(super) struct Trials {
    by_order: BTreeMap<RentId, TrialUse>,
}

impl Trials {
    /// Forgets what no limit counts any more: the day before yesterday's.
    pub(super) fn forget_before(&mut self, block: BlockNumber) {
        let day = block.0 / BLOCKS_PER_DAY;
        self.by_order.retain(|_, trial| trial.day + 1 >= day);
    }
}

impl LeaseBook {
    /// How long the order may still be tried.
    pub(super) fn trial_left(&self, order: &Order) -> Result<Duration, Denied> {
        let used = self.trials.by_order.get(&order.rent_id).map(|trial| trial.used);
        if used.is_none() {
            let (day, renter) = (self.block().0 / BLOCKS_PER_DAY, order.renter);
            let tried = self.trials.by_order.values();
            let tried = tried.filter(|trial| trial.renter == renter && trial.day == day).count();
            if tried >= self.config.trials_a_day as usize {
                return Err(Denied::TooManyTrials);
            }
        }
        let left = self.config.trial.saturating_sub(used.unwrap_or_default());
        if left.is_zero() { Err(Denied::TrialUsed) } else { Ok(left) }
    }

    /// Begins to try an order: how long it may be, and what is to be made durable before the session is let in.
    ///
    /// # Errors
    /// Those of [`LeaseBook::check`]; [`Denied::UnknownOrder`] for one that is confirmed.
    pub fn trial_begin(
        &mut self,
        boot: BootTime,
        rent_id: RentId,
        renter: AccountId,
    ) -> Result<(Duration, TrialUse), Denied> {
        let grant = self.check(boot, rent_id, Claimant::Renter(renter))?;
        let left = grant.trial.ok_or(Denied::UnknownOrder)?;
        let day = self.block().0 / BLOCKS_PER_DAY;
        let before = self.trials.by_order.get(&rent_id);
        let day = before.map_or(day, |trial| trial.day);
        let trial = TrialUse { rent_id, renter, day, used: self.config.trial };
        self.trials.by_order.insert(rent_id, trial);
        Ok((left, trial))
    }

    /// A trial that was given `left` took `live`: what is to be made durable.
    pub fn trial_end(
        &mut self,
        rent_id: RentId,
        left: Duration,
        live: Duration,
    ) -> Option<TrialUse> {
        let trial = self.trials.by_order.get_mut(&rent_id)?;
        let all = self.config.trial;
        trial.used = (all.saturating_sub(left) + live).min(all);
        Some(*trial)
    }

    /// Takes what was durable when the program was started anew.
    pub fn restore_trials(&mut self, trials: impl IntoIterator<Item = TrialUse>) {
        self.trials.by_order.extend(trials.into_iter().map(|trial| (trial.rent_id, trial)));
    }
}
