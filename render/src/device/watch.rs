//! The watch thread: the only place that waits for the device.
//!
//! wgpu delivers completions only to whoever polls, and what it does there decides who may. In
//! wgpu-core 30 a waiting poll holds the device's snatch lock for reading all the while. `submit`
//! takes the same lock for reading, so the two do not block each other; but anything that takes it
//! for writing (`Buffer::destroy`, `Texture::destroy`) waits for the GPU, and every later `submit`
//! queues behind it. Besides, a poll that meets a lost device panics. So one thread waits for
//! everybody: encoders block on a [`Completion`] and hold no lock of wgpu's, a completion has the
//! time of its moment even when nobody asked yet, and a panic ends here.
//!
//! On lavapipe (Mesa 22.3) `submit` itself blocks until the submission before it was executed,
//! whoever polls or not: wgpu-hal orders submissions by binary semaphores, and Mesa's software queue
//! waits for such a semaphore to have a payload before it takes the next submission. A drawing thread
//! that must not stall there asks `FrameRing::is_drawing` first.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Health;

/// After this long without an answer a device counts as lost. Drivers reset a hung GPU within a few
/// seconds; lavapipe may take this long only when the machine is overloaded tenfold.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a submission works on.
pub(crate) trait Watched: Send + Sync {
    /// It is complete since `at`. Called once, and never when the submission failed.
    fn complete(&self, at: Instant);
}

struct Nothing;

impl Watched for Nothing {
    fn complete(&self, _at: Instant) {}
}

/// The end of one submission, to wait for.
#[derive(Default)]
pub(crate) struct Completion {
    state: Mutex<CompletionState>,
    changed: Condvar,
    /// Kept for as long as the device may still work on it.
    held: Mutex<Option<Arc<dyn Watched>>>,
}

enum CompletionState {
    Pending {
        /// What came of the mapping. A refusal is either the device's end or about this picture
        /// alone; the watch thread finds out which.
        mapped: Option<Result<Instant, ()>>,
        /// The watch thread saw the submission end. A mapping alone proves nothing: wgpu maps at
        /// once what belongs to commands that it refused.
        passed: bool,
    },
    Done(Instant),
    Failed(String),
}

impl Default for CompletionState {
    fn default() -> Self {
        Self::Pending { mapped: None, passed: false }
    }
}

impl Completion {
    /// One that keeps `held` alive until it is settled.
    pub(crate) fn holding(held: Arc<dyn Watched>) -> Self {
        Self { held: Mutex::new(Some(held)), ..Self::default() }
    }

    /// The end of a submission that nobody but the waiting one is told of.
    pub(crate) fn private() -> Self {
        Self::holding(Arc::new(Nothing))
    }

    /// The end of a submission of which nothing is mapped.
    pub(crate) fn unmapped() -> Self {
        let done = Self::private();
        done.mapped(Ok(Instant::now()));
        done
    }

    /// What came of the mapping, and when.
    pub(crate) fn mapped(&self, outcome: Result<Instant, ()>) {
        self.update(|mapped, _| *mapped = Some(outcome));
    }

    fn pass(&self) {
        self.update(|_, passed| *passed = true);
    }

    fn update(&self, change: impl FnOnce(&mut Option<Result<Instant, ()>>, &mut bool)) {
        let settled = match &mut *lock(&self.state) {
            CompletionState::Pending { mapped, passed } => {
                change(mapped, passed);
                mapped.filter(|_| *passed)
            }
            _ => None,
        };
        match settled {
            Some(Ok(at)) => self.settle(CompletionState::Done(at)),
            Some(Err(())) => self.fail("the picture could not be mapped"),
            None => {}
        }
    }

    fn fail(&self, reason: &str) {
        self.settle(CompletionState::Failed(reason.to_owned()));
    }

    /// The first call counts.
    fn settle(&self, state: CompletionState) {
        // Told and dropped with nothing locked: dropping may unmap a buffer, whose callback comes
        // back here.
        let Some(held) = lock(&self.held).take() else { return };
        if let CompletionState::Done(at) = state {
            held.complete(at);
        }
        // Before it is told: who has waited and drops its picture finds the slot free.
        drop(held);
        *lock(&self.state) = state;
        self.changed.notify_all();
    }

    /// Whether the submission has not ended.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(*lock(&self.state), CompletionState::Pending { .. })
    }

    /// Blocks until the submission ended; yields when it did, or why it never will.
    pub(crate) fn wait(&self) -> Result<Instant, String> {
        // Longer than the watch thread's patience, so that its reason is the one that is told.
        let deadline = Instant::now() + PATIENCE + PATIENCE / 2;
        let mut state = lock(&self.state);
        loop {
            match &*state {
                CompletionState::Done(at) => return Ok(*at),
                CompletionState::Failed(reason) => return Err(reason.clone()),
                CompletionState::Pending { .. } => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err("the graphics device does not answer".to_owned());
                    }
                    state = self
                        .changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            }
        }
    }
}

/// Handle on the watch thread; dropping it ends the thread.
pub(super) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<WatchState>,
    changed: Condvar,
}

#[derive(Default)]
struct WatchState {
    /// In order of submission. Bounded by the ring slots that exist (a slot is in here once at most, and
    /// whoever has no slot submits nothing to watch) and by the scenes that are prepared, one each.
    waiting: VecDeque<(wgpu::SubmissionIndex, Arc<Completion>)>,
    stopped: bool,
    abandoned: bool,
}

impl Watch {
    pub(super) fn start(device: wgpu::Device, health: Arc<Health>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("gpu-watch".to_owned())
                .spawn(move || shared.run(&device, &health))?
        };
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn add(&self, submission: wgpu::SubmissionIndex, done: Arc<Completion>) {
        let mut state = lock(&self.shared.state);
        if state.abandoned || state.stopped {
            drop(state);
            done.fail("the graphics device is gone");
            return;
        }
        state.waiting.push_back((submission, done));
        self.shared.changed.notify_one();
    }

    /// Fails everything that waits now or later.
    pub(super) fn abandon(&self) {
        self.shared.abandon("the graphics device was given up");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.shared.state).stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            // The last handle may die in a callback that runs on the watch thread itself.
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches the graphics device panicked");
        }
    }
}

impl Shared {
    fn run(&self, device: &wgpu::Device, health: &Health) {
        while let Some(submission) = self.next() {
            let outcome = wait_for(device, submission, health);
            if let Some(reason) = health.lost() {
                self.abandon(&reason);
            } else if let Some((_, done)) = self.pop() {
                match outcome {
                    Ok(()) => done.pass(),
                    Err(refused) => done.fail(&refused),
                }
            }
        }
    }

    fn pop(&self) -> Option<(wgpu::SubmissionIndex, Arc<Completion>)> {
        lock(&self.state).waiting.pop_front()
    }

    /// Blocks for the oldest submission that is waited for; `None` to end.
    fn next(&self) -> Option<wgpu::SubmissionIndex> {
        let mut state = lock(&self.state);
        loop {
            if let Some((submission, _)) = state.waiting.front() {
                return Some(submission.clone());
            }
            if state.stopped {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn abandon(&self, reason: &str) {
        let waiting = {
            let mut state = lock(&self.state);
            state.abandoned = true;
            std::mem::take(&mut state.waiting)
        };
        for (_, done) in waiting {
            done.fail(reason);
        }
    }
}

/// Waits for one submission; callbacks of everything that ended run in here. An error is about this
/// submission alone, unless `health` says that the device is lost.
fn wait_for(
    device: &wgpu::Device,
    submission: wgpu::SubmissionIndex,
    health: &Health,
) -> Result<(), String> {
    let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
    match poll(device, wait, health)? {
        Ok(_) => {}
        Err(wgpu::PollError::Timeout) => {
            health.lose(&format!("it did not answer within {} s", PATIENCE.as_secs()));
        }
        // There is no such submission: its commands were refused, or the device is lost and takes
        // none. In the latter case a poll has the callback told, if it was not yet.
        Err(wgpu::PollError::WrongSubmissionIndex(..)) => {
            if health.lost().is_none() {
                let _ = poll(device, wgpu::PollType::Poll, health)?;
            }
            return Err("the device refused the picture's commands".to_owned());
        }
    }
    Ok(())
}

/// wgpu 30 reports a device error in a poll by a panic and in no other way.
fn poll(
    device: &wgpu::Device,
    how: wgpu::PollType,
    health: &Health,
) -> Result<Result<wgpu::PollStatus, wgpu::PollError>, String> {
    catch_unwind(AssertUnwindSafe(|| device.poll(how))).map_err(|_| {
        health.lose("the driver reported an error while work was waited for");
        "the device is lost".to_owned()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Notes when it goes.
    #[derive(Default)]
    struct Held {
        done: Mutex<Weak<Completion>>,
        gone_before: Arc<AtomicBool>,
    }

    impl Watched for Held {
        fn complete(&self, _at: Instant) {}
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let pending = lock(&self.done).upgrade().is_some_and(|done| done.is_pending());
            self.gone_before.store(pending, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_held_is_gone_when_the_end_is_told() {
        for fails in [false, true] {
            let held = Arc::new(Held::default());
            let gone_before = Arc::clone(&held.gone_before);
            let done = Arc::new(Completion::holding(Arc::clone(&held) as _));
            *lock(&held.done) = Arc::downgrade(&done);
            drop(held);
            if fails {
                done.fail("the test says so");
            } else {
                done.mapped(Ok(Instant::now()));
                assert!(!gone_before.load(Ordering::Relaxed), "the device may be at it");
                done.pass();
            }
            assert!(gone_before.load(Ordering::Relaxed));
            assert_eq!(done.wait().is_err(), fails);
        }
    }
}
