//! Paths that are no link with a queue, and reports that no path makes.

use media::{MediaTime, PathReport};
use proptest::prelude::*;
use testkit::net::{LinkConfig, Loss, Queue};

use super::world::World;
use super::*;
use crate::rate::{PathState, RateController};

#[test]
fn a_longer_route_is_not_taken_for_a_queue() {
    for feedback in FEEDBACK {
        let config = RateConfig { ceiling: mbps(10), ..wide() };
        let mut world = World::on(LinkConfig::of(mbps(20))).with(feedback, Duration::ZERO, config);
        world.run(secs(10));
        world.change(|link| link.delay += Duration::from_millis(60));
        world.run(secs(5));
        let status = world.sessions[0].control.status(world.now);
        assert_eq!((status.target, status.path), (mbps(10), PathState::Clear), "{feedback:?}");
        let least = (10_000..15_000).step_by(500).map(|from| world.rate(0, from, from + 500)).min();
        assert!(least >= Some(mbps(2)), "{feedback:?}: fell to {least:?}");
    }
}

#[test]
fn a_shallow_queue_that_drops_brings_the_rate_down() {
    for feedback in FEEDBACK {
        let link =
            LinkConfig { queue: Queue::Time(Duration::from_millis(15)), ..LinkConfig::of(mbps(8)) };
        let config = RateConfig { start: mbps(20), ..wide() };
        let mut world = World::on(link).with(feedback, Duration::ZERO, config);
        world.run(secs(2));
        let target = world.sessions[0].control.target();
        assert!(target <= mbps(9), "{feedback:?}: {target}");
        world.run(secs(18));
        let sent = world.link_counts();
        let lost = sent.overflowed as f64 / sent.sent as f64;
        assert!(lost <= 0.15, "{feedback:?}: {lost} lost");
        let rate = world.rate(0, 2_000, 20_000);
        assert!(rate >= mbps(6), "{feedback:?}: {rate}");
    }
}

#[test]
fn most_of_a_steady_link_is_used_over_time() {
    for (rate, feedback) in [2, 8, 20].into_iter().flat_map(|rate| FEEDBACK.map(|of| (rate, of))) {
        let link = LinkConfig::of(mbps(rate));
        let mut world = World::on(link).with(feedback, Duration::ZERO, wide());
        world.run(secs(30));
        let used = world.rate(0, 10_000, 30_000);
        assert!(used >= mbps(rate).scaled(0.8), "{rate} Mbit/s, {feedback:?}: {used}");
    }
}

#[test]
fn light_random_loss_keeps_nobody_from_the_ceiling() {
    for feedback in FEEDBACK {
        let link = LinkConfig { loss: Loss::Random(0.01), ..LinkConfig::of(mbps(40)) };
        let mut world = World::on(link).with(feedback, Duration::ZERO, wide());
        world.run(secs(10));
        assert_eq!(world.sessions[0].control.target(), mbps(30), "{feedback:?}");
    }
}

#[test]
fn an_outage_of_a_narrow_link_is_recovered_from() {
    for feedback in FEEDBACK {
        let link = LinkConfig::of(mbps(10));
        let mut world = World::on(link).with(feedback, Duration::ZERO, wide());
        world.run(secs(8));
        world.change(|link| link.rate = Bitrate::from_bps(0));
        world.run(Duration::from_millis(500));
        world.change(|link| link.rate = mbps(10));
        world.run(secs(8));
        let target = world.sessions[0].control.target();
        assert!(target >= mbps(7), "{feedback:?}: {target}");
    }
}

#[test]
fn frames_are_skipped_before_they_wait_behind_two_others() {
    for feedback in FEEDBACK {
        let mut world = World::on(LinkConfig::of(mbps(20))).with(feedback, Duration::ZERO, wide());
        world.run(secs(10));
        let before = world.sessions[0].skips.len();
        world.change(|link| link.rate = mbps(2));
        world.run(secs(3));
        let session = &world.sessions[0];
        assert!(session.skips.len() > before + 5, "{}", session.skips.len());
        // What was sent before the drop was known waits; what is sent after it does not.
        let latency = session.latency(11_200, 13_000, 100.0);
        assert!(latency <= Duration::from_millis(150), "{feedback:?}: {latency:?}");
    }
}

#[test]
fn a_large_frame_on_a_wide_link_costs_no_others() {
    for feedback in FEEDBACK {
        let config = RateConfig { ceiling: mbps(10), ..wide() };
        let mut world = World::on(LinkConfig::of(mbps(100))).with(feedback, Duration::ZERO, config);
        world.run(secs(5));
        for _ in 0..5 {
            world.sessions[0].next_is_large = true;
            world.run(secs(1));
        }
        assert_eq!(world.sessions[0].control_skips, 0, "{feedback:?}");
    }
}

#[test]
fn the_encoders_share_leaves_room_for_sound() {
    let config = RateConfig { start: mbps(5), audio: Bitrate::from_kbps(128), ..wide() };
    let control = RateController::new(MediaTime::ZERO, config);
    assert_eq!(control.encoder_target(), Bitrate::from_bps(4_628_400));
    let config = RateConfig { start: mbps(0), audio: mbps(1), ..wide() };
    let control = RateController::new(MediaTime::ZERO, config);
    assert_eq!(control.encoder_target(), Bitrate::from_bps(356_250));
}

#[test]
fn what_repairs_losses_is_taken_from_the_encoder() {
    // A frame every 20 ms, and a fifth as much beside it.
    let target = |beside: u64| {
        let config = RateConfig { start: mbps(8), ceiling: mbps(8), ..wide() };
        let mut control = RateController::new(MediaTime::ZERO, config);
        for step in 1..=500_u64 {
            let at = MediaTime::from_millis(20 * step);
            control.on_sent(at, 15_000);
            control.on_report(&PathReport {
                at,
                span: Duration::from_millis(20),
                acked_bytes: 15_000 + beside,
                acked_packets: 15,
                lost_packets: 0,
                sent_bytes: 15_000 + beside,
                one_way_delay_micros: 20_000,
                newest_sent: at - Duration::from_millis(20),
                newest_delay_micros: 20_000,
                round_trip: Some(Duration::from_millis(40)),
                ecn_ce: 0,
                unread_frames: None,
            });
            while control.poll(at).is_some() {}
        }
        (control.target(), control.encoder_target())
    };
    let ((all, alone), (same, beside)) = (target(0), target(3_000));
    assert_eq!((all, same), (mbps(8), mbps(8)));
    // 1.2 Mbit/s of them.
    let left = alone.bps() - beside.bps();
    assert!((1_000_000..1_400_000).contains(&left), "{alone} and {beside}");
}

proptest! {
    #[test]
    fn it_stays_within_its_bounds_whatever_is_reported(
        // What a path may report, with what no path can among it.
        reports in proptest::collection::vec(
            (
                0_u64..500_000,
                prop_oneof![9 => 0_u64..1_000_000, 1 => any::<u64>()],
                prop_oneof![9 => 0_u64..100_000, 1 => any::<u64>()],
                prop_oneof![9 => 0_u32..100, 1 => any::<u32>()],
                prop_oneof![9 => 0_u32..10, 1 => any::<u32>()],
                prop_oneof![9 => 0_i64..300_000, 1 => any::<i64>()],
                prop_oneof![9 => 0_i64..300_000, 1 => any::<i64>()],
                prop_oneof![9 => 0_u64..100_000, 1 => any::<u64>()],
                any::<Option<f64>>(),
            ),
            0..300,
        ),
    ) {
        let config = RateConfig { floor: mbps(1), ceiling: mbps(15), ..RateConfig::default() };
        let mut control = RateController::new(MediaTime::ZERO, config);
        let mut at = MediaTime::ZERO;
        for (gap, span, acked_bytes, acked_packets, lost_packets, delay, newest, before, unread) in reports {
            at = at + Duration::from_micros(gap);
            control.on_sent(at, acked_bytes);
            control.on_report(&PathReport {
                at,
                span: Duration::from_micros(span),
                acked_bytes,
                acked_packets,
                lost_packets,
                sent_bytes: acked_bytes,
                one_way_delay_micros: delay,
                newest_sent: at - Duration::from_micros(before),
                newest_delay_micros: newest,
                round_trip: None,
                ecn_ce: 0,
                unread_frames: unread,
            });
            let mut polls = 0;
            while control.poll(at).is_some() {
                polls += 1;
                prop_assert!(polls < 5);
            }
            control.skip_frame(at);
            prop_assert!(control.poll_timeout(at).is_none_or(|due| due > at));
            let target = control.target();
            prop_assert!(target >= mbps(1) && target <= mbps(15));
            prop_assert!(control.encoder_target() <= target);
        }
    }
}
