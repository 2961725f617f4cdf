//! Tokens of those who proved that they may use an order, in memory only.

use std::collections::BTreeMap;

use session::access::{TicketId, UnixSeconds};
use session::rental::RentId;
use session::tokens::TokenError;
use sha2::{Digest as _, Sha256};

use super::access::Claim;
use crate::http::hex;

/// Of one order at once; the oldest makes room.
const OF_ORDER: usize = 64;
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
        let rent = claim.rent_id;
        let of_order = self.by_digest.iter().filter(|(_, bearer)| bearer.claim.rent_id == rent);
        let mut of_order: Vec<_> =
            of_order.map(|(digest, bearer)| (bearer.serial, *digest)).collect();
        of_order.sort_unstable();
        let surplus = (of_order.len() + 1).saturating_sub(OF_ORDER);
        for (_, digest) in of_order.into_iter().take(surplus) {
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

    /// Those of an order that is over read its receipts from now on; a branch of the chain may bring it back.
    pub(super) fn order_is_over(&mut self, rent: RentId, is_over: bool) {
        let of_order = self.by_digest.values_mut().filter(|bearer| bearer.claim.rent_id == rent);
        of_order.for_each(|bearer| bearer.ended = is_over);
    }

    /// Forgets those that came by a ticket.
    pub(super) fn revoke(&mut self, ticket: TicketId) {
        self.by_digest.retain(|_, bearer| bearer.claim.ticket_id() != Some(ticket));
    }
}
