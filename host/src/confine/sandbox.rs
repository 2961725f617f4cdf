//! The handle of a sandbox.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::Size;
use rustix::event::{EventfdFlags, eventfd};

use super::attempts::Attempts;
use super::cgroup::{Group, Usage};
use super::folder::Cookie;
use super::machine::{Patience, Phase};
use super::processes;
use super::run::{Plan, Runner};
use super::spec::{Program, Refused};
use crate::Game;
use crate::devices::DeviceFolder;
use crate::display::XDevices;

/// What joining the thread may take beyond the time limits of its own.
const MARGIN: Duration = Duration::from_secs(5);
/// Linux cuts thread names after 15 bytes.
const THREAD_NAME_BYTES: usize = 15;

/// Told every phase that a sandbox enters, on its thread, so it must not block. Few: no more than the
/// caller causes, and a dozen of its own.
pub type EventFn = Box<dyn FnMut(&Phase) + Send>;

/// How the display of a sandbox is reached.
#[derive(Clone, Debug)]
pub struct Display {
    socket: Arc<OwnedFd>,
    /// What the X server wants to be shown.
    pub cookie: Cookie,
    /// The devices of its own, and how large its screen can become, where it has such.
    pub devices: Option<(Arc<XDevices>, Size)>,
}

impl Display {
    /// A path to connect to, as long as this is there. It leads to the sandbox's own socket whatever the
    /// game does to the folder that it lies in.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.socket.as_raw_fd()))
    }
}

/// What the thread is asked for: a place for each kind, so nothing is refused and nothing piles up.
#[derive(Default)]
pub(super) struct Wants {
    pub(super) launch: Option<Program>,
    /// The newest of suspend and resume.
    pub(super) suspended: Option<bool>,
    pub(super) stop: bool,
    pub(super) kill: bool,
    /// How often something was wanted.
    pub(super) asked: u64,
}

/// What the thread tells.
pub(super) struct Status {
    pub(super) phase: Phase,
    /// [`Wants::asked`] when the thread last did what was wanted.
    pub(super) obeyed: u64,
    /// The first process outside of it, while it is there.
    pub(super) pid: Option<u32>,
    pub(super) home: Option<Arc<OwnedFd>>,
    pub(super) socket: Option<Arc<OwnedFd>>,
    /// Of the X server that has its own; they last as long as it does.
    pub(super) devices: Option<(Arc<XDevices>, Size)>,
    /// The last lines of the game, and those of what is around it.
    pub(super) said: [Vec<String>; 2],
}

pub(super) struct Shared {
    pub(super) wants: Mutex<Wants>,
    pub(super) wake: OwnedFd,
    pub(super) status: Mutex<Status>,
    pub(super) changed: Condvar,
}

impl Shared {
    pub(super) fn status(&self) -> MutexGuard<'_, Status> {
        // Whole after every statement, so a panic elsewhere leaves nothing half done.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wants(&self) -> MutexGuard<'_, Wants> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sandbox of bubblewrap, as a [`Game`] and for tests that look behind it.
pub struct Sandbox {
    id: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    group: Option<Group>,
    folder: PathBuf,
    input: Option<Arc<DeviceFolder>>,
    cookie: Cookie,
    patience: Patience,
    attempts: Arc<Attempts>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let phase = self.phase();
        f.debug_struct("Sandbox")
            .field("id", &self.id)
            .field("phase", &phase)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    pub(super) fn spawn(plan: Plan, cookie: Cookie, events: EventFn) -> Result<Self, Refused> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let remove = |group: Option<Group>| {
            // Nothing was ever in it.
            group.map(|group| group.remove(Instant::now()))
        };
        let group = plan.group.clone();
        let wake = match eventfd(0, flags) {
            Ok(wake) => wake,
            Err(error) => {
                remove(group);
                return Err(Refused::system("an eventfd")(error.into()));
            }
        };
        let status = Status {
            phase: Phase::Created,
            obeyed: 0,
            pid: None,
            home: None,
            socket: None,
            devices: None,
            said: Default::default(),
        };
        let shared = Arc::new(Shared {
            wants: Mutex::default(),
            wake,
            status: Mutex::new(status),
            changed: Condvar::new(),
        });
        let (id, patience) = (plan.id.clone(), plan.spec.patience.clone());
        let attempts = plan.books.session.clone();
        let (folder, input) = (plan.folder.path().to_owned(), plan.input.clone());
        let name: String = format!("game-{id}").chars().take(THREAD_NAME_BYTES).collect();
        let on_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            Runner::new(plan, on_thread, events).run();
        });
        match thread {
            Ok(thread) => {
                let thread = Some(thread);
                Ok(Self { id, shared, thread, group, folder, input, cookie, patience, attempts })
            }
            Err(error) => {
                remove(group);
                Err(Refused::system("a thread")(error))
            }
        }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The last lines of its X server and of what is around it.
    pub fn said_around(&self) -> Vec<String> {
        self.shared.status().said[1].clone()
    }

    /// The host's number of the sandbox's outermost process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.shared.status().pid
    }

    /// Its files on the host. They go with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn want(&self, what: impl FnOnce(&mut Wants)) {
        let mut wants = self.shared.wants();
        what(&mut wants);
        wants.asked += 1;
        drop(wants);
        // It can only be refused when it has been woken more often than it can count.
        let _ = rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes());
    }
}

impl Game for Sandbox {
    fn sound_folder(&self) -> PathBuf {
        self.folder.join("pulse")
    }

    fn input_folder(&self) -> PathBuf {
        self.folder.join("input")
    }

    fn devices(&self) -> Option<&Arc<DeviceFolder>> {
        self.input.as_ref()
    }

    fn phase(&self) -> Phase {
        self.shared.status().phase.clone()
    }

    fn wait_until(&self, limit: Duration, is_wanted: &dyn Fn(&Phase) -> bool) -> Phase {
        let status = self.shared.status();
        let (status, _) = self
            .shared
            .changed
            .wait_timeout_while(status, limit, |status| !is_wanted(&status.phase))
            .unwrap_or_else(PoisonError::into_inner);
        status.phase.clone()
    }

    fn wait_obeyed(&self, limit: Duration, is_wanted: &dyn Fn(&Phase) -> bool) -> Phase {
        let asked = self.shared.wants().asked;
        let status = self.shared.status();
        let (status, _) = self
            .shared
            .changed
            .wait_timeout_while(status, limit, |Status { phase, obeyed, .. }| {
                !matches!(phase, Phase::Ended(_)) && (*obeyed < asked || !is_wanted(phase))
            })
            .unwrap_or_else(PoisonError::into_inner);
        status.phase.clone()
    }

    fn home(&self) -> Option<Arc<OwnedFd>> {
        self.shared.status().home.clone()
    }

    fn display(&self) -> Option<Display> {
        let status = self.shared.status();
        let (socket, devices) = (status.socket.clone()?, status.devices.clone());
        Some(Display { socket, cookie: self.cookie, devices })
    }

    fn launch(&self, program: Program) {
        self.want(|wants| wants.launch = Some(program));
    }

    fn suspend(&self) {
        self.want(|wants| wants.suspended = Some(true));
    }

    fn resume(&self) {
        self.want(|wants| wants.suspended = Some(false));
    }

    fn stop(&self) {
        self.want(|wants| wants.stop = true);
    }

    fn kill(&self) {
        self.want(|wants| wants.kill = true);
    }

    fn usage(&self) -> Usage {
        let Some(pid) = self.shared.status().pid else { return Usage::default() };
        if let Some(group) = &self.group {
            return group.usage();
        }
        let below = processes::below(pid);
        Usage {
            cpu: Some(processes::cpu(&below)),
            memory: Some(processes::memory(&below)),
            processes: u32::try_from(below.len()).ok(),
        }
    }

    fn attempts(&self) -> &Arc<Attempts> {
        &self.attempts
    }

    fn said(&self) -> Vec<String> {
        self.shared.status().said[0].clone()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.kill();
        let limit = self.patience.kill + MARGIN;
        if matches!(
            self.wait_until(limit, &|phase| matches!(phase, Phase::Ended(_))),
            Phase::Ended(_)
        ) {
            // It told its end as the last thing that it did.
            let _ = thread.join();
        } else {
            tracing::error!(
                session = self.id,
                "the thread of a game did not end and is left behind"
            );
        }
    }
}
