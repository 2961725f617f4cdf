//! Starting a session by a click, and what the page weighs.

use anyhow::Result;

use crate::Bench;
use crate::browser::StartTimes;
use crate::figures::Findings;
use crate::host::{HEIGHT, WIDTH};

/// A moment of a start.
type Moment = fn(&StartTimes) -> f64;

/// Stretches of a start: name, from, to.
const STRETCHES: [(&str, Moment, Moment); 6] = [
    ("click_to_decoded", |t| t.asked_us, |t| t.first_decoded_us),
    ("click_to_presented", |t| t.asked_us, |t| t.first_presented_us),
    ("session_made", |t| t.asked_us, |t| t.session_us),
    ("offer_answered", |t| t.session_us, |t| t.answered_us),
    ("track", |t| t.answered_us, |t| t.track_us),
    ("connected_to_decoded", |t| t.track_us, |t| t.first_decoded_us),
];

/// Clicks the demo's button again and again.
pub(super) fn starts(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let title = bench.host.demo()?;
    let (base, kbps, count) = (bench.host.url(), bench.args.kbps, bench.args.starts);
    let fps = super::DEMO_FPS;
    let url = format!("{base}?width={WIDTH}&height={HEIGHT}&fps={fps}&kbps={kbps}");
    let starts = bench.browser()?.starts(&url, &title, count)?;
    for (name, from, to) in STRETCHES {
        let lengths = starts.iter().map(|times| (to(times) - from(times)) / 1e3).collect();
        findings.spread(&format!("start.{name}"), "ms", lengths);
    }
    Ok(())
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
