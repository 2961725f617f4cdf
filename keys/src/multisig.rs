//! Several wallets that rent as one (pallet-multisig): the account that they make, and the proof that enough of
//! them agree. Every signer counts once, however often he signs.

use std::collections::BTreeSet;

use session::rental::AccountId;
use thiserror::Error;

use crate::signature::{SignatureError, blake2_256, verify_bytes};

/// As the chain bounds it (`MaxSignatories`).
pub const MOST_MEMBERS: usize = 100;

/// Why wallets are no multisig account, or do not prove to be the renter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MultisigError {
    /// Fewer than two, or more than the chain takes.
    #[error("a multisig account has 2 to {MOST_MEMBERS} distinct members, not {0}")]
    Members(usize),
    /// None, or more than there are members.
    #[error("a threshold of {threshold} does not go with {members} members")]
    Threshold {
        /// How many were to agree.
        threshold: u16,
        /// How many there are.
        members: usize,
    },
    /// They make another account than the one that rents.
    #[error("these members and this threshold make another account than the renter's")]
    OtherAccount,
    /// Somebody signed who is no member.
    #[error("a signer is not among the members")]
    Stranger,
    /// Somebody signed something else.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Too few distinct signers.
    #[error("{signed} distinct members signed, {threshold} have to")]
    TooFew {
        /// How many did.
        signed: usize,
        /// How many have to.
        threshold: u16,
    },
}

/// The account of these members, in any order.
///
/// # Errors
/// [`MultisigError::Members`] (twice the same one counts once) and [`MultisigError::Threshold`].
pub fn multisig_account(members: &[AccountId], threshold: u16) -> Result<AccountId, MultisigError> {
    let sorted: BTreeSet<&AccountId> = members.iter().collect();
    if !(2..=MOST_MEMBERS).contains(&sorted.len()) || sorted.len() != members.len() {
        return Err(MultisigError::Members(sorted.len()));
    }
    if threshold == 0 || usize::from(threshold) > sorted.len() {
        return Err(MultisigError::Threshold { threshold, members: sorted.len() });
    }
    let mut bytes = b"modlpy/utilisuba".to_vec();
    bytes.extend(compact(sorted.len()));
    sorted.iter().for_each(|member| bytes.extend(member.0));
    bytes.extend(threshold.to_le_bytes());
    Ok(AccountId(blake2_256(&bytes)))
}

/// SCALE's length of a list below 2^14.
fn compact(length: usize) -> Vec<u8> {
    if length < 64 {
        vec![(length as u8) << 2]
    } else {
        ((length as u16) << 2 | 1).to_le_bytes().to_vec()
    }
}

/// What members hand in instead of one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultisigProof {
    /// Everybody whose account it is.
    pub members: Vec<AccountId>,
    /// How many have to agree.
    pub threshold: u16,
    /// Who signed, and the bytes that his wallet made.
    pub signatures: Vec<(AccountId, Vec<u8>)>,
}

impl MultisigProof {
    /// Whether enough of the renter's members signed the message.
    ///
    /// # Errors
    /// See [`MultisigError`].
    pub fn check(&self, renter: &AccountId, message: &[u8]) -> Result<(), MultisigError> {
        if multisig_account(&self.members, self.threshold)? != *renter {
            return Err(MultisigError::OtherAccount);
        }
        // More would be work for nothing.
        if self.signatures.len() > self.members.len() {
            return Err(MultisigError::Members(self.signatures.len()));
        }
        let mut signers = BTreeSet::new();
        for (signer, bytes) in &self.signatures {
            if !self.members.contains(signer) {
                return Err(MultisigError::Stranger);
            }
            verify_bytes(signer, bytes, message)?;
            signers.insert(signer);
        }
        if signers.len() < usize::from(self.threshold) {
            return Err(MultisigError::TooFew { signed: signers.len(), threshold: self.threshold });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Pair;

    fn pairs() -> Vec<Pair> {
        (1..=3).map(|seed| Pair::sr25519(&[seed; 32]).unwrap()).collect()
    }

    fn proof(signers: &[usize], message: &[u8]) -> (AccountId, MultisigProof) {
        let pairs = pairs();
        let members: Vec<_> = pairs.iter().map(Pair::account).collect();
        let sign =
            |&index: &usize| (pairs[index].account(), pairs[index].sign(message).unwrap().tagged());
        let signatures = signers.iter().map(sign).collect();
        let renter = multisig_account(&members, 2).unwrap();
        (renter, MultisigProof { members, threshold: 2, signatures })
    }

    #[test]
    fn two_of_three_agree_in_any_order() {
        for signers in [&[0, 1][..], &[2, 0], &[0, 1, 2]] {
            let (renter, proof) = proof(signers, b"text");
            assert_eq!(proof.check(&renter, b"text"), Ok(()));
        }
    }

    #[test]
    fn one_signer_counts_once_however_often_he_signs() {
        let (renter, proof) = proof(&[1, 1, 1], b"text");
        let few = MultisigError::TooFew { signed: 1, threshold: 2 };
        assert_eq!(proof.check(&renter, b"text"), Err(few));
    }

    #[test]
    fn strangers_other_texts_and_other_accounts_prove_nothing() {
        let (renter, good) = proof(&[0, 1], b"text");
        let wrong = MultisigError::Signature(SignatureError::Wrong);
        assert_eq!(good.check(&renter, b"another"), Err(wrong));
        assert_eq!(good.check(&AccountId([9; 32]), b"text"), Err(MultisigError::OtherAccount));
        let lower = MultisigProof { threshold: 1, ..good.clone() };
        assert_eq!(lower.check(&renter, b"text"), Err(MultisigError::OtherAccount));
        let stranger = Pair::sr25519(&[8; 32]).unwrap();
        let mut bad = good.clone();
        bad.signatures[0] = (stranger.account(), stranger.sign(b"text").unwrap().tagged());
        assert_eq!(bad.check(&renter, b"text"), Err(MultisigError::Stranger));
        let mut long = good;
        long.signatures = vec![long.signatures[0].clone(); 4];
        assert_eq!(long.check(&renter, b"text"), Err(MultisigError::Members(4)));
    }

    #[test]
    fn members_and_thresholds_are_bounded() {
        let two = [AccountId([1; 32]), AccountId([2; 32])];
        for (members, threshold) in [(&two[..1], 1), (&[two[0], two[0]][..], 1)] {
            let members = multisig_account(members, threshold);
            assert_eq!(members, Err(MultisigError::Members(1)));
        }
        for threshold in [0, 3] {
            let refused = MultisigError::Threshold { threshold, members: 2 };
            assert_eq!(multisig_account(&two, threshold), Err(refused));
        }
        let many: Vec<_> = (0..=100).map(|n| AccountId([n; 32])).collect();
        assert!(multisig_account(&many[..100], 70).is_ok());
        assert_eq!(multisig_account(&many, 70), Err(MultisigError::Members(101)));
    }
}
