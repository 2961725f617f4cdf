//! The clipboard's thread: what the server says and what is asked for, one after the other.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xfixes::{self, ConnectionExt as _, SelectionEventMask};
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateWindowAux, EventMask, Property, Timestamp, Window, WindowClass,
};
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT, CURRENT_TIME, NONE};

use super::fetch::Fetch;
use super::serve::Serving;
use super::{Clip, ClipError, ClipLimits, Command, Reply, Tell};
use crate::display::link::{DisplayError, Link};

x11rb::atom_manager! {
    /// Names that clipboards use.
    pub(super) Atoms: AtomsCookie {
        CLIPBOARD,
        TARGETS,
        TIMESTAMP,
        INCR,
        TEXT,
        UTF8_STRING,
        TEXT_UTF8: b"text/plain;charset=utf-8",
        TEXT_PLAIN: b"text/plain",
        IMAGE_PNG: b"image/png",
        NEARLIGHT_CLIPBOARD,
    }
}

/// Events that are looked at in a row. Whoever makes more of them is not followed at any price: then there is a pause.
const MOST_EVENTS: usize = 256;
const PAUSE: Duration = Duration::from_millis(5);
/// Time between two words about what programs copy.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// The thread wakes up so often for nothing.
const LONG: Duration = Duration::from_secs(3_600);

/// Who owns the clipboard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Nobody,
    Us,
    Program,
}

/// See the module.
pub(super) struct Worker {
    link: Link,
    atoms: Atoms,
    limits: ClipLimits,
    tell: Tell,
    /// The window that owns what the player brought.
    own: Window,
    owner: Owner,
    /// What the player brought, and since when it is owned.
    offered: Option<(Clip, Timestamp)>,
    /// Whoever waits until it is, and until when.
    offering: Option<(Reply<()>, Instant)>,
    fetch: Option<Fetch>,
    serving: Serving,
    /// A program copied something that was not told of.
    news: bool,
    tells: Instant,
}

impl Worker {
    pub(super) fn open(link: Link, limits: ClipLimits, tell: Tell) -> Result<Self, DisplayError> {
        let atoms = Atoms::new(link.x())?.reply()?;
        let own = window(&link)?;
        let mask = SelectionEventMask::SET_SELECTION_OWNER
            | SelectionEventMask::SELECTION_WINDOW_DESTROY
            | SelectionEventMask::SELECTION_CLIENT_CLOSE;
        link.x().xfixes_select_selection_input(own, atoms.CLIPBOARD, mask)?.check()?;
        let owner = match link.x().get_selection_owner(atoms.CLIPBOARD)?.reply()?.owner {
            NONE => Owner::Nobody,
            _ => Owner::Program,
        };
        Ok(Self {
            link,
            atoms,
            limits,
            tell,
            own,
            owner,
            offered: None,
            offering: None,
            fetch: None,
            serving: Serving::default(),
            news: owner == Owner::Program,
            tells: Instant::now(),
        })
    }

    /// Tells whoever waits that nothing comes of it, and lets go of the connection.
    pub(super) fn give_up(self) {
        if let Some(fetch) = self.fetch {
            fetch.give_up();
        }
        if let Some((reply, _)) = self.offering {
            let _ = reply.try_send(Err(ClipError::Silent));
        }
    }

    /// Works until nobody wants it any more.
    ///
    /// # Errors
    /// The display does not answer, has ended, or speaks nonsense.
    pub(super) fn serve(
        &mut self,
        mailbox: &Receiver<Command>,
        wake: &OwnedFd,
    ) -> Result<(), DisplayError> {
        loop {
            let mut events = 0;
            while events < MOST_EVENTS
                && let Some(event) = self.link.x().poll_for_event()?
            {
                events += 1;
                self.event(&event)?;
            }
            let asked = match mailbox.try_recv() {
                Ok(command) => {
                    self.command(command)?;
                    true
                }
                Err(TryRecvError::Empty) => false,
                Err(TryRecvError::Disconnected) => return Ok(()),
            };
            let due = self.expire(Instant::now())?;
            self.link.x().flush()?;
            if events == MOST_EVENTS {
                std::thread::sleep(PAUSE);
            } else if events == 0 && !asked {
                // Nothing can have come in beside an answer.
                self.wait(wake, due)?;
            }
        }
    }

    fn wait(&self, wake: &OwnedFd, due: Option<Instant>) -> Result<(), DisplayError> {
        let left = due.map_or(LONG, |due| due.saturating_duration_since(Instant::now()));
        let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
        let mut fds =
            [PollFd::new(self.link.wire(), PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
        // What it counts says nothing more.
        let _ = rustix::io::read(wake, &mut [0; 8]);
        Ok(())
    }

    /// Gives up what has waited too long, and tells what is to be told; when to look again.
    fn expire(&mut self, now: Instant) -> Result<Option<Instant>, DisplayError> {
        if self.fetch.as_ref().is_some_and(|fetch| fetch.due() <= now) {
            self.fetched(Err(ClipError::Silent))?;
        }
        if let Some((reply, _)) = self.offering.take_if(|(_, due)| *due <= now) {
            let _ = reply.try_send(Err(ClipError::Silent));
        }
        self.serving.expire(&self.link, now)?;
        if self.news && self.tells <= now {
            self.news = false;
            self.tells = now + TELL_EVERY;
            (self.tell)();
        }
        let tells = self.news.then_some(self.tells);
        let offering = self.offering.as_ref().map(|(_, due)| *due);
        let fetch = self.fetch.as_ref().map(Fetch::due);
        Ok([tells, offering, fetch, self.serving.due()].into_iter().flatten().min())
    }

    fn command(&mut self, command: Command) -> Result<(), DisplayError> {
        match command {
            Command::Take(reply) => {
                let refused = match self.owner {
                    Owner::Program if self.fetch.is_none() => None,
                    Owner::Program => Some(ClipError::Busy),
                    Owner::Us | Owner::Nobody => Some(ClipError::Nothing),
                };
                match refused {
                    Some(error) => drop(reply.try_send(Err(error))),
                    None => {
                        let window = window(&self.link)?;
                        self.fetch = Some(Fetch::start(
                            &self.link,
                            &self.atoms,
                            (window, reply),
                            self.limits,
                        )?);
                    }
                }
            }
            Command::Offer(_, reply) if self.offering.is_some() => {
                let _ = reply.try_send(Err(ClipError::Busy));
            }
            Command::Offer(clip, reply) => {
                self.own(clip)?;
                self.offering = Some((reply, Instant::now() + self.limits.patience));
            }
        }
        Ok(())
    }

    /// Takes the clipboard. Since when it is owned, the server says.
    fn own(&mut self, clip: Clip) -> Result<(), DisplayError> {
        self.offered = Some((clip, CURRENT_TIME));
        self.link.x().set_selection_owner(self.own, self.atoms.CLIPBOARD, CURRENT_TIME)?;
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), DisplayError> {
        match event {
            Event::XfixesSelectionNotify(event) if event.selection == self.atoms.CLIPBOARD => {
                self.owned(event)?;
            }
            Event::SelectionRequest(event) => {
                let ours = event.owner == self.own && event.selection == self.atoms.CLIPBOARD;
                let offered = self.offered.as_ref().filter(|_| ours);
                let patience = self.limits.patience;
                self.serving.asked(&self.link, &self.atoms, event, offered, patience)?;
            }
            Event::SelectionNotify(event) => {
                if let Some(fetch) = &mut self.fetch
                    && let Some(result) = fetch.notified(&self.link, &self.atoms, event)?
                {
                    self.fetched(result)?;
                }
            }
            Event::PropertyNotify(event) if event.state == Property::NEW_VALUE => {
                if let Some(fetch) = &mut self.fetch
                    && let Some(result) = fetch.piece(&self.link, &self.atoms, event)?
                {
                    self.fetched(result)?;
                }
            }
            Event::PropertyNotify(event) => {
                self.serving.taken(&self.link, event, self.limits.patience)?;
            }
            Event::Error(error) => {
                // Windows of programs go at any time.
                tracing::trace!(request = error.request_name, "the display refused a request");
            }
            _ => {}
        }
        Ok(())
    }

    fn owned(&mut self, event: &xfixes::SelectionNotifyEvent) -> Result<(), DisplayError> {
        if event.owner == self.own {
            self.owner = Owner::Us;
            if let Some((_, since)) = &mut self.offered {
                *since = event.selection_timestamp;
            }
            if let Some((reply, _)) = self.offering.take() {
                let _ = reply.try_send(Ok(()));
            }
        } else {
            self.owner = if event.owner == NONE { Owner::Nobody } else { Owner::Program };
            self.news |= self.owner == Owner::Program;
            // What is about to be owned comes after this.
            if self.offering.is_none() {
                self.offered = None;
            }
        }
        if self.fetch.is_some() {
            self.fetched(Err(ClipError::Changed))?;
        }
        Ok(())
    }

    /// The end of what is being read, with its window, so that nothing of it comes later.
    fn fetched(&mut self, result: Result<Clip, ClipError>) -> Result<(), DisplayError> {
        match self.fetch.take() {
            Some(fetch) => fetch.end(&self.link, result),
            None => Ok(()),
        }
    }
}

/// A window that nobody sees, to have properties.
fn window(link: &Link) -> Result<Window, DisplayError> {
    let x = link.x();
    let window = x.generate_id()?;
    let watched = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    x.create_window(
        COPY_DEPTH_FROM_PARENT,
        window,
        link.root(),
        -1,
        -1,
        1,
        1,
        0,
        WindowClass::INPUT_ONLY,
        COPY_FROM_PARENT,
        &watched,
    )?;
    Ok(window)
}
