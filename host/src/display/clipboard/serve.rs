//! Giving programs what the player brought.

use std::time::{Duration, Instant};

use bytes::Bytes;
use x11rb::NONE;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, PropMode,
    PropertyNotifyEvent, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent,
    Timestamp, Window,
};
use x11rb::wrapper::ConnectionExt as _;

use super::worker::Atoms;
use super::{Clip, ClipKind};
use crate::display::link::{DisplayError, Link};

/// Bytes of a property: well below what every server takes in one request. What is larger goes in pieces.
const PIECE: usize = 128 << 10;
/// Programs that are served piece by piece at once; one more is refused.
pub(super) const MOST: usize = 8;

/// Those that are being served piece by piece.
#[derive(Default)]
pub(super) struct Serving(Vec<Send>);

struct Send {
    requestor: Window,
    property: Atom,
    of: Atom,
    rest: Bytes,
    /// Given up when the program has not taken the piece of now until then.
    due: Instant,
}

impl Serving {
    /// A program asks for what is offered, or for what is not.
    pub(super) fn asked(
        &mut self,
        link: &Link,
        atoms: &Atoms,
        event: &SelectionRequestEvent,
        offered: Option<&(Clip, Timestamp)>,
        patience: Duration,
    ) -> Result<(), DisplayError> {
        // Obsolete programs name none (ICCCM, 2.2).
        let property = if event.property == NONE { event.target } else { event.property };
        let to = (event.requestor, property);
        let given = match offered {
            Some(offered) => self.give(link, atoms, to, event.target, offered, patience)?,
            None => false,
        };
        let answer = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: event.time,
            requestor: event.requestor,
            selection: event.selection,
            target: event.target,
            property: if given { property } else { NONE },
        };
        link.x().send_event(false, event.requestor, EventMask::NO_EVENT, answer)?;
        Ok(())
    }

    fn give(
        &mut self,
        link: &Link,
        atoms: &Atoms,
        (requestor, property): (Window, Atom),
        target: Atom,
        (clip, since): &(Clip, Timestamp),
        patience: Duration,
    ) -> Result<bool, DisplayError> {
        let x = link.x();
        let replace = PropMode::REPLACE;
        if target == atoms.TARGETS {
            let list = targets(atoms, clip);
            x.change_property32(replace, requestor, property, AtomEnum::ATOM, &list)?;
            return Ok(true);
        }
        if target == atoms.TIMESTAMP {
            x.change_property32(replace, requestor, property, AtomEnum::INTEGER, &[*since])?;
            return Ok(true);
        }
        let Some((of, bytes)) = converted(atoms, clip, target) else { return Ok(false) };
        if bytes.len() <= PIECE {
            x.change_property8(replace, requestor, property, of, &bytes)?;
            return Ok(true);
        }
        if self.0.len() >= MOST {
            return Ok(false);
        }
        watch(link, requestor, EventMask::PROPERTY_CHANGE)?;
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        link.x().change_property32(replace, requestor, property, atoms.INCR, &[size])?;
        let due = Instant::now() + patience;
        self.0.push(Send { requestor, property, of, rest: bytes, due });
        Ok(true)
    }

    /// A program has taken a piece, and gets the next one; one without bytes is the last.
    pub(super) fn taken(
        &mut self,
        link: &Link,
        event: &PropertyNotifyEvent,
        patience: Duration,
    ) -> Result<(), DisplayError> {
        let is_it = |send: &Send| send.requestor == event.window && send.property == event.atom;
        let Some(at) = self.0.iter().position(is_it) else { return Ok(()) };
        let send = &mut self.0[at];
        let piece = send.rest.split_to(send.rest.len().min(PIECE));
        let Send { requestor, property, of, .. } = *send;
        link.x().change_property8(PropMode::REPLACE, requestor, property, of, &piece)?;
        if piece.is_empty() {
            self.over(link, at)
        } else {
            self.0[at].due = Instant::now() + patience;
            Ok(())
        }
    }

    /// Leaves those alone that take nothing any more.
    pub(super) fn expire(&mut self, link: &Link, now: Instant) -> Result<(), DisplayError> {
        while let Some(at) = self.0.iter().position(|send| send.due <= now) {
            self.over(link, at)?;
        }
        Ok(())
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|send| send.due).min()
    }

    fn over(&mut self, link: &Link, at: usize) -> Result<(), DisplayError> {
        let Send { requestor, .. } = self.0.swap_remove(at);
        if self.0.iter().any(|send| send.requestor == requestor) {
            return Ok(());
        }
        watch(link, requestor, EventMask::NO_EVENT)
    }
}

/// Tells what we want to know of a program's window, which may be gone.
fn watch(link: &Link, window: Window, mask: EventMask) -> Result<(), DisplayError> {
    let change = ChangeWindowAttributesAux::new().event_mask(mask);
    link.x().change_window_attributes(window, &change)?;
    Ok(())
}

/// What a clip can be had as.
fn targets(atoms: &Atoms, clip: &Clip) -> Vec<Atom> {
    let mut list = vec![atoms.TARGETS, atoms.TIMESTAMP];
    match clip.kind() {
        ClipKind::Image => list.push(atoms.IMAGE_PNG),
        ClipKind::Text => {
            list.extend([atoms.UTF8_STRING, atoms.TEXT_UTF8, atoms.TEXT_PLAIN, atoms.TEXT]);
            if latin(clip).is_some() {
                list.push(AtomEnum::STRING.into());
            }
        }
    }
    list
}

/// The type and the bytes of a clip for this target.
fn converted(atoms: &Atoms, clip: &Clip, target: Atom) -> Option<(Atom, Bytes)> {
    match clip.kind() {
        ClipKind::Image => (target == atoms.IMAGE_PNG).then(|| (target, clip.bytes().clone())),
        ClipKind::Text if target == u32::from(AtomEnum::STRING) => {
            latin(clip).map(|bytes| (target, bytes))
        }
        // Which encoding it is in is ours to say.
        ClipKind::Text if target == atoms.TEXT => Some((atoms.UTF8_STRING, clip.bytes().clone())),
        ClipKind::Text => [atoms.UTF8_STRING, atoms.TEXT_UTF8, atoms.TEXT_PLAIN]
            .contains(&target)
            .then(|| (target, clip.bytes().clone())),
    }
}

/// The text in Latin-1, where it can be written so.
fn latin(clip: &Clip) -> Option<Bytes> {
    let text = std::str::from_utf8(clip.bytes()).ok()?;
    text.chars()
        .map(|each| u8::try_from(u32::from(each)).ok())
        .collect::<Option<Vec<_>>>()
        .map(Into::into)
}
