use proptest::prelude::*;

use super::*;
use crate::receipts::PlayerKey;
use crate::rental::{BlockHash, MachineId, Planck, RentId};

fn at(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

fn terms(funding: Funding) -> Terms {
    let trial = matches!(funding, Funding::Trial(_));
    let open = Open {
        genesis: BlockHash([1; 32]),
        machine: MachineId::of_public_key(&[2; 32]),
        rent_id: RentId(5),
        tariff: Tariff { fee: Planck(1_000_000_007), span_ms: 1_800_000, trial },
        player: Some(PlayerKey::Ed25519([3; 32])),
        opened: UnixMillis(0),
        promised_fps_milli: 60_000,
        promised_latency_us: 50_000,
    };
    Terms { open, funding }
}

/// A meter, and a driver that makes records durable as it is told to.
struct Bench {
    meter: Meter,
    records: Vec<Record>,
    stops: Vec<CloseCause>,
    settled: Vec<Settlement>,
    unanswered: Option<u32>,
}

impl Bench {
    fn new(funding: Funding) -> Self {
        let chain = ChainId::of_session("s");
        let meter = Meter::new(MeterConfig::default(), chain, terms(funding), at(0));
        Self { meter, records: vec![], stops: vec![], settled: vec![], unanswered: None }
    }

    fn leased() -> Self {
        Self::new(Funding::Lease(at(u64::MAX / 2_000_000)))
    }

    /// Tells an event, takes what comes, and leaves a record unanswered.
    fn tell(&mut self, millis: u64, event: MeterEvent) {
        self.meter.handle(at(millis), event);
        while let Some(action) = self.meter.poll_action() {
            match action {
                MeterAction::Persist(sequence, bytes) => {
                    assert_eq!(self.unanswered, None, "one at a time");
                    assert_eq!(sequence as usize, self.records.len());
                    self.records.push(Record::decode(&bytes).unwrap());
                    self.unanswered = Some(sequence);
                }
                MeterAction::Stop(cause) => self.stops.push(cause),
                MeterAction::Settled(settlement) => self.settled.push(settlement),
            }
        }
    }

    /// Says that what is unanswered is durable, and what then comes, too.
    fn answer(&mut self, millis: u64) {
        while let Some(sequence) = self.unanswered.take() {
            self.tell(millis, MeterEvent::Persisted(sequence));
        }
    }

    /// Lets time pass with every timeout served, records durable `late` milliseconds after they came.
    fn run(&mut self, until: u64, late: u64) {
        self.answer(self.meter.now.as_nanos() / 1_000_000);
        while let Some(next) = self.meter.poll_timeout().filter(|next| *next <= at(until)) {
            let now = next.as_nanos() / 1_000_000;
            self.tell(now, MeterEvent::Timeout);
            self.answer(now + late);
        }
        self.tell(until, MeterEvent::Timeout);
        self.answer(until);
    }

    fn slices(&self) -> Vec<Slice> {
        let slice = |record: &Record| match &record.body {
            Body::Slice(_, slice) => Some(*slice),
            _ => None,
        };
        self.records.iter().filter_map(slice).collect()
    }

    fn wall(&self) -> u64 {
        self.slices().iter().map(|slice| u64::from(slice.wall_ms)).sum()
    }
}

const LIVE: MeterEvent = MeterEvent::Live(UnixMillis(9));

#[test]
fn slices_follow_each_other_without_a_gap_and_sum_in_the_last_record() {
    let mut bench = Bench::leased();
    bench.tell(1_000, LIVE);
    for frame in 0..1_200 {
        let frame_use = FrameUse { pixels: 10, bytes: 7, gpu_us: 500 };
        bench.meter.frame(at(1_000 + frame * 16), frame_use);
        bench.run(1_000 + frame * 16, 15);
    }
    bench.run(21_000, 15);
    bench.tell(21_000, MeterEvent::End);
    bench.answer(21_000);
    let slices = bench.slices();
    let times: Vec<_> = slices.iter().map(|slice| (slice.start_ms, slice.wall_ms)).collect();
    assert_eq!(times, [(0, 8_000), (8_000, 8_000), (16_000, 4_000)]);
    assert_eq!(slices.iter().map(|slice| slice.frames).sum::<u64>(), 1_200);
    let Body::Close(_, close) = bench.records.last().unwrap().body else { panic!() };
    assert_eq!((close.cause, close.slices), (CloseCause::Ended, 3));
    assert_eq!((close.totals.wall_ms, close.totals.frames), (20_000, 1_200));
    assert_eq!((close.totals.bytes, close.totals.gpu_ms), (8_400, 600));
    assert_eq!(close.totals.charge, terms(Funding::Lease(at(0))).open.tariff.charge(20_000));
    assert_eq!(bench.settled, [Settlement { close: Some(close), totals: close.totals }]);
    assert_eq!(bench.stops, []);
}

#[test]
fn a_virtual_day_is_metered_to_the_millisecond() {
    let mut bench = Bench::leased();
    bench.tell(0, LIVE);
    // The driver is called a little late, and the disk takes its time.
    for second in 1..=86_400_u64 {
        bench.tell(second * 1_000 + second % 13, MeterEvent::Timeout);
        bench.answer(second * 1_000 + second % 13 + 19);
    }
    bench.tell(86_400_100, MeterEvent::End);
    bench.answer(86_400_100);
    assert_eq!(bench.wall(), 86_400_100);
    assert_eq!(bench.meter.gaps(), Duration::ZERO);
}

#[test]
fn a_virtual_day_with_breaks_is_metered_and_charged_to_the_millisecond() {
    let mut bench = Bench::leased();
    let (mut now, mut live, mut breaks) = (0, 0, 0);
    while now < 86_400_000 {
        // From a moment to forty minutes of play, then to five minutes of none.
        let (play, away) = (1 + live * 7_919 % 2_400_000, 1 + live * 104_729 % 300_000);
        bench.tell(now, LIVE);
        bench.run(now + play, 0);
        (now, live) = (now + play, live + play);
        bench.tell(now, MeterEvent::Paused);
        bench.answer(now);
        bench.run(now + away, 0);
        (now, breaks) = (now + away, breaks + 1);
    }
    bench.tell(now, MeterEvent::End);
    bench.answer(now);
    assert!(breaks > 30, "{breaks}");
    assert_eq!(bench.wall(), live);
    assert_eq!(bench.meter.gaps(), Duration::ZERO);
    let charged = bench.settled[0].totals.charge;
    assert_eq!(charged, terms(Funding::Lease(at(0))).open.tariff.charge(live));
}

#[test]
fn nothing_is_metered_before_live_while_paused_or_after_the_end() {
    let mut bench = Bench::leased();
    bench.run(60_000, 0);
    bench.tell(60_000, LIVE);
    bench.run(63_000, 0);
    bench.tell(63_000, MeterEvent::Paused);
    bench.run(100_000, 0);
    bench.meter.frame(at(100_000), FrameUse { pixels: 1, bytes: 1, gpu_us: 1 });
    bench.tell(100_000, LIVE);
    bench.run(102_000, 0);
    bench.tell(102_000, MeterEvent::End);
    bench.run(900_000, 0);
    bench.tell(900_000, LIVE);
    bench.tell(910_000, MeterEvent::End);
    let slices = bench.slices();
    let times: Vec<_> = slices.iter().map(|slice| (slice.start_ms, slice.wall_ms)).collect();
    assert_eq!(times, [(0, 3_000), (40_000, 2_000)]);
    assert_eq!(slices[1].frames, 0);
    assert_eq!(bench.settled.len(), 1);
    assert_eq!(bench.meter.poll_timeout(), None);
}

#[test]
fn a_session_that_was_never_live_settles_without_a_record() {
    let mut bench = Bench::leased();
    bench.tell(5, MeterEvent::End);
    assert_eq!(bench.settled, [Settlement { close: None, totals: Totals::default() }]);
    assert_eq!(bench.records, []);
}

#[test]
fn a_lease_ends_the_slice_to_the_millisecond() {
    for (end, whole) in [(15_999, false), (16_000, true), (16_001, false)] {
        let mut bench = Bench::new(Funding::Lease(at(end)));
        bench.tell(0, LIVE);
        bench.run(60_000, 0);
        assert_eq!(bench.stops, [CloseCause::LeaseEnded]);
        assert_eq!(bench.wall(), end);
        assert_eq!(bench.slices().last().unwrap().wall_ms == 8_000, whole);
        assert!(bench.slices().iter().all(|slice| slice.unpaid_ms == 0));
        assert_eq!(bench.settled.len(), 1);
    }
}

#[test]
fn who_comes_late_for_the_end_leaves_that_unpaid() {
    let mut bench = Bench::new(Funding::Lease(at(5_000)));
    bench.tell(0, LIVE);
    bench.run(4_999, 0);
    bench.tell(5_007, MeterEvent::Timeout);
    bench.answer(5_007);
    let slices = bench.slices();
    assert_eq!((slices[0].wall_ms, slices[0].unpaid_ms), (5_007, 7));
    assert_eq!(slices[0].charge, terms(Funding::Lease(at(0))).open.tariff.charge(5_000));
}

#[test]
fn a_prolonged_lease_goes_on_and_a_shortened_one_leaves_one_unpaid_slice() {
    let mut bench = Bench::new(Funding::Lease(at(10_000)));
    bench.tell(0, LIVE);
    bench.run(9_000, 0);
    bench.tell(9_000, MeterEvent::Funded(Funding::Lease(at(30_000))));
    bench.run(20_000, 0);
    assert_eq!(bench.stops, []);
    // The machine was forced out three seconds ago, and the news comes now.
    bench.tell(20_000, MeterEvent::Funded(Funding::Lease(at(17_000))));
    bench.answer(20_000);
    bench.run(60_000, 0);
    assert_eq!(bench.stops, [CloseCause::LeaseEnded]);
    let unpaid: Vec<_> = bench.slices().iter().map(|slice| slice.unpaid_ms).collect();
    assert_eq!(unpaid, [0, 0, 3_000]);
    assert_eq!(bench.wall(), 20_000);
    let charged = bench.settled[0].totals.charge;
    assert_eq!(charged, terms(Funding::Lease(at(0))).open.tariff.charge(17_000));
}

#[test]
fn a_trial_counts_live_time_alone() {
    let mut bench = Bench::new(Funding::Trial(Duration::from_secs(12)));
    bench.tell(0, LIVE);
    bench.run(9_000, 0);
    bench.tell(9_000, MeterEvent::Paused);
    bench.answer(9_000);
    bench.tell(50_000, LIVE);
    bench.run(52_999, 0);
    assert_eq!(bench.stops, []);
    bench.run(53_000, 0);
    assert_eq!(bench.stops, [CloseCause::TrialOver]);
    assert_eq!(bench.wall(), 12_000);
}

#[test]
fn a_lease_that_turns_out_to_be_a_trial_ends_with_nothing_unpaid() {
    for (now, left, expected) in [(19_500, 1_000, 19_500), (500, 1_000, 1_000)] {
        let mut bench = Bench::leased();
        bench.tell(0, LIVE);
        bench.run(now - 5, 0);
        // What was live counts as tried, up to now.
        let left = Duration::from_millis(left).max(bench.meter.live_time(at(now)));
        bench.tell(now, MeterEvent::Funded(Funding::Trial(left)));
        bench.answer(now);
        bench.run(expected, 0);
        assert_eq!(bench.stops, [CloseCause::TrialOver]);
        assert_eq!(bench.wall(), expected);
        assert!(bench.slices().iter().all(|slice| slice.unpaid_ms == 0));
    }
}

#[test]
fn what_does_not_become_durable_stops_the_session() {
    let mut bench = Bench::leased();
    bench.tell(0, LIVE);
    bench.run(7_999, 0);
    bench.tell(8_000, MeterEvent::Timeout);
    assert_eq!(bench.meter.poll_timeout(), Some(at(10_000)));
    bench.tell(9_999, MeterEvent::Timeout);
    assert_eq!(bench.stops, []);
    assert_eq!(bench.meter.uncovered(), Duration::from_millis(9_999));
    bench.tell(10_000, MeterEvent::Timeout);
    assert_eq!(bench.stops, [CloseCause::NotDurable]);
    // The disk came back after all: what was used is written down, and nothing more is used.
    bench.answer(11_000);
    assert_eq!(bench.wall(), 10_000);
    assert_eq!(bench.settled.len(), 1);
}

#[test]
fn a_full_disk_stops_the_session_and_costs_nothing_more() {
    let mut bench = Bench::leased();
    bench.tell(0, LIVE);
    bench.run(7_999, 0);
    bench.tell(8_000, MeterEvent::Timeout);
    let failed = bench.unanswered.take().unwrap();
    bench.tell(8_004, MeterEvent::PersistFailed(failed));
    assert_eq!(bench.stops, [CloseCause::NotDurable]);
    assert_eq!(bench.settled, [Settlement { close: None, totals: Totals::default() }]);
    bench.tell(9_000, MeterEvent::Timeout);
    bench.tell(9_000, MeterEvent::End);
    assert_eq!((bench.records.len(), bench.settled.len()), (2, 1));
}

#[test]
fn a_clock_that_jumps_is_not_billed() {
    let mut bench = Bench::leased();
    bench.tell(0, LIVE);
    bench.run(4_000, 0);
    // Back by three seconds, then on: nothing is counted twice.
    bench.meter.frame(at(1_000), FrameUse::default());
    bench.run(8_000, 0);
    // The machine slept for an hour. What was live before is one slice, the hour is in none.
    bench.tell(3_608_000, MeterEvent::Timeout);
    bench.answer(3_608_000);
    bench.run(3_612_000, 0);
    bench.tell(3_612_000, MeterEvent::End);
    bench.answer(3_612_000);
    let times: Vec<_> =
        bench.slices().iter().map(|slice| (slice.start_ms, slice.wall_ms)).collect();
    assert_eq!(times, [(0, 8_000), (8_000, 8_000), (3_608_000, 4_000)]);
    assert_eq!(bench.meter.gaps(), Duration::from_secs(3_592));
}

#[test]
fn frame_rate_and_latency_are_of_what_was_due() {
    let mut bench = Bench::leased();
    bench.tell(0, LIVE);
    for number in 0..100 {
        bench.meter.frame(at(number), FrameUse::default());
        bench.meter.latency(at(number), Duration::from_millis(number + 1));
    }
    (0..25).for_each(|number| bench.meter.missed(at(100 + number)));
    bench.run(16_000, 0);
    let slices = bench.slices();
    assert_eq!(slices[0].fps_milli, 48_000, "80 % of 60 a second");
    let [median, p95, p99] = slices[0].latency_us;
    assert!((50_000..52_000).contains(&median), "{median}");
    assert!((95_000..98_500).contains(&p95) && (99_000..102_500).contains(&p99), "{p95} {p99}");
    assert_eq!(slices[1].fps_milli, 60_000, "stood still");
}

#[test]
fn slices_are_bounded_by_their_settings() {
    let ms = Duration::from_millis;
    for (slice, patience) in [(0, 5), (5, 0), (9_999, 2), (10_000, 1)] {
        assert!(MeterConfig::new(ms(slice), ms(patience)).is_err());
    }
    assert!(MeterConfig::new(ms(9_999), ms(1)).is_ok());
    assert!(MeterConfig::new(Duration::from_micros(1_500), ms(1)).is_err());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Tell(u64, MeterEvent),
    Frames(u64, FrameUse),
    Answer(u64, bool),
    Timeouts(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let short = 0..12_000_u64;
    let funding = prop_oneof![
        (0..200_000_u64).prop_map(|until| Funding::Lease(at(until))),
        (0..60_000_u64).prop_map(|left| Funding::Trial(Duration::from_millis(left))),
    ];
    let event = prop_oneof![
        4 => Just(LIVE),
        3 => Just(MeterEvent::Paused),
        1 => funding.prop_map(MeterEvent::Funded),
        1 => Just(MeterEvent::End),
        1 => (0..9_u32).prop_map(MeterEvent::Persisted),
    ];
    let frame = any::<(u64, u64, u32)>().prop_map(|(pixels, bytes, gpu_us)| FrameUse {
        pixels,
        bytes,
        gpu_us,
    });
    let step = prop_oneof![
        (short.clone(), event).prop_map(|(by, event)| Step::Tell(by, event)),
        (short.clone(), frame).prop_map(|(by, frame)| Step::Frames(by, frame)),
        (0..50_u64, proptest::bool::weighted(0.95)).prop_map(|(by, well)| Step::Answer(by, well)),
        (0..40_000_u64).prop_map(Step::Timeouts),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn what_is_paid_is_live_time_before_the_end_of_the_lease_to_the_millisecond(
        plays in proptest::collection::vec((1..40_000_u64, 1..30_000_u64), 1..8),
        lease in 0..250_000_u64, late in 0..2_000_u64,
    ) {
        let mut bench = Bench::new(Funding::Lease(at(lease)));
        let (mut now, mut paid) = (0, 0);
        for (play, away) in plays {
            let end = now + play;
            paid += end.min(lease).saturating_sub(now);
            bench.tell(now, LIVE);
            bench.answer(now);
            while let Some(next) = bench.meter.poll_timeout().filter(|next| *next <= at(end)) {
                // The driver comes late, though not after what ends the play.
                bench.tell((next.as_nanos() / 1_000_000 + late).min(end), MeterEvent::Timeout);
                bench.answer(end.min(now));
            }
            bench.tell(end, MeterEvent::Paused);
            bench.answer(end);
            now = end + away;
        }
        bench.tell(now, MeterEvent::End);
        bench.answer(now);
        let totals = bench.settled[0].totals;
        prop_assert_eq!(totals.paid_ms(), paid);
        prop_assert!(totals.unpaid_ms <= late, "{} ms are unpaid", totals.unpaid_ms);
        prop_assert_eq!(bench.meter.gaps(), Duration::ZERO);
        prop_assert_eq!(totals.charge, bench.meter.terms.open.tariff.charge(paid));
        prop_assert_eq!(bench.settled.len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_happens_only_live_time_is_metered_once_and_sums_exactly(
        steps in steps(), lease in 0..200_000_u64, fee: u128, span: u64, served: bool,
    ) {
        let mut bench = Bench::new(Funding::Lease(at(lease)));
        bench.meter.terms.open.tariff = Tariff { fee: Planck(fee), span_ms: span, trial: false };
        let (mut now, mut live, mut ended) = (0, None::<u64>, false);
        let mut live_times = Vec::new();
        let mut step_all = steps;
        step_all.push(Step::Tell(1, MeterEvent::End));
        for step in step_all {
            let by = match step {
                Step::Tell(by, _) | Step::Frames(by, _) | Step::Answer(by, _) if served => by,
                Step::Timeouts(by) => by,
                _ => 0,
            };
            while let Some(next) = bench.meter.poll_timeout().filter(|next| *next <= at(now + by)) {
                bench.tell((next.as_nanos() / 1_000_000).max(now), MeterEvent::Timeout);
                // A slice and the patience for it, with a short one behind it, too.
                prop_assert!(!served || bench.meter.uncovered() <= Duration::from_secs(10), "{:?}", bench.meter);
            }
            match step {
                // Nobody answers what was not handed out yet.
                Step::Tell(by, MeterEvent::Persisted(number)) if number as usize >= bench.records.len() => now += by,
                Step::Tell(by, event) => {
                    now += by;
                    if bench.unanswered.is_some_and(|number| event == MeterEvent::Persisted(number)) {
                        bench.unanswered = None;
                    }
                    bench.tell(now, event);
                    match event {
                        MeterEvent::Live(_) if !ended && live.is_none() => live = Some(now),
                        MeterEvent::Paused | MeterEvent::End => {
                            live_times.extend(live.take().map(|from| (from, now)));
                            ended |= event == MeterEvent::End;
                        }
                        _ => {}
                    }
                }
                Step::Frames(by, frame) => {
                    now += by;
                    bench.meter.frame(at(now), frame);
                    bench.tell(now, MeterEvent::Timeout);
                }
                Step::Answer(by, well) => {
                    now += by;
                    if well {
                        bench.answer(now);
                    } else if let Some(sequence) = bench.unanswered.take() {
                        bench.tell(now, MeterEvent::PersistFailed(sequence));
                    }
                }
                Step::Timeouts(by) => {
                    now += by;
                    bench.tell(now, MeterEvent::Timeout);
                }
            }
        }
        let final_close = bench.records.iter().find_map(|record| match &record.body {
            Body::Close(_, close) => Some(*close),
            _ => None,
        });
        bench.answer(now);
        prop_assert_eq!(bench.settled.len(), 1);
        prop_assert!(bench.stops.len() <= 1);
        let (mut end, mut sum, mut previous) = (0, Totals::default(), [0; 32]);
        let opened = live_times.first().map_or(0, |(from, _)| *from);
        for record in &bench.records {
            prop_assert_eq!(record.previous, previous);
            previous = hash(&record.encode());
            if let Body::Slice(_, slice) = &record.body {
                let (from, to) = (opened + slice.start_ms, opened + slice.start_ms + u64::from(slice.wall_ms));
                prop_assert!(slice.start_ms >= end, "slices overlap");
                end = slice.start_ms + u64::from(slice.wall_ms);
                prop_assert!(live_times.iter().any(|(a, b)| *a <= from && to <= *b), "{from}..{to} of {live_times:?}");
                sum = sum.with(slice).expect("sums fit");
            }
        }
        let unpaid = bench.slices().iter().filter(|slice| slice.unpaid_ms > 0).count();
        prop_assert!(unpaid <= 1, "{unpaid} unpaid slices");
        let tariff = bench.meter.terms.open.tariff;
        prop_assert_eq!(sum.charge, tariff.charge(sum.paid_ms()));
        if let Some(close) = bench.settled[0].close.or(final_close) {
            prop_assert_eq!(close.totals, sum);
        }
    }
}
