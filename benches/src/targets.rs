//! What must be reached, and whether it was. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Most(f64),
    Least(f64),
    /// At least so many a second, over the length of a measurement.
    Held(f64),
    /// At most another figure of the same run.
    MostOf(&'static str),
}

/// A figure with its bound.
struct Target {
    what: &'static str,
    figure: &'static str,
    unit: &'static str,
    bound: Bound,
    /// What must hold for the figure to say anything.
    given: &'static [(&'static str, Bound)],
}

const fn target(
    what: &'static str,
    figure: &'static str,
    unit: &'static str,
    bound: Bound,
) -> Target {
    Target { what, figure, unit, bound, given: &[] }
}

const fn at_most(
    what: &'static str,
    figure: &'static str,
    unit: &'static str,
    bound: f64,
) -> Target {
    target(what, figure, unit, Bound::Most(bound))
}

impl Target {
    const fn given(mut self, given: &'static [(&'static str, Bound)]) -> Self {
        self.given = given;
        self
    }
}

/// Frames that a window cuts: one at each end.
const CUT: f64 = 2.0;

/// Half the frames would be easy.
const FULL_RATE: &[(&str, Bound)] =
    &[("synthetic.fps_sent", Bound::Held(60.0)), ("synthetic.overhead_known", Bound::Least(0.99))];
const ALL_REPORTED: &[(&str, Bound)] = &[
    ("synthetic.fps_sent", Bound::Held(60.0)),
    // The browser need not have drawn each frame, but most of them.
    ("synthetic.fps_presented", Bound::Least(57.0)),
];

/// Otherwise two streams are compared that say different things.
const SAME_RATE: &[(&str, Bound)] = &[
    ("encoders.x264.rate_of_cli", Bound::Least(0.98)),
    ("encoders.x264.rate_of_cli", Bound::Most(1.02)),
];

const ALONE_SAME_RATE: &[(&str, Bound)] = &[
    ("encoders.x264.alone_rate_of_cli", Bound::Least(0.98)),
    ("encoders.x264.alone_rate_of_cli", Bound::Most(1.02)),
];

const BY_WEBTRANSPORT: &[(&str, Bound)] = &[
    ("webtransport.fps_sent", Bound::Held(60.0)),
    ("webtransport.fps_presented", Bound::Least(57.0)),
];

const TARGETS: [Target; 51] = [
    at_most("server overhead, p50", "synthetic.overhead.p50", "ms", 1.0).given(FULL_RATE),
    at_most("server overhead, p95", "synthetic.overhead.p95", "ms", 3.0).given(FULL_RATE),
    at_most("send → decoded, synthetic, p50", "synthetic.stage.network.p50", "ms", 4.0)
        .given(ALL_REPORTED),
    at_most("send → decoded, synthetic, p95", "synthetic.stage.network.p95", "ms", 10.0)
        .given(ALL_REPORTED),
    at_most("send → decoded by WebTransport, p50", "webtransport.stage.network.p50", "ms", 4.0)
        .given(BY_WEBTRANSPORT),
    at_most("send → decoded, demo, p50", "demo.stage.network.p50", "ms", 4.0),
    at_most("send → decoded, demo, p95", "demo.stage.network.p95", "ms", 10.0),
    target(
        "input → changed pixel, synthetic, p50",
        "input.synthetic.latency.p50",
        "ms",
        Bound::MostOf("input.synthetic.bound"),
    ),
    target(
        "input → changed pixel, demo, p50",
        "input.demo.latency.p50",
        "ms",
        Bound::MostOf("input.demo.bound"),
    ),
    at_most("click → first decoded frame, p95", "start.click_to_decoded.p95", "ms", 500.0),
    at_most("WebRTC, network back → picture, p95", "resume.webrtc.silence.p95", "ms", 400.0),
    at_most("WebRTC, another network → picture, p95", "resume.webrtc.change.p95", "ms", 400.0),
    at_most("WebRTC, waking up → picture, p95", "resume.webrtc.sleep.p95", "ms", 400.0),
    at_most("WebRTC, reload → picture, p95", "resume.webrtc.reload.p95", "ms", 400.0),
    at_most(
        "WebTransport, network back → picture, p95",
        "resume.webtransport.silence.p95",
        "ms",
        400.0,
    ),
    at_most(
        "WebTransport, another network → picture, p95",
        "resume.webtransport.change.p95",
        "ms",
        400.0,
    ),
    at_most("WebTransport, waking up → picture, p95", "resume.webtransport.sleep.p95", "ms", 400.0),
    at_most("WebTransport, reload → picture, p95", "resume.webtransport.reload.p95", "ms", 400.0),
    at_most("WebSocket, network back → picture, p95", "resume.websocket.silence.p95", "ms", 400.0),
    at_most(
        "WebSocket, another network → picture, p95",
        "resume.websocket.change.p95",
        "ms",
        400.0,
    ),
    at_most("WebSocket, waking up → picture, p95", "resume.websocket.sleep.p95", "ms", 400.0),
    at_most("WebSocket, reload → picture, p95", "resume.websocket.reload.p95", "ms", 400.0),
    at_most("page weight, gzip", "weight.gzip", "kB", 150.0),
    target("demo frame rate", "demo.fps_presented", "/s", Bound::Held(30.0)),
    at_most("demo frame interval, p95 of nominal", "demo.interval.p95_of_nominal", "×", 1.25),
    // Frame buffers are not even subtracted here: what is subtracted is measured, not computed.
    at_most("memory of a session beyond its encoder", "memory.beyond_codec", "MB", 25.0),
    at_most("frames encoded while nothing changes", "still.encoded", "frames", 0.0),
    at_most("adapter of GStreamer's x264enc, p50", "encoders.overhead.gst-x264enc.p50", "ms", 0.3),
    at_most("adapter of GStreamer's x265enc, p50", "encoders.overhead.gst-x265enc.p50", "ms", 0.3),
    at_most("adapter of GStreamer's vp8enc, p50", "encoders.overhead.gst-vp8enc.p50", "ms", 0.3),
    at_most("adapter of GStreamer's vp9enc, p50", "encoders.overhead.gst-vp9enc.p50", "ms", 0.3),
    at_most("adapter of GStreamer's av1enc, p50", "encoders.overhead.gst-av1enc.p50", "ms", 0.3),
    at_most("adapter of libx264, p50", "encoders.overhead.x264.p50", "ms", 0.1),
    at_most("adapter of OpenH264, p50", "encoders.overhead.openh264.p50", "ms", 0.1),
    at_most("adapter of libvpx's VP8, p50", "encoders.overhead.vpx-vp8.p50", "ms", 0.1),
    at_most("adapter of libvpx's VP9, p50", "encoders.overhead.vpx-vp9.p50", "ms", 0.1),
    at_most("adapter of libaom, p50", "encoders.overhead.aom-av1.p50", "ms", 0.1),
    at_most("NVENC on doubles, our own time, p50", "encoders.nvenc.own.p50", "ms", 0.2),
    at_most("NVENC on doubles, copies of pictures", "encoders.nvenc.copies", "", 0.0),
    at_most("NVENC on doubles, allocations", "encoders.nvenc.allocations", "", 0.0),
    at_most(
        "NVENC on doubles, our own time by slices, p50",
        "encoders.nvenc.slices.own.p50",
        "ms",
        0.2,
    ),
    at_most(
        "NVENC on doubles, each slice's wait, p50",
        "encoders.nvenc.slices.each.p50",
        "ms",
        0.2,
    ),
    at_most("NVENC on doubles, copies by slices", "encoders.nvenc.slices.copies", "", 0.0),
    at_most(
        "NVENC on doubles, allocations by slices",
        "encoders.nvenc.slices.allocations",
        "",
        0.0,
    ),
    // Both keep one picture.
    at_most("libx264 without recovery, of x264's", "encoders.x264.alone_of_cli", "×", 1.05)
        .given(ALONE_SAME_RATE),
    // Ours keeps as many as sessions do, so that it recovers without a keyframe; its command keeps one.
    at_most("libx264 with recovery, of x264's", "encoders.x264.cpu_of_cli", "×", 1.05)
        .given(SAME_RATE),
    // Both keep as many pictures.
    at_most("libx264 with recovery, of FFmpeg's", "encoders.x264.cpu_of_ffmpeg", "×", 1.05)
        .given(SAME_RATE),
    at_most("libx264, PSNR below its command's", "encoders.x264.psnr_below_cli", "dB", 0.2)
        .given(SAME_RATE),
    at_most("libx264, SSIM below its command's", "encoders.x264.ssim_below_cli", "dB", 0.2)
        .given(SAME_RATE),
    at_most("probing all encoders, cold", "encoders.probe.cold", "ms", 3_000.0),
    // From the file: none of them is opened. 0 ms, rounded.
    at_most("probing all encoders, warm", "encoders.probe.warm", "ms", 0.5),
];

/// A target and what came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) measured: Option<f64>,
    /// `≤ 4.00`, or why there is none.
    pub(crate) bound: Option<f64>,
    pub(crate) at_least: bool,
    /// By how much the bound is missed, in the figure's unit; zero when it is met.
    pub(crate) missed_by: Option<f64>,
    /// What did not hold of what the figure needs to say anything, or was not measured.
    pub(crate) void: Vec<String>,
}

impl Verdict {
    /// Whether it was measured and is not reached, or reached by too few frames.
    pub(crate) fn is_missed(&self) -> bool {
        self.missed_by.is_some_and(|by| by > 0.0 || !self.void.is_empty())
    }
}

/// Holds every target of these sections against the figures, of measurements of `window`.
pub(crate) fn judge(
    figures: &BTreeMap<String, f64>,
    sections: &[&str],
    window: Duration,
) -> Vec<Verdict> {
    let ours = |target: &&Target| {
        target.figure.split('.').next().is_some_and(|section| sections.contains(&section))
    };
    TARGETS.iter().filter(ours).map(|target| verdict(target, figures, window)).collect()
}

fn verdict(target: &Target, figures: &BTreeMap<String, f64>, window: Duration) -> Verdict {
    let held = |figure: &str, bound| {
        let (bound, at_least) = resolve(bound, figures, window);
        let measured = figures.get(figure).copied();
        let missed_by = measured.zip(bound).map(|(measured, bound)| {
            let over = if at_least { bound - measured } else { measured - bound };
            over.max(0.0)
        });
        (measured, bound, at_least, missed_by)
    };
    let (measured, bound, at_least, missed_by) = held(target.figure, target.bound);
    let void = target.given.iter().filter_map(|&(figure, bound)| match held(figure, bound) {
        (_, _, _, Some(0.0)) => None,
        (Some(measured), ..) => Some(format!("{figure} is {measured:.2}")),
        (None, ..) => Some(format!("{figure} was not measured")),
    });
    Verdict {
        what: target.what,
        figure: target.figure,
        unit: target.unit,
        measured,
        bound,
        at_least,
        missed_by,
        void: void.collect(),
    }
}

/// The number to hold against, and whether it is the least.
fn resolve(bound: Bound, figures: &BTreeMap<String, f64>, window: Duration) -> (Option<f64>, bool) {
    match bound {
        Bound::Most(bound) => (Some(bound), false),
        Bound::Least(bound) => (Some(bound), true),
        Bound::Held(rate) => (Some(rate - CUT / window.as_secs_f64()), true),
        Bound::MostOf(name) => (figures.get(name).copied(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTIONS: [&str; 3] = ["synthetic", "demo", "input"];
    const WINDOW: Duration = Duration::from_secs(10);

    fn judged(figures: &[(&str, f64)], what: &str) -> Verdict {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        judge(&figures, &SECTIONS, WINDOW).into_iter().find(|verdict| verdict.what == what).unwrap()
    }

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let overhead =
            |value| judged(&[("synthetic.overhead.p50", value)], "server overhead, p50").missed_by;
        assert_eq!(overhead(1.0), Some(0.0));
        assert_eq!(overhead(1.5), Some(0.5));
        assert_eq!(judged(&[], "server overhead, p50").missed_by, None);
        let rate = |value| judged(&[("demo.fps_presented", value)], "demo frame rate").is_missed();
        // 300 frames, less one at each end.
        assert!(rate(29.7) && !rate(29.8) && !rate(30.0));
    }

    #[test]
    fn a_figure_of_too_few_frames_meets_nothing() {
        let overhead = |fps, known: &[(&str, f64)]| {
            let figures = [("synthetic.overhead.p50", 0.4), ("synthetic.fps_sent", fps)];
            judged(&[&figures[..], known].concat(), "server overhead, p50")
        };
        let known = ("synthetic.overhead_known", 1.0);
        assert!(!overhead(59.9, &[known]).is_missed());
        let halved = overhead(30.0, &[known]);
        assert!(halved.is_missed());
        assert_eq!(
            (halved.missed_by, halved.void),
            (Some(0.0), vec!["synthetic.fps_sent is 30.00".into()])
        );
        assert!(overhead(60.0, &[("synthetic.overhead_known", 0.5)]).is_missed());
        assert_eq!(overhead(60.0, &[]).void, ["synthetic.overhead_known was not measured"]);
    }

    #[test]
    fn every_adapter_of_software_has_its_bound() {
        // Debian 12 has no svtav1enc.
        let has_package = |candidate: &encoder::Candidate| candidate.name != "gst-svtav1enc";
        let software = encoder::candidates().into_iter().filter(|candidate| !candidate.hardware);
        for candidate in software.filter(has_package) {
            let figure = format!("encoders.overhead.{}.p50", candidate.name);
            let bound = TARGETS.iter().find(|target| target.figure == figure).map(|it| it.bound);
            let most = if candidate.name.starts_with("gst-") { 0.3 } else { 0.1 };
            assert!(matches!(bound, Some(Bound::Most(bound)) if bound == most), "{figure}");
        }
    }

    #[test]
    fn only_targets_of_sections_that_ran_are_judged() {
        assert!(judge(&BTreeMap::new(), &[], WINDOW).is_empty());
        assert_eq!(judge(&BTreeMap::new(), &["weight"], WINDOW).len(), 1);
    }

    #[test]
    fn a_bound_that_is_measured_must_have_been_measured() {
        let what = "input → changed pixel, demo, p50";
        let latency = ("input.demo.latency.p50", 70.0);
        assert_eq!(judged(&[latency], what).missed_by, None);
        assert_eq!(judged(&[latency, ("input.demo.bound", 60.0)], what).missed_by, Some(10.0));
    }
}
