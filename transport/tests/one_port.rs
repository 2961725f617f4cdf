//! All sessions of a node on one port: many at once, clients that move, strangers, TCP and IPv6.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use client::{
    Client, MonotonicClock, PATIENCE, Wish, annex_b, config, config_at, event, unit, until,
};
use media::{CloseReason, Codec, DataChannel, Mark, MediaTime, TrackId, Transport, TransportEvent};
use nearlight_transport::{Answer, PortConfig, WebRtc, WebRtcConfig, WebRtcTransport};
use rtc::crypto::default_provider;
use rtc::stun::attributes::ATTR_USERNAME;
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, TransactionId};
use rtc::stun::textattrs::TextAttribute;
use tokio::net::UdpSocket;
use webrtc::peer_connection::{RTCIceCandidateInit, RTCPeerConnectionState};
use webrtc::runtime::TokioRuntime;

/// The value of an attribute of an answer.
fn attribute<'a>(answer: &'a Answer, key: &str) -> &'a str {
    let line = answer.sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(key));
    line.unwrap()
}

/// Candidates of an answer, cut into words.
fn candidates(answer: &Answer) -> Vec<Vec<&str>> {
    let lines = answer.sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    lines.map(|line| line.split(' ').collect()).collect()
}

/// The answer with another address of this side, of a relay on loopback.
fn at(answer: &Answer, relay: SocketAddr) -> Answer {
    let port = candidates(answer)[0][5].to_owned();
    let sdp = answer
        .sdp
        .replace(&format!("127.0.0.1 {port} typ"), &format!("127.0.0.1 {} typ", relay.port()));
    Answer { sdp, ..answer.clone() }
}

/// The answer without candidates of a protocol.
fn without(answer: &Answer, protocol: &str) -> Answer {
    let keep = |line: &&str| !(line.starts_with("a=candidate:") && line.contains(protocol));
    let sdp = answer.sdp.lines().filter(keep).fold(String::new(), |sdp, line| sdp + line + "\r\n");
    Answer { sdp, ..answer.clone() }
}

async fn answer(offer: &str, config: &WebRtcConfig) -> (WebRtcTransport, Answer) {
    WebRtc::answer(offer, config.clone(), MonotonicClock::shared()).await.unwrap()
}

async fn connected(client: &mut Client, transport: &mut WebRtcTransport) {
    until(transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    client.state(RTCPeerConnectionState::Connected).await;
}

/// Sends a frame and waits until the client has it.
async fn play(client: &mut Client, transport: &mut WebRtcTransport, n: u64) {
    let sent = annex_b(n == 0, 20_000, n);
    let mut sink = transport.video_sink(TrackId(0));
    tokio::time::timeout(PATIENCE, async {
        while !sink.is_ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    sink.send(unit(n, MediaTime::from_millis(n * 16), sent.clone())).unwrap();
    assert!(client.frame().await.2 == sent, "frame {n}");
}

/// Waits for something that happens in other tasks.
async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_sessions_share_one_port_and_leave_nothing_in_it() {
    let config = config();
    let mut sessions = Vec::new();
    for _ in 0..50 {
        let (client, offer) = Client::offer(Wish::PLAYER).await;
        let (transport, answer) = answer(&offer, &config).await;
        for words in candidates(&answer) {
            assert_eq!(words[5], config.port.number().to_string(), "{words:?}");
        }
        client.accept(&answer).await;
        sessions.push((client, transport));
    }
    for (client, transport) in &mut sessions {
        connected(client, transport).await;
    }
    let (legs, addresses) = config.port.occupancy();
    assert!(legs == 50 && addresses >= 50, "{legs} sessions at {addresses} addresses");
    // Each gets its own, all at once.
    let playing = sessions.into_iter().zip(0_u64..).map(|((mut client, mut transport), n)| {
        tokio::spawn(async move {
            for frame in 0..10 {
                let sent = annex_b(frame == 0, 3_000, 1_000 * n + frame);
                let mut sink = transport.video_sink(TrackId(0));
                while !sink.is_ready() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                sink.send(unit(frame, MediaTime::from_millis(frame * 16), sent.clone())).unwrap();
                assert!(client.frame().await.2 == sent, "session {n}, frame {frame}");
            }
        })
    });
    for played in playing.collect::<Vec<_>>() {
        played.await.unwrap();
    }
    eventually("an empty port", || config.port.occupancy() == (0, 0)).await;
    assert_eq!((config.port.counts().forged, config.port.counts().dropped), (0, 0));
}

/// A NAT between a client and the port: what the client sends leaves by `outside`, which may change.
struct Nat {
    inside: UdpSocket,
    server: SocketAddr,
    /// Sockets that one after the other are the client's address.
    outside: Vec<UdpSocket>,
    current: AtomicUsize,
    /// What the client sent.
    seen: std::sync::Mutex<Vec<Vec<u8>>>,
    /// What somebody sends from the client's address before each of its datagrams.
    forged: std::sync::Mutex<Option<Vec<u8>>>,
    /// Of the client's part of the DTLS handshake only its hello passes.
    only_hello: AtomicBool,
}

impl Nat {
    async fn start(server: SocketAddr) -> Arc<Self> {
        let bind = || UdpSocket::bind("127.0.0.1:0");
        let nat = Arc::new(Self {
            inside: bind().await.unwrap(),
            server,
            outside: vec![bind().await.unwrap(), bind().await.unwrap()],
            current: AtomicUsize::new(0),
            seen: Default::default(),
            forged: Default::default(),
            only_hello: AtomicBool::new(false),
        });
        let running = nat.clone();
        tokio::spawn(async move { running.run().await });
        nat
    }

    async fn run(&self) {
        let mut client = None;
        let (mut a, mut b, mut c) = ([0; 2_000], [0; 2_000], [0; 2_000]);
        loop {
            let current = self.current.load(Ordering::Acquire);
            tokio::select! {
                Ok((n, from)) = self.inside.recv_from(&mut a) => {
                    client = Some(from);
                    self.seen.lock().unwrap().push(a[..n].to_vec());
                    // RFC 6347 §4.3.2: a handshake record, and the kind of its first message.
                    let hello = a[0] == 22 && a[13] == 1;
                    if self.only_hello.load(Ordering::Acquire) && (20..64).contains(&a[0]) && !hello {
                        continue;
                    }
                    let forged = self.forged.lock().unwrap().clone();
                    if let Some(forged) = forged {
                        self.outside[current].send_to(&forged, self.server).await.unwrap();
                    }
                    self.outside[current].send_to(&a[..n], self.server).await.unwrap();
                }
                Ok((n, _)) = self.outside[0].recv_from(&mut b) => {
                    // A binding that is gone lets nothing in.
                    if let (Some(client), 0) = (client, current) {
                        self.inside.send_to(&b[..n], client).await.unwrap();
                    }
                }
                Ok((n, _)) = self.outside[1].recv_from(&mut c) => {
                    if let Some(client) = client {
                        self.inside.send_to(&c[..n], client).await.unwrap();
                    }
                }
            }
        }
    }
}

/// A client behind a NAT, connected.
async fn behind_nat(config: &WebRtcConfig) -> (Client, WebRtcTransport, Arc<Nat>) {
    let server = SocketAddr::from(([127, 0, 0, 1], config.port.number()));
    let nat = Nat::start(server).await;
    let (mut client, offer) = Client::offer(Wish::PAGE).await;
    let (mut transport, answer) = answer(&offer, config).await;
    client.accept(&without(&at(&answer, nat.inside.local_addr().unwrap()), " tcp ")).await;
    connected(&mut client, &mut transport).await;
    client.opened(DataChannel::Input).await;
    (client, transport, nat)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_follows_a_client_whose_address_changes() {
    let config = config();
    let (mut client, mut transport, nat) = behind_nat(&config).await;
    play(&mut client, &mut transport, 0).await;
    assert_eq!(config.port.counts().moved, 0);
    nat.current.store(1, Ordering::Release);
    // The client knows of nothing and goes on: its checks show who it is, its input where media goes.
    let port = config.port.clone();
    let sending = async {
        while port.counts().moved == 0 {
            client.send(DataChannel::Input, b"still here").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.expect("media never followed");
    for n in 1..20 {
        play(&mut client, &mut transport, n).await;
    }
    assert_eq!(config.port.occupancy(), (1, 2), "one session, two addresses");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_check_from_a_foreign_address_moves_nothing() {
    let config = config();
    let (mut client, mut transport, nat) = behind_nat(&config).await;
    let checks: Vec<Vec<u8>> = {
        let seen = nat.seen.lock().unwrap();
        seen.iter().filter(|datagram| datagram[..2] == [0, 1]).cloned().collect()
    };
    assert!(!checks.is_empty());
    let thief = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for check in &checks {
        thief.send_to(check, nat.server).await.unwrap();
    }
    // What is no check moves media only where it can be answered, either.
    thief.send_to(&[0x80, 200, 0, 1, 0, 0, 0, 0], nat.server).await.unwrap();
    // Behind all of that in the port's socket.
    client.send(DataChannel::Input, b"after the thief").await;
    until(&mut transport, |event| matches!(event, TransportEvent::Data(..))).await;
    tokio::time::timeout(PATIENCE, thief.readable()).await.expect("no answer").unwrap();
    for n in 0..20 {
        play(&mut client, &mut transport, n).await;
    }
    let mut buffer = [0; 2_000];
    let mut got = 0;
    while let Ok(n) = thief.try_recv(&mut buffer) {
        assert!(buffer[0] < 2, "media or DTLS went astray: {:?}", &buffer[..n.min(12)]);
        got += 1;
    }
    // An answer for each check, and at most one check of ours for each.
    assert!((1..=2 * checks.len() + 1).contains(&got), "{got} of {} checks", checks.len());
    assert_eq!(config.port.counts().moved, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_of_another_session_from_a_clients_address_takes_nothing_from_it() {
    let config = config();
    let (client, mut transport, nat) = behind_nat(&config).await;
    // Whoever plays has the password of a session, and may write any address on what it sends.
    let (_other, offer) = Client::offer(Wish::PLAYER).await;
    let theirs = offer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap();
    let (_transport, answer) = answer(&offer, &config).await;
    let (ours, password) = (attribute(&answer, "ice-ufrag:"), attribute(&answer, "ice-pwd:"));
    *nat.forged.lock().unwrap() = Some(check(ours, theirs, password));
    for n in 0..20_u8 {
        client.send(DataChannel::Input, &[n; 40]).await;
        let data = until(&mut transport, |event| matches!(event, TransportEvent::Data(..))).await;
        let TransportEvent::Data(_, body) = data else { unreachable!() };
        assert_eq!(body[..], [n; 40]);
    }
    assert_eq!(config.port.counts().forged, 0, "its signature is right");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_finish_its_handshake_is_unreachable_and_no_failure_of_ours() {
    let config = WebRtcConfig { connect_timeout: Duration::from_secs(15), ..config() };
    let server = SocketAddr::from(([127, 0, 0, 1], config.port.number()));
    let nat = Nat::start(server).await;
    nat.only_hello.store(true, Ordering::Release);
    let (client, offer) = Client::offer(Wish::PAGE).await;
    let (mut transport, answer) = answer(&offer, &config).await;
    client.accept(&without(&at(&answer, nat.inside.local_addr().unwrap()), " tcp ")).await;
    loop {
        if let TransportEvent::Closed(reason) = event(&mut transport).await {
            assert_eq!(reason, CloseReason::Unreachable);
            break;
        }
    }
}

/// A check, as a stranger may write it.
fn check(asked: &str, asking: &str, password: &str) -> Vec<u8> {
    let provider = default_provider().unwrap();
    let mut message = Message::new();
    let integrity = MessageIntegrity::new_short_term_integrity_with_provider(
        password.to_owned(),
        provider.crypto(),
    );
    message
        .build(&[
            Box::new(BINDING_REQUEST),
            Box::new(TransactionId::new()),
            Box::new(TextAttribute::new(ATTR_USERNAME, format!("{asked}:{asking}"))),
            Box::new(integrity),
            Box::new(FINGERPRINT),
        ])
        .unwrap();
    message.raw.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_make_no_state_get_no_answer_and_disturb_nobody() {
    let config = config();
    let (mut client, offer) = Client::offer(Wish::PLAYER).await;
    let theirs = offer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap();
    let (mut transport, answer) = answer(&offer, &config).await;
    client.accept(&answer).await;
    connected(&mut client, &mut transport).await;
    play(&mut client, &mut transport, 0).await;
    let before = config.port.occupancy();

    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = SocketAddr::from(([127, 0, 0, 1], config.port.number()));
    let (ours, password) = (attribute(&answer, "ice-ufrag:"), attribute(&answer, "ice-pwd:"));
    let signed = check(ours, theirs, password);
    let mut success = signed.clone();
    success[..2].copy_from_slice(&BINDING_SUCCESS.value().to_be_bytes());
    let mut bitten = signed.clone();
    *bitten.last_mut().unwrap() ^= 0xff;
    bitten[30] ^= 1;
    let nonsense: Vec<Vec<u8>> = vec![
        check("nobody", theirs, password),
        check(ours, theirs, "a wrong password, long enough"),
        check(ours, "other", password),
        bitten,
        success,
        signed[..signed.len() - 4].to_vec(),
        signed[..20].to_vec(),
        vec![],
        vec![0; 20],
        vec![22; 60],
        vec![0x80; 1_200],
        vec![0; 9_000],
    ];
    let counted = || {
        let counts = config.port.counts();
        counts.forged + counts.unroutable
    };
    let flood = async {
        // The kernel drops some of it, and the more the less time the port has to read.
        let mut rounds = 0;
        while rounds < 200 || counted() <= 600 {
            for datagram in &nonsense {
                stranger.send_to(datagram, server).await.unwrap();
            }
            rounds += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, flood).await.expect("too few are counted");
    for n in 1..30 {
        play(&mut client, &mut transport, n).await;
    }
    assert!(stranger.try_recv(&mut [0; 2_000]).is_err(), "a stranger was answered");
    let counts = config.port.counts();
    assert!(counts.forged > 0 && counts.unroutable > 0, "{counts:?}");
    assert_eq!((counts.moved, counts.dropped), (0, 0));
    assert_eq!(config.port.occupancy(), before);
}

/// A way by TCP to the port that ceases to carry what the port sends once it is told to.
async fn one_way(port: u16) -> (SocketAddr, Arc<AtomicBool>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stuck) = (listener.local_addr().unwrap(), Arc::<AtomicBool>::default());
    let is_stuck = stuck.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            // Little waits here.
            socket.set_recv_buffer_size(16 * 1024).unwrap();
            let server = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let is_stuck = is_stuck.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                loop {
                    while is_stuck.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    let Ok(read @ 1..) = from_server.read(&mut buffer).await else { return };
                    if to_client.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, stuck)
}

/// A client that comes by TCP alone, at `way` or at the port itself.
async fn by_tcp(config: &WebRtcConfig, way: Option<SocketAddr>) -> (Client, WebRtcTransport) {
    let (mut client, offer) =
        Client::offer_from(Wish::PAGE, Arc::new(TokioRuntime), &["127.0.0.1:0"], &["127.0.0.1:0"])
            .await;
    let (mut transport, answered) = answer(&offer, config).await;
    client.accept(&without(&without(&answered, " udp "), " tcp ")).await;
    // This client connects only to candidates that are given to it one by one.
    for mut words in candidates(&answered).into_iter().filter(|words| words[2] == "tcp") {
        let port = way.map(|way| way.port().to_string());
        words[5] = port.as_deref().unwrap_or(words[5]);
        let candidate = format!("candidate:{}", words.join(" "));
        let init = RTCIceCandidateInit { candidate, ..Default::default() };
        client.peer.add_ice_candidate(init).await.unwrap();
    }
    connected(&mut client, &mut transport).await;
    (client, transport)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_no_udp_reaches_come_by_tcp() {
    let config = config();
    let (mut client, mut transport) = by_tcp(&config, None).await;
    for n in 0..20 {
        play(&mut client, &mut transport, n).await;
    }
    let sent =
        until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
    let TransportEvent::FrameSent { stages, .. } = sent else { unreachable!() };
    assert!(stages.get(Mark::FirstSent).is_some() && stages.get(Mark::LastSent).is_some());
    client.opened(DataChannel::Input).await;
    client.send(DataChannel::Input, b"by tcp").await;
    until(&mut transport, |event| matches!(event, TransportEvent::Data(..))).await;
    assert_eq!(config.port.occupancy(), (1, 0), "no UDP address");
    drop(transport);
    eventually("an empty port", || config.port.occupancy() == (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_by_tcp_that_ceases_to_read_is_dropped_for_then_cut_off_and_a_neighbour_plays_on()
{
    let config = config();
    let (way, stuck) = one_way(config.port.number()).await;
    let (mut client, mut transport) = by_tcp(&config, Some(way)).await;
    play(&mut client, &mut transport, 0).await;
    let (mut neighbour, offer) = Client::offer(Wish::PAGE).await;
    let (mut theirs, answered) = answer(&offer, &config).await;
    neighbour.accept(&answered).await;
    connected(&mut neighbour, &mut theirs).await;
    play(&mut neighbour, &mut theirs, 0).await;
    assert_eq!(config.port.counts().dropped, 0);

    stuck.store(true, Ordering::Relaxed);
    let mut sink = transport.video_sink(TrackId(0));
    let (mut n, mut offered, mut most) = (1, 0, None);
    while config.port.counts().tcp_stuck == 0 {
        if config.port.counts().dropped > 0 {
            most.get_or_insert(offered);
        }
        assert!(most.is_some() || offered < 8 << 20, "all of it is kept");
        if sink.is_ready() {
            let frame = annex_b(false, 20_000, n);
            offered += frame.len();
            sink.send(unit(n, MediaTime::from_millis(n * 16), frame)).unwrap();
        }
        play(&mut neighbour, &mut theirs, n).await;
        n += 1;
    }
    assert!(most.is_some(), "it is cut off before anything was dropped");
    // The session's end of it has no path to the client any more.
    until(&mut transport, |event| {
        matches!(event, TransportEvent::Closed(CloseReason::Unreachable))
    })
    .await;
    for later in n..n + 5 {
        play(&mut neighbour, &mut theirs, later).await;
    }
    assert_eq!(config.port.counts().tcp_refused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_tcp_connections_come_to_their_end_and_sessions_play_on() {
    /// Each from an address of its own: those of one address are fewer still.
    const WAVES: u8 = 10;
    const EACH: u8 = 250;
    let config = config();
    let server = SocketAddr::from(([127, 0, 0, 1], config.port.number()));
    let (mut client, mut transport) = by_tcp(&config, None).await;
    play(&mut client, &mut transport, 0).await;
    let (mut n, mut open) = (1, Vec::new());
    for wave in 0..WAVES {
        for from in 1..=EACH {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 1 + wave, from], 0))).unwrap();
            open.push(socket.connect(server).await.unwrap());
        }
        play(&mut client, &mut transport, n).await;
        n += 1;
        eventually("all but few are closed", || {
            open.retain(|stream| {
                let read = stream.try_read(&mut [0; 1]);
                matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
            });
            open.len() <= 128
        })
        .await;
    }
    // Whoever comes while all places are taken is let in.
    let all = u64::from(WAVES) * u64::from(EACH);
    let (mut other, mut theirs) = by_tcp(&config, None).await;
    play(&mut other, &mut theirs, 0).await;
    eventually("all had their time", || config.port.counts().tcp_refused == all).await;
    play(&mut client, &mut transport, n).await;
    let counts = config.port.counts();
    assert_eq!((counts.tcp_silent, counts.tcp_stuck), (0, 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_connections_show_whose_they_are_or_are_closed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let config = config();
    let server = SocketAddr::from(([127, 0, 0, 1], config.port.number()));
    let frame = |datagram: &[u8]| {
        let mut out = (datagram.len() as u16).to_be_bytes().to_vec();
        out.extend_from_slice(datagram);
        out
    };
    let stranger = check("nobody", "them", "a password of nobody");
    for bytes in [frame(&stranger), frame(&[22; 60]), vec![0xff; 64], frame(&[])] {
        let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await.unwrap();
        // Closed, or reset where bytes were left unread.
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    // More than may wait at once: some are closed without a byte, and none stays for ever. Neither keeps out a client of
    // their own address.
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(tokio::net::TcpStream::connect(server).await.unwrap());
    }
    let (mut client, mut transport) = by_tcp(&config, None).await;
    play(&mut client, &mut transport, 0).await;
    for stream in &mut held {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    eventually("all are counted", || config.port.counts().tcp_refused == 44).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_run_over_ipv6() {
    if !client::has_ipv6() {
        return;
    }
    let config = config_at(PortConfig::new(vec!["::1".parse().unwrap()]));
    let (mut client, offer) =
        Client::offer_from(Wish::PLAYER, Arc::new(TokioRuntime), &["[::1]:0"], &[]).await;
    let (mut transport, answer) = answer(&offer, &config).await;
    assert!(candidates(&answer).iter().all(|words| words[4] == "::1"), "{}", answer.sdp);
    assert_eq!(answer.codec, Codec::H264);
    client.accept(&answer).await;
    connected(&mut client, &mut transport).await;
    for n in 0..5 {
        play(&mut client, &mut transport, n).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wildcards_serve_both_families_on_one_number() {
    if !client::has_ipv6() {
        return;
    }
    let bind = vec!["0.0.0.0".parse().unwrap(), "::".parse().unwrap()];
    let config = config_at(PortConfig { loopback: true, ..PortConfig::new(bind) });
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let (mut client, offer) =
            Client::offer_from(Wish::PLAYER, Arc::new(TokioRuntime), &[local], &[]).await;
        let (mut transport, answer) = answer(&offer, &config).await;
        client.accept(&answer).await;
        connected(&mut client, &mut transport).await;
        play(&mut client, &mut transport, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_closed_by_its_client_leaves_the_port() {
    let config = config();
    let (mut client, offer) = Client::offer(Wish::PLAYER).await;
    let (mut transport, answer) = answer(&offer, &config).await;
    client.accept(&answer).await;
    connected(&mut client, &mut transport).await;
    client.peer.close().await.unwrap();
    while !matches!(event(&mut transport).await, TransportEvent::Closed(_)) {}
    drop(transport);
    eventually("an empty port", || config.port.occupancy() == (0, 0)).await;
}
