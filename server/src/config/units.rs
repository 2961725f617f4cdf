//! Quantities as people write them: `"15m"`, `"20 Mbit/s"`.

use std::fmt;
use std::time::Duration;

use media::Bitrate;
use serde::{Deserialize, Serialize};

/// A length of time, written as a number and `ms`, `s`, `m` or `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration(Duration);

impl HumanDuration {
    /// Whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
    /// Whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
    /// The length.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (number, unit) = split(&text);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(format!("\"{text}\" is not a time such as \"90s\" or \"15m\"")),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(millis))
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| format!("\"{text}\" is not a time such as \"90s\" or \"15m\""))
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        let millis = duration.0.as_millis();
        match millis {
            0 => "0s".into(),
            _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
            _ if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
            _ => format!("{millis}ms"),
        }
    }
}

/// A text that is not shown again: printed and logged it is a row of stars.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    const fn shown(&self) -> &'static str {
        if self.0.is_empty() { "" } else { "********" }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

/// A bit rate, written as a number and `kbit/s` or `Mbit/s`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanRate(Bitrate);

impl HumanRate {
    /// Thousands of bits per second.
    pub const fn from_kbps(kbps: u64) -> Self {
        Self(Bitrate::from_kbps(kbps))
    }
    /// The rate.
    pub const fn rate(self) -> Bitrate {
        self.0
    }
}

impl fmt::Debug for HumanRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TryFrom<String> for HumanRate {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (number, unit) = split(&text);
        let kilo = match unit {
            "kbit/s" => 1,
            "Mbit/s" => 1_000,
            _ => {
                return Err(format!(
                    "\"{text}\" is not a rate such as \"800 kbit/s\" or \"20 Mbit/s\""
                ));
            }
        };
        number
            .parse::<u64>()
            .ok()
            .filter(|&number| number <= 10_000_000)
            .map(|number| Self(Bitrate::from_kbps(number * kilo)))
            .ok_or_else(|| {
                format!("\"{text}\" is not a rate such as \"800 kbit/s\" or \"20 Mbit/s\"")
            })
    }
}

impl From<HumanRate> for String {
    fn from(rate: HumanRate) -> Self {
        match rate.0.kbps() {
            kbps if kbps % 1_000 == 0 => format!("{} Mbit/s", kbps / 1_000),
            kbps => format!("{kbps} kbit/s"),
        }
    }
}

/// A number of bytes, written as a number and `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanSize(u64);

impl HumanSize {
    /// Multiples of 1,048,576 bytes.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }
    /// The number.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for HumanSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

impl TryFrom<String> for HumanSize {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (number, unit) = split(&text);
        let bytes = match unit {
            "KiB" => Some(1_u64 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            _ => None,
        };
        bytes
            .and_then(|bytes| number.parse::<u64>().ok()?.checked_mul(bytes))
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is not a size such as \"256 MiB\" or \"20 GiB\""))
    }
}

impl From<HumanSize> for String {
    fn from(size: HumanSize) -> Self {
        let kib = size.0 >> 10;
        match kib {
            _ if kib > 0 && kib.is_multiple_of(1 << 20) => format!("{} GiB", kib >> 20),
            _ if kib > 0 && kib.is_multiple_of(1 << 10) => format!("{} MiB", kib >> 10),
            _ => format!("{kib} KiB"),
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}
