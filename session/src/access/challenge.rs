//! Challenges: texts of the node's making that a renter signs to be believed once.

use std::collections::BTreeMap;

use super::text::{Reader, Writer, hex};
use super::{AccessError, Binding, UnixSeconds};
use crate::rental::AccountId;

const DOMAIN: &str = "nearlight-challenge/1";
const SENTENCE: &str =
    "I ask the machine named here to do what is named here, once. This moves no money.";
const WHAT: &str = "challenge";

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The request that it is for.
    pub binding: Binding,
    /// It proves nothing from then on.
    pub expires: UnixSeconds,
    /// Random, and of this challenge alone.
    pub nonce: [u8; 16],
}

impl Challenge {
    /// The text that a wallet shows and signs.
    pub fn text(&self) -> String {
        let mut writer = Writer::new(DOMAIN, SENTENCE);
        writer.binding(&self.binding);
        writer.field("expires", self.expires.0);
        writer.field("nonce", hex(&self.nonce));
        writer.done()
    }

    /// Of exactly such a text.
    ///
    /// # Errors
    /// [`AccessError::Malformed`] and `Version`.
    pub fn parse(text: &str) -> Result<Self, AccessError> {
        let mut reader = Reader::new(text, DOMAIN, SENTENCE, WHAT)?;
        let binding = reader.binding()?;
        let challenge =
            Self { binding, expires: reader.seconds("expires")?, nonce: reader.bytes("nonce")? };
        reader.done()?;
        Ok(challenge)
    }
}

#[derive(Clone, Copy, Debug)]
struct Given {
    expires: UnixSeconds,
    used: bool,
}

/// The challenges of a node that are open, and those that were used until they expire. They are known to this process
/// alone: one that was given out before a restart is unknown, and so used never.
#[derive(Debug)]
pub struct Challenges {
    given: BTreeMap<[u8; 16], Given>,
    most: usize,
    life: u64,
}

impl Challenges {
    /// At most `most` at a time, each good for `life` seconds.
    pub fn new(most: usize, life: u64) -> Self {
        Self { given: BTreeMap::new(), most, life }
    }

    /// A new challenge for a request. `nonce` must come from the system's generator.
    ///
    /// # Errors
    /// [`AccessError::TooMany`]; `Malformed` for a request that no text can hold.
    pub fn issue(
        &mut self,
        now: UnixSeconds,
        nonce: [u8; 16],
        binding: Binding,
    ) -> Result<Challenge, AccessError> {
        self.given.retain(|_, given| now < given.expires);
        if self.given.len() >= self.most || self.given.contains_key(&nonce) {
            return Err(AccessError::TooMany);
        }
        let expires = UnixSeconds(now.0.saturating_add(self.life));
        let challenge = Challenge { binding, expires, nonce };
        // A path with a line end in it, say, would be another field.
        if Challenge::parse(&challenge.text()).as_ref() != Ok(&challenge) {
            return Err(AccessError::Malformed(WHAT));
        }
        self.given.insert(nonce, Given { expires, used: false });
        Ok(challenge)
    }

    /// Uses a challenge up, if it is for this request and the renter signed it: `signed` is asked whether he did, with the
    /// text.
    ///
    /// # Errors
    /// Those of [`AccessError`] that a challenge can have.
    pub fn redeem(
        &mut self,
        now: UnixSeconds,
        text: &str,
        request: &Binding,
        renter: &AccountId,
        signed: impl FnOnce(&AccountId, &[u8]) -> bool,
    ) -> Result<(), AccessError> {
        let challenge = Challenge::parse(text)?;
        challenge.binding.check(request)?;
        if now >= challenge.expires {
            return Err(AccessError::Expired);
        }
        let given = self.given.get_mut(&challenge.nonce).ok_or(AccessError::UnknownChallenge)?;
        if given.expires != challenge.expires {
            return Err(AccessError::UnknownChallenge);
        }
        if given.used {
            return Err(AccessError::Replayed);
        }
        // Before it is used up: a stranger uses nobody's challenge.
        if !signed(renter, text.as_bytes()) {
            return Err(AccessError::BadSignature);
        }
        given.used = true;
        Ok(())
    }
}
