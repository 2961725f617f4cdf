//! The client's side of a session: what it says on the control channel, how its clock runs, what it saw.

use std::collections::VecDeque;
use std::time::Duration;

use encoder::Choice;
use media::{Acks, Bitrate, Codec, FrameId, FrameState, MediaTime, Size, StageTimes};
use session::clock_offset::{ClockSync, ClockSyncConfig};
use session::invitations::Role;
use session::ledger::{ClientReport, LatencyLedger, LedgerConfig, Percentiles};

use super::source::SourceCounts;
use super::trace;
use crate::metrics::Metrics;
use crate::wire::{self, ClientMessage, MOST_REPORTS, Refused, ServerMessage};

/// Input events a second beyond which the rest of the second is dropped and counted: the page sends 500 of a mouse, and of each of
/// four gamepads 250 of its state and 250 of its motion, so that more means a client gone wrong. One that sends far more
/// loses its connection (`transport`).
const MOST_INPUT: u32 = 3_000;
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
    /// It plays sound in so many channels.
    Channels(u8),
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
    /// Why the picture is no larger.
    screen_refused: Option<String>,
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
            screen_refused: None,
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

    /// Why the picture is smaller than its place; or it is as large again.
    pub(super) fn screen_refused(&mut self, refused: Option<String>) {
        self.screen_refused = refused;
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
            screen_refused: self.screen_refused.clone(),
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

    /// Takes a control message. One that is refused changes nothing.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(super) fn said(&mut self, now: MediaTime, message: &[u8]) -> Result<Said, Refused> {
        match ClientMessage::read(message)? {
            ClientMessage::Pong { id, client_us } => {
                // A pong that is late or unknown is counted by the clock and worth nothing else.
                if let Ok(round_trip) = self.clock.on_pong(now, id, client_us) {
                    self.round_trip = Some(round_trip);
                }
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
            ClientMessage::Keyframe {} => return Ok(Said::KeyframeNeeded),
            ClientMessage::Transport { kind, reason } => {
                let told = Some(wire::TransportChoice { kind, reason });
                if self.transport == told {
                    return Ok(Said::Nothing);
                }
                self.transport = told;
                return Ok(Said::Transport);
            }
            ClientMessage::Quality(quality) => return Ok(Said::Quality(quality)),
            ClientMessage::Follow { pointer } => return Ok(Said::Follow(pointer)),
            ClientMessage::View(view) => return Ok(Said::View(view)),
            ClientMessage::Sound { channels } => return Ok(Said::Channels(channels)),
            ClientMessage::Acknowledge { chain, sequence, signature } => {
                return Ok(Said::Acknowledged { chain, sequence, signature });
            }
            ClientMessage::Bye {} => return Ok(Said::Bye),
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

    /// Whether the event that may not pass is the first of its second. A release may be among those that follow, and nothing is
    /// pressed before the next second.
    pub(super) fn begins_to_refuse(&self) -> bool {
        self.input_count == MOST_INPUT + 1
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
#[path = "client_tests.rs"]
mod tests;
