//! The same key in Chromium: from the event that the browser makes of it to the X server, and to the first decoded
//! picture that shows it.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use media::{Clock, MediaTime};
use serde::Deserialize;
use serde_json::json;

use super::browser::{Browser, Page, SentInput};
use super::capture::{FPS, Offset, SIZE};
use super::clock::{Pairing, Relation};
use super::figures::Findings;
use super::node::PAINTER;
use super::record::Recording;
use super::watch::Seen;
use super::{Bench, system};

/// Where Debian puts it (`client-web/bench/drive.mjs`).
const CHROMIUM: &str = "/usr/bin/chromium";
/// What pages take first.
const TRANSPORT: &str = "webrtc";
/// How long a key is down, and the time until the next, uniformly random, so that keys fall on all times between two
/// pictures.
const DOWN: Duration = Duration::from_millis(30);
const LEAST: Duration = Duration::from_millis(60);
const MOST: Duration = Duration::from_millis(100);

/// What targets are held against.
const TO_XTEST: &str = "browser.to_xtest";
const TO_PICTURE: &str = "browser.to_picture";
const INTERVALS: &str = "browser.intervals";
/// Unit of the last.
const OF_THE_GAME: &str = "of the game";

/// Presses keys in a page that plays the painter, where there is a browser.
pub(crate) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    if let Some(lacking) = lacking() {
        for (name, unit) in [(TO_XTEST, "ms"), (TO_PICTURE, "ms"), (INTERVALS, OF_THE_GAME)] {
            findings.spread(name, unit, Vec::new());
        }
        findings.note(format!("LEFT OUT: {lacking}"));
        return Ok(());
    }
    let ((width, height), kbps) = (SIZE, bench.args.kbps);
    let video = format!("width={width}&height={height}&fps={FPS}&kbps={kbps}");
    let node = bench.hosting()?.url()?;
    let url = format!("{node}?play={PAINTER}&{video}&transport={TRANSPORT}");
    let mut browser = Browser::launch()?;
    let page = browser.open(&url)?;
    let measured = measure(bench, findings, &mut browser, &page);
    // Whatever came of it: a session of a page that merely goes is kept, and would be seen in the next run.
    let closed = browser.close(&page);
    findings.note(format!(
        "Chromium {}, presenter: {}",
        browser.version,
        page.presenter.as_deref().unwrap_or("unknown")
    ));
    measured.and(closed)
}

/// What is not there of what drives a browser.
fn lacking() -> Option<String> {
    let chromium = env::var("CHROMIUM").unwrap_or_else(|_| CHROMIUM.into());
    if !Path::new(&chromium).exists() {
        return Some(format!("there is no {chromium}; another Chromium can be named in CHROMIUM"));
    }
    let driver = system::repository().join("client-web/node_modules/playwright-core");
    (!driver.exists()).then(|| format!("there is no {}", driver.display()))
}

fn measure(
    bench: &mut Bench,
    findings: &mut Findings,
    browser: &mut Browser,
    page: &Page,
) -> Result<()> {
    let hosting = bench.hosting()?;
    let (clock, log) = (hosting.clock()?, hosting.log.clone());
    let zero = Offset::read(clock.as_ref()).system(MediaTime::ZERO);
    sleep(bench.args.warm_up());
    let before = relate(browser, page, clock.as_ref())?;
    log.take();
    bench.recorder.begin();
    let began = clock.now();
    let keys = press(browser, page, bench.args.keys);
    let length = clock.now().since(began);
    let (recording, seen) = (bench.recorder.end(), log.take());
    let keys = keys?;
    let relation = Relation::between(before, relate(browser, page, clock.as_ref())?);
    let pressed = bench.args.keys;
    let last = seen.iter().filter_map(|seen| Some(seen.stamp?.presses)).max().unwrap_or_default();
    ensure!(last == pressed, "{last} of {pressed} keys reached the game");
    put(findings, &ways(&keys, &recording, &seen, relation, zero)?);
    let decoded = recording.reports.len() as f64 / length.as_secs_f64();
    findings.put("browser.pictures_decoded", "/s", decoded);
    findings.put("browser.clock.error", "ms", relation.error_us / 1e3);
    findings.put("browser.clock.step", "ms", relation.step_us / 1e3);
    Ok(())
}

/// Relates the page's clock to the media clock now.
fn relate(browser: &mut Browser, page: &Page, clock: &dyn Clock) -> Result<Relation> {
    let theirs = browser.clock(page).context("the page's clock")?;
    Ok(Relation::new(Pairing::read(clock)?, theirs))
}

/// What was pressed, and what the page sent.
#[derive(Debug, Deserialize)]
struct Keys {
    /// When the browser made the event of each key that went down, in microseconds of the page's clock.
    events: Vec<u64>,
    /// What the page sent of keys: each goes down, and then up.
    inputs: Vec<SentInput>,
    /// The transport that the page had at last.
    kind: String,
}

/// Presses so many keys, one after the other.
fn press(browser: &mut Browser, page: &Page, count: u32) -> Result<Keys> {
    let millis = |length: Duration| length.as_secs_f64() * 1e3;
    let command = json!({
        "op": "keys", "page": page.id, "count": count,
        "down": millis(DOWN), "least": millis(LEAST), "most": millis(MOST),
    });
    let keys: Keys = browser.call(&command, (DOWN + MOST) * count)?;
    ensure!(keys.kind == TRANSPORT, "{TRANSPORT} became {}", keys.kind);
    let (events, inputs) = (keys.events.len(), keys.inputs.len());
    ensure!(
        events == count as usize && inputs == 2 * events,
        "the browser made {events} events of {count} keys, of which the page sent {inputs}"
    );
    Ok(keys)
}

/// When a key was where, in milliseconds after the browser made its event.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Way {
    /// The page gave it to its data channel.
    to_page: f64,
    /// The node had it.
    to_node: f64,
    /// The X server had been given it.
    to_xtest: f64,
    /// The painter had it; `None` where the next came before it said so.
    to_game: Option<f64>,
    /// The page had a picture that shows it; `None` where none came.
    to_picture: Option<f64>,
}

/// The way of each key. `zero` is the beginning of the media clock in nanoseconds of the system's monotonic clock.
fn ways(
    keys: &Keys,
    recording: &Recording,
    seen: &[Seen],
    relation: Relation,
    zero: u64,
) -> Result<Vec<Way>> {
    // The first picture that shows so many keys, and when the painter had the last of them.
    let mut shown: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for seen in seen {
        if let Some(stamp) = seen.stamp {
            shown.entry(stamp.presses).or_insert((seen.frame.0, stamp.pressed));
        }
    }
    let told: BTreeMap<_, _> =
        recording.reports.iter().map(|told| (told.wire_timestamp, told.decoded_us)).collect();
    // When the page had each frame, of those that it had.
    let decoded: BTreeMap<_, _> = recording
        .sent
        .iter()
        .filter_map(|sent| Some((sent.frame, *told.get(&sent.wire_timestamp)?)))
        .collect();
    let given: BTreeMap<_, _> = recording.inputs.iter().map(|given| (given.seq, given)).collect();
    let way = |(number, (event, input)): (u32, (&u64, &SentInput))| -> Result<Way> {
        let given = given.get(&input.seq);
        let given = given.with_context(|| format!("key {number} is not known to the node"))?;
        let begun = relation.media_us(*event);
        let after = |media_us: f64| (media_us - begun) / 1e3;
        let media = |at: MediaTime| after(at.as_nanos() as f64 / 1e3);
        let game = shown.get(&number).map(|(_, pressed)| pressed.saturating_sub(zero));
        // That one or, where it was left out on its way, the next that came.
        let first = shown.range(number..).next().map(|(_, (frame, _))| *frame);
        let picture = first.and_then(|frame| decoded.range(frame..).next());
        Ok(Way {
            to_page: after(relation.media_us(input.at_us)),
            to_node: media(given.came),
            to_xtest: media(given.given),
            to_game: game.map(|nanos| after(nanos as f64 / 1e3)),
            to_picture: picture.map(|(_, at)| after(relation.media_us(*at))),
        })
    };
    // Every other input lets a key go.
    let pressed = keys.events.iter().zip(keys.inputs.iter().step_by(2));
    (1..).zip(pressed).map(way).collect()
}

fn put(findings: &mut Findings, ways: &[Way]) {
    let all = |of: fn(&Way) -> Option<f64>| ways.iter().filter_map(of).collect::<Vec<_>>();
    findings.spread("browser.to_page", "ms", all(|way| Some(way.to_page)));
    findings.spread("browser.to_node", "ms", all(|way| Some(way.to_node)));
    findings.spread(TO_XTEST, "ms", all(|way| Some(way.to_xtest)));
    findings.spread("browser.to_game", "ms", all(|way| way.to_game));
    let to_picture = all(|way| way.to_picture);
    let interval = 1e3 / f64::from(FPS);
    let intervals = to_picture.iter().map(|millis| millis / interval).collect();
    findings.put("browser.unseen", "keys", (ways.len() - to_picture.len()) as f64);
    findings.spread(TO_PICTURE, "ms", to_picture);
    findings.spread(INTERVALS, OF_THE_GAME, intervals);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Given, Reported, Sent};
    use crate::stamp::Stamp;
    use media::{FrameId, StageTimes};

    #[test]
    fn a_key_counts_until_the_first_picture_that_came_and_shows_it_or_a_later_one() {
        let key = |seq, at_us| SentInput { seq, at_us };
        let keys = Keys {
            events: vec![10_000, 20_000, 30_000],
            inputs: vec![
                key(11, 10_100),
                key(12, 15_000),
                key(13, 20_100),
                key(14, 25_000),
                key(15, 30_100),
                key(16, 35_000),
            ],
            kind: TRANSPORT.into(),
        };
        let given = |seq, millis| {
            let came = MediaTime::from_millis(millis);
            Given { seq, came, given: MediaTime::from_millis(millis + 1) }
        };
        let sent = |frame, wire_timestamp| {
            let stages = StageTimes::captured(MediaTime::ZERO);
            Sent { frame, wire_timestamp, bytes: 1, stages }
        };
        let told = |wire_timestamp, decoded_us| Reported {
            wire_timestamp,
            decoded_us,
            presented_us: decoded_us,
        };
        let mut recording = Recording {
            // Frame 9 is dropped before it is coded, and nobody has frame 8.
            sent: vec![sent(7, 70), sent(8, 80), sent(10, 100)],
            reports: vec![told(70, 14_000), told(100, 40_000)],
            inputs: vec![given(11, 11), given(12, 16), given(13, 21), given(15, 31)],
        };
        // The painter's clock is ahead by a millisecond.
        let zero = 1_000_000;
        let seen = |frame, presses, pressed| Seen {
            frame: FrameId(frame),
            stamp: Some(Stamp { presses, pressed, ..Stamp::default() }),
            drawn: true,
        };
        let seen = [
            seen(7, 0, 0),
            seen(8, 1, 13_500_000),
            seen(9, 3, 34_000_000),
            seen(10, 3, 34_000_000),
        ];
        let way = |to_game, to_picture| Way {
            to_page: 0.1,
            to_node: 1.0,
            to_xtest: 2.0,
            to_game,
            to_picture: Some(to_picture),
        };
        let all = ways(&keys, &recording, &seen, Relation::exact(), zero).unwrap();
        assert_eq!(all, [way(Some(2.5), 30.0), way(None, 20.0), way(Some(3.0), 10.0)]);
        recording.reports.pop();
        let all = ways(&keys, &recording, &seen, Relation::exact(), zero).unwrap();
        assert!(all.iter().all(|way| way.to_picture.is_none()));
        recording.inputs.pop();
        assert!(ways(&keys, &recording, &seen, Relation::exact(), zero).is_err());
    }
}
