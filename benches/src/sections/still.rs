//! A picture that stands still: nothing is encoded, and next to nothing is computed.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::PATTERN_FPS;
use crate::Bench;
use crate::browser::{Page, ServerStats};
use crate::figures::Findings;
use crate::host::{STILL, play_url};
use crate::process;

/// How long nothing must happen.
const STANDING: Duration = Duration::from_secs(5);

/// Plays the source that stands still and counts what is sent.
pub(super) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let url = play_url(&bench.host.url(), STILL, PATTERN_FPS, bench.args.kbps, false);
    let page = bench.browser()?.open(&url)?;
    sleep(bench.args.warm_up());
    let (before, asked_before) = counts(bench, &page)?;
    bench.recorder.begin();
    let cpu = process::cpu_time(std::process::id())?;
    let coded = bench.host.coded.count();
    sleep(STANDING);
    let coded = bench.host.coded.count() - coded;
    let cpu = process::cpu_time(std::process::id())?.saturating_sub(cpu);
    let sent = bench.recorder.end().sent.len();
    let (after, asked_after) = counts(bench, &page)?;
    bench.browser()?.close(&page)?;
    findings.put("still.encoded", "frames", coded as f64);
    findings.put("still.sent", "frames", sent as f64);
    findings.put("still.unchanged", "requests", after.unchanged - before.unchanged);
    findings.put("still.keyframes", "frames", after.keyframes - before.keyframes);
    match asked_before.zip(asked_after) {
        // libwebrtc asks for a keyframe when it was given no frame for three seconds.
        Some((before, after)) => {
            findings.put("still.asked_by_browser", "keyframes", after - before);
        }
        None => findings.missing("still.asked_by_browser", "keyframes", "getStats does not tell"),
    }
    findings.put("still.dropped", "frames", after.dropped - before.dropped);
    findings.put("still.cpu.server", "ms/s", cpu.as_secs_f64() * 1e3 / STANDING.as_secs_f64());
    Ok(())
}

/// What the server counted, and how often the browser asked for a keyframe.
fn counts(bench: &mut Bench, page: &Page) -> Result<(ServerStats, Option<f64>)> {
    let seen = bench.browser()?.stats(page)?;
    Ok((seen.stats.context("the server sent no statistics")?, seen.inbound.pli_count))
}
