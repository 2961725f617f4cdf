//! Sound over both transports, on loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;
mod quic_client;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use client::{Arrived, MonotonicClock, Wish, annex_b, connect, event, unit};
use media::webtransport::{AudioDatagram, EarlierAudio};
use media::{
    AudioPacket, BitDepth, Codec, MediaTime, SendRefused, TrackId, Transport, TransportEvent,
};
use nearlight_transport::webtransport::{
    Certificates, ConnectionConfig, Deadlines, Endpoint, EndpointConfig, WebTransport,
};
use nearlight_transport::{WebRtc, WebRtcConfig};
use quic_client::{Client, Manners};
use webrtc::peer_connection::RTCPeerConnectionState;

fn packet(millis: u64) -> AudioPacket {
    AudioPacket {
        track: TrackId(0),
        captured_at: MediaTime::from_millis(millis),
        duration: Duration::from_millis(10),
        layout: media::Layout::Stereo,
        data: Bytes::from(format!("packet of {millis}")),
    }
}

fn with_sound() -> WebRtcConfig {
    WebRtcConfig { sound: true, ..client::config() }
}

const LISTENER: Wish = Wish { audio: true, ..Wish::PLAYER };

/// The answer's section of sound.
fn section(sdp: &str) -> &str {
    sdp.split("m=").find(|section| section.starts_with("audio")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_has_a_track_of_its_own_whose_times_show_silence() {
    let (mut client, mut transport, answer) = connect(LISTENER, with_sound()).await;
    let audio = section(&answer.sdp);
    for line in ["a=sendonly", "opus/48000/2", "useinbandfec=1", "usedtx=1", "sprop-stereo=1"] {
        assert!(audio.contains(line), "{line} in {audio}");
    }
    // No stream of the picture's, or browsers would hold the picture back for the sound.
    assert!(audio.contains("a=msid:sound ") && !audio.contains("video0"), "{audio}");
    let mut sink = transport.audio_sink().unwrap();
    assert!(sink.wants_fec());
    let sent = [1_000, 1_010, 1_020, 1_500, 1_510];
    let mut first = None;
    for (n, millis) in sent.into_iter().enumerate() {
        sink.send(&packet(millis)).unwrap();
        let got = loop {
            if let Arrived::Packet(packet) = client.next().await {
                break packet;
            }
        };
        assert_eq!(got.payload, packet(millis).data);
        assert_eq!(got.header.payload_type, 111, "the client's number");
        assert_eq!(got.header.marker, n == 0 || millis == 1_500, "where sound begins: {millis}");
        let (number, time) =
            *first.get_or_insert((got.header.sequence_number, got.header.timestamp));
        assert_eq!(usize::from(got.header.sequence_number.wrapping_sub(number)), n);
        assert_eq!(got.header.timestamp.wrapping_sub(time), (millis as u32 - 1_000) * 48);
    }
    // One sink at a time; numbers go on.
    let mut next = transport.audio_sink().unwrap();
    assert_eq!(sink.send(&packet(1_520)), Err(SendRefused::NotConnected));
    next.send(&packet(1_520)).unwrap();
    let Arrived::Packet(got) = client.next().await else { panic!("no packet") };
    assert_eq!(usize::from(got.header.sequence_number.wrapping_sub(first.unwrap().0)), sent.len());
    // The picture comes as ever.
    let data = annex_b(true, 5_000, 1);
    transport.video_sink(TrackId(0)).send(unit(0, MediaTime::ZERO, data.clone())).unwrap();
    assert_eq!(client.frame().await.2, data);
    drop(transport);
    assert_eq!(next.send(&packet(1_530)), Err(SendRefused::NotConnected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_is_for_sessions_that_have_some_and_clients_that_ask() {
    let (_client, mut transport, answer) = connect(LISTENER, client::config()).await;
    assert!(transport.audio_sink().is_none());
    assert!(section(&answer.sdp).contains("a=inactive"));
    let (_client, mut transport, answer) = connect(Wish::PAGE, with_sound()).await;
    assert!(transport.audio_sink().is_none());
    assert!(!answer.sdp.contains("m=audio"));
}

/// An offer of a listener, changed, and its answer; a picture comes whatever became of the sound.
async fn answered(change: impl FnOnce(&str) -> String) -> String {
    let (mut client, offer) = client::Client::offer(LISTENER).await;
    let offer = change(&offer);
    let (mut transport, answer) =
        WebRtc::answer(&offer, with_sound(), MonotonicClock::shared()).await.unwrap();
    assert!(transport.audio_sink().is_none(), "{}", answer.sdp);
    let kinds = |sdp: &str| {
        let lines = sdp.lines().filter_map(|line| line.strip_prefix("m="));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&answer.sdp), kinds(&offer), "sections keep their places");
    client.accept(&answer).await;
    client::until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    client.state(RTCPeerConnectionState::Connected).await;
    let data = annex_b(true, 5_000, 1);
    transport.video_sink(TrackId(0)).send(unit(0, MediaTime::ZERO, data.clone())).unwrap();
    assert_eq!(client.frame().await.2, data);
    section(&answer.sdp).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_is_not_wanted_or_of_no_use_is_answered_as_rfc_3264_has_it() {
    let deaf = answered(|offer| {
        let at = offer.find("m=audio").unwrap();
        offer[..at].to_owned() + &offer[at..].replacen("a=recvonly", "a=inactive", 1)
    })
    .await;
    assert!(!deaf.starts_with("audio 0 ") && deaf.contains("a=inactive"), "{deaf}");
    let disabled = answered(|offer| offer.replacen("m=audio 9", "m=audio 0", 1)).await;
    assert!(disabled.starts_with("audio 0 ") && disabled.contains("a=inactive"), "{disabled}");
    let unknown = answered(|offer| offer.replace("opus/48000/2", "G722/8000")).await;
    assert!(unknown.starts_with("audio 0 "), "{unknown}");
}

/// The next packets of the client's voice.
async fn spoken(transport: &mut impl Transport, count: usize) -> Vec<(u16, Bytes)> {
    let mut packets = Vec::new();
    while packets.len() < count {
        let said = |event: &TransportEvent| matches!(event, TransportEvent::Voice(_));
        let TransportEvent::Voice(packet) = client::until(transport, said).await else {
            unreachable!()
        };
        packets.push((packet.sequence, packet.data));
    }
    packets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_speak_is_told_so_and_what_is_said_is_told() {
    let wish = Wish { voice: true, ..LISTENER };
    let may = |sound| WebRtcConfig { microphone: true, sound, ..client::config() };
    let (client, mut transport, answer) = connect(wish, may(true)).await;
    let audio = section(&answer.sdp);
    for line in ["a=sendrecv", "useinbandfec=1", "usedtx=1", "stereo=0", "sprop-stereo=1"] {
        assert!(audio.contains(line), "{line} in {audio}");
    }
    for (sequence, said) in [(65_534, b"one"), (65_535, b"two"), (1, b"six")] {
        client.say(sequence, said).await;
    }
    let one = |sequence: u16, said: &'static [u8]| (sequence, Bytes::from_static(said));
    let all = [one(65_534, b"one"), one(65_535, b"two"), one(1, b"six")];
    assert_eq!(spoken(&mut transport, 3).await, all);
    // What is heard goes on beside it.
    transport.audio_sink().unwrap().send(&packet(1_000)).unwrap();
    // Without sound the section is for the voice alone; who only listens is told nothing of one.
    let (_client, _transport, answer) = connect(wish, may(false)).await;
    assert!(section(&answer.sdp).contains("a=recvonly"), "{}", answer.sdp);
    for (wish, config) in [(wish, with_sound()), (LISTENER, may(true))] {
        let (_client, _transport, answer) = connect(wish, config).await;
        assert!(section(&answer.sdp).contains("a=sendonly"), "{}", answer.sdp);
    }
}

fn datagram(sequence: u16, said: &[u8], before: &[u8]) -> Vec<u8> {
    let entry = |packet| EarlierAudio { before: 1_800, packet };
    let earlier = (!before.is_empty()).then(|| entry(before)).into_iter().collect();
    let mut out = Vec::new();
    AudioDatagram {
        sequence,
        timestamp: 0,
        length: 8,
        layout: media::Layout::Stereo,
        packet: said,
        earlier,
    }
    .encode(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voice_in_datagrams_is_told_once_and_what_is_none_ignored() {
    let (_endpoint, client, mut transport) = webtransport().await;
    let say = |bytes: Vec<u8>| client.connection.send_datagram(bytes).unwrap();
    say(datagram(7, b"one", b""));
    say(datagram(8, b"two", b"one"));
    say(vec![0x11, 0x10, 0]);
    say(vec![0x11; 1_000]);
    // One between is lost.
    say(datagram(10, b"six", b"ten"));
    let one = |sequence: u16, said: &'static [u8]| (sequence, Bytes::from_static(said));
    let all = [one(7, b"one"), one(8, b"two"), one(9, b"ten"), one(10, b"six")];
    assert_eq!(spoken(&mut transport, 4).await, all);
    assert_eq!(transport.ignored_datagrams(), 2);
}

async fn webtransport() -> (Endpoint, Client, WebTransport) {
    let certificates = Certificates::own(SystemTime::now()).unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let clock = MonotonicClock::shared();
    let config = EndpointConfig::default();
    let endpoint = Endpoint::open(socket, config, &certificates, clock.clone()).unwrap();
    let url = format!("https://{}/wt/a?ticket=b", endpoint.local_addr().unwrap());
    let config = ConnectionConfig {
        codec: Codec::H264,
        depth: BitDepth::Eight,
        deadlines: Deadlines { key: Duration::from_secs(60), other: Duration::from_secs(60) },
        pacing: None,
    };
    let server = async {
        let request = tokio::time::timeout(client::PATIENCE, endpoint.request()).await;
        request.unwrap().unwrap().accept(config, clock.clone()).await.unwrap()
    };
    let (hashes, manners) = (certificates.hashes(), Manners::default());
    let (client, mut transport) = tokio::join!(Client::connect(&url, &hashes, &manners), server);
    let connected = event(&mut transport).await;
    assert!(matches!(connected, TransportEvent::Connected { .. }));
    (endpoint, client.unwrap(), transport)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_has_a_packet_with_a_time_on_the_clock_of_frames() {
    let (_endpoint, client, mut transport) = webtransport().await;
    let mut frames = transport.video_sink(TrackId(0));
    frames.send(unit(0, MediaTime::from_millis(1_000), Bytes::from(vec![1; 3_000]))).unwrap();
    let (frame, _) = client.frame().await;
    let mut sink = transport.audio_sink().unwrap();
    assert!(!sink.wants_fec());
    let mut first = None;
    for (n, millis) in [1_000, 1_010, 1_400].into_iter().enumerate() {
        sink.send(&packet(millis)).unwrap();
        let came = tokio::time::timeout(client::PATIENCE, client.connection.receive_datagram());
        let datagram = came.await.expect("no sound came").unwrap();
        let sound = AudioDatagram::decode(&datagram).unwrap();
        assert_eq!(sound.packet, packet(millis).data);
        assert_eq!((sound.length, sound.earlier.len()), (4, 0), "nothing is lost on loopback");
        let number = *first.get_or_insert(sound.sequence);
        assert_eq!(usize::from(sound.sequence.wrapping_sub(number)), n);
        let since = sound.timestamp.wrapping_sub(frame.wire_timestamp);
        assert_eq!(since, (millis as u32 - 1_000) * 90);
    }
    let _next = transport.audio_sink().unwrap();
    assert_eq!(sink.send(&packet(1_410)), Err(SendRefused::NotConnected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_takes_nothing_from_what_frames_are_counted_as() {
    let (_endpoint, client, mut transport) = webtransport().await;
    let mut frames = transport.video_sink(TrackId(0));
    let mut sink = transport.audio_sink().unwrap();
    for n in 0..20 {
        let at = 1_000 + 20 * n;
        sink.send(&packet(at)).unwrap();
        frames.send(unit(n, MediaTime::from_millis(at), Bytes::from(vec![1; 30_000]))).unwrap();
        sink.send(&packet(at + 10)).unwrap();
        let (header, _) = client.frame().await;
        let sent = client::until(&mut transport, |event| {
            matches!(event, TransportEvent::FrameSent { .. })
        });
        let TransportEvent::FrameSent { wire_timestamp, .. } = sent.await else { unreachable!() };
        assert_eq!(wire_timestamp, header.wire_timestamp, "frame {n}");
    }
}
