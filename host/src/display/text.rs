//! Text from an input method: characters are put on keys that no keyboard reaches, and those are struck.
//!
//! A program looks a key's symbol up when it comes to the event, not when the key was struck. So a character
//! keeps its key for as long as there are keys that were used longer ago, and no two characters of one event
//! share a key.

use media::KeyCode;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::ConnectionExt as _;

use super::keys::{keycode, keysym};
use super::link::{DisplayError, Link};

/// Keys to type with.
pub(super) struct Spares {
    /// Keys that change what other keys do while they are held.
    modifiers: [bool; 256],
    /// The least recently used first.
    keys: Vec<Spare>,
    /// What is struck next; kept to reuse its memory.
    struck: Vec<u8>,
}

struct Spare {
    key: u8,
    /// The symbol that it has now, where we gave it one.
    symbol: Option<u32>,
    /// What it had before.
    original: Vec<u32>,
}

impl Spares {
    /// All keys that no usage has and that are no modifiers.
    pub(super) fn find(link: &Link) -> Result<Self, DisplayError> {
        let x = link.x();
        let (least, most) = (x.setup().min_keycode, x.setup().max_keycode);
        let count = most.saturating_sub(least).saturating_add(1);
        let mapping = x.get_keyboard_mapping(least, count)?;
        let modifiers = x.get_modifier_mapping()?;
        let (mapping, rows) = (mapping.reply()?, modifiers.reply()?.keycodes);
        let mut modifiers = [false; 256];
        rows.iter().filter(|&&key| key != 0).for_each(|&key| modifiers[usize::from(key)] = true);
        let mut reached = modifiers;
        let usages = (0..=KeyCode::LAST.0).filter_map(|usage| keycode(KeyCode(usage)));
        usages.for_each(|key| reached[usize::from(key)] = true);
        let symbols = mapping.keysyms.chunks(usize::from(mapping.keysyms_per_keycode.max(1)));
        let keys = (least..=most).zip(symbols).filter(|(key, _)| !reached[usize::from(*key)]);
        let keys =
            keys.map(|(key, symbols)| Spare { key, symbol: None, original: symbols.to_vec() });
        Ok(Self { modifiers, keys: keys.collect(), struck: Vec::new() })
    }

    /// Whether a key changes what other keys do.
    pub(super) fn is_modifier(&self, key: u8) -> bool {
        self.modifiers[usize::from(key)]
    }

    /// Gives every character of `text` a key; they are the ones to be [`struck`](Self::struck).
    pub(super) fn prepare(&mut self, link: &Link, text: &str) -> Result<(), DisplayError> {
        self.struck.clear();
        let x = link.wire_ready();
        for symbol in text.chars().map(keysym) {
            let Some(place) = self.place(symbol) else { break };
            let mut spare = self.keys.remove(place);
            if spare.symbol != Some(symbol) {
                // With and without Shift.
                x.change_keyboard_mapping(1, spare.key, 2, &[symbol; 2])?;
                spare.symbol = Some(symbol);
            }
            self.struck.push(spare.key);
            self.keys.push(spare);
        }
        Ok(())
    }

    /// Keys in the order of the text.
    pub(super) fn struck(&self) -> &[u8] {
        &self.struck
    }

    /// The key that has this symbol, or else the one that was used longest ago, unless this very text uses it.
    fn place(&self, symbol: u32) -> Option<usize> {
        let has = self.keys.iter().position(|spare| spare.symbol == Some(symbol));
        has.or_else(|| {
            let oldest = self.keys.first()?;
            (!self.struck.contains(&oldest.key)).then_some(0)
        })
    }

    /// Gives the keys back what they had.
    pub(super) fn restore(&mut self, link: &Link) -> Result<(), DisplayError> {
        let x = link.wire_ready();
        for spare in self.keys.iter_mut().filter(|spare| spare.symbol.is_some()) {
            let width = u8::try_from(spare.original.len()).unwrap_or(u8::MAX);
            x.change_keyboard_mapping(1, spare.key, width, &spare.original)?;
            spare.symbol = None;
        }
        Ok(())
    }
}
