//! Who plays, and from which save.

use std::fmt;

use host::saves::Version;

/// Names a player among those of a node.
#[derive(Clone, PartialEq, Eq)]
pub struct Player(Box<str>);

impl Player {
    /// Bytes of the longest.
    pub const LONGEST: usize = 128;
    /// Characters of the shortest that can be a secret: 22 of base64url, or 32 hexadecimal digits, hold 128 bits.
    pub const SECRET: usize = 22;

    /// Checks `text`: letters, digits, `-`, `_`, `.` and `@` of ASCII. A `secret` opens the player's saves by itself,
    /// so it cannot be short; whether it is random is up to whoever made it.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str, secret: bool) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        if text.is_empty() || text.len() > Self::LONGEST || !text.bytes().all(is_plain) {
            let most = Self::LONGEST;
            return Err(format!("a player is 1 to {most} letters, digits, -, _, . and @"));
        }
        if secret && text.len() < Self::SECRET {
            let least = Self::SECRET;
            return Err(format!(
                "on an open node a player's id is a secret of {least} random characters or more"
            ));
        }
        Ok(Self(text.into()))
    }

    /// The name as text. Not for logs: it may be a secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Player")
    }
}

/// What a session begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// The newest version that is whole, if there is any.
    #[default]
    Newest,
    /// Nothing.
    Fresh,
    /// This version, or where that is damaged the newest whole one.
    Version(Version),
}

impl Wish {
    /// Reads `none` or a version's number.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Fresh);
        }
        let version = version(text).ok_or_else(|| {
            format!("save: {text:?} is neither \"none\" nor the number of a save")
        })?;
        Ok(Self::Version(version))
    }
}

/// The version that the API calls this.
pub(crate) fn version(text: &str) -> Option<Version> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(Version(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_are_plain_text_and_secrets_are_long() {
        for good in ["a", "alice@example.org", "A-b_c.9", &"x".repeat(128)] {
            assert_eq!(Player::parse(good, false).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "ä", "a\0", "a\n", &"x".repeat(129)] {
            assert!(Player::parse(bad, false).unwrap_err().contains("letters"), "{bad:?}");
        }
        let least = "x".repeat(22);
        assert!(Player::parse(&least, true).is_ok());
        assert!(Player::parse(&least[1..], true).unwrap_err().contains("secret"));
        assert_eq!(format!("{:?}", Player::parse(&least, true)), "Ok(Player)");
    }

    #[test]
    fn wishes_are_none_or_a_number() {
        assert_eq!(Wish::parse("none"), Ok(Wish::Fresh));
        assert_eq!(Wish::parse("12"), Ok(Wish::Version(Version(12))));
        for bad in ["", "newest", "012", "-1", "1.5", "18446744073709551616"] {
            assert!(Wish::parse(bad).unwrap_err().contains(&format!("{bad:?}")), "{bad}");
        }
    }
}
