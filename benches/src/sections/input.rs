//! Input → changed pixel: from the page's send to the decoding of the first picture that shows it.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use media::Stage;

use super::stages::Window;
use super::stream::relate;
use crate::Bench;
use crate::browser::Pressed;
use crate::clock::Relation;
use crate::figures::Findings;
use crate::host::play_url;

/// Time between events, uniformly random: phases to the frames are random too, and a slow picture of
/// one event is decoded before the next event mostly.
const LEAST: Duration = Duration::from_millis(70);
const MOST: Duration = Duration::from_millis(170);
/// The bound: this many frame intervals, plus encode, plus last packet sent → decoded. The last is network,
/// jitter buffer and decoder in one: a browser tells no decoding time of a single frame.
const INTERVALS: f64 = 1.5;

/// Presses keys while `app` plays and puts what came of it under `name`.
pub(super) fn run(
    bench: &mut Bench,
    findings: &mut Findings,
    name: &str,
    app: &str,
    fps: u32,
) -> Result<()> {
    let url = play_url(&bench.host.url(), app, fps, bench.args.kbps, true);
    let page = bench.browser()?.open(&url)?;
    sleep(bench.args.warm_up());
    let before = relate(bench, &page)?;
    let clock = bench.host.node().clock.clone();
    bench.recorder.begin();
    let start = clock.now();
    let events = bench.args.events;
    let pressed = bench.browser()?.press(&page, events, LEAST, MOST)?;
    let end = clock.now();
    let recording = bench.recorder.end();
    let relation = Relation::between(before, relate(bench, &page)?);
    bench.browser()?.close(&page)?;

    let latencies = latencies(&pressed);
    if latencies.is_empty() {
        bail!("{name}: none of {} events was seen in a picture", pressed.inputs.len());
    }
    let interval = 1e3 / f64::from(fps);
    findings.put(format!("{name}.events"), "", pressed.inputs.len() as f64);
    findings.put(format!("{name}.unseen"), "", (pressed.inputs.len() - latencies.len()) as f64);
    let median = Window::median(latencies.clone());
    findings.spread(&format!("{name}.latency"), "ms", latencies);
    let window = Window::new(&recording, relation, start, end);
    let encode = Window::median(window.stage(Stage::Encode));
    let to_decoded = Window::median(window.network());
    let (Some(median), Some(encode), Some(to_decoded)) = (median, encode, to_decoded) else {
        findings.missing(&format!("{name}.bound"), "ms", "no frame was recorded meanwhile");
        return Ok(());
    };
    findings.put(format!("{name}.latency_in_intervals"), "×", median / interval);
    findings.put(format!("{name}.encode_p50"), "ms", encode);
    findings.put(format!("{name}.sent_to_decoded_p50"), "ms", to_decoded);
    findings.put(format!("{name}.bound"), "ms", INTERVALS * interval + encode + to_decoded);
    findings.note(format!(
        "bound: {INTERVALS} intervals + encode + (network, jitter buffer and decoder in one), medians"
    ));
    Ok(())
}

/// Milliseconds from each event to the first picture that shows it or a later one.
fn latencies(pressed: &Pressed) -> Vec<f64> {
    let first_shown = |seq: u32| {
        let shows = |input: u16| input != 0 && input.wrapping_sub(seq as u16) < 1 << 15;
        let times = pressed.strips.iter().filter(|strip| shows(strip.input));
        times.map(|strip| strip.decoded_at_us).min()
    };
    let latency = |input: &crate::browser::SentInput| {
        Some(first_shown(input.seq)?.checked_sub(input.at_us)? as f64 / 1e3)
    };
    pressed.inputs.iter().filter_map(latency).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::{SentInput, StripSample};

    #[test]
    fn an_event_counts_until_the_first_picture_that_shows_it_or_a_later_one() {
        let strip = |input, decoded_at_us| StripSample { input, decoded_at_us };
        let pressed = Pressed {
            inputs: vec![
                SentInput { seq: 65_535, at_us: 1_000 },
                SentInput { seq: 65_537, at_us: 5_000 },
                SentInput { seq: 65_540, at_us: 9_000 },
            ],
            strips: vec![
                strip(0, 500),
                strip(65_534, 2_000),
                strip(65_535, 3_000),
                strip(2, 9_500),
            ],
        };
        // The second is shown with the one after it; the third never.
        assert_eq!(latencies(&pressed), [2.0, 4.5]);
    }
}
