//! WebSocket: the last resort, for clients that no UDP reaches. One connection a client, over sockets that whoever
//! speaks HTTP hands over as a [`Request`], which its owner refuses or accepts.
//!
//! ```text
//! encoder thread ── sink ─[two units]─► writer: pieces at the pace ─► socket ─► TCP
//! session task  ◄── Events ◄── writer (sent frames), reader (control, input, acknowledgements), supervisor
//! ```
//!
//! What messages hold is said in [`media::websocket`]. TCP gives up nothing and lets nothing overtake. So nothing is
//! given up here either: while the path takes less than the encoder makes, the writer waits for the socket, the two
//! places for units are taken, and frames are left out before the encoder. That holds only where the kernel keeps
//! little: whoever makes the socket should bound what it takes beyond what it sends (`TCP_NOTSENT_LOWAT`). What a
//! frame waited for the socket counts as its time on the path, since that is the queue that the session's rate
//! controller is to see (`ledger`).
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | encoder → writer | 2 units that the socket has not taken | refused; the encoder recovers |
//! | writer → socket | one message | the writer waits; a client that takes none for long is cut off |
//! | frames without acknowledgement | 256 | the oldest is forgotten |
//! | messages to the client | 64 | refused |
//! | sound | 8 packets | refused |
//! | messages to the session, reports | see `events` | the socket is not read, or they are dropped |

mod connection;
mod ledger;
mod reader;
mod sound;
mod writer;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Sink, SinkExt as _, Stream};
use media::{BitDepth, Bitrate, Clock, CloseReason, Codec};
use thiserror::Error;

pub use connection::WebSocket;

/// How long the last word may take to be taken, and to be answered.
const LAST_WORD: Duration = Duration::from_millis(300);
/// Longest reason of a close, in bytes: a control frame has 125, of which two are the code (RFC 6455 §5.5).
const LONGEST_REASON: usize = 123;

/// A message of a socket (RFC 6455 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Bytes.
    Binary(Bytes),
    /// Text, which nobody sends here.
    Text,
    /// Asks for the same bytes back, 125 at most. Those of the client are answered by the socket.
    Ping(Bytes),
    /// Gives the bytes of a ping back.
    Pong(Bytes),
    /// Nothing follows.
    Close {
        /// Why (RFC 6455 §7.4); 1005 where the client did not say.
        code: u16,
        /// In words, 123 bytes at most.
        reason: String,
    },
}

/// A socket failed, or its client broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SocketError(pub String);

/// A WebSocket whose handshake is done. Sending is over when the kernel has taken the message.
pub trait Socket:
    Stream<Item = Result<Message, SocketError>> + Sink<Message, Error = SocketError> + Send
{
}

impl<T> Socket for T where
    T: Stream<Item = Result<Message, SocketError>> + Sink<Message, Error = SocketError> + Send
{
}

/// Why a client sees its connection end; what is beside it says more (RFC 6455 §7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 1001: the server is done with it.
    Goodbye,
    /// 1008: the client does what it must not.
    Broken,
    /// 4000: it is not served.
    Refused,
}

impl Code {
    const fn number(self) -> u16 {
        match self {
            Self::Goodbye => 1_001,
            Self::Broken => 1_008,
            Self::Refused => 4_000,
        }
    }
}

/// Settings of one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionConfig {
    /// What video is sent as. Units of another codec are refused.
    pub codec: Codec,
    /// Bits of a sample of the pictures.
    pub depth: BitDepth,
    /// The pace at the start; `None` holds nothing back until
    /// [`set_pacing`](media::Transport::set_pacing) is called.
    pub pacing: Option<Bitrate>,
    /// Silence after which the path counts as interrupted.
    pub interrupted_after: Duration,
    /// Silence after which a client counts as gone, and the time that a client may take no bytes.
    pub unreachable_after: Duration,
}

impl ConnectionConfig {
    /// Interrupted after 3 s and gone after 10 s, as over WebTransport.
    pub const fn new(codec: Codec, depth: BitDepth) -> Self {
        Self {
            codec,
            depth,
            pacing: None,
            interrupted_after: Duration::from_secs(3),
            unreachable_after: Duration::from_secs(10),
        }
    }
}

/// A client that is through with its handshake. Dropping it closes the socket.
pub struct Request {
    socket: Pin<Box<dyn Socket>>,
}

impl Request {
    /// A client behind this socket, which may be served.
    pub fn new(socket: impl Socket + 'static) -> Self {
        Self { socket: Box::pin(socket) }
    }

    /// Says why it is not served.
    pub async fn refuse(mut self, why: &str) {
        say_goodbye(&mut self.socket, Code::Refused, why).await;
    }

    /// Serves it. [`Connected`](media::TransportEvent::Connected) is the first event of the connection. To be called
    /// within a runtime of tokio.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn accept(
        self,
        config: ConnectionConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<WebSocket, CloseReason> {
        WebSocket::start(self.socket, config, clock)
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}

/// Closes in order; a client that does not take the last word is left all the same.
async fn say_goodbye(
    socket: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    code: Code,
    why: &str,
) {
    let mut end = why.len().min(LONGEST_REASON);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    let close = Message::Close { code: code.number(), reason: why[..end].to_owned() };
    let said = tokio::time::timeout(LAST_WORD, socket.send(close)).await;
    if !matches!(said, Ok(Ok(()))) {
        tracing::debug!("a WebSocket client did not take its goodbye");
    }
}
