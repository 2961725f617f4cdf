//! What the two threads of a session share, and how it goes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media::{Encoded, MemoryId, SharedImage};

use super::calls::{DriverSession, Failure, Input, Output, Registration};
use super::losses::LongTerm;
use super::output::ReadError;
use super::ring::{PICTURES, Pictures, Registry};
use crate::cuda::{Context, Imported, Stream};
use crate::regions::BlockMap;

/// How long pictures may take until the driver counts as hung.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What both threads use, in the order in which it goes.
pub(super) struct Inner {
    pub(super) driver: DriverSession,
    pub(super) initialised: bool,
    pub(super) outputs: Vec<Output>,
    pub(super) resources: Mutex<Resources>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    /// Where pictures that are not complete are waited for; none where the caller waits.
    pub(super) stream: Option<Mutex<Stream>>,
    /// Last, since all of the above lives in it.
    pub(super) context: Arc<Context>,
}

/// Where pictures lie.
pub(super) struct Resources {
    /// Buffers for pictures from the CPU, each beside the output of the same number.
    pub(super) buffers: [Option<Input>; PICTURES],
    /// Quantiser steps of the picture beside them, which the driver may read until it was read.
    pub(super) maps: [Option<BlockMap<i8>>; PICTURES],
    pub(super) shared: Registry<Registered>,
}

/// Shared memory that the driver knows.
pub(super) struct Registered {
    pub(super) registration: Registration,
    pub(super) imported: Imported,
    pub(super) layout: Layout,
}

/// Where a picture lies in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) offset: u64,
    pub(super) stride: u32,
}

pub(super) struct State {
    pub(super) pictures: Pictures<Pending, Result<Encoded, ReadError>>,
    pub(super) closing: bool,
    /// The reader is gone.
    pub(super) ended: bool,
}

/// A picture that the driver has.
pub(super) struct Pending {
    pub(super) output: Output,
    /// Of which it is made.
    pub(super) slices: u32,
    /// It is the first of another size.
    pub(super) resized: bool,
    pub(super) recovery: bool,
    pub(super) long_term: LongTerm,
    /// What to undo once it was read; none for buffers of the driver's.
    pub(super) mapped: Option<(MemoryId, Input)>,
    /// The semaphore that the device waits for before it codes it.
    pub(super) waited: Option<MemoryId>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// Holds `driver`, in which nothing is yet.
    pub(super) fn new(driver: DriverSession, context: &Arc<Context>) -> Self {
        Self {
            driver,
            initialised: false,
            outputs: Vec::new(),
            resources: Mutex::new(Resources {
                buffers: [None; PICTURES],
                maps: Default::default(),
                shared: Registry::new(),
            }),
            state: Mutex::new(State { pictures: Pictures::new(), closing: false, ended: false }),
            changed: Condvar::new(),
            stream: None,
            context: Arc::clone(context),
        }
    }

    /// Waits for as long as `busy` says, within reason.
    pub(super) fn wait_while<'a>(
        &self,
        state: MutexGuard<'a, State>,
        busy: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout_while(state, PATIENCE, busy);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The oldest picture, waited for; `None` when there will be no more.
    pub(super) fn next(&self) -> Option<Pending> {
        let mut state = lock(&self.state);
        loop {
            if let Some(picture) = state.pictures.next() {
                return Some(picture);
            }
            if state.closing {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A part of the picture that is being read.
    pub(super) fn hand_on(&self, part: Encoded) {
        lock(&self.state).pictures.part(Ok(part));
    }

    /// A picture was read, or will not be.
    pub(super) fn finish(&self, picture: &Pending, unit: Result<Encoded, ReadError>) {
        self.give_back(picture.mapped);
        // Of one that failed nobody knows whether the device came that far.
        if let (Some(stream), Some(semaphore), Ok(_)) = (&self.stream, picture.waited, &unit) {
            lock(stream).settle(semaphore);
        }
        lock(&self.state).pictures.finish(unit);
        self.changed.notify_all();
    }

    /// The reader returns.
    pub(super) fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }

    pub(super) fn give_back(&self, mapped: Option<(MemoryId, Input)>) {
        let Some((id, input)) = mapped else { return };
        told(self.driver.unmap(input));
        lock(&self.resources).shared.end(id);
    }

    pub(super) fn unregister(&self, registered: Registered) {
        told(self.driver.unregister(registered.registration));
        drop(registered.imported);
    }

    /// Gives up every picture's place. Nothing is being coded.
    pub(super) fn release_inputs(&self) {
        let mut resources = lock(&self.resources);
        resources.maps = Default::default();
        for registered in resources.shared.drain() {
            self.unregister(registered);
        }
        for input in resources.buffers.iter_mut().filter_map(Option::take) {
            told(self.driver.destroy_input(input));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.initialised {
            told(self.driver.flush());
        }
        let resources = self.resources.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Imports must outlive the session that reads from them.
        let mut imports = Vec::new();
        for registered in resources.shared.drain() {
            told(self.driver.unregister(registered.registration));
            imports.push(registered.imported);
        }
        for output in self.outputs.drain(..) {
            told(self.driver.destroy_output(output));
        }
        for input in resources.buffers.iter_mut().filter_map(Option::take) {
            told(self.driver.destroy_input(input));
        }
        told(self.driver.destroy());
    }
}

/// Tells of a failure in giving something back, which nothing can be done about.
fn told(result: Result<(), Failure>) {
    if let Err(failure) = result {
        tracing::warn!(%failure, "giving back to NVENC failed");
    }
}

/// Checks that planes follow one another as the driver takes it for granted, within the memory.
pub(super) fn layout_of(image: &SharedImage<'_>) -> Result<Layout, String> {
    let Some(&first) = image.planes.first() else { return Err("it has no planes".to_owned()) };
    let stride = first.stride;
    let mut end = first.offset;
    let mut planes = 0;
    for (plane, (row, rows)) in image.planes.iter().zip(image.format.planes(image.size)) {
        if plane.offset != end || plane.stride != stride {
            return Err("its planes do not follow one another".to_owned());
        }
        // `NV_ENC_REGISTER_RESOURCE::pitch` is a multiple of 4.
        if (stride as usize) < row || !stride.is_multiple_of(4) {
            return Err(format!("{stride} bytes from row to row"));
        }
        end = u64::from(stride)
            .checked_mul(rows as u64)
            .and_then(|bytes| end.checked_add(bytes))
            .ok_or("its planes are beyond all memory")?;
        planes += 1;
    }
    if planes != image.planes.len() || planes != image.format.planes(image.size).count() {
        return Err(format!("{} planes of {:?}", image.planes.len(), image.format));
    }
    if end > image.memory.bytes {
        return Err(format!("it ends at byte {end} of {}", image.memory.bytes));
    }
    Ok(Layout { offset: first.offset, stride })
}
