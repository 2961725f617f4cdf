//! The encoder in use without a server around it, on the same pictures at the same pace.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE, EncoderSettings};
use media::{
    Bitrate, Clock, EncodeOptions, FrameId, FrameRequest, FrameSource as _, Picture, SourceEvent,
};
use testkit::PulledPattern;

use super::PATTERN_FPS;
use crate::Bench;
use crate::apps::SLOTS;
use crate::codec;
use crate::figures::Findings;
use crate::host::{HEIGHT, WIDTH};
use crate::process;

/// Encodes the pattern for the length of a measurement.
pub(super) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let node = bench.host.node();
    let (_, mut usable) = node.encoders.usual()?;
    let (candidate, clock) = (usable.swap_remove(0), node.clock.clone());
    let settings = codec::settings((WIDTH, HEIGHT), bench.args.kbps, PATTERN_FPS);
    let frames = PATTERN_FPS * bench.args.seconds as u32;
    let name = candidate.name;
    // An encoder is created, used and dropped on one thread.
    let alone = std::thread::Builder::new()
        .name("enc-alone".into())
        .spawn(move || encode(&candidate, settings, &clock, frames))?;
    let Ok(encoded) = alone.join() else { bail!("the encoder panicked") };
    let encoded = encoded?;
    findings.spread("encoder.encode", "ms", encoded.times);
    findings.put("encoder.cpu", "ms/frame", encoded.cpu.as_secs_f64() * 1e3 / f64::from(frames));
    let bitrate = Bitrate::of(encoded.bytes, settings.rate.interval() * frames);
    findings.put("encoder.bitrate", "kbit/s", bitrate.kbps() as f64);
    findings.note(format!(
        "{name} at {}, {PATTERN_FPS} frames a second; its processor time includes making the pictures",
        settings.bitrate
    ));
    Ok(())
}

struct Encoded {
    times: Vec<f64>,
    bytes: u64,
    cpu: Duration,
}

fn encode(
    candidate: &Candidate,
    settings: EncoderSettings,
    clock: &Arc<dyn Clock>,
    frames: u32,
) -> Result<Encoded> {
    let mut source = PulledPattern::new(settings.size, SLOTS, clock.clone());
    let mut encoder = BlockingEncoder::open(candidate, &settings, ENCODE_PATIENCE)
        .context("the encoder does not open")?;
    let mut times = Vec::with_capacity(frames as usize);
    let mut bytes = 0;
    // The first pictures fill caches and buffers.
    let warm = PATTERN_FPS;
    let mut cpu = Duration::ZERO;
    let start = clock.now();
    for number in 0..warm + frames {
        if number == warm {
            cpu = process::cpu_time(std::process::id())?;
        }
        let due = start + settings.rate.interval() * number;
        sleep(due.since(clock.now()));
        let request = FrameRequest {
            id: FrameId(number.into()),
            at: due,
            within: settings.rate.interval(),
            views: &[],
            refresh: false,
            share: false,
            kind: media::PictureKind::NV12,
        };
        let SourceEvent::Frame(mut frame) = source.next(&request)? else {
            bail!("the pattern made no picture");
        };
        frame.image.finish(clock.as_ref(), &mut frame.stages)?;
        let picture = Picture::Cpu(frame.image.map()?);
        let options = EncodeOptions::keyframe(number == 0);
        let began = clock.now();
        let unit = encoder.encode(frame.id, &picture, options)?;
        let length = clock.now().since(began);
        if number >= warm {
            times.push(length.as_secs_f64() * 1e3);
            bytes += unit.data.len() as u64;
        }
    }
    let cpu = process::cpu_time(std::process::id())?.saturating_sub(cpu);
    Ok(Encoded { times, bytes, cpu })
}
