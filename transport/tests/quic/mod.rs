//! A node's endpoint for WebTransport and clients that are connected to it.

#![allow(unreachable_pub, reason = "what tests of the same file share")]

mod endpoint;
mod hostile;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use media::{BitDepth, Clock, CloseReason, Codec, TransportEvent};
use nearlight_transport::webtransport::{
    Certificates, ConnectionConfig, Deadlines, Endpoint, EndpointConfig, Request, WebTransport,
};

use crate::client::{self, MonotonicClock, event};
use crate::quic_client::{Client, Manners};

pub fn connection_config() -> ConnectionConfig {
    ConnectionConfig {
        codec: Codec::H264,
        depth: BitDepth::Eight,
        // Nothing is given up because a test's machine is slow.
        deadlines: Deadlines { key: Duration::from_secs(60), other: Duration::from_secs(60) },
        pacing: None,
    }
}

pub struct Node {
    pub clock: Arc<dyn Clock>,
    pub endpoint: Endpoint,
    pub certificates: Certificates,
}

impl Node {
    pub fn open(config: EndpointConfig) -> Self {
        let certificates = Certificates::own(SystemTime::now()).unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let clock = MonotonicClock::shared();
        let endpoint = Endpoint::open(socket, config, &certificates, clock.clone()).unwrap();
        Self { clock, endpoint, certificates }
    }

    pub fn url(&self) -> String {
        format!("https://{}/wt/a?ticket=b", self.endpoint.local_addr().unwrap())
    }

    pub async fn request(&self) -> Request {
        let request = tokio::time::timeout(client::PATIENCE, self.endpoint.request()).await;
        request.expect("nobody asked").expect("the endpoint is open")
    }

    /// A client and its connection here.
    pub async fn connect(
        &self,
        manners: &Manners,
        config: ConnectionConfig,
    ) -> (Client, WebTransport) {
        let (url, hashes) = (self.url(), self.certificates.hashes());
        let server =
            async { self.request().await.accept(config, self.clock.clone()).await.unwrap() };
        let (client, mut transport) = tokio::join!(Client::connect(&url, &hashes, manners), server);
        let connected = event(&mut transport).await;
        assert!(matches!(connected, TransportEvent::Connected { codec: Codec::H264 }));
        (client.unwrap(), transport)
    }
}

pub async fn pair() -> (Node, Client, WebTransport) {
    let node = Node::open(EndpointConfig::default());
    let (client, transport) = node.connect(&Manners::default(), connection_config()).await;
    (node, client, transport)
}

pub async fn closed(transport: &mut WebTransport) -> CloseReason {
    loop {
        if let TransportEvent::Closed(reason) = event(transport).await {
            return reason;
        }
    }
}

pub fn body(n: u64, len: usize) -> Bytes {
    Bytes::from(client::nal(0x41, len, n))
}

/// Waits until something holds.
pub async fn holds(mut what: impl FnMut() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(client::PATIENCE, wait).await.expect("it never holds");
}
