//! How many acknowledgements a client may send.
//!
//! Each is looked up among the frames that were sent, and each message is passed on to the session. A client
//! says of a frame twice at most what became of it, so that 240 frames a second on four tracks make 1,920
//! messages.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use media::MediaTime;
use thiserror::Error;

/// Most messages of a second that are read.
const MOST: u32 = 2_000;
/// A client that sends more in a second is cut off: a network that held back what it let go at once would
/// have held it for five seconds.
const FLOOD: u32 = 5 * MOST;

/// A client sends far more acknowledgements than there are frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the client sent more than {FLOOD} acknowledgements in a second")]
pub(crate) struct AckFlood;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct AckLimit(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    began: MediaTime,
    count: u32,
}

impl AckLimit {
    /// Whether one more message may be read.
    ///
    /// # Errors
    /// When the client is to be cut off.
    pub(crate) fn passes(&self, now: MediaTime) -> Result<bool, AckFlood> {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(second.began) >= Duration::from_secs(1) {
            *second = Second { began: now, count: 0 };
        }
        second.count += 1;
        if second.count > FLOOD { Err(AckFlood) } else { Ok(second.count <= MOST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_not_read_until_the_next_second_and_a_flood_ends_it() {
        let limit = AckLimit::default();
        let read = |count: u32, at: u64| {
            let now = MediaTime::from_millis(at);
            (0..count).filter(|_| limit.passes(now) == Ok(true)).count()
        };
        assert_eq!(read(1_500, 5_000), 1_500);
        assert_eq!(read(1_500, 5_999), 500);
        assert_eq!(read(FLOOD, 6_000), 2_000);
        assert_eq!(limit.passes(MediaTime::from_millis(6_999)), Err(AckFlood));
        assert_eq!(limit.passes(MediaTime::from_millis(7_000)), Ok(true));
    }
}
