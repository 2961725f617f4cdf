//! Keeps one working device for the process, whatever happens to it.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Gpu, GpuError, GpuOptions};

/// The process's device, replaced when it is lost.
///
/// Sources ask [`current`](Self::current) before each frame and compare
/// [`Gpu::generation`] with that of the device that their resources were made on; when it differs
/// they make them anew.
#[derive(Debug)]
pub struct GpuPool {
    options: GpuOptions,
    /// Held for moments only: threads ask that must not wait.
    current: Mutex<Arc<Gpu>>,
    /// Held while a device is opened, which takes as long as the driver does.
    opening: Mutex<()>,
}

impl GpuPool {
    /// Opens the first device.
    ///
    /// # Errors
    /// See [`GpuError`].
    pub fn open(options: GpuOptions) -> Result<Self, GpuError> {
        let current = Mutex::new(Gpu::open(&options)?);
        Ok(Self { options, current, opening: Mutex::new(()) })
    }

    /// The newest device, lost or not. Never waits for a driver.
    pub fn current(&self) -> Arc<Gpu> {
        Arc::clone(&self.lock())
    }

    /// Opens another device if the current one is lost, else yields the current one: any number of
    /// sessions may ask, one device comes of it. Blocks for as long as the driver takes, so it is
    /// called from a source's own thread; to be tried again later when it fails, since a driver
    /// needs time for a reset.
    ///
    /// # Errors
    /// See [`GpuError`]; the lost device stays current then.
    pub fn reopen(&self) -> Result<Arc<Gpu>, GpuError> {
        let current = self.current();
        if current.lost().is_none() {
            return Ok(current);
        }
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one may have opened it meanwhile.
        let current = self.current();
        if current.lost().is_none() {
            return Ok(current);
        }
        let opened = Gpu::open_generation(&self.options, current.generation() + 1)?;
        // The old one goes with `current`, when nothing is locked: it may wait for its watch thread.
        *self.lock() = Arc::clone(&opened);
        Ok(opened)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Gpu>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
