//! Links that are shared: with another session, and with TCP.

use testkit::net::{LinkConfig, TcpKind};

use super::world::World;
use super::*;

/// Jain's index of two rates: 1.0 when they are equal, 0.5 when one has everything.
fn jain(a: Bitrate, b: Bitrate) -> f64 {
    let (a, b) = (a.bps() as f64, b.bps() as f64);
    (a + b).powi(2) / (2.0 * (a * a + b * b))
}

#[test]
fn two_sessions_share_a_link_wherever_the_second_one_begins() {
    for link in [6, 20] {
        for joins in [0, 10, 25] {
            for (feedback, seed) in FEEDBACK.into_iter().flat_map(|f| [1, 2, 3].map(|s| (f, s))) {
                let mut world = World::on(LinkConfig::of(mbps(link)))
                    .with(feedback, Duration::ZERO, wide())
                    .with(feedback, secs(joins), wide())
                    .seeded(seed);
                world.run(secs(joins + 35));
                let what = format!("{link} Mbit/s, joined after {joins} s, {feedback:?}, {seed}");
                // From five seconds after the second one joined.
                let (from, to) = ((joins + 5) * 1_000, (joins + 35) * 1_000);
                let rates = [0, 1].map(|session| world.rate(session, from, to));
                let fair = jain(rates[0], rates[1]);
                assert!(fair >= 0.9, "{what}: {rates:?}, {fair}");
                let sum = Bitrate::from_bps(rates[0].bps() + rates[1].bps());
                assert!(sum >= mbps(link).scaled(0.85), "{what}: {sum}");
                let queue = world.queue(from, to, 95.0);
                assert!(queue <= Duration::from_millis(45), "{what}: {queue:?}");
            }
        }
    }
}

#[test]
fn transports_do_not_put_each_other_at_a_disadvantage() {
    let mut world = World::on(LinkConfig::of(mbps(20)))
        .with(FEEDBACK[0], Duration::ZERO, wide())
        .with(FEEDBACK[1], Duration::ZERO, wide());
    world.run(secs(60));
    let rates = [0, 1].map(|session| world.rate(session, 10_000, 60_000));
    assert!(jain(rates[0], rates[1]) >= 0.9, "{rates:?}");
}

#[test]
fn a_session_that_is_alone_again_has_the_link_again() {
    for feedback in FEEDBACK {
        let mut world = World::on(LinkConfig::of(mbps(20)))
            .with(feedback, Duration::ZERO, wide())
            .with(feedback, Duration::ZERO, wide());
        world.run(secs(20));
        world.sessions[1].needs = Bitrate::from_bps(0);
        world.run(secs(5));
        let alone = world.rate(0, 24_000, 25_000);
        assert!(alone >= mbps(15), "{feedback:?}: {alone}");
    }
}

#[test]
fn neither_a_session_nor_a_tcp_flow_takes_the_link_from_the_other() {
    for kind in [TcpKind::Cubic, TcpKind::Reno] {
        for (session, tcp) in [(0, 10), (10, 0)] {
            for feedback in FEEDBACK {
                let mut world = World::on(LinkConfig::of(mbps(20)))
                    .with(feedback, secs(session), wide())
                    .beside(kind, secs(tcp));
                world.run(secs(120));
                let what = format!("{kind:?} from {tcp} s, session from {session} s, {feedback:?}");
                let ours = world.rate(0, 30_000, 120_000);
                let theirs = world.tcp_rate(30_000, 120_000);
                assert!(ours >= mbps(4), "{what}: {ours} beside {theirs}");
                assert!(theirs >= mbps(4), "{what}: {theirs} beside {ours}");
            }
        }
    }
}

#[test]
fn when_the_tcp_flow_has_ended_its_queue_is_forgotten() {
    for feedback in FEEDBACK {
        let mut world = World::on(LinkConfig::of(mbps(20)))
            .with(feedback, Duration::ZERO, wide())
            .beside(TcpKind::Cubic, secs(5));
        world.run(secs(25));
        world.end_tcp();
        world.run(secs(10));
        let alone = world.rate(0, 32_000, 35_000);
        assert!(alone >= mbps(15), "{feedback:?}: {alone}");
        let queue = world.queue(32_000, 35_000, 95.0);
        assert!(queue <= Duration::from_millis(35), "{feedback:?}: {queue:?}");
    }
}
