//! How much a client may have the log say: what it asks for is logged, and it may ask for something else two hundred times a
//! second.

use std::time::Duration;

use media::MediaTime;

/// Most lines in this time.
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    began: MediaTime,
    lines: u32,
    left_out: u64,
}

impl LogLimit {
    /// Whether one more line may be logged; if so, how many were left out since the last.
    pub(super) fn passes(&mut self, now: MediaTime) -> Option<u64> {
        if now.since(self.began) >= WINDOW {
            (self.began, self.lines) = (now, 0);
        }
        if self.lines == MOST {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_left_out_until_there_is_room_again_and_counted() {
        let mut log = LogLimit::default();
        let mut logged = |millis| log.passes(MediaTime::from_millis(millis));
        let lines = (0..100_000).filter(|n| logged(1_000 + n / 50).is_some()).count();
        assert_eq!(lines, 10);
        assert_eq!(logged(9_999), None);
        assert_eq!(logged(10_000), Some(99_991));
        assert_eq!(logged(10_000), Some(0));
    }
}
