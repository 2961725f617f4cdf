//! Starting a session by a click, and what the page weighs.

use anyhow::Result;
use media::{Mark, MediaTime};

use super::stream::relate;
use crate::Bench;
use crate::browser::StartTimes;
use crate::clock::Relation;
use crate::figures::Findings;
use crate::host::{HEIGHT, WIDTH};
use crate::record::{Recording, Sent};

/// A moment of a start.
type Moment = fn(&StartTimes) -> f64;

/// Stretches of a start that the page sees: name, from, to.
const STRETCHES: [(&str, Moment, Moment); 6] = [
    ("click_to_decoded", |t| t.asked_us, |t| t.first_decoded_us),
    ("click_to_presented", |t| t.asked_us, |t| t.first_presented_us),
    ("1_session_made", |t| t.asked_us, |t| t.session_us),
    ("2_offer_answered", |t| t.session_us, |t| t.answered_us),
    ("3_track", |t| t.answered_us, |t| t.track_us),
    ("4_track_to_decoded", |t| t.track_us, |t| t.first_decoded_us),
];

/// Clicks the demo's button again and again.
pub(super) fn starts(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let title = bench.host.demo()?;
    let (base, kbps, count) = (bench.host.url(), bench.args.kbps, bench.args.starts);
    let fps = super::DEMO_FPS;
    let url = format!("{base}?width={WIDTH}&height={HEIGHT}&fps={fps}&kbps={kbps}");
    let page = bench.browser()?.visit(&url)?;
    let before = relate(bench, &page)?;
    bench.recorder.begin();
    let starts = bench.browser()?.starts(&page, &title, count)?;
    let recording = bench.recorder.end();
    let relation = Relation::between(before, relate(bench, &page)?);
    bench.browser()?.close(&page)?;
    for (name, from, to) in STRETCHES {
        let lengths = starts.iter().map(|times| (to(times) - from(times)) / 1e3).collect();
        findings.spread(&format!("start.{name}"), "ms", lengths);
    }
    put_parts(findings, &starts, &recording, &relation);
    Ok(())
}

/// Splits the last stretch by what the server knows of the first frame: the connection is made until it
/// is captured, then it is drawn, encoded and sent, then it arrives and is decoded.
fn put_parts(
    findings: &mut Findings,
    starts: &[StartTimes],
    recording: &Recording,
    relation: &Relation,
) {
    let mut parts: [Vec<f64>; 3] = Default::default();
    for times in starts {
        let media = |page_us: f64| relation.media_us(page_us as u64);
        let (track, decoded) = (media(times.track_us), media(times.first_decoded_us));
        let within = |sent: &&Sent| {
            at(sent, Mark::LastSent).is_some_and(|left| left > track && left <= decoded)
        };
        let Some(first) = recording.sent.iter().find(within) else { continue };
        let marks = (at(first, Mark::Captured), at(first, Mark::LastSent));
        let (Some(captured), Some(left)) = marks else { continue };
        let lengths = [captured - track, left - captured, decoded - left];
        for (part, length) in parts.iter_mut().zip(lengths) {
            part.push(length / 1e3);
        }
    }
    let names = ["4a_connected", "4b_first_frame_sent", "4c_first_frame_decoded"];
    for (name, part) in names.into_iter().zip(parts) {
        findings.spread(&format!("start.{name}"), "ms", part);
    }
}

/// A mark in microseconds of the media clock.
fn at(sent: &Sent, mark: Mark) -> Option<f64> {
    sent.stages.get(mark).map(MediaTime::as_nanos).map(|nanos| nanos as f64 / 1e3)
}

/// What the page weighs on the wire.
pub(super) fn weight(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let files = bench.browser()?.weigh()?;
    let total: u64 = files.iter().map(|(_, size)| size).sum();
    findings.put("weight.gzip", "kB", total as f64 / 1e3);
    for (name, size) in files {
        findings.note(format!("{name}: {size} B"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::StageTimes;

    fn sent(captured: u64, left: u64) -> Sent {
        let mut stages = StageTimes::captured(MediaTime::from_millis(captured));
        stages.mark(Mark::LastSent, MediaTime::from_millis(left));
        Sent { frame: 0, wire_timestamp: 0, bytes: 0, stages }
    }

    #[test]
    fn the_first_frame_of_each_start_splits_its_last_stretch() {
        let start = |track_us: f64, first_decoded_us: f64| StartTimes {
            asked_us: 0.0,
            session_us: 0.0,
            answered_us: 0.0,
            track_us,
            first_decoded_us,
            first_presented_us: first_decoded_us,
        };
        let recording = Recording {
            sent: vec![sent(5, 9), sent(40, 50), sent(60, 70), sent(140, 150)],
            reports: Vec::new(),
            inputs: Vec::new(),
        };
        let starts = [start(10_000.0, 55_000.0), start(100_000.0, 151_000.0), start(2e6, 3e6)];
        let mut findings = Findings::default();
        put_parts(&mut findings, &starts, &recording, &Relation::exact());
        let value = |name: &str| {
            let figure = findings.figures.iter().find(|figure| figure.name == name);
            figure.and_then(|figure| figure.value)
        };
        // 30, 10, 5 and 40, 10, 1; the third start has no frame.
        assert_eq!(value("start.4a_connected.p99"), Some(40.0));
        assert_eq!(value("start.4b_first_frame_sent.p50"), Some(10.0));
        assert_eq!(value("start.4c_first_frame_decoded.p99"), Some(5.0));
        assert_eq!(value("start.4a_connected.n"), Some(2.0));
    }
}
