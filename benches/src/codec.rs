//! What sections need of encoders: the settings of a session, and the memory that one takes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE, EncoderSettings};
use media::{
    Bitrate, Clock as _, EncodeOptions, FrameId, FrameRate, FrameRequest, FrameSource as _,
    Picture, Size, SourceEvent,
};
use server::clock::MonotonicClock;
use testkit::PulledPattern;

use crate::figures::median;
use crate::process;

/// Pictures in flight, as the renderer has them.
const SLOTS: usize = 3;
/// Part of a session's rate that its encoder gets; the rest is headers and repair (`session::rate`).
const ENCODER_SHARE: f64 = 0.9;
/// Pictures that an encoder codes before its memory is read: it has filled its references by then, those that it keeps
/// for losses too.
const PICTURES: u32 = 60;
const MB: f64 = 1e6;

/// Settings of a session's encoder, once its rate stands at its ceiling.
pub(crate) fn settings(size: (u32, u32), kbps: u32, fps: u32) -> EncoderSettings {
    let bitrate = Bitrate::from_kbps((f64::from(kbps) * ENCODER_SHARE) as u64);
    EncoderSettings::new(Size::new(size.0, size.1), FrameRate::fps(fps), bitrate)
}

/// Resident bytes: the median of readings over a second.
pub(crate) fn settled(pid: u32) -> Result<f64> {
    let mut readings = Vec::new();
    for _ in 0..10 {
        readings.push(process::resident(pid)? as f64);
        sleep(Duration::from_millis(100));
    }
    median(&readings).context("no reading")
}

/// Megabytes that one more encoder takes, measured in a process of its own that does what [`hold`] does.
pub(crate) fn memory(extra: u32, kbps: u32) -> Result<f64> {
    let (held, kbps) = (extra.to_string(), kbps.to_string());
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--child", "codec", "--extra", &held, "--kbps", &kbps])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("the encoders' process does not start")?;
    let output = child.stdout.take().context("the encoders' process has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    child.wait()?;
    let bytes: f64 = line.trim().parse().context("the encoders' process told no figure")?;
    Ok(bytes / f64::from(extra) / MB)
}

/// Opens one encoder to load the libraries, then `extra` more, and prints by how many bytes the memory of
/// this process grew with these.
pub(crate) fn hold(candidate: &Candidate, settings: EncoderSettings, extra: u32) -> Result<()> {
    // One source for all: what it takes is in the memory before.
    let mut source = PulledPattern::new(settings.size, SLOTS, Arc::new(MonotonicClock::new()));
    let mut held = Vec::new();
    let mut before = 0.0;
    for number in 0..=extra {
        let mut encoder = BlockingEncoder::open(candidate, &settings, ENCODE_PATIENCE)?;
        code(&mut encoder, &mut source)?;
        held.push(encoder);
        if number == 0 {
            before = settled(std::process::id())?;
        }
    }
    let after = settled(std::process::id())?;
    writeln!(std::io::stdout(), "{}", after - before)?;
    Ok(())
}

fn code(encoder: &mut BlockingEncoder, source: &mut PulledPattern) -> Result<()> {
    let clock = MonotonicClock::new();
    for number in 0..PICTURES {
        let request = FrameRequest {
            id: FrameId(number.into()),
            at: clock.now(),
            within: Duration::ZERO,
            views: &[],
            refresh: true,
            share: false,
            kind: media::PictureKind::NV12,
        };
        if let SourceEvent::Frame(mut frame) = source.next(&request)? {
            frame.image.finish(&clock, &mut frame.stages)?;
            encoder.encode(
                frame.id,
                &Picture::Cpu(frame.image.map()?),
                EncodeOptions::default(),
            )?;
        }
    }
    Ok(())
}
