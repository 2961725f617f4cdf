//! As many players as the node lets in, each in a level that turns around him without end.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use media::{InputEvent, KeyCode};

use super::Bench;
use super::figures::{Findings, rank};
use super::node::LEVEL;
use super::peer::{Asked, Peer, Reply};

pub(crate) const SIZE: (u32, u32) = (640, 360);
pub(crate) const FPS: u32 = 30;
/// What each session has at most: half the pixels' share of what 720p60 has.
pub(crate) const KBPS: u32 = 1_500;
/// The game's program, where Debian puts it.
pub(crate) const PROGRAM: &str = "/usr/games/crispy-doom";
/// Times that one who is refused asks again, and when.
const AGAIN: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);
/// More is not tried.
const MOST: usize = 32;

/// Lets in whom the node lets in, and looks how steadily their frames come.
pub(crate) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let hosting = bench.hosting()?;
    hosting.plays(LEVEL)?;
    let (url, log) = (hosting.url()?, hosting.log.clone());
    let asked = Asked { app: LEVEL, size: SIZE, fps: FPS, kbps: KBPS };
    let (mut peers, mut asked_again) = (Vec::new(), 0);
    let refusal = loop {
        if peers.len() == MOST {
            break None;
        }
        match Peer::join(&bench.players, &url, &asked)? {
            // What those who play take is known only when they have played for a while.
            Reply::Refused(_) if !peers.is_empty() && asked_again < AGAIN => {
                asked_again += 1;
                sleep(PAUSE);
            }
            Reply::Refused(why) => break Some(why),
            Reply::Playing(peer) => {
                asked_again = 0;
                // The level is there when the picture is.
                sleep(bench.args.warm_up());
                let turn = InputEvent::Key { code: KeyCode::LEFT, pressed: true };
                bench.players.block_on(peer.send(1, turn))?;
                peers.push(peer);
            }
        }
    };
    ensure!(!peers.is_empty(), "nobody was let in: {}", refusal.unwrap_or_default());
    sleep(bench.args.warm_up());
    peers.iter().for_each(|peer| drop(peer.frames()));
    sleep(bench.args.window());
    let mut worst: f64 = 0.0;
    let mut all = Vec::new();
    for peer in &peers {
        let frames = peer.frames();
        let pairs = frames.windows(2);
        let mut intervals: Vec<_> =
            pairs.map(|pair| pair[1].at.saturating_sub(pair[0].at) as f64 / 1e6).collect();
        intervals.sort_unstable_by(f64::total_cmp);
        // Nothing came: that is no interval at all, and worse than any.
        worst = worst.max(rank(&intervals, 95).unwrap_or(f64::INFINITY));
        all.extend(intervals);
    }
    log.take();
    findings.put("density.sessions", "sessions", peers.len() as f64);
    for peer in &peers {
        peer.plays(&bench.players)?;
    }
    for peer in peers {
        peer.leave(&bench.players)?;
    }
    findings.spread("density.interval", "ms", all);
    findings.put("density.worst_p95_of_nominal", "×", worst * f64::from(FPS) / 1e3);
    findings.put("density.refused", "", f64::from(u8::from(refusal.is_some())));
    match refusal {
        Some(why) => findings.note(format!("the next one was refused: {why}")),
        None => findings.note(format!("nobody was refused: more than {MOST} are not tried")),
    }
    Ok(())
}
