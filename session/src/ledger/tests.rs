use super::*;
use proptest::prelude::*;

/// The client's clock in these tests: a minute ahead, known to a millisecond.
const CLOCK: ClockEstimate = ClockEstimate { offset_us: 60_000_000, error_us: 1_000 };

fn ms(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

/// Marks of a frame: captured at `captured`, each stage one millisecond.
fn marks(captured: MediaTime) -> StageTimes {
    let mut stages = StageTimes::default();
    for (index, mark) in (0..).zip(Mark::ALL) {
        stages.mark(mark, captured + Duration::from_millis(index));
    }
    stages
}

fn client_us(at: MediaTime) -> u64 {
    at.as_micros() + 60_000_000
}

fn report(wire_timestamp: u32, decoded: MediaTime, presented: MediaTime) -> ClientReport {
    ClientReport {
        wire_timestamp,
        received_us: None,
        decoded_us: client_us(decoded),
        presented_us: client_us(presented),
    }
}

#[test]
fn a_frame_is_joined_from_capture_to_presentation() {
    let mut ledger = LatencyLedger::new(LedgerConfig::default());
    ledger.on_sent(ms(110), FrameId(1), 9_000, marks(ms(100)));
    let joined = ledger.on_report(ms(140), &report(9_000, ms(114), ms(121)), Some(&CLOCK)).unwrap();
    let expected = Joined {
        frame: FrameId(1),
        network: Duration::from_millis(4),
        decode: None,
        present: Duration::from_millis(7),
        total: Duration::from_millis(21),
    };
    assert_eq!(joined, expected);
    let names: Vec<_> = ledger.entries[0].spans().map(|(stage, _)| stage.name()).collect();
    assert_eq!(names.len(), 12);
    assert_eq!(names[9..], ["send", "network", "present"]);
}

#[test]
fn a_client_that_knows_when_a_frame_was_whole_splits_network_from_decoder() {
    let mut ledger = LatencyLedger::new(LedgerConfig::default());
    ledger.on_sent(ms(110), FrameId(1), 9_000, marks(ms(100)));
    let whole = Some(client_us(ms(112)));
    let report = ClientReport { received_us: whole, ..report(9_000, ms(115), ms(121)) };
    let joined = ledger.on_report(ms(140), &report, Some(&CLOCK)).unwrap();
    let lengths = (joined.network, joined.decode, joined.present, joined.total);
    let millis = Duration::from_millis;
    assert_eq!(lengths, (millis(2), Some(millis(3)), millis(6), millis(21)));
    let names: Vec<_> = ledger.entries[0].spans().map(|(stage, _)| stage.name()).collect();
    assert_eq!(names[9..], ["send", "network", "decode", "present"]);
}

#[test]
fn means_leave_no_remainder_also_of_frames_with_other_stages() {
    let mut ledger = LatencyLedger::new(LedgerConfig::default());
    for (frame, whole) in [(1, None), (2, Some(113)), (3, Some(119))] {
        ledger.on_sent(ms(110), FrameId(frame), frame as u32, marks(ms(100)));
        let received_us = whole.map(|at| client_us(ms(at)));
        let report = ClientReport { received_us, ..report(frame as u32, ms(120), ms(121)) };
        ledger.on_report(ms(140), &report, Some(&CLOCK)).unwrap();
    }
    // One that nobody has seen says nothing of the whole.
    ledger.on_sent(ms(190), FrameId(4), 4, marks(ms(100)));
    let summary = ledger.summary(ms(200));
    let of = |stage| summary.means.iter().find(|(of, _)| *of == stage).unwrap().1.as_micros();
    assert_eq!(of(LedgerStage::Decode), (7 + 1) * 1_000 / 3);
    assert_eq!(of(LedgerStage::Network), (10 + 3 + 9) * 1_000 / 3);
    assert_eq!(summary.mean_total, Some(Duration::from_millis(21)));
    let sum: Duration = summary.means.iter().map(|(_, length)| *length).sum();
    assert!(Duration::from_millis(21) - sum < Duration::from_micros(1), "{sum:?}");
}

#[test]
fn figures_are_of_the_window_and_by_nearest_rank() {
    let mut ledger = LatencyLedger::new(LedgerConfig::default());
    for frame in 0..100_u32 {
        let captured = ms(u64::from(frame) * 10);
        ledger.on_sent(
            captured + Duration::from_millis(10),
            FrameId(frame.into()),
            frame,
            marks(captured),
        );
        // The network takes 1 to 100 ms.
        let decoded = captured + Duration::from_millis(11 + u64::from(frame));
        ledger.on_report(decoded, &report(frame, decoded, decoded), Some(&CLOCK)).unwrap();
    }
    let summary = ledger.summary(ms(1_000));
    assert_eq!((summary.sent, summary.joined), (100, 100));
    let network =
        summary.stages.iter().find(|(stage, _)| *stage == LedgerStage::Network).unwrap().1;
    let millis = [network.p50, network.p95, network.p99].map(|length| length.as_millis());
    assert_eq!(millis, [50, 95, 99]);
    assert_eq!(summary.total.unwrap().p50, Duration::from_millis(60));
    assert_eq!(summary.server.unwrap().p99, Duration::from_millis(10));
    // Five seconds later the first half has left the window.
    assert_eq!(ledger.summary(ms(5_510)).sent, 50);
    let empty = ledger.summary(ms(60_000));
    assert_eq!((empty.sent, empty.total, empty.stages.len()), (0, None, 0));
}

#[test]
fn reports_that_cannot_be_are_refused_and_counted() {
    let mut ledger = LatencyLedger::new(LedgerConfig::default());
    let mut tell = |now, report: &ClientReport, clock| ledger.on_report(now, report, clock).err();
    let good = report(7, ms(115), ms(120));
    assert_eq!(tell(ms(130), &good, Some(&CLOCK)), Some(ReportError::Unknown));
    ledger.on_sent(ms(110), FrameId(1), 7, marks(ms(100)));
    let mut tell = |now, report: &ClientReport, clock| ledger.on_report(now, report, clock).err();
    assert_eq!(tell(ms(130), &good, None), Some(ReportError::NoClock));
    let impossible = [
        report(7, ms(120), ms(119)),
        report(7, ms(108), ms(120)),
        report(7, ms(115), ms(132)),
        ClientReport { decoded_us: 0, presented_us: u64::MAX, ..good },
        ClientReport { decoded_us: u64::MAX, presented_us: u64::MAX, ..good },
        ClientReport { decoded_us: 0, presented_us: 0, ..good },
        ClientReport { received_us: Some(client_us(ms(116))), ..good },
        ClientReport { received_us: Some(client_us(ms(108))), ..good },
        ClientReport { received_us: Some(u64::MAX), ..good },
        ClientReport { received_us: Some(0), ..good },
    ];
    for report in &impossible {
        assert_eq!(tell(ms(130), report, Some(&CLOCK)), Some(ReportError::Impossible));
    }
    assert_eq!(tell(ms(130), &good, Some(&CLOCK)), None);
    assert_eq!(tell(ms(130), &good, Some(&CLOCK)), Some(ReportError::Duplicate));
    let counters = ledger.counters();
    assert_eq!(
        (counters.unknown, counters.no_clock, counters.impossible, counters.duplicate),
        (1, 1, 10, 1)
    );
    assert_eq!((counters.joined, counters.unreported), (1, 0));
}

#[test]
fn within_the_error_of_the_clocks_a_time_is_moved_to_where_it_can_be() {
    let mut ledger = LatencyLedger::new(LedgerConfig::default());
    ledger.on_sent(ms(110), FrameId(1), 7, marks(ms(100)));
    let early = MediaTime::from_micros(109_200);
    let joined = ledger.on_report(ms(130), &report(7, early, ms(112)), Some(&CLOCK)).unwrap();
    assert_eq!(joined.network, Duration::ZERO);
    assert_eq!(ledger.counters().clamped, 1);
}

#[test]
fn frames_that_nobody_reports_are_counted_once() {
    let config = LedgerConfig { frames: 4, ..LedgerConfig::default() };
    let mut ledger = LatencyLedger::new(config);
    for frame in 0..6 {
        let at = ms(u64::from(frame) * 10);
        ledger.on_sent(at + Duration::from_millis(10), FrameId(frame.into()), frame, marks(at));
    }
    assert_eq!(ledger.counters().unreported, 2, "two were pushed out");
    ledger.summary(ms(4_045));
    assert_eq!(ledger.counters().unreported, 4, "two have waited too long");
    let late = ledger.on_report(ms(4_045), &report(2, ms(40), ms(50)), Some(&CLOCK));
    assert_eq!(late, Err(ReportError::Late));
    for frame in 6..12 {
        ledger.on_sent(ms(9_000), FrameId(frame.into()), frame, marks(ms(8_990)));
    }
    // All of 0..=7 were counted, each once.
    assert_eq!(ledger.counters().unreported, 8);
}

#[test]
fn a_timestamp_that_comes_round_again_means_the_newer_frame() {
    let mut ledger = LatencyLedger::new(LedgerConfig::default());
    ledger.on_sent(ms(110), FrameId(1), 7, marks(ms(100)));
    ledger.on_sent(ms(210), FrameId(2), 7, marks(ms(200)));
    let joined = ledger.on_report(ms(240), &report(7, ms(214), ms(221)), Some(&CLOCK)).unwrap();
    assert_eq!(joined.frame, FrameId(2));
}

proptest! {
    #[test]
    fn stages_always_sum_to_the_total(
        marks in proptest::array::uniform11(proptest::option::of(0_u64..50_000)),
        network in 0_u64..1_000_000,
        decode in proptest::option::of(0_u64..100_000),
        present in 0_u64..100_000,
    ) {
        let captured = ms(1_000);
        let mut stages = StageTimes::captured(captured);
        for (mark, after) in Mark::ALL.into_iter().zip(marks).skip(1) {
            if let Some(after) = after {
                stages.mark(mark, captured + Duration::from_micros(after));
            }
        }
        let sent = end_of(&stages).unwrap();
        let mut ledger = LatencyLedger::new(LedgerConfig::default());
        ledger.on_sent(sent, FrameId(3), 1, stages);
        let whole = sent + Duration::from_micros(network);
        let decoded = whole + Duration::from_micros(decode.unwrap_or_default());
        let presented = decoded + Duration::from_micros(present);
        let received_us = decode.map(|_| client_us(whole));
        let report = ClientReport { received_us, ..report(1, decoded, presented) };
        let joined = ledger.on_report(presented, &report, Some(&CLOCK)).unwrap();
        let sum: Duration = ledger.entries[0].spans().map(|(_, length)| length).sum();
        prop_assert_eq!(sum, joined.total);
        let summary = ledger.summary(presented);
        let sum: Duration = summary.means.iter().map(|(_, length)| *length).sum();
        prop_assert_eq!((Some(sum), summary.mean_total), (Some(joined.total), Some(joined.total)));
        prop_assert_eq!(joined.total, presented.since(captured));
    }

    #[test]
    fn a_hostile_client_reaches_nothing_but_counters_and_sane_figures(
        happenings in proptest::collection::vec(
            (0_u64..200_000, any::<bool>(), 0_u32..40, any::<u64>(), any::<u64>(), 0_u8..8), 1..200),
    ) {
        let mut ledger = LatencyLedger::new(LedgerConfig { frames: 16, ..LedgerConfig::default() });
        let (mut now, mut sent, mut reports) = (ms(1_000), 0, 0);
        for (gap, send, wire, a, b, kind) in happenings {
            now = now + Duration::from_micros(gap);
            if send {
                ledger.on_sent(now, FrameId(sent), wire, marks(now - Duration::from_millis(10)));
                sent += 1;
            } else {
                let near = client_us(now);
                let (decoded_us, presented_us) = match kind % 4 {
                    0 => (a, b),
                    1 => (near - a % 3_000_000, near - b % 3_000_000),
                    2 => (near.saturating_add(a), near.saturating_add(b)),
                    _ => (near - a % 20_000, near),
                };
                let received_us = (kind >= 4).then(|| decoded_us.wrapping_sub(b % 30_000));
                let report =
                    ClientReport { wire_timestamp: wire, received_us, decoded_us, presented_us };
                reports += 1;
                if let Ok(joined) = ledger.on_report(now, &report, Some(&CLOCK)) {
                    // Nothing lasts longer than it was waited for.
                    let most = LedgerConfig::default().patience + Duration::from_millis(12);
                    prop_assert!(joined.total <= most, "{joined:?}");
                }
            }
            let c = ledger.counters();
            prop_assert_eq!(c.sent, sent);
            let answered =
                c.joined + c.unknown + c.duplicate + c.late + c.impossible + c.no_clock;
            prop_assert_eq!(answered, reports);
            prop_assert!(c.joined + c.unreported <= sent);
            prop_assert!(ledger.entries.len() <= 16);
        }
        ledger.summary(now);
    }
}
