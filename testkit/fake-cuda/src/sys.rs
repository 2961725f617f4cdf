//! Numbers and structures of `cuda.h`, written again from the header and shared with nobody.

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};

pub(crate) const SUCCESS: u32 = 0;
pub(crate) const INVALID_VALUE: u32 = 1;
pub(crate) const NOT_INITIALIZED: u32 = 3;
pub(crate) const INVALID_DEVICE: u32 = 101;
pub(crate) const INVALID_CONTEXT: u32 = 201;
pub(crate) const INVALID_HANDLE: u32 = 400;
pub(crate) const CONTEXT_IS_DESTROYED: u32 = 709;
pub(crate) const NOT_READY: u32 = 600;
pub(crate) const NOT_SUPPORTED: u32 = 801;
pub(crate) const UNKNOWN: u32 = 999;

/// `CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD`.
pub(crate) const OPAQUE_FD: u32 = 1;
/// `CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD`: a binary semaphore.
pub(crate) const BINARY_SEMAPHORE_FD: u32 = 1;
/// `CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD`.
pub(crate) const TIMELINE_SEMAPHORE_FD: u32 = 9;
/// `CU_STREAM_NON_BLOCKING`, the only flag that there is.
pub(crate) const NON_BLOCKING: u32 = 1;
/// `CUDA_EXTERNAL_MEMORY_DEDICATED`.
pub(crate) const DEDICATED: u32 = 1;
/// `CU_MEMORYTYPE_HOST`.
pub(crate) const HOST: u32 = 1;
/// `CU_MEMORYTYPE_DEVICE`.
pub(crate) const DEVICE: u32 = 2;

/// The union of a file descriptor and two pointers; who sets the first leaves the rest as it was.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Handle {
    pub(crate) fd: i32,
    rest: MaybeUninit<[u32; 3]>,
}

/// `CUDA_EXTERNAL_MEMORY_HANDLE_DESC`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HandleDescription {
    pub(crate) kind: u32,
    pub(crate) handle: Handle,
    pub(crate) size: u64,
    pub(crate) flags: u32,
    pub(crate) reserved: [u32; 16],
}

/// `CUDA_EXTERNAL_MEMORY_BUFFER_DESC`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BufferDescription {
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) flags: u32,
    pub(crate) reserved: [u32; 16],
}

/// `CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SemaphoreDescription {
    pub(crate) kind: u32,
    pub(crate) handle: Handle,
    pub(crate) flags: u32,
    pub(crate) reserved: [u32; 16],
}

/// `CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WaitDescription {
    pub(crate) value: u64,
    /// Of other kinds of semaphores, and reserved.
    pub(crate) unused: [u64; 3],
    pub(crate) reserved: [u32; 10],
    pub(crate) flags: u32,
    pub(crate) reserved_too: [u32; 16],
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Copy2d {
    pub(crate) from: Side,
    pub(crate) to: Side,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// One half of it: both have the same fields in the same order.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) kind: u32,
    pub(crate) host: *mut u8,
    pub(crate) device: u64,
    pub(crate) array: *mut c_void,
    pub(crate) pitch: usize,
}

const _: () = assert!(size_of::<HandleDescription>() == 104);
const _: () = assert!(size_of::<BufferDescription>() == 88);
const _: () = assert!(size_of::<Copy2d>() == 128);
const _: () = assert!(size_of::<SemaphoreDescription>() == 96);
const _: () = assert!(size_of::<WaitDescription>() == 144);
