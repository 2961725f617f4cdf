//! The sockets of the server, on one thread.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, io};

use media::{AudioError, AudioSource, Clock, Layout, MediaTime, Sound, VoiceSink, VoiceState};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::SoundStats;
use super::hub::Hub;

/// Bytes that are read of a client at once.
const READ: usize = 64 * 1024;
/// How long no connection is accepted when the process has no descriptor left for one.
const NO_DESCRIPTOR: Duration = Duration::from_millis(100);

/// A PulseAudio server for one session. Dropping it disconnects its clients and removes the socket.
pub struct SoundServer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

struct Shared {
    hub: Mutex<Hub>,
    clock: Arc<dyn Clock>,
    wake: OwnedFd,
    stop: AtomicBool,
}

impl Shared {
    fn hub(&self) -> MutexGuard<'_, Hub> {
        // A panic ends the thread; what it left is only read after that.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_layout(&self, layout: Layout) {
        self.hub().set_layout(layout);
        // Clients may have asked to be told.
        self.wake();
    }

    fn wake(&self) {
        // It fails only when the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl SoundServer {
    /// Listens on a socket at `path`, which may be connected to by all who reach it: its folder must be one that only
    /// the session reaches. `name` is the thread's, 15 bytes at most.
    ///
    /// # Errors
    /// When there is something at `path` or its folder is missing, or the system gives no socket or thread.
    pub fn listen(name: &str, path: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        // The game has a user of its own.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        let shared = Arc::new(Shared {
            hub: Mutex::new(Hub::new()),
            clock,
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            stop: AtomicBool::new(false),
        });
        let theirs = shared.clone();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _span = span.entered();
            if let Err(error) = run(&theirs, &listener) {
                tracing::error!(%error, "the session's sound server ended");
            }
            theirs.stop.store(true, Ordering::Release);
        })?;
        Ok(Self { shared, thread: Some(thread), path: path.to_owned() })
    }

    /// What is heard. There should be one: each takes away what it is asked for.
    pub fn source(&self) -> PulseSource {
        PulseSource { shared: self.shared.clone(), heard: Layout::Stereo, all: Vec::new() }
    }

    /// Whoever listens has these channels: games are offered as many. What they play in more is mixed down.
    pub fn set_layout(&self, layout: Layout) {
        self.shared.set_layout(layout);
    }

    /// Where the player's voice goes.
    pub fn microphone(&self) -> Microphone {
        Microphone { shared: self.shared.clone() }
    }

    /// What was done, and how it is now.
    pub fn stats(&self) -> SoundStats {
        self.shared.hub().stats()
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // It never blocks but in `poll`. A panic was told already.
            let _ = thread.join();
        }
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path.display(), "a socket is left behind");
        }
    }
}

/// What all clients of a server play.
pub struct PulseSource {
    shared: Arc<Shared>,
    /// The channels that the last block is heard in, and it in all of them where they are more than two.
    heard: Layout,
    all: Vec<f32>,
}

impl AudioSource for PulseSource {
    fn fill(&mut self, at: MediaTime, block: &mut [f32]) -> Result<Sound, AudioError> {
        if self.shared.stop.load(Ordering::Acquire) {
            return Err(AudioError("the sound server of the session has ended".into()));
        }
        let now = self.shared.clock.now();
        let (heard, has_news) = self.shared.hub().fill(at, block, &mut self.all, now);
        self.heard = heard;
        if has_news {
            self.shared.wake();
        }
        Ok(Sound::of(block))
    }

    fn set_layout(&mut self, layout: Layout) {
        self.shared.set_layout(layout);
    }

    fn surround(&self) -> Option<(Layout, &[f32])> {
        (self.heard != Layout::Stereo).then_some((self.heard, &self.all[..]))
    }
}

/// The microphone that a session's clients see. It is silent until it is on.
pub struct Microphone {
    shared: Arc<Shared>,
}

impl VoiceSink for Microphone {
    fn set_enabled(&self, enabled: bool) {
        self.shared.hub().microphone.set_enabled(enabled);
    }

    fn put(&self, samples: &[f32]) {
        self.shared.hub().microphone.put(samples);
    }

    fn state(&self) -> VoiceState {
        let hub = self.shared.hub();
        hub.microphone.state(hub.is_recording())
    }
}

struct Connection {
    client: u32,
    stream: UnixStream,
}

fn run(shared: &Shared, listener: &UnixListener) -> io::Result<()> {
    let mut connections: Vec<Connection> = Vec::new();
    let mut buffer = vec![0; READ];
    let mut accepts = true;
    while !shared.stop.load(Ordering::Acquire) {
        let ready = wait(shared, listener, &connections, accepts)?;
        if ready.woken {
            // Whatever its count was, it is dealt with below.
            let _ = rustix::io::read(&shared.wake, &mut [0_u8; 8]);
        }
        let now = shared.clock.now();
        for client in &ready.readable {
            let Some(at) = connections.iter().position(|other| other.client == *client) else {
                continue;
            };
            match connections[at].stream.read(&mut buffer) {
                Ok(0) => disconnect(shared, &mut connections, at),
                Ok(bytes) => shared.hub().received(*client, &buffer[..bytes], now),
                Err(error) if is_transient(&error) => {}
                Err(_) => disconnect(shared, &mut connections, at),
            }
        }
        accepts = accept(shared, listener, &mut connections);
        shared.hub().tick(now);
        flush(shared, &mut connections, now);
    }
    Ok(())
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

struct Ready {
    woken: bool,
    readable: Vec<u32>,
}

fn wait(
    shared: &Shared,
    listener: &UnixListener,
    connections: &[Connection],
    accepts: bool,
) -> io::Result<Ready> {
    let mut hub = shared.hub();
    let due = hub.due().map(|due| due.since(shared.clock.now()).max(Duration::from_millis(1)));
    let mut fds = vec![PollFd::new(&shared.wake, PollFlags::IN)];
    for connection in connections {
        let (reads, writes) = hub.wants(connection.client);
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, reads);
        flags.set(PollFlags::OUT, writes);
        fds.push(PollFd::from_borrowed_fd(connection.stream.as_fd(), flags));
    }
    drop(hub);
    let timeout = if accepts {
        fds.push(PollFd::new(listener, PollFlags::IN));
        due
    } else {
        Some(due.map_or(NO_DESCRIPTOR, |due| due.min(NO_DESCRIPTOR)))
    };
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let came = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
    let readable = fds[1..].iter().zip(connections);
    let readable = readable.filter(|(fd, _)| fd.revents().intersects(came));
    Ok(Ready {
        woken: !fds[0].revents().is_empty(),
        readable: readable.map(|(_, connection)| connection.client).collect(),
    })
}

/// Accepts who waits; whether that can go on at once.
fn accept(shared: &Shared, listener: &UnixListener, connections: &mut Vec<Connection>) -> bool {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nonblocking(true) {
                    tracing::warn!(%error, "a client of the session's sound is refused");
                    continue;
                }
                // One too many is closed, by which it knows that it was refused.
                if let Some(client) = shared.hub().connect() {
                    connections.push(Connection { client, stream });
                }
            }
            Err(error) if is_transient(&error) => return true,
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "no connection to the session's sound is accepted");
                return false;
            }
        }
    }
}

fn disconnect(shared: &Shared, connections: &mut Vec<Connection>, at: usize) {
    let connection = connections.swap_remove(at);
    shared.hub().disconnect(connection.client);
}

fn flush(shared: &Shared, connections: &mut Vec<Connection>, now: MediaTime) {
    let mut at = 0;
    while at < connections.len() {
        let mut hub = shared.hub();
        let Connection { client, stream } = &mut connections[at];
        // What was written makes room for more answers, which may be written too.
        let is_over = loop {
            let (out, is_over) = hub.output(*client);
            let Some(out) = out.filter(|out| !out.is_empty()) else { break is_over };
            match stream.write(out) {
                Ok(bytes) => {
                    out.drain(..bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break is_over,
                Err(_) => break true,
            }
            hub.received(*client, &[], now);
        };
        drop(hub);
        if is_over {
            disconnect(shared, connections, at);
        } else {
            at += 1;
        }
    }
}
