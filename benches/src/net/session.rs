//! Both ends of one session in a run: the server's rate control with the emulated encoder, and the
//! client's emulated decoder.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use media::{
    Acks, Bitrate, Clock, DataChannel, FrameAck, FrameId, FrameRate, FrameState, MediaTime,
    TrackId, Transport, TransportEvent, UnitKind, UnitSink,
};
use session::rate::{ClientLoad, RateAction, RateConfig, RateController};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::column::Client;
use super::encoder::{Encoded, Encoder};
use super::viewer::{Shown, Viewer};

/// Frames a second of the source.
pub(crate) const FPS: u32 = 60;
/// Time between two frames.
pub(crate) const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / FPS as u64);
/// The pacer's rate in targets, as the server has it.
const PACING_FACTOR: f64 = 4.0;
/// How often a client looks for what is due.
const TICK: Duration = Duration::from_millis(5);
/// Frames in a message of acknowledgements: the newest, and those before it in case one is lost.
const ACKED: usize = 4;
/// Frames whose timestamp is remembered until they are acknowledged.
const REMEMBERED: usize = 1_024;

/// What the server did.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) encoded: Encoded,
    /// When the source had each frame, coded or not.
    pub(crate) captured: Vec<MediaTime>,
    /// Frames that the source had and that were not coded, because too much waited.
    pub(crate) skipped: u64,
}

/// The server's end, but for its transport.
struct Server {
    rate: RateController,
    encoder: Encoder,
    /// Time between two frames at the part of the frame rate that is asked for.
    interval: Duration,
    /// Timestamp and number of frames that were sent, the newest first: it is looked for there.
    sent: VecDeque<(u32, FrameId)>,
    captured: Vec<MediaTime>,
    skipped: u64,
    /// When the last unit left that shows a picture whatever was lost before it.
    clean: Option<MediaTime>,
}

/// Sends for `length`, from now on, and then answers for `drain` longer.
pub(crate) async fn serve(
    transport: &mut dyn Transport,
    clock: Arc<dyn Clock>,
    ceiling: Bitrate,
    seed: u64,
    length: Duration,
    drain: Duration,
) -> anyhow::Result<Served> {
    let config = RateConfig { ceiling, frame: INTERVAL, ..RateConfig::default() };
    let rate = RateController::new(clock.now(), config);
    let mut server = Server {
        encoder: Encoder::new(INTERVAL, rate.encoder_target(), seed),
        rate,
        interval: INTERVAL,
        sent: VecDeque::new(),
        captured: Vec::new(),
        skipped: 0,
        clean: None,
    };
    transport.set_pacing(server.rate.target().scaled(PACING_FACTOR));
    let mut sink = transport.video_sink(TrackId(0));
    let start = Instant::now();
    let mut due = start;
    while due.duration_since(start) < length + drain {
        let now = clock.now();
        server.act(now, transport);
        let wake = server.rate.poll_timeout(now);
        let wake = wake.map_or(due, |at| due.min(Instant::now() + at.since(now)));
        tokio::select! {
            biased;
            event = poll_fn(|cx| transport.poll_event(cx)) => {
                let taken = server.take(clock.now(), event);
                if taken.is_err() && due.duration_since(start) >= length {
                    // The client has seen enough and left.
                    break;
                }
                taken?;
            }
            () = sleep_until(wake) => {
                if Instant::now() < due {
                    continue;
                }
                if due.duration_since(start) < length {
                    server.frame(clock.now(), sink.as_mut());
                }
                // A machine that was late leaves frames out, as a source does.
                due = (due + server.interval).max(Instant::now() - server.interval);
            }
        }
    }
    let Server { encoder, captured, skipped, .. } = server;
    Ok(Served { encoded: encoder.counts(), captured, skipped })
}

impl Server {
    /// Does what the rate controller asks for.
    fn act(&mut self, now: MediaTime, transport: &mut dyn Transport) {
        while let Some(action) = self.rate.poll(now) {
            match action {
                RateAction::Target { total, encoder } => {
                    self.encoder.set_rate(encoder);
                    transport.set_pacing(total.scaled(PACING_FACTOR));
                }
                RateAction::FrameRate(part) => {
                    self.interval = part.of_rate(FrameRate::fps(FPS)).interval();
                    self.encoder.set_interval(self.interval);
                }
                // Units are of no size; what a change costs is its keyframe.
                RateAction::Size(_) => self.encoder.resize(),
                RateAction::Probe { rate, length } => transport.probe(rate, length),
            }
        }
    }

    /// The source has a frame.
    fn frame(&mut self, now: MediaTime, sink: &mut dyn UnitSink) {
        self.captured.push(now);
        if !sink.is_ready() || self.rate.skip_frame(now) {
            self.skipped += 1;
            return;
        }
        let unit = self.encoder.encode(now);
        let (frame, is_clean) = (unit.frame, unit.kind != UnitKind::Delta);
        if sink.send(unit).is_err() {
            self.encoder.forget(&(frame..=frame));
        } else if is_clean {
            self.clean = Some(now);
        }
    }

    /// The client asks for a keyframe, and gets one unless an answer to its loss is on its way, as from the server.
    fn wants_keyframe(&mut self, now: MediaTime) {
        if !self.clean.is_some_and(|sent| self.rate.is_under_way(sent, now)) {
            self.encoder.keyframe();
        }
    }

    fn take(&mut self, now: MediaTime, event: TransportEvent) -> anyhow::Result<()> {
        match event {
            TransportEvent::Path(report) => self.rate.on_report(&report),
            TransportEvent::KeyframeNeeded(_) => self.wants_keyframe(now),
            TransportEvent::FramesLost(_, lost) => self.encoder.forget(&lost),
            // Clients here say nothing else on it.
            TransportEvent::Data(DataChannel::Control, _) => self.wants_keyframe(now),
            TransportEvent::Data(DataChannel::Acks, message) => {
                let acks = Acks::decode(&message)?;
                for ack in acks.frames.iter().filter(|ack| ack.state == FrameState::Decoded) {
                    let known = |(timestamp, _): &&(u32, _)| *timestamp == ack.wire_timestamp;
                    if let Some((_, frame)) = self.sent.iter().find(known) {
                        self.encoder.acknowledge(frame.0);
                    }
                }
                let load =
                    ClientLoad { decode_queue: acks.decode_queue, decode_delay_micros: None };
                self.rate.on_client(now, load);
            }
            TransportEvent::FrameSent { frame, wire_timestamp, bytes, .. } => {
                self.rate.on_sent(now, bytes);
                if self.sent.len() == REMEMBERED {
                    self.sent.pop_back();
                }
                self.sent.push_front((wire_timestamp, frame));
            }
            TransportEvent::Closed(reason) => bail!("the server's side ended: {reason}"),
            _ => {}
        }
        Ok(())
    }
}

/// Watches until `until`, a little after the server stopped; yields what was shown.
pub(crate) async fn watch(
    mut client: Box<dyn Client>,
    clock: Arc<dyn Clock>,
    until: Instant,
) -> anyhow::Result<Vec<Shown>> {
    let mut viewer = Viewer::new(clock.now(), client.patience());
    let mut newest: VecDeque<FrameAck> = VecDeque::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let origin = clock.now();
    while Instant::now() < until {
        let whole = tokio::select! {
            biased;
            whole = client.whole() => Some(whole?),
            _ = ticks.tick() => None,
        };
        // Packets that come without a pause must not keep requests from leaving.
        client.tick().await;
        let now = clock.now();
        let decoded = whole.map_or_else(Vec::new, |whole| viewer.whole(now, whole));
        if let Some(last) = decoded.last() {
            client.decoded(last);
            for whole in &decoded {
                let micros = |at: media::MediaTime| at.since(origin).as_micros() as u64;
                newest.push_back(FrameAck {
                    wire_timestamp: whole.wire_timestamp,
                    state: FrameState::Decoded,
                    first_us: micros(whole.first),
                    last_us: micros(whole.last),
                });
            }
            while newest.len() > ACKED {
                newest.pop_front();
            }
            let frames = newest.iter().copied().collect();
            let mut message = Vec::new();
            Acks { decode_queue: Some(0), frames }.encode(&mut message);
            client.acknowledge(message.into()).await;
        }
        if viewer.asks(now) {
            client.ask_keyframe().await;
        }
    }
    Ok(viewer.into_shown())
}
