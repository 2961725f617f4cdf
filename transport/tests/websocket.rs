//! A WebSocket transport and a client of it, with a socket of channels between them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod client;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::socket::End;
use client::{MonotonicClock, PATIENCE, event, unit, until};
use futures::{SinkExt as _, StreamExt as _};
use media::websocket::{Piece, first_byte};
use media::webtransport::{AUDIO, AudioDatagram, FrameHeader, PADDING};
use media::{
    AccessUnit, Acks, AudioPacket, BitDepth, Bitrate, Clock, CloseReason, Codec, DataChannel,
    FrameAck, FrameId, FrameState, Layout, Mark, MediaTime, Part, SendRefused, TrackId, Transport,
    TransportEvent, UnitKind,
};
use nearlight_transport::websocket::{ConnectionConfig, Message, Request, WebSocket};

/// What a client saw.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Control(Bytes),
    Sound(Bytes),
    Padding(usize),
    /// A frame, and of how many pieces it was.
    Frame(FrameHeader, Vec<u8>, usize),
    Closed(u16, String),
}

struct Client {
    end: End,
    /// The frame that is coming, of track 0.
    open: Option<(FrameHeader, Vec<u8>, usize)>,
}

impl Client {
    async fn send(&mut self, message: Message) {
        tokio::time::timeout(PATIENCE, self.end.send(message)).await.unwrap().unwrap();
    }

    async fn say(&mut self, channel: DataChannel, body: &[u8]) {
        let message = [&[first_byte(channel)][..], body].concat();
        self.send(Message::Binary(message.into())).await;
    }

    async fn ack(&mut self, wire_timestamp: u32, us: u64) {
        let mut out = Vec::new();
        let state = FrameState::Decoded;
        let frame = FrameAck { wire_timestamp, state, first_us: us, last_us: us };
        Acks { decode_queue: Some(0), frames: vec![frame] }.encode(&mut out);
        self.say(DataChannel::Acks, &out).await;
    }

    /// What comes next, pings aside, which are answered.
    async fn came(&mut self) -> Came {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.end.next()).await;
            let message = next.expect("nothing came").expect("it ended without a word").unwrap();
            match message {
                Message::Ping(bytes) => {
                    // A server that is done does not wait for it.
                    let _ = self.end.send(Message::Pong(bytes)).await;
                }
                Message::Close { code, reason } => return Came::Closed(code, reason),
                Message::Binary(bytes) => match bytes[0] {
                    0 => return Came::Control(bytes.slice(1..)),
                    AUDIO => return Came::Sound(bytes),
                    PADDING => return Came::Padding(bytes.len()),
                    _ => {
                        if let Some(frame) = self.piece(&bytes) {
                            return frame;
                        }
                    }
                },
                other => panic!("{other:?}"),
            }
        }
    }

    fn piece(&mut self, message: &[u8]) -> Option<Came> {
        let (piece, data) = Piece::decode(message).expect("a piece");
        if let Some(header) = piece.header {
            self.open = Some((header, Vec::new(), 0));
        }
        let (_, bytes, pieces) = self.open.as_mut().expect("begun before");
        bytes.extend(data);
        *pieces += 1;
        let (header, bytes, pieces) = self.open.take_if(|_| piece.last)?;
        Some(Came::Frame(header, bytes, pieces))
    }

    /// Waits until a frame has begun to come.
    async fn begun(&mut self) {
        while self.open.is_none() {
            let next = tokio::time::timeout(PATIENCE, self.end.next()).await;
            if let Some(Ok(Message::Binary(bytes))) = next.expect("nothing came") {
                self.piece(&bytes);
            }
        }
    }

    async fn frame(&mut self) -> (FrameHeader, Vec<u8>, usize) {
        loop {
            if let Came::Frame(header, bytes, pieces) = self.came().await {
                return (header, bytes, pieces);
            }
        }
    }

    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Came::Closed(code, reason) = self.came().await {
                return (code, reason);
            }
        }
    }
}

fn socket() -> (Client, Request) {
    let (end, server) = End::pair();
    (Client { end, open: None }, Request::new(server))
}

fn config() -> ConnectionConfig {
    ConnectionConfig::new(Codec::H264, BitDepth::Eight)
}

async fn pair_with(config: ConnectionConfig) -> (Client, WebSocket) {
    pair_at(config, MonotonicClock::shared()).await
}

async fn pair_at(config: ConnectionConfig, clock: Arc<dyn Clock>) -> (Client, WebSocket) {
    let (client, request) = socket();
    let mut transport = request.accept(config, clock).unwrap();
    let connected = event(&mut transport).await;
    assert!(matches!(connected, TransportEvent::Connected { codec: Codec::H264 }));
    for channel in DataChannel::ALL {
        let open = event(&mut transport).await;
        assert!(matches!(open, TransportEvent::ChannelOpen(of) if of == channel), "{open:?}");
    }
    (client, transport)
}

async fn pair() -> (Client, WebSocket) {
    pair_with(config()).await
}

fn body(n: u64, len: usize) -> Bytes {
    Bytes::from(client::nal(0x41, len, n))
}

fn frame(n: u64, len: usize) -> AccessUnit {
    unit(n, MediaTime::from_millis(16 * n), body(n, len))
}

async fn closed(transport: &mut WebSocket) -> CloseReason {
    let closed = until(transport, |event| matches!(event, TransportEvent::Closed(_))).await;
    let TransportEvent::Closed(reason) = closed else { unreachable!() };
    reason
}

#[tokio::test]
async fn frames_arrive_whole_in_pieces_and_are_reported_with_every_mark() {
    let (mut client, mut transport) = pair().await;
    let mut sink = transport.video_sink(TrackId(0));
    let mut before = None;
    for n in 0..20 {
        let len = if n == 0 { 150_000 } else { 3_000 + n as usize };
        sink.send(frame(n, len)).unwrap();
        let (header, bytes, pieces) = client.frame().await;
        assert_eq!(bytes, body(n, len));
        assert_eq!((header.frame, header.refers_to), (FrameId(n), n.checked_sub(1).map(FrameId)));
        assert_eq!(header.kind, if n == 0 { UnitKind::Key } else { UnitKind::Delta });
        assert_eq!(header.bytes as usize, len);
        assert_eq!(pieces, len.div_ceil(16_000), "what is short waits for no more than a piece");
        if let Some(before) = before.replace(header.wire_timestamp) {
            assert_eq!(header.wire_timestamp.wrapping_sub(before), 16 * 90);
        }
        let sent = until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. }));
        let TransportEvent::FrameSent { frame, wire_timestamp, bytes, stages, .. } = sent.await
        else {
            unreachable!()
        };
        assert_eq!((frame, wire_timestamp), (FrameId(n), header.wire_timestamp));
        assert!(bytes as usize > len, "{bytes}");
        let after =
            [Mark::Dequeued, Mark::Packetised, Mark::Paced, Mark::FirstSent, Mark::LastSent];
        let times = after.map(|mark| stages.get(mark).unwrap_or_else(|| panic!("{mark:?}")));
        assert!(times.is_sorted(), "{times:?}");
    }
}

#[tokio::test]
async fn control_and_sound_go_between_the_pieces_of_a_frame() {
    let (mut client, mut transport) = pair().await;
    transport.video_sink(TrackId(0)).send(frame(0, 900_000)).unwrap();
    client.begun().await;
    let mut sound = transport.audio_sink().unwrap();
    let mut old = std::mem::replace(&mut sound, transport.audio_sink().unwrap());
    let packet = AudioPacket {
        track: TrackId(0),
        captured_at: MediaTime::from_millis(3),
        duration: Duration::from_millis(10),
        layout: media::Layout::Stereo,
        data: Bytes::from_static(b"opus"),
    };
    assert_eq!(old.send(&packet), Err(SendRefused::NotConnected), "another took its place");
    assert!(!sound.wants_fec());
    // The writer holds one message at the most; it is full of the frame.
    let mut taken = 0;
    while sound.send(&packet).is_ok() {
        taken += 1;
        assert!(taken <= 16, "nobody has read");
    }
    transport.send_data(DataChannel::Control, Bytes::from_static(b"{}")).unwrap();
    assert_eq!(client.came().await, Came::Control(Bytes::from_static(b"{}")));
    for n in 0..taken {
        let Came::Sound(datagram) = client.came().await else { panic!("no sound") };
        let datagram = AudioDatagram::decode(&datagram).unwrap();
        assert_eq!((datagram.sequence, datagram.length, datagram.packet), (n, 4, &b"opus"[..]));
    }
    assert_eq!(client.frame().await.1.len(), 900_000);
    let refused = transport.send_data(DataChannel::Input, Bytes::new());
    assert_eq!(refused, Err(SendRefused::NotConnected));
}

#[tokio::test]
async fn what_a_client_says_comes_by_its_channel() {
    let (mut client, mut transport) = pair().await;
    for channel in DataChannel::ALL {
        client.say(channel, b"abc").await;
        let data = until(&mut transport, |event| matches!(event, TransportEvent::Data(..))).await;
        let TransportEvent::Data(by, message) = data else { unreachable!() };
        assert_eq!((by, &message[..]), (channel, &b"abc"[..]));
    }
}

#[tokio::test]
async fn of_a_client_that_reads_nothing_two_frames_wait_and_none_is_lost() {
    let (mut client, mut transport) = pair().await;
    let mut sink = transport.video_sink(TrackId(0));
    let mut sent = 0;
    // The first ones may pass: some messages fit in between.
    while sink.is_ready() {
        sink.send(frame(sent, 100_000)).unwrap();
        sent += 1;
        tokio::task::yield_now().await;
        assert!(sent < 10, "nobody has read");
    }
    assert_eq!(sink.send(frame(sent, 10)), Err(SendRefused::Full));
    for n in 0..sent {
        assert_eq!(client.frame().await.0.frame, FrameId(n));
    }
    until(&mut transport, |event| {
        assert!(!matches!(event, TransportEvent::FramesLost(..)));
        matches!(event, TransportEvent::FrameSent { frame, .. } if frame.0 + 1 == sent)
    })
    .await;
    assert!(sink.is_ready());
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_long_is_cut_off() {
    // Longer than a thread stands still, after which its client would count as silent.
    let config = ConnectionConfig { unreachable_after: Duration::from_secs(5), ..config() };
    let (mut client, mut transport) = pair_with(config).await;
    transport.video_sink(TrackId(0)).send(frame(0, 100_000)).unwrap();
    let talking = tokio::spawn(async move {
        // It is heard all the while.
        while client.end.send(Message::Binary(Bytes::from_static(&[2]))).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let reason = closed(&mut transport).await;
    assert_eq!(reason, CloseReason::Failed("the client takes nothing".to_owned()));
    talking.await.unwrap();
}

#[tokio::test]
async fn a_silent_client_is_interrupted_comes_back_and_is_gone() {
    let config = ConnectionConfig {
        interrupted_after: Duration::from_millis(100),
        unreachable_after: Duration::from_secs(5),
        ..config()
    };
    let (mut client, mut transport) = pair_with(config).await;
    until(&mut transport, |event| matches!(event, TransportEvent::Interrupted)).await;
    {
        let back = until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. }));
        tokio::pin!(back);
        // Until it is noticed, however late anybody looks.
        while tokio::time::timeout(Duration::from_millis(10), &mut back).await.is_err() {
            client.say(DataChannel::Motion, b"").await;
        }
    }
    until(&mut transport, |event| matches!(event, TransportEvent::Interrupted)).await;
    assert_eq!(closed(&mut transport).await, CloseReason::Unreachable);
}

#[tokio::test]
async fn what_nobody_may_send_ends_the_connection_with_a_reason_on_both_sides() {
    let long = |channel: DataChannel| {
        let mut message = vec![first_byte(channel)];
        message.resize(2 + media::websocket::limit(channel), 0);
        Message::Binary(message.into())
    };
    let cases = [
        (Message::Text, "the client sent text"),
        (Message::Binary(Bytes::new()), "the client sent an empty message"),
        (
            Message::Binary(Bytes::from_static(&[9, 9])),
            "the client sent a message of the unknown kind 0x09",
        ),
        (
            long(DataChannel::Control),
            "the client sent a message of 65537 bytes, of which 65536 are allowed",
        ),
        (
            long(DataChannel::Input),
            "the client sent a message of 1025 bytes, of which 1024 are allowed",
        ),
        (
            long(DataChannel::Acks),
            "the client sent a message of 1025 bytes, of which 1024 are allowed",
        ),
    ];
    for (message, why) in cases {
        let (mut client, mut transport) = pair().await;
        let (_others, mut other) = pair().await;
        client.send(message).await;
        assert_eq!(client.closed().await, (1_008, why.to_owned()));
        assert_eq!(closed(&mut transport).await, CloseReason::Failed(why.to_owned()));
        assert!(!transport.video_sink(TrackId(0)).is_ready());
        assert!(other.video_sink(TrackId(0)).is_ready(), "another is untouched");
    }
}

#[tokio::test]
async fn a_flood_of_input_waits_in_front_of_the_socket() {
    let (client, mut transport) = pair().await;
    let (mut to, _from) = (client.end.to, client.end.from);
    let mut flood = 0_u32;
    // Nobody reads the events: 256 wait, and few between. All tasks have this thread: where none finds room for so many of its
    // turns, none will.
    let mut idle = 0;
    while idle < 1_000 {
        let message = [&[1][..], &flood.to_be_bytes()].concat();
        match to.try_send(Message::Binary(message.into())) {
            Ok(()) => (flood, idle) = (flood + 1, 0),
            Err(error) => {
                assert!(error.is_full(), "{error}");
                idle += 1;
            }
        }
        assert!(flood < 300, "it never waits");
        tokio::task::yield_now().await;
    }
    assert!((256..300).contains(&flood), "{flood}");
    for n in 0..flood {
        let data = until(&mut transport, |event| matches!(event, TransportEvent::Data(..))).await;
        let TransportEvent::Data(DataChannel::Input, message) = data else { panic!("{data:?}") };
        assert_eq!(message[..], n.to_be_bytes(), "none is lost");
    }
}

#[tokio::test]
async fn motion_and_acknowledgements_that_nobody_reads_are_dropped_and_a_flood_is_cut_off() {
    // All of it comes within a second.
    let still = Arc::new(testkit::FakeClock::default());
    let (mut client, mut transport) = pair_at(config(), still).await;
    for _ in 0..300 {
        client.say(DataChannel::Motion, b"x").await;
    }
    // More than anybody has to say in a second.
    let mut sent = 0;
    while client.end.send(Message::Binary(Bytes::from_static(&[3, 1]))).await.is_ok() {
        sent += 1;
        assert!(sent < 11_000, "it is never cut off");
    }
    assert!(transport.dropped_events() > 0);
    let reason = closed(&mut transport).await.to_string();
    assert!(reason.contains("acknowledgements in a second"), "{reason}");
}

#[tokio::test]
async fn a_flood_of_control_messages_is_cut_off() {
    // All of it comes within a second.
    let still = Arc::new(testkit::FakeClock::default());
    let (mut client, mut transport) = pair_at(config(), still).await;
    let reads = tokio::spawn(async move { closed(&mut transport).await });
    let mut sent = 0;
    while client.end.send(Message::Binary(Bytes::from_static(b"\0{}"))).await.is_ok() {
        sent += 1;
        assert!(sent < 1_100, "it is never cut off");
    }
    let CloseReason::Flood(reason) = reads.await.unwrap() else { panic!("no flood") };
    assert_eq!(reason, "the client kept sending more than 200 control messages a second");
}

#[tokio::test]
async fn a_flood_of_what_says_nothing_is_cut_off() {
    let spoken = AudioDatagram {
        sequence: 1,
        timestamp: 0,
        length: 8,
        layout: Layout::Stereo,
        packet: &[9],
        earlier: Default::default(),
    };
    let mut voice = Vec::new();
    spoken.encode(&mut voice);
    let voice = Message::Binary(voice.into());
    for message in [Message::Ping(Bytes::new()), Message::Pong(Bytes::new()), voice] {
        // All of it comes within a second.
        let still = Arc::new(testkit::FakeClock::default());
        let (mut client, mut transport) = pair_at(config(), still).await;
        let mut sent = 0;
        while client.end.send(message.clone()).await.is_ok() {
            sent += 1;
            assert!(sent < 22_000, "it is never cut off");
        }
        let CloseReason::Flood(reason) = closed(&mut transport).await else { panic!("no flood") };
        let most = "the client kept sending more than 20000 messages a second that say nothing";
        assert_eq!(reason, most);
    }
}

#[tokio::test]
async fn acknowledgements_tell_what_arrived_and_those_of_frames_never_sent_nothing() {
    let (mut client, mut transport) = pair().await;
    let mut sink = transport.video_sink(TrackId(0));
    for n in 0..10 {
        sink.send(frame(n, 10_000)).unwrap();
        let (header, ..) = client.frame().await;
        let never_sent = header.wire_timestamp.wrapping_add(1_000_000);
        client.ack(never_sent, 1).await;
        client.ack(header.wire_timestamp, 9_000 + n).await;
        client.ack(never_sent, 1).await;
        // A report is of 50 ms, and frames come faster here.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.send(Message::Close { code: 1_000, reason: String::new() }).await;
    let (mut acked, mut reports) = (0, 0);
    loop {
        match event(&mut transport).await {
            TransportEvent::Path(report) => {
                assert_eq!((report.lost_packets, report.ecn_ce), (0, 0));
                assert!(report.newest_sent <= report.at, "{report:?}");
                acked += report.acked_bytes;
                reports += 1;
            }
            TransportEvent::Closed(_) => break,
            _ => {}
        }
    }
    // What came after the last report is in none, and nothing is in two.
    assert!((10_000..=110_000).contains(&acked) && reports <= 10, "{acked} in {reports}");
}

#[tokio::test]
async fn padding_fills_up_to_the_rate_until_it_is_told_otherwise() {
    let (mut client, mut transport) = pair().await;
    transport.probe(Bitrate::from_mbps(8), PATIENCE);
    let mut padding = 0;
    while padding < 150_000 {
        if let Came::Padding(bytes) = client.came().await {
            padding += bytes;
        }
    }
    transport.probe(Bitrate::from_mbps(8), Duration::ZERO);
    transport.send_data(DataChannel::Control, Bytes::from_static(b"now")).unwrap();
    while client.came().await != Came::Control(Bytes::from_static(b"now")) {}
    // What was asked before the end of it was heard may still come; a frame comes in any case.
    transport.video_sink(TrackId(0)).send(frame(0, 100)).unwrap();
    client.frame().await;
}

#[tokio::test]
async fn parts_leave_as_they_come_and_a_frame_without_an_end_is_lost() {
    let (mut client, mut transport) = pair().await;
    let mut sink = transport.video_sink(TrackId(0));
    let part = |n: u64, first: bool, last: bool| AccessUnit {
        part: Part { first, last },
        ..frame(n, 1_000)
    };
    sink.send(part(0, true, false)).unwrap();
    sink.send(part(0, false, false)).unwrap();
    sink.send(part(0, false, true)).unwrap();
    let (header, bytes, pieces) = client.frame().await;
    assert_eq!((header.bytes, bytes.len(), pieces), (0, 3_000, 3));
    // Its place is free a moment after it came.
    until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
    sink.send(part(1, true, false)).unwrap();
    sink.send(frame(2, 1_000)).unwrap();
    assert_eq!(client.frame().await.0.frame, FrameId(2));
    let lost = until(&mut transport, |event| matches!(event, TransportEvent::FramesLost(..))).await;
    let TransportEvent::FramesLost(TrackId(0), frames) = lost else { panic!("{lost:?}") };
    assert_eq!(frames, FrameId(1)..=FrameId(1));
    assert_eq!(sink.send(part(1, false, true)), Ok(()), "it is passed over");
    sink.send(frame(3, 1_000)).unwrap();
    assert_eq!(client.frame().await.0.frame, FrameId(3));
}

#[tokio::test]
async fn a_frame_takes_as_long_as_its_pace_says() {
    let config = ConnectionConfig { pacing: Some(Bitrate::from_mbps(4)), ..config() };
    let (mut client, mut transport) = pair_with(config).await;
    transport.video_sink(TrackId(0)).send(frame(0, 100_000)).unwrap();
    client.frame().await;
    let sent = until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. }));
    let TransportEvent::FrameSent { stages, .. } = sent.await else { unreachable!() };
    let [first, last] = [Mark::FirstSent, Mark::LastSent].map(|mark| stages.get(mark).unwrap());
    // 200 ms but for the first piece, which waits for nothing.
    assert!(last.since(first) >= Duration::from_millis(180), "{:?}", last.since(first));
}

#[tokio::test]
async fn what_was_said_before_our_close_arrives_before_the_goodbye() {
    let (mut client, mut transport) = pair().await;
    // The writer waits with a frame, and what is said waits behind it.
    transport.video_sink(TrackId(0)).send(frame(0, 900_000)).unwrap();
    client.begun().await;
    let said = |n: u8| Bytes::from(vec![n; 3]);
    for n in 0..8 {
        transport.send_data(DataChannel::Control, said(n)).unwrap();
    }
    transport.close();
    let late = transport.send_data(DataChannel::Control, said(8));
    assert_eq!(late, Err(SendRefused::NotConnected));
    for n in 0..8 {
        assert_eq!(client.came().await, Came::Control(said(n)));
    }
    assert_eq!(client.closed().await, (1_001, "closed by the server".to_owned()));
    // What the client says meanwhile is read, and goes nowhere.
    client.say(DataChannel::Input, b"late").await;
    client.send(Message::Close { code: 1_001, reason: String::new() }).await;
    assert_eq!(closed(&mut transport).await, CloseReason::Local);
}

#[tokio::test]
async fn it_ends_with_a_goodbye_whoever_says_it() {
    let (mut client, transport) = pair().await;
    drop(transport);
    assert_eq!(client.closed().await, (1_001, "closed by the server".to_owned()));
    let (mut client, mut transport) = pair().await;
    client.send(Message::Close { code: 1_000, reason: String::new() }).await;
    assert_eq!(closed(&mut transport).await, CloseReason::Remote);
    let (client, mut transport) = pair().await;
    drop(client);
    assert!(matches!(closed(&mut transport).await, CloseReason::Remote | CloseReason::Failed(_)));
    let (mut client, request) = socket();
    request.refuse(&"ä".repeat(100)).await;
    assert_eq!(client.closed().await, (4_000, "ä".repeat(61)));
}
