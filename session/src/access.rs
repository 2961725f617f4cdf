//! Proofs of who may use a rented machine: a renter's signature over a challenge, and tickets that a renter hands out.
//!
//! Both are texts of printable lines, so that a wallet shows what is signed, and both name everything that they are good
//! for: chain, machine, order, node, request and time. A text has one form; whatever is not exactly that form is refused. Signatures are checked
//! by a function that the caller brings, since this crate has no cryptography but a hash and what is made of it.
//!
//! ```text
//!  renter:  node ──challenge──▶ wallet ──signature──▶ node: Challenges::redeem, once
//!  ticket:  renter's wallet signs Ticket ──link──▶ somebody ──▶ node: Tickets::present
//!                                                                      │ Persist(count)
//!                                                   durable ◀──────────┘
//!                                                      └──▶ Tickets::persisted ──▶ Admit
//! ```

mod challenge;
mod text;
mod ticket;
mod tickets;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::rental::{BlockHash, MachineId, RentId};

pub use challenge::{Challenge, Challenges};
pub use ticket::{MAX_TICKET_LIFE, Operation, Ticket, TicketId, TicketScope, TicketScopes};
pub use tickets::{Admission, TicketRecord, TicketState, Tickets};

/// Seconds since 1970 by the chain's clock ([`crate::lease::LeaseBook::time`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

/// What a proof is bound to beside time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The chain.
    pub genesis: BlockHash,
    /// The machine.
    pub machine: MachineId,
    /// The order.
    pub rent_id: RentId,
    /// The node as its users reach it: scheme, host and port, without a slash at the end.
    pub origin: String,
    /// The request's method.
    pub method: String,
    /// The request's path, with its query.
    pub path: String,
    /// SHA-256 of the request's body.
    pub body: [u8; 32],
}

impl Binding {
    /// SHA-256 of a body.
    pub fn body_of(body: &[u8]) -> [u8; 32] {
        Sha256::digest(body).into()
    }

    /// Whether a request is the one that was bound.
    ///
    /// # Errors
    /// What of it is another: [`AccessError::OtherChain`] and the like.
    pub fn check(&self, request: &Self) -> Result<(), AccessError> {
        if self.genesis != request.genesis {
            Err(AccessError::OtherChain)
        } else if self.machine != request.machine {
            Err(AccessError::OtherMachine)
        } else if self.rent_id != request.rent_id {
            Err(AccessError::OtherOrder)
        } else if self.origin != request.origin {
            Err(AccessError::OtherNode)
        } else if self.method != request.method || self.path != request.path {
            Err(AccessError::OtherRequest)
        } else if self.body != request.body {
            Err(AccessError::OtherBody)
        } else {
            Ok(())
        }
    }
}

/// Why a proof proves nothing. Nothing is used up by one that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The text does not have the one form that it may have.
    #[error("the {0} does not have the form that it must have")]
    Malformed(&'static str),
    /// It is of a version that is not known.
    #[error("the {0} is of a version that this node does not know")]
    Version(&'static str),
    /// It is for another chain.
    #[error("the proof is for another chain")]
    OtherChain,
    /// It is for another machine.
    #[error("the proof is for another machine")]
    OtherMachine,
    /// It is for another order.
    #[error("the proof is for another order")]
    OtherOrder,
    /// It is for another node.
    #[error("the proof is for another node")]
    OtherNode,
    /// It is for another method or path.
    #[error("the proof is for another request")]
    OtherRequest,
    /// It is for another body.
    #[error("the proof is for a request with another body")]
    OtherBody,
    /// Its time has not come.
    #[error("the proof is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("the proof has expired")]
    Expired,
    /// The renter did not sign it.
    #[error("the renter did not sign the proof")]
    BadSignature,
    /// The node gave out no such challenge, or forgot it when it was started anew.
    #[error("the node did not give out this challenge, or was started anew: ask for another one")]
    UnknownChallenge,
    /// It was used before.
    #[error("the proof was used before")]
    Replayed,
    /// The order's proofs are too many for the moment.
    #[error(
        "too many proofs of this order were shown, or one is being written down: try again in a moment"
    )]
    TooMany,
    /// The ticket was taken back.
    #[error("the ticket was revoked")]
    Revoked,
    /// The ticket was used as often as it may be.
    #[error("the ticket was used as often as it may be")]
    UsedUp,
    /// The ticket's order is over, and the ticket with it.
    #[error("the ticket's order has ended")]
    OrderEnded,
    /// The ticket is not for that.
    #[error("the ticket does not allow this")]
    OutOfScope,
    /// No ticket is for that.
    #[error("no ticket allows this: it is for the renter alone")]
    RenterOnly,
    /// The use could not be written down.
    #[error("the use of the ticket could not be written down, so it does not count")]
    NotDurable,
}

#[cfg(test)]
mod tests;
