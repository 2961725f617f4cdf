//! FFmpeg's command as a decoder that shares no code with ours.
//!
//! It is a process, so that nothing of it is linked. `scripts/setup test` installs it.

use std::collections::BTreeMap;
use std::io::{BufReader, Error, Read, Result};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::ivf::TICKS_A_SECOND;

/// I420 by FFmpeg's name.
const EIGHT_BITS: &str = "yuv420p";
/// The same in 10 bits.
const TEN_BITS: &str = "yuv420p10le";

/// A decoded picture's frame and the MD5 of its I420 samples without padding, in hexadecimal.
pub type Hashed = (u64, String);

/// Decodes an IVF file ([`crate::ivf`]), or any that FFmpeg knows by its name, and yields what each
/// picture is, in order of output. What is lost is concealed as FFmpeg does by default.
///
/// # Errors
/// When the command is not installed, or fails.
pub fn hashes(file: &Path) -> Result<Vec<Hashed>> {
    hashes_as(file, EIGHT_BITS)
}

/// The same in 10 bits, the lower ones of 16, little endian.
///
/// # Errors
/// As [`hashes`].
pub fn ten_bit_hashes(file: &Path) -> Result<Vec<Hashed>> {
    hashes_as(file, TEN_BITS)
}

fn hashes_as(file: &Path, pixels: &str) -> Result<Vec<Hashed>> {
    let output = decoder(file, "framemd5", pixels).output().map_err(|error| missing(&error))?;
    if !output.status.success() {
        return Err(failed(file, &output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // Stream, decoding time, time, duration, bytes, hash.
    let hashed = |line: &str| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        let &[_, _, time, _, _, hash] = &fields[..] else { return None };
        Some((time.parse().ok()?, hash.to_owned()))
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| hashed(line).ok_or_else(|| Error::other(format!("framemd5 says {line:?}"))))
        .collect()
}

/// Decodes a file and shows `each` picture as `picture_bytes` of I420 without padding.
///
/// # Errors
/// When the command is not installed, or fails, or yields half a picture.
pub fn pictures(file: &Path, picture_bytes: usize, each: impl FnMut(&[u8])) -> Result<()> {
    pictures_as(file, EIGHT_BITS, picture_bytes, each)
}

/// The same in 10 bits, the lower ones of 16, little endian.
///
/// # Errors
/// As [`pictures`].
pub fn ten_bit_pictures(file: &Path, picture_bytes: usize, each: impl FnMut(&[u8])) -> Result<()> {
    pictures_as(file, TEN_BITS, picture_bytes, each)
}

/// What a file says of the video in it: `pix_fmt`, `profile`, `color_range`, `color_space`,
/// `color_transfer`, `color_primaries`, by FFmpeg's names.
///
/// # Errors
/// When `ffprobe` is not installed, or fails.
pub fn about(file: &Path) -> Result<BTreeMap<String, String>> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-show_entries"]);
    command.arg("stream=pix_fmt,profile,color_range,color_space,color_transfer,color_primaries");
    command.args(["-of", "default=noprint_wrappers=1"]).arg(file);
    let output = command.output().map_err(|error| missing(&error))?;
    if !output.status.success() {
        return Err(failed(file, &output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

fn pictures_as(
    file: &Path,
    pixels: &str,
    picture_bytes: usize,
    mut each: impl FnMut(&[u8]),
) -> Result<()> {
    let mut child = decoder(file, "rawvideo", pixels)
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| missing(&error))?;
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::with_capacity(picture_bytes, output);
        let mut picture = vec![0; picture_bytes];
        while output.read(&mut picture[..1])? == 1 {
            output.read_exact(&mut picture[1..])?;
            each(&picture);
        }
    }
    if !child.wait()?.success() {
        return Err(failed(file, b"see above"));
    }
    Ok(())
}

/// One thread, so that what is concealed is the same each time; every picture once, at its own time.
fn decoder(file: &Path, format: &str, pixels: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-threads", "1", "-i"]).arg(file);
    command.args(["-fps_mode", "passthrough", "-enc_time_base", &format!("1:{TICKS_A_SECOND}")]);
    command.args(["-pix_fmt", pixels, "-f", format, "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn missing(error: &Error) -> Error {
    Error::new(error.kind(), format!("ffmpeg does not start ({error}): run `scripts/setup test`"))
}

fn failed(file: &Path, complaints: &[u8]) -> Error {
    let complaints = String::from_utf8_lossy(complaints);
    Error::other(format!("ffmpeg does not decode {}: {complaints}", file.display()))
}
