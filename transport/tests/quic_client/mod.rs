//! A client of WebTransport, as a page is one: takes certificates by their hash, opens the control and
//! input streams, reads frames, sends datagrams.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; a failure is a panic")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use media::webtransport::{FrameHeader, Messages, StreamKind, datagram_byte};
use media::{Acks, DataChannel, FrameAck, FrameState};
use wtransport::error::ConnectingError;
use wtransport::quinn::{self, VarInt};
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, SendStream};

/// How long real I/O may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How a client behaves.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// The page's origin.
    pub origin: Option<String>,
    /// Bytes that it lets the server send before it reads; 0 for the stack's own.
    pub room: u32,
}

/// A client that is connected.
pub struct Client {
    pub connection: Connection,
    endpoint: Endpoint<wtransport::endpoint::endpoint_side::Client>,
    control: Option<Control>,
    input: Option<SendStream>,
}

struct Control {
    send: SendStream,
    receive: wtransport::RecvStream,
    messages: Messages,
}

/// What a frame's stream held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// All of it.
    Whole(FrameHeader, Bytes),
    /// The server gave it up.
    GivenUp,
}

/// The configuration of a client that takes these certificates and is at this address.
fn taking(hashes: &[[u8; 32]], local: IpAddr) -> ClientConfig {
    ClientConfig::builder()
        .with_bind_address(SocketAddr::new(local, 0))
        .with_server_certificate_hashes(hashes.iter().copied().map(Sha256Digest::new))
        .build()
}

/// Clients that shake hands of QUIC and know nothing of WebTransport.
pub fn quic(hashes: &[[u8; 32]]) -> quinn::Endpoint {
    let mut quic = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let config = taking(hashes, Ipv4Addr::LOCALHOST.into());
    quic.set_default_client_config(config.quic_config().clone());
    quic
}

/// A frame of which some came.
pub struct Begun {
    stream: wtransport::RecvStream,
    pub header: FrameHeader,
    pub unit: Vec<u8>,
}

impl Begun {
    /// All of it, once its stream is over.
    pub async fn rest(mut self) -> Came {
        let mut piece = [0; 4_096];
        loop {
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await;
            match read.expect("half a frame") {
                Ok(Some(bytes)) => self.unit.extend_from_slice(&piece[..bytes]),
                Ok(None) => break,
                Err(_) => return Came::GivenUp,
            }
        }
        // A length that was told is that of the stream.
        assert!([0, self.unit.len()].contains(&(self.header.bytes as usize)));
        Came::Whole(self.header, Bytes::from(self.unit))
    }
}

impl Client {
    /// Asks for `url`, which is on this machine.
    pub async fn connect(
        url: &str,
        hashes: &[[u8; 32]],
        manners: &Manners,
    ) -> Result<Self, ConnectingError> {
        let local: IpAddr = if url.contains("//[") {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        };
        let mut config = taking(hashes, local);
        if manners.room > 0 {
            let mut quic = quinn::TransportConfig::default();
            quic.receive_window(VarInt::from_u32(manners.room));
            config.quic_config_mut().transport_config(std::sync::Arc::new(quic));
        }
        let endpoint = Endpoint::client(config).unwrap();
        let mut options = wtransport::endpoint::ConnectOptions::builder(url);
        if let Some(origin) = &manners.origin {
            options = options.add_header("origin", origin);
        }
        let connecting = tokio::time::timeout(PATIENCE, endpoint.connect(options.build()));
        let connection = connecting.await.expect("neither connected nor refused")?;
        Ok(Self { connection, endpoint, control: None, input: None })
    }

    /// Opens the control stream.
    pub async fn open_control(&mut self) {
        let (mut send, receive) = self.connection.open_bi().await.unwrap().await.unwrap();
        send.write_all(&[StreamKind::Control.first_byte()]).await.unwrap();
        let messages = Messages::new(StreamKind::Control);
        self.control = Some(Control { send, receive, messages });
    }

    /// Sends on a channel.
    pub async fn send(&mut self, channel: DataChannel, body: &[u8]) {
        if let Some(first) = datagram_byte(channel) {
            self.connection.send_datagram([&[first][..], body].concat()).unwrap();
            return;
        }
        let mut out = Vec::new();
        let stream = if channel == DataChannel::Control {
            assert!(Messages::write(StreamKind::Control, body, &mut out));
            &mut self.control.as_mut().expect("the control stream is open").send
        } else {
            if self.input.is_none() {
                let mut input = self.connection.open_uni().await.unwrap().await.unwrap();
                input.write_all(&[StreamKind::Input.first_byte()]).await.unwrap();
                self.input = Some(input);
            }
            assert!(Messages::write(StreamKind::Input, body, &mut out));
            self.input.as_mut().unwrap()
        };
        stream.write_all(&out).await.unwrap();
    }

    /// The next control message.
    pub async fn said(&mut self) -> Bytes {
        let control = self.control.as_mut().expect("the control stream is open");
        let mut buffer = [0; 4_096];
        loop {
            if let Some(message) = control.messages.pop().unwrap() {
                return message;
            }
            let read = tokio::time::timeout(PATIENCE, control.receive.read(&mut buffer)).await;
            let bytes = read.expect("nothing was said").unwrap().expect("the stream ended");
            control.messages.push(&buffer[..bytes]);
        }
    }

    /// The next frame's stream, of which so many bytes of the unit came so far; none of one that was given up.
    pub async fn begun(&self, bytes: usize) -> Option<Begun> {
        let stream = tokio::time::timeout(PATIENCE, self.connection.accept_uni()).await;
        let mut stream = stream.expect("no frame came").unwrap();
        let begun = async {
            let mut header = [0; FrameHeader::LEN];
            stream.read_exact(&mut header).await.ok()?;
            let header = FrameHeader::decode(&header).unwrap();
            let mut unit = vec![0; bytes];
            stream.read_exact(&mut unit).await.ok()?;
            Some(Begun { stream, header, unit })
        };
        tokio::time::timeout(PATIENCE, begun).await.expect("too little of a frame")
    }

    /// What the next frame's stream holds.
    pub async fn came(&self) -> Came {
        match self.begun(0).await {
            Some(begun) => begun.rest().await,
            None => Came::GivenUp,
        }
    }

    /// The next frame that comes whole.
    pub async fn frame(&self) -> (FrameHeader, Bytes) {
        loop {
            if let Came::Whole(header, unit) = self.came().await {
                return (header, unit);
            }
        }
    }

    /// Says that these frames are decoded, which came at these times.
    pub async fn ack(&mut self, frames: &[(u32, u64)]) {
        let frames = frames.iter().map(|&(wire_timestamp, us)| FrameAck {
            wire_timestamp,
            state: FrameState::Decoded,
            first_us: us,
            last_us: us,
        });
        let mut out = Vec::new();
        Acks { decode_queue: Some(0), frames: frames.collect() }.encode(&mut out);
        self.send(DataChannel::Acks, &out).await;
    }

    /// Waits for the end and yields how it shows.
    pub async fn closed(&self) -> String {
        let closed = tokio::time::timeout(PATIENCE, self.connection.closed()).await;
        closed.expect("still connected").to_string()
    }

    /// Says goodbye and waits until that has left.
    pub async fn leave(self) {
        self.connection.close(wtransport::VarInt::from_u32(0), b"bye");
        self.endpoint.wait_idle().await;
    }
}
