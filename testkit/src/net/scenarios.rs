//! The networks that figures are taken over, by name.
//!
//! Unless a scenario says otherwise a way takes 20 ms, its queue holds 300 ms and drops at its tail, the
//! way up is as clean as the way down and carries 10 Mbit/s. None is a recording: each has the shape that
//! its kind of access is known for, in round numbers, so that a figure can be traced to its cause.

use std::time::Duration;

use media::Bitrate;

use super::{LinkConfig, Loss, Queue, Script};
use crate::Rng;

/// A path in both directions over time.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in tables and on command lines.
    pub name: &'static str,
    /// What it stands for.
    pub about: &'static str,
    /// How long it runs.
    pub length: Duration,
    /// From server to client.
    pub down: Script,
    /// From client to server.
    pub up: Script,
}

type Make = fn(Duration) -> (Script, Script);

/// Name, what it stands for, how it is made for a length.
const SCENARIOS: [(&str, &str, Make); 16] = [
    ("steady", "20 Mbit/s", |_| ways(mbps(20), ms(20))),
    ("slow", "4 Mbit/s", |_| ways(mbps(4), ms(20))),
    ("fibre", "100 Mbit/s, 5 ms", fibre),
    ("cable", "50 Mbit/s, 10 ms, 2 ms of jitter, 500 kB of queue", cable),
    ("wifi", "30 to 60 Mbit/s, 4 ms of jitter, a scan of 200 ms every 5 s", wifi),
    ("drive-4g", "1.5 to 30 Mbit/s, 35 ms, handovers of 150 to 300 ms", drive_4g),
    ("satellite", "15 to 50 Mbit/s, 25 to 40 ms, a gap of 80 ms every 15 s", satellite),
    ("step", "20, from a third on 4, from two thirds on 20 Mbit/s", step),
    ("step-deep", "the same, with a queue of 750 kB whatever the rate", step_deep),
    ("loss-1", "20 Mbit/s, 15 ms, 1 % lost at random both ways", |_| loss(0.01)),
    ("loss-3", "the same with 3 %", |_| loss(0.03)),
    ("loss-5", "the same with 5 %", |_| loss(0.05)),
    ("mixed", "20 Mbit/s, 15 ms, 6 ms of jitter in which packets overtake, 2 % come twice", mixed),
    ("mtu-1280", "20 Mbit/s, 15 ms, packets above 1,280 bytes are dropped unsaid", mtu_1280),
    ("outage-200", "20 Mbit/s, everything lost for 200 ms halfway", |length| outage(length, 200)),
    ("outage-2000", "the same for 2 s", |length| outage(length, 2_000)),
];

impl Scenario {
    /// How long a scenario runs where nothing else is asked for.
    pub const LENGTH: Duration = Duration::from_secs(60);

    /// Every scenario, for runs of `length`: what happens once happens at a part of it, what happens again
    /// and again does so at its own times.
    pub fn all(length: Duration) -> impl Iterator<Item = Self> {
        SCENARIOS.into_iter().map(move |(name, about, make)| {
            let (down, up) = make(length);
            Self { name, about, length, down, up }
        })
    }

    /// The scenario of this name.
    pub fn named(name: &str, length: Duration) -> Option<Self> {
        Self::all(length).find(|scenario| scenario.name == name)
    }

    /// The same with chance starting elsewhere, so that runs differ.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.down.start.seed = seed;
        self.up.start.seed = seed ^ 0x5555;
        self
    }
}

fn mbps(rate: u64) -> Bitrate {
    Bitrate::from_mbps(rate)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A steady way of `rate` and its way back of 10 Mbit/s, both `delay` long.
fn ways(rate: Bitrate, delay: Duration) -> (Script, Script) {
    let down = LinkConfig { delay, ..LinkConfig::of(rate) };
    let up = LinkConfig { rate: mbps(10), seed: 2, ..down };
    (Script::steady(down), Script::steady(up))
}

fn fibre(_: Duration) -> (Script, Script) {
    ways(mbps(100), ms(5))
}

fn cable(_: Duration) -> (Script, Script) {
    let (mut down, mut up) = ways(mbps(50), ms(10));
    // Modems have queues of bytes; the way up waits for the grants of the head end.
    down.start.queue = Queue::Bytes(500_000);
    down.start.jitter = ms(2);
    up.start.jitter = ms(6);
    (down, up)
}

/// Every half second the rate is another; every five a client looks at other channels for 200 ms, in which
/// the access point keeps what comes for it.
fn wifi(length: Duration) -> (Script, Script) {
    let (mut down, mut up) = ways(mbps(45), ms(8));
    down.start.jitter = ms(4);
    up.start = LinkConfig { rate: mbps(30), jitter: ms(4), ..up.start };
    let mut rng = Rng::new(11);
    for half in 1.. {
        let at = ms(500) * half;
        if at >= length {
            break;
        }
        let rate = mbps(30 + rng.below(31));
        down = down.then(at, |config| config.rate = rate);
        if half % 10 == 5 {
            let away = |config: &mut LinkConfig| config.rate = Bitrate::from_bps(0);
            down = down.during(at, ms(200), away);
            up = up.during(at, ms(200), away);
        }
    }
    (down, up)
}

/// Mbit/s of each second of a drive between two towers: under one, away from it, under the next. The
/// cell's load moves it by a fifth either way.
const DRIVE: [u64; 30] = [
    20, 24, 30, 28, 22, 17, 12, 8, 5, 3, 2, 4, 9, 14, 19, 23, 26, 21, 16, 11, 7, 4, 2, 2, 3, 6, 10,
    15, 18, 20,
];
/// Seconds of the drive in which a handover is, and its length in ms. The old cell forwards what waits.
const HANDOVERS: [(u64, u64); 2] = [(10, 150), (23, 300)];

fn drive_4g(length: Duration) -> (Script, Script) {
    let (mut down, mut up) = ways(mbps(20), ms(35));
    for start in [&mut down.start, &mut up.start] {
        // Grants of the cell, and its own repair: late rather than lost.
        *start = LinkConfig { jitter: ms(10), queue: Queue::Bytes(600_000), ..*start };
    }
    let mut rng = Rng::new(12);
    for (second, rate) in (0..).zip(DRIVE.into_iter().cycle()) {
        let at = Duration::from_secs(second);
        if at >= length {
            break;
        }
        let rate = mbps(rate).scaled(0.8 + 0.4 * rng.unit());
        down = down.then(at, |config| config.rate = rate);
        up = up.then(at, |config| config.rate = rate.scaled(0.4));
        for (_, millis) in HANDOVERS.into_iter().filter(|(of, _)| *of == second % 30) {
            let away = |config: &mut LinkConfig| config.rate = Bitrate::from_bps(0);
            down = down.during(at + ms(200), ms(millis), away);
            up = up.during(at + ms(200), ms(millis), away);
        }
    }
    (down, up)
}

/// Low orbit: every 15 s the network hands the terminal to another satellite, with a gap, another rate and
/// another delay; between them losses come in bursts.
fn satellite(length: Duration) -> (Script, Script) {
    let (mut down, mut up) = ways(mbps(35), ms(30));
    for start in [&mut down.start, &mut up.start] {
        *start = LinkConfig { jitter: ms(5), loss: Loss::bursts(0.005, 6.0), ..*start };
    }
    let mut rng = Rng::new(13);
    let mut at = Duration::from_secs(7);
    while at < length {
        let (rate, delay) = (mbps(15 + rng.below(36)), ms(25 + rng.below(16)));
        let gap = |config: &mut LinkConfig| config.down = true;
        down = down.during(at, ms(80), gap).then(at + ms(80), |config| {
            *config = LinkConfig { rate, delay, ..*config };
        });
        up = up.during(at, ms(80), gap).then(at + ms(80), |config| config.delay = delay);
        at += Duration::from_secs(15);
    }
    (down, up)
}

fn step(length: Duration) -> (Script, Script) {
    let (down, up) = ways(mbps(20), ms(20));
    let down = down
        .then(length / 3, |config| config.rate = mbps(4))
        .then(length * 2 / 3, |config| config.rate = mbps(20));
    (down, up)
}

fn step_deep(length: Duration) -> (Script, Script) {
    let (mut down, up) = step(length);
    let deep = Queue::Bytes(mbps(20).bytes_in(ms(300)));
    down.start.queue = deep;
    for (_, config) in &mut down.steps {
        config.queue = deep;
    }
    (down, up)
}

fn loss(part: f64) -> (Script, Script) {
    let (mut down, mut up) = ways(mbps(20), ms(15));
    down.start.loss = Loss::Random(part);
    up.start.loss = Loss::Random(part);
    (down, up)
}

/// Several ways at once, as behind a bonded or balanced line.
fn mixed(_: Duration) -> (Script, Script) {
    let (mut down, mut up) = ways(mbps(20), ms(15));
    for start in [&mut down.start, &mut up.start] {
        *start = LinkConfig { jitter: ms(6), reorders: true, duplicates: 0.02, ..*start };
    }
    (down, up)
}

/// A tunnel: the least that IPv6 must carry, and no word of what is larger.
fn mtu_1280(_: Duration) -> (Script, Script) {
    let (mut down, mut up) = ways(mbps(20), ms(15));
    for start in [&mut down.start, &mut up.start] {
        start.mtu = 1_280;
    }
    (down, up)
}

fn outage(length: Duration, millis: u64) -> (Script, Script) {
    let (down, up) = ways(mbps(20), ms(20));
    let gap = |config: &mut LinkConfig| config.down = true;
    let from = length / 2;
    (down.during(from, ms(millis), gap), up.during(from, ms(millis), gap))
}

#[cfg(test)]
mod tests {
    use media::MediaTime;

    use super::*;
    use crate::net::{Fate, Link};

    #[test]
    fn names_are_unique_and_find_their_scenario() {
        let names: Vec<_> = Scenario::all(Scenario::LENGTH).map(|scenario| scenario.name).collect();
        for name in &names {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
            assert_eq!(Scenario::named(name, Scenario::LENGTH).unwrap().name, *name);
        }
        assert!(Scenario::named("moon", Scenario::LENGTH).is_none());
    }

    #[test]
    fn every_script_is_in_order_and_carries_something_at_every_length() {
        for length in [10, 60].map(Duration::from_secs) {
            for scenario in Scenario::all(length) {
                for way in [&scenario.down, &scenario.up] {
                    assert!(way.steps.is_sorted_by_key(|(at, _)| *at), "{}", scenario.name);
                    let carried = way.carries(Duration::ZERO, length, mbps(20));
                    let rate = Bitrate::of(carried, length);
                    assert!(rate >= mbps(4).scaled(0.99), "{}: {rate}", scenario.name);
                }
            }
        }
    }

    #[test]
    fn the_step_is_twenty_four_twenty() {
        let scenario = Scenario::named("step", Scenario::LENGTH).unwrap();
        let rates = [10, 30, 50].map(|second| scenario.down.at(Duration::from_secs(second)).rate);
        assert_eq!(rates, [20, 4, 20].map(mbps));
        let mut link = Link::scripted(&scenario.down);
        let sent = MediaTime::from_millis(30_000);
        while link.send(sent, 1_000, ()) == Fate::Queued {}
        let waits = link.queue_delay(sent);
        assert!(waits.abs_diff(ms(300)) <= ms(3), "{waits:?}");
    }

    #[test]
    fn an_outage_takes_what_is_sent_in_it_and_no_more() {
        let scenario = Scenario::named("outage-200", Scenario::LENGTH).unwrap();
        let mut link = Link::scripted(&scenario.down);
        for millis in 29_000..31_000 {
            link.send(MediaTime::from_millis(millis), 1_000, millis);
        }
        let far = MediaTime::from_millis(40_000);
        let landed: Vec<_> =
            std::iter::from_fn(|| link.receive(far)).map(|arrival| arrival.item).collect();
        assert_eq!(landed, (29_000..30_000).chain(30_200..31_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_mixed_arrives_out_of_order_and_some_of_it_twice() {
        let scenario = Scenario::named("mixed", Scenario::LENGTH).unwrap();
        let mut link = Link::scripted(&scenario.down);
        for millis in 0..10_000 {
            assert_eq!(link.send(MediaTime::from_millis(millis), 1_250, millis), Fate::Queued);
        }
        let far = MediaTime::from_millis(20_000);
        let landed: Vec<_> =
            std::iter::from_fn(|| link.receive(far)).map(|arrival| arrival.item).collect();
        assert!((10_150..10_250).contains(&landed.len()), "{}", landed.len());
        assert!(!landed.is_sorted());
    }

    #[test]
    fn a_tunnel_drops_what_is_larger_than_it_carries() {
        let scenario = Scenario::named("mtu-1280", Scenario::LENGTH).unwrap();
        let mut link = Link::scripted(&scenario.down);
        assert_eq!(link.send(MediaTime::ZERO, 1_280, ()), Fate::Queued);
        assert_eq!(link.send(MediaTime::ZERO, 1_281, ()), Fate::TooLarge);
    }

    #[test]
    fn wifi_scans_hold_packets_and_lose_none() {
        let scenario = Scenario::named("wifi", Scenario::LENGTH).unwrap();
        let scan = ms(2_500);
        assert_eq!(scenario.down.at(scan).rate, Bitrate::from_bps(0));
        assert_eq!(scenario.up.at(scan + ms(199)).rate, Bitrate::from_bps(0));
        assert!(scenario.down.at(scan + ms(200)).rate >= mbps(30));
        let mut link = Link::scripted(&scenario.down);
        for millis in 0..10_000 {
            link.send(MediaTime::from_millis(millis), 1_250, millis);
        }
        assert_eq!((link.counts().overflowed, link.counts().lost), (0, 0));
    }
}
