//! Tokens of those who proved that they may use an order, in memory only.

use std::collections::BTreeMap;

use session::access::{TicketId, UnixSeconds};
use session::rental::{AccountId, RentId};
use session::tokens::TokenError;
use sha2::{Digest as _, Sha256};

use super::access::Claim;
use crate::http::hex;

/// Of one order at once its renter's, and those that came by tickets: of each kind the oldest makes room for the next, so that no
/// guest takes the renter's away.
const OF_RENTER: usize = 16;
const OF_TICKETS: usize = 64;
/// Longer texts are not tokens.
const LONGEST: usize = 128;

struct Bearer {
    claim: Claim,
    expires: UnixSeconds,
    /// Its order is over: it reads receipts and nothing else.
    ended: bool,
    serial: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Bearers {
    by_digest: BTreeMap<[u8; 32], Bearer>,
    next: u64,
}

impl Bearers {
    /// A new token. `random` must come from the system's generator.
    pub(super) fn issue(
        &mut self,
        now: UnixSeconds,
        random: &[u8; 32],
        claim: Claim,
        expires: UnixSeconds,
    ) -> String {
        self.by_digest.retain(|_, bearer| now < bearer.expires);
        let kind = |claim: &Claim| (claim.rent_id, claim.ticket_id().is_some());
        let alike = self.by_digest.iter().filter(|(_, bearer)| kind(&bearer.claim) == kind(&claim));
        let mut alike: Vec<_> = alike.map(|(digest, bearer)| (bearer.serial, *digest)).collect();
        alike.sort_unstable();
        let most = if claim.ticket_id().is_some() { OF_TICKETS } else { OF_RENTER };
        let surplus = (alike.len() + 1).saturating_sub(most);
        for (_, digest) in alike.into_iter().take(surplus) {
            self.by_digest.remove(&digest);
        }
        let text = hex(random);
        self.next += 1;
        let bearer = Bearer { claim, expires, ended: false, serial: self.next };
        self.by_digest.insert(Sha256::digest(&text).into(), bearer);
        text
    }

    /// Who shows this token, and whether his order is over.
    ///
    /// # Errors
    /// `Malformed`, `Unknown` and `Expired`.
    pub(super) fn check(
        &self,
        now: UnixSeconds,
        token: &str,
    ) -> Result<(&Claim, bool), TokenError> {
        if token.is_empty() || token.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let bearer = self.by_digest.get(&digest).ok_or(TokenError::Unknown)?;
        if now >= bearer.expires {
            return Err(TokenError::Expired);
        }
        Ok((&bearer.claim, bearer.ended))
    }

    /// An order is this renter's, or over: those of an order that is over read its receipts from now on, until a branch of the chain
    /// brings it back. Where it brings another renter's by the same number, they are forgotten.
    pub(super) fn order_is(&mut self, rent: RentId, renter: Option<&AccountId>) {
        let is_anothers =
            |claim: &Claim| claim.rent_id == rent && renter.is_some_and(|it| it != claim.renter());
        self.by_digest.retain(|_, bearer| !is_anothers(&bearer.claim));
        let of_order = self.by_digest.values_mut().filter(|bearer| bearer.claim.rent_id == rent);
        of_order.for_each(|bearer| bearer.ended = renter.is_none());
    }

    /// Forgets those that came by a ticket.
    pub(super) fn revoke(&mut self, ticket: TicketId) {
        self.by_digest.retain(|_, bearer| bearer.claim.ticket_id() != Some(ticket));
    }
}

#[cfg(test)]
mod tests {
    use session::access::{Binding, Ticket, TicketScope, TicketScopes};
    use session::rental::{BlockHash, MachineId};

    use super::*;
    use crate::rented::access::Holder;

    const RENTER: AccountId = AccountId([7; 32]);
    const NOW: UnixSeconds = UnixSeconds(1_000);

    fn renters(rent: u64) -> Claim {
        Claim { rent_id: RentId(rent), holder: Holder::Renter(RENTER) }
    }

    fn guests(rent: u64, ticket: u8) -> Claim {
        let ticket = Ticket {
            binding: Binding {
                genesis: BlockHash([1; 32]),
                machine: MachineId::of_public_key(&[2; 32]),
                rent_id: RentId(rent),
                origin: "https://node.example".to_owned(),
                method: "POST".to_owned(),
                path: "/".to_owned(),
                body: [0; 32],
            },
            id: TicketId([ticket; 16]),
            scopes: TicketScopes::new([TicketScope::Play]).unwrap(),
            not_before: UnixSeconds(0),
            not_after: UnixSeconds(9_000),
            uses: u32::MAX,
            slot: None,
        };
        let (ticket, renter) = (Box::new(ticket), RENTER);
        Claim { rent_id: RentId(rent), holder: Holder::Guest { ticket, renter } }
    }

    /// Hands one out, by a number of its own.
    fn issue(bearers: &mut Bearers, claim: Claim) -> String {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&bearers.next.to_be_bytes());
        bearers.issue(NOW, &random, claim, UnixSeconds(2_000))
    }

    #[test]
    fn however_many_guests_come_the_renter_keeps_his() {
        let mut bearers = Bearers::default();
        let renter = issue(&mut bearers, renters(1));
        let of_other_order = issue(&mut bearers, guests(2, 1));
        let guests: Vec<_> = (0..200).map(|_| issue(&mut bearers, guests(1, 1))).collect();
        assert!(bearers.check(NOW, &renter).is_ok());
        assert!(bearers.check(NOW, &of_other_order).is_ok());
        // The oldest made room.
        let known = |token: &String| bearers.check(NOW, token).is_ok();
        assert_eq!(guests.iter().filter(|it| known(it)).count(), OF_TICKETS);
        assert!(guests[200 - OF_TICKETS..].iter().all(known));
        // His own are bounded, too, and take nothing of the guests'.
        let own: Vec<_> = (0..100).map(|_| issue(&mut bearers, renters(1))).collect();
        let known = |token: &String| bearers.check(NOW, token).is_ok();
        assert_eq!(own.iter().filter(|it| known(it)).count(), OF_RENTER);
        assert!(guests[200 - OF_TICKETS..].iter().all(known));
    }

    #[test]
    fn an_order_that_comes_back_as_anothers_has_no_bearers() {
        let mut bearers = Bearers::default();
        let tokens = [issue(&mut bearers, renters(1)), issue(&mut bearers, guests(1, 1))];
        let ended = |bearers: &Bearers| {
            let ended = |token: &String| bearers.check(NOW, token).map(|(_, ended)| ended);
            tokens.each_ref().map(ended)
        };
        bearers.order_is(RentId(1), None);
        assert_eq!(ended(&bearers), [Ok(true); 2]);
        bearers.order_is(RentId(1), Some(&RENTER));
        assert_eq!(ended(&bearers), [Ok(false); 2]);
        bearers.order_is(RentId(2), Some(&AccountId([8; 32])));
        assert_eq!(ended(&bearers), [Ok(false); 2]);
        bearers.order_is(RentId(1), Some(&AccountId([8; 32])));
        assert_eq!(ended(&bearers), [Err(TokenError::Unknown); 2]);
    }
}
