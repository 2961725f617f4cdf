//! The sessions of this node, and those who watch them, as HTTP sees them: a handle each, with a mailbox to
//! the session's driver or the viewer's task.
//!
//! The registry decides nothing. A driver that is gone, for whatever reason, reads as an ended session;
//! the last [`REMEMBERED`] ended ones are kept, so that a late client learns why. So it is with viewers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use media::{MediaTime, SessionId, ViewerId};
use session::invitations::InvitationId;
use session::reason::{EndReason, StoppedBy};
use session::{PermitNumber, Role};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use transport::Decodes;

use crate::apps::{App, Told, VideoMode};
use crate::booking::Booking;
use crate::caller::Caller;
use crate::drive::{Audience, ViewerCounts};
use crate::saves::Keep;
use crate::sharing::Share;
use crate::wire;

/// Ended sessions that are remembered, and as many viewers. The oldest is forgotten first.
const REMEMBERED: usize = 256;
/// WebSockets of a session, or of a viewer, at once. One is served; others are about to be, or end, which takes a moment.
const SOCKETS: usize = 8;

/// What HTTP asks of a session's driver. The mailbox holds four; when it is full the request is refused
/// with a conflict, and the client asks again.
#[derive(Debug)]
pub enum Command {
    /// Answer this offer, which may take part in a race.
    Connect(String, Option<u32>, oneshot::Sender<Result<Answer, ConnectError>>),
    /// Take this client in place of the one there is.
    Accept(Caller, Asked),
    /// Add candidates to the connection of this name.
    Trickle(String, String, oneshot::Sender<Result<(), TrickleError>>),
    /// End, because somebody wants it.
    Stop(StoppedBy),
}

/// What a client that needs no offer says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// What it decodes.
    pub decodes: Decodes,
    /// The race that it takes part in: the first of a race that is connected stays, and the rest are refused.
    pub race: Option<u32>,
}

/// The answer to an offer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Names the connection in addresses and entity tags.
    pub connection: String,
    /// SDP.
    pub sdp: String,
}

/// Why an offer is not answered.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The session is over.
    #[error("the session is over")]
    Ended,
    /// Another offer is being answered.
    #[error("another offer is being answered")]
    Busy,
    /// The client is connected by another connection of the same race.
    #[error("another connection of this client was quicker")]
    Outrun,
    /// It is not SDP.
    #[error("{0}")]
    Malformed(String),
    /// It has no codec that we send.
    #[error("{0}")]
    Unusable(String),
    /// Our side failed.
    #[error("{0}")]
    Failed(String),
}

/// Why candidates are not taken.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum TrickleError {
    /// The session is over.
    #[error("the session is over")]
    Ended,
    /// They are for another connection.
    #[error("they are for another connection")]
    OtherConnection,
    /// They cannot be read.
    #[error("{0}")]
    Malformed(String),
}

/// What a driver shows of its session.
#[derive(Debug, Clone)]
pub struct Status {
    /// Where it is in its life.
    pub state: wire::SessionState,
    /// What its start waits for.
    pub starting: Option<wire::StartStep>,
    /// Why, once it ends.
    pub over: Option<Over>,
    /// The newest connection, which may be about to take over.
    pub connection: Option<String>,
    /// What the client says of that of now.
    pub transport: Option<wire::TransportChoice>,
}

/// Why a session, or a viewer's part in it, is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// For people.
    pub reason: String,
    /// The same for programs, where that is known: [`EndReason::code`].
    pub code: Option<&'static str>,
}

impl From<&EndReason> for Over {
    fn from(reason: &EndReason) -> Self {
        Self { reason: reason.to_string(), code: Some(reason.code()) }
    }
}

impl From<String> for Over {
    fn from(reason: String) -> Self {
        Self { reason, code: None }
    }
}

impl From<&str> for Over {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

/// The way to a driver: a mailbox, and what it shows. A driver that is gone, for whatever reason, reads as
/// one whose session is over.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    sockets: Arc<Semaphore>,
}

/// A session as HTTP sees it.
#[derive(Debug)]
pub struct Entry {
    /// Its id.
    pub id: SessionId,
    /// Catalogue id.
    pub app: String,
    /// What is played, whatever the catalogue has under that id by now; gone with its session.
    pub(crate) playing: Weak<dyn App>,
    /// Its picture.
    pub video: wire::Video,
    /// The same for encoders, as it began.
    pub mode: VideoMode,
    /// What its screen is booked for; none where that keeps its size.
    pub booking: Option<Arc<Booking>>,
    /// What is kept of it.
    pub keep: Option<Arc<Keep>>,
    /// What it shares with its player's machine.
    pub share: Option<Arc<Share>>,
    /// Its place in the books.
    pub place: PermitNumber,
    /// When it was let in.
    pub since: MediaTime,
    /// How it began, once that is known.
    pub told: Arc<Told>,
    /// Those who watch.
    pub(crate) audience: Arc<Audience>,
    /// Its driver.
    pub handle: Handle,
}

impl Entry {
    /// The pictures that the books count.
    pub(crate) fn booked(&self) -> VideoMode {
        let size = self.booking.as_ref().map_or(self.mode.size, |booking| booking.booked());
        VideoMode { size, ..self.mode }
    }
}

/// Somebody who joined a session, as HTTP sees it.
#[derive(Debug)]
pub struct ViewerEntry {
    /// Its id.
    pub id: ViewerId,
    /// Its number within the node.
    pub who: u64,
    /// What it may do.
    pub role: Role,
    /// What it came by.
    pub invitation: InvitationId,
    /// What it watches.
    pub session: SessionId,
    pub(crate) counts: Arc<ViewerCounts>,
    /// Its task.
    pub handle: Handle,
}

/// What a [`Book`] holds.
trait Held {
    type Id: Clone + Eq + std::hash::Hash;
    fn id(&self) -> &Self::Id;
    fn handle(&self) -> &Handle;
}

impl Held for Entry {
    type Id = SessionId;
    fn id(&self) -> &SessionId {
        &self.id
    }
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Held for ViewerEntry {
    type Id = ViewerId;
    fn id(&self) -> &ViewerId {
        &self.id
    }
    fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// The session was over already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlreadyEnded;

impl Handle {
    /// A way to the driver that reads `commands` and shows `status`.
    pub fn new(commands: mpsc::Sender<Command>, status: watch::Receiver<Status>) -> Self {
        Self { commands, status, sockets: Arc::new(Semaphore::new(SOCKETS)) }
    }

    /// A place for one more WebSocket, to be held while it is open; none where there are eight.
    pub fn socket(&self) -> Option<OwnedSemaphorePermit> {
        self.sockets.clone().try_acquire_owned().ok()
    }

    /// What it does now.
    pub fn status(&self) -> Status {
        let mut status = self.status.borrow().clone();
        if self.commands.is_closed() && status.state != wire::SessionState::Ended {
            // The driver is gone without a word: it panicked.
            status.state = wire::SessionState::Ended;
            status.over.get_or_insert_with(|| "the session failed".into());
        }
        status
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.status().state == wire::SessionState::Ended
    }

    /// Answers an offer.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self, offer: String, race: Option<u32>) -> Result<Answer, ConnectError> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(Command::Connect(offer, race, reply)).map_err(
            |error| match error {
                mpsc::error::TrySendError::Full(_) => ConnectError::Busy,
                mpsc::error::TrySendError::Closed(_) => ConnectError::Ended,
            },
        )?;
        answer.await.unwrap_or(Err(ConnectError::Ended))
    }

    /// Passes a client on that has shown its ticket.
    ///
    /// # Errors
    /// Gives it back when the session is over or has too much to do.
    pub fn take(&self, caller: Caller, asked: Asked) -> Result<(), Caller> {
        self.commands.try_send(Command::Accept(caller, asked)).map_err(|error| {
            match error.into_inner() {
                Command::Accept(caller, _) => caller,
                _ => unreachable!("what was sent comes back"),
            }
        })
    }

    /// Adds candidates.
    ///
    /// # Errors
    /// See [`TrickleError`].
    pub async fn trickle(&self, connection: String, fragment: String) -> Result<(), TrickleError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::Trickle(connection, fragment, reply))
            .await
            .map_err(|_| TrickleError::Ended)?;
        answer.await.unwrap_or(Err(TrickleError::Ended))
    }

    /// Ends it and waits until everything of it is freed.
    ///
    /// # Errors
    /// [`AlreadyEnded`] when it was over before.
    pub async fn stop(&self, by: StoppedBy) -> Result<(), AlreadyEnded> {
        self.commands.send(Command::Stop(by)).await.map_err(|_| AlreadyEnded)?;
        self.commands.closed().await;
        Ok(())
    }
}

/// Things by their id, live and lately ended.
#[derive(Debug)]
struct Book<T: Held> {
    entries: HashMap<T::Id, Arc<T>>,
    order: VecDeque<T::Id>,
}

impl<T: Held> Default for Book<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T: Held> Book<T> {
    /// Adds one; forgets the oldest ended ones beyond [`REMEMBERED`].
    fn insert(&mut self, entry: Arc<T>) {
        self.order.push_back(entry.id().clone());
        self.entries.insert(entry.id().clone(), entry);
        let is_over = |entry: &Arc<T>| entry.handle().is_over();
        let ended = self.entries.values().filter(|entry| is_over(entry)).count();
        let mut surplus = ended.saturating_sub(REMEMBERED);
        if surplus == 0 {
            return;
        }
        let Self { entries, order } = self;
        order.retain(|id| {
            let forget = surplus > 0 && entries.get(id).is_some_and(is_over);
            if forget {
                entries.remove(id);
                surplus -= 1;
            }
            !forget
        });
    }

    /// Those that have not ended, oldest first.
    fn live(&self) -> impl Iterator<Item = &Arc<T>> {
        let entries = self.order.iter().filter_map(|id| self.entries.get(id));
        entries.filter(|entry| !entry.handle().is_over())
    }
}

/// All sessions and viewers, live and lately ended.
#[derive(Debug, Default)]
pub struct Registry {
    sessions: Mutex<Book<Entry>>,
    viewers: Mutex<Book<ViewerEntry>>,
}

impl Registry {
    /// Adds a session.
    pub fn insert(&self, entry: Arc<Entry>) {
        lock(&self.sessions).insert(entry);
    }

    /// The session of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Entry>> {
        lock(&self.sessions).entries.get(&SessionId::new(id)).cloned()
    }

    /// Sessions that have not ended, oldest first.
    pub fn live(&self) -> Vec<Arc<Entry>> {
        lock(&self.sessions).live().cloned().collect()
    }

    /// Adds a viewer.
    pub fn insert_viewer(&self, entry: Arc<ViewerEntry>) {
        lock(&self.viewers).insert(entry);
    }

    /// The viewer of this id.
    pub fn find_viewer(&self, id: &str) -> Option<Arc<ViewerEntry>> {
        lock(&self.viewers).entries.get(&ViewerId::new(id)).cloned()
    }

    /// Viewers of a session that have not gone, oldest first.
    pub fn viewers_of(&self, session: &SessionId) -> Vec<Arc<ViewerEntry>> {
        let book = lock(&self.viewers);
        book.live().filter(|viewer| viewer.session == *session).cloned().collect()
    }
}

fn lock<T: Held>(book: &Mutex<Book<T>>) -> MutexGuard<'_, Book<T>> {
    // Nothing between lock and unlock can leave the maps in disagreement.
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{FrameRate, Size};

    fn entry(name: &str) -> (Arc<Entry>, mpsc::Receiver<Command>, watch::Sender<Status>) {
        let (commands, mailbox) = mpsc::channel(4);
        let (show, status) = watch::channel(Status {
            state: wire::SessionState::Live,
            starting: None,
            over: None,
            connection: None,
            transport: None,
        });
        let video = wire::Video { width: 64, height: 64, fps: 30, max_kbps: 1000, hdr: false };
        let handle = Handle::new(commands, status);
        let mode =
            VideoMode { size: Size::new(64, 64), dpi: VideoMode::DPI, rate: FrameRate::fps(30) };
        let audience = crate::drive::audience_of_nobody(mode.size);
        let id = SessionId::new(name);
        let (place, since, keep) = (PermitNumber::default(), MediaTime::ZERO, None);
        let told = Arc::default();
        let entry = Entry {
            id,
            app: "a".into(),
            playing: Weak::<crate::sync_test::SyncTest>::new(),
            video,
            mode,
            booking: None,
            keep,
            share: None,
            place,
            since,
            told,
            audience,
            handle,
        };
        (Arc::new(entry), mailbox, show)
    }

    #[tokio::test]
    async fn a_driver_that_is_gone_reads_as_an_ended_session() {
        let (entry, mailbox, _show) = entry("one");
        assert!(!entry.handle.is_over());
        drop(mailbox);
        assert_eq!(entry.handle.status().over, Some("the session failed".into()));
        assert!(matches!(
            entry.handle.connect(String::new(), None).await,
            Err(ConnectError::Ended)
        ));
        assert_eq!(entry.handle.stop(StoppedBy::Client).await, Err(AlreadyEnded));
    }

    #[test]
    fn only_the_oldest_ended_sessions_are_forgotten() {
        let registry = Registry::default();
        let mut kept = Vec::new();
        for number in 0..REMEMBERED + 10 {
            let (entry, mailbox, show) = entry(&number.to_string());
            registry.insert(entry);
            if number == 3 {
                kept.push((mailbox, show));
            }
        }
        assert!(registry.find("0").is_none());
        assert!(registry.find("3").is_some(), "a live session is never forgotten");
        assert_eq!(registry.live().len(), 1);
        assert!(registry.find(&(REMEMBERED + 9).to_string()).is_some());
    }
}
