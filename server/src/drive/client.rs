//! The client's side of a session: what it says on the control channel, how its clock runs, what it saw.

use std::collections::VecDeque;
use std::time::Duration;

use encoder::Choice;
use media::{Acks, Bitrate, Codec, FrameId, FrameState, MediaTime, Size, StageTimes};
use session::clock_offset::{ClockSync, ClockSyncConfig};
use session::invitations::Role;
use session::ledger::{ClientReport, LatencyLedger, LedgerConfig, Percentiles};
use thiserror::Error;

use super::source::SourceCounts;
use super::trace;
use crate::metrics::Metrics;
use crate::wire::{self, ClientMessage, ServerMessage};

/// Longest control message that is parsed, in bytes: 64 frame reports have about 6 kB.
const LONGEST: usize = 16 * 1024;
/// Most frame reports in a message.
const MOST_REPORTS: usize = 64;
/// Characters of a client's reason that are kept.
const LONGEST_REASON: usize = 200;
/// Input events a second beyond which the rest of the second is dropped and counted: a mouse and a gamepad of 1 kHz send
/// as many, and more means a client gone wrong. One that sends far more loses its connection (`transport`).
const MOST_INPUT: u32 = 2_000;
/// Without a frame for so long a picture counts as still: below the three seconds after which browsers ask
/// for a keyframe, above any gap of a moving one.
const STILL: Duration = Duration::from_secs(2);
/// Frame rate and bit rate are those of this window.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// What a control message asks of the driver.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing more.
    Nothing,
    /// This frame is decoded, and every one that it needs; the newest of those reported.
    Decoded(FrameId),
    /// The picture can be seen, or not.
    Visible(bool),
    /// Nothing can be shown before a keyframe comes.
    KeyframeNeeded,
    /// Which transport it took ([`ClientSide::transport`]), where that is news.
    Transport,
    /// It wants no more than this.
    Quality(wire::Quality),
    /// It is to be told where the pointer is, or not.
    Follow(bool),
    /// It shows the picture in a place of this size.
    View(wire::View),
    /// The player acknowledges a slice.
    Acknowledged {
        /// Of these receipts.
        chain: String,
        /// This one.
        sequence: u32,
        /// With this.
        signature: String,
    },
    /// The user left.
    Bye,
}

/// What is told of sound.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What the client hears.
    pub(super) audio: Option<wire::AudioStats>,
    /// What it says.
    pub(super) microphone: Option<wire::MicrophoneStats>,
}

/// Why a control message is refused. It changed nothing.
#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error("a control message has {0} bytes, more than {LONGEST}")]
    Long(usize),
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    #[error("a message reports on {0} frames, more than {MOST_REPORTS}")]
    Reports(usize),
}

/// See the module.
pub(super) struct ClientSide {
    role: Role,
    video: wire::Video,
    choice: Choice,
    /// Why it has no HDR, where that was asked for.
    hdr_declined: Option<String>,
    encoder: String,
    codec: &'static str,
    /// Encoders that broke in this session, or do not take pictures of their size.
    given_up: Vec<String>,
    /// Pictures that are left out, since no encoder takes their size.
    left_out: Option<String>,
    clock: ClockSync,
    round_trip: Option<Duration>,
    ledger: LatencyLedger,
    transport: Option<wire::TransportChoice>,
    sent: VecDeque<(MediaTime, u64)>,
    /// When the newest frame left, and whether the client has shown it.
    newest: Option<(MediaTime, u32, bool)>,
    input_second: MediaTime,
    input_count: u32,
    /// Events that were dropped, in all.
    input_dropped: u64,
    counted: Counted,
    /// How long the frames of the last message took, from capture to the screen.
    seen: Vec<Duration>,
}

/// What was passed on to the node's metrics, which count for all sessions.
#[derive(Default)]
struct Counted {
    captured: u64,
    converted: u64,
    encoded: u64,
    unchanged: u64,
    dropped: u64,
    keyframes: u64,
}

impl ClientSide {
    pub(super) fn new(role: Role, video: wire::Video, choice: Choice, now: MediaTime) -> Self {
        Self {
            role,
            video,
            choice,
            hdr_declined: None,
            encoder: String::new(),
            codec: "",
            given_up: Vec::new(),
            left_out: None,
            clock: ClockSync::new(now, ClockSyncConfig::default()),
            round_trip: None,
            ledger: LatencyLedger::new(LedgerConfig::default()),
            transport: None,
            sent: VecDeque::new(),
            newest: None,
            input_second: now,
            input_count: 0,
            input_dropped: 0,
            counted: Counted::default(),
            seen: Vec::with_capacity(MOST_REPORTS),
        }
    }

    /// How long the frames took that the last message reports on, from capture to the screen.
    pub(super) fn seen(&self) -> &[Duration] {
        &self.seen
    }

    /// Another client took over: nothing is known of its clock, and no frame was sent to it.
    pub(super) fn reset(&mut self, now: MediaTime) {
        self.clock = ClockSync::new(now, ClockSyncConfig::default());
        self.ledger = LatencyLedger::new(LedgerConfig::default());
        self.transport = None;
        self.round_trip = None;
        self.sent.clear();
        self.newest = None;
    }

    /// The encoders that this client gets, and why no better ones; of a session in high dynamic range also
    /// why it is not shown that.
    pub(super) fn encoders_chosen(&mut self, choice: Choice, hdr_declined: Option<String>) {
        self.choice = choice;
        self.hdr_declined = hdr_declined;
    }

    /// This encoder is in use.
    pub(super) fn encoder_opened(&mut self, name: &str, codec: Codec) {
        name.clone_into(&mut self.encoder);
        self.codec = codec.rtp_name();
        // It works again.
        self.given_up.retain(|line| !is_of(line, name));
    }

    /// An encoder broke during the session, or does not take its pictures any more. What each said last is
    /// kept: one that is tried again and again would fill the greeting.
    pub(super) fn encoder_given_up(&mut self, name: &str, reason: &str) {
        self.given_up.retain(|line| !is_of(line, name));
        self.given_up.push(format!("{name}: {reason}"));
    }

    /// No encoder takes pictures of this size, and what they said; or pictures have another one again.
    pub(super) fn size_refused(&mut self, refused: Option<(Size, String)>) {
        self.left_out =
            refused.map(|(size, said)| format!("pictures of {size} are left out ({said})"));
    }

    /// Pictures have this size at their full size.
    pub(super) fn resized(&mut self, size: Size) {
        (self.video.width, self.video.height) = (size.width, size.height);
    }

    /// Most kilobits and frames per second that this was granted.
    pub(super) fn granted(&self) -> (u32, u32) {
        (self.video.max_kbps, self.video.fps)
    }

    /// The first message.
    pub(super) fn hello(
        &self,
        session: &str,
        device: &str,
        saves: Option<wire::SessionSaves>,
        input: Option<wire::InputTaken>,
        microphone: wire::MicrophoneAccess,
    ) -> ServerMessage {
        let mut declined = self.choice.declined(&self.encoder);
        declined.extend_from_slice(&self.given_up);
        ServerMessage::Hello {
            session: session.into(),
            role: self.role.into(),
            video: wire::Video {
                hdr: self.video.hdr && self.hdr_declined.is_none(),
                ..self.video.clone()
            },
            encoder: self.encoder.clone(),
            codec: self.codec.into(),
            encoder_caveat: self.left_out.clone().or_else(|| self.choice.caveat(&self.encoder)),
            declined,
            hdr_declined: self.hdr_declined.clone(),
            device: device.into(),
            saves,
            input,
            microphone,
        }
    }

    /// A ping, when one is due.
    pub(super) fn ping(&mut self, now: MediaTime) -> Option<ServerMessage> {
        self.clock.poll_ping(now).map(|id| ServerMessage::Ping { id })
    }

    /// Takes a control message.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(super) fn said(&mut self, now: MediaTime, message: &[u8]) -> Result<Said, Refused> {
        if message.len() > LONGEST {
            return Err(Refused::Long(message.len()));
        }
        match serde_json::from_slice(message)? {
            ClientMessage::Pong { id, client_us } => {
                // A pong that is late or unknown is counted by the clock and worth nothing else.
                if let Ok(round_trip) = self.clock.on_pong(now, id, client_us) {
                    self.round_trip = Some(round_trip);
                }
            }
            ClientMessage::Frames { frames } if frames.len() > MOST_REPORTS => {
                return Err(Refused::Reports(frames.len()));
            }
            ClientMessage::Frames { frames } => {
                let clock = self.clock.estimate(now);
                let mut decoded = None;
                self.seen.clear();
                for frame in frames {
                    trace::reported(&frame);
                    let report = ClientReport {
                        wire_timestamp: frame.rtp,
                        received_us: frame.received_us,
                        decoded_us: frame.decoded_us,
                        presented_us: frame.presented_us,
                    };
                    if let Some((_, wire_timestamp, shown)) = &mut self.newest {
                        *shown |= *wire_timestamp == frame.rtp;
                    }
                    // Reports that cannot be joined are counted by the ledger.
                    if let Ok(joined) = self.ledger.on_report(now, &report, clock.as_ref()) {
                        decoded = decoded.max(Some(joined.frame));
                        self.seen.push(joined.total);
                    }
                }
                return Ok(decoded.map_or(Said::Nothing, Said::Decoded));
            }
            ClientMessage::Visibility { visible } => return Ok(Said::Visible(visible)),
            ClientMessage::Keyframe => return Ok(Said::KeyframeNeeded),
            ClientMessage::Transport { kind, reason } => {
                // It goes to whoever looks at the sessions: one line, and no long one.
                let line = reason.chars().filter(|each| !each.is_control()).take(LONGEST_REASON);
                let told = Some(wire::TransportChoice { kind, reason: line.collect() });
                if self.transport == told {
                    return Ok(Said::Nothing);
                }
                self.transport = told;
                return Ok(Said::Transport);
            }
            ClientMessage::Quality(quality) => return Ok(Said::Quality(quality)),
            ClientMessage::Follow { pointer } => return Ok(Said::Follow(pointer)),
            ClientMessage::View(view) => return Ok(Said::View(view)),
            ClientMessage::Acknowledge { chain, sequence, signature } => {
                return Ok(Said::Acknowledged { chain, sequence, signature });
            }
            ClientMessage::Bye => return Ok(Said::Bye),
        }
        Ok(Said::Nothing)
    }

    /// The transport that this client took, in its words.
    pub(super) fn transport(&self) -> Option<&wire::TransportChoice> {
        self.transport.as_ref()
    }

    /// The newest frame that these say is decoded; frames that were never sent are passed over.
    pub(super) fn acked(&self, acks: &Acks) -> Option<FrameId> {
        let decoded = acks.frames.iter().filter(|frame| frame.state == FrameState::Decoded);
        decoded.filter_map(|frame| self.ledger.frame_of(frame.wire_timestamp)).max()
    }

    /// Whether one more input event may pass; one that may not is counted.
    pub(super) fn may_input(&mut self, now: MediaTime) -> bool {
        if now.since(self.input_second) >= Duration::from_secs(1) {
            self.input_second = now;
            self.input_count = 0;
        }
        self.input_count = self.input_count.saturating_add(1);
        let passes = self.input_count <= MOST_INPUT;
        self.input_dropped += u64::from(!passes);
        passes
    }

    /// A frame left.
    pub(super) fn frame_sent(
        &mut self,
        now: MediaTime,
        frame: FrameId,
        wire_timestamp: u32,
        bytes: u64,
        stages: &StageTimes,
    ) {
        self.ledger.on_sent(now, frame, wire_timestamp, *stages);
        self.newest = Some((now, wire_timestamp, false));
        self.sent.push_back((now, bytes));
        while self.sent.front().is_some_and(|(at, _)| now.since(*at) > RATE_WINDOW) {
            self.sent.pop_front();
        }
    }

    /// Whether nothing was sent for some time because nothing changed, and the client has shown all
    /// that was.
    pub(super) fn lacks_nothing(&self, now: MediaTime) -> bool {
        self.newest.is_some_and(|(sent, _, shown)| shown && now.since(sent) > STILL)
    }

    /// Passes on to the node's metrics what was counted since the last call.
    pub(super) fn count(
        &mut self,
        metrics: &Metrics,
        source: &SourceCounts,
        encoder: &encoder::WorkerStats,
    ) {
        let dropped = not_coded(encoder);
        let frames = wire::FrameCounts::of(source, encoder);
        metrics.frames_captured.inc_by(frames.captured - self.counted.captured);
        metrics.frames_converted.inc_by(frames.converted - self.counted.converted);
        metrics.frames_encoded.inc_by(frames.encoded - self.counted.encoded);
        metrics.frames_unchanged.inc_by(source.unchanged - self.counted.unchanged);
        metrics.frames_dropped.inc_by(dropped - self.counted.dropped);
        metrics.keyframes.inc_by(encoder.keyframes - self.counted.keyframes);
        self.counted = Counted {
            captured: frames.captured,
            converted: frames.converted,
            encoded: frames.encoded,
            unchanged: source.unchanged,
            dropped,
            keyframes: encoder.keyframes,
        };
    }

    /// How it goes.
    pub(super) fn stats(
        &mut self,
        now: MediaTime,
        (target, rate): (Bitrate, wire::RateStats),
        Heard { audio, microphone }: Heard,
        source: &SourceCounts,
        encoder: &encoder::WorkerStats,
        viewers: wire::Viewers,
    ) -> ServerMessage {
        while self.sent.front().is_some_and(|(at, _)| now.since(*at) > RATE_WINDOW) {
            self.sent.pop_front();
        }
        let bytes: u64 = self.sent.iter().map(|(_, bytes)| bytes).sum();
        let summary = self.ledger.summary(now);
        ServerMessage::Stats(wire::Stats {
            fps: self.sent.len() as f64 / RATE_WINDOW.as_secs_f64(),
            kbps: u32::try_from(Bitrate::of(bytes, RATE_WINDOW).kbps()).unwrap_or(u32::MAX),
            target_kbps: u32::try_from(target.kbps()).unwrap_or(u32::MAX),
            coded: edges(source.coded),
            internal: edges(source.drawn),
            rtt_ms: self.round_trip.map(millis),
            clock_error_ms: self.clock.estimate(now).map(|clock| clock.error_us as f64 / 1e3),
            unchanged: source.unchanged,
            dropped: not_coded(encoder),
            keyframes: encoder.keyframes,
            input_dropped: self.input_dropped,
            viewers,
            rate,
            audio,
            microphone,
            stages: summary
                .stages
                .iter()
                .map(|(stage, ms)| wire::StageStat {
                    stage: stage.name().into(),
                    ms: percentiles(ms),
                    mean: summary.means.iter().find(|(of, _)| of == stage).map(|(_, it)| fine(*it)),
                })
                .collect(),
            mean_total: summary.mean_total.map(fine),
            total: summary.total.as_ref().map(percentiles),
        })
    }
}

/// Whether a line of why encoders are not used is of this one.
fn is_of(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": "))
}

/// Frames that were made and never coded.
fn not_coded(encoder: &encoder::WorkerStats) -> u64 {
    encoder.dropped + encoder.skipped + encoder.throttled
}

fn edges(size: Size) -> [u32; 2] {
    [size.width, size.height]
}

fn millis(length: Duration) -> f64 {
    // Microseconds are what the clocks are good for.
    length.as_micros() as f64 / 1e3
}

/// Milliseconds with all their digits: what adds up does so with them only.
fn fine(length: Duration) -> f64 {
    length.as_secs_f64() * 1e3
}

fn percentiles(of: &Percentiles) -> wire::Percentiles {
    wire::Percentiles { p50: millis(of.p50), p95: millis(of.p95), p99: millis(of.p99) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoder::choice::{Accepts, Cost};
    use encoder::{Demand, Outcome, Preference};
    use media::{CodecSet, EncoderCapabilities, FrameRate, Mark, PixelFormat};
    use proptest::prelude::*;
    use session::rate::RateConfig;

    use crate::drive::rates::Rates;

    fn side() -> ClientSide {
        let video = wire::Video { width: 1280, height: 720, fps: 30, max_kbps: 8000, hdr: true };
        ClientSide::new(Role::Player, video, choice(), MediaTime::ZERO)
    }

    /// A card that is missing, and two encoders of which neither keeps up.
    fn choice() -> Choice {
        let missing = Outcome::Declined { reason: "missing: its driver".into() };
        let slow = |millis: u32| Outcome::Works {
            cost: Cost { micros_per_megapixel: millis * 1_000, ten_bits: None },
            accepts: Accepts::of(&EncoderCapabilities::plain("", Codec::H264)),
        };
        let verdict = |name, hardware, outcome| encoder::Verdict {
            name,
            codec: Codec::H264,
            hardware,
            outcome,
            full: None,
        };
        let table = [
            verdict("card", true, missing),
            verdict("slower", false, slow(90)),
            verdict("slow", false, slow(80)),
        ];
        let demand = Demand {
            size: Size::new(1_000, 1_000),
            rate: FrameRate::fps(50),
            format: PixelFormat::Nv12,
            waves: false,
            decodes: CodecSet::of(&[Codec::H264]),
            holds: None,
        };
        encoder::choose(&table, &demand, &Preference::default())
    }

    #[test]
    fn the_client_is_told_what_is_in_use_and_why_nothing_better() {
        let hello = |side: &ClientSide| match side.hello(
            "session",
            "device",
            None,
            None,
            wire::MicrophoneAccess::NotByGame,
        ) {
            ServerMessage::Hello { encoder, encoder_caveat, declined, .. } => {
                (encoder, encoder_caveat.expect("neither keeps up"), declined)
            }
            other => panic!("{other:?}"),
        };
        let mut side = side();
        side.encoder_opened("slow", Codec::H264);
        let (encoder, caveat, declined) = hello(&side);
        assert_eq!(encoder, "slow");
        assert!(caveat.starts_with("used although it takes 80.0 ms"), "{caveat}");
        let slower = "slower: takes 90.0 ms for a picture of 1000x1000, more than 60% of the 20.0 ms between two";
        assert_eq!(declined, ["card: missing: its driver", slower]);
        side.encoder_given_up("slow", "it hung");
        side.encoder_given_up("slow", "its device is lost");
        side.encoder_opened("slower", Codec::H264);
        let (encoder, caveat, declined) = hello(&side);
        assert_eq!(encoder, "slower");
        assert!(caveat.contains("90.0 ms"), "{caveat}");
        assert_eq!(declined, ["card: missing: its driver", "slow: its device is lost"]);
        // One that works again has no reason against it.
        side.encoder_opened("slow", Codec::H264);
        assert_eq!(hello(&side).2, ["card: missing: its driver", slower]);
        let slow = hello(&side).1;
        side.size_refused(Some((Size::new(3, 1), "slow: 3x1 is odd".into())));
        assert_eq!(hello(&side).1, "pictures of 3x1 are left out (slow: 3x1 is odd)");
        side.size_refused(None);
        assert_eq!(hello(&side).1, slow);
    }

    #[test]
    fn the_client_is_told_whether_it_has_hdr_and_why_not() {
        let mut side = side();
        let hello = |side: &ClientSide| match side.hello(
            "session",
            "device",
            None,
            None,
            wire::MicrophoneAccess::NotByGame,
        ) {
            ServerMessage::Hello { video, hdr_declined, .. } => (video.hdr, hdr_declined),
            other => panic!("{other:?}"),
        };
        assert_eq!(hello(&side), (true, None));
        side.encoders_chosen(choice(), Some("it decodes none".into()));
        assert_eq!(hello(&side), (false, Some("it decodes none".into())));
        // Another client, which has it.
        side.encoders_chosen(choice(), None);
        assert_eq!(hello(&side), (true, None));
    }

    fn stats(side: &mut ClientSide, now: MediaTime) -> wire::Stats {
        let counts = SourceCounts {
            frames: 0,
            unchanged: 0,
            starved: 0,
            drawn: Size::new(640, 360),
            coded: Size::new(1280, 720),
        };
        let encoder = encoder::WorkerStats::default();
        let rates = Rates::new(now, RateConfig::default());
        let rate = (rates.encoder_target(), rates.stats(now));
        match side.stats(now, rate, Heard::default(), &counts, &encoder, wire::Viewers::default()) {
            ServerMessage::Stats(stats) => stats,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_is_followed_from_capture_to_presentation() {
        let mut side = side();
        let ms = MediaTime::from_millis;
        let Some(ServerMessage::Ping { id }) = side.ping(ms(0)) else { panic!("no ping") };
        // The client's clock is a second ahead; the answer took 2 ms in all.
        let pong = format!(r#"{{"type":"pong","id":{id},"client_us":1001000}}"#);
        assert_eq!(side.said(ms(2), pong.as_bytes()).unwrap(), Said::Nothing);
        let mut stages = StageTimes::captured(ms(10));
        stages.mark(Mark::Encoded, ms(16));
        stages.mark(Mark::LastSent, ms(17));
        side.frame_sent(ms(17), FrameId(1), 900, 5_000, &stages);
        let report = r#"{"type":"frames","frames":[{"rtp":900,"decoded_us":1021000,"presented_us":1023000}]}"#;
        assert_eq!(side.said(ms(30), report.as_bytes()).unwrap(), Said::Decoded(FrameId(1)));
        // Told twice, it is no news.
        assert_eq!(side.said(ms(30), report.as_bytes()).unwrap(), Said::Nothing);
        let stats = stats(&mut side, ms(31));
        let total = stats.total.unwrap();
        assert!((total.p50 - 13.0).abs() <= 1.0, "{total:?}");
        let named: Vec<_> = stats.stages.iter().map(|stage| stage.stage.as_str()).collect();
        assert_eq!(named, ["encode", "send", "network", "present"]);
        assert_eq!((stats.rtt_ms, stats.kbps), (Some(2.0), 40));
    }

    #[test]
    fn a_client_that_has_shown_the_newest_frame_lacks_nothing() {
        let mut side = side();
        let ms = MediaTime::from_millis;
        side.frame_sent(ms(10), FrameId(1), 900, 5_000, &StageTimes::captured(ms(1)));
        assert!(!side.lacks_nothing(ms(9_000)), "it has not said that it saw the frame");
        let report = |rtp| {
            format!(
                r#"{{"type":"frames","frames":[{{"rtp":{rtp},"decoded_us":1,"presented_us":1}}]}}"#
            )
        };
        side.said(ms(20), report(899).as_bytes()).unwrap();
        assert!(!side.lacks_nothing(ms(9_000)), "that was another frame");
        side.said(ms(30), report(900).as_bytes()).unwrap();
        assert!(!side.lacks_nothing(ms(500)), "a request so soon is a loss");
        assert!(side.lacks_nothing(ms(9_000)));
        side.frame_sent(ms(9_100), FrameId(2), 999, 5_000, &StageTimes::captured(ms(9_090)));
        assert!(!side.lacks_nothing(ms(19_000)));
    }

    #[test]
    fn an_acknowledgement_names_the_newest_decoded_frame_that_was_sent() {
        let mut side = side();
        let ms = MediaTime::from_millis;
        for n in 1..4 {
            let stages = StageTimes::captured(ms(n));
            side.frame_sent(ms(n), FrameId(n), 900 * n as u32, 5_000, &stages);
        }
        let ack = |wire_timestamp, state| media::FrameAck {
            wire_timestamp,
            state,
            first_us: 1,
            last_us: 2,
        };
        let acked = |frames: &[(u32, FrameState)]| {
            let frames = frames.iter().map(|&(rtp, state)| ack(rtp, state)).collect();
            side.acked(&Acks { decode_queue: None, frames })
        };
        use FrameState::{Decoded, Dropped, Received};
        assert_eq!(acked(&[(1_800, Decoded), (900, Decoded)]), Some(FrameId(2)));
        assert_eq!(acked(&[(900, Decoded), (1_800, Received), (2_700, Dropped)]), Some(FrameId(1)));
        assert_eq!(acked(&[(901, Decoded), (3_600, Decoded)]), None, "never sent");
    }

    #[test]
    fn a_client_says_which_transport_it_took_and_when_it_needs_a_keyframe() {
        let (mut side, ms) = (side(), MediaTime::from_millis);
        let words = format!("udp is\nblocked {}", "x".repeat(300));
        let message = serde_json::json!({"type": "transport", "kind": "webrtc", "reason": words});
        let said = side.said(ms(1), message.to_string().as_bytes()).unwrap();
        assert_eq!(
            (said, side.transport().unwrap().kind),
            (Said::Transport, wire::TransportKind::WebRtc)
        );
        let reason = &side.transport().unwrap().reason;
        assert!(
            reason.starts_with("udp isblocked x") && reason.len() == LONGEST_REASON,
            "{reason}"
        );
        let again = side.said(ms(1), message.to_string().as_bytes()).unwrap();
        assert_eq!(again, Said::Nothing, "that is known");
        side.reset(ms(2));
        assert_eq!(side.transport(), None, "the next client has its own");
        let other = br#"{"type":"transport","kind":"webtransport","reason":""}"#;
        assert_eq!(side.said(ms(3), other).unwrap(), Said::Transport);
        assert_eq!(side.transport().unwrap().kind, wire::TransportKind::WebTransport);
        assert_eq!(side.said(ms(4), br#"{"type":"keyframe"}"#).unwrap(), Said::KeyframeNeeded);
    }

    #[test]
    fn a_client_says_where_it_shows_the_picture_and_what_it_wants_at_most() {
        let (mut side, now) = (side(), MediaTime::from_millis(1));
        let view = br#"{"type":"view","width":1280,"height":720,"dpi":144}"#;
        let place = wire::View { width: 1_280, height: 720, dpi: 144 };
        assert_eq!(side.said(now, view).unwrap(), Said::View(place));
        let quality = |max_kbps, fps| Said::Quality(wire::Quality { max_kbps, fps });
        let said = side.said(now, br#"{"type":"quality","max_kbps":2000}"#).unwrap();
        assert_eq!(said, quality(Some(2_000), None));
        assert_eq!(side.said(now, br#"{"type":"quality"}"#).unwrap(), quality(None, None));
        // Its pictures become larger; what it was granted stays.
        side.resized(Size::new(1_920, 1_080));
        let ServerMessage::Hello { video, .. } =
            side.hello("session", "device", None, None, wire::MicrophoneAccess::NotByGame)
        else {
            panic!("no greeting")
        };
        assert_eq!((video.width, video.height), (1_920, 1_080));
        assert_eq!(side.granted(), (8_000, 30));
    }

    #[test]
    fn wrong_messages_are_refused_and_change_nothing() {
        let mut side = side();
        let now = MediaTime::from_millis(5);
        let before = format!("{:?}", stats(&mut side, now));
        let many = format!(
            r#"{{"type":"frames","frames":[{}]}}"#,
            [r#"{"rtp":1,"decoded_us":1,"presented_us":1}"#; MOST_REPORTS + 1].join(",")
        );
        let long = format!("{{\"type\":\"bye\"{}}}", " ".repeat(LONGEST));
        for message in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"type":"ping"}"#,
            r#"{"type":"pong","id":-1,"client_us":0}"#,
            r#"{"type":"visibility","visible":true,"more":1}"#,
            r#"{"type":"view","width":640,"height":360}"#,
            r#"{"type":"view","width":-640,"height":360,"dpi":96}"#,
            r#"{"type":"view","width":640,"height":360,"dpi":96,"more":1}"#,
            r#"{"type":"quality","max_kbps":"2000"}"#,
            r#"{"type":"quality","kbps":2000}"#,
            "\u{0}",
            &many,
            &long,
        ] {
            assert!(side.said(now, message.as_bytes()).is_err(), "{message:.60}");
        }
        assert_eq!(format!("{:?}", stats(&mut side, now)), before);
    }

    #[test]
    fn input_beyond_the_cap_is_dropped_until_the_next_second() {
        let mut side = side();
        let now = MediaTime::from_millis(1);
        let passed = (0..MOST_INPUT * 2).filter(|_| side.may_input(now)).count();
        assert_eq!(passed, MOST_INPUT as usize);
        assert!(side.may_input(MediaTime::from_millis(1_001)));
        let dropped = stats(&mut side, MediaTime::from_millis(1_002)).input_dropped;
        assert_eq!(dropped, u64::from(MOST_INPUT));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = side().said(MediaTime::from_millis(1), &bytes);
        }
    }
}
