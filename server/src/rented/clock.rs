//! The clocks of a rented node beside the media clock: CLOCK_BOOTTIME, and once at a start the system's own.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use session::lease::BootTime;
use session::rental::UnixMillis;

/// What tells both.
pub trait BootClock: Send + Sync {
    /// Time that goes on while the machine sleeps, and that nobody sets.
    fn now(&self) -> BootTime;

    /// The system's clock, for the time that the node was down.
    fn wall(&self) -> UnixMillis;
}

/// The machine's.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemBootClock;

impl BootClock for SystemBootClock {
    fn now(&self) -> BootTime {
        let time = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u64);
        BootTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    fn wall(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
