//! A WebSocket of two channels, without a network.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::mpsc;
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use nearlight_transport::websocket::{Message, SocketError};

/// One side of a socket; little fits between the two.
pub struct End {
    pub to: mpsc::Sender<Message>,
    pub from: mpsc::Receiver<Message>,
}

impl End {
    /// The client's side and the server's.
    pub fn pair() -> (Self, Self) {
        let (to_client, from_server) = mpsc::channel(1);
        let (to_server, from_client) = mpsc::channel(1);
        (Self { to: to_server, from: from_server }, Self { to: to_client, from: from_client })
    }
}

fn gone(_: mpsc::SendError) -> SocketError {
    SocketError("the other side is gone".to_owned())
}

impl Stream for End {
    type Item = Result<Message, SocketError>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.from.poll_next_unpin(cx).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for End {
    type Error = SocketError;
    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.to.poll_ready_unpin(cx).map_err(gone)
    }
    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SocketError> {
        self.to.start_send_unpin(message).map_err(gone)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.to.poll_flush_unpin(cx).map_err(gone)
    }
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        self.to.poll_close_unpin(cx).map_err(gone)
    }
}
