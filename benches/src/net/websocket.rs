//! WebSocket: the transport over a connection of TCP as the node makes them, and a client that reads pieces as the page
//! does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use media::websocket::{Piece, first_byte};
use media::webtransport::FrameHeader;
use media::{BitDepth, Clock, Codec, DataChannel, MediaTime};
use socket2::SockRef;
use testkit::net::Relay;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Wire};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async};
use transport::websocket::{ConnectionConfig, Message, Request, Socket, SocketError};

use super::args::{Case, Rival};
use super::column::{Client, Column, Pair};
use super::encoder::Label;
use super::viewer::Whole;

/// Networks that lose nothing but by a full queue: the relay's connection cannot send again what is lost.
const LOSSLESS: [&str; 8] =
    ["steady", "slow", "fibre", "cable", "wifi", "drive-4g", "step", "step-deep"];
/// The page's patience with frames that wait for others.
const PATIENCE: Duration = Duration::from_millis(400);
/// What the kernel takes beyond what it sends, as the node has it.
const UNSENT: u32 = 16 * 1_024;

/// See the module.
pub(crate) struct WebSocketColumn;

#[async_trait]
impl Column for WebSocketColumn {
    fn name(&self) -> &'static str {
        "socket"
    }

    fn carries(&self, case: &Case) -> bool {
        case.rival == Rival::None && LOSSLESS.contains(&case.scenario.name)
    }

    async fn connect(&self, relay: &mut Relay, clock: Arc<dyn Clock>) -> anyhow::Result<Pair> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let front = relay.stream(listener.local_addr()?)?;
        let connected = async {
            let stream = TcpStream::connect(front).await?;
            stream.set_nodelay(true)?;
            let (socket, _) = client_async(format!("ws://{front}/"), stream).await?;
            Ok::<_, anyhow::Error>(socket)
        };
        let accepted = async {
            let (stream, _) = listener.accept().await?;
            let socket = SockRef::from(&stream);
            socket.set_tcp_nodelay(true)?;
            socket.set_tcp_notsent_lowat(UNSENT)?;
            // Each message goes to the kernel by itself.
            let config = WebSocketConfig::default().write_buffer_size(0);
            Ok::<_, anyhow::Error>(accept_async_with_config(stream, Some(config)).await?)
        };
        let (client, server) = tokio::join!(connected, accepted);
        let (client, request) = (client?, Request::new(adapt(server?)));
        let config = ConnectionConfig::new(Codec::H264, BitDepth::Eight);
        let server = request.accept(config, clock.clone())?;
        let client = Receiver { socket: client, clock, open: None };
        Ok(Pair { server: Box::new(server), client: Box::new(client) })
    }
}

/// A socket as the transport knows it.
fn adapt(socket: WebSocketStream<TcpStream>) -> impl Socket {
    let failed = |error: Error| SocketError(error.to_string());
    let sends = socket.sink_map_err(failed).with(|message| {
        std::future::ready(Ok::<_, SocketError>(match message {
            Message::Binary(bytes) => Wire::Binary(bytes),
            Message::Ping(bytes) => Wire::Ping(bytes),
            Message::Pong(bytes) => Wire::Pong(bytes),
            Message::Close { code, reason } => {
                Wire::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
            }
            Message::Text => return std::future::ready(Err(SocketError("text".to_owned()))),
        }))
    });
    sends.map(move |message| {
        Ok(match message.map_err(failed)? {
            Wire::Binary(bytes) => Message::Binary(bytes),
            Wire::Ping(bytes) => Message::Ping(bytes),
            Wire::Pong(bytes) => Message::Pong(bytes),
            Wire::Text(_) | Wire::Frame(_) => Message::Text,
            Wire::Close(_) => Message::Close { code: 1_005, reason: String::new() },
        })
    })
}

struct Receiver {
    socket: WebSocketStream<TcpStream>,
    clock: Arc<dyn Clock>,
    /// The frame that is coming, and when its first piece came.
    open: Option<(FrameHeader, MediaTime, Vec<u8>)>,
}

impl Receiver {
    fn piece(&mut self, message: &[u8]) -> Option<Whole> {
        // Padding, messages and sound are none.
        let (piece, data) = Piece::decode(message)?;
        let now = self.clock.now();
        if let Some(header) = piece.header {
            self.open = Some((header, now, Vec::with_capacity(header.bytes as usize)));
        }
        self.open.as_mut()?.2.extend(data);
        let (header, first, unit) = self.open.take_if(|_| piece.last)?;
        let label = Label::of_unit(&unit)?;
        Some(Whole { label, wire_timestamp: header.wire_timestamp, first, last: now })
    }

    async fn say(&mut self, channel: DataChannel, body: &[u8]) {
        let message = [&[first_byte(channel)][..], body].concat();
        // That it is over shows where it is read.
        let _ = self.socket.send(Wire::Binary(message.into())).await;
    }
}

#[async_trait]
impl Client for Receiver {
    async fn whole(&mut self) -> anyhow::Result<Whole> {
        loop {
            let message = self.socket.next().await.context("the client's side ended")?;
            if let Wire::Binary(bytes) = message.context("the client's side ended")?
                && let Some(whole) = self.piece(&bytes)
            {
                return Ok(whole);
            }
        }
    }

    /// TCP asks by itself.
    async fn tick(&mut self) {}

    /// Nothing overtakes.
    fn decoded(&mut self, _whole: &Whole) {}

    async fn acknowledge(&mut self, acks: Bytes) {
        self.say(DataChannel::Acks, &acks).await;
    }

    async fn ask_keyframe(&mut self) {
        self.say(DataChannel::Control, br#"{"type":"keyframe"}"#).await;
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}
