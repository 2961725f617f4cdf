//! What the wallets' own library computed (vectors/make.mjs) is computed alike here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::collections::BTreeMap;

use nearlight_keys::{
    Keystore, KeystoreError, Kind, Pair, Signature, from_hex, multisig_account, ss58, verify,
    verify_bytes,
};
use serde::Deserialize;
use session::rental::AccountId;

#[derive(Deserialize)]
struct Vectors {
    signatures: Vec<Signed>,
    accounts: Vec<Account>,
    multisigs: Vec<Multisig>,
    keystores: Vec<Stored>,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "type")]
    kind: String,
    account: String,
    message: String,
    wrapped: bool,
    signature: String,
    tagged: String,
}

#[derive(Deserialize)]
struct Account {
    #[serde(rename = "type")]
    kind: String,
    public: String,
    account: String,
    ss58: BTreeMap<u16, String>,
}

#[derive(Deserialize)]
struct Multisig {
    members: Vec<String>,
    threshold: u16,
    account: String,
}

#[derive(Deserialize)]
struct Stored {
    password: String,
    public: String,
    #[serde(rename = "type")]
    kind: String,
    json: serde_json::Value,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/polkadot-js.json")).unwrap()
}

fn account(hex: &str) -> AccountId {
    AccountId(from_hex(hex).unwrap().try_into().unwrap())
}

fn kind(name: &str) -> Kind {
    let all = [Kind::Sr25519, Kind::Ed25519, Kind::Ecdsa];
    all.into_iter().find(|kind| kind.name() == name).unwrap()
}

#[test]
fn signatures_of_wallets_are_accepted_and_changed_ones_are_not() {
    let vectors = vectors();
    assert_eq!(vectors.signatures.len(), 90);
    for (index, vector) in vectors.signatures.iter().enumerate() {
        let (account, message) = (account(&vector.account), from_hex(&vector.message).unwrap());
        for text in [&vector.signature, &vector.tagged] {
            let bytes = from_hex(text).unwrap();
            let found = verify_bytes(&account, &bytes, &message).unwrap();
            assert_eq!(found.kind(), kind(&vector.kind), "{index}");
            assert!(verify_bytes(&account, &bytes, &[&message[..], b"!"].concat()).is_err());
            assert!(verify_bytes(&AccountId([1; 32]), &bytes, &message).is_err());
            // One byte of each vector is enough: which one depends on the vector.
            let mut changed = bytes.clone();
            changed[index % bytes.len()] ^= 4;
            assert!(verify_bytes(&account, &changed, &message).is_err(), "{index}");
            assert!(
                verify_bytes(&account, &bytes[1..], &message).is_err() || text == &vector.tagged
            );
        }
        let wrapped = [b"<Bytes>", &message[..], b"</Bytes>"].concat();
        let bytes = from_hex(&vector.signature).unwrap();
        assert_eq!(verify_bytes(&account, &bytes, &wrapped).is_ok(), vector.wrapped);
    }
}

#[test]
fn lengths_that_are_no_signature_are_refused() {
    for length in [0, 1, 63, 67, 1_000] {
        assert!(verify_bytes(&AccountId([1; 32]), &vec![0; length], b"x").is_err());
    }
}

#[test]
fn a_second_signature_made_from_a_first_is_refused() {
    let pair = Pair::ecdsa(&[7; 32]).unwrap();
    let Signature::Ecdsa(mut bytes) = pair.sign(b"x").unwrap() else { unreachable!() };
    assert!(verify(&pair.account(), &Signature::Ecdsa(bytes), b"x"));
    // n - s is the other value that satisfies the equation, with the other parity of R.
    let signature = k256::ecdsa::Signature::from_slice(&bytes[..64]).unwrap();
    let (r, s) = signature.split_scalars();
    let other = k256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    bytes[..64].copy_from_slice(&other.to_bytes());
    bytes[64] ^= 1;
    assert!(!verify(&pair.account(), &Signature::Ecdsa(bytes), b"x"));
}

#[test]
fn accounts_have_the_texts_that_wallets_show() {
    for vector in vectors().accounts {
        let id = account(&vector.account);
        let public = from_hex(&vector.public).unwrap();
        assert_eq!(nearlight_keys::account_of(kind(&vector.kind), &public), Some(id));
        for (prefix, text) in vector.ss58 {
            assert_eq!(ss58::encode(&id, prefix), text);
            assert_eq!(ss58::decode(&text), Ok((id, prefix)));
        }
    }
}

#[test]
fn multisig_accounts_are_those_of_the_chain() {
    for vector in vectors().multisigs {
        let decode = |text: &String| ss58::decode(text).unwrap().0;
        let members: Vec<_> = vector.members.iter().map(decode).collect();
        let made = multisig_account(&members, vector.threshold);
        assert_eq!(made, Ok(account(&vector.account)));
    }
}

#[test]
fn keystores_of_wallets_open_with_their_password_alone() {
    for vector in vectors().keystores {
        let store = Keystore::parse(&vector.json.to_string()).unwrap();
        if vector.password.is_empty() {
            assert!(matches!(store.open("x"), Err(KeystoreError::NotEncrypted)));
            continue;
        }
        let pair = store.open(&vector.password).unwrap();
        assert_eq!(pair.public(), from_hex(&vector.public).unwrap());
        assert_eq!(pair.kind(), kind(&vector.kind));
        assert!(verify(&pair.account(), &pair.sign(b"x").unwrap(), b"x"));
        assert!(matches!(store.open("wrong"), Err(KeystoreError::WrongPassword)));
    }
}
