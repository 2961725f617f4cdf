//! What became of tickets: how often each was used, and which were revoked. Every change is durable before it lets anybody
//! in.

use std::collections::BTreeMap;

use super::{AccessError, Binding, Ticket, TicketId, UnixSeconds};
use crate::rental::{AccountId, RentId};

/// What is known of a ticket, and what is made durable of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketRecord {
    /// Which ticket.
    pub id: TicketId,
    /// Of which order; it dies with it.
    pub rent_id: RentId,
    /// How often it was used.
    pub uses: u32,
    /// Whether it was taken back.
    pub revoked: bool,
}

/// A record, and uses that are not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketState {
    /// What is durable.
    pub record: TicketRecord,
    pending: bool,
}

/// Somebody whom a ticket lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The ticket.
    pub ticket: Ticket,
    /// How often it has been used with this time.
    pub uses: u32,
}

/// The tickets of a node that were ever shown to it and whose orders are not over.
#[derive(Debug, Default)]
pub struct Tickets {
    states: BTreeMap<TicketId, TicketState>,
    /// Those that wait to be let in, by ticket: one at a time, so that counts go up one by one.
    waiting: BTreeMap<TicketId, Ticket>,
}

impl Tickets {
    /// What was durable when the program was started anew.
    pub fn restore(records: impl IntoIterator<Item = TicketRecord>) -> Self {
        let state = |record| TicketState { record, pending: false };
        let states = records.into_iter().map(|record| (record.id, state(record))).collect();
        Self { states, waiting: BTreeMap::new() }
    }

    /// Somebody shows a ticket to exchange it: what is to be made durable before he is let in. Answer with
    /// [`Self::persisted`] or [`Self::failed`]. Whether the order grants anything is the lease's to say, before this.
    ///
    /// # Errors
    /// Those of [`AccessError`] that a ticket can have; [`AccessError::TooMany`] while another one's use is written.
    pub fn present(
        &mut self,
        now: UnixSeconds,
        text: &str,
        request: &Binding,
        renter: &AccountId,
        signed: impl FnOnce(&AccountId, &[u8]) -> bool,
    ) -> Result<TicketRecord, AccessError> {
        let ticket = Ticket::parse(text)?;
        ticket.binding.check(request)?;
        if now < ticket.not_before {
            return Err(AccessError::NotYet);
        }
        if now >= ticket.not_after {
            return Err(AccessError::Expired);
        }
        if !signed(renter, text.as_bytes()) {
            return Err(AccessError::BadSignature);
        }
        let rent_id = ticket.binding.rent_id;
        let fresh = TicketRecord { id: ticket.id, rent_id, uses: 0, revoked: false };
        let state = self.states.get(&ticket.id).copied();
        let state = state.unwrap_or(TicketState { record: fresh, pending: false });
        if state.record.rent_id != rent_id {
            return Err(AccessError::OtherOrder);
        }
        if state.record.revoked {
            return Err(AccessError::Revoked);
        }
        if state.pending {
            return Err(AccessError::TooMany);
        }
        if state.record.uses >= ticket.uses {
            return Err(AccessError::UsedUp);
        }
        self.states.insert(ticket.id, TicketState { pending: true, ..state });
        let record = TicketRecord { uses: state.record.uses + 1, ..state.record };
        self.waiting.insert(ticket.id, ticket);
        Ok(record)
    }

    /// What [`Self::present`] yielded is durable: who is let in.
    ///
    /// # Errors
    /// [`AccessError::Revoked`] and `OrderEnded`, if that came between.
    pub fn persisted(&mut self, record: &TicketRecord) -> Result<Admission, AccessError> {
        let state = self.states.get_mut(&record.id).ok_or(AccessError::OrderEnded)?;
        state.pending = false;
        state.record.uses = record.uses;
        let ticket = self.waiting.remove(&record.id).ok_or(AccessError::OrderEnded)?;
        if state.record.revoked {
            return Err(AccessError::Revoked);
        }
        Ok(Admission { ticket, uses: record.uses })
    }

    /// It could not be made durable: nobody is let in, and the use does not count.
    pub fn failed(&mut self, record: &TicketRecord) -> AccessError {
        self.waiting.remove(&record.id);
        if let Some(state) = self.states.get_mut(&record.id) {
            state.pending = false;
            if state.record.uses == 0 && !state.record.revoked {
                self.states.remove(&record.id);
            }
        }
        AccessError::NotDurable
    }

    /// Takes a ticket back, whether or not it was ever shown: it lets nobody in from now on. Yields what is to be made
    /// durable before that is answered, and then who came by it is to be disconnected.
    ///
    /// # Errors
    /// [`AccessError::OtherOrder`].
    pub fn revoke(&mut self, id: TicketId, rent_id: RentId) -> Result<TicketRecord, AccessError> {
        let fresh = TicketRecord { id, rent_id, uses: 0, revoked: true };
        let state = self.states.entry(id).or_insert(TicketState { record: fresh, pending: false });
        if state.record.rent_id != rent_id {
            return Err(AccessError::OtherOrder);
        }
        state.record.revoked = true;
        // A use that is being written counts, too.
        let uses = state.record.uses + u32::from(state.pending);
        Ok(TicketRecord { uses, ..state.record })
    }

    /// Whether a ticket was taken back.
    pub fn is_revoked(&self, id: TicketId) -> bool {
        self.states.get(&id).is_some_and(|state| state.record.revoked)
    }

    /// An order is over: whose use is being written is not let in, and the lease refuses its tickets from then on. What was
    /// used and revoked stays known, since a branch of the chain may bring the order back.
    pub fn order_ended(&mut self, rent_id: RentId) {
        self.waiting.retain(|_, ticket| ticket.binding.rent_id != rent_id);
    }

    /// What is known of the tickets of an order.
    pub fn of(&self, rent_id: RentId) -> impl Iterator<Item = &TicketRecord> {
        let records = self.states.values().map(|state| &state.record);
        records.filter(move |record| record.rent_id == rent_id)
    }
}
