//! What a player's browser signs with: a key that it makes for one session (WebCrypto) and that can do nothing
//! but acknowledge receipts.

use p256::ecdsa::signature::Verifier as _;
use session::receipts::PlayerKey;

/// Whether the player's key signed exactly these bytes. ECDSA signatures are r and s of 32 bytes each, of SHA-256, as
/// WebCrypto makes them; both values of s are taken, since browsers make either.
pub fn verify_player(key: &PlayerKey, signature: &[u8; 64], message: &[u8]) -> bool {
    match key {
        PlayerKey::Ed25519(public) => ed25519_dalek::VerifyingKey::from_bytes(public)
            .and_then(|key| {
                key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature))
            })
            .is_ok(),
        PlayerKey::P256(public) => p256::ecdsa::VerifyingKey::from_sec1_bytes(public)
            .and_then(|key| key.verify(message, &p256::ecdsa::Signature::from_slice(signature)?))
            .is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer as _;

    use super::*;

    #[test]
    fn both_kinds_of_a_browsers_keys_are_checked() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
        let signature = key.sign(b"ack").to_bytes();
        let public = PlayerKey::Ed25519(key.verifying_key().to_bytes());
        assert!(verify_player(&public, &signature, b"ack"));
        assert!(!verify_player(&public, &signature, b"nak"));

        let key = p256::ecdsa::SigningKey::from_slice(&[5; 32]).unwrap();
        let signature: p256::ecdsa::Signature = key.sign(b"ack");
        let point = key.verifying_key().to_encoded_point(true);
        let public = PlayerKey::P256(point.as_bytes().try_into().unwrap());
        let signature: [u8; 64] = signature.to_bytes().into();
        assert!(verify_player(&public, &signature, b"ack"));
        assert!(!verify_player(&public, &signature, b"nak"));
        assert!(!verify_player(&PlayerKey::P256([2; 33]), &[0; 64], b"ack"));
    }
}
