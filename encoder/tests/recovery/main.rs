//! After a loss the picture is clean again, bit by bit, and a keyframe is sent only where the encoder
//! says that nothing else helps: on every candidate that works here, in both depths, by the decoders of OpenH264,
//! libvpx or libaom, and of FFmpeg. NVENC runs on a double of its driver, which codes H.264 by OpenH264; in the other
//! codecs its units are digests of pictures, of which only the kinds are compared.
//!
//! The streams, and what FFmpeg makes of them, are left in `target/tmp/recovery`, where
//! `client-web/e2e/recovery.test.mjs` plays them to a browser.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was skipped is worth reading"
)]

#[path = "../common/mod.rs"]
mod common;
mod decode;
mod stream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::gpu::{Present, Rig};
use common::viewer::Viewer;
use common::{Picture, psnr};
use decode::{assert_clean, by_ffmpeg};
use media::{
    Bitrate, Damage, FrameId, FrameRate, Recovery, RecoveryMeans, Rect, RegionQuality, Regions,
    Size,
};
use nearlight_encoder::{BlockingEncoder, EncoderSettings, OpenError, Resilience};
use stream::{Fate, Loss, Run};
use testkit::Rng;

const SIZE: Size = Size::new(320, 192);
const SETTINGS: EncoderSettings =
    EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(1));
/// Pictures before a loss: more than any decoder keeps, so that nothing refers to the keyframe.
const BEFORE: u64 = 40;
/// Pictures after the last one, for the same reason.
const AFTER: u64 = 24;

/// How long a viewer's word that it has decoded a picture is under way, in pictures.
const ACKNOWLEDGED_AFTER: usize = 2;
/// Lengths of waves that are asked for: of the longer ones libx264 begins none but after a loss.
const WAVES: [u16; 2] = [10, 40];
/// Sequences of losses at random.
const RANDOM: u64 = 2;
/// The size of a region.
const PART: Rect = Rect { x: 0, y: 0, width: 64, height: 96 };
/// Far longer than a picture takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of `target/tmp`, emptied.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => std::fs::create_dir_all(&folder).unwrap(),
    }
    folder
}

/// An encoder in one of the ways in which it makes losses good.
struct Subject<'a> {
    name: String,
    /// Its units can be decoded.
    codes_pictures: bool,
    open: &'a dyn Fn() -> Run,
}

impl Subject<'_> {
    /// Checks what can be checked of what was coded and lost.
    fn assert_clean(&self, run: Run, folder: &Path, what: &str) {
        let stream = run.finish();
        if self.codes_pictures {
            assert_clean(&stream, folder, &format!("{}{what}", self.name));
        }
    }
}

/// Runs `test` on every candidate by each means that it has. One that is not installed is named, and at
/// least one must run, as must the double of NVENC in each of its codecs.
fn on_every_candidate(test: impl Fn(&Subject<'_>)) {
    on_every_candidate_opened_with(SETTINGS, test);
}

fn on_every_candidate_opened_with(settings: EncoderSettings, test: impl Fn(&Subject<'_>)) {
    let rig = Rig::new();
    let (mut ran, mut doubles) = (0, 0);
    for present in rig.all_candidates_in_both_depths() {
        let label = present.label();
        let Present { candidate, double, kind } = &present;
        let mut means = Vec::new();
        let [fast, slow] = WAVES.map(|units| Resilience::IntraRefresh { units });
        for (way, resilience, long_term) in [
            ("", Resilience::References, true),
            ("-short-term", Resilience::References, false),
            ("-wave-fast", fast, true),
            ("-wave-slow", slow, true),
        ] {
            let name = format!("{label}{way}");
            let settings = EncoderSettings { resilience, long_term, ..settings };
            let settings = settings.with_kind(*kind);
            let open = || BlockingEncoder::open(candidate, &settings, PATIENCE);
            let encoder = match open() {
                Ok(encoder) => encoder,
                Err(OpenError::Missing(why)) => {
                    println!("{name} skipped: {why}");
                    break;
                }
                Err(OpenError::Refused(why)) if present.takes_none(&why) => break,
                Err(OpenError::Refused(why)) if resilience != Resilience::References => {
                    println!("{name} skipped: {why}");
                    break;
                }
                Err(error) => panic!("{name}: {error}"),
            };
            let recovery = encoder.capabilities().recovery;
            drop(encoder);
            if means.contains(&recovery) {
                println!("{name} skipped: it has {recovery:?} then too");
                continue;
            }
            let codes_pictures = present.codes_pictures();
            let how = if codes_pictures { "" } else { ", by its kinds: its units are digests" };
            println!("{name}: {recovery:?}{how}");
            means.push(recovery);
            let open = || Run::new(open().unwrap(), kind.format);
            test(&Subject { name, codes_pictures, open: &open });
            ran += 1;
            doubles += u32::from(*double);
        }
    }
    // All by references, H.264 and H.265 by long-term ones too, and the digests by waves.
    assert!(ran > doubles && doubles == 9, "{ran} ran, {doubles} of them doubles");
    rig.assert_clean();
}

#[test]
fn after_a_loss_the_picture_is_clean_by_the_means_that_were_claimed() {
    let folder = folder("recovery");
    on_every_candidate(|subject| {
        for lost in [1, 3, 12, 30] {
            for told in [0, 4] {
                let mut run = (subject.open)();
                run.lose(&Loss { after: BEFORE, lost, told });
                subject.assert_clean(run, &folder, &format!("-{lost}-{told}"));
            }
        }
    });
}

/// The third loss takes the very unit that made the second one good. Before the last one all those
/// before it have left the buffers: more losses at once may take a keyframe.
#[test]
fn losses_one_after_another_are_made_good() {
    let folder = folder("recovery-again");
    on_every_candidate(|subject| {
        let mut run = (subject.open)();
        for (after, lost, told) in [(5, 1, 2), (BEFORE, 3, 4), (0, 2, 1), (1, 1, 0), (17, 5, 3)] {
            run.lose(&Loss { after, lost, told });
        }
        subject.assert_clean(run, &folder, "");
    });
}

/// Each loss takes the unit that was to make good the one before it, so that nothing arrives that is of use: of what
/// libx264 holds here all but one picture in the last row but one, and that, too, in the last.
#[test]
fn a_loss_of_what_makes_a_loss_good_is_made_good() {
    let folder = folder("recovery-close");
    on_every_candidate(|subject| {
        for told in [&[0, 0][..], &[4, 4, 4], &[4, 4, 4, 0]] {
            let mut run = (subject.open)();
            // A keyframe makes good whatever was lost before it.
            if run.encoder.capabilities().recovery == RecoveryMeans::Keyframe {
                return;
            }
            run.code(BEFORE, Fate::Clean);
            for &told in told {
                run.lose(&Loss { after: 0, lost: 1, told });
            }
            let pictures = told.len() as u64 + told.iter().sum::<u64>();
            subject.assert_clean(run, &folder, &format!("-{pictures}"));
        }
    });
}

/// The encoder is told of a loss that it has gone back beyond already, or of one before what it was to go back to.
#[test]
fn losses_a_picture_apart_are_made_good_in_whatever_order_they_are_told() {
    let folder = folder("recovery-apart");
    on_every_candidate(|subject| {
        for first in [BEFORE, BEFORE + 2] {
            let mut run = (subject.open)();
            if run.encoder.capabilities().recovery == RecoveryMeans::Keyframe {
                return;
            }
            run.code(BEFORE, Fate::Clean);
            for fate in [Fate::Lost, Fate::Tainted, Fate::Lost, Fate::Tainted] {
                run.code(1, fate);
            }
            run.tell(first, 1);
            if first == BEFORE {
                let later = FrameId(BEFORE + 2);
                let known = run.encoder.forget(later..=later);
                assert_eq!(known, Recovery::Nothing, "{}", subject.name);
            } else {
                run.tell(BEFORE, 1);
            }
            subject.assert_clean(run, &folder, &format!("-{}", first - BEFORE));
        }
    });
}

/// Losses of any length, told at any time, also while the one before is being made good: none takes a keyframe
/// that is within what the encoder says of itself. Of those that have no other means it says nothing new.
#[test]
fn losses_at_random_are_made_good() {
    let folder = folder("recovery-random");
    on_every_candidate(|subject| {
        for seed in 1..=RANDOM {
            let mut run = (subject.open)();
            if run.encoder.capabilities().recovery == RecoveryMeans::Keyframe {
                return;
            }
            let mut random = Rng::new(seed);
            for _ in 0..8 {
                let after = 6 + random.below(40);
                run.lose(&Loss { after, lost: 1 + random.below(20), told: random.below(8) });
            }
            subject.assert_clean(run, &folder, &format!("-{seed}"));
        }
    });
}

/// Nothing behind a wave may refer to what is before it, however much the motion suggests that.
#[test]
fn a_loss_is_made_good_while_all_moves_towards_what_is_clean() {
    let folder = folder("recovery-pan");
    on_every_candidate(|subject| {
        let mut run = (subject.open)();
        run.scene = Picture::pan;
        run.lose(&Loss { after: BEFORE, lost: 3, told: 4 });
        subject.assert_clean(run, &folder, "");
    });
}

/// The loss takes the last pictures that move. An encoder that looks for what changed since the picture before sees
/// nothing then, and may show what it goes back to.
#[test]
fn a_loss_is_made_good_where_all_stands_still_by_then() {
    const STILL: usize = BEFORE as usize + 2;
    let scene = |size: Size, number: usize| Picture::scene(size, number.min(STILL));
    on_every_candidate(|subject| {
        if !subject.codes_pictures {
            return;
        }
        let mut run = (subject.open)();
        run.scene = scene;
        // As the encoder is told it: against the picture that it took last, whatever has become of that.
        run.damage = |number| if number > STILL { Damage::none() } else { Damage::Unknown };
        run.lose(&Loss { after: BEFORE, lost: 3, told: 4 });
        let stream = run.finish();
        let units = stream.pick(|fate| matches!(fate, Fate::Clean | Fate::Healing));
        let mut viewer = Viewer::new(stream.codec);
        let decoded = units.iter().map(|(_, unit)| viewer.decode(unit)).last();
        let (quality, _) = psnr(&scene(SIZE, STILL), &decoded.unwrap());
        println!("{}: {quality:.1} dB", subject.name);
        assert!(quality > 32.0, "{}: {quality} dB", subject.name);
    });
}

/// The loss takes the picture with which the regions change. Those after it may know nothing of that.
#[test]
fn a_loss_is_made_good_while_regions_change() {
    let folder = folder("recovery-regions");
    let with_regions = EncoderSettings { regions: true, ..SETTINGS };
    on_every_candidate_opened_with(with_regions, |subject| {
        let mut run = (subject.open)();
        if run.encoder.capabilities().regions.is_none() {
            return;
        }
        run.regions = |number| {
            let end = BEFORE as usize + 1;
            let part = |x, steps| RegionQuality { rect: Rect { x, y: 16, ..PART }, steps };
            let parts = match number {
                _ if number >= end + 12 => return Regions::NONE,
                _ if number >= end => [part(96, -8), part(16, 6), part(32, 3), part(48, 12)],
                _ => [part(16, -8), part(96, 6), part(160, 3), part(224, 9)],
            };
            Regions::new(&parts).unwrap()
        };
        run.lose(&Loss { after: BEFORE, lost: 3, told: 4 });
        subject.assert_clean(run, &folder, "");
    });
}

/// What the tests above compare differs where nothing is made good.
#[test]
fn a_loss_that_the_encoder_is_not_told_of_shows() {
    let folder = folder("recovery-untold");
    on_every_candidate(|subject| {
        if !subject.codes_pictures {
            return;
        }
        let mut run = (subject.open)();
        run.code(BEFORE, Fate::Clean);
        run.code(3, Fate::Lost);
        let stream = run.finish();
        let shown = |passes: fn(Fate) -> bool| {
            let path = folder.join(format!("{}.ivf", subject.name));
            by_ffmpeg(&path, stream.codec, stream.format, &stream.pick(passes))
        };
        let (meant, received) = (shown(|_| true), shown(|fate| fate != Fate::Lost));
        let next = BEFORE + 3;
        assert_ne!(meant[&next], received.get(&next).cloned().unwrap_or_default());
        assert_eq!(meant[&(BEFORE - 1)], received[&(BEFORE - 1)]);
    });
}

/// By the double's log: the bits alone do not show it, since OpenH264 behind it goes back further.
#[test]
fn what_nvenc_is_told_to_go_back_to_has_arrived() {
    for name in ["nvenc-h264", "nvenc-h265"] {
        for (lost, told) in [(3, 4), (12, 0), (30, 4)] {
            let rig = Rig::new();
            let encoder = BlockingEncoder::open(rig.candidate(name), &SETTINGS, PATIENCE).unwrap();
            let mut run = Run::new(encoder, SETTINGS.format);
            run.lose(&Loss { after: BEFORE, lost, told });
            run.lose(&Loss { after: 9, lost: 12, told: 0 });
            let stream = run.finish();
            let (mut marked, mut backs) = ([None; 2], 0);
            for line in rig.calls("nvEncEncodePicture") {
                let word = |key| line.split(' ').find_map(|word| word.strip_prefix(key));
                let Some(frame) = word("ts=") else { continue };
                let from: u32 = word("ltr=").unwrap().parse().unwrap();
                if from != 0 {
                    assert!(from.is_power_of_two(), "one of them alone");
                    let frame: u64 = marked[from.trailing_zeros() as usize].unwrap();
                    assert!(stream.is_clean(frame), "{name}: {frame} did not arrive");
                    backs += 1;
                }
                if let Ok(index) = word("mark=").unwrap().parse::<usize>() {
                    marked[index] = Some(frame.parse().unwrap());
                }
            }
            assert_eq!(backs, 2, "{name}");
            rig.assert_clean();
        }
    }
}
