//! What else keeps a session from more: its source, its ceiling, its client, its picture.

use media::{FrameRate, MediaTime, Size};
use testkit::net::LinkConfig;

use super::world::{Client, World};
use super::*;
use crate::rate::{Limit, Part, PathState, RateAction, RateStatus};

fn probes(world: &World) -> Vec<(u64, Bitrate)> {
    let steps = world.sessions[0].steps.iter();
    let probes = steps.filter_map(|(at, action)| match action {
        RateAction::Probe { rate, .. } => Some((at.as_micros() / 1_000, *rate)),
        _ => None,
    });
    probes.collect()
}

#[test]
fn a_source_that_sends_little_finds_out_what_the_link_takes() {
    for feedback in FEEDBACK {
        let config = RateConfig { ceiling: mbps(18), ..wide() };
        let mut world = World::on(LinkConfig::of(mbps(20))).with(feedback, Duration::ZERO, config);
        world.sessions[0].needs = mbps(1);
        world.run(secs(10));
        let control = &world.sessions[0].control;
        assert_eq!(control.target(), mbps(18), "{feedback:?}");
        assert!(probes(&world).len() <= 4, "{:?}", probes(&world));
        let padding = world.rate(0, 0, 10_000);
        assert!(padding <= mbps(2), "{feedback:?}: {padding} for a source of 1 Mbit/s");
        // What it may send it can send at once.
        world.sessions[0].needs = mbps(100);
        world.run(secs(1));
        assert!(world.rate(0, 10_200, 11_000) >= mbps(16), "{}", world.rate(0, 10_200, 11_000));
        assert!(world.queue(10_000, 11_000, 100.0) <= Duration::from_millis(40));
        assert_eq!(world.sessions[0].control.status(world.now).limit, Limit::Ceiling);
    }
}

#[test]
fn probes_end_at_the_ceiling_whatever_the_beat_of_the_feedback() {
    for feedback in [50, 90, 100, 150, 200, 250].map(Duration::from_millis) {
        for delay in [0, 7, 40].map(Duration::from_millis) {
            let config = RateConfig { ceiling: mbps(18), ..wide() };
            let link = LinkConfig { delay, ..LinkConfig::of(mbps(100)) };
            let mut world = World::on(link).with(feedback, Duration::ZERO, config);
            world.sessions[0].needs = mbps(1);
            world.run(secs(60));
            let target = world.sessions[0].control.target();
            assert_eq!(target, mbps(18), "{feedback:?}, {delay:?}: {:?}", probes(&world));
            let latest = probes(&world).last().map(|(at, _)| *at);
            assert!(latest < Some(20_000), "{feedback:?}, {delay:?}: {:?}", probes(&world));
        }
    }
}

#[test]
fn a_link_is_not_blamed_for_what_the_source_leaves() {
    for feedback in FEEDBACK {
        // A ceiling that is not reached: neither it nor the link keeps the picture from more.
        let mut world = World::on(LinkConfig::of(mbps(40))).with(feedback, Duration::ZERO, wide());
        world.sessions[0].pads = false;
        world.sessions[0].needs = mbps(11);
        world.run(secs(20));
        let status = world.sessions[0].control.status(world.now);
        assert!(status.target > mbps(15) && status.target < mbps(30), "{feedback:?}: {status:?}");
        assert_eq!((status.limit, status.path), (Limit::Source, PathState::Clear), "{feedback:?}");
        assert!(
            status.acked > status.target.scaled(0.5),
            "{feedback:?}: not so little: {status:?}"
        );
    }
}

#[test]
fn probes_of_a_full_link_are_rare_short_and_believed() {
    for feedback in FEEDBACK {
        let mut world = World::on(LinkConfig::of(mbps(6))).with(feedback, Duration::ZERO, wide());
        world.sessions[0].needs = mbps(1);
        world.run(secs(60));
        let target = world.sessions[0].control.target();
        assert!(target >= mbps(5) && target <= mbps(7), "{feedback:?}: {target}");
        assert!(probes(&world).len() <= 6, "{:?}", probes(&world));
        let queue = world.queue(0, 60_000, 100.0);
        assert!(queue <= Duration::from_millis(90), "{feedback:?}: {queue:?}");
        assert_eq!(world.sessions[0].control.status(world.now).limit, Limit::Source);
    }
}

#[test]
fn without_padding_nothing_is_learnt_of_a_link() {
    for feedback in FEEDBACK {
        let mut world = World::on(LinkConfig::of(mbps(20))).with(feedback, Duration::ZERO, wide());
        world.sessions[0].pads = false;
        world.sessions[0].needs = mbps(2);
        world.run(secs(20));
        let target = world.sessions[0].control.target();
        assert!(target <= mbps(5), "{feedback:?}: {target}");
        // Nothing at all says nothing either.
        world.sessions[0].needs = Bitrate::from_bps(0);
        world.run(secs(20));
        assert_eq!(world.sessions[0].control.target(), target);
    }
}

#[test]
fn a_ceiling_that_is_lowered_holds_at_once_and_one_that_is_raised_is_found_again() {
    for feedback in FEEDBACK {
        let config = RateConfig { ceiling: mbps(15), ..wide() };
        let mut world = World::on(LinkConfig::of(mbps(20))).with(feedback, Duration::ZERO, config);
        world.run(secs(10));
        let control = &mut world.sessions[0].control;
        assert_eq!(control.target(), mbps(15), "{feedback:?}");
        control.set_ceiling(mbps(3));
        assert_eq!(control.target(), mbps(3));
        world.run(secs(3));
        assert_eq!(world.sessions[0].control.target(), mbps(3), "{feedback:?}");
        assert!(world.rate(0, 11_000, 13_000) <= mbps(4), "{}", world.rate(0, 11_000, 13_000));
        world.sessions[0].control.set_ceiling(mbps(15));
        world.run(secs(10));
        assert_eq!(world.sessions[0].control.target(), mbps(15), "{feedback:?}");
        // Never below the floor.
        world.sessions[0].control.set_ceiling(Bitrate::from_bps(0));
        assert_eq!(world.sessions[0].control.target(), config.floor);
    }
}

#[test]
fn a_client_that_decodes_too_slowly_gets_fewer_frames_and_no_fewer_bits() {
    for feedback in FEEDBACK {
        let config = RateConfig { ceiling: mbps(15), ..wide() };
        let mut world = World::on(LinkConfig::of(mbps(20))).with(feedback, Duration::ZERO, config);
        // 40 frames a second at most.
        let decodes = Duration::from_millis(23);
        world.sessions[0].client = Client::new(0, 0, decodes);
        world.run(secs(20));
        let status = world.sessions[0].control.status(world.now);
        assert_eq!(status.limit, Limit::Client, "{feedback:?}: {status:?}");
        assert!(status.frame_rate.as_f64() < 0.7 && status.frame_rate.as_f64() > 0.4, "{status:?}");
        assert_eq!(status.size, Part::WHOLE);
        assert_eq!(status.target, mbps(15), "{feedback:?}");
    }
}

#[test]
fn a_starved_client_does_not_bring_the_rate_down() {
    // No time to read for 40, 90 and 140 ms of every 200.
    for (away, least) in [(40, 9), (90, 8), (140, 4)] {
        for feedback in FEEDBACK {
            let config = RateConfig { ceiling: mbps(10), ..wide() };
            let mut world =
                World::on(LinkConfig::of(mbps(100))).with(feedback, Duration::ZERO, config);
            let decodes = Duration::from_millis(14);
            world.sessions[0].client = Client::new(200, away, decodes);
            world.run(secs(30));
            let rate = world.rate(0, 10_000, 30_000);
            assert!(rate >= mbps(least), "away for {away} ms, {feedback:?}: {rate}");
        }
    }
}

#[test]
fn a_client_that_leaves_frames_unread_gets_fewer_frames_and_no_fewer_bits() {
    let config = RateConfig { ceiling: mbps(10), frame: Duration::from_micros(33_333), ..wide() };
    let mut world = World::on(LinkConfig::of(mbps(100))).with(FEEDBACK[1], Duration::ZERO, config);
    let decodes = Duration::from_millis(1);
    world.sessions[0].client = Client::new(0, 0, decodes).seen();
    world.run(secs(5));
    let before = world.sessions[0].control.status(world.now);
    assert_eq!((before.limit, before.frame_rate), (Limit::Ceiling, Part::WHOLE), "{before:?}");
    // It stands for three quarters of the time.
    world.sessions[0].client = Client::new(400, 300, decodes).seen();
    world.run(secs(20));
    let status = world.sessions[0].control.status(world.now);
    assert_eq!(status.limit, Limit::Client, "{status:?}");
    assert!(status.frame_rate.as_f64() < 1.0, "{status:?}");
    assert_eq!((status.size, status.target), (Part::WHOLE, mbps(10)), "{status:?}");
    // It has time again.
    world.sessions[0].client = Client::new(0, 0, decodes).seen();
    world.run(secs(120));
    let status = world.sessions[0].control.status(world.now);
    assert_eq!((status.limit, status.frame_rate), (Limit::Ceiling, Part::WHOLE), "{status:?}");
}

#[test]
fn a_slow_link_leaves_nothing_unread_and_is_no_slow_client() {
    let mut world = World::on(LinkConfig::of(mbps(10))).with(FEEDBACK[1], Duration::ZERO, wide());
    world.sessions[0].client = Client::new(0, 0, Duration::from_millis(1)).seen();
    world.run(secs(10));
    world.change(|link| link.rate = mbps(4));
    for _ in 0..100 {
        world.run(Duration::from_millis(100));
        assert_ne!(world.sessions[0].control.status(world.now).limit, Limit::Client);
    }
    assert!(world.rate(0, 15_000, 20_000) <= mbps(4));
}

/// A link of 20 Mbit/s that takes so many kbit/s for half a minute, and what the rate did at first and by the end of that.
fn squeezed(fps: u32, kbps: u64, feedback: Duration) -> (World, RateStatus) {
    let (size, frame) = (Size::new(1920, 1080), FrameRate::fps(fps).interval());
    let config = RateConfig { size, frame, ..wide() };
    let mut world = World::on(LinkConfig::of(mbps(20))).with(feedback, Duration::ZERO, config);
    world.run(secs(10));
    world.change(|link| link.rate = Bitrate::from_kbps(kbps));
    world.run(Duration::from_millis(900));
    let control = &world.sessions[0].control;
    assert!(control.target() < mbps(5), "bits give way first: {:?}", control.target());
    assert!(world.sessions[0].steps.is_empty(), "{:?}", world.sessions[0].steps);
    world.run(secs(29));
    let status = world.sessions[0].control.status(world.now);
    assert_eq!(status.limit, Limit::Link);
    (world, status)
}

/// Lets it have its link back, and looks at what it did with frames and pixels.
fn recovers(mut world: World) -> Vec<RateAction> {
    world.change(|link| link.rate = mbps(20));
    world.run(secs(60));
    let status = world.sessions[0].control.status(world.now);
    assert_eq!((status.frame_rate, status.size), (Part::WHOLE, Part::WHOLE), "{status:?}");
    // Each of them is a keyframe.
    let is_size = |(_, action): &&(MediaTime, RateAction)| matches!(action, RateAction::Size(_));
    let sizes: Vec<_> = world.sessions[0].steps.iter().filter(is_size).map(|(at, _)| *at).collect();
    assert!(sizes.len() <= 4, "{sizes:?}");
    assert!(sizes.windows(2).all(|pair| pair[1].since(pair[0]) >= secs(5)), "{sizes:?}");
    let is_probe = |action: &RateAction| matches!(action, RateAction::Probe { .. });
    let steps = world.sessions[0].steps.iter().map(|(_, action)| *action);
    steps.filter(|action| !is_probe(action)).collect()
}

#[test]
fn bits_that_are_too_few_for_the_picture_cost_frames_then_pixels() {
    for feedback in FEEDBACK {
        let (world, status) = squeezed(60, 1_200, feedback);
        assert!(status.frame_rate.as_f64() <= 0.5 && status.size != Part::WHOLE, "{status:?}");
        let steps = recovers(world);
        let [RateAction::FrameRate(_), .., RateAction::FrameRate(last)] = steps[..] else {
            panic!("{feedback:?}: {steps:?}")
        };
        assert_eq!(last, Part::WHOLE, "{feedback:?}: {steps:?}");
    }
}

#[test]
fn of_thirty_frames_a_second_they_cost_pixels_and_frames_last() {
    for feedback in FEEDBACK {
        let (world, status) = squeezed(30, 600, feedback);
        assert!(status.size.as_f64() <= 0.5, "{status:?}");
        let steps = recovers(world);
        let [RateAction::Size(_), .., RateAction::Size(last)] = steps[..] else {
            panic!("{feedback:?}: {steps:?}")
        };
        assert_eq!(last, Part::WHOLE, "{feedback:?}: {steps:?}");
    }
}
