//! Reads what a client sends: its control and input streams, its datagrams. Also writes control messages,
//! since their stream is the client's to open.

use std::sync::Arc;

use bytes::Bytes;
use media::DataChannel;
use media::webtransport::{AUDIO, Messages, StreamKind, TooLong, VOICE_LIMIT, datagram};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wtransport::error::ConnectionError;
use wtransport::{Connection, RecvStream, SendStream};

use super::connection::Shared;
use crate::flood::Flood;
use crate::sound::VoiceReader;

/// Streams that a client opens in all; a page opens two.
const STREAMS: u32 = 64;
/// Bytes that are read at once.
const READ: usize = 4 * 1024;

/// Why there is nothing more to read.
pub(super) enum End {
    /// The connection is over.
    Connection(ConnectionError),
    /// The client does what it must not, or something failed here.
    Broken(Broken),
}

/// What a client did wrong, or what failed here.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("the client sent {0}")]
    TooLong(#[from] TooLong),
    #[error("the client opened a stream of the unknown kind {0}")]
    UnknownStream(u8),
    #[error("the client opened a second stream of a kind")]
    SecondStream,
    #[error("the client opened more than {STREAMS} streams")]
    Streams,
    #[error("{0}")]
    Flood(#[from] Flood),
    #[error("a reader failed")]
    Failed,
    #[error("the writer failed")]
    Writer,
}

/// See the module.
pub(super) struct Readers {
    connection: Connection,
    shared: Arc<Shared>,
    /// To be taken by the first control stream.
    messages: Option<mpsc::Receiver<Bytes>>,
}

/// A stream that the client opened, with its other direction where it has one.
type Opened = (RecvStream, Option<SendStream>);

impl Readers {
    pub(super) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        messages: mpsc::Receiver<Bytes>,
    ) -> Self {
        Self { connection, shared, messages: Some(messages) }
    }

    pub(super) async fn run(mut self) -> End {
        let mut reading: JoinSet<Result<(), Broken>> = JoinSet::new();
        let mut beginning: JoinSet<Option<(u8, Opened)>> = JoinSet::new();
        reading.spawn(read_datagrams(self.connection.clone(), self.shared.clone()));
        let (mut opened, mut input) = (0, false);
        loop {
            let stream: Opened = tokio::select! {
                stream = self.connection.accept_uni() => match stream {
                    Ok(stream) => (stream, None),
                    Err(error) => return End::Connection(error),
                },
                stream = self.connection.accept_bi() => match stream {
                    Ok((send, receive)) => (receive, Some(send)),
                    Err(error) => return End::Connection(error),
                },
                Some(begun) = beginning.join_next() => {
                    // One that ended before its first byte is nothing.
                    let Ok(Some((first, stream))) = begun else { continue };
                    let begun = self.begin(first, stream, &mut input, &mut reading);
                    match begun {
                        Ok(()) => continue,
                        Err(broken) => return End::Broken(broken),
                    }
                }
                Some(read) = reading.join_next() => match read {
                    Ok(Ok(())) => continue,
                    Ok(Err(broken)) => return End::Broken(broken),
                    Err(_) => return End::Broken(Broken::Failed),
                },
            };
            opened += 1;
            if opened > STREAMS {
                return End::Broken(Broken::Streams);
            }
            beginning.spawn(begin(stream));
        }
    }

    /// Reads on by what the first byte says.
    fn begin(
        &mut self,
        first: u8,
        (receive, send): Opened,
        input: &mut bool,
        reading: &mut JoinSet<Result<(), Broken>>,
    ) -> Result<(), Broken> {
        let kind = match (first, send) {
            (0, Some(send)) => {
                let messages = self.messages.take().ok_or(Broken::SecondStream)?;
                reading.spawn(write_control(send, messages, self.shared.clone()));
                self.shared.control_is_open();
                StreamKind::Control
            }
            (1, None) => {
                if std::mem::replace(input, true) {
                    return Err(Broken::SecondStream);
                }
                self.shared.events.channel_open(DataChannel::Input);
                StreamKind::Input
            }
            (other, _) => return Err(Broken::UnknownStream(other)),
        };
        reading.spawn(read_messages(receive, kind, self.shared.clone()));
        Ok(())
    }
}

/// Waits for the first byte of a stream.
async fn begin((mut receive, send): Opened) -> Option<(u8, Opened)> {
    let mut first = [0];
    match receive.read(&mut first).await {
        Ok(Some(1)) => Some((first[0], (receive, send))),
        _ => None,
    }
}

async fn read_messages(
    mut stream: RecvStream,
    kind: StreamKind,
    shared: Arc<Shared>,
) -> Result<(), Broken> {
    let mut messages = Messages::new(kind);
    let mut buffer = [0; READ];
    // A stream that ends takes nothing with it: the client may have no more to say.
    while let Ok(Some(bytes)) = stream.read(&mut buffer).await {
        messages.push(&buffer[..bytes]);
        while let Some(message) = messages.pop()? {
            if !shared.passes(kind.channel())? {
                continue;
            }
            // With a full queue the stream is not read, and flow control holds the client back.
            shared.events.message(kind.channel(), message).await;
        }
    }
    Ok(())
}

async fn read_datagrams(connection: Connection, shared: Arc<Shared>) -> Result<(), Broken> {
    // The end of the connection shows where streams are accepted.
    let mut voice = VoiceReader::default();
    while let Ok(bytes) = connection.receive_datagram().await {
        if bytes.first() == Some(&AUDIO) {
            speak(&bytes, &mut voice, &shared)?;
            continue;
        }
        match datagram(&bytes) {
            Some((channel, message)) if shared.passes(channel)? => {
                let message = Bytes::copy_from_slice(message);
                if channel == DataChannel::Acks {
                    shared.acked(message, connection.quic_connection());
                } else {
                    shared.events.lossy_message(channel, message);
                }
            }
            Some(_) => {}
            None => shared.ignored()?,
        }
    }
    Ok(())
}

fn speak(bytes: &[u8], voice: &mut VoiceReader, shared: &Shared) -> Result<(), Flood> {
    if bytes.len() > VOICE_LIMIT {
        return shared.ignored();
    }
    if !shared.passes_voice()? {
        return Ok(());
    }
    match voice.take(&Bytes::copy_from_slice(bytes)) {
        Ok(packets) => packets.for_each(|packet| shared.events.voice(packet)),
        Err(_) => shared.ignored()?,
    }
    Ok(())
}

async fn write_control(
    mut stream: SendStream,
    mut messages: mpsc::Receiver<Bytes>,
    shared: Arc<Shared>,
) -> Result<(), Broken> {
    // What a session says goes before its pictures.
    stream.set_priority(i32::MAX);
    let mut out = Vec::new();
    while let Some(message) = messages.recv().await {
        out.clear();
        if !Messages::write(StreamKind::Control, &message, &mut out) {
            tracing::error!(bytes = message.len(), "a control message is too long");
            continue;
        }
        if stream.write_all(&out).await.is_err() {
            // Stopped by the client, or gone with the connection.
            break;
        }
    }
    // Where the client stopped it, nothing more is taken.
    drop(messages);
    // Its end says that nothing more comes; this is over when it was acknowledged.
    let _ = stream.finish().await;
    shared.all_said.notify_one();
    Ok(())
}
