//! Whom an endpoint lets in, with which certificate, and paths that change, lose and fall silent.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use media::{CloseReason, MediaTime, TrackId, Transport, TransportEvent};
use nearlight_transport::webtransport::{Certificates, EndpointConfig, WebTransport};

use super::{Node, body, closed, connection_config, holds, pair};
use crate::client::{self, unit, until};
use crate::quic_client::{self, Client, Manners};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_and_no_more() {
    let node = Node::open(EndpointConfig { per_address: 2, ..EndpointConfig::default() });
    let (first, mut one) = node.connect(&Manners::default(), connection_config()).await;
    let (_second, _two) = node.connect(&Manners::default(), connection_config()).await;
    let (url, hashes) = (node.url(), node.certificates.hashes());
    assert!(Client::connect(&url, &hashes, &Manners::default()).await.is_err());
    // A client that hears nothing for a second asks again.
    assert_ne!(node.endpoint.counts().refused, 0);
    first.leave().await;
    assert_eq!(closed(&mut one).await, CloseReason::Remote);
    node.connect(&Manners::default(), connection_config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_ask_are_cut_off_and_hold_no_place() {
    let node = Node::open(EndpointConfig {
        handshakes: 2,
        per_address: 2,
        handshake_timeout: Duration::from_secs(5),
        ..EndpointConfig::default()
    });
    let quic = quic_client::quic(&node.certificates.hashes());
    let address = node.endpoint.local_addr().unwrap();
    for failed in [2, 4] {
        let mut stuck = Vec::new();
        for _ in 0..2 {
            let connection = quic.connect(address, "localhost").unwrap().await.unwrap();
            // The first half of a stream's kind.
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(&[0x40]).await.unwrap();
            stuck.push((connection, stream));
        }
        // With their streams open: only the endpoint can have ended them.
        holds(|| node.endpoint.open_connections() == 0).await;
        drop(stuck);
        // Each is counted after it was cut off.
        holds(|| node.endpoint.counts().failed == failed).await;
    }
    node.connect(&Manners::default(), connection_config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_from_another_address_is_paced_and_reported_as_before() {
    let (_node, relay, mut client, mut transport) = behind_relay(EndpointConfig::default()).await;
    let before = transport.remote_address().ip();
    relay.moved.store(true, Ordering::Relaxed);
    let mut sink = transport.video_sink(TrackId(0));
    let (mut acked, mut lately, mut n) = (0, 0, 0);
    // What is acknowledged there is counted on. So many frames that what QUIC sends twice to a client that stands still is
    // little beside them.
    let counting = async {
        while transport.remote_address().ip() == before || lately < 300_000 {
            sink.send(unit(n, MediaTime::from_millis(n), body(n, 10_000))).unwrap();
            n += 1;
            let (header, _) = client.frame().await;
            client.ack(&[(header.wire_timestamp, 9_000)]).await;
            holds(|| sink.is_ready()).await;
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(event) = transport.poll_event(&mut cx) {
                let TransportEvent::Path(report) = event else { continue };
                acked += report.acked_bytes;
                if transport.remote_address().ip() != before {
                    lately += report.acked_bytes;
                }
            }
        }
    };
    tokio::time::timeout(client::PATIENCE, counting).await.expect("nothing counts as arrived");
    assert!(acked <= 12_000 * n, "{acked} bytes of {n} frames");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_sent_again_twice() {
    let (_node, relay, client, mut transport) = behind_relay(EndpointConfig::default()).await;
    let mut sink = transport.video_sink(TrackId(0));
    for n in 0..20 {
        relay.lose.store(n % 4 == 3, Ordering::Relaxed);
        sink.send(unit(n, MediaTime::from_millis(16 * n), body(n, 10_000))).unwrap();
        assert_eq!(client.frame().await.1, body(n, 10_000));
        holds(|| sink.is_ready()).await;
    }
    assert!(!relay.lose.load(Ordering::Relaxed));
    holds(|| relay.copies.load(Ordering::Relaxed) >= 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_clients_prove_their_address_first() {
    let node = Node::open(EndpointConfig { handshakes: 3, ..EndpointConfig::default() });
    // Handshakes that never come to their request.
    let quic = quic_client::quic(&node.certificates.hashes());
    let address = node.endpoint.local_addr().unwrap();
    let mut stuck = Vec::new();
    for _ in 0..2 {
        stuck.push(quic.connect(address, "localhost").unwrap().await.unwrap());
    }
    assert_eq!(node.endpoint.counts().validated, 0);
    node.connect(&Manners::default(), connection_config()).await;
    // A client that hears nothing for a second asks again, here and below.
    assert_ne!(node.endpoint.counts().validated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_for_new_clients_and_connections_outlive_the_change() {
    let (mut node, client, mut transport) = pair().await;
    let old = node.certificates.hashes();
    node.certificates = Certificates::own(SystemTime::now()).unwrap();
    node.endpoint.show(&node.certificates).unwrap();
    assert!(Client::connect(&node.url(), &old, &Manners::default()).await.is_err());
    holds(|| node.endpoint.counts().failed == 1).await;
    node.connect(&Manners::default(), connection_config()).await;
    transport.video_sink(TrackId(0)).send(unit(0, MediaTime::ZERO, body(0, 10))).unwrap();
    client.frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_proves_its_address_while_the_certificate_changes_is_let_in() {
    let node = Node::open(EndpointConfig { per_address: 2, ..EndpointConfig::default() });
    let _first = node.connect(&Manners::default(), connection_config()).await;
    let next = Certificates::own(SystemTime::now()).unwrap();
    let hashes = next.hashes();
    let relay = Relay::start(node.endpoint.local_addr().unwrap()).await;
    let node = Arc::new(node);
    let changing = node.clone();
    let change = move || changing.endpoint.show(&next).unwrap();
    *relay.before.lock().unwrap() = Some(Box::new(change));
    let url = format!("https://{}/wt/a?ticket=b", relay.address);
    let manners = Manners::default();
    let (client, _request) = tokio::join!(Client::connect(&url, &hashes, &manners), async {
        node.request().await.accept(connection_config(), node.clock.clone()).await.unwrap()
    });
    client.unwrap();
    assert_ne!(node.endpoint.counts().validated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_path_is_interrupted_and_comes_back_or_does_not() {
    let config = EndpointConfig {
        interrupted_after: Duration::from_millis(500),
        // The longer nothing came, the later QUIC tries again.
        unreachable_after: Duration::from_secs(10),
        ..EndpointConfig::default()
    };
    let (_node, relay, _client, mut transport) = behind_relay(config).await;
    relay.cut.store(true, Ordering::Relaxed);
    until(&mut transport, |event| matches!(event, TransportEvent::Interrupted)).await;
    relay.cut.store(false, Ordering::Relaxed);
    until(&mut transport, is_up).await;
    relay.cut.store(true, Ordering::Relaxed);
    assert_eq!(closed(&mut transport).await, CloseReason::Unreachable);
}

/// What is between one client and the server.
struct Relay {
    /// Where the client has to go.
    address: SocketAddr,
    /// Nothing passes.
    cut: AtomicBool,
    /// The server sees the client at another address.
    moved: AtomicBool,
    /// The next full datagram to the client does not pass.
    lose: AtomicBool,
    /// Datagrams to the client that came before.
    copies: AtomicU64,
    /// Done before the client gets the first word of the server.
    before: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Relay {
    async fn start(server: SocketAddr) -> Arc<Self> {
        let near = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let other = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let address = near.local_addr().unwrap();
        let (cut, moved) = (AtomicBool::new(false), AtomicBool::new(false));
        let (lose, copies, before) = Default::default();
        let relay = Arc::new(Self { address, cut, moved, lose, copies, before });
        let state = relay.clone();
        tokio::spawn(async move {
            let mut client = None;
            let mut seen = HashSet::new();
            let (mut there, mut back, mut back_too) = ([0; 2_048], [0; 2_048], [0; 2_048]);
            loop {
                let (is_back, datagram) = tokio::select! {
                    Ok((len, from)) = near.recv_from(&mut there) => {
                        client = Some(from);
                        (false, &there[..len])
                    }
                    Ok((len, _)) = far.recv_from(&mut back) => (true, &back[..len]),
                    Ok((len, _)) = other.recv_from(&mut back_too) => (true, &back_too[..len]),
                };
                let is_copy = is_back && !seen.insert(datagram.to_vec());
                state.copies.fetch_add(u64::from(is_copy), Ordering::Relaxed);
                let is_full = is_back && datagram.len() > 1_000;
                if state.cut.load(Ordering::Relaxed)
                    || is_full && state.lose.swap(false, Ordering::Relaxed)
                {
                    continue;
                }
                let before = state.before.lock().unwrap().take_if(|_| is_back);
                if let Some(before) = before {
                    before();
                }
                let far = if state.moved.load(Ordering::Relaxed) { &other } else { &far };
                let _ = match client.filter(|_| is_back) {
                    Some(client) => near.send_to(datagram, client).await,
                    None => far.send_to(datagram, server).await,
                };
            }
        });
        relay
    }
}

/// A client behind a relay, and its connection here.
async fn behind_relay(config: EndpointConfig) -> (Node, Arc<Relay>, Client, WebTransport) {
    let node = Node::open(config);
    let relay = Relay::start(node.endpoint.local_addr().unwrap()).await;
    let url = format!("https://{}/wt/a?ticket=b", relay.address);
    let server = async {
        let request = node.request().await;
        request.accept(connection_config(), node.clock.clone()).await.unwrap()
    };
    let (hashes, manners) = (node.certificates.hashes(), Manners::default());
    let (client, mut transport) = tokio::join!(Client::connect(&url, &hashes, &manners), server);
    until(&mut transport, is_up).await;
    (node, relay, client.unwrap(), transport)
}

fn is_up(event: &TransportEvent) -> bool {
    matches!(event, TransportEvent::Connected { .. })
}
