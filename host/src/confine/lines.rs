//! What a game writes, line by line and bounded. It is told the time.
//!
//! Bytes: a game that writes more than [`BYTES_PER_SECOND`] waits, as it would for a slow terminal.
//! Lines: longer ones are cut; of those that come too fast the rest is counted and not passed on. The
//! last ones are kept, so that an end can be explained.

use std::collections::VecDeque;
use std::time::Duration;

use media::MediaTime;

/// Bytes that are read of a game in a second, after a first burst of as many.
pub const BYTES_PER_SECOND: usize = 1 << 20;
/// Lines that are passed on in a second, after a first burst of as many.
const LINES_PER_SECOND: u32 = 200;
/// Bytes of a line that are kept.
const LONGEST: usize = 512;
/// Lines that are kept.
const KEPT: usize = 40;

/// See the module.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    kept: VecDeque<String>,
    second: MediaTime,
    bytes: usize,
    lines: u32,
    left_out: u64,
}

impl Lines {
    /// How many bytes may be read now; when there are none, how long until there are.
    ///
    /// # Errors
    /// That time.
    pub fn allowance(&mut self, now: MediaTime) -> Result<usize, Duration> {
        self.turn(now);
        match BYTES_PER_SECOND.saturating_sub(self.bytes) {
            0 => Err(Duration::from_secs(1).saturating_sub(now.since(self.second))),
            bytes => Ok(bytes),
        }
    }

    /// Takes what was read and passes whole lines on.
    pub fn take(&mut self, now: MediaTime, read: &[u8], mut pass_on: impl FnMut(&str)) {
        self.turn(now);
        self.bytes += read.len();
        let mut parts = read.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = LONGEST.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(part.get(..room).unwrap_or(part));
            if parts.peek().is_some() {
                self.finish(&mut pass_on);
            }
        }
    }

    /// Nothing more will come.
    pub fn end(&mut self, mut pass_on: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            self.finish(&mut pass_on);
        }
        self.tell_left_out(&mut pass_on);
    }

    /// The last lines, the oldest first.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(String::as_str)
    }

    fn turn(&mut self, now: MediaTime) {
        if now.since(self.second) >= Duration::from_secs(1) {
            (self.second, self.bytes, self.lines) = (now, 0, 0);
        }
    }

    fn finish(&mut self, pass_on: &mut impl FnMut(&str)) {
        // Control characters could write over what a terminal shows of the log.
        let clean = |of: char| if of.is_control() && of != '\t' { '\u{fffd}' } else { of };
        let line: String = String::from_utf8_lossy(&self.partial)
            .trim_end_matches('\r')
            .chars()
            .map(clean)
            .collect();
        self.partial.clear();
        if self.lines < LINES_PER_SECOND {
            self.lines += 1;
            self.tell_left_out(pass_on);
            pass_on(&line);
        } else {
            self.left_out += 1;
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(line);
    }

    fn tell_left_out(&mut self, pass_on: &mut impl FnMut(&str)) {
        if self.left_out > 0 {
            pass_on(&format!("({} lines left out)", self.left_out));
            self.left_out = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.take(MediaTime::ZERO, chunk, |line| out.push(line.to_owned()));
        }
        lines.end(|line| out.push(line.to_owned()));
        out
    }

    #[test]
    fn lines_come_whole_and_clean() {
        assert_eq!(taken(&[b"a", b"b\nc\r\n\n", b"last"]), ["ab", "c", "", "last"]);
        assert_eq!(taken(&[b"\x1b[2Jx\ty\xff\n"]), ["\u{fffd}[2Jx\ty\u{fffd}"]);
        let long = vec![b'x'; 3 * LONGEST];
        assert_eq!(taken(&[&long, &long, b"\nnext\n"]), ["x".repeat(LONGEST), "next".to_owned()]);
    }

    #[test]
    fn what_comes_too_fast_is_counted() {
        let flood = b"y\n".repeat(LINES_PER_SECOND as usize + 5);
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        lines.take(MediaTime::ZERO, &flood, |line| out.push(line.to_owned()));
        assert_eq!(out.len(), LINES_PER_SECOND as usize);
        lines.take(MediaTime::from_millis(1_000), b"z\n", |line| out.push(line.to_owned()));
        assert_eq!(out[LINES_PER_SECOND as usize..], ["(5 lines left out)", "z"]);
        assert_eq!(lines.kept().count(), KEPT);
        assert_eq!(lines.kept().last(), Some("z"));
    }

    #[test]
    fn a_second_has_so_many_bytes() {
        let mut lines = Lines::default();
        assert_eq!(lines.allowance(MediaTime::ZERO), Ok(BYTES_PER_SECOND));
        lines.take(MediaTime::ZERO, &vec![b' '; BYTES_PER_SECOND], |_| {});
        let later = MediaTime::from_millis(400);
        assert_eq!(lines.allowance(later), Err(Duration::from_millis(600)));
        assert_eq!(lines.allowance(MediaTime::from_millis(1_000)), Ok(BYTES_PER_SECOND));
    }

    proptest! {
        #[test]
        fn cutting_a_text_elsewhere_changes_no_line(text in "[a-z\n]{0,300}", cut in 0_usize..300) {
            let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
            prop_assert_eq!(taken(&[head, tail]), taken(&[text.as_bytes()]));
        }
    }
}
