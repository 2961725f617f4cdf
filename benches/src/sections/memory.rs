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

use std::thread::sleep;

use anyhow::{Context as _, Result};
use encoder::Preference;
use server::config::Config;

use crate::Bench;
use crate::args::Args;
use crate::codec::{self, settled};
use crate::figures::{Findings, median};
use crate::host::{ChildHost, DEMO, HEIGHT, WIDTH, play_url};

/// Frame rate of all sessions here.
const FPS: u32 = 5;
/// Bytes a pixel of the colour (`Rgba16Float`), depth (`Depth32Float`) and output (`Rgba8Unorm`) textures.
const TARGET_BYTES: f64 = 16.0;
/// Bytes a texel of the shadow map (`Depth16Unorm`).
const SHADOW_BYTES: f64 = 2.0;
const MB: f64 = 1e6;

/// Opens sessions of the demo and reads the server's memory.
pub(super) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let codec = codec::memory(bench.args.extra, bench.args.kbps)?;
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

/// What the encoders' process does: see [`codec::hold`].
pub(crate) fn hold_encoders(args: &Args) -> Result<()> {
    let selection = encoder::select(encoder::candidates(), &Preference::default())?;
    let settings = codec::settings((WIDTH, HEIGHT), args.kbps, FPS);
    codec::hold(selection.chosen(), settings, args.extra)
}
