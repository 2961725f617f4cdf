//! Names of files that go between a game and its player.

/// The name of a file: up to 200 bytes of plain text that does not begin with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName(Box<str>);

impl FileName {
    /// Most bytes.
    const MOST: usize = 200;

    /// Checks `text`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let why = match text {
            "" => "it is empty",
            _ if text.len() > Self::MOST => "it is longer than 200 bytes",
            _ if text.starts_with('.') => "it begins with a dot",
            _ if text.contains(['/', '\\']) => "it has a slash in it",
            _ if text.chars().any(is_unseen) => "it has characters in it that nobody sees",
            _ => return Ok(Self(text.into())),
        };
        Err(format!("{} is no name for a file: {why}", crate::shown(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and those that make a name read otherwise than it is (Unicode's bidirectional ones, UAX 9).
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}
