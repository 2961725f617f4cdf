//! Texts that are signed: a line for domain and version, a sentence for people, then fields in one order.

use super::{AccessError, Binding, UnixSeconds};
use crate::rental::{BlockHash, MachineId, RentId};

/// More than any text that is taken.
pub(super) const MOST_TEXT: usize = 4_096;

/// Writes fields one after another.
pub(super) struct Writer(String);

impl Writer {
    pub(super) fn new(domain: &str, sentence: &str) -> Self {
        Self(format!("{domain}\n{sentence}\n"))
    }

    pub(super) fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("{name}: {value}\n"));
    }

    pub(super) fn binding(&mut self, binding: &Binding) {
        self.field("chain", binding.genesis);
        self.field("machine", binding.machine);
        self.field("order", binding.rent_id);
        self.field("node", &binding.origin);
        self.field("request", format_args!("{} {}", binding.method, binding.path));
        self.field("body", hex(&binding.body));
    }

    pub(super) fn done(self) -> String {
        self.0
    }
}

/// Reads the same fields.
pub(super) struct Reader<'a> {
    lines: std::str::Split<'a, char>,
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Checks domain and sentence. `what` is for errors; a domain that differs in the number behind its slash alone
    /// is another version.
    pub(super) fn new(
        text: &'a str,
        domain: &str,
        sentence: &str,
        what: &'static str,
    ) -> Result<Self, AccessError> {
        let malformed = AccessError::Malformed(what);
        // Nothing that a wallet would show as something else.
        let is_plain = text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte));
        if text.len() > MOST_TEXT || !is_plain {
            return Err(malformed);
        }
        let mut lines = text.strip_suffix('\n').ok_or(malformed)?.split('\n');
        let found = lines.next().unwrap_or_default();
        if found != domain {
            let family = domain.split('/').next().unwrap_or_default();
            let is_other_version =
                found.strip_prefix(family).is_some_and(|rest| rest.starts_with('/'));
            return Err(if is_other_version { AccessError::Version(what) } else { malformed });
        }
        if lines.next() != Some(sentence) {
            return Err(malformed);
        }
        Ok(Self { lines, what })
    }

    pub(super) fn field(&mut self, name: &str) -> Result<&'a str, AccessError> {
        let line = self.lines.next().and_then(|line| line.strip_prefix(name));
        line.and_then(|line| line.strip_prefix(": ")).ok_or(self.malformed())
    }

    pub(super) fn binding(&mut self) -> Result<Binding, AccessError> {
        let malformed = self.malformed();
        let genesis = self.field("chain")?.strip_prefix("0x").and_then(unhex).ok_or(malformed)?;
        let machine = MachineId::parse(self.field("machine")?).ok_or(malformed)?;
        let rent_id = RentId(self.number("order")?);
        let origin = self.field("node")?.to_owned();
        let (method, path) = self.field("request")?.split_once(' ').ok_or(malformed)?;
        let (method, path) = (method.to_owned(), path.to_owned());
        let body = unhex(self.field("body")?).ok_or(malformed)?;
        Ok(Binding { genesis: BlockHash(genesis), machine, rent_id, origin, method, path, body })
    }

    /// A number as it is written, without zeros in front.
    pub(super) fn number(&mut self, name: &str) -> Result<u64, AccessError> {
        let text = self.field(name)?;
        let number: u64 = text.parse().map_err(|_| self.malformed())?;
        if number.to_string() == text { Ok(number) } else { Err(self.malformed()) }
    }

    pub(super) fn seconds(&mut self, name: &str) -> Result<UnixSeconds, AccessError> {
        self.number(name).map(UnixSeconds)
    }

    pub(super) fn bytes<const N: usize>(&mut self, name: &str) -> Result<[u8; N], AccessError> {
        unhex(self.field(name)?).ok_or(self.malformed())
    }

    pub(super) fn done(mut self) -> Result<(), AccessError> {
        if self.lines.next().is_none() { Ok(()) } else { Err(self.malformed()) }
    }

    pub(super) fn malformed(&self) -> AccessError {
        AccessError::Malformed(self.what)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}

/// Lower-case digits alone, so that bytes have one text.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || text.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}
