//! A key from the player to the game, and the picture that shows it back.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use media::{InputEvent, KeyCode};

use super::capture::{FPS, Offset, SIZE};
use super::figures::Findings;
use super::node::PAINTER;
use super::peer::{Asked, Peer};
use super::{Bench, stamp};

/// How long a key is down, and the least time until the next.
const DOWN: Duration = Duration::from_millis(30);
const UP: Duration = Duration::from_millis(60);
/// What comes to that, so that keys fall on all times between two pictures: no multiple of it is an interval.
const DRIFT: Duration = Duration::from_micros(1_310);
/// Steps of the drift.
const STEPS: u32 = 32;

/// Presses keys and looks when the painter had them, and when the picture came that says so.
pub(crate) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let hosting = bench.hosting()?;
    let (url, clock, log) = (hosting.url()?, hosting.clock()?, hosting.log.clone());
    let offset = Offset::read(clock.as_ref());
    let asked = Asked { app: PAINTER, size: SIZE, fps: FPS, kbps: bench.args.kbps };
    let peer = Peer::play(&bench.players, &url, &asked)?;
    sleep(bench.args.warm_up());
    log.take();
    peer.frames();
    bench.recorder.begin();
    let mut sent = Vec::new();
    for number in 0..bench.args.keys {
        let key = |pressed| InputEvent::Key { code: KeyCode::A, pressed };
        sent.push(stamp::now());
        bench.players.block_on(peer.send(2 * number + 1, key(true)))?;
        sleep(DOWN);
        bench.players.block_on(peer.send(2 * number + 2, key(false)))?;
        sleep(UP + DRIFT * (number % STEPS));
    }
    let recording = bench.recorder.end();
    let (seen, arrived) = (log.take(), peer.frames());
    peer.leave(&bench.players)?;
    // The first picture that shows each key, and when the painter had that.
    let mut shown: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for seen in &seen {
        if let Some(stamp) = seen.stamp {
            shown.entry(stamp.presses).or_insert((seen.frame.0, stamp.pressed));
        }
    }
    let last = shown.keys().next_back().copied().unwrap_or_default();
    ensure!(last == bench.args.keys, "{last} of {} keys reached the game", bench.args.keys);
    let timestamps: BTreeMap<_, _> =
        recording.sent.iter().map(|sent| (sent.frame, sent.wire_timestamp)).collect();
    let arrivals: BTreeMap<_, _> =
        arrived.iter().map(|whole| (whole.wire_timestamp, whole.at)).collect();
    // Keys go down with odd numbers.
    let given: BTreeMap<_, _> = recording.inputs.iter().map(|given| (given.seq, given)).collect();
    let (mut to_node, mut in_node, mut from_node) = (Vec::new(), Vec::new(), Vec::new());
    let (mut to_xtest, mut to_game, mut to_picture) = (Vec::new(), Vec::new(), Vec::new());
    for (number, begun) in (1..).zip(&sent) {
        let Some((frame, pressed)) = shown.get(&number) else { continue };
        if let Some(given) = given.get(&(2 * number - 1)) {
            let (came, gone) = (offset.system(given.came), offset.system(given.given));
            to_node.push(came.saturating_sub(*begun) as f64 / 1e6);
            in_node.push(gone.saturating_sub(came) as f64 / 1e6);
            to_xtest.push(gone.saturating_sub(*begun) as f64 / 1e6);
            from_node.push(pressed.saturating_sub(gone) as f64 / 1e6);
        }
        to_game.push(pressed.saturating_sub(*begun) as f64 / 1e6);
        // That one or, where it was dropped before it was coded, the next that was sent.
        let next = timestamps.range(frame..).next().map(|(_, timestamp)| timestamp);
        if let Some(at) = next.and_then(|timestamp| arrivals.get(timestamp)) {
            to_picture.push(at.saturating_sub(*begun) as f64 / 1e6);
        }
    }
    findings.spread("input.to_node", "ms", to_node);
    findings.spread("input.in_node", "ms", in_node);
    findings.spread("input.to_xtest", "ms", to_xtest);
    findings.spread("input.from_node", "ms", from_node);
    findings.spread("input.to_game", "ms", to_game);
    let interval = 1e3 / f64::from(FPS);
    let mut sorted = to_picture.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    if let Some(p50) = super::figures::rank(&sorted, 50) {
        findings.put("input.to_picture.intervals", "intervals", p50 / interval);
    }
    findings.spread("input.to_picture", "ms", to_picture);
    Ok(())
}
