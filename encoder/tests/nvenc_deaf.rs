//! Drivers that ignore what a session is told while it runs, without a word: found by the trial of their
//! candidates, and made up for by sessions that are started anew.
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod common;

use common::gpu::Rig;
use media::Restarts;
use nearlight_encoder::{InProcess, Outcome, Prober};
use testkit::Effect;

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

/// The eighth picture of a trial is the one that asks for a keyframe.
#[test]
fn a_driver_that_fails_at_a_keyframe_once_is_not_taken_to_ignore_it() {
    for (call, effect) in [
        ("nvEncLockBitstream", Effect::Status(20)),
        ("nvEncEncodePicture", Effect::Status(5)),
        ("nvEncLockBitstream", Effect::Hang),
    ] {
        let rig = Rig::new();
        rig.gpu.plan_encode(call, 8, 1, effect).unwrap();
        let tried = || InProcess.probe(&[rig.candidate("nvenc-h264").clone()]).remove(0);
        let failed = tried();
        let passes = matches!(failed.outcome, Outcome::Failed { .. });
        assert!(passes, "{call} {effect:?}: {failed:?}");
        rig.gpu.release_encode().unwrap();
        let known = tried();
        assert_eq!((known.reason(), known.restarts()), ("ok", Restarts::NONE), "{call} {effect:?}");
        rig.assert_rules();
    }
}
