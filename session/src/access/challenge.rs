//! Challenges: texts of the node's making that a renter signs to be believed once.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::text::{Reader, Writer, hex};
use super::{AccessError, Binding, UnixSeconds};
use crate::rental::{AccountId, RentId};

const DOMAIN: &str = "nearlight-challenge/1";
const SENTENCE: &str =
    "I ask the machine named here to do what is named here, once. This moves no money.";
const WHAT: &str = "challenge";
/// Bytes of a nonce, of which the first are random and the rest a seal.
const NONCE: usize = 32;
const RANDOM: usize = 16;

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The request that it is for.
    pub binding: Binding,
    /// It proves nothing from then on.
    pub expires: UnixSeconds,
    /// Half of it random and of this challenge alone, half of it the node's seal of the rest.
    pub nonce: [u8; NONCE],
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

/// One that was used.
#[derive(Clone, Copy, Debug)]
struct Used {
    expires: UnixSeconds,
    rent_id: RentId,
}

/// The challenges of a node. Of one that is open nothing is kept: it carries its end, and a seal by a key of this process
/// says that the node gave it out, so nobody takes up room who proves nothing. Those that were used are remembered until they
/// expire; each of them took a renter's signature. After a restart the key is another one: a challenge that was given out before is
/// unknown, and so used never.
#[derive(Debug)]
pub struct Challenges {
    seal: Hmac<Sha256>,
    most: usize,
    life: u64,
    /// The latest time that was told: what was forgotten has expired, whatever is told later.
    now: UnixSeconds,
    used: BTreeMap<[u8; NONCE], Used>,
}

impl Challenges {
    /// Each good for `life` seconds; a renter uses at most `most` of an order in that time. `key` must come from the system's
    /// generator and be this process's alone.
    pub fn new(key: &[u8; 32], most: usize, life: u64) -> Self {
        // Filled up with zeros to a block of the hash, as HMAC does with shorter keys.
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        let seal = Hmac::new(&block.into());
        Self { seal, most, life, now: UnixSeconds(0), used: BTreeMap::new() }
    }

    /// A new challenge for a request. `random` must come from the system's generator.
    ///
    /// # Errors
    /// [`AccessError::Malformed`] for a request that no text can hold.
    pub fn issue(
        &self,
        now: UnixSeconds,
        random: [u8; 16],
        binding: Binding,
    ) -> Result<Challenge, AccessError> {
        let expires = UnixSeconds(self.now.max(now).0.saturating_add(self.life));
        let mut challenge = Challenge { binding, expires, nonce: [0; NONCE] };
        challenge.nonce[..RANDOM].copy_from_slice(&random);
        let seal = self.sealing(&challenge).finalize().into_bytes();
        challenge.nonce[RANDOM..].copy_from_slice(&seal[..NONCE - RANDOM]);
        // A path with a line end in it, say, would be another field.
        if Challenge::parse(&challenge.text()).as_ref() != Ok(&challenge) {
            return Err(AccessError::Malformed(WHAT));
        }
        Ok(challenge)
    }

    /// What is sealed: all that the challenge says but its seal.
    fn sealing(&self, challenge: &Challenge) -> Hmac<Sha256> {
        let mut open = challenge.clone();
        open.nonce[RANDOM..].fill(0);
        self.seal.clone().chain_update(open.text())
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
        self.now = self.now.max(now);
        let now = self.now;
        let challenge = Challenge::parse(text)?;
        challenge.binding.check(request)?;
        if now >= challenge.expires {
            return Err(AccessError::Expired);
        }
        // In a time that says nothing of the seal.
        let sealed = self.sealing(&challenge).verify_truncated_left(&challenge.nonce[RANDOM..]);
        sealed.map_err(|_| AccessError::UnknownChallenge)?;
        self.used.retain(|_, used| now < used.expires);
        if self.used.contains_key(&challenge.nonce) {
            return Err(AccessError::Replayed);
        }
        let rent_id = challenge.binding.rent_id;
        if self.used.values().filter(|used| used.rent_id == rent_id).count() >= self.most {
            return Err(AccessError::TooMany);
        }
        // Before it is used up: a stranger uses nobody's challenge.
        if !signed(renter, text.as_bytes()) {
            return Err(AccessError::BadSignature);
        }
        self.used.insert(challenge.nonce, Used { expires: challenge.expires, rent_id });
        Ok(())
    }
}
