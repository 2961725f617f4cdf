//! Signatures of wallets, as the chain's `MultiSignature` has them, over a text as it is or as wallets wrap it.
//!
//! Checks are as strict as honest wallets allow: an ed25519 key of small order and an ecdsa signature with the
//! greater of its two values of s are refused, so that nobody makes a second signature from a first.

use blake2::{Blake2b, Digest as _, digest::consts::U32};
use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey};
use session::rental::AccountId;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

/// Substrate's context for sr25519.
pub(crate) const CONTEXT: &[u8] = b"substrate";
/// What wallets put around bytes that they sign, so that they are never a transaction's.
const WRAP: (&[u8], &[u8]) = (b"<Bytes>", b"</Bytes>");

/// A scheme. The numbers are those of `MultiSignature`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Schnorr over Ristretto, what DBC's wallets and machines use.
    Sr25519,
    /// EdDSA over Curve25519.
    Ed25519,
    /// ECDSA over secp256k1, of BLAKE2b-256 of the message.
    Ecdsa,
}

impl Kind {
    /// The name in keystores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sr25519 => "sr25519",
            Self::Ed25519 => "ed25519",
            Self::Ecdsa => "ecdsa",
        }
    }
}

/// A signature and its scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// R and s.
    Sr25519([u8; 64]),
    /// R and s.
    Ed25519([u8; 64]),
    /// r, s, and which of the keys that fit.
    Ecdsa([u8; 65]),
}

/// Why bytes are no signature, or not the account's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Neither 64 nor 65 bytes, nor such after a kind that is known.
    #[error("a signature has 64 or 65 bytes, after a byte for its kind or without it: not {0}")]
    Length(usize),
    /// Right in form, but of another account or another text.
    #[error("the signature is not the account's, or is of another text")]
    Wrong,
}

impl Signature {
    /// Its scheme.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Sr25519(_) => Kind::Sr25519,
            Self::Ed25519(_) => Kind::Ed25519,
            Self::Ecdsa(_) => Kind::Ecdsa,
        }
    }

    /// As the chain encodes it: the kind's number, then the bytes.
    pub fn tagged(&self) -> Vec<u8> {
        let (tag, bytes): (u8, &[u8]) = match self {
            Self::Ed25519(bytes) => (0, bytes),
            Self::Sr25519(bytes) => (1, bytes),
            Self::Ecdsa(bytes) => (2, bytes),
        };
        [&[tag], bytes].concat()
    }

    /// What bytes of a wallet may be; wallets leave the kind out or put it first, and do not say which. At most
    /// three.
    fn candidates(bytes: &[u8]) -> impl Iterator<Item = Self> {
        let plain = <[u8; 64]>::try_from(bytes).ok();
        let ecdsa = <[u8; 65]>::try_from(bytes).ok();
        let tagged = bytes.split_first().and_then(|(tag, rest)| match tag {
            0 => rest.try_into().ok().map(Self::Ed25519),
            1 => rest.try_into().ok().map(Self::Sr25519),
            2 => rest.try_into().ok().map(Self::Ecdsa),
            _ => None,
        });
        [tagged, plain.map(Self::Sr25519), plain.map(Self::Ed25519), ecdsa.map(Self::Ecdsa)]
            .into_iter()
            .flatten()
    }
}

/// Whether the account signed the message, as it is or wrapped.
pub fn verify(account: &AccountId, signature: &Signature, message: &[u8]) -> bool {
    if verify_exactly(account, signature, message) {
        return true;
    }
    let wrapped = message.starts_with(WRAP.0) && message.ends_with(WRAP.1);
    // A wallet leaves what is wrapped as it is, so a message that looks so has one form only.
    !wrapped && verify_exactly(account, signature, &[WRAP.0, message, WRAP.1].concat())
}

/// The signature among those that `bytes` may be which the account made of the message.
///
/// # Errors
/// See [`SignatureError`].
pub fn verify_bytes(
    account: &AccountId,
    bytes: &[u8],
    message: &[u8],
) -> Result<Signature, SignatureError> {
    let mut candidates = Signature::candidates(bytes).peekable();
    if candidates.peek().is_none() {
        return Err(SignatureError::Length(bytes.len()));
    }
    candidates.find(|one| verify(account, one, message)).ok_or(SignatureError::Wrong)
}

/// Whether the account signed exactly these bytes.
pub fn verify_exactly(account: &AccountId, signature: &Signature, message: &[u8]) -> bool {
    match signature {
        Signature::Sr25519(bytes) => sr25519(account, bytes, message).is_some(),
        Signature::Ed25519(bytes) => ed25519(account, bytes, message).is_some(),
        Signature::Ecdsa(bytes) => ecdsa(account, bytes, message) == Some(true),
    }
}

fn sr25519(account: &AccountId, signature: &[u8; 64], message: &[u8]) -> Option<()> {
    let key = schnorrkel::PublicKey::from_bytes(&account.0).ok()?;
    let signature = schnorrkel::Signature::from_bytes(signature).ok()?;
    key.verify_simple(CONTEXT, message, &signature).ok()
}

fn ed25519(account: &AccountId, signature: &[u8; 64], message: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(&account.0).ok()?;
    key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).ok()
}

fn ecdsa(account: &AccountId, signature: &[u8; 65], message: &[u8]) -> Option<bool> {
    let (rs, recovery) = signature.split_at(64);
    let recovery = RecoveryId::from_byte(recovery[0])?;
    let signature = EcdsaSignature::from_slice(rs).ok()?;
    if signature.normalize_s().is_some() {
        return None;
    }
    let key =
        VerifyingKey::recover_from_prehash(&blake2_256(message), &signature, recovery).ok()?;
    Some(account_of(Kind::Ecdsa, key.to_encoded_point(true).as_bytes())?.0.ct_eq(&account.0).into())
}

/// The account of a public key: 32 bytes as they are, or BLAKE2b-256 of 33 bytes of secp256k1; none if the
/// length is another.
pub fn account_of(kind: Kind, public: &[u8]) -> Option<AccountId> {
    match kind {
        Kind::Sr25519 | Kind::Ed25519 => public.try_into().ok().map(AccountId),
        Kind::Ecdsa => (public.len() == 33).then(|| AccountId(blake2_256(public))),
    }
}

pub(crate) fn blake2_256(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}
