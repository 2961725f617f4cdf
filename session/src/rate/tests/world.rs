//! Sessions and other flows over one link in virtual time: sources, pacers, resends and reports as transports have
//! them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use media::{Bitrate, MediaTime, PathReport};
use testkit::Rng;
use testkit::net::{
    Fate, Link, LinkConfig, LinkCounts, Queue, Receiver, Scenario, Script, TcpFlow, TcpKind,
};

use crate::rate::{ClientLoad, RateAction, RateConfig, RateController};

/// Bytes of a packet, of which so many are headers.
const PACKET: u64 = 1_200;
const HEADERS: u64 = 40;
const STEP: Duration = Duration::from_millis(1);
/// A frame is spread over a quarter of its interval.
const PACING_FACTOR: f64 = 4.0;
/// From a loss to the resend, beside the round trip.
const NACK_AFTER: Duration = Duration::from_millis(10);
/// A frame that is older is not completed any more.
const RESEND_WITHIN: Duration = Duration::from_millis(200);
/// A packet is resent at most so often.
const RESENDS: u32 = 4;

#[derive(Clone, Copy, Debug)]
enum Packet {
    Media { flow: usize, number: u64, frame: Option<u64>, bytes: u64, resends: u32 },
    Tcp { flow: usize, number: u64 },
}

/// A frame that is not whole at the client yet.
struct Frame {
    captured: MediaTime,
    missing: u64,
    bytes: u64,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) captured: MediaTime,
    pub(super) latency: Duration,
}

/// One session.
pub(super) struct Session {
    pub(super) control: RateController,
    pub(super) starts: MediaTime,
    /// The source has no more to show than this.
    pub(super) needs: Bitrate,
    /// Time between two frames at full rate, and at that of now.
    full_interval: Duration,
    pub(super) interval: Duration,
    /// Padding is sent, so that in all so much is sent until then.
    probe: Option<(Bitrate, MediaTime)>,
    pub(super) pads: bool,
    owed: f64,
    /// Steps and probes that the controller asked for.
    pub(super) steps: Vec<(MediaTime, RateAction)>,
    pub(super) client: Client,
    next_frame: MediaTime,
    encoder: Bitrate,
    total: Bitrate,
    rng: Rng,
    frame: u64,
    under_way: BTreeMap<u64, Frame>,
    pacer: VecDeque<Packet>,
    credit: f64,
    resend: VecDeque<(MediaTime, Packet)>,
    number: u64,
    sizes: VecDeque<u64>,
    settled: u64,
    receiver: Receiver,
    feedback: Duration,
    next_report: MediaTime,
    back: Link<(u64, PathReport)>,
    /// Bytes that arrived in each millisecond.
    pub(super) arrived: Vec<u64>,
    pub(super) shown: Vec<Shown>,
    pub(super) captured: u64,
    /// When frames were skipped.
    pub(super) skips: Vec<MediaTime>,
    /// Of them those that the controller asked for.
    pub(super) control_skips: usize,
    /// The next frame is a keyframe, ten times as large.
    pub(super) next_is_large: bool,
}

/// How a client copes: nothing is read for `away` of every `period`, and a frame takes `decodes` to decode.
#[derive(Default)]
pub(super) struct Client {
    period: u64,
    away: u64,
    decodes: Duration,
    /// The transport sees what comes and what the client has not read of it, as QUIC does.
    is_seen: bool,
    /// Frames that lay unread, summed over so many steps.
    unread: (usize, usize),
    /// Packets that are not read, their bytes, when they were sent and when they came.
    held: VecDeque<(Packet, u64, MediaTime, MediaTime)>,
    waiting: VecDeque<MediaTime>,
    busy_until: MediaTime,
}

impl Client {
    /// Away for `away` of every `period` milliseconds; a frame takes `decodes`.
    pub(super) fn new(period: u64, away: u64, decodes: Duration) -> Self {
        Self { period, away, decodes, ..Self::default() }
    }

    /// The same, over a transport that has acknowledgements of its own.
    pub(super) fn seen(self) -> Self {
        Self { is_seen: true, ..self }
    }

    fn count_unread(&mut self) {
        let frames = self.held.iter().filter_map(|(packet, ..)| match packet {
            Packet::Media { frame, .. } => *frame,
            Packet::Tcp { .. } => None,
        });
        let (sum, steps) = self.unread;
        self.unread = (sum + frames.collect::<BTreeSet<_>>().len(), steps + 1);
    }

    fn is_away(&self, now: MediaTime) -> bool {
        self.period > 0 && now.as_micros() / 1_000 % self.period < self.away
    }

    /// Decodes what it has time for; how many frames wait.
    fn decode(&mut self, now: MediaTime) -> u8 {
        while let Some(came) = self.waiting.front().copied().filter(|_| self.busy_until <= now) {
            self.waiting.pop_front();
            self.busy_until = self.busy_until.max(came) + self.decodes;
        }
        u8::try_from(self.waiting.len()).unwrap_or(u8::MAX)
    }
}

struct Tcp {
    flow: TcpFlow,
    starts: MediaTime,
    acks: VecDeque<(MediaTime, u64)>,
    arrived: Vec<u64>,
}

/// See the module.
pub(super) struct World {
    link: Link<Packet>,
    up: Script,
    pub(super) now: MediaTime,
    pub(super) sessions: Vec<Session>,
    tcp: Vec<Tcp>,
    /// What a packet would wait at the bottleneck, each millisecond.
    pub(super) queue: Vec<Duration>,
}

impl World {
    pub(super) fn over(scenario: &Scenario) -> Self {
        Self {
            link: Link::scripted(&scenario.down),
            up: scenario.up.clone(),
            now: MediaTime::ZERO,
            sessions: Vec::new(),
            tcp: Vec::new(),
            queue: Vec::new(),
        }
    }

    pub(super) fn on(config: LinkConfig) -> Self {
        let up =
            LinkConfig { rate: Bitrate::from_mbps(1_000), queue: Queue::Bytes(u64::MAX), ..config };
        Self::over(&Scenario {
            name: "",
            about: "",
            length: Scenario::LENGTH,
            down: Script::steady(config),
            up: Script::steady(up),
        })
    }

    pub(super) fn with(mut self, feedback: Duration, starts: Duration, config: RateConfig) -> Self {
        let starts = MediaTime::ZERO + starts;
        let control = RateController::new(starts, config);
        let n = self.sessions.len() as u64;
        self.sessions.push(Session {
            encoder: control.encoder_target(),
            total: control.target(),
            control,
            starts,
            needs: Bitrate::from_mbps(1_000),
            full_interval: config.frame,
            interval: config.frame,
            probe: None,
            pads: true,
            owed: 0.0,
            steps: Vec::new(),
            client: Client::default(),
            next_frame: starts + Duration::from_millis(5) * self.sessions.len() as u32,
            rng: Rng::new(7 + n),
            frame: 0,
            under_way: BTreeMap::new(),
            pacer: VecDeque::new(),
            credit: 0.0,
            resend: VecDeque::new(),
            number: 0,
            sizes: VecDeque::new(),
            settled: 0,
            receiver: Receiver::default(),
            feedback,
            next_report: starts + feedback,
            back: Link::scripted(&self.up),
            arrived: Vec::new(),
            shown: Vec::new(),
            captured: 0,
            skips: Vec::new(),
            control_skips: 0,
            next_is_large: false,
        });
        self
    }

    pub(super) fn beside(mut self, kind: TcpKind, starts: Duration) -> Self {
        let starts = MediaTime::ZERO + starts;
        let flow = TcpFlow::new(kind);
        self.tcp.push(Tcp { flow, starts, acks: VecDeque::new(), arrived: Vec::new() });
        self
    }

    pub(super) fn change(&mut self, change: impl FnOnce(&mut LinkConfig)) {
        self.link.change(self.now, change);
    }

    pub(super) fn link_counts(&self) -> LinkCounts {
        self.link.counts()
    }

    pub(super) fn end_tcp(&mut self) {
        for tcp in &mut self.tcp {
            tcp.starts = MediaTime::from_nanos(u64::MAX);
        }
    }

    /// Frames of other sizes, at other times.
    pub(super) fn seeded(mut self, seed: u64) -> Self {
        for (n, session) in (0..).zip(&mut self.sessions) {
            session.rng = Rng::new(seed * 100 + n);
            session.next_frame =
                session.next_frame + Duration::from_micros(session.rng.below(16_000));
        }
        self
    }

    pub(super) fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            self.step();
            self.now = self.now + STEP;
        }
    }

    fn step(&mut self) {
        let now = self.now;
        for flow in 0..self.sessions.len() {
            self.sessions[flow].make_frame(flow, now);
            self.send_paced(flow);
        }
        for flow in 0..self.tcp.len() {
            let tcp = &mut self.tcp[flow];
            if now < tcp.starts {
                continue;
            }
            while let Some((_, number)) = tcp.acks.pop_front_if(|(at, _)| *at <= now) {
                tcp.flow.on_ack(now, number);
            }
            tcp.flow.on_timeout(now);
            while let Some(number) = tcp.flow.poll_send(now) {
                self.link.send(now, TcpFlow::PACKET, Packet::Tcp { flow, number });
            }
        }
        let millis = (now.as_micros() / 1_000) as usize;
        for arrived in self.sessions.iter_mut().map(|session| &mut session.arrived) {
            arrived.resize(millis + 1, 0);
        }
        for tcp in &mut self.tcp {
            tcp.arrived.resize(millis + 1, 0);
        }
        while let Some(arrival) = self.link.receive(now) {
            match arrival.item {
                Packet::Media { flow, number, frame, bytes, .. } => {
                    let session = &mut self.sessions[flow];
                    let held = (arrival.item, arrival.bytes, arrival.sent, arrival.at);
                    session.client.held.push_back(held);
                    if !session.client.is_away(now) && session.client.held.len() == 1 {
                        // Read at once: it came when it came.
                        session.client.held.clear();
                        session.read(number, bytes, frame, arrival.sent, arrival.at, millis);
                    }
                }
                Packet::Tcp { flow, number } => {
                    let tcp = &mut self.tcp[flow];
                    tcp.arrived[millis] += arrival.bytes;
                    tcp.acks.push_back((arrival.at + Duration::from_millis(20), number));
                }
            }
        }
        for session in &mut self.sessions {
            session.read_held(now, millis);
            session.report(now);
        }
        self.queue.push(self.link.queue_delay(now));
    }

    fn send_paced(&mut self, flow: usize) {
        let now = self.now;
        let session = &mut self.sessions[flow];
        while let Some((_, packet)) = session.resend.pop_front_if(|(at, _)| *at <= now) {
            if session.is_too_late(packet, now) {
                continue;
            }
            session.pacer.push_front(packet);
        }
        session.owe_padding(flow, now);
        let rate = session.total.scaled(PACING_FACTOR);
        let each = rate.bytes_in(STEP) as f64;
        session.credit = (session.credit + each).min(each.max(PACKET as f64));
        while session.credit > 0.0
            && let Some(packet) = session.pacer.pop_front()
        {
            let Packet::Media { frame, bytes, resends, .. } = packet else { continue };
            session.credit -= bytes as f64;
            session.owed -= bytes as f64;
            let number = session.number;
            session.number += 1;
            session.sizes.push_back(bytes);
            let is_last = resends == 0
                && !session.pacer.iter().any(
                    |next| matches!(next, Packet::Media { frame: of, resends: 0, .. } if *of == frame),
                );
            let sent = Packet::Media { flow, number, frame, bytes, resends };
            let fate = self.link.send(now, bytes, sent);
            if fate != Fate::Queued && resends < RESENDS {
                let wait = match self.link.queue_delay(now) {
                    Duration::MAX => Duration::from_millis(200),
                    wait => wait,
                };
                let due = now + wait + self.link.config().delay * 2 + NACK_AFTER;
                let again = Packet::Media { flow, number, frame, bytes, resends: resends + 1 };
                session.resend.push_back((due, again));
            }
            let whole = frame.filter(|_| is_last).and_then(|frame| session.under_way.get(&frame));
            if let Some(frame) = whole {
                session.control.on_sent(now, frame.bytes);
            }
        }
    }

    /// What arrived of a session between two times, as a rate.
    pub(super) fn rate(&self, session: usize, from: u64, to: u64) -> Bitrate {
        rate(&self.sessions[session].arrived, from, to)
    }

    pub(super) fn tcp_rate(&self, from: u64, to: u64) -> Bitrate {
        rate(&self.tcp[0].arrived, from, to)
    }

    /// Percentile of the queue between two times in milliseconds.
    pub(super) fn queue(&self, from: u64, to: u64, percent: f64) -> Duration {
        let mut sorted = self.queue[from as usize..(to as usize).min(self.queue.len())].to_vec();
        percentile(&mut sorted, percent)
    }
}

fn rate(arrived: &[u64], from: u64, to: u64) -> Bitrate {
    let bytes = arrived[from as usize..(to as usize).min(arrived.len())].iter().sum();
    Bitrate::of(bytes, Duration::from_millis(to - from))
}

pub(super) fn percentile(values: &mut [Duration], percent: f64) -> Duration {
    values.sort_unstable();
    let rank = (values.len() as f64 * percent / 100.0) as usize;
    values.get(rank.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

impl Session {
    /// Whether a packet is not worth resending any more.
    fn is_too_late(&self, packet: Packet, now: MediaTime) -> bool {
        let Packet::Media { frame: Some(frame), .. } = packet else { return true };
        let frame = self.under_way.get(&frame);
        frame.is_none_or(|frame| now.since(frame.captured) > RESEND_WITHIN)
    }

    /// Puts padding into the pacer for what a probe lacks.
    fn owe_padding(&mut self, flow: usize, now: MediaTime) {
        let Some((rate, until)) = self.probe else { return };
        if now >= until || !self.pads {
            self.probe = None;
            return;
        }
        self.owed = self.owed.max(-(PACKET as f64)) + rate.bytes_in(STEP) as f64;
        if !self.pacer.is_empty() {
            return;
        }
        for _ in 0..(self.owed / PACKET as f64) as u64 {
            let bytes = PACKET;
            self.pacer.push_back(Packet::Media { flow, number: 0, frame: None, bytes, resends: 0 });
        }
    }

    fn make_frame(&mut self, flow: usize, now: MediaTime) {
        if now < self.next_frame {
            return;
        }
        self.next_frame = self.next_frame + self.interval;
        self.captured += 1;
        let skips = self.control.skip_frame(now);
        self.control_skips += usize::from(skips);
        // The transport takes two frames.
        if skips || self.in_pacer() >= 2 {
            self.skips.push(now);
            return;
        }
        // The encoder's frames differ in size by 20 % around the mean.
        let scale = if std::mem::take(&mut self.next_is_large) { 10.0 } else { 1.0 };
        let bytes = (self.mean() as f64 * scale * (0.8 + 0.4 * self.rng.unit())) as u64;
        self.send_frame(flow, now, bytes);
    }

    fn in_pacer(&self) -> usize {
        let frames = self.pacer.iter().filter_map(|packet| match packet {
            Packet::Media { frame, resends: 0, .. } => *frame,
            _ => None,
        });
        frames.collect::<BTreeSet<_>>().len()
    }

    /// Part of the frames that were shown.
    pub(super) fn shown_part(&self) -> f64 {
        self.shown.len() as f64 / self.captured.max(1) as f64
    }

    fn mean(&self) -> u64 {
        self.encoder.min(self.needs).bytes_in(self.interval)
    }

    fn send_frame(&mut self, flow: usize, now: MediaTime, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let packets = bytes.div_ceil(PACKET - HEADERS);
        let frame = self.frame;
        self.frame += 1;
        self.under_way.insert(
            frame,
            Frame { captured: now, missing: packets, bytes: bytes + packets * HEADERS },
        );
        for n in 0..packets {
            let bytes = (bytes - n * (PACKET - HEADERS)).min(PACKET - HEADERS) + HEADERS;
            let frame = Some(frame);
            self.pacer.push_back(Packet::Media { flow, number: 0, frame, bytes, resends: 0 });
        }
    }

    fn came(&mut self, frame: Option<u64>, at: MediaTime) {
        let Some(number) = frame else { return };
        let Some(frame) = self.under_way.get_mut(&number) else { return };
        frame.missing -= 1;
        if frame.missing == 0 {
            let captured = frame.captured;
            self.under_way.remove(&number);
            if self.client.decodes > Duration::ZERO {
                self.client.waiting.push_back(at);
            }
            self.shown.push(Shown { captured, latency: at.since(captured) });
        }
    }

    fn read(
        &mut self,
        number: u64,
        bytes: u64,
        frame: Option<u64>,
        sent: MediaTime,
        at: MediaTime,
        millis: usize,
    ) {
        self.arrived[millis] += bytes;
        self.receiver.arrived(number, bytes, sent, at);
        self.came(frame, at);
    }

    fn read_held(&mut self, now: MediaTime, millis: usize) {
        while !self.client.is_away(now)
            && let Some((packet, bytes, sent, came)) = self.client.held.pop_front()
        {
            let Packet::Media { number, frame, .. } = packet else { continue };
            let at = if self.client.is_seen { came } else { now };
            self.read(number, bytes, frame, sent, at, millis);
        }
        self.client.count_unread();
    }

    fn report(&mut self, now: MediaTime) {
        if now < self.starts {
            return;
        }
        if self.client.decodes > Duration::ZERO && !self.client.is_away(now) {
            let decode_queue = Some(self.client.decode(now));
            if (now.as_micros() / 1_000).is_multiple_of(16) {
                let load = ClientLoad { decode_queue, ..ClientLoad::default() };
                self.control.on_client(now, load);
            }
        }
        if self.client.is_away(now) {
            self.next_report = self.next_report.max(now + STEP);
        }
        while self.next_report <= now {
            self.next_report = self.next_report + self.feedback;
            if let Some(report) = self.receiver.report() {
                self.back.send(now, 80, report);
            }
        }
        while let Some(arrival) = self.back.receive(now) {
            let (end, mut report) = arrival.item;
            let settles = end.saturating_sub(self.settled);
            self.settled += settles;
            report.sent_bytes = (0..settles).filter_map(|_| self.sizes.pop_front()).sum();
            report.at = arrival.at;
            if self.client.is_seen {
                let (sum, steps) = std::mem::take(&mut self.client.unread);
                report.unread_frames = Some(sum as f64 / steps.max(1) as f64);
            }
            self.control.on_report(&report);
        }
        while let Some(action) = self.control.poll(now) {
            match action {
                RateAction::Target { total, encoder } => {
                    (self.total, self.encoder) = (total, encoder);
                }
                RateAction::FrameRate(part) => {
                    self.interval = self.full_interval.div_f64(part.as_f64());
                    self.steps.push((now, action));
                }
                RateAction::Size(_) => self.steps.push((now, action)),
                RateAction::Probe { rate, length } => {
                    self.steps.push((now, action));
                    self.probe = Some((rate, now + length));
                }
            }
        }
    }

    /// Percentile of the latency of frames that were captured between two times in milliseconds.
    pub(super) fn latency(&self, from: u64, to: u64, percent: f64) -> Duration {
        let within = MediaTime::from_millis(from)..MediaTime::from_millis(to);
        let shown = self.shown.iter().filter(|shown| within.contains(&shown.captured));
        percentile(&mut shown.map(|shown| shown.latency).collect::<Vec<_>>(), percent)
    }
}
