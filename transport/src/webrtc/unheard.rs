//! Which reports of a client were lost on their way here: SRTCP numbers what each of its senders says, in clear
//! (RFC 3711 §3.4). A request for packets that is lost is not repeated before a browser thinks that it was answered,
//! which may be 100 ms later.
//!
//! The number is read before it is known to be the client's. Whoever can forge it costs us some repair packets.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Senders of one client that are told apart: a browser has one for what it receives, and one for each track.
const SENDERS: usize = 8;
/// A longer gap is none: the number is not where it was looked for.
const LONGEST: u32 = 64;
/// What may stand behind the number: nothing (RFC 7714 §9.2), or a tag (RFC 3711 §4.2.1).
const BEHIND: [usize; 2] = [0, 10];

/// See the module.
#[derive(Default)]
pub(super) struct Unheard(Mutex<Vec<Sender>>);

struct Sender {
    ssrc: u32,
    /// The newest number by what may stand behind it.
    newest: [Option<u32>; 2],
    /// When a report came before which others are missing.
    gap: Option<Instant>,
}

impl Unheard {
    fn lock(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A datagram came, before the stack looks at it.
    pub(super) fn came(&self, datagram: &[u8], now: Instant) {
        let Some(&[first, kind, _, _, s0, s1, s2, s3]) = datagram.first_chunk() else { return };
        if first >> 6 != 2 || !(192..=223).contains(&kind) {
            return;
        }
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        let mut senders = self.lock();
        let at = senders.iter().position(|sender| sender.ssrc == ssrc).unwrap_or_else(|| {
            senders.truncate(SENDERS - 1);
            senders.push(Sender { ssrc, newest: [None; 2], gap: None });
            senders.len() - 1
        });
        let Some(sender) = senders.get_mut(at) else { return };
        for (newest, behind) in sender.newest.iter_mut().zip(BEHIND) {
            let end = datagram.len().saturating_sub(behind);
            let word = datagram.get(..end).and_then(<[u8]>::last_chunk);
            let Some(number) = word.and_then(|word| number(*word)) else { continue };
            let step = newest.map(|newest| number.wrapping_sub(newest).cast_signed());
            // One that was overtaken changes nothing.
            if step.is_none_or(|step| step > 0) {
                *newest = Some(number);
            }
            if step.is_some_and(|step| (2..=LONGEST.cast_signed()).contains(&step)) {
                sender.gap.get_or_insert(now);
            }
        }
    }

    /// Whether reports of this sender are missing before the one that came at `now`, or before earlier ones since this
    /// was last asked.
    pub(super) fn before(&self, ssrc: u32, now: Instant) -> bool {
        let mut senders = self.lock();
        let sender = senders.iter_mut().find(|sender| sender.ssrc == ssrc);
        sender.is_some_and(|sender| sender.gap.take_if(|gap| *gap <= now).is_some())
    }
}

/// The number of a report that is encrypted, as all are.
fn number(word: [u8; 4]) -> Option<u32> {
    let word = u32::from_be_bytes(word);
    (word >> 31 == 1).then_some(word & 0x7fff_ffff)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(ssrc: u32, number: u32, behind: usize) -> Vec<u8> {
        let mut datagram = vec![0x81, 205, 0, 3];
        datagram.extend(ssrc.to_be_bytes());
        // Encrypted, and a tag.
        datagram.extend([0xa5; 24]);
        datagram.extend((number | 1 << 31).to_be_bytes());
        datagram.extend((0..behind).map(|n| n as u8 ^ number as u8));
        datagram
    }

    #[test]
    fn a_gap_is_told_once_and_only_with_what_came_behind_it() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for behind in BEHIND {
            let unheard = Unheard::default();
            for (number, millis) in [(5, 0), (6, 1), (9, 4)] {
                unheard.came(&report(1, number, behind), at(millis));
            }
            assert!(!unheard.before(1, at(1)), "9 came later");
            assert!(!unheard.before(2, at(9)));
            assert!(unheard.before(1, at(4)));
            assert!(!unheard.before(1, at(9)), "told before");
            // Overtaken, a copy, another sender's, and a jump.
            for (ssrc, number) in [(1, 8), (1, 9), (1, 10), (2, 1), (2, 2), (1, 900), (1, 901)] {
                unheard.came(&report(ssrc, number, behind), at(10));
            }
            assert!(!unheard.before(1, at(20)) && !unheard.before(2, at(20)));
            unheard.came(&report(2, 4, behind), at(21));
            assert!(unheard.before(2, at(21)));
        }
    }

    #[test]
    fn whatever_is_no_report_is_passed_over_and_senders_are_bounded() {
        let (unheard, now) = (Unheard::default(), Instant::now());
        let media = [0x80, 0x60, 0, 1, 0, 0, 0, 1, 0x80, 0, 0, 1];
        for datagram in
            [&[][..], &[0x81, 205, 0], &media, &[22; 40], &[0x81, 205, 0, 1, 0, 0, 0, 1]]
        {
            unheard.came(datagram, now);
            unheard.came(datagram, now);
        }
        assert!(!unheard.before(1, now));
        (0..1_000).for_each(|ssrc| unheard.came(&report(ssrc, 1, 0), now));
        assert_eq!(unheard.lock().len(), SENDERS);
        unheard.came(&report(999, 3, 0), now);
        assert!(unheard.before(999, now));
    }
}
