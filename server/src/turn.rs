//! Short-lived credentials of the operator's TURN servers (draft-uberti-behave-turn-rest-00): a name that holds its
//! time of expiry, and a password that the server can make again from a secret that both know.
//!
//! The secret never leaves this file, nor the name of a session: the TURN server, which may be another's, is told a
//! digest of it.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};
use transport::turn_password;

use crate::config::Ice;
use crate::http::hex;
use crate::wire::IceServer;

/// TURN servers with their secret.
pub(crate) struct Turn {
    urls: Vec<String>,
    secret: String,
    lifetime: Duration,
}

impl Turn {
    /// `None` where no TURN server is configured.
    ///
    /// # Errors
    /// When the file with the secret cannot be read, or holds none.
    pub(crate) fn open(config: &Ice) -> Result<Option<Self>> {
        if config.turn_urls.is_empty() {
            return Ok(None);
        }
        let mut secret = config.turn_secret.reveal().to_owned();
        let file = &config.turn_secret_file;
        if !file.as_os_str().is_empty() {
            let context = || format!("ice.turn_secret_file: {}", file.display());
            let text = fs::read_to_string(file).with_context(context)?;
            secret = text.trim().to_owned();
            ensure!(!secret.is_empty(), "{} is empty", context());
        }
        let (urls, lifetime) = (config.turn_urls.clone(), config.turn_lifetime.get());
        Ok(Some(Self { urls, secret, lifetime }))
    }

    /// What a client, named by the id of its session or its own, may use from `now` on.
    ///
    /// # Errors
    /// When the cryptographic provider fails.
    pub(crate) fn server(&self, client: &str, now: SystemTime) -> Result<IceServer> {
        let expires = (now + self.lifetime).duration_since(UNIX_EPOCH)?.as_secs();
        let digest = Sha256::digest(client);
        let username = format!("{expires}:{}", hex(&digest[..8]));
        let credential = turn_password(&self.secret, &username)?;
        let (username, credential) = (Some(username), Some(credential));
        Ok(IceServer { urls: self.urls.clone(), username, credential })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::config::load;

    fn ice(overrides: &[String]) -> Ice {
        let urls = r#"ice.turn_urls=["turn:t.test"]"#.to_owned();
        let all: Vec<String> = std::iter::once(urls).chain(overrides.iter().cloned()).collect();
        load(None, [], &all).unwrap().ice
    }

    #[test]
    fn credentials_expire_and_do_not_name_the_session() {
        let turn =
            Turn::open(&ice(&["ice.turn_secret=north".into(), "ice.turn_lifetime=10m".into()]));
        let server = turn
            .unwrap()
            .unwrap()
            .server("a session", UNIX_EPOCH + Duration::from_secs(1_000))
            .unwrap();
        assert_eq!(server.urls, ["turn:t.test"]);
        let name = server.username.unwrap();
        assert_eq!(name, "1600:1e2952b478968fb6");
        // By `openssl dgst -sha1 -hmac north -binary | base64`.
        assert_eq!(server.credential.unwrap(), "rQlyvlRCAeZl5TbJR5Ql+62mlXo=");
    }

    #[test]
    fn the_secret_comes_from_a_file_too() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = format!("ice.turn_secret_file={:?}", file.path());
        let empty = Turn::open(&ice(std::slice::from_ref(&path))).err().unwrap();
        assert!(empty.to_string().contains("is empty"), "{empty}");
        writeln!(file, "north").unwrap();
        assert_eq!(Turn::open(&ice(&[path])).unwrap().unwrap().secret, "north");
        let missing = Turn::open(&ice(&["ice.turn_secret_file=/nonexistent".into()]));
        assert!(missing.err().unwrap().to_string().contains("/nonexistent"));
    }

    #[test]
    fn there_may_be_none() {
        assert!(Turn::open(&load(None, [], &[]).unwrap().ice).unwrap().is_none());
    }
}
