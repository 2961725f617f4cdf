//! What decoders make of a stream, compared with what was meant.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use media::{BitDepth, Codec, PixelFormat};
use openh264::decoder::Decoder;
use testkit::{ffmpeg, ivf};

use crate::SIZE;
use crate::common::viewer::Viewer;
use crate::common::{Decoded, try_decode};
use crate::stream::{Fate, Stream};

/// Decoded pictures, comparable, by the number of their frame; those that failed are missing.
pub(crate) type Shown = BTreeMap<u64, Vec<u8>>;

/// Decodes units, each with the number of its frame.
pub(crate) type Decode = fn(&[(u64, &[u8])]) -> Shown;

pub(crate) fn by_openh264(units: &[(u64, &[u8])]) -> Shown {
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

/// By the decoders of libvpx and libaom, which GStreamer brings.
fn by_viewer(codec: Codec, units: &[(u64, &[u8])]) -> Shown {
    let mut viewer = Viewer::new(codec);
    units.iter().map(|&(number, unit)| (number, samples(&viewer.decode(unit)))).collect()
}

/// I420 without padding, of ten bits a sample the upper eight.
pub(crate) fn samples(picture: &Decoded) -> Vec<u8> {
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
pub(crate) fn by_ffmpeg(
    path: &Path,
    codec: Codec,
    format: PixelFormat,
    units: &[(u64, &[u8])],
) -> Shown {
    let hash = match format.depth() {
        BitDepth::Eight => ffmpeg::hashes,
        BitDepth::Ten => ffmpeg::ten_bit_hashes,
    };
    let mut file = BufWriter::new(File::create(path).unwrap());
    ivf::write(&mut file, codec, SIZE, units.iter().copied()).unwrap();
    drop(file.into_inner().unwrap());
    let hashes = match codec {
        Codec::H265 => hashes_of_byte_stream(&path.with_extension("h265"), hash, units),
        Codec::H264 | Codec::Av1 | Codec::Vp8 | Codec::Vp9 => hash(path).unwrap(),
    };
    hashes.into_iter().map(|(number, hash)| (number, hash.into_bytes())).collect()
}

/// FFmpeg reads no H.265 from IVF. The byte stream has no numbers of frames: every unit must yield a
/// picture, in order.
fn hashes_of_byte_stream(
    path: &Path,
    hash: fn(&Path) -> std::io::Result<Vec<ffmpeg::Hashed>>,
    units: &[(u64, &[u8])],
) -> Vec<ffmpeg::Hashed> {
    let bytes: Vec<_> = units.iter().flat_map(|(_, unit)| unit.iter().copied()).collect();
    std::fs::write(path, bytes).unwrap();
    let hashes = hash(path).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(hashes.len(), units.len(), "{}: a picture for every unit", path.display());
    units.iter().zip(hashes).map(|(&(number, _), (_, hash))| (number, hash)).collect()
}

/// Decodes the whole stream and what a viewer gets of it, and compares what must be clean.
pub(crate) fn assert_clean(stream: &Stream, folder: &Path, name: &str) {
    let whole = stream.pick(|_| true);
    // A client hands everything on that comes, or waits with what cannot be right.
    let mut views = vec![
        ("received", stream.pick(|fate| fate != Fate::Lost)),
        ("withheld", stream.pick(|fate| matches!(fate, Fate::Clean | Fate::Healing))),
    ];
    views.dedup_by_key(|(_, units)| units.len());
    let path = |view: &str, kind: &str| folder.join(format!("{name}-{view}.{kind}"));
    let judge = |decoder: &str, meant: &Shown, view: &str, shown: &Shown| {
        // A decoder that leaves a picture out counts as broken, and a keyframe is asked for.
        for number in (0..stream.units.len() as u64).filter(|&number| stream.is_healing(number)) {
            assert!(shown.contains_key(&number), "{name}, {view}: {decoder} leaves {number} out");
        }
        for number in (0..stream.units.len() as u64).filter(|&number| stream.is_clean(number)) {
            let what = format!("{name}, {view}: picture {number} by {decoder}");
            assert!(meant.contains_key(&number), "{what} of the whole stream");
            assert!(shown.contains_key(&number), "{what} is missing");
            assert!(shown[&number] == meant[&number], "{what} is not what was meant");
        }
    };
    let decode: Option<(_, Decode)> = match stream.codec {
        Codec::H264 => Some(("OpenH264", by_openh264)),
        Codec::Vp8 => Some(("libvpx", |units| by_viewer(Codec::Vp8, units))),
        Codec::Vp9 => Some(("libvpx", |units| by_viewer(Codec::Vp9, units))),
        Codec::Av1 => Some(("libaom", |units| by_viewer(Codec::Av1, units))),
        Codec::H265 => None,
    };
    // After a unit that names a lost picture OpenH264 takes nothing but a keyframe, and libvpx and libaom
    // find no picture in one that was coded with probabilities which they do not have.
    if let (Some((name, decode)), Some((view, units))) = (decode, views.last()) {
        judge(name, &decode(&whole), view, &decode(units));
    }
    let whole_path = path("whole", "ivf");
    let meant = by_ffmpeg(&whole_path, stream.codec, stream.format, &whole);
    std::fs::remove_file(whole_path).unwrap();
    for (view, units) in &views {
        let left = path(view, "ivf");
        let shown = by_ffmpeg(&left, stream.codec, stream.format, units);
        judge("FFmpeg", &meant, view, &shown);
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
