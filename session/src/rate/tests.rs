use super::*;
use proptest::prelude::*;
use testkit::Rng;
use testkit::net::{LinkConfig, Loss, PathSim, Queue};

/// Bytes of a packet.
const PACKET: u64 = 1_200;
/// Frames a second of the source.
const FPS: u64 = 60;

fn mbps(rate: u64) -> Bitrate {
    Bitrate::from_mbps(rate)
}

/// A source that sends frames at the controller's target, or at less where it has no more to show.
struct Call {
    path: PathSim,
    control: RateController,
    needs: Bitrate,
    now: MediaTime,
    rng: Rng,
    /// Queueing delay of each millisecond, in microseconds, since [`Call::forget`].
    queue: Vec<u64>,
}

impl Call {
    fn new(link: LinkConfig, config: RateConfig) -> Self {
        let every = Duration::from_millis(50);
        Self {
            path: PathSim::new(link, every, link.delay),
            control: RateController::new(MediaTime::ZERO, config),
            needs: Bitrate::from_mbps(1_000),
            now: MediaTime::ZERO,
            rng: Rng::new(7),
            queue: Vec::new(),
        }
    }

    fn forget(&mut self) {
        self.queue.clear();
    }

    fn set_link(&mut self, rate: Bitrate) {
        let now = self.now;
        self.path.link().change(now, |link| link.rate = rate);
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let millis = self.now.as_micros() / 1_000;
            if millis * FPS / 1_000 != (millis + 1) * FPS / 1_000 {
                self.send_frame();
            }
            while let Some(report) = self.path.poll_report(self.now) {
                self.control.on_report(&report);
            }
            let delay = self.path.link().queue_delay(self.now);
            self.queue.push(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
            self.now = self.now + Duration::from_millis(1);
        }
    }

    /// The encoder's frames differ in size by 20 % around the mean.
    fn send_frame(&mut self) {
        let rate = self.control.target().scaled(ENCODER_SHARE).min(self.needs);
        let mean = rate.bytes_in(Duration::from_micros(1_000_000 / FPS));
        let mut left = (mean as f64 * (0.8 + 0.4 * self.rng.unit())) as u64;
        while left > 0 {
            let bytes = left.min(PACKET);
            self.path.send(self.now, bytes);
            left -= bytes;
        }
    }

    fn queue_percentile(&mut self, percent: usize) -> Duration {
        self.queue.sort_unstable();
        let rank = (self.queue.len() * percent / 100).min(self.queue.len() - 1);
        Duration::from_micros(self.queue[rank])
    }
}

fn wide() -> RateConfig {
    RateConfig { ceiling: mbps(30), ..RateConfig::default() }
}

/// What is sent, as part of the link: the encoder leaves a tenth of the target unused.
fn used(call: &Call, link: Bitrate) -> f64 {
    call.control.acked_rate().bps() as f64 / link.bps() as f64
}

#[test]
fn it_follows_a_link_down_and_up_again() {
    let mut call = Call::new(LinkConfig::of(mbps(20)), wide());
    call.run(Duration::from_secs(6));
    assert!(call.control.target() >= mbps(17), "ramp: {}", call.control.target());
    call.forget();
    call.run(Duration::from_secs(4));
    assert!(
        call.queue_percentile(95) <= Duration::from_millis(50),
        "{:?}",
        call.queue_percentile(95)
    );

    call.set_link(mbps(8));
    call.run(Duration::from_secs(1));
    call.forget();
    call.run(Duration::from_secs(9));
    assert!(
        call.queue_percentile(95) <= Duration::from_millis(50),
        "{:?}",
        call.queue_percentile(95)
    );
    assert!(call.control.target() >= mbps(6) && call.control.target() <= mbps(10));

    call.set_link(mbps(20));
    call.run(Duration::from_secs(5));
    let mut best = 0.0_f64;
    call.forget();
    for _ in 0..50 {
        call.run(Duration::from_millis(100));
        best = best.max(used(&call, mbps(20)));
    }
    assert!(best >= 0.85, "used {best} of the link again");
    assert!(call.queue_percentile(95) <= Duration::from_millis(50));
}

#[test]
fn most_of_a_steady_link_is_used_over_time() {
    for rate in [2, 8, 20] {
        let mut call = Call::new(LinkConfig::of(mbps(rate)), wide());
        call.run(Duration::from_secs(10));
        let mut sum = 0.0;
        for _ in 0..200 {
            call.run(Duration::from_millis(100));
            sum += used(&call, mbps(rate));
        }
        assert!(sum / 200.0 >= 0.8, "{rate} Mbit/s: {}", sum / 200.0);
    }
}

#[test]
fn a_source_that_sends_little_does_not_inflate_the_target() {
    let config = RateConfig { start: mbps(2), ..wide() };
    let mut call = Call::new(LinkConfig::of(mbps(20)), config);
    call.needs = mbps(3);
    call.run(Duration::from_secs(20));
    let (target, most) = (call.control.target(), mbps(3).scaled(HEADROOM * 1.15));
    assert!(target <= most, "{target} above {most}");
    assert!(target >= mbps(3), "and it has what it needs: {target}");
    // Nothing at all says nothing either.
    call.needs = Bitrate::from_bps(0);
    call.run(Duration::from_secs(20));
    assert_eq!(call.control.target(), target);
}

#[test]
fn a_longer_route_is_not_taken_for_a_queue() {
    let mut call = Call::new(LinkConfig::of(mbps(20)), RateConfig { ceiling: mbps(10), ..wide() });
    call.run(Duration::from_secs(10));
    assert_eq!(call.control.target(), mbps(10));
    let now = call.now;
    call.path.link().change(now, |link| link.delay += Duration::from_millis(60));
    let mut least = mbps(10);
    for _ in 0..80 {
        call.run(Duration::from_millis(100));
        least = least.min(call.control.target());
    }
    assert!(least >= mbps(2), "fell to {least}");
    assert_eq!(call.control.target(), mbps(10), "and recovers");
}

#[test]
fn a_shallow_queue_that_drops_brings_the_rate_down() {
    let link = LinkConfig {
        queue: Queue::Bytes(mbps(8).bytes_in(Duration::from_millis(15))),
        ..LinkConfig::of(mbps(8))
    };
    let mut call = Call::new(link, RateConfig { start: mbps(20), ..wide() });
    call.run(Duration::from_secs(2));
    assert!(call.control.target() <= mbps(9), "{}", call.control.target());
}

#[test]
fn light_random_loss_is_no_congestion() {
    let link = LinkConfig { loss: Loss::Random(0.01), ..LinkConfig::of(mbps(40)) };
    let mut call = Call::new(link, wide());
    call.run(Duration::from_secs(10));
    assert_eq!(call.control.target(), mbps(30));
}

#[test]
fn an_outage_ends_at_the_floor_and_is_recovered_from() {
    let mut call = Call::new(LinkConfig::of(mbps(10)), wide());
    call.run(Duration::from_secs(8));
    call.set_link(Bitrate::from_bps(0));
    call.run(Duration::from_millis(500));
    call.set_link(mbps(10));
    call.run(Duration::from_secs(8));
    assert!(call.control.target() >= mbps(7), "{}", call.control.target());
}

#[test]
fn the_encoders_share_leaves_room_for_sound() {
    let config = RateConfig { start: mbps(5), audio: Bitrate::from_kbps(128), ..wide() };
    let control = RateController::new(MediaTime::ZERO, config);
    assert_eq!(control.encoder_target(), Bitrate::from_kbps(4_372));
    let config = RateConfig { start: mbps(0), audio: mbps(1), ..wide() };
    let control = RateController::new(MediaTime::ZERO, config);
    assert_eq!(control.encoder_target(), Bitrate::from_kbps(250));
}

proptest! {
    #[test]
    fn it_stays_within_its_bounds_whatever_is_reported(
        // What a path may report, with what no path can among it.
        reports in proptest::collection::vec(
            (
                0_u64..500_000,
                0_u64..1_000_000,
                prop_oneof![9 => 0_u64..100_000, 1 => any::<u64>()],
                prop_oneof![9 => 0_u32..100, 1 => any::<u32>()],
                prop_oneof![9 => 0_u32..10, 1 => any::<u32>()],
                prop_oneof![9 => 0_i64..300_000, 1 => any::<i64>()],
            ),
            0..300,
        ),
    ) {
        let config = RateConfig { floor: mbps(1), ceiling: mbps(15), ..RateConfig::default() };
        let mut control = RateController::new(MediaTime::ZERO, config);
        let mut at = MediaTime::ZERO;
        for (gap, span, acked_bytes, acked_packets, lost_packets, delay) in reports {
            at = at + Duration::from_micros(gap);
            let before = control.target();
            let told = control.on_report(&PathReport {
                at,
                span: Duration::from_micros(span),
                acked_bytes,
                acked_packets,
                lost_packets,
                sent_bytes: acked_bytes,
                one_way_delay_micros: delay,
                newest_sent: at,
                newest_delay_micros: delay,
                round_trip: None,
                ecn_ce: 0,
            });
            let target = control.target();
            prop_assert!(target >= mbps(1) && target <= mbps(15));
            prop_assert_eq!(told, (target != before).then_some(target));
            prop_assert!(control.intervals.len() <= 257);
        }
    }

    #[test]
    fn it_rises_at_most_five_percent_in_a_hundred_milliseconds(
        gaps in proptest::collection::vec(1_u64..80, 1..200),
    ) {
        let mut control = RateController::new(MediaTime::ZERO, wide());
        let (mut at, start) = (MediaTime::ZERO, control.target());
        for gap in gaps {
            at = at + Duration::from_millis(gap);
            control.on_report(&PathReport {
                at,
                span: Duration::from_millis(gap),
                acked_bytes: 10_000_000,
                acked_packets: 100,
                lost_packets: 0,
                sent_bytes: 10_000_000,
                one_way_delay_micros: 0,
                newest_sent: at,
                newest_delay_micros: 0,
                round_trip: None,
                ecn_ce: 0,
            });
            let steps = i32::try_from(at.as_micros() / 100_000).unwrap();
            let most = start.scaled(1.05_f64.powi(steps));
            prop_assert!(control.target() <= most, "{} at {at:?}", control.target());
        }
    }
}
