//! Keys of machines, renters and players: the only place in the workspace where a signature is made or checked.
//!
//! | what | by |
//! |---|---|
//! | account ids as people read them (ss58) | [`ss58`] |
//! | signatures of wallets: sr25519, ed25519, ecdsa, raw and as wallets wrap them | [`signature`] |
//! | several wallets that rent as one | [`multisig`] |
//! | a machine's or a wallet's own key | [`pair`], kept in a [`keystore`], or held by a [`signer`] outside |
//! | what a player's browser acknowledges receipts with | [`player`] |
//! | keys that everybody knows | [`development`] |
//!
//! Secrets are overwritten when they are dropped, and never printed. This crate must never know a chain's
//! node, a database or a network; its only input and output are the keystore's file and the signer's command.
//! Used wrongly (a signature that is checked against another message than the one that was acted on, a threshold
//! of signers counted elsewhere) a stranger plays on somebody else's lease.

pub mod development;
mod hex;
pub mod keystore;
pub mod multisig;
pub mod pair;
pub mod player;
pub mod signature;
pub mod signer;
pub mod ss58;

pub use hex::{from_hex, to_hex};
pub use keystore::{Keystore, KeystoreError};
pub use multisig::{MultisigError, MultisigProof, multisig_account};
pub use pair::{KeyError, MachineKey, Pair};
pub use player::verify_player;
pub use signature::{Kind, Signature, SignatureError, account_of, verify, verify_bytes};
pub use signer::{CommandSigner, Signer, SignerError};
