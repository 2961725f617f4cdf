//! Secret keys that sign: a machine's, or a wallet's. Overwritten when dropped; `Debug` shows the account alone.

use std::fmt;

use ed25519_dalek::Signer as _;
use schnorrkel::{ExpansionMode, MiniSecretKey, SecretKey};
use session::rental::{AccountId, MachineId};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::development;
use crate::hex::from_hex;
use crate::signature::{CONTEXT, Kind, Signature, account_of, blake2_256};

/// Why bytes are no key, or the key must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Of another length or without meaning in the scheme. Never says what they were.
    #[error("these bytes are no {0} key")]
    Malformed(&'static str),
    /// Everybody can sign with it.
    #[error(
        "the key is the well-known development key {0:?}: it is for chains of development only"
    )]
    Development(&'static str),
    /// The scheme could not sign.
    #[error("the key could not sign")]
    Unsigned,
}

enum Secret {
    Sr25519(Box<schnorrkel::Keypair>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Ecdsa(Box<k256::ecdsa::SigningKey>),
}

/// A secret key and its account.
pub struct Pair {
    secret: Secret,
    account: AccountId,
}

impl Pair {
    /// Of a seed of 32 bytes, expanded as wallets do.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn sr25519(seed: &[u8]) -> Result<Self, KeyError> {
        let seed = MiniSecretKey::from_bytes(seed).map_err(|_| KeyError::Malformed("sr25519"))?;
        Ok(Self::of_sr25519(seed.expand_to_keypair(ExpansionMode::Ed25519)))
    }

    /// Of the 64 bytes that keystores of wallets hold: a scalar times the cofactor, and a nonce.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn sr25519_expanded(secret: &[u8]) -> Result<Self, KeyError> {
        let secret = SecretKey::from_ed25519_bytes(secret);
        let secret = secret.map_err(|_| KeyError::Malformed("sr25519"))?;
        Ok(Self::of_sr25519(secret.to_keypair()))
    }

    fn of_sr25519(pair: schnorrkel::Keypair) -> Self {
        let account = AccountId(pair.public.to_bytes());
        Self { secret: Secret::Sr25519(Box::new(pair)), account }
    }

    /// Of a seed of 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn ed25519(seed: &[u8]) -> Result<Self, KeyError> {
        let seed =
            Zeroizing::new(<[u8; 32]>::try_from(seed).map_err(|_| KeyError::Malformed("ed25519"))?);
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let account = AccountId(key.verifying_key().to_bytes());
        Ok(Self { secret: Secret::Ed25519(Box::new(key)), account })
    }

    /// Of a scalar of secp256k1.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn ecdsa(scalar: &[u8]) -> Result<Self, KeyError> {
        let malformed = KeyError::Malformed("ecdsa");
        let key = k256::ecdsa::SigningKey::from_slice(scalar).map_err(|_| malformed)?;
        let public = key.verifying_key().to_encoded_point(true);
        let account = account_of(Kind::Ecdsa, public.as_bytes()).ok_or(malformed)?;
        Ok(Self { secret: Secret::Ecdsa(Box::new(key)), account })
    }

    /// Of a seed, in the scheme that is named.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn of_seed(kind: Kind, seed: &[u8]) -> Result<Self, KeyError> {
        match kind {
            Kind::Sr25519 => Self::sr25519(seed),
            Kind::Ed25519 => Self::ed25519(seed),
            Kind::Ecdsa => Self::ecdsa(seed),
        }
    }

    /// Of an environment variable's text: 64 hexadecimal digits, with or without `0x`.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn of_text(kind: Kind, text: &str) -> Result<Self, KeyError> {
        let seed = from_hex(text.trim()).map(Zeroizing::new);
        Self::of_seed(kind, &seed.ok_or(KeyError::Malformed(kind.name()))?)
    }

    /// Its scheme.
    pub fn kind(&self) -> Kind {
        match self.secret {
            Secret::Sr25519(_) => Kind::Sr25519,
            Secret::Ed25519(_) => Kind::Ed25519,
            Secret::Ecdsa(_) => Kind::Ecdsa,
        }
    }

    /// Whose key it is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Signs exactly these bytes.
    ///
    /// # Errors
    /// [`KeyError::Unsigned`], of ecdsa alone and practically never.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, KeyError> {
        match &self.secret {
            Secret::Sr25519(pair) => {
                Ok(Signature::Sr25519(pair.sign_simple(CONTEXT, message).to_bytes()))
            }
            Secret::Ed25519(key) => Ok(Signature::Ed25519(key.sign(message).to_bytes())),
            Secret::Ecdsa(key) => {
                let signed = key.sign_prehash_recoverable(&blake2_256(message));
                let (signature, recovery) = signed.map_err(|_| KeyError::Unsigned)?;
                let mut bytes = [0; 65];
                bytes[..64].copy_from_slice(&signature.to_bytes());
                bytes[64] = recovery.to_byte();
                Ok(Signature::Ecdsa(bytes))
            }
        }
    }

    /// What a keystore holds of it: 64 bytes of sr25519 as [`Self::sr25519_expanded`] takes them, else the 32
    /// of the seed and nothing, or, as wallets do for ed25519, the public key.
    pub(crate) fn stored(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match &self.secret {
            Secret::Sr25519(pair) => pair.secret.to_ed25519_bytes().to_vec(),
            Secret::Ed25519(key) => key.to_keypair_bytes().to_vec(),
            Secret::Ecdsa(key) => key.to_bytes().to_vec(),
        })
    }

    /// The public key as the scheme encodes it: 32 bytes, 33 of ecdsa.
    pub fn public(&self) -> Vec<u8> {
        match &self.secret {
            Secret::Ecdsa(key) => key.verifying_key().to_encoded_point(true).as_bytes().to_vec(),
            _ => self.account.0.to_vec(),
        }
    }

    /// Refuses what everybody knows; to be called unless the chain is one of development.
    ///
    /// # Errors
    /// [`KeyError::Development`].
    pub fn refuse_development(&self) -> Result<(), KeyError> {
        match development::name_of(&self.account) {
            Some(name) => Err(KeyError::Development(name)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pair({} {:?})", self.kind().name(), self.account)
    }
}

/// A machine's key: sr25519, whose public key is the machine's id on the chain.
#[derive(Debug)]
pub struct MachineKey(Pair);

impl MachineKey {
    /// Of any pair of sr25519.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] of another scheme.
    pub fn new(pair: Pair) -> Result<Self, KeyError> {
        if pair.kind() == Kind::Sr25519 {
            Ok(Self(pair))
        } else {
            Err(KeyError::Malformed("sr25519"))
        }
    }

    /// The machine's id: its public key in lower-case hexadecimal digits.
    pub fn machine(&self) -> MachineId {
        MachineId::of_public_key(&self.0.account.0)
    }

    /// The key as a pair.
    pub fn pair(&self) -> &Pair {
        &self.0
    }

    /// Signs a receipt, or anything else that begins with a domain of ours.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        match &self.0.secret {
            Secret::Sr25519(pair) => pair.sign_simple(CONTEXT, message).to_bytes(),
            // `new` took no other; a signature of zeros is valid for nobody.
            Secret::Ed25519(_) | Secret::Ecdsa(_) => [0; 64],
        }
    }
}

/// Whether the machine signed exactly these bytes.
pub fn verify_machine(machine: &MachineId, signature: &[u8; 64], message: &[u8]) -> bool {
    MachineVerifier::new(machine).is_some_and(|key| key.verify(signature, message))
}

/// A machine's public key, decompressed once for many signatures.
#[derive(Clone)]
pub struct MachineVerifier(schnorrkel::PublicKey);

impl MachineVerifier {
    /// None where the id is no public key.
    pub fn new(machine: &MachineId) -> Option<Self> {
        schnorrkel::PublicKey::from_bytes(&machine.public_key()).ok().map(Self)
    }

    /// Whether the machine signed exactly these bytes.
    pub fn verify(&self, signature: &[u8; 64], message: &[u8]) -> bool {
        let signature = schnorrkel::Signature::from_bytes(signature);
        signature.is_ok_and(|signature| self.0.verify_simple(CONTEXT, message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::verify_exactly;

    #[test]
    fn each_scheme_signs_what_it_verifies_and_shows_no_secret() {
        for kind in [Kind::Sr25519, Kind::Ed25519, Kind::Ecdsa] {
            let pair = Pair::of_text(kind, &format!("0x{}", "0b".repeat(32))).unwrap();
            let signature = pair.sign(b"message").unwrap();
            assert_eq!(signature.kind(), kind);
            assert!(verify_exactly(&pair.account(), &signature, b"message"));
            assert!(!verify_exactly(&pair.account(), &signature, b"massage"));
            assert!(!format!("{pair:?}").contains(&"0b".repeat(4)), "{pair:?}");
            assert_eq!(pair.refuse_development(), Ok(()));
        }
    }

    #[test]
    fn what_is_no_key_says_so_without_repeating_it() {
        for kind in [Kind::Sr25519, Kind::Ed25519, Kind::Ecdsa] {
            for bad in ["", "0b0b", "secret words", &"0b".repeat(33)] {
                let error = Pair::of_text(kind, bad).unwrap_err();
                assert_eq!(error, KeyError::Malformed(kind.name()));
                assert!(!error.to_string().contains("0b"), "{error}");
            }
        }
        assert!(Pair::of_seed(Kind::Ecdsa, &[0; 32]).is_err(), "no scalar");
    }

    #[test]
    fn a_machine_is_its_public_key() {
        let key = MachineKey::new(Pair::sr25519(&[3; 32]).unwrap()).unwrap();
        let signature = key.sign(b"receipt");
        assert!(verify_machine(&key.machine(), &signature, b"receipt"));
        assert!(!verify_machine(&key.machine(), &signature, b"receipts"));
        assert!(MachineKey::new(Pair::ed25519(&[3; 32]).unwrap()).is_err());
    }
}
