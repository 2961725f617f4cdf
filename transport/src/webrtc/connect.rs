//! Answers an offer: opens sockets, builds the connection, and hands out the session's end of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::FutureExt;
use media::{Clock, Codec, DataChannel, TrackId};
use rtc::crypto::CryptoError;
use rtc::data_channel::RTCDataChannelInit;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpFecParameters, RTCRtpHeaderExtensionCapability,
    RTCRtpRtxParameters, RtpCodecKind,
};
use tokio::sync::{Notify, mpsc, watch};
use tracing::Instrument as _;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCConfigurationBuilder, RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription,
    SettingEngine, SettingEngineBuilder,
};
use webrtc::rtp_transceiver::RtpSender;

use super::audio::{Formats, SoundOutlet, SoundStream};
use super::formats::REPAIR_WINDOW;
use super::gate::Gate;
use super::mux::Share;
use super::offer::{self, Disabled, OfferError, OfferPlan};
use super::peer::{OUTGOING, RemoteCandidates, WebRtcTransport};
use super::shared::Shared;
use super::sink::Outlet;
use super::socket::SessionRuntime;
use super::supervise::{Channel, OpenChannels, Supervisor};
use super::track::{Track, TrackParams};
use super::{EXTENSIONS, TRANSPORT_WIDE, WebRtcConfig, association, chain};

/// Host candidates are known at once; this only guards against a stack that never says so.
const GATHERING: Duration = Duration::from_secs(5);
/// How often the client is asked whether it still takes media (RFC 7675); a client that has nothing to
/// say is heard of at least so often.
const CONSENT: Duration = Duration::from_millis(200);
/// What the stack binds; it is closed at once for a share of the node's port.
const BOUND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Answers offers.
pub struct WebRtc;

/// What goes back to the client.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The answer with all candidates of this side.
    pub sdp: String,
    /// The codec of every video track.
    pub codec: Codec,
    /// Video tracks: `TrackId(0)` to `TrackId(video_tracks - 1)`, in the order of the offer.
    pub video_tracks: u8,
    /// Whether the data channels of [`DataChannel`] will open.
    pub data_channels: bool,
}

impl WebRtc {
    /// Answers `offer_sdp`; the transport connects on its own and reports by its events. Must be
    /// called within a Tokio runtime, which then runs the connection.
    ///
    /// # Errors
    /// See [`OfferError`]; nothing stays open.
    pub async fn answer(
        offer_sdp: &str,
        config: WebRtcConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<(WebRtcTransport, Answer), OfferError> {
        let plan = offer::read(offer_sdp, &config.codecs, config.depth)?;
        // The offer was reduced to known lines, but the stack below still parses text of a stranger.
        AssertUnwindSafe(build(plan, config, clock))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(OfferError::Malformed("it breaks the SDP parser".to_owned())))
    }
}

async fn build(
    plan: OfferPlan,
    config: WebRtcConfig,
    clock: Arc<dyn Clock>,
) -> Result<(WebRtcTransport, Answer), OfferError> {
    let codec = plan.video.codec;
    let tracks = (0..plan.video_sections)
        .map(|n| new_track(TrackId(n), codec).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    let shared = Arc::new(Shared::new(clock, tracks, config.pacing, config.resend_within));
    shared.set_gentle(plan.data);
    if config.sound && plan.listens {
        // Just set up: it is not taken.
        let _ = shared.sound.set(new_sound(&shared)?);
    }
    let (state_tx, states) = watch::channel(RTCPeerConnectionState::New);
    let share = config.port.join(plan.credentials.clone()).map_err(transport_error)?;
    if config.microphone
        && plan.speaks
        && let Some(opus) = plan.opus
    {
        share.take_voice(opus);
        // Just set up, too.
        let _ = shared.voice.set(opus);
    }
    let peer = open(&plan, &config, &shared, &share, state_tx).await?;
    // From here on the connection has sockets and a task: whatever fails must close it.
    match negotiate(&peer, &plan, &shared, &share, config.microphone).await {
        Ok(negotiated) => Ok(start(peer, plan, &config, shared, states, negotiated)),
        Err(error) => {
            if let Err(error) = peer.close().await {
                tracing::warn!(%error, "a refused connection did not close cleanly");
            }
            Err(error)
        }
    }
}

fn new_track(id: TrackId, codec: Codec) -> Result<Track, OfferError> {
    let random = || getrandom::u32().map_err(transport_error);
    let ssrc = random()?.max(1);
    // Apart from each other by construction.
    let (repeat, repair) = (random()? | 1, random()? & !1 | 2);
    Ok(Track::new(TrackParams {
        id,
        codec,
        ssrc,
        rtx_ssrc: ssrc ^ repeat,
        fec_ssrc: ssrc ^ repair,
        timestamp_offset: random()?,
        // Below half the range, so that the first packets' order is beyond doubt (RFC 3711 §3.3.1).
        first_sequence: (random()? & 0x7fff) as u16,
    }))
}

fn new_sound(shared: &Shared) -> Result<SoundStream, OfferError> {
    let random = || getrandom::u32().map_err(transport_error);
    let mut ssrc = random()?.max(1);
    let taken = |ssrc: u32| {
        shared.tracks.iter().any(|track| {
            [track.params.ssrc, track.params.rtx_ssrc, track.params.fec_ssrc].contains(&ssrc)
        })
    };
    while taken(ssrc) {
        ssrc = ssrc.wrapping_add(1).max(1);
    }
    // As of the tracks of video.
    let first_sequence = (random()? & 0x7fff) as u16;
    // Its clock begins at the same moment as that of the pictures: a client that knows the timestamps of both
    // then knows how far they are apart.
    let pictures = shared.tracks.first().map_or(0, |track| track.params.timestamp_offset);
    Ok(SoundStream {
        ssrc,
        timestamp_offset: super::audio::offset_beside(pictures),
        first_sequence,
    })
}

fn transport_error(error: impl std::fmt::Display) -> OfferError {
    OfferError::Transport(error.to_string())
}

fn malformed(error: impl std::fmt::Display) -> OfferError {
    OfferError::Malformed(error.to_string())
}

/// Starts the stack.
async fn open(
    plan: &OfferPlan,
    config: &WebRtcConfig,
    shared: &Arc<Shared>,
    share: &Arc<Share>,
    states: watch::Sender<RTCPeerConnectionState>,
) -> Result<Arc<dyn PeerConnection>, OfferError> {
    let certificates = vec![config.certificate.0.clone()];
    let built = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().with_certificates(certificates).build())
        .with_media_engine(media_engine(plan).map_err(transport_error)?)
        .with_setting_engine(settings(config, share, shared).map_err(transport_error)?)
        .with_interceptor_registry(chain::registry(shared))
        .with_handler(Arc::new(Handler { shared: shared.clone(), states }))
        .with_runtime(Arc::new(SessionRuntime::new(shared.clone(), share.clone())))
        .with_udp_addrs(vec![BOUND])
        .build()
        .await;
    Ok(Arc::new(built.map_err(transport_error)?))
}

fn settings(
    config: &WebRtcConfig,
    share: &Share,
    shared: &Shared,
) -> Result<SettingEngine, CryptoError> {
    // The stack calls a path failed after both times have passed one after the other.
    let failed = config.unreachable_after.saturating_sub(config.interrupted_after);
    let credentials = share.credentials();
    let settings = SettingEngineBuilder::new()
        .with_crypto_provider(Gate::open(&shared.passage)?)
        .with_sctp_max_receive_buffer_size(association::WINDOW)
        // Saves a round trip and the client's wait for our hello: 97 ms to connect instead of 256.
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_ice_credentials(credentials.ufrag.clone(), credentials.password.clone())
        .with_include_loopback_candidate(true)
        .with_ice_timeouts(
            Some(config.interrupted_after),
            Some(failed.max(Duration::from_millis(1))),
            Some(CONSENT),
        )
        .build();
    Ok(settings)
}

/// Only the format that was chosen exists for the stack, so the answer cannot name another.
fn media_engine(plan: &OfferPlan) -> webrtc::error::Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    let video =
        RTCRtpCodecParameters { rtp_codec: rtp_codec(plan), payload_type: plan.video.payload_type };
    engine.register_codec(video, RtpCodecKind::Video)?;
    if let Some(rtx) = plan.video.rtx {
        let codec = RTCRtpCodec {
            mime_type: "video/rtx".to_owned(),
            clock_rate: 90_000,
            sdp_fmtp_line: format!("apt={}", plan.video.payload_type),
            ..Default::default()
        };
        let rtx = RTCRtpCodecParameters { rtp_codec: codec, payload_type: rtx };
        engine.register_codec(rtx, RtpCodecKind::Video)?;
    }
    if let Some(fec) = plan.video.fec {
        let codec = RTCRtpCodec {
            mime_type: "video/flexfec-03".to_owned(),
            clock_rate: 90_000,
            sdp_fmtp_line: REPAIR_WINDOW.to_owned(),
            ..Default::default()
        };
        let fec = RTCRtpCodecParameters { rtp_codec: codec, payload_type: fec };
        engine.register_codec(fec, RtpCodecKind::Video)?;
    }
    if let Some(payload_type) = plan.opus {
        // Also where there is no sound: a section with a known codec is then answered as inactive instead of
        // rejected, which some clients cannot read in a bundle.
        let opus = RTCRtpCodecParameters { rtp_codec: super::audio::codec(), payload_type };
        engine.register_codec(opus, RtpCodecKind::Audio)?;
        if let Some(red) = plan.red {
            let rtp_codec = super::audio::repeating(payload_type);
            let red = RTCRtpCodecParameters { rtp_codec, payload_type: red };
            engine.register_codec(red, RtpCodecKind::Audio)?;
        }
        // Sound is acknowledged with the rest, and so is part of what is known of the path.
        let feedback = RTCPFeedback { typ: "transport-cc".to_owned(), parameter: String::new() };
        engine.register_feedback(feedback, RtpCodecKind::Audio);
        let numbers = RTCRtpHeaderExtensionCapability { uri: TRANSPORT_WIDE.to_owned() };
        engine.register_header_extension(numbers, RtpCodecKind::Audio, None)?;
    }
    for (typ, parameter) in [("nack", ""), ("nack", "pli"), ("ccm", "fir"), ("transport-cc", "")] {
        let feedback = RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() };
        engine.register_feedback(feedback, RtpCodecKind::Video);
    }
    for uri in EXTENSIONS {
        let extension = RTCRtpHeaderExtensionCapability { uri: uri.to_owned() };
        engine.register_header_extension(extension, RtpCodecKind::Video, None)?;
    }
    Ok(engine)
}

fn rtp_codec(plan: &OfferPlan) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: format!("video/{}", plan.video.codec.rtp_name()),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: plan.video.fmtp.clone(),
        rtcp_feedback: Vec::new(),
    }
}

/// What the exchange of descriptions yielded.
struct Negotiated {
    sdp: String,
    outlets: Vec<Arc<Outlet>>,
    sound: Option<Arc<SoundOutlet>>,
    sender: Arc<dyn RtpSender>,
    channels: Vec<Channel>,
}

async fn negotiate(
    peer: &Arc<dyn PeerConnection>,
    plan: &OfferPlan,
    shared: &Arc<Shared>,
    share: &Share,
    microphone: bool,
) -> Result<Negotiated, OfferError> {
    let offer = RTCSessionDescription::offer(plan.sdp.clone()).map_err(malformed)?;
    peer.set_remote_description(offer).await.map_err(malformed)?;
    // Tracks come after the offer: added before, they would keep stale extension ids.
    let mut added = Vec::new();
    for track in &shared.tracks {
        let writer = Arc::new(TrackLocalStaticRTP::new(stream_track(plan, track)));
        let sender = peer.add_track(writer.clone()).await.map_err(malformed)?;
        added.push((track.clone(), writer, sender));
    }
    let mut sound = None;
    if let Some(stream) = shared.sound.get() {
        let writer = Arc::new(TrackLocalStaticRTP::new(stream.track()));
        let sender = peer.add_track(writer.clone()).await.map_err(malformed)?;
        sound = Some((*stream, writer, sender));
    }
    let channels = if plan.data { channels(peer).await.map_err(malformed)? } else { Vec::new() };
    let answer = peer.create_answer(None).await.map_err(malformed)?;
    peer.set_local_description(answer).await.map_err(malformed)?;
    let gathered = tokio::time::timeout(GATHERING, shared.gathered.notified()).await;
    gathered.map_err(|_| transport_error("no local candidates were found"))?;
    let local = peer.local_description().await;
    let local = local.ok_or_else(|| transport_error("the stack made no answer"))?;

    let mut outlets = Vec::new();
    let mut first_sender = None;
    for (track, writer, sender) in added {
        let payload_type = negotiated(&sender).await?.unwrap_or(plan.video.payload_type);
        first_sender.get_or_insert(sender);
        outlets.push(Arc::new(Outlet {
            shared: shared.clone(),
            track,
            writer,
            payload_type,
            turn: AtomicU64::new(0),
        }));
    }
    let sound = match sound {
        Some((stream, writer, sender)) => {
            let payload_type = negotiated(&sender).await?.or(plan.opus);
            let payload_type = payload_type.ok_or_else(|| malformed("Opus has no number"))?;
            let formats = Formats { opus: payload_type, red: plan.red };
            Some(Arc::new(SoundOutlet::new(shared.clone(), stream, writer, formats)))
        }
        None => None,
    };
    let sides = Sides { sends: sound.is_some(), takes: microphone && plan.speaks };
    Ok(Negotiated {
        sdp: finish_answer(&local.sdp, &share.candidates(), sides, &plan.disabled),
        outlets,
        sound,
        sender: first_sender.ok_or(OfferError::NoVideo)?,
        channels,
    })
}

/// The payload type that was agreed on: the client's number, not the one registered here.
async fn negotiated(sender: &Arc<dyn RtpSender>) -> Result<Option<u8>, OfferError> {
    let parameters = sender.get_parameters().await.map_err(malformed)?;
    Ok(parameters.rtp_parameters.codecs.first().map(|codec| codec.payload_type))
}

fn stream_track(plan: &OfferPlan, track: &Track) -> MediaStreamTrack {
    let n = track.params.id.0;
    let coding = RTCRtpCodingParameters {
        ssrc: Some(track.params.ssrc),
        rtx: Some(RTCRtpRtxParameters { ssrc: track.params.rtx_ssrc }),
        fec: Some(RTCRtpFecParameters { ssrc: track.params.fec_ssrc }),
        ..Default::default()
    };
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: coding,
        codec: rtp_codec(plan),
        ..Default::default()
    };
    // Each track in a stream of its own, or a client would delay one to match another.
    let (stream, id) = (format!("video{n}"), format!("video{n}-track"));
    MediaStreamTrack::new(stream, id, format!("video{n}"), RtpCodecKind::Video, vec![encoding])
}

/// Both sides create the same channels by number: the stack loses the reliability of channels that
/// the client announces in band.
async fn channels(peer: &Arc<dyn PeerConnection>) -> webrtc::error::Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for channel in DataChannel::ALL {
        let heals = channel.heals();
        let init = RTCDataChannelInit {
            ordered: !heals,
            max_retransmits: heals.then_some(0),
            negotiated: Some(channel as u16),
            ..Default::default()
        };
        channels.push((channel, peer.create_data_channel(channel.label(), Some(init)).await?));
    }
    Ok(channels)
}

/// What this side does with sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sides {
    sends: bool,
    takes: bool,
}

impl Sides {
    fn direction(self) -> &'static str {
        match (self.sends, self.takes) {
            (true, true) => "a=sendrecv",
            (true, false) => "a=sendonly",
            (false, true) => "a=recvonly",
            (false, false) => "a=inactive",
        }
    }
}

/// Puts the port's candidates in place of the stack's, says that this side only answers checks (RFC
/// 8839 §5.3), and says of audio sections what is true: of the first one what this side does with it, of all others that
/// they are inactive, which the stack calls `sendonly` too.
///
/// Candidates belong to the first section of a bundle. The first video section has them too, since
/// some stacks pass over sections that are inactive. What the client has `disabled` stands in its place.
fn finish_answer(sdp: &str, candidates: &[String], sides: Sides, disabled: &[Disabled]) -> String {
    let mut parts = sdp.split("\r\nm=");
    let mut out = parts.next().unwrap_or_default().to_owned();
    out.push_str("\r\na=ice-lite");
    let (mut videos, mut audios) = (0, 0);
    let mut disabled = disabled.iter().peekable();
    let mut place = 0;
    let mut turned_off = |out: &mut String, place: &mut usize| {
        while let Some(section) = disabled.next_if(|section| section.place == *place) {
            out.push_str("\r\n");
            out.push_str(section.lines.trim_end());
            *place += 1;
        }
    };
    for (n, section) in parts.enumerate() {
        turned_off(&mut out, &mut place);
        place += 1;
        let audio = section.starts_with("audio ");
        videos += u32::from(section.starts_with("video "));
        audios += u32::from(audio);
        let sides = if audios == 1 { sides } else { Sides { sends: false, takes: false } };
        let direction = sides.direction();
        let mut line = |parts: [&str; 2]| {
            out.push_str("\r\n");
            out.extend(parts);
        };
        for (at, text) in section.lines().enumerate() {
            let format = text.strip_prefix("a=rtpmap:").and_then(|map| map.split_once(' '));
            match text {
                text if at == 0 => line(["m=", text]),
                "a=sendonly" | "a=sendrecv" | "a=recvonly" if audio => line([direction, ""]),
                "a=end-of-candidates" => {}
                text if text.starts_with("a=candidate:") => {}
                text => line([text, ""]),
            }
            // The stack says only what both sides said of the format.
            if let Some((number, _)) = format.filter(|(_, map)| audio && !map.starts_with("red/")) {
                let said = super::audio::format(sides.sends, sides.takes);
                if let Some(said) = said {
                    line(["a=fmtp:", &format!("{number} {said}")]);
                }
            }
        }
        if n == 0 || section.starts_with("video ") && videos == 1 {
            candidates.iter().for_each(|candidate| line(["a=candidate:", candidate]));
            line(["a=end-of-candidates", ""]);
        }
    }
    turned_off(&mut out, &mut place);
    out.push_str("\r\n");
    out
}

fn start(
    peer: Arc<dyn PeerConnection>,
    plan: OfferPlan,
    config: &WebRtcConfig,
    shared: Arc<Shared>,
    states: watch::Receiver<RTCPeerConnectionState>,
    negotiated: Negotiated,
) -> (WebRtcTransport, Answer) {
    let (outgoing_tx, outgoing) = mpsc::channel(OUTGOING);
    let close = Arc::new(Notify::new());
    let open = Arc::new(OpenChannels::default());
    let codec = plan.video.codec;
    let transport = WebRtcTransport {
        shared: shared.clone(),
        outlets: negotiated.outlets,
        sound: negotiated.sound,
        outgoing: Some(outgoing_tx),
        open: open.clone(),
        close: close.clone(),
        candidates: RemoteCandidates {
            credentials: Arc::new(plan.credentials),
            shared: shared.clone(),
        },
    };
    let supervisor = Supervisor {
        peer,
        shared,
        states,
        sender: negotiated.sender,
        close,
        codec,
        connect_timeout: config.connect_timeout,
        channels: negotiated.channels,
        open,
        outgoing,
    };
    tokio::spawn(supervisor.run().in_current_span());
    let answer = Answer {
        sdp: negotiated.sdp,
        codec,
        video_tracks: plan.video_sections,
        data_channels: plan.data,
    };
    (transport, answer)
}

/// Awaited on the driver's task: only sets flags.
struct Handler {
    shared: Arc<Shared>,
    states: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.shared.gathered.notify_one();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.states.send(state);
    }
}
