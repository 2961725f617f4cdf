//! A relay of UDP datagrams, and of connections of TCP, for real sockets and browsers, which treats them as a
//! [`Scenario`] says.
//!
//! ```text
//!  client ⇄ front socket ─┐                    ┌─ rear socket of that client ⇄ server
//!                         ├ up ──▶ Link ───────┤
//!                         └ down ◀─────── Link ┘
//! ```
//!
//! All routes share one pair of links, as sessions share the line of a household. A client is whoever
//! writes to a route's front; each gets a rear socket of its own, as behind a NAT, so that the server
//! tells them apart. Bulk transfers that compete are emulated inside ([`TcpFlow`]): a kernel's TCP would
//! need a device, and what it does to others is its window.
//!
//! One thread does all of it, woken by the kernel's clock to some 50 µs; wall time is read only here, from
//! the clock that the caller gives.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use media::{Clock, MediaTime};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::pipe::{self, PIECE, Piece, Pipe, Way};
use super::{Link, LinkCounts, Scenario, TcpFlow, TcpKind};

/// Bytes that IPv4 and UDP put before each datagram.
const HEADERS: u64 = 28;
/// Clients of one route; more are not served. A browser writes from a few sockets.
const CLIENTS: usize = 16;
/// Datagrams read from a socket before the others have their turn.
const TURN: usize = 64;
/// Bytes of an acknowledgement of TCP.
const TCP_ACK: u64 = 52;
/// The longest packet of a connection through here, in bytes.
const FULL: u64 = PIECE as u64 + pipe::HEADERS;
/// Passages that are remembered: a quarter of an hour at 20 Mbit/s.
const PASSAGES: usize = 2_000_000;

/// A datagram that reached a client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The route that it took, in the order of [`Relay::route`].
    pub route: usize,
    /// When it came from the server.
    pub sent: MediaTime,
    /// When it went on to the client.
    pub at: MediaTime,
    /// How long it waited before the bottleneck.
    pub waited: Duration,
    /// Its size with the headers of IP and UDP.
    pub bytes: u64,
}

/// What went through so far.
#[derive(Clone, Debug, Default)]
pub struct RelayCounts {
    /// From servers to clients.
    pub down: LinkCounts,
    /// From clients to servers.
    pub up: LinkCounts,
    /// Bytes of each route that came from its server, whatever became of them, with headers.
    pub offered: Vec<u64>,
    /// Bytes that each competing transfer delivered.
    pub tcp_delivered: Vec<u64>,
}

/// See the module. Stops when it is dropped.
#[derive(Debug)]
pub struct Relay {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    routes: usize,
}

#[derive(Debug)]
enum Command {
    Route(UdpSocket, SocketAddr),
    Stream(TcpListener, SocketAddr),
    Begin(Box<Scenario>),
    Compete(TcpKind),
    Stop,
}

#[derive(Debug, Default)]
struct Shared {
    counts: RelayCounts,
    passages: Vec<Passage>,
}

impl Relay {
    /// Starts a relay whose links are as `scenario` starts, until [`begin`](Self::begin).
    ///
    /// # Errors
    /// When the system gives no event or no thread.
    pub fn start(scenario: &Scenario, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (commands, inbox) = channel();
        let worker = Worker {
            clock,
            wake: wake.clone(),
            inbox,
            shared: shared.clone(),
            down: Link::new(scenario.down.start),
            up: Link::new(scenario.up.start),
            routes: Vec::new(),
            flows: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("relay".into()).spawn(|| worker.run())?;
        Ok(Self { commands, wake, shared, thread: Some(thread), routes: 0 })
    }

    /// Opens a route to `server`; yields the address that clients write to instead, on loopback.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub fn route(&mut self, server: SocketAddr) -> io::Result<SocketAddr> {
        let front = UdpSocket::bind((loopback(server), 0))?;
        front.set_nonblocking(true)?;
        let address = front.local_addr()?;
        self.routes += 1;
        self.tell(Command::Route(front, server));
        Ok(address)
    }

    /// The same for connections of TCP, one at a time. Links that lose end them (`pipe.rs`).
    ///
    /// # Errors
    /// When no socket can be opened.
    pub fn stream(&mut self, server: SocketAddr) -> io::Result<SocketAddr> {
        let front = TcpListener::bind((loopback(server), 0))?;
        front.set_nonblocking(true)?;
        let address = front.local_addr()?;
        self.routes += 1;
        self.tell(Command::Stream(front, server));
        Ok(address)
    }

    /// Lets the script of `scenario` begin now.
    pub fn begin(&self, scenario: &Scenario) {
        self.tell(Command::Begin(Box::new(scenario.clone())));
    }

    /// Starts a bulk transfer to a client, over the same links.
    pub fn compete(&self, kind: TcpKind) {
        self.tell(Command::Compete(kind));
    }

    /// What went through so far.
    pub fn counts(&self) -> RelayCounts {
        lock(&self.shared).counts.clone()
    }

    /// The datagrams that reached clients since this was last asked.
    pub fn take_passages(&self) -> Vec<Passage> {
        std::mem::take(&mut lock(&self.shared).passages)
    }

    fn tell(&self, command: Command) {
        // The thread is gone only after a panic of its own, which `drop` passes on.
        let _ = self.commands.send(command);
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        let ended = self.thread.take().map(JoinHandle::join);
        if let (Some(Err(panic)), false) = (ended, std::thread::panicking()) {
            std::panic::resume_unwind(panic);
        }
    }
}

fn loopback(server: SocketAddr) -> IpAddr {
    match server {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// What is on its way through a link.
#[derive(Clone, Debug)]
enum Item {
    Datagram { route: usize, client: usize, bytes: Vec<u8> },
    Piece { route: usize, piece: Piece },
    Tcp { flow: usize, number: u64 },
}

struct Route {
    kind: Kind,
    offered: u64,
}

enum Kind {
    Datagrams(Datagrams),
    Stream(Pipe),
}

struct Datagrams {
    front: UdpSocket,
    server: SocketAddr,
    clients: Vec<(SocketAddr, UdpSocket)>,
}

struct Worker {
    clock: Arc<dyn Clock>,
    wake: Arc<OwnedFd>,
    inbox: Receiver<Command>,
    shared: Arc<Mutex<Shared>>,
    down: Link<Item>,
    up: Link<Item>,
    routes: Vec<Route>,
    flows: Vec<TcpFlow>,
}

impl Worker {
    fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        while self.obey() {
            self.deliver();
            self.compete();
            self.wait();
            self.read(&mut buffer);
        }
    }

    /// Whether to go on.
    fn obey(&mut self) -> bool {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.wake, &mut count);
        while let Ok(command) = self.inbox.try_recv() {
            let now = self.clock.now();
            match command {
                Command::Route(front, server) => {
                    let way = Datagrams { front, server, clients: Vec::new() };
                    self.routes.push(Route { kind: Kind::Datagrams(way), offered: 0 });
                }
                Command::Stream(front, server) => {
                    let kind = Kind::Stream(Pipe::new(front, server));
                    self.routes.push(Route { kind, offered: 0 });
                }
                Command::Begin(scenario) => {
                    self.down.follow(now, &scenario.down);
                    self.up.follow(now, &scenario.up);
                }
                Command::Compete(kind) => self.flows.push(TcpFlow::new(kind)),
                Command::Stop => return false,
            }
        }
        true
    }

    /// Hands on what has arrived. A socket that takes nothing more loses it, as networks do.
    fn deliver(&mut self) {
        let now = self.clock.now();
        let mut shared = lock(&self.shared);
        while let Some(arrival) = self.down.receive(now) {
            let route = match arrival.item {
                Item::Datagram { route, client, bytes } => {
                    let Some(way) = Route::datagrams(&self.routes, route) else { continue };
                    let Some((address, _)) = way.clients.get(client) else { continue };
                    let _ = way.front.send_to(&bytes, address);
                    route
                }
                Item::Piece { route, piece } => {
                    let Some(pipe) = Route::pipe(&mut self.routes, route) else { continue };
                    pipe.arrived(piece);
                    route
                }
                Item::Tcp { .. } => {
                    self.up.send(now, TCP_ACK, arrival.item);
                    continue;
                }
            };
            if shared.passages.len() < PASSAGES {
                let (sent, waited, bytes) = (arrival.sent, arrival.waited, arrival.bytes);
                shared.passages.push(Passage { route, sent, at: now, waited, bytes });
            }
        }
        while let Some(arrival) = self.up.receive(now) {
            match arrival.item {
                Item::Datagram { route, client, bytes } => {
                    let Some(way) = Route::datagrams(&self.routes, route) else { continue };
                    let Some((_, rear)) = way.clients.get(client) else { continue };
                    let _ = rear.send(&bytes);
                }
                Item::Piece { route, piece } => {
                    let Some(pipe) = Route::pipe(&mut self.routes, route) else { continue };
                    pipe.arrived(piece);
                }
                Item::Tcp { flow, number } => {
                    if let Some(flow) = self.flows.get_mut(flow) {
                        flow.on_ack(now, number);
                    }
                }
            }
        }
        for route in &mut self.routes {
            if let Kind::Stream(pipe) = &mut route.kind {
                pipe.write();
            }
        }
        shared.counts.down = self.down.counts();
        shared.counts.up = self.up.counts();
        shared.counts.offered = self.routes.iter().map(|route| route.offered).collect();
        shared.counts.tcp_delivered = self.flows.iter().map(TcpFlow::delivered).collect();
    }

    fn compete(&mut self) {
        let now = self.clock.now();
        for (index, flow) in self.flows.iter_mut().enumerate() {
            flow.on_timeout(now);
            while let Some(number) = flow.poll_send(now) {
                self.down.send(now, TcpFlow::PACKET, Item::Tcp { flow: index, number });
            }
        }
    }

    /// Sleeps until something comes or is due.
    fn wait(&self) {
        let flows = self.flows.iter().filter_map(TcpFlow::poll_timeout);
        let due = [self.down.poll_timeout(), self.up.poll_timeout()].into_iter().flatten();
        let left = due.chain(flows).min().map(|due| due.since(self.clock.now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut all = Vec::new();
        for route in &self.routes {
            match &route.kind {
                Kind::Datagrams(way) => {
                    let sockets = way.clients.iter().map(|(_, rear)| rear).chain([&way.front]);
                    all.extend(
                        sockets.map(|at| PollFd::from_borrowed_fd(at.as_fd(), PollFlags::IN)),
                    );
                }
                Kind::Stream(pipe) => pipe.poll(|way| self.link(way).has_room(FULL), &mut all),
            }
        }
        all.push(PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN));
        // Interrupted or not, what is there is read next.
        let _ = poll(&mut all, timeout.as_ref());
    }

    fn read(&mut self, buffer: &mut [u8]) {
        let now = self.clock.now();
        let (down, up) = (&mut self.down, &mut self.up);
        for (index, Route { kind, offered }) in self.routes.iter_mut().enumerate() {
            match kind {
                Kind::Datagrams(way) => {
                    for (client, bytes) in way.of_clients(buffer) {
                        let length = bytes.len() as u64;
                        let item = Item::Datagram { route: index, client, bytes };
                        up.send(now, length + HEADERS, item);
                    }
                    for (client, bytes) in way.of_server(buffer) {
                        let length = bytes.len() as u64 + HEADERS;
                        let item = Item::Datagram { route: index, client, bytes };
                        *offered += length;
                        down.send(now, length, item);
                    }
                }
                Kind::Stream(pipe) => {
                    pipe.accept();
                    for (way, link) in [(Way::Down, &mut *down), (Way::Up, &mut *up)] {
                        while link.has_room(FULL) {
                            let Some(piece) = pipe.read(way, buffer) else { break };
                            let length = piece.len() as u64 + pipe::HEADERS;
                            if way == Way::Down {
                                *offered += length;
                            }
                            link.send(now, length, Item::Piece { route: index, piece });
                        }
                    }
                }
            }
        }
    }

    fn link(&self, way: Way) -> &Link<Item> {
        match way {
            Way::Down => &self.down,
            Way::Up => &self.up,
        }
    }
}

impl Route {
    fn datagrams(routes: &[Self], index: usize) -> Option<&Datagrams> {
        match &routes.get(index)?.kind {
            Kind::Datagrams(way) => Some(way),
            Kind::Stream(_) => None,
        }
    }

    fn pipe(routes: &mut [Self], index: usize) -> Option<&mut Pipe> {
        match &mut routes.get_mut(index)?.kind {
            Kind::Stream(pipe) => Some(pipe),
            Kind::Datagrams(_) => None,
        }
    }
}

impl Datagrams {
    /// What clients sent, each with its number.
    fn of_clients(&mut self, buffer: &mut [u8]) -> Vec<(usize, Vec<u8>)> {
        let mut all = Vec::new();
        for _ in 0..TURN {
            let Ok((length, from)) = self.front.recv_from(buffer) else { break };
            let Some(client) = self.client(from) else { continue };
            all.push((client, buffer[..length].to_vec()));
        }
        all
    }

    /// What the server sent to each of them.
    fn of_server(&self, buffer: &mut [u8]) -> Vec<(usize, Vec<u8>)> {
        let mut all = Vec::new();
        for (client, (_, rear)) in self.clients.iter().enumerate() {
            for _ in 0..TURN {
                let Ok(length) = rear.recv(buffer) else { break };
                all.push((client, buffer[..length].to_vec()));
            }
        }
        all
    }

    /// The client that writes from this address: known, or new while there is room.
    fn client(&mut self, from: SocketAddr) -> Option<usize> {
        if let Some(known) = self.clients.iter().position(|(address, _)| *address == from) {
            return Some(known);
        }
        if self.clients.len() == CLIENTS {
            return None;
        }
        let any: IpAddr = match self.server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let rear = UdpSocket::bind((any, 0)).ok()?;
        rear.connect(self.server).ok()?;
        rear.set_nonblocking(true).ok()?;
        self.clients.push((from, rear));
        Some(self.clients.len() - 1)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
