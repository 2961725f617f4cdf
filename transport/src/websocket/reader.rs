//! Reads what a client sends.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use media::websocket::{Message as Said, MessageError, message};
use media::{Acks, CloseReason, DataChannel, TransportEvent};
use thiserror::Error;

use super::connection::Shared;
use super::{Message, SocketError};
use crate::flood::Flood;
use crate::sound::VoiceReader;

/// Why a connection is over, but for this side's wish.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it, or is gone without a word.
    Closed,
    /// Nothing was heard of the client for too long.
    Silent,
    /// The client does what it must not, or something failed.
    Broken(Broken),
}

/// What a client did wrong, or what failed.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("the client sent {0}")]
    Message(#[from] MessageError),
    #[error("the client sent text")]
    Text,
    #[error("{0}")]
    Flood(#[from] Flood),
    #[error("the client takes nothing")]
    TakesNothing,
    #[error("{0}")]
    Socket(#[from] SocketError),
}

impl<E: Into<Broken>> From<E> for End {
    fn from(why: E) -> Self {
        Self::Broken(why.into())
    }
}

impl End {
    pub(super) fn reason(&self) -> CloseReason {
        match self {
            Self::Closed => CloseReason::Remote,
            Self::Silent => CloseReason::Unreachable,
            Self::Broken(Broken::Flood(flood)) => CloseReason::Flood(flood.to_string()),
            Self::Broken(broken) => CloseReason::Failed(broken.to_string()),
        }
    }
}

/// Reads until nothing more can come.
pub(super) async fn read(
    mut socket: impl Stream<Item = Result<Message, SocketError>> + Unpin,
    shared: &Arc<Shared>,
) -> End {
    let mut voice = VoiceReader::default();
    loop {
        let message = match socket.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return error.into(),
            None => return End::Closed,
        };
        shared.heard();
        let taken = match message {
            Message::Binary(bytes) => take(bytes, &mut voice, shared).await,
            Message::Text => Err(Broken::Text),
            Message::Pong(answer) => {
                let now = shared.clock.now();
                shared.ledger.pong(&answer, now);
                // Nobody asked for most of many.
                shared.limits.stray(now).map_err(Broken::from)
            }
            // Answered by the socket.
            Message::Ping(_) => shared.limits.stray(shared.clock.now()).map_err(Broken::from),
            Message::Close { .. } => return End::Closed,
        };
        if let Err(broken) = taken {
            return broken.into();
        }
    }
}

/// Reads on for nothing until the client has closed it, too.
pub(super) async fn discard(mut socket: impl Stream<Item = Result<Message, SocketError>> + Unpin) {
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Close { .. }) {
            return;
        }
    }
}

async fn take(bytes: Bytes, voice: &mut VoiceReader, shared: &Arc<Shared>) -> Result<(), Broken> {
    let (channel, body) = match message(bytes)? {
        Said::Data(channel, body) => (channel, body),
        Said::Voice(_) if !shared.limits.passes_voice(shared.clock.now()) => {
            shared.events.refused_message();
            shared.limits.stray(shared.clock.now())?;
            return Ok(());
        }
        Said::Voice(datagram) => {
            let packets = voice.take(&datagram).map_err(MessageError::from)?;
            packets.for_each(|packet| shared.events.voice(packet));
            return Ok(());
        }
    };
    if !shared.limits.passes(channel, shared.clock.now())? {
        shared.events.refused_message();
        return Ok(());
    }
    match channel {
        // With a full queue the socket is not read, and TCP holds the client back.
        DataChannel::Control | DataChannel::Input => shared.events.message(channel, body).await,
        DataChannel::Motion => shared.events.lossy_message(channel, body),
        DataChannel::Acks => acked(body, shared),
    }
    Ok(())
}

/// What became of frames; what that says of the path goes to the events, and so does the message.
fn acked(body: Bytes, shared: &Arc<Shared>) {
    let now = shared.clock.now();
    // Whoever reads the message counts one that is malformed.
    if let Ok(acks) = Acks::decode(&body)
        && let Some(report) = shared.ledger.acked(&acks, now)
    {
        shared.events.report(TransportEvent::Path(report));
    }
    shared.events.lossy_message(DataChannel::Acks, body);
}
