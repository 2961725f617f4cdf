//! What one more session takes of the node's own process, which is one of its own here: memory while the painter
//! paints, and processor time while a terminal stands at its prompt.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::capture::SIZE;
use super::figures::Findings;
use super::node::{ChildNode, PAINTER, TERMINAL};
use super::peer::{Asked, Peer};
use super::threads::thread_times;
use super::{Bench, codec};

/// Low, so that a small machine keeps up with all: buffers do not depend on it.
const FPS: u32 = 10;
const MB: f64 = 1e6;
/// Pictures of a session's ring, NV12, and the two that mirror the display, BGRX.
const BUFFERS: f64 = 3.0 * 1.5 + 2.0 * 4.0;

/// Plays in a node of its own.
pub(crate) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let (args, extra) = (bench.args.clone(), f64::from(bench.args.extra));
    let node = ChildNode::start()?;
    let join = |bench: &Bench, app| {
        let asked = Asked { app, size: SIZE, fps: FPS, kbps: args.kbps };
        Peer::play(&bench.players, &node.url, &asked)
    };
    // The first one loads what all share.
    let mut peers = vec![join(bench, PAINTER)?];
    sleep(args.warm_up());
    let before = codec::settled(node.pid())?;
    for _ in 0..args.extra {
        peers.push(join(bench, PAINTER)?);
    }
    sleep(args.warm_up());
    let growth = (codec::settled(node.pid())? - before) / extra / MB;
    for peer in peers {
        peer.plays(&bench.players)?;
        peer.leave(&bench.players)?;
    }
    let coder = codec::memory(args.extra, args.kbps)?;
    let buffers = BUFFERS * f64::from(SIZE.0 * SIZE.1) / MB;
    findings.put("footprint.growth", "MB/session", growth);
    findings.put("footprint.codec", "MB/session", coder);
    findings.put("footprint.buffers", "MB/session", buffers);
    findings.put("footprint.beyond", "MB/session", growth - coder - buffers);
    findings.note(format!("{} extra sessions of {PAINTER} at {FPS} frames a second", args.extra));
    let nobody = share(node.pid(), args.window())?;
    let mut peers = Vec::new();
    for _ in 0..args.extra {
        peers.push(join(bench, TERMINAL)?);
    }
    // What was drawn is coded again until it is good.
    sleep(args.warm_up() + Duration::from_secs(5));
    let idle = share(node.pid(), args.window())?;
    for peer in peers {
        peer.plays(&bench.players)?;
        peer.leave(&bench.players)?;
    }
    findings.put("footprint.nobody", "% of a core", nobody);
    findings.put("footprint.idle", "% of a core", (idle - nobody) / extra);
    Ok(())
}

/// Percent of a core that a process uses over a time.
fn share(pid: u32, length: Duration) -> Result<f64> {
    let spent =
        || Ok::<Duration, anyhow::Error>(thread_times(pid)?.into_iter().map(|(_, ran)| ran).sum());
    let (began, before) = (Instant::now(), spent()?);
    sleep(length);
    let used = spent()?.saturating_sub(before);
    Ok(1e2 * used.as_secs_f64() / began.elapsed().as_secs_f64())
}
