//! Which of an order's cards has a session: one session a card.

use std::collections::BTreeMap;

use super::{BootTime, Claimant, Denied, LeaseBook};
use crate::rental::RentId;

/// A card that a session has. To be given back with [`LeaseBook::release`] when the session is over.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a card that is not given back stays taken until its order ends"]
pub struct SlotPermit {
    rent_id: RentId,
    slot: u32,
    serial: u64,
}

impl SlotPermit {
    /// By which order.
    pub fn rent_id(&self) -> RentId {
        self.rent_id
    }

    /// The card's index in the machine.
    pub fn slot(&self) -> u32 {
        self.slot
    }
}

/// Cards that have a session, each with the number of its permit.
#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: BTreeMap<(RentId, u32), u64>,
    next: u64,
}

impl Slots {
    pub(super) fn forget(&mut self, rent: RentId) {
        self.taken.retain(|(taken, _), _| *taken != rent);
    }
}

impl LeaseBook {
    /// Takes a card of an order for a session: the one that a ticket names, or else the first that is free. An order that
    /// is being tried has one.
    ///
    /// # Errors
    /// Those of [`LeaseBook::check`], [`Denied::SlotNotRented`] and [`Denied::SlotsTaken`].
    pub fn occupy(
        &mut self,
        boot: BootTime,
        rent_id: RentId,
        claimant: Claimant,
        wanted: Option<u32>,
    ) -> Result<SlotPermit, Denied> {
        let grant = self.check(boot, rent_id, claimant)?;
        let taken = |slot: u32| self.slots.taken.contains_key(&(rent_id, slot));
        let mut slots = grant.slots.as_slice().iter().copied();
        if wanted.is_some_and(|slot| !grant.slots.has(slot)) {
            return Err(Denied::SlotNotRented);
        }
        if grant.trial.is_some() && slots.clone().any(taken) {
            return Err(Denied::SlotsTaken);
        }
        let free = slots.find(|slot| wanted.is_none_or(|wanted| wanted == *slot) && !taken(*slot));
        let slot = free.ok_or(Denied::SlotsTaken)?;
        self.slots.next += 1;
        self.slots.taken.insert((rent_id, slot), self.slots.next);
        Ok(SlotPermit { rent_id, slot, serial: self.slots.next })
    }

    /// Gives a card back.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is given back once")]
    pub fn release(&mut self, permit: SlotPermit) {
        let key = (permit.rent_id, permit.slot);
        // An order that ended gave its cards back, and another session may have this one since.
        if self.slots.taken.get(&key) == Some(&permit.serial) {
            self.slots.taken.remove(&key);
        }
    }
}
