//! The client's side of a connection, made with the same stack: offers, receives, sends data.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests; a failure is a panic")]

pub mod descriptor;
pub mod lossy;
pub mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use media::{
    AccessUnit, Codec, ColorDescription, Damage, DataChannel, FrameId, MediaTime, Part, StageTimes,
    TrackId, Transport, TransportEvent, UnitKind, Views,
};
use nearlight_transport::{
    Answer, Certificate, MediaPort, PortConfig, WebRtc, WebRtcConfig, WebRtcTransport,
};
use rtc::data_channel::RTCDataChannelInit;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp;
use rtc::rtp::codec::h264::H264Packet;
use rtc::rtp::packetizer::Depacketizer;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
pub use testkit::WallClock as MonotonicClock;
use tokio::sync::{Notify, mpsc};
use webrtc::data_channel::DataChannelEvent;
use webrtc::media_stream::track_local::TrackLocal as _;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry,
    SettingEngineBuilder, register_default_interceptors,
};

use webrtc::runtime::{Runtime, TokioRuntime};

/// How long real I/O may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The dependency descriptor (AV1 RTP specification, appendix A.2).
const DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// SSRC of a client's voice.
const VOICE: u32 = 77_777;

/// What the client asks for.
#[derive(Clone, Copy)]
pub struct Wish {
    pub videos: usize,
    pub audio: bool,
    /// Sound goes both ways.
    pub voice: bool,
    pub data: bool,
    /// Repair packets (FlexFEC-03), which the interceptors must then be able to use.
    pub repair: bool,
}

impl Wish {
    pub const PAGE: Self =
        Self { videos: 1, audio: false, voice: false, data: true, repair: false };
    pub const PLAYER: Self =
        Self { videos: 1, audio: false, voice: false, data: false, repair: false };
}

/// Something that reached the client.
#[derive(Debug)]
pub enum Arrived {
    Packet(rtp::Packet),
    Open(DataChannel),
    Message(DataChannel, Bytes),
    State(RTCPeerConnectionState),
}

struct Handler {
    arrived: mpsc::UnboundedSender<Arrived>,
    gathered: Arc<Notify>,
    tracks: mpsc::UnboundedSender<Arc<dyn TrackRemote>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.notify_one();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.arrived.send(Arrived::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let (arrived, tracks) = (self.arrived.clone(), self.tracks.clone());
        let _ = tracks.send(track.clone());
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let _ = arrived.send(Arrived::Packet(packet));
                }
            }
        });
    }
}

pub struct Client {
    pub peer: Arc<dyn PeerConnection>,
    pub channels: BTreeMap<u16, Arc<dyn webrtc::data_channel::DataChannel>>,
    voice: Option<Arc<TrackLocalStaticRTP>>,
    pub arrived: mpsc::UnboundedReceiver<Arrived>,
    kept: VecDeque<Arrived>,
    open: Vec<DataChannel>,
    tracks: mpsc::UnboundedReceiver<Arc<dyn TrackRemote>>,
    track: Option<Arc<dyn TrackRemote>>,
    depacketizers: BTreeMap<u32, (H264Packet, BytesMut)>,
    /// The number that comes next, of each stream of frames.
    numbers: BTreeMap<u32, u16>,
    /// How often another one came: a socket that was full loses packets, what repairs them is passed over here, and whoever
    /// waits for something else drops them.
    pub gaps: u64,
}

impl Client {
    /// A client and its offer.
    pub async fn offer(wish: Wish) -> (Self, String) {
        Self::offer_on(wish, Arc::new(TokioRuntime)).await
    }

    /// A client and its offer, on a runtime of the test's choice.
    pub async fn offer_on(wish: Wish, runtime: Arc<dyn Runtime>) -> (Self, String) {
        Self::offer_with(wish, runtime, &["127.0.0.1:0"], &[], |registry| registry).await
    }

    /// The same from addresses of the test's choice.
    pub async fn offer_from(
        wish: Wish,
        runtime: Arc<dyn Runtime>,
        udp: &[&'static str],
        tcp: &[&'static str],
    ) -> (Self, String) {
        Self::offer_with(wish, runtime, udp, tcp, |registry| registry).await
    }

    /// A client and its offer, with other interceptors than the stock ones.
    pub async fn offer_with(
        wish: Wish,
        runtime: Arc<dyn Runtime>,
        udp: &[&'static str],
        tcp: &[&'static str],
        tune: impl FnOnce(Registry) -> Registry,
    ) -> (Self, String) {
        let (arrived_tx, arrived) = mpsc::unbounded_channel();
        let (tracks_tx, tracks) = mpsc::unbounded_channel();
        let gathered = Arc::new(Notify::new());
        let handler =
            Handler { arrived: arrived_tx.clone(), gathered: gathered.clone(), tracks: tracks_tx };
        let mut engine = media_engine(wish.repair);
        let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let built = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            // The stack's own 200 ms between checks would hide how fast a server is.
            .with_setting_engine(
                SettingEngineBuilder::new()
                    .with_ice_connection_attempts(Some(Duration::from_millis(20)), None)
                    .with_include_loopback_candidate(true)
                    .build(),
            )
            .with_interceptor_registry(tune(registry))
            .with_handler(Arc::new(handler))
            .with_runtime(runtime)
            .with_udp_addrs(udp.to_vec())
            .with_tcp_addrs(tcp.to_vec())
            .build()
            .await;
        let peer: Arc<dyn PeerConnection> = Arc::new(built.unwrap());
        let voice = if wish.voice { Some(speak(&peer).await) } else { None };
        if wish.audio && !wish.voice {
            receive_only(&peer, RtpCodecKind::Audio).await;
        }
        for _ in 0..wish.videos {
            receive_only(&peer, RtpCodecKind::Video).await;
        }
        let mut channels = BTreeMap::new();
        if wish.data {
            for name in DataChannel::ALL {
                channels.insert(name as u16, open(&peer, name, arrived_tx.clone()).await);
            }
        }
        let offer = peer.create_offer(None).await.unwrap();
        peer.set_local_description(offer).await.unwrap();
        tokio::time::timeout(PATIENCE, gathered.notified()).await.unwrap();
        let sdp = peer.local_description().await.unwrap().sdp;
        (
            Self {
                peer,
                channels,
                voice,
                arrived,
                kept: VecDeque::new(),
                open: Vec::new(),
                tracks,
                track: None,
                depacketizers: BTreeMap::new(),
                numbers: BTreeMap::new(),
                gaps: 0,
            },
            sdp,
        )
    }

    /// Says this in a packet of this number.
    pub async fn say(&self, sequence_number: u16, payload: &'static [u8]) {
        let header = rtp::Header {
            version: 2,
            payload_type: 111,
            sequence_number,
            timestamp: u32::from(sequence_number) * 960,
            ssrc: VOICE,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: Bytes::from_static(payload) };
        self.voice.as_ref().expect("it has a voice").write_rtp(packet).await.unwrap();
    }

    pub async fn accept(&self, answer: &Answer) {
        let answer = RTCSessionDescription::answer(answer.sdp.clone()).unwrap();
        self.peer.set_remote_description(answer).await.unwrap();
    }

    pub async fn next(&mut self) -> Arrived {
        if let Some(kept) = self.kept.pop_front() {
            return kept;
        }
        self.fresh().await
    }

    async fn fresh(&mut self) -> Arrived {
        let next = tokio::time::timeout(PATIENCE, self.arrived.recv()).await;
        let next = next.expect("nothing arrived").expect("the client ended");
        if let Arrived::Open(channel) = &next {
            self.open.push(*channel);
        }
        next
    }

    /// Waits for a state of the connection; keeps what else arrives.
    pub async fn state(&mut self, wanted: RTCPeerConnectionState) {
        loop {
            match self.fresh().await {
                Arrived::State(state) if state == wanted => return,
                other => self.kept.push_back(other),
            }
        }
    }

    /// Waits until the client's side of a channel is open; keeps what else arrives.
    pub async fn opened(&mut self, channel: DataChannel) {
        while !self.open.contains(&channel) {
            let next = self.fresh().await;
            self.kept.push_back(next);
        }
    }

    /// The next packet but for those that repair frames, and padding.
    pub async fn packet(&mut self) -> rtp::Packet {
        loop {
            let Arrived::Packet(packet) = self.next().await else { continue };
            if ![RTX_OF_VP8, RTX_OF_H264, FLEXFEC].contains(&packet.header.payload_type) {
                return packet;
            }
        }
    }

    /// The next whole frame: SSRC, timestamp, Annex B. Where [`gaps`](Self::gaps) grew, it is what came after.
    pub async fn frame(&mut self) -> (u32, u32, Bytes) {
        loop {
            let packet = self.packet().await;
            let (depacketizer, unit) = self.depacketizers.entry(packet.header.ssrc).or_default();
            let number = packet.header.sequence_number;
            let next = self.numbers.entry(packet.header.ssrc).or_insert(number);
            let ahead = number.wrapping_sub(*next).cast_signed();
            self.gaps += u64::from(ahead != 0);
            if ahead > 0 {
                // Nothing is made of pieces of two frames.
                (*depacketizer, *unit) = (H264Packet::default(), BytesMut::new());
            }
            if ahead >= 0 {
                *next = number.wrapping_add(1);
            }
            unit.extend_from_slice(&depacketizer.depacketize(&packet.payload).unwrap());
            if packet.header.marker {
                let whole = unit.split().freeze();
                return (packet.header.ssrc, packet.header.timestamp, whole);
            }
        }
    }

    pub async fn send(&self, channel: DataChannel, body: &[u8]) {
        self.channels[&(channel as u16)].send(BytesMut::from(body)).await.unwrap();
    }

    /// Asks for a keyframe.
    pub async fn picture_loss(&mut self, ssrc: u32) {
        let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
        self.feed_back(Box::new(pli)).await;
    }

    /// Sends RTCP about the first track, which media must have come on.
    pub async fn feed_back(&mut self, packet: Box<dyn rtcp::Packet>) {
        let track = match &self.track {
            Some(track) => track,
            None => {
                let track = tokio::time::timeout(PATIENCE, self.tracks.recv()).await.unwrap();
                self.track.insert(track.unwrap())
            }
        };
        track.write_rtcp(vec![packet]).await.unwrap();
    }
}

/// Payload types of what repairs frames, and of padding that probes the path.
const RTX_OF_VP8: u8 = 97;
const RTX_OF_H264: u8 = 109;
const FLEXFEC: u8 = 110;

fn media_engine(repair: bool) -> MediaEngine {
    let mut engine = MediaEngine::default();
    let codec =
        |mime: &str, clock_rate, channels, fmtp: &str, payload_type| RTCRtpCodecParameters {
            rtp_codec: RTCRtpCodec {
                mime_type: mime.to_owned(),
                clock_rate,
                channels,
                sdp_fmtp_line: fmtp.to_owned(),
                rtcp_feedback: vec![],
            },
            payload_type,
        };
    let h264 =
        |id: &str| format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={id}");
    let video = [
        codec("video/VP8", 90_000, 0, "", 96),
        codec("video/rtx", 90_000, 0, "apt=96", RTX_OF_VP8),
        codec("video/H264", 90_000, 0, &h264("64001f"), 98),
        codec("video/H264", 90_000, 0, &h264("42e01f"), 108),
        codec("video/rtx", 90_000, 0, "apt=108", RTX_OF_H264),
    ];
    let repair =
        repair.then(|| codec("video/flexfec-03", 90_000, 0, "repair-window=10000000", FLEXFEC));
    for codec in video.into_iter().chain(repair) {
        engine.register_codec(codec, RtpCodecKind::Video).unwrap();
    }
    let opus = codec("audio/opus", 48_000, 2, "minptime=10;useinbandfec=1", 111);
    engine.register_codec(opus, RtpCodecKind::Audio).unwrap();
    let fir = RTCPFeedback { typ: "ccm".to_owned(), parameter: "fir".to_owned() };
    engine.register_feedback(fir, RtpCodecKind::Video);
    for name in ["playout-delay", "color-space"] {
        let uri = format!("http://www.webrtc.org/experiments/rtp-hdrext/{name}");
        let extension = RTCRtpHeaderExtensionCapability { uri };
        engine.register_header_extension(extension, RtpCodecKind::Video, None).unwrap();
    }
    let extension = RTCRtpHeaderExtensionCapability { uri: DESCRIPTOR.to_owned() };
    engine.register_header_extension(extension, RtpCodecKind::Video, None).unwrap();
    engine
}

/// A track that the client speaks by.
async fn speak(peer: &Arc<dyn PeerConnection>) -> Arc<TrackLocalStaticRTP> {
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(VOICE), ..Default::default() },
        codec: RTCRtpCodec {
            mime_type: "audio/opus".to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            rtcp_feedback: vec![],
        },
        ..Default::default()
    };
    let name = |end: &str| format!("voice{end}");
    let (stream, track, label) = (name(""), name("-track"), name(""));
    let track = MediaStreamTrack::new(stream, track, label, RtpCodecKind::Audio, vec![encoding]);
    let writer = Arc::new(TrackLocalStaticRTP::new(track));
    peer.add_track(writer.clone()).await.unwrap();
    writer
}

async fn receive_only(peer: &Arc<dyn PeerConnection>, kind: RtpCodecKind) {
    let init = RTCRtpTransceiverInit {
        direction: RTCRtpTransceiverDirection::Recvonly,
        ..Default::default()
    };
    peer.add_transceiver_from_kind(kind, Some(init)).await.unwrap();
}

async fn open(
    peer: &Arc<dyn PeerConnection>,
    name: DataChannel,
    arrived: mpsc::UnboundedSender<Arrived>,
) -> Arc<dyn webrtc::data_channel::DataChannel> {
    let heals = name.heals();
    let init = RTCDataChannelInit {
        ordered: !heals,
        max_retransmits: heals.then_some(0),
        negotiated: Some(name as u16),
        ..Default::default()
    };
    let channel = peer.create_data_channel(name.label(), Some(init)).await.unwrap();
    let reader = channel.clone();
    tokio::spawn(async move {
        while let Some(event) = reader.poll().await {
            let event = match event {
                DataChannelEvent::OnOpen => Arrived::Open(name),
                DataChannelEvent::OnMessage(message) => {
                    Arrived::Message(name, message.data.freeze())
                }
                _ => continue,
            };
            let _ = arrived.send(event);
        }
    });
    channel
}

/// Settings for loopback, with a port of its own.
pub fn config() -> WebRtcConfig {
    config_at(PortConfig { loopback: true, ..PortConfig::new(Vec::new()) })
}

/// Settings for the addresses of the test's choice.
pub fn config_at(port: PortConfig) -> WebRtcConfig {
    let (port, certificate) = (MediaPort::open(port).unwrap(), Certificate::generate().unwrap());
    // No client is given up because a test's machine is slow.
    WebRtcConfig { connect_timeout: PATIENCE, ..WebRtcConfig::new(port, certificate) }
}

/// A client and a server that are connected.
pub async fn connect(wish: Wish, config: WebRtcConfig) -> (Client, WebRtcTransport, Answer) {
    let (mut client, offer) = Client::offer(wish).await;
    let (mut transport, answer) =
        WebRtc::answer(&offer, config, MonotonicClock::shared()).await.unwrap();
    client.accept(&answer).await;
    until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    // The server's side is up first; what it sends before the client has its keys is lost, and this
    // client, unlike a browser, asks for nothing again.
    client.state(RTCPeerConnectionState::Connected).await;
    (client, transport, answer)
}

/// The transport's next event.
pub async fn event(transport: &mut impl Transport) -> TransportEvent {
    let event = tokio::time::timeout(PATIENCE, poll_fn(|cx| transport.poll_event(cx))).await;
    event.expect("no event came")
}

/// Panics when it is used, and says so before.
struct Bomb(Arc<Notify>);

impl std::task::Wake for Bomb {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
        panic!("a waker that panics")
    }
}

/// Whatever wakes the reader of events next panics, as it would by a bug. That has happened when the notice comes;
/// until then nobody may read.
pub fn booby_trap(transport: &mut impl Transport) -> Arc<Notify> {
    let went_off = Arc::new(Notify::new());
    let bomb = std::task::Waker::from(Arc::new(Bomb(went_off.clone())));
    while transport.poll_event(&mut std::task::Context::from_waker(&bomb)).is_ready() {}
    went_off
}

/// The first event that `wanted` takes; those before it are dropped.
pub async fn until(
    transport: &mut impl Transport,
    wanted: impl Fn(&TransportEvent) -> bool,
) -> TransportEvent {
    loop {
        let event = event(transport).await;
        if wanted(&event) {
            return event;
        }
        assert!(!matches!(event, TransportEvent::Closed(_)), "{event:?}");
    }
}

/// Whether this machine has IPv6; says so where it has not.
#[allow(clippy::print_stdout, reason = "whoever reads the outcome learns what was left out")]
pub fn has_ipv6() -> bool {
    let bound = std::net::TcpListener::bind("[::1]:0");
    if let Err(error) = &bound {
        println!("IPv6 is left out: {error}");
    }
    bound.is_ok()
}

/// A NAL unit of `len` bytes without start codes in it.
pub fn nal(header: u8, len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let body = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8 | 4
    });
    std::iter::once(header).chain(body.take(len.max(3) - 1)).collect()
}

/// An Annex B unit: parameter sets when `key`, then one slice of `len` bytes.
pub fn annex_b(key: bool, len: usize, seed: u64) -> Bytes {
    let mut out = Vec::new();
    if key {
        for (header, len) in [(0x67, 12), (0x68, 5)] {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend(nal(header, len, seed));
        }
    }
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend(nal(if key { 0x65 } else { 0x41 }, len, seed + 1));
    Bytes::from(out)
}

pub fn unit(frame: u64, captured_at: MediaTime, data: Bytes) -> AccessUnit {
    AccessUnit {
        track: TrackId(0),
        frame: FrameId(frame),
        captured_at,
        kind: if frame == 0 { UnitKind::Key } else { UnitKind::Delta },
        refers_to: frame.checked_sub(1).map(FrameId),
        codec: Codec::H264,
        data,
        part: Part::WHOLE,
        views: Views::default(),
        damage: Damage::Unknown,
        depth: None,
        color: ColorDescription::BT709_LIMITED,
        last_input: None,
        stages: StageTimes::captured(captured_at),
    }
}
