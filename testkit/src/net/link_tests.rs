use super::*;
use proptest::prelude::*;

fn ms(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

fn mbps(rate: u64) -> LinkConfig {
    LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::of(Bitrate::from_mbps(rate)) }
}

fn landed<T: Clone>(link: &mut Link<T>, by: MediaTime) -> Vec<Arrival<T>> {
    std::iter::from_fn(|| link.receive(by)).collect()
}

#[test]
fn packets_leave_at_the_rate_and_land_after_the_delay() {
    let mut link = Link::new(mbps(8));
    for item in 0..3 {
        assert_eq!(link.send(ms(0), 1_000, item), Fate::Queued);
    }
    assert_eq!(link.queue_delay(ms(0)), Duration::from_millis(3));
    let landed = landed(&mut link, ms(100));
    assert_eq!(landed.iter().map(|a| a.at).collect::<Vec<_>>(), [ms(11), ms(12), ms(13)]);
    let waited: Vec<_> = landed.iter().map(|a| a.waited.as_millis()).collect();
    assert_eq!(waited, [0, 1, 2]);
    assert_eq!(link.counts(), LinkCounts { sent: 3, passed_bytes: 3_000, ..Default::default() });
}

#[test]
fn a_rate_step_applies_to_what_is_left_of_a_packet() {
    let script = Script::steady(mbps(8))
        .then(Duration::from_micros(500), |config| config.rate = Bitrate::from_mbps(1));
    let mut link = Link::scripted(&script);
    link.send(ms(0), 1_000, ());
    // 500 bytes at 1 Mbit/s take 4 ms.
    assert_eq!(link.queue_delay(MediaTime::from_micros(500)), Duration::from_millis(4));
    assert_eq!(link.receive(ms(100)).map(|a| a.at), Some(MediaTime::from_micros(14_500)));
}

#[test]
fn at_rate_zero_packets_wait_and_in_an_outage_they_are_lost() {
    let mut link = Link::new(mbps(8));
    link.change(ms(0), |config| config.rate = Bitrate::from_bps(0));
    assert_eq!(link.send(ms(0), 1_000, 'a'), Fate::Queued);
    assert_eq!(link.receive(ms(1_000)), None);
    assert_eq!((link.queue_delay(ms(1_000)), link.poll_timeout()), (Duration::MAX, None));
    link.change(ms(1_000), |config| config.rate = Bitrate::from_mbps(8));
    link.send(ms(1_000), 1_000, 'b');
    link.change(ms(1_001), |config| config.down = true);
    assert_eq!(link.send(ms(1_001), 1_000, 'c'), Fate::Lost);
    link.change(ms(1_002), |config| config.down = false);
    link.send(ms(1_002), 1_000, 'd');
    // The first had passed the bottleneck when the link went down.
    let landed = landed(&mut link, ms(2_000));
    let landed: Vec<_> = landed.iter().map(|a| (a.item, a.at, a.waited.as_millis())).collect();
    assert_eq!(landed, [('a', ms(1_011), 0), ('d', ms(1_013), 0)]);
    assert_eq!(link.counts().lost, 2);
}

#[test]
fn a_queue_of_time_follows_the_rate_and_one_of_bytes_does_not() {
    let fits = |queue| {
        let mut link = Link::new(LinkConfig { queue, ..mbps(8) });
        link.change(ms(0), |config| config.rate = Bitrate::from_mbps(4));
        (0..1_000).take_while(|n| link.send(ms(0), 1_000, *n) == Fate::Queued).count()
    };
    assert_eq!(fits(Queue::Time(Duration::from_millis(100))), 50);
    assert_eq!(fits(Queue::Bytes(100_000)), 100);
    let mut link = Link::new(mbps(8));
    link.change(ms(0), |config| config.rate = Bitrate::from_bps(0));
    let held = (0..1_000).take_while(|n| link.send(ms(0), 1_000, *n) == Fate::Queued).count();
    assert_eq!(held, 300, "at the rate before");
}

#[test]
fn what_is_too_large_never_arrives() {
    let mut link = Link::new(LinkConfig { mtu: 1_280, ..mbps(8) });
    assert_eq!(link.send(ms(0), 1_281, ()), Fate::TooLarge);
    assert_eq!(link.send(ms(0), 1_280, ()), Fate::Queued);
    assert_eq!(landed(&mut link, ms(100)).len(), 1);
}

#[test]
fn jitter_reorders_only_where_it_may() {
    let order = |reorders| {
        let jitter = Duration::from_millis(8);
        let mut link = Link::new(LinkConfig { jitter, reorders, ..mbps(8) });
        for n in 0..200 {
            link.send(ms(n), 500, n);
        }
        let landed = landed(&mut link, ms(1_000));
        assert!(landed.is_sorted_by_key(|arrival| arrival.at));
        assert_eq!(landed.len(), 200);
        landed.is_sorted_by_key(|arrival| arrival.item)
    };
    assert!(order(false));
    assert!(!order(true));
}

#[test]
fn some_packets_arrive_twice() {
    let mut link = Link::new(LinkConfig { duplicates: 0.25, ..mbps(8) });
    for n in 0..1_000 {
        link.send(ms(n), 500, n);
    }
    let mut landed: Vec<_> = landed(&mut link, ms(5_000)).iter().map(|a| a.item).collect();
    let extra = landed.len() - 1_000;
    assert!((200..300).contains(&extra), "{extra}");
    landed.dedup();
    assert_eq!(landed, (0..1_000).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_link_neither_makes_nor_forgets_packets(
        sends in proptest::collection::vec((0_u64..20_000, 1_u64..1_500), 1..200),
        rate in 100_000_u64..50_000_000,
        jitter in 0_u64..20,
    ) {
        let config = LinkConfig {
            jitter: Duration::from_millis(jitter),
            queue: Queue::Bytes(20_000),
            ..LinkConfig::of(Bitrate::from_bps(rate))
        };
        let mut link = Link::new(config);
        let (mut now, mut expected) = (MediaTime::ZERO, Vec::new());
        for (number, (gap, bytes)) in sends.into_iter().enumerate() {
            now = now + Duration::from_micros(gap);
            if link.send(now, bytes, number) == Fate::Queued {
                expected.push(number);
            }
            prop_assert!(link.queue_delay(now) <= Bitrate::from_bps(rate).time_for(20_000 + 1));
        }
        let landed = landed(&mut link, now + Duration::from_secs(60));
        prop_assert!(landed.is_sorted_by_key(|arrival| arrival.at));
        for arrival in &landed {
            let least = Bitrate::from_bps(rate).time_for(arrival.bytes) + config.delay;
            prop_assert!(arrival.at.since(arrival.sent) >= least + arrival.waited);
        }
        let numbers: Vec<_> = landed.into_iter().map(|arrival| arrival.item).collect();
        prop_assert_eq!(numbers, expected);
    }

    #[test]
    fn asking_only_when_told_to_misses_nothing(
        sends in proptest::collection::vec((0_u64..20_000, 1_u64..1_500), 1..100),
        steps in proptest::collection::vec((1_u64..100_000, 0_u64..9), 0..20),
        reorders in any::<bool>(),
    ) {
        let jitter = Duration::from_millis(5);
        let start = LinkConfig { jitter, reorders, ..LinkConfig::of(Bitrate::from_mbps(3)) };
        let mut at = Duration::ZERO;
        let script = steps.into_iter().fold(Script::steady(start), |script, (gap, rate)| {
            at += Duration::from_micros(gap);
            script.then(at, |config| config.rate = Bitrate::from_mbps(rate))
        });
        let script = script.then(Duration::from_secs(3), |config| *config = start);
        let mut link = Link::scripted(&script);
        let mut times = Vec::new();
        let mut now = MediaTime::ZERO;
        let mut sends: VecDeque<_> = sends.into();
        let mut next_send = now;
        loop {
            let until = if sends.is_empty() { None } else { Some(next_send) };
            let Some(next) = [until, link.poll_timeout()].into_iter().flatten().min() else { break };
            now = now.max(next);
            while let Some(arrival) = link.receive(now) {
                // Asked at each time that was named, an arrival is seen the moment that it comes.
                prop_assert_eq!(arrival.at, now);
                times.push(arrival.item);
            }
            if next_send <= now && let Some((gap, bytes)) = sends.pop_front() {
                link.send(now, bytes, sends.len());
                next_send = now + Duration::from_micros(gap);
            }
        }
        let counts = link.counts();
        prop_assert_eq!(times.len() as u64, counts.sent - counts.overflowed);
    }
}
