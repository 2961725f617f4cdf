//! The sessions of this node as HTTP sees them: a handle each, with a mailbox to the session's driver.
//!
//! The registry decides nothing. A driver that is gone, for whatever reason, reads as an ended session;
//! the last [`REMEMBERED`] ended ones are kept, so that a late client learns why.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::SessionId;
use session::reason::StoppedBy;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use transport::Decodes;
use transport::webtransport::Request;

use crate::wire;

/// Ended sessions that are remembered. The oldest is forgotten first.
const REMEMBERED: usize = 256;

/// What HTTP asks of a session's driver. The mailbox holds four; when it is full the request is refused
/// with a conflict, and the client asks again.
#[derive(Debug)]
pub enum Command {
    /// Answer this offer.
    Connect(String, oneshot::Sender<Result<Answer, ConnectError>>),
    /// Take this client, which decodes so much, in place of the one there is.
    ConnectWebTransport(Box<Request>, Decodes),
    /// Add candidates to the connection of this name.
    Trickle(String, String, oneshot::Sender<Result<(), TrickleError>>),
    /// End, because somebody wants it.
    Stop(StoppedBy),
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
    /// Why, once it ends.
    pub reason: Option<String>,
    /// The connection of now.
    pub connection: Option<String>,
    /// What the client says of it.
    pub transport: Option<wire::TransportChoice>,
}

/// The way to a driver: a mailbox, and what it shows. A driver that is gone, for whatever reason, reads as
/// one whose session is over.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
}

/// A session as HTTP sees it.
#[derive(Debug)]
pub struct Entry {
    /// Its id.
    pub id: SessionId,
    /// Catalogue id.
    pub app: String,
    /// Its picture.
    pub video: wire::Video,
    /// Its driver.
    pub handle: Handle,
}

/// The session was over already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlreadyEnded;

impl Handle {
    /// A way to the driver that reads `commands` and shows `status`.
    pub fn new(commands: mpsc::Sender<Command>, status: watch::Receiver<Status>) -> Self {
        Self { commands, status }
    }

    /// What it does now.
    pub fn status(&self) -> Status {
        let mut status = self.status.borrow().clone();
        if self.commands.is_closed() && status.state != wire::SessionState::Ended {
            // The driver is gone without a word: it panicked.
            status.state = wire::SessionState::Ended;
            status.reason.get_or_insert_with(|| "the session failed".into());
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
    pub async fn connect(&self, offer: String) -> Result<Answer, ConnectError> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(Command::Connect(offer, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ConnectError::Busy,
            mpsc::error::TrySendError::Closed(_) => ConnectError::Ended,
        })?;
        answer.await.unwrap_or(Err(ConnectError::Ended))
    }

    /// Passes a client of WebTransport on.
    ///
    /// # Errors
    /// Gives it back when the session is over or has too much to do.
    pub fn connect_webtransport(
        &self,
        request: Request,
        decodes: Decodes,
    ) -> Result<(), Box<Request>> {
        let command = Command::ConnectWebTransport(Box::new(request), decodes);
        self.commands.try_send(command).map_err(|error| match error.into_inner() {
            Command::ConnectWebTransport(request, _) => request,
            _ => unreachable!("what was sent comes back"),
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

/// All sessions, live and lately ended.
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<SessionId, Arc<Entry>>,
    order: VecDeque<SessionId>,
}

impl Registry {
    /// Adds a session; forgets the oldest ended ones beyond [`REMEMBERED`].
    pub fn insert(&self, entry: Arc<Entry>) {
        let mut inner = self.lock();
        inner.order.push_back(entry.id.clone());
        inner.entries.insert(entry.id.clone(), entry);
        let mut surplus = inner
            .entries
            .values()
            .filter(|entry| entry.handle.is_over())
            .count()
            .saturating_sub(REMEMBERED);
        if surplus == 0 {
            return;
        }
        let Inner { entries, order } = &mut *inner;
        order.retain(|id| {
            let forget = surplus > 0 && entries.get(id).is_some_and(|entry| entry.handle.is_over());
            if forget {
                entries.remove(id);
                surplus -= 1;
            }
            !forget
        });
    }

    /// The session of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.lock().entries.get(&SessionId::new(id)).cloned()
    }

    /// Sessions that have not ended, oldest first.
    pub fn live(&self) -> Vec<Arc<Entry>> {
        let inner = self.lock();
        let entries = inner.order.iter().filter_map(|id| inner.entries.get(id));
        entries.filter(|entry| !entry.handle.is_over()).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing between lock and unlock can leave the maps in disagreement.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> (Arc<Entry>, mpsc::Receiver<Command>, watch::Sender<Status>) {
        let (commands, mailbox) = mpsc::channel(4);
        let (show, status) = watch::channel(Status {
            state: wire::SessionState::Live,
            reason: None,
            connection: None,
            transport: None,
        });
        let video = wire::Video { width: 64, height: 64, fps: 30, max_kbps: 1000, hdr: false };
        let handle = Handle::new(commands, status);
        let entry = Entry { id: SessionId::new(name), app: "a".into(), video, handle };
        (Arc::new(entry), mailbox, show)
    }

    #[tokio::test]
    async fn a_driver_that_is_gone_reads_as_an_ended_session() {
        let (entry, mailbox, _show) = entry("one");
        assert!(!entry.handle.is_over());
        drop(mailbox);
        assert_eq!(entry.handle.status().reason.as_deref(), Some("the session failed"));
        assert!(matches!(entry.handle.connect(String::new()).await, Err(ConnectError::Ended)));
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
