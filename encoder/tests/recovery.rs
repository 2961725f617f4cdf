//! After a loss the picture is clean again, bit by bit, and a keyframe is sent only where the encoder
//! says that nothing else helps: on every candidate that works here, by the decoders of OpenH264 or
//! libvpx, and of FFmpeg.
//!
//! The streams, and what FFmpeg makes of them, are left in `target/tmp/recovery`, where
//! `client-web/e2e/recovery.test.mjs` plays them to a browser.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was skipped is worth reading"
)]

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use common::viewer::Viewer;
use common::{Decoded, Picture, try_decode};
use media::{
    Bitrate, Codec, EncodeOptions, FrameId, FrameRate, Recovery, RecoveryMeans, Size, UnitKind,
};
use nearlight_encoder::h264::{NalKind, Sps, nals};
use nearlight_encoder::{
    BlockingEncoder, Candidate, EncoderSettings, OpenError, Resilience, candidates,
};
use openh264::decoder::Decoder;
use testkit::{ffmpeg, ivf};

const SIZE: Size = Size::new(320, 192);
const SETTINGS: EncoderSettings =
    EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(1));
/// Pictures before a loss: more than any decoder keeps, so that nothing refers to the keyframe.
const BEFORE: u64 = 40;
/// Pictures after the last one, for the same reason.
const AFTER: u64 = 24;

/// How long a viewer's word that it has decoded a picture is under way, in pictures.
const ACKNOWLEDGED_AFTER: usize = 2;
/// Length of a wave where one is asked for.
const WAVE: u16 = 10;
/// Far longer than a picture takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It arrived, and is decoded to what the encoder meant.
    Clean,
    Lost,
    /// It arrived, and refers to what is lost: the encoder did not know.
    Tainted,
    /// It arrived, and a wave is on its way: not clean yet, but what is clean later needs it.
    Healing,
}

/// What the next unit has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Delta,
    Key,
    /// The last of so many units is clean.
    Recovery(u16),
}

struct Unit {
    data: Bytes,
    kind: UnitKind,
    fate: Fate,
}

/// A loss that the encoder is told of.
struct Loss {
    /// Pictures coded before it, since the encoder was told of the one before.
    after: u64,
    lost: u64,
    /// Pictures coded and received before the encoder is told.
    told: u64,
}

/// An encoder and its viewer.
struct Run {
    encoder: BlockingEncoder,
    due: Due,
    /// Units by the number of their frame.
    units: Vec<Unit>,
}

impl Run {
    fn new(encoder: BlockingEncoder) -> Self {
        Self { encoder, due: Due::Key, units: Vec::new() }
    }

    fn code(&mut self, pictures: u64, fate: Fate) {
        for _ in 0..pictures {
            let number = self.units.len();
            let picture = Picture::scene(SIZE, number);
            let (due, image) = (self.due, media::Picture::Cpu(picture.image()));
            let options = EncodeOptions { keyframe: due == Due::Key, strip: None };
            let encoded = self.encoder.encode(FrameId(number as u64), &image, options).unwrap();
            let (expected, then) = match due {
                Due::Delta => (UnitKind::Delta, Due::Delta),
                Due::Key => (UnitKind::Key, Due::Delta),
                Due::Recovery(1) => (UnitKind::Recovery, Due::Delta),
                Due::Recovery(units) => (UnitKind::Delta, Due::Recovery(units - 1)),
            };
            let heals = fate == Fate::Clean && matches!(then, Due::Recovery(_));
            assert_eq!(encoded.kind, expected, "unit {number}");
            if self.encoder.capabilities().codec == Codec::H264 {
                let idr = nals(&encoded.data).any(|nal| nal.kind() == NalKind::IdrSlice);
                assert_eq!(idr, due == Due::Key, "unit {number} is what its kind says");
            }
            self.due = then;
            let fate = if heals { Fate::Healing } else { fate };
            self.units.push(Unit { data: encoded.data, kind: encoded.kind, fate });
            if let Some(earlier) = number.checked_sub(ACKNOWLEDGED_AFTER)
                && self.units[earlier].fate == Fate::Clean
            {
                self.encoder.acknowledge(FrameId(earlier as u64));
            }
        }
    }

    fn lose(&mut self, loss: &Loss) {
        self.code(loss.after, Fate::Clean);
        let first = self.units.len() as u64;
        self.code(loss.lost, Fate::Lost);
        self.code(loss.told, Fate::Tainted);
        let recovery = self.encoder.forget(FrameId(first)..=FrameId(first + loss.lost - 1));
        let dirty: Vec<_> =
            self.units.iter().rev().take_while(|unit| unit.fate != Fate::Clean).collect();
        // A keyframe ends what can be referred to: without it nothing is left.
        let key = dirty.iter().any(|unit| unit.kind == UnitKind::Key);
        let means =
            if key { RecoveryMeans::Keyframe } else { self.encoder.capabilities().recovery };
        self.due = due(means, dirty.len(), recovery);
    }

    fn finish(mut self) -> Stream {
        while matches!(self.due, Due::Recovery(_)) {
            self.code(1, Fate::Clean);
        }
        self.code(AFTER, Fate::Clean);
        let capabilities = self.encoder.capabilities();
        Stream { codec: capabilities.codec, recovery: capabilities.recovery, units: self.units }
    }
}

/// What is due after an answer, which must be what the encoder said of itself. `pictures` were coded
/// since the last one that is clean.
fn due(means: RecoveryMeans, pictures: usize, recovery: Recovery) -> Due {
    match (means, recovery) {
        (RecoveryMeans::References { reach }, Recovery::Invalidated)
            if pictures <= usize::from(reach) =>
        {
            Due::Recovery(1)
        }
        (RecoveryMeans::References { reach }, Recovery::KeyframeNeeded)
            if pictures > usize::from(reach) =>
        {
            Due::Key
        }
        (RecoveryMeans::LongTerm, Recovery::Invalidated) => Due::Recovery(1),
        (RecoveryMeans::Wave { units }, Recovery::Wave { units: takes })
            if (1..=units).contains(&takes) =>
        {
            Due::Recovery(takes)
        }
        (RecoveryMeans::Keyframe, Recovery::KeyframeNeeded) => Due::Key,
        _ => panic!("{means:?} answers {recovery:?}, {pictures} pictures later"),
    }
}

/// What was coded, and what arrived.
struct Stream {
    codec: Codec,
    recovery: RecoveryMeans,
    units: Vec<Unit>,
}

impl Stream {
    /// Units that pass, with the numbers of their frames.
    fn pick(&self, passes: impl Fn(Fate) -> bool) -> Vec<(u64, &[u8])> {
        let numbered = (0..).zip(&self.units);
        let picked = numbered.filter(|(_, unit)| passes(unit.fate));
        picked.map(|(number, unit)| (number, &unit.data[..])).collect()
    }

    fn is_clean(&self, number: u64) -> bool {
        self.units[number as usize].fate == Fate::Clean
    }

    /// Whether every unit that arrived can be decoded, though not to what was meant. Those of codecs
    /// with arithmetic coding cannot where probabilities are left from unit to unit, which encoders
    /// do that know nothing but keyframes; a browser's decoder ends at the first of them.
    fn can_be_handed_on(&self) -> bool {
        let by_keyframes = self.recovery == RecoveryMeans::Keyframe && self.codec != Codec::H264;
        !by_keyframes || self.units.iter().all(|unit| unit.fate != Fate::Tainted)
    }

    /// What a browser calls the codec (RFC 6381).
    fn web_name(&self) -> String {
        match self.codec {
            Codec::H264 => {
                let sps = nals(&self.units[0].data).find(|nal| nal.kind() == NalKind::Sps);
                let sps = Sps::parse(sps.unwrap().bytes()).unwrap();
                format!(
                    "avc1.{:02x}{:02x}{:02x}",
                    sps.profile_idc, sps.constraint_flags, sps.level_idc
                )
            }
            Codec::H265 => "hev1.1.6.L93.B0".into(),
            Codec::Av1 => "av01.0.04M.08".into(),
            Codec::Vp8 => "vp8".into(),
            Codec::Vp9 => "vp09.00.10.08".into(),
        }
    }
}

/// Decoded pictures, comparable, by the number of their frame; those that failed are missing.
type Shown = BTreeMap<u64, Vec<u8>>;

/// Decodes units, each with the number of its frame.
type Decode = fn(&[(u64, &[u8])]) -> Shown;

fn by_openh264(units: &[(u64, &[u8])]) -> Shown {
    let mut decoder = Decoder::new().unwrap();
    let mut shown = Shown::new();
    for &(number, unit) in units {
        // A unit that refers to what is lost may fail; what must not is missing then.
        if let Ok(Some(picture)) = try_decode(&mut decoder, unit) {
            shown.insert(number, samples(&picture));
        }
    }
    shown
}

/// By the decoder of libvpx, which GStreamer brings.
fn by_libvpx(units: &[(u64, &[u8])]) -> Shown {
    let mut viewer = Viewer::new(Codec::Vp8);
    units.iter().map(|&(number, unit)| (number, samples(&viewer.decode(unit)))).collect()
}

/// I420 without padding.
fn samples(picture: &Decoded) -> Vec<u8> {
    let (width, height) = (picture.size.width as usize, picture.size.height as usize);
    let mut samples = Vec::new();
    for (plane, stride, width, height) in [
        (&picture.luma, picture.stride, width, height),
        (&picture.cb, picture.chroma_stride, width / 2, height / 2),
        (&picture.cr, picture.chroma_stride, width / 2, height / 2),
    ] {
        for row in plane.chunks(stride).take(height) {
            samples.extend_from_slice(&row[..width]);
        }
    }
    samples
}

/// Also leaves the stream at `path`.
fn by_ffmpeg(path: &Path, codec: Codec, units: &[(u64, &[u8])]) -> Shown {
    let mut file = BufWriter::new(File::create(path).unwrap());
    ivf::write(&mut file, codec, SIZE, units.iter().copied()).unwrap();
    drop(file.into_inner().unwrap());
    let hashes = ffmpeg::hashes(path).unwrap();
    hashes.into_iter().map(|(number, hash)| (number, hash.into_bytes())).collect()
}

/// Decodes the whole stream and what a viewer gets of it, and compares what must be clean.
fn assert_clean(stream: &Stream, folder: &Path, name: &str) {
    let whole = stream.pick(|_| true);
    // A client hands everything on that comes, or waits with what cannot be right.
    let mut views = vec![
        ("received", stream.pick(|fate| fate != Fate::Lost)),
        ("withheld", stream.pick(|fate| matches!(fate, Fate::Clean | Fate::Healing))),
    ];
    views.dedup_by_key(|(_, units)| units.len());
    let path = |view: &str, kind: &str| folder.join(format!("{name}-{view}.{kind}"));
    let judge = |decoder: &str, meant: &Shown, view: &str, shown: &Shown| {
        for number in (0..stream.units.len() as u64).filter(|&number| stream.is_clean(number)) {
            let what = format!("{name}, {view}: picture {number} by {decoder}");
            assert!(meant.contains_key(&number), "{what} of the whole stream");
            assert!(shown.contains_key(&number), "{what} is missing");
            assert!(shown[&number] == meant[&number], "{what} is not what was meant");
        }
    };
    let decode: Option<(_, Decode)> = match stream.codec {
        Codec::H264 => Some(("OpenH264", by_openh264)),
        Codec::Vp8 => Some(("libvpx", by_libvpx)),
        Codec::H265 | Codec::Av1 | Codec::Vp9 => None,
    };
    // After a unit that names a lost picture OpenH264 takes nothing but a keyframe, and libvpx finds
    // no picture in one that was coded with probabilities which it does not have.
    if let (Some((name, decode)), Some((view, units))) = (decode, views.last()) {
        judge(name, &decode(&whole), view, &decode(units));
    }
    let whole_path = path("whole", "ivf");
    let meant = by_ffmpeg(&whole_path, stream.codec, &whole);
    std::fs::remove_file(whole_path).unwrap();
    for (view, units) in &views {
        let left = path(view, "ivf");
        judge("FFmpeg", &meant, view, &by_ffmpeg(&left, stream.codec, units));
        if *view == "received" && !stream.can_be_handed_on() {
            std::fs::remove_file(left).unwrap();
            continue;
        }
        let clean = meant.iter().filter(|(number, _)| stream.is_clean(**number));
        let clean: Vec<_> = clean
            .map(|(number, hash)| format!("\"{number}\":\"{}\"", String::from_utf8_lossy(hash)))
            .collect();
        let about =
            format!("{{\"codec\":\"{}\",\"clean\":{{{}}}}}\n", stream.web_name(), clean.join(","));
        std::fs::write(path(view, "json"), about).unwrap();
    }
}

/// A folder of `target/tmp`, emptied.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => std::fs::create_dir_all(&folder).unwrap(),
    }
    folder
}

/// Runs `test` on every candidate by each means that it has, with a name for both and what opens an
/// encoder that has coded nothing. One that is not installed is named, and at least one must run.
fn on_every_candidate(test: impl Fn(&str, &dyn Fn() -> Run)) {
    let mut ran = 0;
    for candidate in candidates() {
        if candidate.codec == Codec::H265 {
            println!("{} skipped: FFmpeg reads no H.265 from IVF", candidate.name);
            continue;
        }
        let mut means = Vec::new();
        for resilience in [Resilience::References, Resilience::IntraRefresh { units: WAVE }] {
            let settings = EncoderSettings { resilience, ..SETTINGS };
            let open = || BlockingEncoder::open(&candidate, &settings, PATIENCE);
            let encoder = match open() {
                Ok(encoder) => encoder,
                Err(OpenError::Missing(why)) => {
                    println!("{} skipped: {why}", candidate.name);
                    break;
                }
                Err(OpenError::Refused(why)) if resilience != Resilience::References => {
                    println!("{} by waves skipped: {why}", candidate.name);
                    break;
                }
                Err(error) => panic!("{}: {error}", candidate.name),
            };
            let recovery = encoder.capabilities().recovery;
            drop(encoder);
            if means.contains(&recovery) {
                println!("{} by waves skipped: it has {recovery:?} then too", candidate.name);
                break;
            }
            println!("{}: {recovery:?}", candidate.name);
            means.push(recovery);
            test(&name(&candidate, resilience), &|| Run::new(open().unwrap()));
            ran += 1;
        }
    }
    assert!(ran > 0);
}

fn name(candidate: &Candidate, resilience: Resilience) -> String {
    match resilience {
        Resilience::References => candidate.name.to_owned(),
        Resilience::IntraRefresh { .. } => format!("{}-wave", candidate.name),
    }
}

#[test]
fn after_a_loss_the_picture_is_clean_by_the_means_that_were_claimed() {
    let folder = folder("recovery");
    on_every_candidate(|name, open| {
        for lost in [1, 3, 12, 30] {
            for told in [0, 4] {
                let mut run = open();
                run.lose(&Loss { after: BEFORE, lost, told });
                assert_clean(&run.finish(), &folder, &format!("{name}-{lost}-{told}"));
            }
        }
    });
}

/// The third loss takes the very unit that made the second one good. Before the last one all those
/// before it have left the buffers: more losses at once may take a keyframe.
#[test]
fn losses_one_after_another_are_made_good() {
    let folder = folder("recovery-again");
    on_every_candidate(|name, open| {
        let mut run = open();
        for (after, lost, told) in [(5, 1, 2), (BEFORE, 3, 4), (0, 2, 1), (1, 1, 0), (17, 5, 3)] {
            run.lose(&Loss { after, lost, told });
        }
        assert_clean(&run.finish(), &folder, name);
    });
}

/// What the tests above compare differs where nothing is made good.
#[test]
fn a_loss_that_the_encoder_is_not_told_of_shows() {
    let folder = folder("recovery-untold");
    on_every_candidate(|name, open| {
        let mut run = open();
        run.code(BEFORE, Fate::Clean);
        run.code(3, Fate::Lost);
        let stream = run.finish();
        let shown = |passes: fn(Fate) -> bool| {
            let path = folder.join(format!("{name}.ivf"));
            by_ffmpeg(&path, stream.codec, &stream.pick(passes))
        };
        let (meant, received) = (shown(|_| true), shown(|fate| fate != Fate::Lost));
        let next = BEFORE + 3;
        assert_ne!(meant[&next], received.get(&next).cloned().unwrap_or_default());
        assert_eq!(meant[&(BEFORE - 1)], received[&(BEFORE - 1)]);
    });
}
