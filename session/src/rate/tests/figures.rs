//! The figures that a session must reach, over the scenarios.

use testkit::net::Scenario;

use super::world::World;
use super::*;

fn run(name: &str, feedback: Duration, seed: u64, config: RateConfig) -> World {
    let scenario = Scenario::named(name, Scenario::LENGTH).unwrap().seeded(seed);
    let mut world = World::over(&scenario).with(feedback, Duration::ZERO, config).seeded(seed);
    world.run(Scenario::LENGTH);
    world
}

/// Each scenario with each feedback, three times.
fn runs<'a>(names: &'a [&'a str]) -> impl Iterator<Item = (&'a str, Duration, u64)> {
    names.iter().flat_map(|name| {
        FEEDBACK.into_iter().flat_map(|feedback| [1, 2, 3].map(|seed| (*name, feedback, seed)))
    })
}

/// Part of what the scenario carries, of what a sender below `most` could use of it, from the sixth second on.
fn used(world: &World, name: &str, most: Bitrate) -> f64 {
    let scenario = Scenario::named(name, Scenario::LENGTH).unwrap();
    let carried = scenario.down.carries(secs(5), secs(60), most);
    world.rate(0, 5_000, 60_000).bps() as f64 / Bitrate::of(carried, secs(55)).bps() as f64
}

#[test]
fn a_link_that_falls_to_a_fifth_and_comes_back_is_followed() {
    for (name, feedback, seed) in runs(&["step", "step-deep"]) {
        let world = run(name, feedback, seed, wide());
        let what = format!("{name}, feedback every {feedback:?}, {seed}");
        let start = world.rate(0, 4_000, 5_000);
        assert!(start >= mbps(18), "{what}: {start} 5 s after the start at 5 Mbit/s");
        // From a second after the drop until the rise.
        let queue = world.queue(21_000, 40_000, 95.0);
        assert!(queue <= Duration::from_millis(30), "{what}: {queue:?} of queue");
        let settled = world.queue(21_000, 22_000, 50.0);
        assert!(settled <= Duration::from_millis(20), "{what}: {settled:?} after a second");
        let windows = (40_000..44_500).step_by(100);
        let risen = windows.map(|from| world.rate(0, from, from + 500)).max();
        assert!(risen >= Some(mbps(18)), "{what}: {risen:?} within 5 s of the rise");
        let stays = world.rate(0, 45_000, 60_000);
        assert!(stays >= mbps(18), "{what}: {stays} from 5 s after the rise");
        let latency = world.sessions[0].latency(0, 60_000, 99.0);
        assert!(latency <= Duration::from_millis(200), "{what}: latency {latency:?}");
        let used = used(&world, name, mbps(30));
        assert!(used >= 0.85, "{what}: used {used}");
        assert!(
            world.sessions[0].shown_part() >= 0.98,
            "{what}: {}",
            world.sessions[0].shown_part()
        );
    }
}

#[test]
fn losses_of_chance_do_not_bring_the_rate_down() {
    for (name, feedback, seed) in runs(&["loss-1", "loss-3", "loss-5"]) {
        let world = run(name, feedback, seed, wide());
        let used = used(&world, name, mbps(30));
        assert!(used >= 0.9, "{name}, {feedback:?}, {seed}: used {used}");
        let start = world.rate(0, 4_000, 5_000);
        assert!(start >= mbps(16), "{name}, {feedback:?}, {seed}: {start} after 5 s");
        let queue = world.queue(5_000, 60_000, 95.0);
        assert!(queue <= Duration::from_millis(35), "{name}, {feedback:?}, {seed}: {queue:?}");
    }
}

#[test]
fn an_outage_is_no_congestion() {
    for (name, least) in [("outage-200", 0.85), ("outage-2000", 0.8)] {
        for feedback in FEEDBACK {
            let world = run(name, feedback, 1, wide());
            let used = used(&world, name, mbps(30));
            assert!(used >= least, "{name}, {feedback:?}: used {used}");
            // Two seconds after its end nothing is left of it.
            let after = world.rate(0, 34_000, 36_000);
            assert!(after >= mbps(17), "{name}, {feedback:?}: {after}");
        }
    }
}

#[test]
fn scans_of_a_radio_are_no_congestion() {
    for feedback in FEEDBACK {
        let world = run("wifi", feedback, 1, RateConfig { ceiling: mbps(25), ..wide() });
        let used = used(&world, "wifi", mbps(25));
        assert!(used >= 0.85, "{feedback:?}: used {used}");
        // A second after each of them the rate is that of before.
        for scan in (12_500..60_000).step_by(5_000) {
            let after = world.rate(0, scan + 1_200, scan + 2_200);
            assert!(after >= mbps(20), "{feedback:?}: {after} after the scan at {scan} ms");
        }
        let latency = world.sessions[0].latency(5_000, 60_000, 95.0);
        assert!(latency <= Duration::from_millis(60), "{feedback:?}: {latency:?}");
    }
}

#[test]
fn mobile_links_are_followed_without_long_queues() {
    for (name, least, latency) in
        [("drive-4g", 0.65, 130), ("satellite", 0.8, 120), ("cable", 0.9, 40)]
    {
        for feedback in FEEDBACK {
            let world = run(name, feedback, 1, wide());
            let used = used(&world, name, mbps(30));
            assert!(used >= least, "{name}, {feedback:?}: used {used}");
            let p95 = world.sessions[0].latency(5_000, 60_000, 95.0);
            assert!(p95 <= Duration::from_millis(latency), "{name}, {feedback:?}: {p95:?}");
        }
    }
}

#[test]
fn disorder_and_copies_are_no_congestion() {
    for (name, latency) in [("fibre", 20), ("mixed", 60)] {
        for feedback in FEEDBACK {
            let world = run(name, feedback, 1, RateConfig { ceiling: mbps(50), ..wide() });
            let used = used(&world, name, mbps(50));
            assert!(used >= 0.85, "{name}, {feedback:?}: used {used}");
            let p95 = world.sessions[0].latency(5_000, 60_000, 95.0);
            assert!(p95 <= Duration::from_millis(latency), "{name}, {feedback:?}: {p95:?}");
        }
    }
}
