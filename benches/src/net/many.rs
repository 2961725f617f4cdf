//! Many at once, on loopback and without an emulated network: viewers of one session, and sessions' streams
//! from one process.
//!
//! Server and clients are in one process on runtimes of their own, whose threads have names: what the server's
//! network threads use is told apart by them, and the source's and the encoder's threads have others. The
//! clients take packets and throw them away, so that they cost little beside what they are there to measure.

use std::future::poll_fn;
use std::io::{Write as _, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use media::{Bitrate, Clock, Codec, TrackId, Transport, TransportEvent};
use serde_json::json;
use server::apps::App;
use server::config::Config;
use server::encoders::Probing;
use server::node::Node;
use server::saves::Begins;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use transport::{Answer, MediaPort, PortConfig, WebRtc, WebRtcConfig};
use webrtc::peer_connection::RTCPeerConnectionState;

use super::apps::Pattern;
use super::args::Args;
use super::client::{self, Arrived, Client, Wish};
use super::encoder::Encoder;
use super::table;
use super::targets::Verdict;
use super::threads::thread_time;

/// The source's frames a second.
const FPS: u32 = 30;
/// Time between two of them.
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / FPS as u64);
/// What each stream has of 1280x720, in kbit/s: fifty of them are what two cores can also receive.
const KBPS: u64 = 1_500;
/// Streams that must be carried.
const STREAMS: usize = 12;
/// Numbers of streams that are tried, until one is too many.
const STEPS: [usize; 6] = [STREAMS, 16, 24, 32, 48, 64];
/// Part of all frames that must arrive whole so that a number of streams counts as carried.
const CARRIED: f64 = 0.99;
/// Times that each frame that is due may be worked on: one, and one more frame at either end of what is measured.
const ONCE: f64 = 1.02;
/// Percent of all units that viewers must be given.
const GIVEN: f64 = 99.0;
/// Between the last connection and the measurement.
pub(super) const SETTLE: Duration = Duration::from_secs(3);
/// How long something may take that takes moments.
const PATIENCE: Duration = Duration::from_secs(60);
/// Names of the two runtimes' threads.
pub(super) const SERVER: &str = "net";
pub(super) const CLIENTS: &str = "clients";

pub(super) fn runtime(name: &str) -> Result<Runtime> {
    let built = Builder::new_multi_thread().thread_name(name).enable_all().build();
    built.context("cannot start a runtime")
}

/// Sends this many viewers one session, and compares with one viewer and with none.
pub(crate) fn viewers(args: &Args) -> Result<Vec<Verdict>> {
    let (server, clients) = (runtime(SERVER)?, runtime(CLIENTS)?);
    let mut out = stdout().lock();
    writeln!(
        out,
        "\nviewers of one session, 1280x720 at {FPS}, {KBPS} kbit/s each, WebRTC on loopback"
    )?;
    writeln!(
        out,
        "{:>8} {:>14} {:>14} {:>10} {:>10} {:>10} {:>12} {:>8} {:>10}",
        "viewers",
        "CPU ms/s",
        "a viewer",
        "captured",
        "converted",
        "encoded",
        "units sent",
        "given %",
        "keyframes"
    )?;
    let mut rounds = Vec::new();
    for count in [0, 1, args.viewers()] {
        table::progress(&format!("{count} viewers"));
        let round = round(&server, &clients, count, args.many_length())?;
        let alone = rounds.first().map_or(0.0, |first: &Round| first.cpu);
        let each = if count == 0 { 0.0 } else { (round.cpu - alone) / count as f64 };
        let Round { cpu, captured, converted, encoded, units, keyframes, .. } = round;
        let given = round.given(count);
        writeln!(
            out,
            "{count:>8} {cpu:>14.1} {each:>14.2} {captured:>10} {converted:>10} {encoded:>10} {units:>12} {given:>8.1} {keyframes:>10}",
        )?;
        rounds.push(round);
    }
    let [alone, one, many] = &rounds[..] else { bail!("a round is missing") };
    Ok(judge(alone, one, many, args.viewers()))
}

/// What so many viewers may cost more than one, and what they are given.
fn judge(alone: &Round, one: &Round, many: &Round, viewers: usize) -> Vec<Verdict> {
    let verdict = |what: &str, at_least, bound, measured| Verdict {
        what: format!("{viewers} viewers: {what}"),
        at_least,
        bound,
        measured,
    };
    let due = many.seconds * f64::from(FPS);
    let of_due = |what, frames: u64| verdict(what, false, ONCE, frames as f64 / due);
    let of_many = (many.cpu - alone.cpu) / viewers as f64;
    vec![
        of_due("captures of a due frame", many.captured),
        of_due("conversions of a due frame", many.converted),
        of_due("encodes of a due frame", many.encoded),
        verdict("frames of those due", true, 0.95, many.encoded as f64 / due),
        verdict("units given, %", true, GIVEN, many.given(viewers)),
        verdict("CPU ms/s a viewer, as of a single one", false, one.cpu - alone.cpu, of_many),
    ]
}

/// What was counted while so many watched.
struct Round {
    /// How long.
    seconds: f64,
    /// Milliseconds of a core that the server's network threads used a second.
    cpu: f64,
    captured: u64,
    converted: u64,
    encoded: u64,
    units: u64,
    keyframes: u64,
}

impl Round {
    /// Units that so many viewers were given, of all, in percent: those whose clients do not keep up are passed over.
    fn given(&self, viewers: usize) -> f64 {
        match viewers {
            0 => 100.0,
            _ => 1e2 * self.units as f64 / (self.encoded * viewers as u64) as f64,
        }
    }
}

fn round(server: &Runtime, clients: &Runtime, count: usize, length: Duration) -> Result<Round> {
    let node = server.block_on(async { open() })?;
    let wish = json!({
        "app": "pattern",
        "video": {"width": 1280, "height": 720, "fps": FPS, "max_kbps": KBPS},
    });
    let (session, _) = server.block_on(async {
        node.wished(serde_json::from_value(wish)?)
            .and_then(|wished| node.create_session(wished, Begins::Afresh))
            .map_err(refused)
    })?;
    // The session goes on when a player's runtime does not: each is kept to the end.
    let mut kept = Vec::new();
    let mut join = |handle: &server::registry::Handle| -> Result<()> {
        let (mut client, offer) = clients.block_on(Client::offer(Wish::PLAYER));
        let answer = server.block_on(handle.connect(offer, None))?;
        clients.block_on(async {
            let (sdp, codec) = (answer.sdp, Codec::H264);
            client.accept(&Answer { sdp, codec, video_tracks: 1, data_channels: false }).await;
            client.state(RTCPeerConnectionState::Connected).await;
        });
        let frames = Arc::<AtomicU64>::default();
        clients.spawn(count_frames(client, frames.clone()));
        kept.push(frames);
        Ok(())
    };
    join(&session.handle)?;
    let invitation =
        node.invite(&session.id, &serde_json::from_value(json!({"role": "spectator"}))?);
    let (_, link) = invitation.map_err(refused)?;
    for _ in 0..count {
        let (viewer, _) = server.block_on(async { node.join(&link) }).map_err(refused)?;
        join(&viewer.handle)?;
    }
    let seen = || kept.iter().all(|frames| frames.load(Ordering::Relaxed) > 0);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !seen() {
        if std::time::Instant::now() > deadline {
            bail!("not everybody got a picture");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(SETTLE);
    let look = || {
        let metrics = &node.metrics;
        let counts = [
            metrics.frames_captured.get(),
            metrics.frames_converted.get(),
            metrics.frames_encoded.get(),
            metrics.viewer_units_sent.get(),
            metrics.keyframes.get(),
        ];
        Ok::<_, anyhow::Error>((thread_time(SERVER)?, std::time::Instant::now(), counts))
    };
    let (cpu, began, before) = look()?;
    std::thread::sleep(length);
    let (cpu_after, ended, after) = look()?;
    let seconds = (ended - began).as_secs_f64();
    let [captured, converted, encoded, units, keyframes] =
        std::array::from_fn(|index| after[index] - before[index]);
    server.block_on(node.shut_down(PATIENCE));
    let cpu = (cpu_after - cpu).as_secs_f64() * 1e3 / seconds;
    Ok(Round { seconds, cpu, captured, converted, encoded, units, keyframes })
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(problem: server::http::Problem) -> anyhow::Error {
    anyhow::anyhow!("the node refused: {problem:?}")
}

fn open() -> Result<Arc<Node>> {
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.webrtc.udp_port = 0;
    config.access.open = true;
    config.sessions.max_viewers = 1_000;
    config.sessions.viewers = 1_000;
    let apps = [Arc::new(Pattern { id: "pattern", title: "Pattern", moves: true }) as Arc<dyn App>];
    Node::with_apps(config, None, apps, Probing::in_process())
}

/// Counts frames by their last packets until the connection is over.
async fn count_frames(mut client: Client, frames: Arc<AtomicU64>) {
    while let Some(arrived) = client.arrived.recv().await {
        if matches!(&arrived, Arrived::Packet(packet) if packet.header.marker) {
            frames.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many streams one process carries, of units that were coded before.
pub(crate) fn streams(args: &Args) -> Result<Vec<Verdict>> {
    let (server, clients) = (runtime(SERVER)?, runtime(CLIENTS)?);
    let mut out = stdout().lock();
    writeln!(
        out,
        "\nstreams of one process, 1280x720 at {FPS}, {KBPS} kbit/s each, coded before, WebRTC on loopback"
    )?;
    writeln!(out, "{:>8} {:>10} {:>10} {:>14}", "streams", "sent %", "whole %", "CPU ms/s")?;
    let mut carried = 0;
    for count in STEPS {
        table::progress(&format!("{count} streams"));
        let [sent, whole, cpu] = carry(&server, &clients, count, args.many_length())?;
        writeln!(out, "{count:>8} {:>10.1} {:>10.1} {cpu:>14.1}", sent * 1e2, whole * 1e2)?;
        if whole < CARRIED {
            break;
        }
        carried = count;
    }
    Ok(vec![Verdict {
        what: "streams that one process carries".into(),
        at_least: true,
        bound: STREAMS as f64,
        measured: carried as f64,
    }])
}

/// Frames of one stream.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) due: AtomicU64,
    sent: AtomicU64,
}

/// Parts of the frames that were due which were sent and which came whole, and what that took.
fn carry(server: &Runtime, clients: &Runtime, count: usize, length: Duration) -> Result<[f64; 3]> {
    let port = server.block_on(async {
        MediaPort::open(PortConfig { loopback: true, ..PortConfig::new(Vec::new()) })
    })?;
    let certificate = transport::Certificate::generate()?;
    let clock = client::MonotonicClock::shared();
    let (stop, stopped) = watch::channel(());
    let (mut all, mut tasks) = (Vec::new(), Vec::new());
    for seed in 0..count {
        let (mut client, offer) = clients.block_on(Client::offer(Wish::PLAYER));
        let config = WebRtcConfig::new(port.clone(), certificate.clone());
        let (transport, answer) = server.block_on(WebRtc::answer(&offer, config, clock.clone()))?;
        clients.block_on(client.accept(&answer));
        let (frames, counts) = (Arc::<AtomicU64>::default(), Arc::<Counts>::default());
        let (clock, theirs, stopped) = (clock.clone(), counts.clone(), stopped.clone());
        tasks.push(server.spawn(async move {
            send(
                Box::new(transport),
                clock,
                (Bitrate::from_kbps(KBPS), INTERVAL),
                seed as u64,
                &theirs,
                stopped,
            )
            .await
        }));
        clients.block_on(client.state(RTCPeerConnectionState::Connected));
        clients.spawn(count_frames(client, frames.clone()));
        all.push((frames, counts));
    }
    std::thread::sleep(SETTLE);
    let sum = || {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let mut sums = [0; 3];
        for (frames, counts) in &all {
            sums[0] += read(&counts.due);
            sums[1] += read(&counts.sent);
            sums[2] += read(frames);
        }
        sums
    };
    let (cpu, began, before) = (thread_time(SERVER)?, std::time::Instant::now(), sum());
    std::thread::sleep(length);
    let (cpu_after, after) = (thread_time(SERVER)?, sum());
    let passed = began.elapsed().as_secs_f64();
    drop(stop);
    for task in tasks {
        server.block_on(task)??;
    }
    // What the clock says was due, whether the process found the time for it or not.
    let due = (passed * f64::from(FPS) * count as f64).max((after[0] - before[0]) as f64);
    let part = |index: usize| (after[index] - before[index]) as f64 / due;
    Ok([part(1), part(2), (cpu_after - cpu).as_secs_f64() * 1e3 / passed])
}

/// Sends a stream from when the client is there until nobody is left who could say stop.
pub(super) async fn send(
    mut transport: Box<dyn Transport>,
    clock: Arc<dyn Clock>,
    (rate, interval): (Bitrate, Duration),
    seed: u64,
    counts: &Counts,
    mut stop: watch::Receiver<()>,
) -> Result<()> {
    let mut encoder = Encoder::new(interval, rate, seed);
    transport.set_pacing(rate.scaled(4.0));
    let mut sink = transport.video_sink(TrackId(0));
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut connected = false;
    loop {
        tokio::select! {
            event = poll_fn(|cx| transport.poll_event(cx)) => match event {
                TransportEvent::Connected { .. } => connected = true,
                TransportEvent::KeyframeNeeded(_) => encoder.keyframe(),
                TransportEvent::FramesLost(_, lost) => encoder.forget(&lost),
                TransportEvent::FrameSent { .. } => {
                    counts.sent.fetch_add(1, Ordering::Relaxed);
                }
                TransportEvent::Closed(reason) => bail!("a stream ended: {reason}"),
                _ => {}
            },
            _ = ticks.tick(), if connected => {
                counts.due.fetch_add(1, Ordering::Relaxed);
                if sink.is_ready() {
                    let unit = encoder.encode(clock.now());
                    let frame = unit.frame;
                    if sink.send(unit).is_err() {
                        encoder.forget(&(frame..=frame));
                    }
                }
            }
            _ = stop.changed() => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_for_each_viewer_or_not_given_to_them_is_missed() {
        let round = |cpu, [captured, converted, encoded]: [u64; 3], units| Round {
            seconds: 10.0,
            cpu,
            captured,
            converted,
            encoded,
            units,
            keyframes: 0,
        };
        let (alone, one) = (round(10.0, [300; 3], 0), round(15.0, [300; 3], 300));
        let missed = |cpu, frames, units| {
            let missed = judge(&alone, &one, &round(cpu, frames, units), 50).into_iter();
            let missed = missed.filter(|verdict| !verdict.is_met());
            missed.map(|it| it.what.replace("50 viewers: ", "")).collect::<Vec<_>>()
        };
        assert!(missed(260.0, [302, 302, 300], 15_000).is_empty());
        let many = ["captures of a due frame", "conversions of a due frame"];
        assert_eq!(missed(260.0, [15_000, 15_000, 300], 15_000), many);
        let coded = ["encodes of a due frame"];
        assert_eq!(missed(260.0, [300, 300, 600], 30_000), coded);
        assert_eq!(missed(260.0, [300; 3], 14_000), ["units given, %"]);
        assert_eq!(missed(261.0, [300; 3], 15_000), ["CPU ms/s a viewer, as of a single one"]);
    }
}
