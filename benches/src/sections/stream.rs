//! A source streamed to the browser for a while: stages, frame intervals, processor time.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use media::MediaTime;

use super::stages::Window;
use crate::Bench;
use crate::browser::{Browser, Page, PageStats};
use crate::clock::{Pairing, Relation};
use crate::figures::Findings;
use crate::host::play_url;
use crate::process;
use crate::record::Recording;

/// How often the page is asked meanwhile; each question costs the browser about a millisecond.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The browser tells of frames ten times a second; this long after the window it has told of all.
const REPORTS_TRAIL: Duration = Duration::from_millis(500);

/// What was seen of a session.
pub(super) struct Watched {
    recording: Recording,
    relation: Relation,
    start: MediaTime,
    end: MediaTime,
    /// Processor time of this process and of Chromium.
    cpu: (Duration, Duration),
    /// The page's own figures, first to last.
    asked: Vec<PageStats>,
}

impl Watched {
    /// The frames.
    pub(super) fn window(&self) -> Window<'_> {
        Window::new(&self.recording, self.relation, self.start, self.end)
    }

    fn seconds(&self) -> f64 {
        self.end.since(self.start).as_secs_f64()
    }
}

/// Relates the page's clock to the media clock now.
pub(super) fn relate(bench: &mut Bench, page: &Page) -> Result<Relation> {
    let clock = bench.host.node().clock.clone();
    let theirs = bench.browser()?.clock(page).context("the page's clock")?;
    Ok(Relation::new(Pairing::read(clock.as_ref())?, theirs))
}

/// Watches a page that plays for the length of a measurement.
pub(super) fn watch(bench: &mut Bench, page: &Page) -> Result<Watched> {
    sleep(bench.args.warm_up());
    let before = relate(bench, page)?;
    let length = bench.args.window();
    let clock = bench.host.node().clock.clone();
    let recorder = bench.recorder.clone();
    let browser = bench.browser()?;
    let cpu = |browser: &Browser| -> Result<(Duration, Duration)> {
        Ok((process::cpu_time(std::process::id())?, process::cpu_time_below(browser.pid())?))
    };
    let mut asked = vec![browser.stats(page)?];
    recorder.begin();
    let cpu_before = cpu(browser)?;
    let start = clock.now();
    loop {
        let left = length.saturating_sub(clock.now().since(start));
        if left.is_zero() {
            break;
        }
        sleep(left.min(ASK_EVERY));
        asked.push(browser.stats(page)?);
    }
    let end = clock.now();
    let cpu_after = cpu(browser)?;
    sleep(REPORTS_TRAIL);
    let recording = recorder.end();
    let after = relate(bench, page)?;
    Ok(Watched {
        recording,
        relation: Relation::between(before, after),
        start,
        end,
        cpu: (cpu_after.0.saturating_sub(cpu_before.0), cpu_after.1.saturating_sub(cpu_before.1)),
        asked,
    })
}

/// Streams `app` over a transport and puts what was seen under `name`.
pub(super) fn run(
    bench: &mut Bench,
    findings: &mut Findings,
    name: &str,
    app: &str,
    (fps, transport): (u32, &str),
) -> Result<()> {
    let url = play_url(&bench.host.url(), app, fps, bench.args.kbps, false);
    let url = format!("{url}&transport={transport}");
    let page = bench.browser()?.open(&url)?;
    let watched = watch(bench, &page)?;
    bench.browser()?.close(&page)?;
    for asked in &watched.asked {
        // A page that gave up on the transport measured the other one.
        ensure!(asked.kind == transport, "{name}: {transport} became {}", asked.kind);
    }
    let window = watched.window();
    window.put_stages(name, findings);
    put_clock(findings, name, &watched);
    put_pace(findings, name, &watched, fps);
    put_cpu(findings, name, &watched);
    put_browser(findings, name, &watched);
    findings.note(format!("presenter: {}", page.presenter.as_deref().unwrap_or("unknown")));
    Ok(())
}

fn put_clock(findings: &mut Findings, name: &str, watched: &Watched) {
    findings.put(format!("{name}.clock.error"), "ms", watched.relation.error_us / 1e3);
    findings.put(format!("{name}.clock.step"), "ms", watched.relation.step_us / 1e3);
    // The session's own estimate, made by pings over the network, as a check of the above.
    let last = watched.asked.last().and_then(|asked| asked.stats.as_ref());
    if let Some(error) = last.and_then(|stats| stats.clock_error_ms) {
        findings.put(format!("{name}.ledger.clock_error"), "ms", error);
    }
    let network = last.and_then(|stats| {
        let stage = stats.stages.iter().find(|stage| stage.stage == "network")?;
        stage.ms["p50"].as_f64()
    });
    if let Some(network) = network {
        findings.put(format!("{name}.ledger.network_p50"), "ms", network);
    }
}

fn put_pace(findings: &mut Findings, name: &str, watched: &Watched, fps: u32) {
    let window = watched.window();
    let intervals = window.intervals();
    let nominal = 1e3 / f64::from(fps);
    let mut sorted = intervals.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    if let Some(p95) = crate::figures::rank(&sorted, 95) {
        findings.put(format!("{name}.interval.p95_of_nominal"), "×", p95 / nominal);
    }
    findings.spread(&format!("{name}.interval"), "ms", intervals);
    findings.put(format!("{name}.fps_sent"), "/s", window.sent() as f64 / watched.seconds());
    findings.put(
        format!("{name}.fps_presented"),
        "/s",
        window.reported() as f64 / watched.seconds(),
    );
    findings.put(
        format!("{name}.not_presented"),
        "frames",
        (window.sent() - window.reported()) as f64,
    );
    findings.put(
        format!("{name}.bitrate"),
        "kbit/s",
        window.bytes() as f64 * 8.0 / 1e3 / watched.seconds(),
    );
    let stats: Vec<_> = watched.asked.iter().filter_map(|asked| asked.stats.as_ref()).collect();
    let (Some(first), Some(last)) = (stats.first(), stats.last()) else {
        findings.missing(&format!("{name}.dropped"), "frames", "the server sent no statistics");
        return;
    };
    findings.put(format!("{name}.dropped"), "frames", last.dropped - first.dropped);
    findings.put(format!("{name}.unchanged"), "requests", last.unchanged - first.unchanged);
    findings.put(format!("{name}.target"), "kbit/s", last.target_kbps);
    let mut heights: Vec<_> = stats.iter().map(|stats| f64::from(stats.internal[1])).collect();
    heights.sort_unstable_by(f64::total_cmp);
    findings.put(format!("{name}.internal_height.least"), "px", heights[0]);
    if let Some(median) = crate::figures::median(&heights) {
        findings.put(format!("{name}.internal_height.median"), "px", median);
    }
}

fn put_cpu(findings: &mut Findings, name: &str, watched: &Watched) {
    let sent = watched.window().sent();
    if sent == 0 {
        findings.missing(&format!("{name}.cpu.server"), "ms/frame", "no frame was sent");
        return;
    }
    let per_frame = |cpu: Duration| cpu.as_secs_f64() * 1e3 / sent as f64;
    findings.put(format!("{name}.cpu.server"), "ms/frame", per_frame(watched.cpu.0));
    findings.put(format!("{name}.cpu.chromium"), "ms/frame", per_frame(watched.cpu.1));
}

fn put_browser(findings: &mut Findings, name: &str, watched: &Watched) {
    let (Some(first), Some(last)) = (watched.asked.first(), watched.asked.last()) else { return };
    let (first, last) = (&first.inbound, &last.inbound);
    let grown = |of: fn(&crate::browser::Inbound) -> Option<f64>| Some(of(last)? - of(first)?);
    let average = |sum: Option<f64>, count: Option<f64>| {
        let (sum, count) = (sum?, count?);
        (count > 0.0).then(|| sum * 1e3 / count)
    };
    let averages = [
        ("decode", average(grown(|of| of.total_decode_time), grown(|of| of.frames_decoded))),
        (
            "jitter_buffer",
            average(grown(|of| of.jitter_buffer_delay), grown(|of| of.jitter_buffer_emitted_count)),
        ),
    ];
    for (what, value) in averages {
        let figure = format!("{name}.browser.{what}_average");
        match value {
            Some(value) => findings.put(figure, "ms", value),
            None => findings.missing(&figure, "ms", "getStats does not tell"),
        }
    }
    let counts = [
        ("dropped", grown(|of| of.frames_dropped)),
        ("packets_lost", grown(|of| of.packets_lost)),
        ("freezes", grown(|of| of.freeze_count)),
    ];
    for (what, value) in counts {
        if let Some(value) = value {
            findings.put(format!("{name}.browser.{what}"), "", value);
        }
    }
    if let Some(decoder) = &last.decoder_implementation {
        findings.note(format!("decoder: {decoder}"));
    }
}
