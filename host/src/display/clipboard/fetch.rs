//! Reading what a program has copied.
//!
//! ```text
//!  Targets ──► Whole ──► done
//!                └─ INCR ─► Pieces ──► done
//! ```
//! Any wait that is too long, anything too large and another owner end it.

use std::time::Instant;

use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, PropertyNotifyEvent, SelectionNotifyEvent, Window,
};
use x11rb::{CURRENT_TIME, NONE};

use super::worker::Atoms;
use super::{BadClip, Clip, ClipError, ClipKind, ClipLimits, Reply, STEPS};
use crate::display::link::{DisplayError, Link};

/// Bytes of a property that are asked for at a time.
const PIECE: u32 = 256 << 10;
/// Bytes of the list of what a program has.
const TARGETS: usize = 4 << 10;

enum Stage {
    Targets,
    Whole(ClipKind),
    Pieces(ClipKind, Atom, Vec<u8>),
}

/// See the module.
pub(super) struct Fetch {
    window: Window,
    reply: Reply<Clip>,
    limits: ClipLimits,
    stage: Stage,
    /// When the step of now, and all of it, is given up.
    due: Instant,
    ends: Instant,
}

/// What came of an event: the end, or none yet.
type Ended = Option<Result<Clip, ClipError>>;

enum Trouble {
    Clip(ClipError),
    Display(DisplayError),
}

impl<E: Into<DisplayError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Display(error.into())
    }
}

/// What a property holds.
enum Held {
    Value(Atom, Vec<u8>),
    /// The least number of bytes that are going to come.
    Announced(usize),
}

impl Fetch {
    /// Asks the program for what it has.
    pub(super) fn start(
        link: &Link,
        atoms: &Atoms,
        (window, reply): (Window, Reply<Clip>),
        limits: ClipLimits,
    ) -> Result<Self, DisplayError> {
        let now = Instant::now();
        let (due, ends) = (now + limits.patience, now + limits.patience * STEPS);
        let fetch = Self { window, reply, limits, stage: Stage::Targets, due, ends };
        fetch.convert(link, atoms, atoms.TARGETS)?;
        Ok(fetch)
    }

    pub(super) fn due(&self) -> Instant {
        self.due.min(self.ends)
    }

    /// The program has answered.
    pub(super) fn notified(
        &mut self,
        link: &Link,
        atoms: &Atoms,
        event: &SelectionNotifyEvent,
    ) -> Result<Ended, DisplayError> {
        if event.requestor != self.window || event.selection != atoms.CLIPBOARD {
            return Ok(None);
        }
        self.due = Instant::now() + self.limits.patience;
        outcome(match self.stage {
            Stage::Targets => self.choose(link, atoms, event.property != NONE),
            Stage::Whole(_) if event.property == NONE => Err(Trouble::Clip(ClipError::Unknown)),
            Stage::Whole(kind) => self.whole(link, atoms, kind),
            Stage::Pieces(..) => Ok(None),
        })
    }

    /// The program has put another piece there.
    pub(super) fn piece(
        &mut self,
        link: &Link,
        atoms: &Atoms,
        event: &PropertyNotifyEvent,
    ) -> Result<Ended, DisplayError> {
        if event.window != self.window || event.atom != atoms.NEARLIGHT_CLIPBOARD {
            return Ok(None);
        }
        outcome(self.next_piece(link, atoms))
    }

    /// Ends it: whatever of it is still on its way finds no window.
    pub(super) fn end(
        self,
        link: &Link,
        result: Result<Clip, ClipError>,
    ) -> Result<(), DisplayError> {
        link.x().destroy_window(self.window)?;
        let _ = self.reply.try_send(result);
        Ok(())
    }

    /// Ends it without its window, which goes with the connection.
    pub(super) fn give_up(self) {
        let _ = self.reply.try_send(Err(ClipError::Silent));
    }

    fn convert(&self, link: &Link, atoms: &Atoms, target: Atom) -> Result<(), DisplayError> {
        let (from, to) = (atoms.CLIPBOARD, atoms.NEARLIGHT_CLIPBOARD);
        link.x().convert_selection(self.window, from, target, to, CURRENT_TIME)?;
        Ok(())
    }

    /// Asks for the best of what there is. A program that does not tell is asked for text.
    fn choose(&mut self, link: &Link, atoms: &Atoms, told: bool) -> Result<Option<Clip>, Trouble> {
        let (target, kind) = match told {
            false => (atoms.UTF8_STRING, ClipKind::Text),
            true => match self.read(link, atoms, TARGETS)? {
                Held::Value(_, list) => {
                    best(atoms, &list).ok_or(Trouble::Clip(ClipError::Unknown))?
                }
                Held::Announced(_) => return Err(Trouble::Clip(ClipError::Unknown)),
            },
        };
        self.stage = Stage::Whole(kind);
        self.convert(link, atoms, target)?;
        Ok(None)
    }

    fn whole(
        &mut self,
        link: &Link,
        atoms: &Atoms,
        kind: ClipKind,
    ) -> Result<Option<Clip>, Trouble> {
        match self.read(link, atoms, self.limits.of(kind))? {
            Held::Value(of, bytes) => clip(kind, of, bytes).map(Some),
            Held::Announced(least) if least > self.limits.of(kind) => Err(self.too_large(kind)),
            // Taking the announcement away is what lets the first piece come.
            Held::Announced(_) => {
                self.stage = Stage::Pieces(kind, NONE, Vec::new());
                Ok(None)
            }
        }
    }

    fn next_piece(&mut self, link: &Link, atoms: &Atoms) -> Result<Option<Clip>, Trouble> {
        let Stage::Pieces(kind, _, bytes) = &self.stage else { return Ok(None) };
        let (kind, left) = (*kind, self.limits.of(*kind).saturating_sub(bytes.len()));
        let (of, piece) = match self.read(link, atoms, left) {
            // It was read with the one before.
            Ok(Held::Value(NONE, _)) => return Ok(None),
            Ok(Held::Value(of, piece)) => (of, piece),
            Ok(Held::Announced(_)) => return Err(Trouble::Clip(ClipError::Unknown)),
            Err(Trouble::Clip(ClipError::TooLarge { .. })) => return Err(self.too_large(kind)),
            Err(error) => return Err(error),
        };
        self.due = Instant::now() + self.limits.patience;
        let Stage::Pieces(_, first, bytes) = &mut self.stage else { return Ok(None) };
        if piece.is_empty() {
            let bytes = std::mem::take(bytes);
            // The last piece may have no type worth the name.
            let of = if *first == NONE { of } else { *first };
            return clip(kind, of, bytes).map(Some);
        }
        *first = of;
        bytes.extend_from_slice(&piece);
        Ok(None)
    }

    fn too_large(&self, kind: ClipKind) -> Trouble {
        Trouble::Clip(ClipError::TooLarge { most: self.limits.of(kind) })
    }

    /// Reads the property and takes it away.
    fn read(&self, link: &Link, atoms: &Atoms, most: usize) -> Result<Held, Trouble> {
        let property = atoms.NEARLIGHT_CLIPBOARD;
        let mut bytes = Vec::new();
        loop {
            // In units of four bytes; what is bounded here never has so many.
            let from = u32::try_from(bytes.len() / 4).unwrap_or(u32::MAX);
            let any = AtomEnum::ANY;
            let part = link.x().get_property(false, self.window, property, any, from, PIECE / 4)?;
            let part = part.reply()?;
            if part.type_ == atoms.INCR {
                link.x().delete_property(self.window, property)?;
                let least = part.value32().and_then(|mut value| value.next()).unwrap_or(0);
                return Ok(Held::Announced(least as usize));
            }
            let after = part.bytes_after as usize;
            if bytes.len() + part.value.len() + after > most {
                return Err(Trouble::Clip(ClipError::TooLarge { most }));
            }
            bytes.extend_from_slice(&part.value);
            if after == 0 {
                link.x().delete_property(self.window, property)?;
                return Ok(Held::Value(part.type_, bytes));
            }
            if part.value.is_empty() || !part.value.len().is_multiple_of(4) {
                return Err(
                    DisplayError::Protocol("a part of a property that is none".into()).into()
                );
            }
        }
    }
}

fn outcome(result: Result<Option<Clip>, Trouble>) -> Result<Ended, DisplayError> {
    match result {
        Ok(clip) => Ok(clip.map(Ok)),
        Err(Trouble::Clip(error)) => Ok(Some(Err(error))),
        Err(Trouble::Display(error)) => Err(error),
    }
}

/// The best that a list of atoms names.
fn best(atoms: &Atoms, list: &[u8]) -> Option<(Atom, ClipKind)> {
    let (listed, _) = list.as_chunks::<4>();
    let has = |atom: Atom| listed.iter().any(|each| Atom::from_ne_bytes(*each) == atom);
    [
        (atoms.UTF8_STRING, ClipKind::Text),
        (atoms.TEXT_UTF8, ClipKind::Text),
        (atoms.IMAGE_PNG, ClipKind::Image),
        (AtomEnum::STRING.into(), ClipKind::Text),
    ]
    .into_iter()
    .find(|(atom, _)| has(*atom))
}

/// What the bytes of a property of this type are.
fn clip(kind: ClipKind, of: Atom, bytes: Vec<u8>) -> Result<Clip, Trouble> {
    // Latin-1 (ICCCM, 2.6.2).
    let latin = kind == ClipKind::Text && of == u32::from(AtomEnum::STRING);
    let bytes = match latin {
        true => bytes.into_iter().map(char::from).collect::<String>().into_bytes(),
        false => bytes,
    };
    Clip::new(kind, bytes.into()).map_err(|bad: BadClip| Trouble::Clip(bad.into()))
}
