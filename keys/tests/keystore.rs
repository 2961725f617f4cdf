//! A keystore's file: what is written is read, and what was cut, changed or never a keystore is told apart.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::fs;

use nearlight_keys::{Keystore, KeystoreError, Kind, Pair};

#[test]
fn a_key_comes_back_and_its_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    for kind in [Kind::Sr25519, Kind::Ed25519, Kind::Ecdsa] {
        let path = folder.path().join(kind.name());
        let pair = Pair::of_seed(kind, &[9; 32]).unwrap();
        let store = Keystore::seal(&pair, "correct horse", "node").unwrap();
        store.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Keystore::read(&path).unwrap();
        assert_eq!(again.account().unwrap(), pair.account());
        assert_eq!(again.open("correct horse").unwrap().account(), pair.account());
        assert!(!fs::read_to_string(&path).unwrap().contains(&"09".repeat(8)));
        // Nobody's key is replaced.
        assert!(matches!(store.write(&path), Err(KeystoreError::Io { .. })));
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 3, "nothing is left beside them");
}

#[test]
fn a_file_cut_anywhere_says_that_it_is_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let pair = Pair::sr25519(&[9; 32]).unwrap();
    Keystore::seal(&pair, "pw", "node").unwrap().write(&path).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Keystore::read(&path).unwrap_err();
        assert!(matches!(error, KeystoreError::Truncated(_)), "{length}: {error}");
    }
}

/// The file's JSON with one text in place of another.
fn changed(whole: &str, from: &str, to: &str) -> Keystore {
    assert!(whole.contains(from), "{from}");
    Keystore::parse(&whole.replacen(from, to, 1)).unwrap()
}

#[test]
fn what_is_foreign_cut_within_or_changed_is_told_apart() {
    let pair = Pair::sr25519(&[9; 32]).unwrap();
    let store = Keystore::seal(&pair, "pw", "node").unwrap();
    let whole = serde_json::to_string(&store).unwrap();
    for (from, to) in [
        ("\"version\":\"3\"", "\"version\":\"4\""),
        ("\"scrypt\"", "\"argon2\""),
        ("\"sr25519\"", "\"bls\""),
    ] {
        let error = changed(&whole, from, to).open("pw").unwrap_err();
        assert!(matches!(error, KeystoreError::Foreign { .. }), "{error}");
    }
    let json: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let encoded = json["encoded"].as_str().unwrap();
    for length in [0, 40, 60, 88, 160] {
        let error = changed(&whole, encoded, &encoded[..length]).open("pw").unwrap_err();
        assert!(matches!(error, KeystoreError::Truncated(_)), "{length}: {error}");
    }
    // Cut within the sealed bytes, or changed there: nobody can tell it from a wrong password.
    for other in
        [encoded[..encoded.len() - 8].to_owned(), encoded.replacen(&encoded[200..204], "AAAA", 1)]
    {
        let error = changed(&whole, encoded, &other).open("pw").unwrap_err();
        assert!(matches!(error, KeystoreError::WrongPassword), "{error}");
    }
    // scrypt's N of 2^22 would take 4 GiB.
    let mut greedy = whole.clone();
    let at = greedy.find(encoded).unwrap();
    greedy.replace_range(at + 44..at + 48, "AEAA");
    let error = Keystore::parse(&greedy).unwrap().open("pw").unwrap_err();
    assert!(matches!(error, KeystoreError::Foreign { what: "scrypt", .. }), "{error}");
    let address = json["address"].as_str().unwrap();
    let other = nearlight_keys::ss58::encode(&session::rental::AccountId([1; 32]), 42);
    let error = changed(&whole, address, &other).open("pw").unwrap_err();
    assert!(matches!(error, KeystoreError::OtherAccount), "{error}");
    for text in ["[]", "{}", "no", "{\"encoded\":1}"] {
        assert!(matches!(Keystore::parse(text), Err(KeystoreError::Malformed(_))), "{text}");
    }
}
