//! What codes pictures: a thread for each session, which reads its inputs as late as it can.
//!
//! A picture is begun when somebody waits for it: locks it, asks whether it is done, or ends the stream. So
//! an input that is used again, unmapped or freed too early is not what was handed in, however fast the
//! machine is. The input is read once more after coding, and a difference is a broken rule; then it is
//! overwritten, so that a picture in one memory with this can be told from a copy.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::CONTROL;
use crate::bare::without_parameter_sets;
use crate::codec::{Coder, Unit};
use crate::config::Configuration;
use crate::device::Waits;
use crate::picture::Layout;
use crate::session::{Session, Stage, State};
use crate::settings::settings;

/// What inputs are overwritten with.
const POISON: u8 = 0xA5;
/// How often semaphores are looked at.
const POLL: Duration = Duration::from_micros(200);

/// When each slice of the newest picture of any session was ready, where they become so one after another.
static READY: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

/// For how many nanoseconds they have been.
pub(crate) fn slice_ages() -> Vec<u64> {
    let ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
    ready.iter().map(|ready| ready.elapsed().as_nanos() as u64).collect()
}

/// Where a picture is.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// An input buffer's handle.
    Buffer(u64),
    /// Address of device memory.
    Device(u64),
}

/// A map of quantiser steps in the caller's memory, as it was when its picture was handed in.
pub(crate) struct Map {
    start: *const i8,
    steps: Vec<i8>,
}

// SAFETY: an address, at which there is what `at` was given for as long as the picture was not read.
unsafe impl Send for Map {}

impl Map {
    /// # Safety
    /// So many bytes can be read at `start` until the picture was read: the SDK does not say when the
    /// hardware does so.
    pub(crate) unsafe fn at(start: *const i8, bytes: usize) -> Self {
        // SAFETY: the caller's word.
        let steps = unsafe { std::slice::from_raw_parts(start, bytes) };
        Self { start, steps: steps.to_vec() }
    }

    /// Whether it is what it was when it was handed in.
    fn is_kept(&self) -> bool {
        // SAFETY: the picture was not read yet, so the word of `at`'s caller holds.
        unsafe { std::slice::from_raw_parts(self.start, self.steps.len()) == self.steps }
    }
}

/// Block by block in the order of the picture, such as `-3*20,0*220`.
impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, run) in self.steps.chunk_by(|a, b| a == b).enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}*{}", run[0], run.len())?;
        }
        Ok(())
    }
}

/// A picture to be coded.
pub(crate) struct Job {
    /// Pictures before it in the session.
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) key: bool,
    /// Parameter sets are asked for.
    pub(crate) parameter_sets: bool,
    /// Timestamps of references that are not to be used from here on.
    pub(crate) invalid: Vec<u64>,
    /// The long-term reference that it becomes.
    pub(crate) mark: Option<u32>,
    /// A bit for each long-term reference that it may be coded from; 0 leaves it to the hardware.
    pub(crate) long_term: u32,
    /// Pictures of a wave of intra blocks that begins here.
    pub(crate) refresh: u32,
    /// No coder here follows it: OpenH264 has no such maps, and stand-ins no quantisers.
    pub(crate) map: Option<Map>,
    pub(crate) source: Source,
    pub(crate) layout: Layout,
    pub(crate) output: u64,
    /// What the session's stream waited for when the picture was handed in.
    pub(crate) waits: Option<Waits>,
}

/// Keeps the library in the process for as long as its thread lives: one with a destructor that is still
/// to be run is not unloaded.
struct Pin;

impl Drop for Pin {
    fn drop(&mut self) {}
}

thread_local! {
    static PIN: Pin = const { Pin };
}

/// Starts the thread of a session. It ends when the session is stopped.
pub(crate) fn start(session: &Arc<Session>) -> io::Result<JoinHandle<()>> {
    let session = Arc::clone(session);
    Builder::new().name("fake-nvenc".to_owned()).spawn(move || {
        PIN.with(|_| ());
        run(&session);
    })
}

fn run(session: &Session) {
    let mut coder = Coder::default();
    let (mut pixels, mut again) = (Vec::new(), Vec::new());
    while let Some(job) = next(session) {
        let working = CONTROL.working();
        let delay = Duration::from_micros(settings().delay.into());
        // Slices that nobody sees before the last one need not be ready one after another.
        let one_by_one = job.configuration.sub_frame;
        if !one_by_one {
            pass(delay);
        }
        let unit = work(session, &job, &mut coder, &mut pixels, &mut again);
        let mut state = hand_out(session, &job, unit);
        if one_by_one && !delay.is_zero() {
            state = one_after_another(session, &job, delay, state);
        }
        state.coded = job.number + 1;
        drop(working);
        drop(state);
        session.tell();
    }
}

/// Waits for a picture that somebody waits for.
fn next(session: &Session) -> Option<Job> {
    let state = session.state();
    let mut state = session.wait_while(state, |state| {
        !state.stopped && state.jobs.front().is_none_or(|job| job.number >= state.wanted)
    });
    if state.stopped { None } else { state.jobs.pop_front() }
}

fn work(
    session: &Session,
    job: &Job,
    coder: &mut Coder,
    pixels: &mut Vec<u8>,
    again: &mut Vec<u8>,
) -> Unit {
    if !job.waits.is_none_or(|waits| wait(session, waits)) {
        return Unit::failed("not waited for");
    }
    let extent = job.layout.extent();
    pixels.resize(extent, 0);
    if !read(session, job.source, pixels) {
        CONTROL.broke("hardware", "the input is gone before it was coded");
        return Unit::failed("gone");
    }
    let unit = coder.code(job, pixels).unwrap_or_else(|reason| {
        CONTROL.broke("hardware", &reason);
        Unit::failed("failed")
    });
    let whole = settings().parameter_sets;
    let unit = if whole { unit } else { without_parameter_sets(job.configuration.codec, unit) };
    if job.map.as_ref().is_some_and(|map| !map.is_kept()) {
        CONTROL.broke("hardware", "the map of quantisers changed before it was used");
    }
    again.resize(extent, 0);
    let there = read(session, job.source, again);
    if !there || !job.layout.visible(pixels).eq(job.layout.visible(again)) {
        CONTROL.broke("hardware", "the input changed while it was coded");
    }
    if let (Source::Device(address), true) = (job.source, settings().poison) {
        pixels.fill(POISON);
        // That it is gone was told.
        session.device.write(address, pixels);
    }
    unit
}

/// Waits as the device does, until the session is stopped. Whether all came.
fn wait(session: &Session, waits: Waits) -> bool {
    loop {
        match session.device.reached(waits) {
            Some(true) => return true,
            Some(false) if session.state().stopped => return false,
            Some(false) => std::thread::sleep(POLL),
            None => {
                CONTROL.broke("hardware", "the stream is gone before the picture was coded");
                return false;
            }
        }
    }
}

fn read(session: &Session, source: Source, to: &mut [u8]) -> bool {
    match source {
        Source::Buffer(handle) => {
            session.state().inputs.get(&handle).is_some_and(|input| input.memory.read(to))
        }
        Source::Device(address) => session.device.read(address, to),
    }
}

/// Time that the hardware takes.
fn pass(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// The slices of a picture become ready in so much time.
fn one_after_another<'a>(
    session: &'a Session,
    job: &Job,
    time: Duration,
    mut state: MutexGuard<'a, State>,
) -> MutexGuard<'a, State> {
    let unit = state.outputs.get(&job.output).and_then(|output| output.unit.as_ref());
    let slices = unit.map_or(0, |unit| unit.slices.len());
    for ready in 0..=slices {
        if let Some(output) = state.outputs.get_mut(&job.output) {
            output.ready = Some(ready);
        }
        let mut times = READY.lock().unwrap_or_else(PoisonError::into_inner);
        match ready {
            0 => times.clear(),
            _ => times.push(Instant::now()),
        }
        drop(times);
        if ready == slices {
            break;
        }
        drop(state);
        pass(time / slices as u32);
        state = session.state();
    }
    state
}

/// Puts the coded picture where it is read.
fn hand_out<'a>(session: &'a Session, job: &Job, mut unit: Unit) -> MutexGuard<'a, State> {
    let mut state = session.state();
    // It cannot be destroyed while a picture is on its way to it.
    if let Some(output) = state.outputs.get_mut(&job.output) {
        if !output.memory.write(&unit.bytes) {
            CONTROL.broke("hardware", "the picture does not fit into its output");
            unit = Unit::failed("large");
        }
        output.stage = Stage::Coded;
        output.unit = Some(unit);
    }
    state
}
