//! Keys: from USB's numbers by way of Linux's to those of X.

use media::KeyCode;

/// What X adds to Linux's numbers (the `evdev` rules of xkeyboard-config, which Xvfb and Xorg start with).
const OFFSET: u8 = 8;

/// Linux's key codes (`linux/input-event-codes.h`) of runs of usages of the keyboard page (USB HID Usage
/// Tables §10), each from its first usage on. Usages between the runs have no key.
const RUNS: [(u16, &[u8]); 6] = [
    // Letters, digits, Enter, Escape, Backspace, Tab, Space, punctuation, Caps Lock, F1 to F12.
    (
        0x04,
        &[
            30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50, 49, 24, 25, 16, 19, 31, 20, 22, 47,
            17, 45, 21, 44, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 28, 1, 14, 15, 57, 12, 13, 26, 27, 43,
            43, 39, 40, 41, 51, 52, 53, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 87, 88,
        ],
    ),
    // Print Screen to Pause, Insert to Page Down, arrows, keypad, ISO backslash, Application, Power.
    (
        0x46,
        &[
            99, 70, 119, 110, 102, 104, 111, 107, 109, 106, 105, 108, 103, 69, 98, 55, 74, 78, 96,
            79, 80, 81, 75, 76, 77, 71, 72, 73, 82, 83, 86, 127, 116,
        ],
    ),
    // Keypad =, F13 to F24, Open, Help, Props, Select, Stop, Again, Undo, Cut, Copy, Paste, Find, Mute, Volume.
    (
        0x67,
        &[
            117, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, 134, 138, 130, 132,
            128, 129, 131, 137, 133, 135, 136, 113, 115, 114,
        ],
    ),
    // Keypad comma.
    (0x85, &[121]),
    // Ro, Kana, Yen, Henkan, Muhenkan, keypad comma of Japan; then Hangul, Hanja, Katakana, Hiragana, Zenkaku.
    (0x87, &[89, 93, 124, 92, 94, 95, 0, 0, 0, 122, 123, 90, 91, 85]),
    // Control, Shift, Alt and GUI, left and right.
    (0xe0, &[29, 42, 56, 125, 97, 54, 100, 126]),
];

/// X's code of Caps Lock.
pub(super) const CAPS_LOCK: u8 = 58 + OFFSET;
/// And of Num Lock.
pub(super) const NUM_LOCK: u8 = 69 + OFFSET;

/// The key code of X; none where there is no such key.
pub(super) fn keycode(code: KeyCode) -> Option<u8> {
    let run = RUNS.iter().rev().find(|(first, _)| *first <= code.0)?;
    let linux = *run.1.get(usize::from(code.0 - run.0))?;
    (linux > 0).then(|| linux + OFFSET)
}

/// The symbol of a character (X11 protocol, appendix A).
pub(super) fn keysym(character: char) -> u32 {
    match u32::from(character) {
        latin @ (0x20..=0x7e | 0xa0..=0xff) => latin,
        other => 0x0100_0000 | other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_have_the_keys_that_they_name() {
        let known = [
            (0x04, 38),  // A
            (0x1d, 52),  // Z
            (0x27, 19),  // 0
            (0x28, 36),  // Enter
            (0x2c, 65),  // Space
            (0x39, 66),  // Caps Lock
            (0x45, 96),  // F12
            (0x46, 107), // Print Screen
            (0x52, 111), // Up
            (0x63, 91),  // keypad .
            (0x64, 94),  // ISO backslash
            (0x73, 202), // F24
            (0x81, 122), // volume down
            (0x94, 93),  // Zenkaku
            (0xe1, 50),  // left Shift
            (0xe7, 134), // right GUI
        ];
        for (usage, expected) in known {
            assert_eq!(keycode(KeyCode(usage)), Some(expected), "{usage:#x}");
        }
        for usage in [0, 3, 0x82, 0x84, 0x86, 0x8d, 0x95, 0xdf, 0xe8, 0xffff] {
            assert_eq!(keycode(KeyCode(usage)), None, "{usage:#x}");
        }
        // Two usages of one key: what an ANSI and an ISO keyboard have beside Enter.
        let mut keys: Vec<_> = (0..=0xe7).filter_map(|usage| keycode(KeyCode(usage))).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(all - keys.len(), 1);
    }

    #[test]
    fn every_character_has_a_symbol() {
        let of = |text: &str| text.chars().map(keysym).collect::<Vec<_>>();
        assert_eq!(of("aäß漢😀"), [0x61, 0xe4, 0xdf, 0x0100_6f22, 0x0101_f600]);
    }
}
