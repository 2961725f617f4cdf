//! A client that has shown its ticket on a transport of frames, and waits to be served.

use media::{BitDepth, Codec, Transport};
use transport::webtransport::Deadlines;
use transport::{websocket, webtransport};

use crate::node::Node;
use crate::registry::ConnectError;

/// See the module. Dropping it closes its connection.
#[derive(Debug)]
pub enum Caller {
    /// By WebTransport.
    WebTransport(Box<webtransport::Request>),
    /// By a WebSocket.
    WebSocket(websocket::Request),
}

/// Why a client is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The session has too much to do.
    Busy,
    /// The session is over.
    Over,
    /// It may not, or decodes nothing of what there is.
    Forbidden,
}

impl Caller {
    /// Says no, with what is known of why.
    pub async fn refuse(self, why: Refused, reason: String) {
        match self {
            Self::WebTransport(request) => {
                request
                    .refuse(match why {
                        Refused::Busy => webtransport::Refusal::TooMany,
                        Refused::Over => webtransport::Refusal::NotFound,
                        Refused::Forbidden => webtransport::Refusal::Forbidden,
                    })
                    .await;
            }
            Self::WebSocket(request) => request.refuse(&reason).await,
        }
    }

    /// What metrics call the transport.
    pub const fn by(&self) -> &'static str {
        match self {
            Self::WebTransport(_) => "webtransport",
            Self::WebSocket(_) => "websocket",
        }
    }

    /// Serves it with this codec in so many bits; `interval` is that between frames.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) async fn accept(
        self,
        node: &Node,
        interval: std::time::Duration,
        codec: Codec,
        depth: BitDepth,
    ) -> Result<Box<dyn Transport>, ConnectError> {
        let accepted: Result<Box<dyn Transport>, _> = match self {
            Self::WebTransport(request) => {
                let least = node.config.webtransport.frame_deadline.get();
                let deadlines = Deadlines::of_interval(interval, least);
                let config =
                    webtransport::ConnectionConfig { codec, depth, deadlines, pacing: None };
                let accepted = request.accept(config, node.clock.clone()).await;
                accepted.map(|transport| Box::new(transport) as _)
            }
            Self::WebSocket(request) => {
                let config = websocket::ConnectionConfig::new(codec, depth);
                let accepted = request.accept(config, node.clock.clone());
                accepted.map(|transport| Box::new(transport) as _)
            }
        };
        accepted.map_err(|error| ConnectError::Failed(error.to_string()))
    }
}
