//! Why somebody is not let in, as the API says it: each reason is a kind of problem of its own.

use axum::http::StatusCode;
use ledger::LedgerError;
use session::access::AccessError;
use session::lease::Denied;

use crate::http::Problem;

/// Seconds until the next block, about.
const BLOCK: u32 = 6;

impl From<Denied> for Problem {
    fn from(why: Denied) -> Self {
        let (status, kind, title) = match why {
            Denied::NoHead => {
                (StatusCode::SERVICE_UNAVAILABLE, "no-head", "The chain is not there yet")
            }
            Denied::WrongGenesis => {
                (StatusCode::SERVICE_UNAVAILABLE, "wrong-genesis", "The chain is another one")
            }
            Denied::UnknownOrder => {
                (StatusCode::NOT_FOUND, "unknown-order", "There is no such order")
            }
            Denied::OtherMachine => {
                (StatusCode::FORBIDDEN, "other-machine", "That is for another machine")
            }
            Denied::ForeignRenter => {
                (StatusCode::FORBIDDEN, "foreign-renter", "The order is another renter's")
            }
            Denied::Over => (StatusCode::GONE, "order-over", "The order has ended"),
            Denied::Lapsed => (StatusCode::GONE, "order-lapsed", "The order was not confirmed"),
            Denied::Vanished => {
                (StatusCode::GONE, "order-vanished", "The order is gone from the chain")
            }
            Denied::NothingRented => {
                (StatusCode::FORBIDDEN, "nothing-rented", "The order is of nothing")
            }
            Denied::NotConfirmed => {
                (StatusCode::FORBIDDEN, "not-confirmed", "The order is not confirmed")
            }
            Denied::TrialUsed => (StatusCode::FORBIDDEN, "trial-used", "The trial is used up"),
            Denied::TooManyTrials => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-trials", "There were too many trials")
            }
            Denied::SlotsTaken => {
                (StatusCode::CONFLICT, "cards-taken", "All cards of the order are in use")
            }
            Denied::SlotNotRented => {
                (StatusCode::FORBIDDEN, "card-not-rented", "The order lacks that card")
            }
            Denied::MachineOffline => {
                (StatusCode::SERVICE_UNAVAILABLE, "machine-offline", "The machine is offline")
            }
            Denied::MachineGone => {
                (StatusCode::GONE, "machine-gone", "The machine is gone from the chain")
            }
            _ => (StatusCode::FORBIDDEN, "denied", "The order does not allow this"),
        };
        let problem = Self::new(status, kind, title).because(why.to_string());
        if why == Denied::NoHead { problem.retry_after(BLOCK) } else { problem }
    }
}

impl From<AccessError> for Problem {
    fn from(why: AccessError) -> Self {
        let forbidden = StatusCode::FORBIDDEN;
        let (status, kind, title) = match why {
            AccessError::Malformed(_) => {
                (StatusCode::BAD_REQUEST, "malformed-proof", "The proof cannot be read")
            }
            AccessError::Version(_) => {
                (StatusCode::BAD_REQUEST, "proof-version", "The proof is of another version")
            }
            AccessError::OtherChain => (forbidden, "other-chain", "That is for another chain"),
            AccessError::OtherMachine => {
                (forbidden, "other-machine", "That is for another machine")
            }
            AccessError::OtherOrder => (forbidden, "other-order", "That is for another order"),
            AccessError::OtherNode => (forbidden, "other-node", "That is for another node"),
            AccessError::OtherRequest => {
                (forbidden, "other-request", "That is for another request")
            }
            AccessError::OtherBody => (forbidden, "other-body", "That is for another body"),
            AccessError::NotYet => (forbidden, "not-yet", "That is not valid yet"),
            AccessError::Expired => (forbidden, "proof-expired", "That has expired"),
            AccessError::BadSignature => {
                (forbidden, "bad-signature", "The renter did not sign this")
            }
            AccessError::UnknownChallenge => {
                (forbidden, "unknown-challenge", "The node did not ask for this")
            }
            AccessError::Replayed => (forbidden, "proof-replayed", "That was used before"),
            AccessError::TooMany => {
                (StatusCode::TOO_MANY_REQUESTS, "busy", "Too much of this is under way")
            }
            AccessError::Revoked => (forbidden, "ticket-revoked", "The ticket was revoked"),
            AccessError::UsedUp => (forbidden, "ticket-used-up", "The ticket is used up"),
            AccessError::OrderEnded => (StatusCode::GONE, "order-over", "The order has ended"),
            AccessError::OutOfScope => {
                (forbidden, "out-of-scope", "The ticket does not allow this")
            }
            AccessError::RenterOnly => (forbidden, "renter-only", "The renter alone may do this"),
            AccessError::NotDurable => {
                (StatusCode::INSUFFICIENT_STORAGE, "not-durable", "It could not be written down")
            }
            _ => (forbidden, "denied", "This is not allowed"),
        };
        let problem = Self::new(status, kind, title).because(why.to_string());
        if why == AccessError::TooMany { problem.retry_after(1) } else { problem }
    }
}

/// The chain lacks what renting needs.
pub(crate) fn unfit_chain(why: &str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unfit-chain",
        "No machine can be rented on the chain",
    )
    .because(why)
}

/// The ledger did not take something; what it said is for the log.
pub(crate) fn not_written(what: &'static str, error: &LedgerError) -> Problem {
    tracing::error!(%error, what, "the ledger did not take something");
    let why = match error {
        LedgerError::DiskFull => format!("{what} could not be written down: the disk is full"),
        _ => format!("{what} could not be written down"),
    };
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "not-durable", "It could not be written down")
        .because(why)
}
