//! The devices of one session, and the thread that makes and watches them.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::{MOST_PADS, Pad, PadEffects, PadMotion, PadState, PadTouch, Pen, Plug, Rumble};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::dualsense::DualSenseState;
use super::folder::DeviceFolder;
use super::kernel::{Kernel, Part, Shown, Whose};
use super::uhid::{VirtualDualSense, Wanted};
use super::uinput::{Feedback, VirtualPad, VirtualPen};

/// How long nodes of a device are looked for: its driver asks it this and that before, or has to be loaded.
const LOOKS: Duration = Duration::from_secs(3);
/// How often.
const LOOK: Duration = Duration::from_millis(20);
/// How soon a state is told again that was not taken.
const AGAIN: Duration = Duration::from_millis(10);
/// Places of the gamepads and of the pen in lists of devices.
const DEVICES: usize = MOST_PADS + 1;
const PEN: usize = MOST_PADS;

/// What a game wants a gamepad to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To rumble like this instead of what it did until now.
    Rumble(Rumble),
    /// To look and feel like this; what is absent stays as it is.
    Effects(PadEffects),
}

/// Told what a game wants, on the thread; must not block.
pub type AskedFn = Box<dyn FnMut(Pad, Asked) + Send>;

/// See the module. The devices go with it.
pub struct DeviceServer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    kernel: Arc<dyn Kernel>,
    folder: Arc<DeviceFolder>,
    places: Mutex<Places>,
    wake: OwnedFd,
    stop: AtomicBool,
    pen: bool,
}

#[derive(Default)]
struct Places {
    pads: [Place; MOST_PADS],
    pen: Option<(VirtualPen, Pen)>,
    /// Something was not taken.
    owed: bool,
}

#[derive(Default)]
struct Place {
    wanted: Plug,
    is: Option<Device>,
    state: DualSenseState,
}

enum Device {
    Standard(VirtualPad),
    DualSense(VirtualDualSense),
}

impl Device {
    fn make(kernel: &dyn Kernel, plug: Plug) -> Result<Option<(Self, Whose)>, String> {
        let text = |error: io::Error| error.to_string();
        Ok(match plug {
            Plug::Out => None,
            Plug::Standard => {
                let pad = VirtualPad::make(kernel.uinput()?).map_err(text)?;
                let whose = Whose::Input(pad.name().to_owned());
                Some((Self::Standard(pad), whose))
            }
            Plug::DualSense => {
                let mut address = [0; 6];
                getrandom::fill(&mut address).map_err(|error| text(error.into()))?;
                // Made up, and of one device (IEEE 802 §8.2): the last byte comes first when it is written.
                address[5] = address[5] & 0xfc | 2;
                let pad = VirtualDualSense::make(kernel.uhid()?, address).map_err(text)?;
                let whose = Whose::Hid(pad.unique());
                Some((Self::DualSense(pad), whose))
            }
        })
    }

    fn plug(&self) -> Plug {
        match self {
            Self::Standard(_) => Plug::Standard,
            Self::DualSense(_) => Plug::DualSense,
        }
    }

    fn readable(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Standard(pad) => pad.readable(),
            Self::DualSense(pad) => pad.readable(),
        }
        .try_clone_to_owned()
    }

    fn set(&mut self, state: &DualSenseState) -> io::Result<()> {
        match self {
            Self::Standard(pad) => pad.set(&state.pad),
            Self::DualSense(pad) => pad.set(state),
        }
    }

    fn asked(&mut self, mut tell: impl FnMut(Asked)) -> io::Result<()> {
        match self {
            Self::Standard(pad) => {
                while let Some(Feedback::Rumble(rumble)) = pad.poll()? {
                    tell(Asked::Rumble(rumble));
                }
            }
            Self::DualSense(pad) => {
                while let Some(Wanted::Orders(orders)) = pad.poll()? {
                    if let Some(rumble) = orders.rumble {
                        tell(Asked::Rumble(rumble));
                    }
                    if orders.effects != PadEffects::default() {
                        tell(Asked::Effects(orders.effects));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Places {
    /// Tells a gamepad how it is.
    fn tell(&mut self, pad: Pad) {
        let Place { is: Some(device), state, .. } = &mut self.pads[pad.index()] else { return };
        self.owed |= device.set(state).is_err();
    }

    fn draw(&mut self) {
        let Some((tablet, pen)) = &mut self.pen else { return };
        self.owed |= tablet.set(pen).is_err();
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        // Whole between two calls, whatever panicked.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // It fails only when the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl DeviceServer {
    /// Makes devices for the session whose sandbox has `folder`; no gamepad is plugged in yet, a `pen` is there from now on.
    /// `name` is the thread's, 15 bytes at most.
    ///
    /// # Errors
    /// When the kernel makes no pen, or the system gives no thread; for people.
    pub fn open(
        name: &str,
        kernel: Arc<dyn Kernel>,
        folder: Arc<DeviceFolder>,
        pen: bool,
        asked: AskedFn,
    ) -> Result<Self, String> {
        let text = |error: io::Error| error.to_string();
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        let wake = wake.map_err(|error| text(error.into()))?;
        let mut places = Places::default();
        let mut keeper = Keeper::default();
        if pen {
            let tablet = VirtualPen::make(kernel.uinput()?).map_err(text)?;
            keeper.look(PEN, Whose::Input(tablet.name().to_owned()));
            places.pen = Some((tablet, Pen::default()));
        }
        let (places, stop) = (Mutex::new(places), AtomicBool::new(false));
        let shared = Arc::new(Shared { kernel, folder, places, wake, stop, pen });
        let theirs = shared.clone();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _span = span.entered();
            keeper.run(&theirs, asked);
        });
        Ok(Self { thread: Some(thread.map_err(text)?), shared })
    }

    /// Where what the player does goes.
    pub fn sink(&self) -> DeviceSink {
        DeviceSink { shared: self.shared.clone() }
    }
}

impl Drop for DeviceServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // It never blocks but in `poll`. A panic was told already.
            let _ = thread.join();
        }
        *self.shared.places() = Places::default();
    }
}

/// What the player does with devices. Nothing here waits.
#[derive(Clone)]
pub struct DeviceSink {
    shared: Arc<Shared>,
}

impl DeviceSink {
    /// What a gamepad is from now on. Where the kernel makes none, it is as if it were not there.
    pub fn plug(&self, pad: Pad, plug: Plug) {
        let mut places = self.shared.places();
        let place = &mut places.pads[pad.index()];
        if place.wanted == plug {
            return;
        }
        (place.wanted, place.state) = (plug, DualSenseState::default());
        drop(places);
        self.shared.wake();
    }

    /// A gamepad is like this now.
    pub fn set(&self, pad: Pad, state: &PadState) {
        self.change(pad, |is| is.pad = *state);
    }

    /// It moves like this now.
    pub fn moves(&self, pad: Pad, motion: &PadMotion) {
        self.change(pad, |is| is.motion = *motion);
    }

    /// Its touchpad is like this now.
    pub fn touches(&self, pad: Pad, touch: &PadTouch) {
        self.change(pad, |is| is.touch = *touch);
    }

    fn change(&self, pad: Pad, change: impl FnOnce(&mut DualSenseState)) {
        let mut places = self.shared.places();
        change(&mut places.pads[pad.index()].state);
        places.tell(pad);
        let owed = places.owed;
        drop(places);
        if owed {
            self.shared.wake();
        }
    }

    /// Whether there is a pen.
    pub fn has_pen(&self) -> bool {
        self.shared.pen
    }

    /// The pen is like this now.
    pub fn draw(&self, pen: &Pen) {
        let mut places = self.shared.places();
        let Some((_, is)) = &mut places.pen else { return };
        *is = *pen;
        places.draw();
        let owed = places.owed;
        drop(places);
        if owed {
            self.shared.wake();
        }
    }

    /// Nobody touches any of them.
    pub fn release_all(&self) {
        for pad in Pad::ALL {
            self.change(pad, |is| *is = DualSenseState::default());
        }
        self.draw(&Pen::default());
    }
}

/// What the thread knows of a device.
#[derive(Default)]
struct Watched {
    readable: Option<OwnedFd>,
    names: Vec<String>,
    /// Whose nodes are looked for, and until when.
    looked_for: Option<(Whose, Instant)>,
}

/// The thread's own.
#[derive(Default)]
struct Keeper([Watched; DEVICES]);

impl Keeper {
    fn look(&mut self, at: usize, whose: Whose) {
        self.0[at].looked_for = Some((whose, Instant::now() + LOOKS));
    }

    fn run(mut self, shared: &Shared, mut asked: AskedFn) {
        while !shared.stop.load(Ordering::Acquire) {
            for pad in Pad::ALL {
                self.follow(shared, pad);
            }
            self.show(shared);
            if let Err(error) = self.wait(shared, &mut asked) {
                tracing::error!(%error, "the session's devices are watched no more");
                break;
            }
        }
        (0..DEVICES).for_each(|at| self.hide(shared, at));
    }

    /// Makes or removes a gamepad.
    fn follow(&mut self, shared: &Shared, pad: Pad) {
        let mut places = shared.places();
        let place = &mut places.pads[pad.index()];
        let (wanted, is) = (place.wanted, place.is.as_ref().map_or(Plug::Out, Device::plug));
        if wanted == is {
            return;
        }
        let gone = place.is.take();
        // The kernel takes its time for both.
        drop(places);
        self.hide(shared, pad.index());
        drop(gone);
        let made = Device::make(&*shared.kernel, wanted).and_then(|made| {
            let readable = made.as_ref().map(|(device, _)| device.readable()).transpose();
            Ok((made, readable.map_err(|error| error.to_string())?))
        });
        let mut places = shared.places();
        let place = &mut places.pads[pad.index()];
        match made {
            Ok((made, readable)) => {
                let (device, whose) = made.unzip();
                place.is = device;
                places.tell(pad);
                self.0[pad.index()].readable = readable;
                if let Some(whose) = whose {
                    self.look(pad.index(), whose);
                }
            }
            Err(error) => {
                tracing::warn!(error, "the kernel makes no gamepad");
                if place.wanted == wanted {
                    place.wanted = Plug::Out;
                }
            }
        }
    }

    /// Puts what the kernel shows by now into the folder.
    fn show(&mut self, shared: &Shared) {
        for (at, watched) in self.0.iter_mut().enumerate() {
            let Some((whose, until)) = &watched.looked_for else { continue };
            let nodes = whose.nodes(shared.kernel.shown()).unwrap_or_else(|error| {
                tracing::warn!(%error, "nodes of a device cannot be looked for");
                Vec::new()
            });
            for Shown { part, number } in nodes {
                let name = name(at, part);
                if watched.names.contains(&name) {
                    continue;
                }
                match shared.folder.put(&name, number) {
                    Ok(()) => watched.names.push(name),
                    Err(error) => tracing::warn!(%error, name, "a device cannot be handed over"),
                }
            }
            if *until <= Instant::now() {
                if watched.names.is_empty() {
                    tracing::warn!(?whose, "the kernel shows no node of a device that it made");
                }
                watched.looked_for = None;
            }
        }
    }

    fn hide(&mut self, shared: &Shared, at: usize) {
        for name in std::mem::take(&mut self.0[at]).names {
            if let Err(error) = shared.folder.remove(&name) {
                tracing::warn!(%error, name, "a device's file stays");
            }
        }
    }

    /// Waits until there is something to do, and hears what the game wants.
    fn wait(&mut self, shared: &Shared, asked: &mut AskedFn) -> io::Result<()> {
        let looks = self.0.iter().any(|watched| watched.looked_for.is_some());
        let owed = std::mem::take(&mut shared.places().owed);
        let pause = [(owed, AGAIN), (looks, LOOK)].into_iter().find(|(is, _)| *is);
        let pause = pause
            .map(|(_, pause)| Timespec { tv_sec: 0, tv_nsec: i64::from(pause.subsec_nanos()) });
        let devices = || Pad::ALL.into_iter().zip(&self.0);
        let read = devices().filter_map(|(pad, watched)| Some((pad, watched.readable.as_ref()?)));
        let (pads, fds): (Vec<_>, Vec<_>) = read.unzip();
        let mut polled = vec![PollFd::new(&shared.wake, PollFlags::IN)];
        polled.extend(fds.iter().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)));
        match poll(&mut polled, pause.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events: Vec<_> = polled.iter().map(PollFd::revents).collect();
        if !events[0].is_empty() {
            // Whatever its count was, it is dealt with in the next turn.
            let _ = rustix::io::read(&shared.wake, &mut [0_u8; 8]);
        }
        for (pad, events) in pads.into_iter().zip(&events[1..]).filter(|(_, is)| !is.is_empty()) {
            let mut places = shared.places();
            let place = &mut places.pads[pad.index()];
            let Some(device) = &mut place.is else { continue };
            let heard = device.asked(|wanted| asked(pad, wanted));
            if heard.is_err() || events.intersects(PollFlags::ERR | PollFlags::HUP) {
                tracing::warn!(?heard, "the kernel has taken a gamepad away");
                place.wanted = Plug::Out;
            }
        }
        if owed {
            let mut places = shared.places();
            Pad::ALL.into_iter().for_each(|pad| places.tell(pad));
            places.draw();
        }
        Ok(())
    }
}

/// The name of a node in the session's folder.
fn name(at: usize, part: Part) -> String {
    match part {
        Part::Main if at == PEN => "event12".into(),
        Part::Main => format!("event{at}"),
        Part::Motion => format!("event{}", at + MOST_PADS),
        Part::Touchpad => format!("event{}", at + 2 * MOST_PADS),
        // A pen is none: it has no buttons of one.
        Part::Joystick => format!("js{at}"),
        Part::Raw => format!("hidraw{at}"),
    }
}
