//! What each transport takes on loopback, without an emulated network: how long connecting is, and the
//! server's time on a processor for each megabit.
//!
//! Server and clients run apart as in `many.rs`. The transports take turns, so that what else the machine does meets
//! both.

use std::io::{Write as _, stdout};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use media::webtransport::FrameHeader;
use media::{BitDepth, Bitrate, Clock, Codec, Transport};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use transport::webtransport::{
    Certificates, ConnectionConfig, Deadlines, Endpoint, EndpointConfig,
};
use transport::{MediaPort, PortConfig, WebRtc, WebRtcConfig};
use webrtc::peer_connection::RTCPeerConnectionState;

use super::args::Args;
use super::client::{Arrived, Client, Wish};
use super::figures::{median, rank};
use super::many::{self, CLIENTS, Counts, SERVER, SETTLE};
use super::quic_client::{self, Manners};
use super::session::INTERVAL;
use super::table;
use super::targets::Verdict;
use super::threads::thread_time;

/// Times that each transport connects.
const CONNECTS: usize = 25;
/// Turns of each transport at carrying a stream.
const TURNS: usize = 5;
/// What is carried.
const RATE: Bitrate = Bitrate::from_mbps(20);
/// The least deadline of a frame, as the node has it.
const LEAST_DEADLINE: Duration = Duration::from_millis(100);

/// A transport that is connected, with what its client has taken.
struct Wire {
    server: Box<dyn Transport>,
    /// Bytes of units, and how many came whole.
    taken: Arc<[AtomicU64; 2]>,
    /// From the client's first step until it is connected.
    connected: Duration,
    /// Closed after the connection.
    _endpoint: Option<Endpoint>,
}

/// The node's ends, which are open before anybody connects.
struct Ends {
    server: Runtime,
    clients: Runtime,
    clock: Arc<dyn Clock>,
    port: Arc<MediaPort>,
    identity: transport::Certificate,
    certificates: Certificates,
}

/// How a transport connects.
type Connect = fn(&Ends) -> Result<Wire>;

/// Name, way to connect, and how long that may take in milliseconds.
const TRANSPORTS: [(&str, Connect, f64); 2] =
    [("webrtc", Ends::webrtc, 100.0), ("quic", Ends::quic, 30.0)];

/// Measures and prints both.
pub(crate) fn wires(args: &Args) -> Result<Vec<Verdict>> {
    let ends = Ends::open()?;
    let mut out = stdout().lock();
    writeln!(
        out,
        "\ntransports on loopback: {CONNECTS} connections each; {TURNS} turns each of {RATE} at 60 frames a second"
    )?;
    writeln!(
        out,
        "{:>8} {:>14} {:>14} {:>10} {:>10} {:>18}",
        "over", "connect p50", "connect p95", "whole %", "Mbit/s", "CPU ms a Mbit"
    )?;
    let (mut connects, mut turns) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    table::progress("connections");
    for _ in 0..CONNECTS {
        for (index, (_, connect, _)) in TRANSPORTS.into_iter().enumerate() {
            let wire = connect(&ends)?;
            connects[index].push(wire.connected.as_secs_f64() * 1e3);
            // What it holds is bound to the runtime.
            ends.server.block_on(async { drop(wire) });
        }
    }
    for turn in 1..=TURNS {
        for (index, (name, connect, _)) in TRANSPORTS.into_iter().enumerate() {
            table::progress(&format!("{RATE} over {name}, turn {turn}"));
            turns[index].push(ends.carry(connect(&ends)?, turn as u64, args.many_length())?);
        }
    }
    let mut verdicts = Vec::new();
    let mut costs = Vec::new();
    for (index, (name, _, bound)) in TRANSPORTS.into_iter().enumerate() {
        connects[index].sort_unstable_by(f64::total_cmp);
        let [p50, p95] = [50, 95].map(|of| rank(&connects[index], of).unwrap_or(f64::INFINITY));
        let [whole, rate, cost] = std::array::from_fn(|figure| {
            let mut values: Vec<_> =
                turns[index].iter().map(|turn: &[f64; 3]| turn[figure]).collect();
            values.sort_unstable_by(f64::total_cmp);
            median(&values).unwrap_or(f64::INFINITY)
        });
        writeln!(
            out,
            "{name:>8} {p50:>14.1} {p95:>14.1} {:>10.1} {rate:>10.1} {cost:>18.2}",
            whole * 1e2
        )?;
        verdicts.push(at_most(format!("connect over {name}, p50"), bound, p50));
        // Or the cost would be that of losing them.
        let what = format!("whole over {name}, %");
        verdicts.push(Verdict { what, at_least: true, bound: 99.0, measured: whole * 1e2 });
        costs.push(cost);
    }
    let what = "CPU ms a Mbit over quic, as over webrtc".into();
    verdicts.push(at_most(what, costs[0], costs[1]));
    Ok(verdicts)
}

fn at_most(what: String, bound: f64, measured: f64) -> Verdict {
    Verdict { what, at_least: false, bound, measured }
}

impl Ends {
    fn open() -> Result<Self> {
        let server = many::runtime(SERVER)?;
        let port = server.block_on(async {
            MediaPort::open(PortConfig { loopback: true, ..PortConfig::new(Vec::new()) })
        })?;
        Ok(Self {
            server,
            clients: many::runtime(CLIENTS)?,
            clock: super::client::MonotonicClock::shared(),
            port,
            identity: transport::Certificate::generate()?,
            certificates: Certificates::own(SystemTime::now())?,
        })
    }

    fn webrtc(&self) -> Result<Wire> {
        let begun = Instant::now();
        let (mut client, offer) = self.clients.block_on(Client::offer(Wish::PLAYER));
        let config = WebRtcConfig::new(self.port.clone(), self.identity.clone());
        let answered = WebRtc::answer(&offer, config, self.clock.clone());
        let (server, answer) = self.server.block_on(answered)?;
        self.clients.block_on(async {
            client.accept(&answer).await;
            client.state(RTCPeerConnectionState::Connected).await;
        });
        let connected = begun.elapsed();
        let taken = Arc::<[AtomicU64; 2]>::default();
        let counts = taken.clone();
        self.clients.spawn(async move {
            while let Some(arrived) = client.arrived.recv().await {
                if let Arrived::Packet(packet) = arrived {
                    counts[0].fetch_add(packet.payload.len() as u64, Ordering::Relaxed);
                    counts[1].fetch_add(packet.header.marker.into(), Ordering::Relaxed);
                }
            }
        });
        Ok(Wire { server: Box::new(server), taken, connected, _endpoint: None })
    }

    fn quic(&self) -> Result<Wire> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let endpoint = self.server.block_on(async {
            Endpoint::open(
                socket,
                EndpointConfig::default(),
                &self.certificates,
                self.clock.clone(),
            )
        })?;
        let url = format!("https://{}/wt/bench?ticket=bench", endpoint.local_addr()?);
        let config = ConnectionConfig {
            codec: Codec::H264,
            depth: BitDepth::Eight,
            deadlines: Deadlines::of_interval(INTERVAL, LEAST_DEADLINE),
            pacing: None,
        };
        let hashes = self.certificates.hashes();
        let begun = Instant::now();
        let client = self.clients.spawn(async move {
            let client = quic_client::Client::connect(&url, &hashes, &Manners::default()).await?;
            Ok::<_, anyhow::Error>((client, begun.elapsed()))
        });
        let server = self.server.block_on(async {
            let request = endpoint.request().await.context("the endpoint closed")?;
            Ok::<_, anyhow::Error>(request.accept(config, self.clock.clone()).await?)
        })?;
        let (mut client, connected) = self.clients.block_on(client)??;
        self.clients.block_on(client.open_control());
        let taken = Arc::<[AtomicU64; 2]>::default();
        let counts = taken.clone();
        self.clients.spawn(async move {
            while let Ok(stream) = client.connection.accept_uni().await {
                tokio::spawn(take(stream, counts.clone()));
            }
        });
        Ok(Wire { server: Box::new(server), taken, connected, _endpoint: Some(endpoint) })
    }

    /// Part of the frames that came whole, megabits a second that came, and the server's milliseconds for each.
    fn carry(&self, wire: Wire, seed: u64, length: Duration) -> Result<[f64; 3]> {
        let Wire { server, taken, _endpoint, .. } = wire;
        let (stop, stopped) = watch::channel(());
        let (clock, counts) = (self.clock.clone(), Arc::<Counts>::default());
        let theirs = counts.clone();
        let sending = self.server.spawn(async move {
            many::send(server, clock, (RATE, INTERVAL), seed, &theirs, stopped).await
        });
        std::thread::sleep(SETTLE);
        let look = || {
            let [bytes, whole] = [0, 1].map(|index| taken[index].load(Ordering::Relaxed));
            let due = counts.due.load(Ordering::Relaxed);
            Ok::<_, anyhow::Error>((thread_time(SERVER)?, Instant::now(), [bytes, whole, due]))
        };
        let (cpu, began, before) = look()?;
        std::thread::sleep(length);
        let (cpu_after, ended, after) = look()?;
        drop(stop);
        self.server.block_on(sending)??;
        let [bytes, whole, due] =
            std::array::from_fn(|index| (after[index] - before[index]) as f64);
        let megabits = bytes * 8.0 / 1e6;
        Ok([
            whole / due.max(1.0),
            megabits / (ended - began).as_secs_f64(),
            (cpu_after - cpu).as_secs_f64() * 1e3 / megabits,
        ])
    }
}

/// Reads a frame's stream to its end and throws it away.
async fn take(mut stream: wtransport::RecvStream, counts: Arc<[AtomicU64; 2]>) -> Option<()> {
    let mut header = [0; FrameHeader::LEN];
    stream.read_exact(&mut header).await.ok()?;
    let header = FrameHeader::decode(&header).ok()?;
    let mut unit = vec![0; header.bytes as usize];
    stream.read_exact(&mut unit).await.ok()?;
    counts[0].fetch_add(unit.len() as u64, Ordering::Relaxed);
    counts[1].fetch_add(1, Ordering::Relaxed);
    while let Ok(Some(_)) = stream.read(&mut [0]).await {}
    Some(())
}
