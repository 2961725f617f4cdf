//! What one more session of a scene takes that is loaded already.
//!
//! A server process of its own plays the demo to one tab; its resident memory is read before and after
//! more tabs open sessions of the same scene. Of the growth per session is subtracted
//! - what the encoder in use takes: as many opened alone in another process of its own, measured;
//! - frame buffers, computed: the ring of three NV12 pictures of the coded size; colour, depth and
//!   output textures of the internal size (8 + 4 + 4 bytes a pixel; dynamic resolution may keep a
//!   second, smaller set, which is not subtracted); the shadow map (2 bytes a texel).
//!
//! Buffers are computed whole. Pages of them that were never written are not resident, so that the rest
//! may come out below zero; `memory.beyond_codec` subtracts only what was measured.
//!
//! Extra sessions run at a few frames a second, so that a small machine keeps up with all of them:
//! buffers do not depend on the rate.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use encoder::{BlockingEncoder, ENCODE_PATIENCE, Preference};
use media::{
    Clock as _, EncodeOptions, FrameId, FrameRequest, FrameSource as _, Picture, SourceEvent,
};
use server::clock::MonotonicClock;
use server::config::Config;
use testkit::PulledPattern;

use super::encoder_alone;
use crate::Bench;
use crate::apps::SLOTS;
use crate::args::Args;
use crate::figures::{Findings, median};
use crate::host::{ChildHost, DEMO, HEIGHT, WIDTH, play_url};
use crate::process;

/// Frame rate of all sessions here.
const FPS: u32 = 5;
/// Pictures that an encoder codes before its memory is read: it has filled its references by then.
const PICTURES: u32 = 10;
/// Bytes a pixel of the colour (`Rgba16Float`), depth (`Depth32Float`) and output (`Rgba8Unorm`) textures.
const TARGET_BYTES: f64 = 16.0;
/// Bytes a texel of the shadow map (`Depth16Unorm`).
const SHADOW_BYTES: f64 = 2.0;
const MB: f64 = 1e6;

/// Opens sessions of the demo and reads the server's memory.
pub(super) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let codec = codec_memory(&bench.args)?;
    let server = ChildHost::start()?;
    let url = play_url(&server.url, DEMO, FPS, bench.args.kbps, false);
    let (extra, warm_up) = (bench.args.extra, bench.args.warm_up());
    let browser = bench.browser()?;
    let mut pages = vec![browser.open(&url)?];
    sleep(warm_up);
    let before = settled(server.pid())?;
    for _ in 0..extra {
        pages.push(browser.open(&url)?);
    }
    sleep(warm_up);
    let after = settled(server.pid())?;
    let mut internal = Vec::new();
    for page in &pages[1..] {
        if let Some(stats) = browser.stats(page)?.stats {
            internal.push(f64::from(stats.internal[0]) * f64::from(stats.internal[1]));
        }
    }
    for page in &pages {
        browser.close(page)?;
    }
    drop(server);
    let growth = (after - before) / f64::from(extra) / MB;
    let ring = 3.0 * f64::from(WIDTH * HEIGHT) * 1.5 / MB;
    let shadow = f64::from(Config::default().render.shadow_size).powi(2) * SHADOW_BYTES / MB;
    let pixels = median(&internal).context("no session told its internal size")?;
    let targets = pixels * TARGET_BYTES / MB;
    findings.put("memory.server_before", "MB", before / MB);
    findings.put("memory.growth", "MB/session", growth);
    findings.put("memory.codec", "MB/session", codec);
    findings.put("memory.beyond_codec", "MB/session", growth - codec);
    findings.put("memory.ring", "MB/session", ring);
    findings.put("memory.targets", "MB/session", targets);
    findings.put("memory.shadow_map", "MB/session", shadow);
    findings.put("memory.beyond_buffers", "MB/session", growth - codec - ring - targets - shadow);
    findings.note(format!("{extra} extra sessions in Chromium tabs at {FPS} frames a second"));
    Ok(())
}

/// Resident bytes: the median of readings over a second.
fn settled(pid: u32) -> Result<f64> {
    let mut readings = Vec::new();
    for _ in 0..10 {
        readings.push(process::resident(pid)? as f64);
        sleep(Duration::from_millis(100));
    }
    median(&readings).context("no reading")
}

/// Megabytes that one more encoder takes, measured in a process of its own.
fn codec_memory(args: &Args) -> Result<f64> {
    let (extra, kbps) = (args.extra.to_string(), args.kbps.to_string());
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--child", "codec", "--extra", &extra, "--kbps", &kbps])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("the encoders' process does not start")?;
    let output = child.stdout.take().context("the encoders' process has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    child.wait()?;
    let bytes: f64 = line.trim().parse().context("the encoders' process told no figure")?;
    Ok(bytes / f64::from(args.extra) / MB)
}

/// What that process does: opens one encoder to load the libraries, then `extra` more, and prints by how
/// many bytes its memory grew with these.
pub(crate) fn hold_encoders(args: &Args) -> Result<()> {
    let selection = encoder::select(encoder::candidates(), &Preference::default())?;
    let candidate = selection.chosen();
    let settings = encoder_alone::settings(args.kbps, FPS);
    // One source for all: what it takes is in the memory before.
    let mut source = PulledPattern::new(settings.size, SLOTS, Arc::new(MonotonicClock::new()));
    let mut held = Vec::new();
    let mut before = 0.0;
    for number in 0..=args.extra {
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
