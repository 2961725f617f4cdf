//! The context of a device, and when it is current.
#![expect(unsafe_code, reason = "functions of a C library are called; confined to this module")]

use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::Arc;

use media::DeviceId;

use super::loader::{Cuda, Device};
use super::sys::{CUcontext, CUdevice};
use super::{Failure, Unavailable};

/// The primary context of a device, which everything in this process shares. Released when the last
/// handle is dropped; what was made in it must be gone by then.
pub(crate) struct Context {
    cuda: Arc<Cuda>,
    device: CUdevice,
    id: DeviceId,
    handle: CUcontext,
}

// SAFETY: the driver takes a context on any thread; making one current concerns the calling thread alone.
unsafe impl Send for Context {}
// SAFETY: as above; nothing here changes after it was made.
unsafe impl Sync for Context {}

impl Context {
    /// Takes a share in the context of `device`.
    ///
    /// # Errors
    /// The call that failed.
    pub(crate) fn retain(cuda: &Arc<Cuda>, device: &Device) -> Result<Arc<Self>, Failure> {
        let functions = cuda.functions();
        let handle = functions.handle(device.ordinal)?;
        let mut context = null_mut();
        // SAFETY: the driver writes one pointer, and checks the device.
        let result = unsafe { (functions.primary_ctx_retain)(&raw mut context, handle) };
        functions.check("cuDevicePrimaryCtxRetain", result)?;
        // Made before the check, so that what was taken is given back.
        let id = DeviceId(device.uuid);
        let context = Self { cuda: Arc::clone(cuda), device: handle, id, handle: context };
        if context.handle.is_null() {
            let status = "no context".to_owned();
            return Err(Unavailable::Status { call: "cuDevicePrimaryCtxRetain", status });
        }
        Ok(Arc::new(context))
    }

    /// What the driver's other libraries know it by.
    pub(crate) fn handle(&self) -> CUcontext {
        self.handle
    }

    /// Its device.
    pub(crate) fn device(&self) -> DeviceId {
        self.id
    }

    pub(super) fn cuda(&self) -> &Cuda {
        &self.cuda
    }

    /// Makes it current on this thread until the guard is dropped.
    ///
    /// # Errors
    /// The call that failed.
    pub(super) fn current(&self) -> Result<Current<'_>, Failure> {
        let functions = self.cuda.functions();
        // SAFETY: the context is retained for as long as `self` lives.
        let result = unsafe { (functions.ctx_push_current)(self.handle) };
        functions.check("cuCtxPushCurrent", result)?;
        Ok(Current { context: self, of_this_thread: PhantomData })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let functions = self.cuda.functions();
        // SAFETY: it was retained once by `self`.
        let result = unsafe { (functions.primary_ctx_release)(self.device) };
        warn(functions.check("cuDevicePrimaryCtxRelease", result));
    }
}

/// A context that is current on this thread.
pub(super) struct Current<'a> {
    context: &'a Context,
    /// It must be ended where it began.
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        let functions = self.context.cuda.functions();
        let mut popped = null_mut();
        // SAFETY: the driver writes one pointer.
        let result = unsafe { (functions.ctx_pop_current)(&raw mut popped) };
        warn(functions.check("cuCtxPopCurrent", result));
    }
}

/// Tells of a failure in giving something back, which nothing can be done about.
pub(super) fn warn(result: Result<(), Failure>) {
    if let Err(failure) = result {
        tracing::warn!(%failure, "giving back to CUDA failed");
    }
}
