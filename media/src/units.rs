//! Quantities as types, so that a bit rate is never mistaken for a byte count.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bits per second.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bitrate(u64);

impl Bitrate {
    /// From bits per second.
    pub const fn from_bps(bps: u64) -> Self {
        Self(bps)
    }
    /// From thousands of bits per second.
    pub const fn from_kbps(kbps: u64) -> Self {
        Self(kbps * 1_000)
    }
    /// From millions of bits per second.
    pub const fn from_mbps(mbps: u64) -> Self {
        Self(mbps * 1_000_000)
    }
    /// Bits per second.
    pub const fn bps(self) -> u64 {
        self.0
    }
    /// Thousands of bits per second, rounded down.
    pub const fn kbps(self) -> u64 {
        self.0 / 1_000
    }
    /// The rate at which `bytes` pass in `time`; zero for an empty interval.
    pub fn of(bytes: u64, time: Duration) -> Self {
        let micros = time.as_micros();
        if micros == 0 {
            return Self(0);
        }
        Self(u64::try_from(u128::from(bytes) * 8_000_000 / micros).unwrap_or(u64::MAX))
    }
    /// Bytes that this rate carries in `time`, rounded down.
    pub fn bytes_in(self, time: Duration) -> u64 {
        u64::try_from(u128::from(self.0) * time.as_micros() / 8_000_000).unwrap_or(u64::MAX)
    }
    /// The time that `bytes` take at this rate; `Duration::MAX` at rate zero.
    pub fn time_for(self, bytes: u64) -> Duration {
        if self.0 == 0 {
            return Duration::MAX;
        }
        let micros = u128::from(bytes) * 8_000_000 / u128::from(self.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
    /// This rate times `factor`, which must be finite and not negative.
    pub fn scaled(self, factor: f64) -> Self {
        debug_assert!(factor.is_finite() && factor >= 0.0);
        Self((self.0 as f64 * factor) as u64)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1_000_000 {
            write!(f, "{:.2} Mbit/s", self.0 as f64 / 1e6)
        } else {
            write!(f, "{} kbit/s", self.kbps())
        }
    }
}

/// A number of bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// Memory of a graphics device at one moment, as its driver tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphicsMemory {
    /// All that it has.
    pub total: ByteSize,
    /// What nobody holds of that.
    pub free: ByteSize,
}

/// Frames per second as a fraction, so that 59.94 stays exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// `numerator / denominator` frames per second; `None` when either is zero.
    pub const fn new(numerator: u32, denominator: u32) -> Option<Self> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        Some(Self { numerator, denominator })
    }
    /// Whole frames per second; zero counts as one.
    pub const fn fps(fps: u32) -> Self {
        Self { numerator: if fps == 0 { 1 } else { fps }, denominator: 1 }
    }
    /// The time between two frames.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(
            1_000_000_000 * u64::from(self.denominator) / u64::from(self.numerator),
        )
    }
    /// Numerator and denominator.
    pub const fn fraction(self) -> (u32, u32) {
        (self.numerator, self.denominator)
    }
    /// Frames per second.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
    /// The same, or so many frames per second where those are fewer.
    #[must_use]
    pub fn at_most(self, fps: u32) -> Self {
        if self.as_f64() > f64::from(fps) { Self::fps(fps) } else { self }
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Size {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }
    /// Pixels in all.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
    /// The same with no edge longer than that of `most`.
    #[must_use]
    pub fn within(self, most: Self) -> Self {
        Self::new(self.width.min(most.width), self.height.min(most.height))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A rectangle of pixels; the origin is the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rect {
    /// Pixels from the left edge.
    pub x: u32,
    /// Pixels from the top edge.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Rect {
    /// The whole of a picture of `size`.
    pub const fn whole(size: Size) -> Self {
        Self { x: 0, y: 0, width: size.width, height: size.height }
    }
    /// Whether the rectangle lies within a picture of `size` and is not empty.
    pub fn fits(self, size: Size) -> bool {
        self.width > 0
            && self.height > 0
            && u64::from(self.x) + u64::from(self.width) <= u64::from(size.width)
            && u64::from(self.y) + u64::from(self.height) <= u64::from(size.height)
    }
    /// The least rectangle that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let end = |at: u32, length: u32| at.saturating_add(length);
        let right = end(self.x, self.width).max(end(other.x, other.width));
        let bottom = end(self.y, self.height).max(end(other.y, other.height));
        Self { x, y, width: right - x, height: bottom - y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitrate_arithmetic_keeps_units() {
        let rate = Bitrate::from_mbps(8);
        assert_eq!(rate.bytes_in(Duration::from_millis(10)), 10_000);
        assert_eq!(rate.time_for(10_000), Duration::from_millis(10));
        assert_eq!(Bitrate::of(10_000, Duration::from_millis(10)), rate);
        assert_eq!(Bitrate::of(1, Duration::ZERO), Bitrate::from_bps(0));
        assert_eq!(Bitrate::from_bps(0).time_for(1), Duration::MAX);
        assert_eq!(rate.to_string(), "8.00 Mbit/s");
    }

    #[test]
    fn frame_rate_is_never_zero() {
        assert_eq!(FrameRate::new(0, 1), None);
        assert_eq!(FrameRate::new(60_000, 1_001).map(|r| r.interval().as_micros()), Some(16_683));
        assert_eq!(FrameRate::fps(0), FrameRate::fps(1));
    }

    #[test]
    fn rect_fits_without_overflow() {
        let size = Size::new(10, 10);
        assert!(Rect::whole(size).fits(size));
        assert!(!Rect { x: u32::MAX, y: 0, width: 2, height: 1 }.fits(size));
        assert!(!Rect { x: 0, y: 0, width: 0, height: 1 }.fits(size));
    }

    #[test]
    fn a_union_holds_both() {
        let (a, b) =
            (Rect { x: 4, y: 1, width: 2, height: 9 }, Rect { x: 1, y: 3, width: 9, height: 1 });
        assert_eq!(a.union(b), Rect { x: 1, y: 1, width: 9, height: 9 });
        let far = Rect { x: u32::MAX, y: 0, width: 2, height: 1 };
        assert_eq!(far.union(a).x, 4);
    }
}
