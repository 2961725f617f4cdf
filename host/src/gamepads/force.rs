//! What a game asks of a gamepad: effects that it uploads and plays. Pure.

use media::Rumble;

use super::device::{CLOCK, EFFECTS, ERASE, EV_FF, RECORD, UPLOAD};

/// `CLOCK_MONOTONIC`.
const MONOTONIC: i32 = 1;

/// What a record means for whoever listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The gamepad is to do this from now on.
    Rumble(Rumble),
    /// Events bear the time since the system started, or that of the calendar.
    Clock { monotonic: bool },
}

/// The effects of one program.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    known: [Option<Rumble>; EFFECTS],
    playing: Option<usize>,
}

impl Effects {
    /// Takes a record; what is no request does nothing. Delays and repetitions of an effect are left out.
    pub(super) fn take(&mut self, record: &[u8; RECORD]) -> Option<Asked> {
        let word = |at: usize| u16::from_ne_bytes([record[at], record[at + 1]]);
        let (kind, code) = (word(16), usize::from(word(18)));
        let value = i32::from_ne_bytes([record[20], record[21], record[22], record[23]]);
        if kind == CLOCK {
            return Some(Asked::Clock { monotonic: value == MONOTONIC });
        }
        let effect = self.known.get_mut(code)?;
        let is_playing = self.playing == Some(code);
        let rumble = match kind {
            UPLOAD => {
                let magnitudes = value.cast_unsigned();
                let rumble = Rumble {
                    strong: (magnitudes >> 16) as u16,
                    weak: magnitudes as u16,
                    // None is as long as can be.
                    length_ms: if word(0) == 0 { u16::MAX } else { word(0) },
                };
                *effect = Some(rumble);
                // What plays goes on as it is now.
                is_playing.then_some(rumble)?
            }
            ERASE => {
                *effect = None;
                is_playing.then(Rumble::default)?
            }
            EV_FF if value > 0 => {
                let rumble = (*effect)?;
                self.playing = Some(code);
                return Some(Asked::Rumble(rumble));
            }
            EV_FF => is_playing.then(Rumble::default)?,
            _ => return None,
        };
        if kind != UPLOAD {
            self.playing = None;
        }
        Some(Asked::Rumble(rumble))
    }

    /// The program is gone; whether something played.
    pub(super) fn is_playing(&self) -> bool {
        self.playing.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::record;
    use super::*;

    fn rumble(strong: u16, weak: u16, length_ms: u16) -> Option<Asked> {
        Some(Asked::Rumble(Rumble { strong, weak, length_ms }))
    }

    #[test]
    fn an_effect_plays_changes_and_stops() {
        let mut effects = Effects::default();
        let upload = |value: u32, ms| record(ms, 0, UPLOAD, 3, value.cast_signed());
        let play = |value| record(0, 0, EV_FF, 3, value);
        assert_eq!(effects.take(&play(1)), None, "there is no such effect");
        assert_eq!(effects.take(&upload(0xffff_0002, 500)), None);
        assert_eq!(effects.take(&play(0)), None, "it does not play");
        assert_eq!(effects.take(&play(1)), rumble(0xffff, 2, 500));
        assert!(effects.is_playing());
        assert_eq!(effects.take(&upload(0x0001_0000, 0)), rumble(1, 0, u16::MAX));
        assert_eq!(effects.take(&play(0)), rumble(0, 0, 0));
        assert!(!effects.is_playing());
        assert_eq!(effects.take(&play(5)), rumble(1, 0, u16::MAX));
        assert_eq!(effects.take(&record(0, 0, ERASE, 3, 0)), rumble(0, 0, 0));
        assert_eq!(effects.take(&play(1)), None);
    }

    #[test]
    fn what_is_no_request_does_nothing() {
        let mut effects = Effects::default();
        for kind in [UPLOAD, ERASE, EV_FF, 0, 0xffff] {
            assert_eq!(effects.take(&record(0, 0, kind, 16, 1)), None);
            assert_eq!(effects.take(&record(-1, -1, kind, 0xffff, i32::MIN)), None);
        }
        let clock = |value| record(0, 0, CLOCK, 0, value);
        assert_eq!(effects.take(&clock(1)), Some(Asked::Clock { monotonic: true }));
        assert_eq!(effects.take(&clock(0)), Some(Asked::Clock { monotonic: false }));
    }
}
