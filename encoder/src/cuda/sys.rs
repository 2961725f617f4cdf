//! Types of `cuda.h` that the functions in use take, as laid out on 64 bit Linux.
//!
//! Results are `u32` and not an enumeration: a newer driver may answer what these headers do not know.
#![allow(
    non_camel_case_types,
    non_snake_case,
    missing_docs,
    reason = "names as in cuda.h, where they are documented"
)]

use std::ffi::{c_int, c_void};
use std::mem::size_of;

/// `CUresult`.
pub type CUresult = u32;
pub const CUDA_SUCCESS: CUresult = 0;
pub const CUDA_ERROR_INVALID_VALUE: CUresult = 1;
pub const CUDA_ERROR_NOT_INITIALIZED: CUresult = 3;
pub const CUDA_ERROR_STUB_LIBRARY: CUresult = 34;
pub const CUDA_ERROR_NO_DEVICE: CUresult = 100;
pub const CUDA_ERROR_INVALID_DEVICE: CUresult = 101;
pub const CUDA_ERROR_NOT_PERMITTED: CUresult = 800;
pub const CUDA_ERROR_NOT_SUPPORTED: CUresult = 801;
pub const CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: CUresult = 803;
pub const CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: CUresult = 804;

/// Ordinal of a device.
pub type CUdevice = c_int;
/// Address in a device's memory.
pub type CUdeviceptr = u64;
/// `CUuuid`.
pub type CUuuid = [u8; 16];
pub type CUcontext = *mut c_void;
pub type CUexternalMemory = *mut c_void;
pub type CUexternalSemaphore = *mut c_void;
pub type CUstream = *mut c_void;
pub type CUarray = *mut c_void;

/// `CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD`.
pub const OPAQUE_FD: u32 = 1;
/// `CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD`: a binary semaphore.
pub const BINARY_SEMAPHORE_FD: u32 = 1;
/// `CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD`.
pub const TIMELINE_SEMAPHORE_FD: u32 = 9;
/// `CU_STREAM_NON_BLOCKING`: it does not wait for the default stream, nor that for it.
pub const NON_BLOCKING: u32 = 1;
/// `CUDA_EXTERNAL_MEMORY_DEDICATED`: the allocation holds one resource alone.
pub const DEDICATED: u32 = 1;
/// `CU_MEMORYTYPE_HOST`.
pub const HOST: u32 = 1;
/// `CU_MEMORYTYPE_DEVICE`.
pub const DEVICE: u32 = 2;

/// What is imported.
#[repr(C)]
#[derive(Clone, Copy)]
pub union CUexternalHandle {
    pub fd: c_int,
    pub win32: [*mut c_void; 2],
}

/// An allocation of another interface.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CUDA_EXTERNAL_MEMORY_HANDLE_DESC {
    pub type_: u32,
    pub handle: CUexternalHandle,
    /// Of the whole allocation, in bytes.
    pub size: u64,
    pub flags: u32,
    pub reserved: [u32; 16],
}

/// A range of one, to be mapped.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CUDA_EXTERNAL_MEMORY_BUFFER_DESC {
    pub offset: u64,
    pub size: u64,
    pub flags: u32,
    pub reserved: [u32; 16],
}

/// A semaphore of another interface.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC {
    pub type_: u32,
    pub handle: CUexternalHandle,
    pub flags: u32,
    pub reserved: [u32; 16],
}

/// What is waited for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS {
    pub params: CUDA_EXTERNAL_SEMAPHORE_WAIT_VALUES,
    pub flags: u32,
    pub reserved: [u32; 16],
}

/// What each kind of semaphore takes of it: fields that are not its own are 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CUDA_EXTERNAL_SEMAPHORE_WAIT_VALUES {
    /// The value that a timeline reaches.
    pub fence: u64,
    pub nvSciSync: u64,
    pub key: u64,
    pub timeoutMs: u32,
    /// With the padding before it, so that all of it is set.
    pub reserved: [u32; 11],
}

/// A copy of rows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CUDA_MEMCPY2D {
    pub srcXInBytes: usize,
    pub srcY: usize,
    pub srcMemoryType: u32,
    pub srcHost: *const c_void,
    pub srcDevice: CUdeviceptr,
    pub srcArray: CUarray,
    pub srcPitch: usize,
    pub dstXInBytes: usize,
    pub dstY: usize,
    pub dstMemoryType: u32,
    pub dstHost: *mut c_void,
    pub dstDevice: CUdeviceptr,
    pub dstArray: CUarray,
    pub dstPitch: usize,
    pub WidthInBytes: usize,
    pub Height: usize,
}

// A field in the wrong place is memory written in the wrong place.
const _: () = assert!(size_of::<CUDA_EXTERNAL_MEMORY_HANDLE_DESC>() == 104);
const _: () = assert!(size_of::<CUDA_EXTERNAL_MEMORY_BUFFER_DESC>() == 88);
const _: () = assert!(size_of::<CUDA_MEMCPY2D>() == 128);
const _: () = assert!(size_of::<CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC>() == 96);
const _: () = assert!(size_of::<CUDA_EXTERNAL_SEMAPHORE_WAIT_VALUES>() == 72);
const _: () = assert!(size_of::<CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS>() == 144);
