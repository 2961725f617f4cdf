//! Both ends of one session in a run: the server's rate control with the emulated encoder, and the
//! client's emulated decoder.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use media::{
    Acks, Bitrate, Clock, DataChannel, FrameAck, FrameId, FrameState, TrackId, Transport,
    TransportEvent,
};
use session::{RateConfig, RateController};
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) encoded: Encoded,
    /// Frames that the source had and the transport had no room for.
    pub(crate) skipped: u64,
}

/// Sends for `length`, from now on, and then answers for `drain` longer.
pub(crate) async fn serve(
    mut transport: Box<dyn Transport>,
    clock: Arc<dyn Clock>,
    ceiling: Bitrate,
    seed: u64,
    length: Duration,
    drain: Duration,
) -> anyhow::Result<Served> {
    let config = RateConfig { ceiling, ..RateConfig::default() };
    let mut rate = RateController::new(clock.now(), config);
    let mut encoder = Encoder::new(INTERVAL, rate.encoder_target(), seed);
    set_rates(&rate, &mut encoder, transport.as_mut());
    let mut sink = transport.video_sink(TrackId(0));
    let start = Instant::now();
    let (mut tick, mut skipped) = (0_u32, 0);
    // Timestamp and number of frames that were sent.
    let mut sent: VecDeque<(u32, FrameId)> = VecDeque::new();
    loop {
        let due = start + INTERVAL * tick;
        let event = tokio::select! {
            biased;
            event = poll_fn(|cx| transport.poll_event(cx)) => event,
            () = sleep_until(due) => {
                if due.duration_since(start) >= length + drain {
                    break;
                }
                tick += 1;
                if due.duration_since(start) >= length {
                    continue;
                }
                if !sink.is_ready() {
                    skipped += 1;
                    continue;
                }
                let unit = encoder.encode(clock.now());
                let frame = unit.frame;
                if sink.send(unit).is_err() {
                    encoder.forget(&(frame..=frame));
                }
                continue;
            }
        };
        match event {
            TransportEvent::Path(report) => {
                rate.on_report(&report);
                set_rates(&rate, &mut encoder, transport.as_mut());
            }
            TransportEvent::KeyframeNeeded(_) => encoder.keyframe(),
            TransportEvent::FramesLost(_, lost) => encoder.forget(&lost),
            TransportEvent::Data(DataChannel::Acks, message) => {
                let acks = Acks::decode(&message)?;
                for ack in acks.frames.iter().filter(|ack| ack.state == FrameState::Decoded) {
                    let known = sent.iter().find(|(timestamp, _)| *timestamp == ack.wire_timestamp);
                    if let Some((_, frame)) = known {
                        encoder.acknowledge(frame.0);
                    }
                }
            }
            TransportEvent::FrameSent { frame, wire_timestamp, .. } => {
                if sent.len() == REMEMBERED {
                    sent.pop_back();
                }
                // The newest first: it is looked for there.
                sent.push_front((wire_timestamp, frame));
            }
            TransportEvent::Closed(reason) => bail!("the server's side ended: {reason}"),
            _ => {}
        }
    }
    Ok(Served { encoded: encoder.counts(), skipped })
}

fn set_rates(rate: &RateController, encoder: &mut Encoder, transport: &mut dyn Transport) {
    encoder.set_rate(rate.encoder_target());
    transport.set_pacing(rate.target().scaled(PACING_FACTOR));
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
