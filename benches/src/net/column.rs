//! What a transport must offer to have a column in the table.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use media::{Clock, Transport};
use testkit::net::Relay;

use super::args::Case;
use super::viewer::Whole;

/// A kind of transport.
#[async_trait]
pub(crate) trait Column: Send + Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Whether it can run over this network, as it is emulated.
    fn carries(&self, _case: &Case) -> bool {
        true
    }

    /// Connects a server and a client through a new route of `relay`. Both are up when it returns.
    async fn connect(&self, relay: &mut Relay, clock: Arc<dyn Clock>) -> anyhow::Result<Pair>;
}

/// Both ends of a connection.
pub(crate) struct Pair {
    pub(crate) server: Box<dyn Transport>,
    pub(crate) client: Box<dyn Client>,
}

/// The client's end: what a browser does below its decoder.
#[async_trait]
pub(crate) trait Client: Send {
    /// The next frame that is whole, in any order. Dropping the future before it is done loses nothing.
    async fn whole(&mut self) -> anyhow::Result<Whole>;

    /// Does what is due: asks again for what is missing. Called every few milliseconds.
    async fn tick(&mut self);

    /// This frame was decoded: nothing before it is needed any more.
    fn decoded(&mut self, whole: &Whole);

    /// Sends acknowledgements.
    async fn acknowledge(&mut self, acks: Bytes);

    /// Asks for a keyframe.
    async fn ask_keyframe(&mut self);

    /// How long it bears to be without a picture before it asks for a keyframe.
    fn patience(&self) -> Duration;
}

/// Every column, or those of these names.
///
/// # Errors
/// When a name is unknown.
pub(crate) fn all(names: &[String]) -> anyhow::Result<Vec<Box<dyn Column>>> {
    let mut all: Vec<Box<dyn Column>> = vec![
        Box::new(super::webrtc::WebRtcColumn),
        Box::new(super::webtransport::WebTransportColumn),
        Box::new(super::websocket::WebSocketColumn),
    ];
    for name in names {
        if !all.iter().any(|column| column.name() == name) {
            let known: Vec<_> = all.iter().map(|column| column.name()).collect();
            anyhow::bail!("no transport {name:?}; there are {}", known.join(", "));
        }
    }
    all.retain(|column| names.is_empty() || names.iter().any(|name| name == column.name()));
    Ok(all)
}
