//! Who reads receipts: operators all, renters those of their order, and a session's player those of that session.
//!
//! A session's own tokens are forgotten when it is over, and its last slice is durable only then. So its player gets another
//! one, for reading its receipts and nothing else. It is made with a secret of this process, which keeps nothing for it.

use anyhow::Result;
use media::SessionId;
use session::receipts::ChainId;
use session::rental::RentId;
use sha2::{Digest as _, Sha256};

use crate::http::hex;

/// Longer texts are no tokens.
const LONGEST: usize = 256;

/// Whose receipts somebody reads.
pub(crate) enum Reader {
    /// Everybody's.
    All,
    /// An order's.
    Order(RentId),
    /// A session's.
    Session([ChainId; 2]),
}

impl Reader {
    /// Whether he reads these, which are of that order.
    pub(crate) fn may(&self, chain: &ChainId, of: RentId) -> bool {
        match self {
            Self::All => true,
            Self::Order(order) => *order == of,
            Self::Session(chains) => chains.contains(chain),
        }
    }
}

/// The chains of receipts of a session: its first, and the one of the time after its order was confirmed where that was tried.
pub(super) fn chains_of(session: &str) -> [ChainId; 2] {
    [ChainId::of_session(session), ChainId::of_session(&format!("{session}/lease"))]
}

/// What tokens for the receipts of single sessions are made with.
pub(super) struct ReaderKey([u8; 32]);

impl ReaderKey {
    /// Of random bytes.
    ///
    /// # Errors
    /// Where the system has none.
    pub(super) fn new() -> Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// A session's.
    pub(super) fn token(&self, session: &SessionId) -> String {
        format!("{}.{}", session.as_str(), hex(&self.seal(session.as_str())))
    }

    /// Who shows a token; none where it is none of this process's.
    pub(super) fn reader(&self, token: &str) -> Option<Reader> {
        let (session, seal) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        // Digests are compared, so that the time that it takes says nothing of the seal.
        let is_it = Sha256::digest(hex(&self.seal(session))) == Sha256::digest(seal);
        is_it.then(|| Reader::Session(chains_of(session)))
    }

    /// What follows the key has one length, so that nothing can be made of a seal by going on from it.
    fn seal(&self, session: &str) -> [u8; 32] {
        let digest = Sha256::digest(session);
        Sha256::new().chain_update(self.0).chain_update(digest).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_its_session_and_no_other() {
        let (key, other) = (ReaderKey([1; 32]), ReaderKey([2; 32]));
        let (mine, order) = (SessionId::new("0a1b"), RentId(7));
        let token = key.token(&mine);
        let reader = key.reader(&token).unwrap();
        assert!(chains_of("0a1b").iter().all(|chain| reader.may(chain, order)));
        assert!(chains_of("0a1c").iter().all(|chain| !reader.may(chain, order)));
        assert!(other.reader(&token).is_none());
        let (_, seal) = token.split_once('.').unwrap();
        for forged in [
            format!("0a1c.{seal}"),
            format!("0a1b.{}", "0".repeat(64)),
            format!("0a1b.{}", &seal[..63]),
            format!("x.{token}"),
            seal.to_owned(),
            String::new(),
            ".".repeat(10_000),
        ] {
            assert!(key.reader(&forged).is_none(), "{forged}");
        }
    }

    #[test]
    fn an_orders_reader_reads_its_order() {
        let [chain, _] = chains_of("0a1b");
        assert!(Reader::Order(RentId(7)).may(&chain, RentId(7)));
        assert!(!Reader::Order(RentId(8)).may(&chain, RentId(7)));
        assert!(Reader::All.may(&chain, RentId(7)));
    }
}
