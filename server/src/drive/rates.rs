//! A session's rate controller and what it steers: the gate before the encoder, and what is told of it.
//!
//! The controller is pure. Here it is fed by the driver's events; the driver carries out what it asks for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use media::{
    AccessUnit, Acks, Bitrate, Clock, FrameState, MediaTime, PathReport, SendRefused, Size,
    UnitKind, UnitSink,
};
use session::rate::{ClientLoad, Limit, Part, PathState, RateAction, RateConfig, RateController};

use crate::wire;

/// Frames of which the time of sending is known: some seconds of them.
const SENT: usize = 512;

/// See the module.
pub(super) struct Rates {
    config: RateConfig,
    controller: RateController,
    gate: Arc<Gate>,
    /// The timestamp that frames were sent with, and when.
    sent: VecDeque<(u32, MediaTime)>,
    /// Part of the frame rate that the client wants at most.
    most: Part,
    /// Changes of the size so far, each of which cost a keyframe.
    size_changes: u32,
}

impl Rates {
    pub(super) fn new(now: MediaTime, config: RateConfig) -> Self {
        Self {
            config,
            controller: RateController::new(now, config),
            gate: Arc::new(Gate::default()),
            sent: VecDeque::new(),
            most: Part::WHOLE,
            size_changes: 0,
        }
    }

    /// Another connection: its one-way delays have another zero, and what was learnt of them means nothing there.
    pub(super) fn renew(&mut self, now: MediaTime) {
        let start = self.controller.target();
        self.controller = RateController::new(now, RateConfig { start, ..self.config });
        self.gate = Arc::new(Gate::default());
        self.sent.clear();
    }

    /// A sink that takes no unit while the path has no room for one.
    pub(super) fn gated(
        &self,
        sink: Box<dyn UnitSink>,
        clock: Arc<dyn Clock>,
    ) -> Box<dyn UnitSink> {
        Box::new(Gated { sink, gate: self.gate.clone(), clock })
    }

    /// The last packet of a frame left `at`.
    pub(super) fn on_sent(&mut self, at: MediaTime, wire_timestamp: u32, bytes: u64) {
        if self.sent.len() == SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((wire_timestamp, at));
        self.controller.on_sent(at, bytes);
    }

    /// The source's pictures can be coded smaller, or not.
    pub(super) fn set_resizes(&mut self, resizes: bool) {
        self.config.resizes = resizes;
        self.controller.set_resizes(resizes);
    }

    /// The source's pictures have another size.
    pub(super) fn on_resized(&mut self, size: Size) {
        self.config.size = size;
        self.controller.on_resized(size);
    }

    pub(super) fn on_report(&mut self, report: &PathReport) {
        self.controller.on_report(report);
    }

    /// The client said what became of frames.
    pub(super) fn on_acks(&mut self, now: MediaTime, acks: &Acks) {
        // Where the queue in front of the decoder is known, a page without time to read has another before it.
        let decode_delay_micros = self.decode_delay(acks);
        let load = ClientLoad { decode_queue: acks.decode_queue, decode_delay_micros };
        self.controller.on_client(now, load);
    }

    /// From sending to decoding, of the newest frame that was decoded; the clocks' offset is in it.
    fn decode_delay(&self, acks: &Acks) -> Option<i64> {
        let decoded = acks.frames.iter().filter(|frame| frame.state == FrameState::Decoded);
        let newest = decoded.max_by_key(|frame| frame.last_us)?;
        let (_, sent) =
            self.sent.iter().rev().find(|(timestamp, _)| *timestamp == newest.wire_timestamp)?;
        let micros = |time: u64| i64::try_from(time).ok();
        Some(micros(newest.last_us)? - micros(sent.as_micros())?)
    }

    /// What to do now; `None` when nothing is left to do. The gate is set then.
    pub(super) fn poll(&mut self, now: MediaTime) -> Option<RateAction> {
        let action = self.controller.poll(now);
        self.size_changes += u32::from(matches!(action, Some(RateAction::Size(_))));
        if action.is_none() {
            self.gate.close_until(self.controller.skip_until(now));
        }
        action
    }

    /// Whether a unit is on its way to the client that shows a picture whatever was lost before it.
    pub(super) fn is_answered(&self, now: MediaTime) -> bool {
        self.gate.clean().is_some_and(|sent| self.controller.is_under_way(sent, now))
    }

    /// When [`poll`](Self::poll) is due for a probe.
    pub(super) fn poll_timeout(&self, now: MediaTime) -> Option<MediaTime> {
        self.controller.poll_timeout(now)
    }

    /// What may be sent in all.
    pub(super) fn target(&self) -> Bitrate {
        self.controller.target()
    }

    /// What the encoder is to be told, which counts on the full frame rate: as many more bits as there are fewer
    /// frames.
    pub(super) fn told_encoder(&self, now: MediaTime) -> Bitrate {
        let encoder = self.controller.status(now).encoder;
        encoder.scaled(1.0 / self.frame_rate(now).as_f64())
    }

    /// Part of the frame rate that pictures are made at.
    pub(super) fn frame_rate(&self, now: MediaTime) -> Part {
        self.controller.status(now).frame_rate.least(self.most)
    }

    /// The client wants no more than this; whether that is news.
    pub(super) fn limit(&mut self, ceiling: Bitrate, most: Part) -> bool {
        if (self.config.ceiling, self.most) == (ceiling, most) {
            return false;
        }
        self.most = most;
        self.config.ceiling = ceiling;
        self.controller.set_ceiling(ceiling);
        true
    }

    /// What the encoder should produce.
    pub(super) fn encoder_target(&self) -> Bitrate {
        self.controller.encoder_target()
    }

    /// For the client.
    pub(super) fn stats(&self, now: MediaTime) -> wire::RateStats {
        let status = self.controller.status(now);
        wire::RateStats {
            path: match status.path {
                PathState::Clear => wire::PathCondition::Clear,
                PathState::Filling => wire::PathCondition::Filling,
                PathState::Overused => wire::PathCondition::Overused,
                PathState::Contended => wire::PathCondition::Contended,
            },
            limited_by: match status.limit {
                Limit::Link => wire::RateLimit::Link,
                Limit::Client => wire::RateLimit::Client,
                Limit::Ceiling => wire::RateLimit::Ceiling,
                Limit::Source => wire::RateLimit::Source,
            },
            queue_ms: status.queue.as_micros() as f64 / 1e3,
            arrives_kbps: u32::try_from(status.acked.kbps()).unwrap_or(u32::MAX),
            frame_rate: self.frame_rate(now).as_f64(),
            size: status.size.as_f64(),
            size_changes: self.size_changes,
        }
    }
}

/// What the driver and the encoder's thread tell each other. Times are in nanoseconds.
#[derive(Default)]
struct Gate {
    /// Until when no unit is taken; set by the driver.
    closed_until: AtomicU64,
    /// When the last keyframe or recovery was taken, 0 for none; set by the encoder's thread.
    clean: AtomicU64,
}

impl Gate {
    fn close_until(&self, until: MediaTime) {
        self.closed_until.store(until.as_nanos(), Ordering::Relaxed);
    }

    fn is_open(&self, now: MediaTime) -> bool {
        now.as_nanos() >= self.closed_until.load(Ordering::Relaxed)
    }

    fn clean(&self) -> Option<MediaTime> {
        let nanos = self.clean.load(Ordering::Relaxed);
        (nanos > 0).then(|| MediaTime::from_nanos(nanos))
    }
}

/// A sink behind a gate. The encoder's thread asks whether it is ready before it codes: frames that would wait behind
/// others are dropped there.
struct Gated {
    sink: Box<dyn UnitSink>,
    gate: Arc<Gate>,
    clock: Arc<dyn Clock>,
}

impl UnitSink for Gated {
    fn is_ready(&self) -> bool {
        self.gate.is_open(self.clock.now()) && self.sink.is_ready()
    }

    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        let is_clean = unit.kind != UnitKind::Delta && unit.part.last;
        self.sink.send(unit)?;
        if is_clean {
            self.gate.clean.store(self.clock.now().as_nanos(), Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use media::{Codec, ColorDescription, Damage, FrameAck, FrameId, StageTimes, TrackId, Views};
    use testkit::FakeClock;

    use super::*;

    struct Open;

    impl UnitSink for Open {
        fn is_ready(&self) -> bool {
            true
        }
        fn send(&mut self, _: AccessUnit) -> Result<(), SendRefused> {
            Ok(())
        }
    }

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    fn report(at: u64, delay: i64) -> PathReport {
        PathReport {
            at: ms(at),
            span: Duration::from_millis(16),
            acked_bytes: 10_000,
            acked_packets: 9,
            lost_packets: 0,
            sent_bytes: 10_000,
            one_way_delay_micros: delay,
            // The way takes 5 ms, the report 15.
            newest_sent: ms(at - 15) - Duration::from_micros(delay.unsigned_abs()),
            newest_delay_micros: delay,
            round_trip: None,
            ecn_ce: 0,
            unread_frames: None,
        }
    }

    /// Feeds a steady stream of frames, and after each a report on those that have arrived.
    fn feed(rates: &mut Rates, from: u64, to: u64, delay: i64) {
        for at in (from..to).step_by(16) {
            rates.on_sent(ms(at), at as u32, 10_000);
            rates.on_report(&report(at + 20, delay));
            while rates.poll(ms(at + 20)).is_some() {}
        }
    }

    #[test]
    fn while_frames_wait_at_the_bottleneck_the_sink_is_not_ready() {
        let clock = Arc::new(FakeClock::default());
        let mut rates = Rates::new(ms(0), RateConfig::default());
        let sink = rates.gated(Box::new(Open), clock.clone());
        feed(&mut rates, 100, 1_000, 5_000);
        clock.advance_to(ms(1_020));
        assert!(sink.is_ready());
        feed(&mut rates, 1_000, 1_100, 205_000);
        clock.advance_to(ms(1_116));
        assert!(!sink.is_ready(), "200 ms wait before the next");
        // It opens by itself: a path that has gone silent is tried again.
        clock.advance_to(ms(1_600));
        assert!(sink.is_ready());
        rates.renew(ms(1_600));
        assert!(rates.gated(Box::new(Open), clock).is_ready(), "another connection has no queue");
    }

    fn unit(at: u64, kind: UnitKind) -> AccessUnit {
        AccessUnit {
            track: TrackId(0),
            frame: FrameId(at),
            captured_at: ms(at),
            kind,
            refers_to: None,
            codec: Codec::H264,
            data: vec![0x41].into(),
            part: media::Part::WHOLE,
            views: Views::default(),
            damage: Damage::Unknown,
            depth: None,
            color: ColorDescription::BT709_LIMITED,
            last_input: None,
            stages: StageTimes::captured(ms(at)),
        }
    }

    #[test]
    fn whoever_asks_for_a_keyframe_is_answered_while_a_recovery_is_on_its_way() {
        let clock = Arc::new(FakeClock::default());
        let mut rates = Rates::new(ms(0), RateConfig::default());
        let mut sink = rates.gated(Box::new(Open), clock.clone());
        // The path takes 5 ms, a queue 200, the report 15.
        feed(&mut rates, 100, 1_000, 5_000);
        feed(&mut rates, 1_000, 1_100, 205_000);
        let mut send = |at: u64, kind| {
            clock.advance_to(ms(at));
            sink.send(unit(at, kind)).unwrap();
        };
        send(1_110, UnitKind::Delta);
        assert!(!rates.is_answered(ms(1_110)));
        send(1_120, UnitKind::Recovery);
        send(1_130, UnitKind::Delta);
        assert!(rates.is_answered(ms(1_180)));
        assert!(!rates.is_answered(ms(2_000)), "it should have come");
        rates.renew(ms(2_000));
        assert!(!rates.is_answered(ms(1_120)), "that was another connection");
    }

    #[test]
    fn a_client_that_falls_behind_is_told_of_and_the_encoder_has_more_bits_a_frame() {
        let mut rates = Rates::new(ms(0), RateConfig::default());
        let acks = |queue| Acks {
            decode_queue: Some(queue),
            frames: vec![FrameAck {
                wire_timestamp: 1,
                state: FrameState::Decoded,
                first_us: 0,
                last_us: 0,
            }],
        };
        let mut actions = Vec::new();
        for at in (0..3_000).step_by(16) {
            rates.on_acks(ms(at), &acks(5));
            actions.extend(std::iter::from_fn(|| rates.poll(ms(at))));
        }
        assert!(matches!(actions[..], [RateAction::FrameRate(_), ..]), "{actions:?}");
        let stats = rates.stats(ms(3_000));
        assert_eq!(stats.limited_by, wire::RateLimit::Client);
        assert!(stats.frame_rate < 1.0);
        let told = rates.told_encoder(ms(3_000)).bps() as f64 * stats.frame_rate;
        assert!((told / rates.encoder_target().bps() as f64 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_path_that_carries_little_makes_pictures_smaller_where_they_can_be_and_each_change_is_counted()
     {
        let config = RateConfig {
            start: Bitrate::from_kbps(100),
            floor: Bitrate::from_kbps(100),
            ceiling: Bitrate::from_kbps(100),
            resizes: false,
            ..RateConfig::default()
        };
        let run = |rates: &mut Rates| {
            let mut sizes = Vec::new();
            for at in (0..30_000).step_by(50) {
                let actions = std::iter::from_fn(|| rates.poll(ms(at)));
                sizes.extend(
                    actions.filter(|action| matches!(action, RateAction::Size(_))).map(|_| at),
                );
            }
            sizes
        };
        let mut fixed = Rates::new(ms(0), config);
        assert_eq!((run(&mut fixed), fixed.stats(ms(30_000)).size_changes), (vec![], 0));
        let mut rates = Rates::new(ms(0), config);
        rates.set_resizes(true);
        let sizes = run(&mut rates);
        assert!(sizes.windows(2).all(|pair| pair[1] - pair[0] >= 5_000), "{sizes:?}");
        let stats = rates.stats(ms(30_000));
        assert_eq!((stats.size, stats.size_changes), (0.5, sizes.len() as u32));
        // Another client begins with whole pictures, which is no change.
        rates.renew(ms(30_000));
        let stats = rates.stats(ms(30_000));
        assert_eq!((stats.size, stats.size_changes), (1.0, sizes.len() as u32));
    }

    #[test]
    fn a_client_without_time_to_read_gets_fewer_frames_though_none_waits_for_its_decoder() {
        let mut rates = Rates::new(ms(0), RateConfig::default());
        let mut actions = Vec::new();
        for at in (0..6_000_u64).step_by(16) {
            let took = if at < 3_000 { 5 } else { 120 };
            rates.on_sent(ms(at), at as u32, 10_000);
            let came = (at + took) * 1_000;
            let frames = vec![FrameAck {
                wire_timestamp: at as u32,
                state: FrameState::Decoded,
                first_us: came,
                last_us: came,
            }];
            rates.on_acks(ms(at + took), &Acks { decode_queue: Some(0), frames });
            let polled = std::iter::from_fn(|| rates.poll(ms(at + took)));
            actions.extend(polled.map(|action| (at, action)));
        }
        let fewer = |(_, action): &&(u64, RateAction)| matches!(action, RateAction::FrameRate(_));
        assert!(actions.iter().find(fewer).is_some_and(|(at, _)| *at >= 3_000), "{actions:?}");
        assert_eq!(rates.stats(ms(6_120)).limited_by, wire::RateLimit::Client);
    }

    #[test]
    fn how_long_a_frame_was_under_way_is_known_for_those_that_were_sent() {
        let mut rates = Rates::new(ms(0), RateConfig::default());
        rates.on_sent(ms(40), 3_600, 10_000);
        let ack = |wire_timestamp, state, last_us| FrameAck {
            wire_timestamp,
            state,
            first_us: 0,
            last_us,
        };
        let of = |frames| Acks { decode_queue: None, frames };
        let decoded = ack(3_600, FrameState::Decoded, 1_050_000);
        assert_eq!(rates.decode_delay(&of(vec![decoded])), Some(1_010_000));
        let others = [ack(7, FrameState::Decoded, 1), ack(3_600, FrameState::Received, 1_050_000)];
        for other in others {
            assert_eq!(rates.decode_delay(&of(vec![other])), None);
        }
    }
}
