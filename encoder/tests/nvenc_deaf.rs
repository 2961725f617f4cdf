//! Drivers that ignore what a session is told while it runs, without a word: found by the trial of their
//! candidates, and made up for by sessions that are started anew.
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod common;

use common::gpu::Rig;
use media::Restarts;
use nearlight_encoder::{InProcess, Prober};

#[test]
fn what_the_driver_ignores_is_found_and_had_from_a_new_session() {
    let rig = Rig::new();
    let tried = |name: &str, rate, keyframe| {
        rig.gpu.encode_ignores(rate, keyframe).unwrap();
        let before = rig.calls("nvEncOpenEncodeSessionEx").len();
        let verdict = InProcess.probe(&[rig.candidate(name).clone()]).remove(0);
        let known = (verdict.reason(), verdict.restarts());
        assert_eq!(known, ("ok", Restarts { rate, keyframe }), "{name}");
        rig.calls("nvEncOpenEncodeSessionEx").len() - before
    };
    // Orders that are obeyed take no session of their own.
    let obeying = ["nvenc-h264", "nvenc-h265", "nvenc-av1"].map(|name| tried(name, false, false));
    for (name, sound) in [("nvenc-h264", obeying[0]), ("nvenc-h265", obeying[1])] {
        // The one that makes up for it, and its restart for each of two rates.
        assert_eq!(tried(name, true, false), sound + 3, "{name}");
        assert_eq!(tried(name, false, true), sound + 2, "{name}");
    }
    tried("nvenc-av1", true, true);
    rig.assert_clean();
}
