//! A client that is through with the handshake and asks for a path.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use media::{Clock, CloseReason};
use wtransport::endpoint::SessionRequest;

use super::admission::Admission;
use super::config::{ConnectionConfig, EndpointConfig};
use super::connection::WebTransport;
use super::socket::Listeners;

/// How long an answer may take to be taken by a client that grants no room for it.
const ANSWER: Duration = Duration::from_secs(2);

/// Why a request is refused; what a page sees of it is only that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 403: another origin, or a ticket that is no good.
    Forbidden,
    /// 404: there is no such session.
    NotFound,
    /// 429: there are too many.
    TooMany,
}

/// See the module. Dropping it closes the connection.
pub struct Request {
    session: SessionRequest,
    admission: Admission,
    listeners: Arc<Listeners>,
    config: EndpointConfig,
}

impl Request {
    pub(super) fn new(
        session: SessionRequest,
        admission: Admission,
        listeners: Arc<Listeners>,
        config: EndpointConfig,
    ) -> Self {
        Self { session, admission, listeners, config }
    }

    /// The path with its query; it may hold a secret.
    pub fn path(&self) -> &str {
        self.session.path()
    }

    /// Host and port that the client reached us by.
    pub fn authority(&self) -> &str {
        self.session.authority()
    }

    /// The origin of the page; none for a client that is no browser.
    pub fn origin(&self) -> Option<&str> {
        self.session.origin()
    }

    /// Where it comes from.
    pub fn remote_address(&self) -> SocketAddr {
        self.session.remote_address()
    }

    /// Says no. The connection closes with it.
    pub async fn refuse(self, why: Refusal) {
        let answer = async {
            match why {
                Refusal::Forbidden => self.session.forbidden().await,
                Refusal::NotFound => self.session.not_found().await,
                Refusal::TooMany => self.session.too_many_requests().await,
            }
        };
        // A client that does not take the answer is refused all the same.
        if tokio::time::timeout(ANSWER, answer).await.is_err() {
            tracing::debug!("a refusal was not taken");
        }
    }

    /// Says yes. [`Connected`](media::TransportEvent::Connected) is the first event of the connection.
    ///
    /// # Errors
    /// When the client is gone, or does not take the answer.
    pub async fn accept(
        self,
        config: ConnectionConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<WebTransport, CloseReason> {
        let Self { session, admission, listeners, config: endpoint } = self;
        let connection = match tokio::time::timeout(ANSWER, session.accept()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(CloseReason::Failed(error.to_string())),
            Err(_) => return Err(CloseReason::Unreachable),
        };
        WebTransport::start(connection, config, endpoint, clock, listeners, admission)
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path holds a ticket.
        f.debug_struct("Request").field("from", &self.remote_address()).finish_non_exhaustive()
    }
}
