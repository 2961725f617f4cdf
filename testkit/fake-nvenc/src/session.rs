//! Sessions: what is open, and what each of them knows.
//!
//! Handles are numbers that are looked up and never followed.
//!
//! ```text
//! output:  Free --encode--> Waiting --hardware--> Coded --lock--> Locked --unlock--> Free
//!                                                   ^----- unlock ---'  (not yet all of its slices)
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::CONTROL;
use crate::codec::Unit;
use crate::config::Configuration;
use crate::device::Device;
use crate::given::Call;
use crate::hardware::{self, Job};
use crate::picture::Layout;
use crate::settings::settings;
use crate::status::{
    INVALID_ENCODERDEVICE, INVALID_PARAM, INVALID_PTR, NOT_INITIALIZED, OUT_OF_MEMORY,
};

/// Timestamps that a session remembers as those of coded pictures.
pub(crate) const TIMESTAMPS: usize = 4_096;

/// Memory that is handed out by its address.
pub(crate) struct Memory {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it is memory of its own; who may touch it when is what the rules are about, and both sides do so by
// copies through pointers.
unsafe impl Send for Memory {}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let memory = Box::leak(vec![0_u8; bytes].into_boxed_slice());
        Self { start: NonNull::from(memory).cast(), bytes }
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Copies its first bytes. Whether it has so many.
    pub(crate) fn read(&self, to: &mut [u8]) -> bool {
        let fits = to.len() <= self.bytes;
        if fits {
            // SAFETY: so many bytes are there, and `to` is elsewhere.
            unsafe { self.start().copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
        }
        fits
    }

    /// Overwrites its first bytes. Whether it has so many.
    pub(crate) fn write(&self, from: &[u8]) -> bool {
        let fits = from.len() <= self.bytes;
        if fits {
            // SAFETY: so many bytes are there, and `from` is elsewhere.
            unsafe { self.start().copy_from_nonoverlapping(from.as_ptr(), from.len()) };
        }
        fits
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let memory = std::ptr::slice_from_raw_parts_mut(self.start(), self.bytes);
        // SAFETY: made from a box by `new`, and dropped once.
        drop(unsafe { Box::from_raw(memory) });
    }
}

/// An input of the driver's own, for pictures that the CPU writes.
pub(crate) struct Input {
    pub(crate) layout: Layout,
    pub(crate) memory: Memory,
    pub(crate) locked: bool,
    /// Number of the newest picture that was made of it.
    pub(crate) used_by: Option<u64>,
}

/// Device memory that was registered.
pub(crate) struct Resource {
    pub(crate) address: u64,
    pub(crate) layout: Layout,
    pub(crate) mapped: bool,
}

pub(crate) struct Mapping {
    pub(crate) resource: u64,
    /// Number of the newest picture that was made of it.
    pub(crate) used_by: Option<u64>,
}

pub(crate) enum Stage {
    Free,
    Waiting,
    Coded,
    Locked,
}

/// A bitstream buffer.
pub(crate) struct Output {
    pub(crate) memory: Memory,
    pub(crate) stage: Stage,
    /// Slices that were shown so far.
    pub(crate) shown: usize,
    /// Slices that are ready, where those of a picture become so one after another.
    pub(crate) ready: Option<usize>,
    /// What is or was coded into it; an error where the hardware could not.
    pub(crate) unit: Option<Unit>,
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) configuration: Option<Arc<Configuration>>,
    pub(crate) inputs: BTreeMap<u64, Input>,
    pub(crate) outputs: BTreeMap<u64, Output>,
    pub(crate) resources: BTreeMap<u64, Resource>,
    pub(crate) mappings: BTreeMap<u64, Mapping>,
    /// Handles that were valid once.
    pub(crate) gone: BTreeSet<u64>,
    /// Pictures that the hardware has not begun.
    pub(crate) jobs: VecDeque<Job>,
    /// Outputs with a picture that was not read yet, in the order of their pictures.
    pub(crate) unread: VecDeque<u64>,
    /// Pictures that were handed in, that the hardware is done with, and that were read.
    pub(crate) submitted: u64,
    pub(crate) coded: u64,
    pub(crate) read: u64,
    /// Up to here somebody waits for pictures.
    pub(crate) wanted: u64,
    pub(crate) timestamps: VecDeque<u64>,
    /// References that are not to be used by the next picture.
    pub(crate) invalid: Vec<u64>,
    /// A bit for each long-term reference that was marked since the last keyframe that was asked for.
    pub(crate) marked: u32,
    pub(crate) force_key: bool,
    /// The stream's end was told.
    pub(crate) ended: bool,
    /// The session is being destroyed.
    /// Inputs are complete when what it waits for came.
    pub(crate) stream: Option<u64>,
    pub(crate) stopped: bool,
}

impl State {
    /// # Errors
    /// Answers the status of a session that is not set up.
    pub(crate) fn configuration(&self, call: &Call<'_>) -> Result<Arc<Configuration>, u32> {
        let rule = "the encoder is not initialised";
        self.configuration.clone().ok_or_else(|| call.refuse(NOT_INITIALIZED, rule))
    }

    pub(crate) fn unknown(&self, call: &Call<'_>, status: u32, handle: u64, what: &str) -> u32 {
        match handle {
            0 => call.refuse(INVALID_PTR, &format!("no {what}")),
            _ if self.gone.contains(&handle) => {
                call.refuse(status, &format!("already released {what}"))
            }
            _ => call.refuse(status, &format!("unknown {what}")),
        }
    }

    pub(crate) fn output(&mut self, call: &Call<'_>, handle: u64) -> Result<&mut Output, u32> {
        if !self.outputs.contains_key(&handle) {
            return Err(self.unknown(call, INVALID_PARAM, handle, "bitstream buffer"));
        }
        // It is there, as was just seen.
        self.outputs.get_mut(&handle).ok_or(INVALID_PARAM)
    }

    /// What was not given back, with the call that would have done it.
    fn leftovers(&self) -> Vec<(String, &'static str)> {
        let counts = [
            (self.unread.len(), "picture not read", "nvEncLockBitstream"),
            (
                self.outputs.values().filter(|o| matches!(o.stage, Stage::Locked)).count(),
                "bitstream not unlocked",
                "nvEncUnlockBitstream",
            ),
            (
                self.inputs.values().filter(|input| input.locked).count(),
                "input buffer not unlocked",
                "nvEncUnlockInputBuffer",
            ),
            (self.mappings.len(), "input not unmapped", "nvEncUnmapInputResource"),
            (self.resources.len(), "resource not unregistered", "nvEncUnregisterResource"),
            (self.inputs.len(), "input buffer not destroyed", "nvEncDestroyInputBuffer"),
            (self.outputs.len(), "bitstream buffer not destroyed", "nvEncDestroyBitstreamBuffer"),
            (
                (self.submitted > 0 && !self.ended).into(),
                "end of the stream not told",
                "nvEncEncodePicture",
            ),
        ];
        let left = counts.into_iter().filter(|(count, ..)| *count > 0);
        left.map(|(count, what, call)| (format!("{count} x {what}"), call)).collect()
    }
}

pub(crate) struct Session {
    pub(crate) device: Device,
    state: Mutex<State>,
    /// Told of every change that somebody may wait for.
    changed: Condvar,
    hardware: Mutex<Option<JoinHandle<()>>>,
}

impl Session {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // What a panic left behind is still a state to report from.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(&self) {
        self.changed.notify_all();
    }

    pub(crate) fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        self.changed.wait_while(state, condition).unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the hardware, which finishes the picture that it is at.
    fn stop(&self) {
        self.state().stopped = true;
        self.tell();
        let thread = self.hardware.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            CONTROL.broke("hardware", "the fake panicked");
        }
    }
}

/// All sessions of the process.
#[derive(Default)]
struct Sessions {
    open: BTreeMap<u64, Arc<Session>>,
    /// Handles of such that failed to open, which are to be destroyed all the same.
    failed: BTreeSet<u64>,
    gone: BTreeSet<u64>,
}

static SESSIONS: Mutex<Sessions> =
    Mutex::new(Sessions { open: BTreeMap::new(), failed: BTreeSet::new(), gone: BTreeSet::new() });

fn sessions() -> MutexGuard<'static, Sessions> {
    SESSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new handle of anything: no address that something could be at.
pub(crate) fn handle() -> u64 {
    static HANDLES: AtomicU64 = AtomicU64::new(1);
    0xfa4e_1000_0000_0000 | HANDLES.fetch_add(1, Ordering::Relaxed) << 4
}

/// Opens a session. Its handle comes even where that fails, and must be destroyed then too.
pub(crate) fn open(device: Device) -> (u64, Result<(), u32>) {
    let handle = handle();
    let most = settings().sessions;
    let mut sessions = sessions();
    if sessions.open.len() >= most as usize {
        sessions.failed.insert(handle);
        return (handle, Err(OUT_OF_MEMORY));
    }
    let session = Arc::new(Session {
        device,
        state: Mutex::default(),
        changed: Condvar::new(),
        hardware: Mutex::default(),
    });
    let Ok(thread) = hardware::start(&session) else {
        sessions.failed.insert(handle);
        return (handle, Err(OUT_OF_MEMORY));
    };
    *session.hardware.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    sessions.open.insert(handle, session);
    (handle, Ok(()))
}

/// The session of a handle.
pub(crate) fn find(call: &Call<'_>, handle: u64) -> Result<Arc<Session>, u32> {
    let sessions = sessions();
    sessions.open.get(&handle).cloned().ok_or_else(|| unknown(call, &sessions, handle))
}

/// What all sessions wait for may have come.
pub(crate) fn tell_all() {
    for session in sessions().open.values() {
        // Who is about to wait has looked before this, or looks after it.
        drop(session.state());
        session.tell();
    }
}

fn unknown(call: &Call<'_>, sessions: &Sessions, handle: u64) -> u32 {
    let (status, rule) = match handle {
        0 => (INVALID_PTR, "no session"),
        _ if sessions.failed.contains(&handle) => {
            (INVALID_ENCODERDEVICE, "a session that failed to open")
        }
        _ if sessions.gone.contains(&handle) => (INVALID_ENCODERDEVICE, "a destroyed session"),
        _ => (INVALID_ENCODERDEVICE, "unknown session"),
    };
    call.refuse(status, rule)
}

/// Destroys a session, whatever it still has.
pub(crate) fn destroy(call: &Call<'_>, handle: u64) -> Result<(), u32> {
    let session = {
        let mut sessions = sessions();
        let session = sessions.open.remove(&handle);
        if session.is_none() && !sessions.failed.remove(&handle) {
            return Err(unknown(call, &sessions, handle));
        }
        sessions.gone.insert(handle);
        session
    };
    if let Some(session) = session {
        session.stop();
        for (what, by) in session.state().leftovers() {
            // Who was told that giving it back failed has done what can be done.
            if !CONTROL.was_planned(by) {
                CONTROL.broke(call.name, &what);
            }
        }
    }
    Ok(())
}

/// What nobody has given back yet.
pub(crate) fn leftovers_text() -> String {
    let sessions = sessions();
    let mut text = String::new();
    let counts = [
        (sessions.open.len(), "session not destroyed"),
        (sessions.failed.len(), "session that failed to open not destroyed"),
    ];
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        text += &format!("{count} x {what}\n");
    }
    for session in sessions.open.values() {
        for (what, _) in session.state().leftovers() {
            text += &format!("{what}\n");
        }
    }
    text
}
