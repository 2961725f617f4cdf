//! A renter over the sockets of a node, in this process or another: proves himself, starts a session, plays it by WebSocket
//! without decoding, acknowledges what he is asked to, and says when the node is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use futures::{SinkExt as _, StreamExt as _};
use keys::{Pair, from_hex, to_hex};
use ledger::Export;
use media::websocket::{Piece, first_byte};
use media::webtransport::FrameHeader;
use media::{Acks, DataChannel, FrameAck, FrameState};
use serde_json::{Value, json};
use session::receipts::{ChainId, acknowledgement, hash};
use session::rental::RentId;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long a node may take for an answer that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a renter gets nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenterError {
    /// Nobody answers, or not to the end.
    #[error("the node is gone: {0}")]
    Gone(String),
    /// The status and what the node says.
    #[error("the node refuses with {0}: {1}")]
    Refused(u16, Value),
}

impl RenterError {
    #[allow(clippy::needless_pass_by_value, reason = "as it comes with a result")]
    fn gone(error: impl ToString) -> Self {
        Self::Gone(error.to_string())
    }
}

/// Somebody who rents a node's machine.
#[derive(Clone, Debug)]
pub struct Renter {
    /// Where the node is.
    pub node: SocketAddr,
    pair: Arc<Pair>,
    /// Signs slices.
    key: SigningKey,
}

/// A session that he started.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its id.
    pub id: String,
    token: String,
}

impl Renter {
    /// With this wallet, at the node at this address.
    pub fn new(node: SocketAddr, pair: Arc<Pair>) -> Self {
        Self { node, pair, key: SigningKey::from_bytes(&[9; 32]) }
    }

    /// Asks the node; `headers` are lines without their ends.
    ///
    /// # Errors
    /// See [`RenterError`]; so of everything else.
    pub async fn ask(
        &self,
        line: &str,
        headers: &[String],
        body: &str,
    ) -> Result<Value, RenterError> {
        let asked = tokio::time::timeout(PATIENCE, ask(self.node, line, headers, body));
        asked.await.map_err(RenterError::gone)?
    }

    /// Proves that the order is his; yields a bearer token.
    ///
    /// # Errors
    /// See [`RenterError`].
    pub async fn bearer(&self, order: RentId) -> Result<String, RenterError> {
        let account = to_hex(&self.pair.account().0);
        let wish = json!({ "order": order.to_string(), "account": account }).to_string();
        let given = self.ask("POST /api/v1/lease/challenges", &[], &wish).await?;
        let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
        let (text, body) = (text("text"), text("body"));
        let signature = self.pair.sign(text.as_bytes()).map_err(RenterError::gone)?;
        let proof = [
            format!("nearlight-proof: {}", BASE64_STANDARD.encode(&text)),
            format!("nearlight-signature: {}", to_hex(&signature.tagged())),
        ];
        let given = self.ask("POST /api/v1/lease/bearers", &proof, &body).await?;
        Ok(given["token"].as_str().unwrap_or_default().to_owned())
    }

    /// Starts a session.
    ///
    /// # Errors
    /// See [`RenterError`].
    pub async fn start(&self, bearer: &str, wish: &Value) -> Result<Joined, RenterError> {
        let mut wish = wish.clone();
        let public = to_hex(self.key.verifying_key().as_bytes());
        wish["player_key"] = json!({ "kind": "ed25519", "key": public });
        let (by, wish) = ([authorization(bearer)], wish.to_string());
        let given = self.ask("POST /api/v1/sessions", &by, &wish).await?;
        let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
        Ok(Joined { id: text("id"), token: text("token") })
    }

    /// Connects to a session, anew where he was connected before.
    ///
    /// # Errors
    /// See [`RenterError`].
    pub async fn play(&self, session: &Joined) -> Result<Player, RenterError> {
        let line = format!("POST /api/v1/sessions/{}/socket", session.id);
        let given = self.ask(&line, &[authorization(&session.token)], "").await?;
        let url = given["url"].as_str().unwrap_or_default();
        // By the node's own name for itself, which nothing here resolves.
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let url = format!("ws://{}{}&decodes=H264", self.node, path.unwrap_or_default());
        let shaken = async {
            let stream = TcpStream::connect(self.node).await.map_err(RenterError::gone)?;
            stream.set_nodelay(true).map_err(RenterError::gone)?;
            client_async(url, stream).await.map_err(RenterError::gone)
        };
        let shaken = tokio::time::timeout(PATIENCE, shaken).await;
        let (socket, _) = shaken.map_err(RenterError::gone)??;
        Ok(Player { socket, key: self.key.clone(), open: None, began: Instant::now() })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// See [`RenterError`].
    pub async fn end(&self, session: &Joined) -> Result<(), RenterError> {
        let line = format!("DELETE /api/v1/sessions/{}", session.id);
        self.ask(&line, &[authorization(&session.token)], "").await.map(drop)
    }

    /// All chains of receipts that the bearer may read.
    ///
    /// # Errors
    /// See [`RenterError`].
    pub async fn receipts(&self, bearer: &str) -> Result<Vec<Value>, RenterError> {
        let by = [authorization(bearer)];
        let all = self.ask("GET /api/v1/lease/receipts", &by, "").await?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }

    /// The receipts of a chain.
    ///
    /// # Errors
    /// See [`RenterError`].
    pub async fn export(&self, bearer: &str, receipts: &str) -> Result<Export, RenterError> {
        let line = format!("GET /api/v1/lease/receipts/{receipts}");
        let file = self.ask(&line, &[authorization(bearer)], "").await?;
        serde_json::from_value(file).map_err(RenterError::gone)
    }
}

fn authorization(bearer: &str) -> String {
    format!("authorization: Bearer {bearer}")
}

/// One request of HTTP/1.0, whose answer ends with the connection.
async fn ask(
    node: SocketAddr,
    line: &str,
    headers: &[String],
    body: &str,
) -> Result<Value, RenterError> {
    let mut stream = TcpStream::connect(node).await.map_err(RenterError::gone)?;
    let mut head = format!("{line} HTTP/1.0\r\nhost: {node}\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    if !body.is_empty() {
        let length = body.len();
        head += &format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    let request = format!("{head}\r\n{body}");
    stream.write_all(request.as_bytes()).await.map_err(RenterError::gone)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(RenterError::gone)?;
    let answer = String::from_utf8_lossy(&answer);
    let cut_off = || RenterError::Gone("it was cut off within an answer".to_owned());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut_off)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(cut_off)?;
    let said = match body {
        "" => Value::Null,
        text => serde_json::from_str(text).map_err(|_| cut_off())?,
    };
    if (200..300).contains(&status) { Ok(said) } else { Err(RenterError::Refused(status, said)) }
}

/// What comes to a player.
#[derive(Clone, Debug, PartialEq)]
pub enum Came {
    /// A whole frame.
    Frame(FrameHeader),
    /// A message of the control channel.
    Said(Value),
}

/// A renter on a session. Dropped, his connection breaks without a word.
#[derive(Debug)]
pub struct Player {
    socket: WebSocketStream<TcpStream>,
    key: SigningKey,
    /// The frame that is coming, and when it began to.
    open: Option<(FrameHeader, u64)>,
    began: Instant,
}

impl Player {
    /// The next that comes; none once the connection has ended. Frames and slices are acknowledged.
    pub async fn next(&mut self) -> Option<Came> {
        loop {
            let Message::Binary(bytes) = self.socket.next().await?.ok()? else { continue };
            if bytes.first() == Some(&first_byte(DataChannel::Control)) {
                let said: Value = serde_json::from_slice(&bytes[1..]).ok()?;
                if said["type"] == "receipt" {
                    let answer = self.acknowledgement(&said)?.to_string();
                    self.say(DataChannel::Control, answer.as_bytes()).await?;
                }
                return Some(Came::Said(said));
            }
            // Padding and sound are none.
            let Some((piece, _)) = Piece::decode(&bytes) else { continue };
            let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
            if let Some(header) = piece.header {
                self.open = Some((header, now));
            }
            let Some((header, first_us)) = self.open.take_if(|_| piece.last) else { continue };
            let frame = FrameAck {
                wire_timestamp: header.wire_timestamp,
                state: FrameState::Decoded,
                first_us,
                last_us: now,
            };
            let mut acks = Vec::new();
            Acks { decode_queue: Some(0), frames: vec![frame] }.encode(&mut acks);
            self.say(DataChannel::Acks, &acks).await?;
            return Some(Came::Frame(header));
        }
    }

    async fn say(&mut self, channel: DataChannel, body: &[u8]) -> Option<()> {
        let message = [&[first_byte(channel)][..], body].concat();
        self.socket.send(Message::Binary(message.into())).await.ok()
    }

    fn acknowledgement(&self, slice: &Value) -> Option<Value> {
        let chain = slice["chain"].as_str()?;
        let id = ChainId(from_hex(chain)?.try_into().ok()?);
        let sequence = u32::try_from(slice["sequence"].as_u64()?).ok()?;
        let record = from_hex(slice["record"].as_str()?)?;
        let signature = self.key.sign(&acknowledgement(&id, sequence, &hash(&record)));
        Some(json!({
            "type": "acknowledge", "chain": chain, "sequence": sequence,
            "signature": to_hex(&signature.to_bytes()),
        }))
    }
}
