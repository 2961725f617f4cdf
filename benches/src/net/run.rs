//! One run of a case over one transport, and what it comes to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use media::{Bitrate, Clock, MediaTime};
use serde::Serialize;
use testkit::WallClock;
use testkit::net::{Passage, Relay, Scenario};
use tokio::time::{Instant, sleep_until};

use super::args::{Case, Rival};
use super::column::{Column, Pair};
use super::encoder::Encoded;
use super::figures::rank;
use super::session::{self, FPS, INTERVAL, Served};
use super::table;
use super::viewer::Shown;

/// Times that a run's connections are begun, where their handshakes lose too much: the DTLS of the bench's client repeats nothing,
/// as that of browsers does.
const TRIES: u32 = 5;
/// What the network may still deliver after a server stopped.
const DRAIN: Duration = Duration::from_secs(1);
/// Queueing delay that counts as none.
const CALM: Duration = Duration::from_millis(30);
/// How long it must be that small, and how long a rate must hold.
const HOLD: Duration = Duration::from_millis(500);

/// Figures of a run, by name; the order of printing is the table's.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Outcome(pub(crate) Vec<(&'static str, f64)>);

/// What one session of a run did.
struct Session {
    served: Served,
    shown: Vec<Shown>,
    /// Bytes that left the server.
    offered: u64,
    passages: Vec<Passage>,
}

/// The times of a run.
struct Course<'a> {
    scenario: &'a Scenario,
    ceiling: Bitrate,
    begin: MediaTime,
}

/// Runs a case once.
///
/// # Errors
/// When a connection does not come up or ends.
pub(crate) async fn run(
    case: &Case,
    column: &dyn Column,
    ceiling: Bitrate,
    seed: u64,
) -> anyhow::Result<Outcome> {
    let scenario = case.scenario.clone().seeded(seed);
    let clock = WallClock::shared();
    let ((relay, pairs), anew) = again(TRIES, async |number| {
        // What was lost would be lost again.
        let begins = scenario.clone().seeded(seed + (u64::from(number) << 32));
        let mut relay = Relay::start(&begins, clock.clone()).context("no relay")?;
        let mut pairs = vec![column.connect(&mut relay, clock.clone()).await?];
        if case.rival == Rival::Session {
            pairs.push(column.connect(&mut relay, clock.clone()).await?);
        }
        Ok((relay, pairs))
    })
    .await?;
    relay.begin(&scenario);
    let course = Course { scenario: &scenario, ceiling, begin: clock.now() };
    relay.take_passages();
    let offered_before = relay.counts().offered;
    let start = Instant::now();
    let mut tasks = Vec::new();
    for (index, pair) in pairs.into_iter().enumerate() {
        // Whoever comes second finds the link in use.
        let late = if index == 0 { Duration::ZERO } else { scenario.length / 4 };
        let from = start + late;
        tasks.push(tokio::spawn(both(
            pair,
            clock.clone(),
            ceiling,
            seed,
            from,
            scenario.length - late,
        )));
    }
    let half = start + scenario.length / 2;
    let mut tcp_at_half = 0;
    let tcp = |relay: &Relay| relay.counts().tcp_delivered.first().copied().unwrap_or(0);
    if let Rival::Tcp(kind) = case.rival {
        sleep_until(start + scenario.length / 4).await;
        relay.compete(kind);
        sleep_until(half).await;
        tcp_at_half = tcp(&relay);
        sleep_until(start + scenario.length).await;
    }
    let tcp_bytes = tcp(&relay) - tcp_at_half;
    let mut sessions = Vec::new();
    for task in tasks {
        let (served, shown) = task.await.context("a session panicked")??;
        sessions.push(Session { served, shown, offered: 0, passages: Vec::new() });
    }
    let offered = relay.counts().offered;
    for ((session, after), before) in sessions.iter_mut().zip(offered).zip(offered_before) {
        session.offered = after - before;
    }
    for passage in relay.take_passages() {
        if let Some(session) = sessions.get_mut(passage.route) {
            session.passages.push(passage);
        }
    }
    let mut outcome = Outcome::default();
    course.session(&sessions[0], &mut outcome);
    course.steps(&sessions[0].passages, &mut outcome);
    if case.rival != Rival::None {
        let halves = scenario.length / 2..scenario.length;
        let mut bytes: Vec<_> =
            sessions.iter().map(|session| course.bytes(&session.passages, &halves)).collect();
        if case.rival != Rival::Session {
            bytes.push(tcp_bytes);
        }
        let mbits = |bytes: u64| Bitrate::of(bytes, halves.end - halves.start).bps() as f64 / 1e6;
        outcome.0.push(("share", mbits(bytes[0])));
        outcome.0.push(("rival", mbits(bytes[1])));
        outcome.0.push(("sum", mbits(bytes.iter().sum())));
        outcome.0.push(("jain", jain(&bytes)));
    }
    if anew > 0 {
        outcome.0.push(("anew", f64::from(anew)));
    }
    Ok(outcome)
}

/// Does something until it succeeds, `tries` times at most; and how often it was begun anew.
async fn again<T>(
    tries: u32,
    mut what: impl AsyncFnMut(u32) -> anyhow::Result<T>,
) -> anyhow::Result<(T, u32)> {
    let mut number = 0;
    loop {
        match what(number).await {
            Ok(done) => return Ok((done, number)),
            Err(error) if number + 1 < tries => {
                table::progress(&format!("{error:#}: begun anew"));
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Both ends of a session, from `from` on.
async fn both(
    pair: Pair,
    clock: Arc<dyn Clock>,
    ceiling: Bitrate,
    seed: u64,
    from: Instant,
    length: Duration,
) -> anyhow::Result<(Served, Vec<Shown>)> {
    sleep_until(from).await;
    let watch = session::watch(pair.client, clock.clone(), from + length + DRAIN);
    let watch = tokio::spawn(watch);
    let mut server = pair.server;
    let served = session::serve(server.as_mut(), clock, ceiling, seed, length, DRAIN).await;
    if served.is_err() && watch.is_finished() {
        // Whatever ended the client came first, and ended the server's side with it.
        watch.await.context("the client panicked")??;
        bail!("the client left early");
    }
    let shown = watch.await.context("the client panicked")?;
    // Only now: a client that is left alone counts as one that lost its connection.
    drop(server);
    Ok((served?, shown?))
}

impl Course<'_> {
    fn session(&self, session: &Session, outcome: &mut Outcome) {
        let Session { served, shown, passages, .. } = session;
        let length = self.scenario.length;
        let mut put = |name, value: f64| outcome.0.push((name, value));
        let wire: u64 = passages.iter().map(|passage| passage.bytes).sum();
        let carries = self.scenario.down.carries(Duration::ZERO, length, self.ceiling);
        put("mbps", wire as f64 * 8.0 / length.as_secs_f64() / 1e6);
        put("use", wire as f64 / carries.max(1) as f64 * 100.0);
        let waits = sorted(passages.iter().map(|passage| passage.waited));
        put("queue95", percentile(&waits, 95));
        let latency = ages(&served.captured, shown);
        for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)] {
            put(name, percentile(&latency, percent));
        }
        let units = served.encoded.units.max(1) as f64;
        put("shown", shown.len() as f64 / units * 100.0);
        let due = length.as_secs_f64() * f64::from(FPS);
        put("due", shown.len() as f64 / due * 100.0);
        put("skipped", served.skipped as f64 / due * 100.0);
        put("fps", shown.len() as f64 / length.as_secs_f64());
        let round_trip = self.scenario.down.start.delay + self.scenario.up.start.delay;
        let gaps: Vec<_> = shown.windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
        let frozen = |gap: &&Duration| **gap > INTERVAL + round_trip + INTERVAL * 2;
        put("freezes", gaps.iter().filter(frozen).count() as f64);
        // Where nothing came there are no gaps either.
        let never = if gaps.is_empty() { f64::INFINITY } else { 0.0 };
        put("freeze95", rank(&freezes(&gaps), 95).unwrap_or(never));
        let gaps = sorted(gaps.into_iter());
        put("gap95", percentile(&gaps, 95));
        put("longest", percentile(&gaps, 100));
        let Encoded { keyframes, resizes, .. } = served.encoded;
        put("keys", keyframes.saturating_sub(1 + resizes) as f64);
        put("resizes", resizes as f64);
        put("recoveries", served.encoded.recoveries as f64);
        let encoded = served.encoded.bytes.max(1) as f64;
        put("overhead", (session.offered as f64 / encoded - 1.0) * 100.0);
    }

    fn bytes(&self, passages: &[Passage], within: &std::ops::Range<Duration>) -> u64 {
        let within = |passage: &&Passage| within.contains(&passage.at.since(self.begin));
        passages.iter().filter(within).map(|passage| passage.bytes).sum()
    }

    /// Where the rate falls once and rises once: how long until the queue is gone, and until the link is
    /// full again, in milliseconds.
    fn steps(&self, passages: &[Passage], outcome: &mut Outcome) {
        let script = &self.scenario.down;
        let [(fall, low), (rise, high)] = &script.steps[..] else { return };
        if low.rate >= script.start.rate {
            return;
        }
        let (fall, rise) = (self.begin + *fall, self.begin + *rise);
        let held =
            |from: MediaTime| passages.iter().filter(move |p| p.at >= from && p.at < from + HOLD);
        let steps = |from: MediaTime, until: MediaTime| {
            (0..)
                .map(move |n| from + Duration::from_millis(20) * n)
                .take_while(move |at| *at < until)
        };
        let millis = |at: Option<MediaTime>, from: MediaTime| {
            at.map_or(f64::INFINITY, |at| at.since(from).as_secs_f64() * 1e3)
        };
        let queue = passages.iter().find(|p| p.at >= fall && p.waited > CALM).map(|p| p.at);
        let calm = match queue {
            None => Some(fall),
            Some(first) => steps(first, rise).find(|at| held(*at).all(|p| p.waited <= CALM)),
        };
        outcome.0.push(("calm after drop", millis(calm, fall)));
        let full = high.rate.scaled(0.9).bytes_in(HOLD);
        let end = self.begin + self.scenario.length;
        let risen = steps(rise, end).find(|at| held(*at).map(|p| p.bytes).sum::<u64>() >= full);
        outcome.0.push(("90 % after rise", millis(risen.map(|at| at + HOLD), rise)));
    }
}

/// How much later than due the next frame came wherever one or more were missed, in milliseconds, sorted.
fn freezes(gaps: &[Duration]) -> Vec<f64> {
    let missed = gaps.iter().filter(|gap| **gap >= INTERVAL * 2);
    sorted(missed.map(|gap| *gap - INTERVAL))
}

/// Jain's fairness index: one when all get the same.
fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    if squares == 0.0 { 0.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

/// How long after each frame of the source it was shown or a newer one was, in milliseconds, sorted. Frames
/// that never came so count with the time that their absence was seen for.
fn ages(captured: &[MediaTime], shown: &[Shown]) -> Vec<f64> {
    let mut ages: Vec<_> = captured
        .iter()
        .map(|captured| {
            let next = shown.partition_point(|shown| shown.captured < *captured);
            shown
                .get(next)
                .map_or(f64::INFINITY, |shown| shown.at.since(*captured).as_secs_f64() * 1e3)
        })
        .collect();
    ages.sort_unstable_by(f64::total_cmp);
    ages
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<f64> {
    let mut millis: Vec<_> = times.map(|time| time.as_secs_f64() * 1e3).collect();
    millis.sort_unstable_by(f64::total_cmp);
    millis
}

/// In milliseconds; infinite where there is nothing.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    rank(sorted, percent).unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_one_when_all_get_the_same() {
        assert!((jain(&[5, 5]) - 1.0).abs() < 1e-9);
        assert!((jain(&[10, 0]) - 0.5).abs() < 1e-9);
        assert_eq!(jain(&[0, 0]), 0.0);
    }

    #[test]
    fn a_freeze_is_what_a_gap_is_longer_than_it_should_be() {
        let gaps = [10, 17, 30, 50, 116, 34].map(Duration::from_millis);
        let freezes: Vec<_> = freezes(&gaps).iter().map(|millis| millis.round()).collect();
        assert_eq!(freezes, [17.0, 33.0, 99.0], "one that came early or jittered is none");
    }

    #[test]
    fn a_frame_that_never_came_is_as_old_as_the_next_that_did() {
        let ms = MediaTime::from_millis;
        let captured = [0, 16, 32, 48].map(ms);
        let shown =
            [(0, 20), (32, 60)].map(|(captured, at)| Shown { captured: ms(captured), at: ms(at) });
        assert_eq!(ages(&captured, &shown), [20.0, 28.0, 44.0, f64::INFINITY]);
    }

    #[test]
    fn a_queue_that_ends_and_a_rate_that_returns_are_timed() {
        let scenario = Scenario::named("step", Duration::from_secs(9)).unwrap();
        let begin = MediaTime::from_millis(100);
        let course = Course { scenario: &scenario, ceiling: Bitrate::from_mbps(30), begin };
        // A packet a millisecond; it waits for 400 ms after the drop; the rate is back after 1 s.
        let passages: Vec<_> = (0..9_000)
            .map(|n| {
                let at = begin + Duration::from_millis(n);
                let waited =
                    Duration::from_millis(if (3_000..3_400).contains(&n) { 80 } else { 2 });
                let bytes = if (3_000..7_000).contains(&n) { 400 } else { 2_500 };
                Passage { route: 0, sent: at, at, waited, bytes }
            })
            .collect();
        let mut outcome = Outcome::default();
        course.steps(&passages, &mut outcome);
        let [(_, calm), (_, risen)] = outcome.0[..] else { panic!("two figures") };
        assert!((400.0..=420.0).contains(&calm), "{calm}");
        assert!((1_400.0..=1_500.0).contains(&risen), "{risen}");
    }

    #[tokio::test]
    async fn what_fails_is_begun_anew_so_often_and_counted() {
        let fails = async |number: u32| match number {
            2 => Ok("connected"),
            _ => Err(anyhow::anyhow!("lost")),
        };
        assert_eq!(again(3, fails).await.unwrap(), ("connected", 2));
        assert_eq!(again(2, fails).await.unwrap_err().to_string(), "lost");
    }
}
