//! Sessions of orders: the card that each has, its trial, and what it is told of its lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ledger::Op;
use media::{MediaTime, SessionId};
use session::access::{AccessError, Operation, TicketId, TicketScope};
use session::lease::{BootTime, Claimant, Denied, SlotPermit, Standing};
use session::reason::StoppedBy;
use session::receipts::PlayerKey;
use session::rental::{BlockNumber, RentId};
use tokio::sync::watch;

use super::access::Claim;
use super::refusal::not_written;
use super::{Books, Rented};
use crate::http::Problem;

/// A session whose order's last block is late is paid for so long from each time that this is seen; the block ends it.
const LATE: Duration = Duration::from_secs(10);
/// Less than that is no news.
const FINE: Duration = Duration::from_secs(2);

/// What a session is told of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Paid for until then.
    pub(crate) until: MediaTime,
    /// The block that ends it.
    pub(crate) over: BlockNumber,
    /// How far the order is.
    pub(crate) standing: Standing,
    /// How often the player was to be warned, and what was left then.
    pub(crate) warned: (u32, Duration),
    /// The session is to end.
    pub(crate) end: Option<StoppedBy>,
}

/// A session as the books have it.
pub(super) struct Seat {
    pub(super) rent_id: RentId,
    pub(super) session: Option<SessionId>,
    /// The ticket that its player came by.
    pub(super) came_by: Option<TicketId>,
    may_stop: Arc<AtomicBool>,
    show: watch::Sender<Lease>,
}

impl Seat {
    /// The session is to end.
    pub(super) fn end(&self, by: StoppedBy) {
        self.show.send_modify(|lease| lease.end = lease.end.or(Some(by)));
    }

    /// Its player is to be warned.
    pub(super) fn warn(&self, left: Duration) {
        self.show.send_modify(|lease| lease.warned = (lease.warned.0 + 1, left));
    }
}

/// What a session of an order holds: given back when it is dropped.
pub(crate) struct Tenancy {
    pub(super) rented: Arc<Rented>,
    pub(super) rent_id: RentId,
    seat: u64,
    permit: Option<SlotPermit>,
    pub(super) lease: watch::Receiver<Lease>,
    /// How long it may be tried, where it is not confirmed.
    pub(super) trial: Option<Duration>,
    /// Of that, what it was live.
    pub(super) tried: Duration,
    /// What acknowledges its receipts.
    pub(crate) player: Option<PlayerKey>,
    may_stop: Arc<AtomicBool>,
}

impl Rented {
    /// Lets a session of an order in. A trial is durable before.
    ///
    /// # Errors
    /// A problem that says why not.
    pub(crate) async fn admit(self: &Arc<Self>, claim: &Claim) -> Result<Tenancy, Problem> {
        claim.allows(Operation::Scoped(TicketScope::Start))?;
        let (tenancy, trial) = self.seat(claim)?;
        if let Some(trial) = trial {
            let written = self.ledger.commit(Op::Trial(trial)).await;
            written.map_err(|error| not_written("the trial", &error))?;
        }
        Ok(tenancy)
    }

    fn seat(
        self: &Arc<Self>,
        claim: &Claim,
    ) -> Result<(Tenancy, Option<session::lease::TrialUse>), Problem> {
        let (boot, now, rent_id) = (self.boot.now(), self.clock.now(), claim.rent_id);
        let mut books = self.books();
        books.let_in(claim)?;
        let grant = books.lease.check(boot, rent_id, claim.claimant());
        let grant = grant.map_err(|denied| {
            // While it is tried its trial counts as used up.
            let is_tried = books.seats.values().any(|seat| seat.rent_id == rent_id);
            if denied == Denied::TrialUsed && is_tried { Denied::SlotsTaken } else { denied }
        })?;
        let permit = books.lease.occupy(boot, rent_id, claim.claimant(), claim.slot())?;
        let begun = match (grant.trial, claim.claimant()) {
            (Some(_), Claimant::Renter(renter)) => {
                match books.lease.trial_begin(boot, rent_id, renter) {
                    Ok(begun) => Some(begun),
                    Err(denied) => {
                        books.lease.release(permit);
                        return Err(denied.into());
                    }
                }
            }
            _ => None,
        };
        let lease = Lease {
            until: now + grant.until.since(boot).max(LATE),
            over: grant.over,
            standing: grant.standing,
            warned: (0, Duration::ZERO),
            end: None,
        };
        let (show, watch) = watch::channel(lease);
        let may_stop = claim.allows(Operation::Scoped(TicketScope::Stop)).is_ok();
        let may_stop = Arc::new(AtomicBool::new(may_stop));
        let seat = Seat {
            rent_id,
            session: None,
            came_by: claim.ticket_id(),
            may_stop: may_stop.clone(),
            show,
        };
        books.next_seat += 1;
        let number = books.next_seat;
        books.seats.insert(number, seat);
        let tenancy = Tenancy {
            rented: self.clone(),
            rent_id,
            seat: number,
            permit: Some(permit),
            lease: watch,
            trial: begun.map(|(left, _)| left),
            tried: Duration::ZERO,
            player: None,
            may_stop,
        };
        Ok((tenancy, begun.map(|(_, trial)| trial)))
    }

    /// The sessions of an order.
    pub(crate) fn sessions_of(&self, rent_id: RentId) -> Vec<SessionId> {
        let books = self.books();
        let seats = books.seats.values().filter(|seat| seat.rent_id == rent_id);
        seats.filter_map(|seat| seat.session.clone()).collect()
    }

    /// Somebody else of the order, who has its keys, plays a session from now on.
    ///
    /// # Errors
    /// [`AccessError::Revoked`] where his ticket was taken back meanwhile.
    pub(crate) fn plays(&self, session: &SessionId, claim: &Claim) -> Result<(), AccessError> {
        let mut books = self.books();
        books.let_in(claim)?;
        let is_it = |seat: &&mut Seat| seat.session.as_ref() == Some(session);
        if let Some(seat) = books.seats.values_mut().find(is_it) {
            seat.came_by = claim.ticket_id();
            let may_stop = claim.allows(Operation::Scoped(TicketScope::Stop)).is_ok();
            seat.may_stop.store(may_stop, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Books {
    /// Whether nobody took back what somebody came by, since he showed his bearer.
    pub(super) fn let_in(&self, claim: &Claim) -> Result<(), AccessError> {
        let is_revoked = claim.ticket_id().is_some_and(|ticket| self.tickets.is_revoked(ticket));
        if is_revoked { Err(AccessError::Revoked) } else { Ok(()) }
    }

    /// Tells sessions until when they are paid for.
    pub(super) fn refresh(&mut self, now: MediaTime, boot: BootTime) {
        for seat in self.seats.values() {
            let Some((standing, over, until)) = self.lease.outlook(seat.rent_id) else { continue };
            let until = now + until.since(boot).max(LATE);
            seat.show.send_if_modified(|lease| {
                let apart = until.since(lease.until).max(lease.until.since(until));
                let is_news = apart > FINE || (lease.over, lease.standing) != (over, standing);
                if is_news {
                    (lease.until, lease.over, lease.standing) = (until, over, standing);
                }
                is_news
            });
        }
    }
}

impl Tenancy {
    /// The session has this id.
    pub(crate) fn is_of(&self, session: &SessionId) {
        if let Some(seat) = self.rented.books().seats.get_mut(&self.seat) {
            seat.session = Some(session.clone());
        }
    }

    /// Whether its player may end the session, beside leaving it.
    pub(super) fn may_stop(&self) -> bool {
        self.may_stop.load(Ordering::Relaxed)
    }

    /// What was tried until now is all that is: the order is confirmed, or the session over.
    pub(super) fn end_trial(&mut self) {
        let Some(left) = self.trial.take() else { return };
        let trial = self.rented.books().lease.trial_end(self.rent_id, left, self.tried);
        if let Some(trial) = trial
            && let Err(error) = self.rented.ledger.try_commit(Op::Trial(trial))
        {
            // What is written counts it as used up.
            tracing::warn!(%error, "how long an order was tried is not written");
        }
    }
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        self.end_trial();
        let mut books = self.rented.books();
        let seat = books.seats.remove(&self.seat);
        if let Some(session) = seat.and_then(|seat| seat.session) {
            Rented::forget_guests(&mut books, &session);
        }
        if let Some(permit) = self.permit.take() {
            books.lease.release(permit);
        }
    }
}
