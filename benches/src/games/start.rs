//! From the request for a session to its first picture, with nothing started ahead, and with a game that stands still
//! until its player comes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use media::Mark;

use super::capture::{FPS, Offset, SIZE};
use super::figures::Findings;
use super::node::{DOOM, Hosting, Purpose, WARM};
use super::peer::{Asked, Peer};
use super::{Bench, stamp};

/// How long a game may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take to be started ahead.
const AHEAD: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Starts the game again and again.
pub(crate) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    bench.hosting()?.plays(DOOM)?;
    let (mut first, mut game) = (Vec::new(), Vec::new());
    for _ in 0..bench.args.starts {
        let [unit, picture] = start(bench, bench.hosted()?, DOOM)?;
        first.push(unit);
        game.push(picture);
    }
    findings.spread("start.first_unit", "ms", first);
    findings.spread("start.game", "ms", game);
    findings.note("first_unit may show a display that the game has not drawn on; game is the first that it has");
    let ahead = Hosting::start(Purpose::Ahead, bench.args.xorg)?;
    let mut warm = Vec::new();
    for _ in 0..bench.args.starts {
        let deadline = Instant::now() + AHEAD;
        while !ahead.ready(WARM)? {
            anyhow::ensure!(
                Instant::now() < deadline,
                "nothing is started ahead in {} s",
                AHEAD.as_secs()
            );
            sleep(LOOK);
        }
        let [_, picture] = start(bench, &ahead, WARM)?;
        warm.push(picture);
    }
    findings.spread("start.warm", "ms", warm);
    Ok(())
}

/// Milliseconds until the first unit was sent, and until the first was that shows what the game has drawn.
fn start(bench: &Bench, hosting: &Hosting, app: &str) -> Result<[f64; 2]> {
    let (url, clock, log) = (hosting.url()?, hosting.clock()?, hosting.log.clone());
    let offset = Offset::read(clock.as_ref());
    log.take();
    bench.recorder.begin();
    let begun = stamp::now();
    let asked = Asked { app, size: SIZE, fps: FPS, kbps: bench.args.kbps };
    let peer = Peer::play(&bench.players, &url, &asked)?;
    let deadline = Instant::now() + PATIENCE;
    let drawn = loop {
        if let Some(seen) = log.take().into_iter().find(|seen| seen.drawn) {
            break seen.frame;
        }
        peer.plays(&bench.players)?;
        anyhow::ensure!(Instant::now() < deadline, "no picture in {} s", PATIENCE.as_secs());
        sleep(LOOK);
    };
    // Until it is sent, too.
    sleep(Duration::from_millis(500));
    let sent = bench.recorder.end().sent;
    let warm = peer.began(&bench.players)? == "warm";
    anyhow::ensure!(warm == (app == WARM), "it did not begin as it should have");
    peer.leave(&bench.players)?;
    let after = |frame: u64| {
        let sent = sent.iter().find(|sent| sent.frame >= frame)?;
        let gone = offset.system(sent.stages.get(Mark::LastSent)?);
        Some(gone.saturating_sub(begun) as f64 / 1e6)
    };
    let times = after(0).zip(after(drawn.0)).context("what was drawn was not sent")?;
    Ok([times.0, times.1])
}
