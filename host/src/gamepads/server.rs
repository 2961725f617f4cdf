//! The sockets, and the thread that listens on them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{fs, io};

use media::{MOST_PADS, Pad, PadState, Rumble};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::time::{ClockId, clock_gettime};

use super::device::{NAMES, RECORD};
use super::events::{Interface, Stamp};
use super::force::{Asked, Effects};

/// Devices that a game may have open at once, those of gamepads that are gone included. One more is closed at once.
const MOST_OPEN: usize = 32;
/// Bytes that are read of a program at once.
const READ: usize = 64 * RECORD;
/// How long nothing is accepted when the process has no descriptor left.
const NO_DESCRIPTOR: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Told what a game wants a gamepad to do, on the thread; must not block.
pub type RumbleFn = Box<dyn FnMut(Pad, Rumble) + Send>;

/// The gamepads of one game. To be dropped after the game has ended: programs may be killed by writing to a device
/// whose other end is closed.
pub struct GamepadServer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    devices: Mutex<Devices>,
    folder: PathBuf,
    wake: OwnedFd,
    stop: AtomicBool,
}

#[derive(Default)]
struct Devices {
    plugged: [Option<Plugged>; MOST_PADS],
    open: Vec<Open>,
    /// Numbers them.
    opened: u64,
}

struct Plugged {
    state: PadState,
    listeners: [(Interface, Arc<UnixListener>); 2],
}

/// A device that a program has open.
struct Open {
    number: u64,
    pad: Pad,
    interface: Interface,
    stream: Arc<UnixStream>,
    /// What it knows, once it has read what is sent and the rest.
    told: PadState,
    rest: Vec<u8>,
    /// The gamepad is gone: what comes is read and means nothing.
    orphan: bool,
    monotonic: bool,
    effects: Effects,
    /// The beginning of a record.
    begun: Vec<u8>,
}

impl Open {
    fn stamp(&self) -> Stamp {
        let clock = if self.monotonic { ClockId::Monotonic } else { ClockId::Realtime };
        let now = clock_gettime(clock);
        Stamp { seconds: now.tv_sec, nanos: now.tv_nsec }
    }

    /// Tells it how the gamepad is, unless it has not taken yet what it was told before.
    fn tell(&mut self, state: &PadState) {
        if self.orphan || !self.rest.is_empty() {
            return;
        }
        self.interface.tell(&self.told, state, self.stamp(), &mut self.rest);
        self.told = *state;
        self.send();
    }

    /// Sends as much of the rest as there is room for.
    fn send(&mut self) {
        while !self.rest.is_empty() {
            match (&*self.stream).write(&self.rest) {
                Ok(0) => return,
                Ok(bytes) => drop(self.rest.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The thread sees the end of it.
                Err(_) => return self.rest.clear(),
            }
        }
    }

    /// Takes what it wrote.
    fn take(&mut self, bytes: &[u8], rumble: &mut RumbleFn) {
        if self.orphan {
            return;
        }
        self.begun.extend_from_slice(bytes);
        let (records, _) = self.begun.as_chunks::<RECORD>();
        let taken = records.len() * RECORD;
        for record in records {
            match self.effects.take(record) {
                Some(Asked::Rumble(asked)) => rumble(self.pad, asked),
                Some(Asked::Clock { monotonic }) => self.monotonic = monotonic,
                None => {}
            }
        }
        self.begun.drain(..taken);
    }
}

impl Shared {
    fn devices(&self) -> MutexGuard<'_, Devices> {
        // Whole between two calls, whatever panicked.
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // It fails only when the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn path(&self, name: &[u8], pad: Pad) -> PathBuf {
        self.folder.join(format!("{}{}", String::from_utf8_lossy(name), pad.number()))
    }

    fn listen(&self, pad: Pad) -> io::Result<[(Interface, Arc<UnixListener>); 2]> {
        let listen = |name: &[u8]| {
            let path = self.path(name, pad);
            let listener = UnixListener::bind(&path)?;
            listener.set_nonblocking(true)?;
            // The game has a user of its own. It is told of the change, and looks again if it was too early.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
            io::Result::Ok(Arc::new(listener))
        };
        let [event, js] = NAMES;
        Ok([(Interface::Event, listen(event)?), (Interface::Js, listen(js)?)])
    }

    fn remove(&self, pad: Pad) {
        for name in NAMES {
            let path = self.path(name, pad);
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(%error, path = %path.display(), "a gamepad's socket is left behind");
            }
        }
    }
}

impl GamepadServer {
    /// Makes devices in `folder`, where nothing else is and which only the session reaches; all who reach it may use
    /// them. None is plugged in yet. `name` is the thread's, 15 bytes at most.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open(name: &str, folder: &Path, rumble: RumbleFn) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            devices: Mutex::default(),
            folder: folder.to_owned(),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            stop: AtomicBool::new(false),
        });
        let theirs = shared.clone();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _span = span.entered();
            if let Err(error) = run(&theirs, rumble) {
                tracing::error!(%error, "the session's gamepads are gone");
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Where what the player does goes.
    pub fn sink(&self) -> GamepadSink {
        GamepadSink { shared: self.shared.clone() }
    }
}

impl Drop for GamepadServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // It never blocks but in `poll`. A panic was told already.
            let _ = thread.join();
        }
        *self.shared.devices() = Devices::default();
        Pad::ALL.into_iter().for_each(|pad| self.shared.remove(pad));
    }
}

/// What the player does with gamepads. Nothing here waits.
#[derive(Clone)]
pub struct GamepadSink {
    shared: Arc<Shared>,
}

impl GamepadSink {
    /// A gamepad comes, untouched, or goes. Where the system has no room for it, it is as if it were not there.
    pub fn plug(&self, pad: Pad, plugged: bool) {
        let mut devices = self.shared.devices();
        if plugged == devices.plugged[pad.index()].is_some()
            || self.shared.stop.load(Ordering::Acquire)
        {
            return;
        }
        self.shared.remove(pad);
        if plugged {
            match self.shared.listen(pad) {
                Ok(listeners) => {
                    let state = PadState::default();
                    devices.plugged[pad.index()] = Some(Plugged { state, listeners });
                }
                Err(error) => tracing::warn!(%error, "a gamepad cannot be plugged in"),
            }
        } else {
            devices.plugged[pad.index()] = None;
            for open in devices.open.iter_mut().filter(|open| open.pad == pad) {
                open.orphan = true;
                // It reads the end. The other way stays open: who writes to a socket that is closed is killed.
                let _ = open.stream.shutdown(Shutdown::Write);
            }
        }
        drop(devices);
        self.shared.wake();
    }

    /// A gamepad is like this now.
    pub fn set(&self, pad: Pad, state: &PadState) {
        let mut devices = self.shared.devices();
        let Some(plugged) = &mut devices.plugged[pad.index()] else { return };
        plugged.state = *state;
        let mut waits = false;
        for open in devices.open.iter_mut().filter(|open| open.pad == pad) {
            open.tell(state);
            waits |= !open.rest.is_empty();
        }
        drop(devices);
        if waits {
            self.shared.wake();
        }
    }

    /// Nobody touches any of them.
    pub fn release_all(&self) {
        for pad in Pad::ALL {
            self.set(pad, &PadState::default());
        }
    }
}

/// What the thread waits for.
enum Wanted {
    Listener(Pad, Interface, Arc<UnixListener>),
    Open(u64, Arc<UnixStream>, bool),
}

fn run(shared: &Shared, mut rumble: RumbleFn) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    let mut accepts = true;
    while !shared.stop.load(Ordering::Acquire) {
        let wanted = wanted(&shared.devices(), accepts);
        let mut fds = vec![PollFd::new(&shared.wake, PollFlags::IN)];
        fds.extend(wanted.iter().map(|wanted| match wanted {
            Wanted::Listener(_, _, listener) => PollFd::new(listener, PollFlags::IN),
            Wanted::Open(_, stream, writes) => {
                let mut flags = PollFlags::IN;
                flags.set(PollFlags::OUT, *writes);
                PollFd::from_borrowed_fd(stream.as_fd(), flags)
            }
        }));
        match poll(&mut fds, (!accepts).then_some(&NO_DESCRIPTOR)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] {
            // Whatever its count was, it is dealt with in the next turn.
            let _ = rustix::io::read(&shared.wake, &mut [0_u8; 8]);
        }
        accepts = true;
        for (wanted, _) in wanted.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            let mut devices = shared.devices();
            match wanted {
                Wanted::Listener(pad, interface, listener) => {
                    accepts &= devices.accept(*pad, *interface, listener);
                }
                Wanted::Open(number, ..) => devices.serve(*number, &mut buffer, &mut rumble),
            }
        }
    }
    Ok(())
}

fn wanted(devices: &Devices, accepts: bool) -> Vec<Wanted> {
    let plugged = devices.plugged.iter().zip(Pad::ALL).filter(|_| accepts);
    let listeners = plugged.filter_map(|(plugged, pad)| Some((plugged.as_ref()?, pad)));
    let listeners = listeners.flat_map(|(plugged, pad)| {
        plugged
            .listeners
            .iter()
            .map(move |(interface, listener)| Wanted::Listener(pad, *interface, listener.clone()))
    });
    let open = devices.open.iter().map(|open| {
        Wanted::Open(open.number, open.stream.clone(), !open.orphan && !open.rest.is_empty())
    });
    listeners.chain(open).collect()
}

impl Devices {
    /// Accepts who waits; whether that can go on at once.
    fn accept(&mut self, pad: Pad, interface: Interface, listener: &UnixListener) -> bool {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) =>
                {
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "no gamepad can be opened");
                    return false;
                }
            };
            // It may have been plugged out, and in again, meanwhile.
            let is_there = |plugged: &&Plugged| {
                plugged.listeners.iter().any(|(_, each)| std::ptr::eq(&raw const **each, listener))
            };
            let plugged = self.plugged[pad.index()].as_ref().filter(is_there);
            let Some(plugged) = plugged.filter(|_| self.open.len() < MOST_OPEN) else { continue };
            if let Err(error) = stream.set_nonblocking(true) {
                tracing::warn!(%error, "a gamepad cannot be opened");
                continue;
            }
            let mut open = Open {
                number: self.opened,
                pad,
                interface,
                stream: Arc::new(stream),
                told: plugged.state,
                rest: Vec::new(),
                orphan: false,
                monotonic: false,
                effects: Effects::default(),
                begun: Vec::new(),
            };
            interface.greet(&plugged.state, open.stamp(), &mut open.rest);
            open.send();
            self.opened += 1;
            self.open.push(open);
        }
    }

    /// Reads what one wrote, and sends what it can take now.
    fn serve(&mut self, number: u64, buffer: &mut [u8], rumble: &mut RumbleFn) {
        let Some(at) = self.open.iter().position(|open| open.number == number) else { return };
        let open = &mut self.open[at];
        let over = match (&*open.stream).read(buffer) {
            Ok(0) => true,
            Ok(bytes) => {
                open.take(&buffer[..bytes], rumble);
                false
            }
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        if over {
            let open = self.open.swap_remove(at);
            if open.effects.is_playing() && !open.orphan {
                rumble(open.pad, Rumble::default());
            }
            return;
        }
        open.send();
        if let Some(plugged) = &self.plugged[open.pad.index()] {
            open.tell(&plugged.state);
        }
    }
}
