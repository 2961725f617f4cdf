//! Passwords of TURN servers that clients get for a time (draft-uberti-behave-turn-rest-00).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rtc::crypto::{HmacAlgorithm, default_provider};
use thiserror::Error;

/// A password could not be made.
#[derive(Debug, Error)]
#[error("no password for a TURN server could be made: {0}")]
pub struct TurnError(String);

/// The password of `username` (which begins with the time that it expires at, in seconds of Unix
/// time, and a colon) for a server that shares `secret`: HMAC-SHA1 in Base64.
///
/// # Errors
/// When the cryptographic provider fails.
pub fn turn_password(secret: &str, username: &str) -> Result<String, TurnError> {
    let error = |error: &dyn std::fmt::Display| TurnError(error.to_string());
    let provider = default_provider().map_err(|e| error(&e))?;
    let mac = provider.crypto().new_hmac(HmacAlgorithm::Sha1, secret.as_bytes());
    let mut digest = [0; 20];
    mac.and_then(|mut mac| mac.sign(&[username.as_bytes()], &mut digest)).map_err(|e| error(&e))?;
    Ok(STANDARD.encode(digest))
}
