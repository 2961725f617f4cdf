//! The driver's calls, each with what it answers instead of what it writes.
//!
//! Structures are zeroed, get their version, and are read field by field afterwards (see `raw`). What
//! a driver says to have done and did not (a handle that is null, a buffer without an address) is told
//! as a failure of that call. Handles are numbers to everybody else: only [`DriverSession`] makes
//! them, and only it passes them on.
#![expect(unsafe_code, reason = "functions of a C library are called; confined to this module")]

mod picture;

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use media::Size;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use thiserror::Error;

use super::loader::{Functions, Handle, Nvenc};
use super::raw::Driver;
use super::recover::{BUSY, RETRIES};
use super::status::Status;
use crate::cuda::{Context, Stream};

pub(crate) use picture::{Coded, Job, PictureCalls, ReadCalls, StepMap};

/// Declares the calls by the names that the SDK's documentation has for them.
macro_rules! calls {
    ($($call:ident),* $(,)?) => {
        /// A call of the driver.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Call {
            $($call,)*
        }

        impl Call {
            /// Every call.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$call,)*];

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$call => concat!("NvEnc", stringify!($call)),)*
                }
            }
        }
    };
}

calls! {
    OpenEncodeSessionEx,
    GetEncodeGUIDCount,
    GetEncodeGUIDs,
    GetEncodeProfileGUIDCount,
    GetEncodeProfileGUIDs,
    GetInputFormatCount,
    GetInputFormats,
    GetEncodeCaps,
    GetEncodePresetConfigEx,
    InitializeEncoder,
    ReconfigureEncoder,
    SetIOCudaStreams,
    CreateInputBuffer,
    DestroyInputBuffer,
    LockInputBuffer,
    UnlockInputBuffer,
    CreateBitstreamBuffer,
    DestroyBitstreamBuffer,
    LockBitstream,
    UnlockBitstream,
    RegisterResource,
    UnregisterResource,
    MapInputResource,
    UnmapInputResource,
    EncodePicture,
    InvalidateRefFrames,
    DestroyEncoder,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a call failed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{call} answered {answer}")]
pub(crate) struct Failure {
    /// The call.
    pub(crate) call: Call,
    /// What came of it.
    pub(crate) answer: Answer,
}

/// What comes of a call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Answer {
    /// It said so.
    #[error("{0}")]
    Status(Status),
    /// It said that all is well and did not write this.
    #[error("SUCCESS without {0}")]
    Without(&'static str),
}

fn check(call: Call, status: u32) -> Result<(), Failure> {
    match Status(status) {
        Status::SUCCESS => Ok(()),
        status => Err(Failure { call, answer: Answer::Status(status) }),
    }
}

/// Unlocks or unmaps, again where it fails: what stays locked can be neither used nor freed.
fn undo(call: Call, undo: impl Fn() -> u32) -> Result<(), Failure> {
    for _ in 0..RETRIES {
        if undo() == 0 {
            return Ok(());
        }
        std::thread::sleep(BUSY);
    }
    check(call, undo())
}

fn without(call: Call, what: &'static str) -> Failure {
    Failure { call, answer: Answer::Without(what) }
}

/// A picture that can be coded: a buffer of the driver's, or a mapped one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Input(sdk::NV_ENC_INPUT_PTR);

/// A buffer that a coded picture is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output(sdk::NV_ENC_OUTPUT_PTR);

#[cfg(test)]
impl Output {
    /// None, for what makes no calls.
    pub(crate) const NONE: Self = Self(std::ptr::null_mut());
}

/// Memory that the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registration(sdk::NV_ENC_REGISTERED_PTR);

// SAFETY: handles of the driver, which takes them on any thread and follows them itself.
unsafe impl Send for Input {}
// SAFETY: as above.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Send for Registration {}
// SAFETY: as above; there is nothing to be changed through them.
unsafe impl Sync for Output {}

/// `NV_ENC_BUFFER_FORMAT` as a number: a driver may name formats that the headers do not know.
pub(crate) type Format = u32;

/// Most entries that a list of the driver is believed to have.
const MOST_ENTRIES: u32 = 64;

/// An open session. It must be destroyed by [`destroy`](Self::destroy) when nothing is left in it.
pub(crate) struct DriverSession {
    nvenc: Arc<Nvenc>,
    handle: Handle,
}

// SAFETY: the driver takes a session on any thread (programming guide, "Threading model": pictures go in
// on one thread and come out on a second one).
unsafe impl Send for DriverSession {}
// SAFETY: as above. Nothing in here changes.
unsafe impl Sync for DriverSession {}

impl DriverSession {
    /// Opens a session on the device of `context`, which must outlive it.
    ///
    /// # Errors
    /// What failed. What the driver left of a session that could not be opened is destroyed.
    pub(crate) fn open(nvenc: &Arc<Nvenc>, context: &Context) -> Result<Self, Failure> {
        let mut parameters = Driver::<sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>::zeroed();
        let pointer = parameters.pointer();
        let mut handle: Handle = null_mut();
        // SAFETY: the box is live and zero, which is a value of the structure; the driver reads it and
        // writes one pointer.
        let status = unsafe {
            (*pointer).version = sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER;
            (*pointer).deviceType = sdk::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA;
            (*pointer).device = context.handle();
            (*pointer).apiVersion = sdk::NVENCAPI_VERSION;
            (nvenc.functions().open_encode_session_ex)(pointer, &raw mut handle)
        };
        let failed = check(Call::OpenEncodeSessionEx, status);
        if handle.is_null() {
            failed?;
            return Err(without(Call::OpenEncodeSessionEx, "a session"));
        }
        let session = Self { nvenc: Arc::clone(nvenc), handle };
        session.nvenc.opened();
        if let Err(failure) = failed {
            // "If the creation of encoder session fails, the client must call NvEncDestroyEncoder".
            let _ = session.destroy();
            return Err(failure);
        }
        Ok(session)
    }

    fn functions(&self) -> &Functions {
        self.nvenc.functions()
    }

    /// Ends the session. What was made in it must be gone, and no call be in progress.
    pub(crate) fn destroy(&self) -> Result<(), Failure> {
        self.nvenc.closed();
        // SAFETY: the session was opened, and this is called once: by its owner on being dropped.
        check(Call::DestroyEncoder, unsafe { (self.functions().destroy_encoder)(self.handle) })
    }

    /// Reads a list in the driver's two steps.
    fn list<T: Clone>(
        blank: T,
        (count_call, count): (Call, impl FnOnce(*mut u32) -> u32),
        (fill_call, fill): (Call, impl FnOnce(*mut T, u32, *mut u32) -> u32),
    ) -> Result<Vec<T>, Failure> {
        let mut number = 0;
        check(count_call, count(&raw mut number))?;
        let number = number.min(MOST_ENTRIES);
        let mut entries = vec![blank; number as usize];
        let mut filled = 0;
        check(fill_call, fill(entries.as_mut_ptr(), number, &raw mut filled))?;
        entries.truncate(filled as usize);
        Ok(entries)
    }

    /// The codecs that the device codes.
    pub(crate) fn codecs(&self) -> Result<Vec<sdk::GUID>, Failure> {
        let functions = self.functions();
        // SAFETY: the session is open; the driver writes a number, and no more entries than there are.
        Self::list(
            BLANK,
            (Call::GetEncodeGUIDCount, |count| unsafe {
                (functions.get_encode_guid_count)(self.handle, count)
            }),
            // SAFETY: as above.
            (Call::GetEncodeGUIDs, |guids, most, count| unsafe {
                (functions.get_encode_guids)(self.handle, guids, most, count)
            }),
        )
    }

    /// The profiles that it has of a codec.
    pub(crate) fn profiles(&self, codec: sdk::GUID) -> Result<Vec<sdk::GUID>, Failure> {
        let functions = self.functions();
        // SAFETY: as in `codecs`.
        Self::list(
            BLANK,
            (Call::GetEncodeProfileGUIDCount, |count| unsafe {
                (functions.get_encode_profile_guid_count)(self.handle, codec, count)
            }),
            // SAFETY: as above.
            (Call::GetEncodeProfileGUIDs, |guids, most, count| unsafe {
                (functions.get_encode_profile_guids)(self.handle, codec, guids, most, count)
            }),
        )
    }

    /// The layouts of pictures that it takes for a codec.
    pub(crate) fn formats(&self, codec: sdk::GUID) -> Result<Vec<Format>, Failure> {
        let functions = self.functions();
        // SAFETY: as in `codecs`.
        Self::list(
            0,
            (Call::GetInputFormatCount, |count| unsafe {
                (functions.get_input_format_count)(self.handle, codec, count)
            }),
            // SAFETY: as above.
            (Call::GetInputFormats, |formats, most, count| unsafe {
                (functions.get_input_formats)(self.handle, codec, formats, most, count)
            }),
        )
    }

    /// What it says of one capability for a codec.
    pub(crate) fn cap(&self, codec: sdk::GUID, cap: sdk::NV_ENC_CAPS) -> Result<i32, Failure> {
        let mut parameters = Driver::<sdk::NV_ENC_CAPS_PARAM>::zeroed();
        let pointer = parameters.pointer();
        let mut value: c_int = 0;
        // SAFETY: the box is live; the driver reads it and writes one `int`.
        let status = unsafe {
            (*pointer).version = sdk::NV_ENC_CAPS_PARAM_VER;
            (*pointer).capsToQuery = cap;
            (self.functions().get_encode_caps)(self.handle, codec, pointer, &raw mut value)
        };
        check(Call::GetEncodeCaps, status)?;
        Ok(value)
    }

    /// The settings of a preset for the least delay.
    pub(crate) fn preset(
        &self,
        codec: sdk::GUID,
        preset: sdk::GUID,
    ) -> Result<Driver<sdk::NV_ENC_CONFIG>, Failure> {
        let mut filled = Driver::<sdk::NV_ENC_PRESET_CONFIG>::zeroed();
        let mut config = Driver::<sdk::NV_ENC_CONFIG>::zeroed();
        let pointer = filled.pointer();
        let tuning = sdk::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY as u32;
        // SAFETY: the box is live, and the driver writes into it. What it wrote is copied as bytes.
        unsafe {
            (*pointer).version = sdk::NV_ENC_PRESET_CONFIG_VER;
            (*pointer).presetCfg.version = sdk::NV_ENC_CONFIG_VER;
            let status = (self.functions().get_encode_preset_config_ex)(
                self.handle,
                codec,
                preset,
                tuning,
                pointer,
            );
            check(Call::GetEncodePresetConfigEx, status)?;
            let from = (&raw const (*pointer).presetCfg).cast::<u8>();
            let to = config.pointer().cast::<u8>();
            from.copy_to_nonoverlapping(to, size_of::<sdk::NV_ENC_CONFIG>());
        }
        Ok(config)
    }

    /// Sets the session up. `_config` is what `parameters` points to.
    pub(crate) fn initialize(
        &self,
        parameters: &mut Driver<sdk::NV_ENC_INITIALIZE_PARAMS>,
        _config: &mut Driver<sdk::NV_ENC_CONFIG>,
    ) -> Result<(), Failure> {
        // SAFETY: both boxes are live, and borrowed for the call.
        let status =
            unsafe { (self.functions().initialize_encoder)(self.handle, parameters.pointer()) };
        check(Call::InitializeEncoder, status)
    }

    /// Sets it up otherwise: with `reset` from a keyframe on, else from the next picture. `change` is
    /// memory for the call.
    pub(crate) fn reconfigure(
        &self,
        parameters: &mut Driver<sdk::NV_ENC_INITIALIZE_PARAMS>,
        _config: &mut Driver<sdk::NV_ENC_CONFIG>,
        change: &mut Driver<sdk::NV_ENC_RECONFIGURE_PARAMS>,
        reset: bool,
    ) -> Result<(), Failure> {
        let pointer = change.clear();
        // The first two bits are `resetEncoder` and `forceIDR`.
        let bits: u32 = if reset { 0b11 } else { 0 };
        // SAFETY: all boxes are live, and borrowed for the call; the structure within is copied as bytes.
        let status = unsafe {
            (*pointer).version = sdk::NV_ENC_RECONFIGURE_PARAMS_VER;
            let to = (&raw mut (*pointer).reInitEncodeParams).cast::<u8>();
            let bytes = size_of::<sdk::NV_ENC_INITIALIZE_PARAMS>();
            to.copy_from_nonoverlapping(parameters.pointer().cast::<u8>(), bytes);
            (&raw mut (*pointer)._bitfield_1).cast::<[u8; 4]>().write(bits.to_ne_bytes());
            (self.functions().reconfigure_encoder)(self.handle, pointer)
        };
        check(Call::ReconfigureEncoder, status)
    }

    /// Has pictures wait for what is in `stream` when they are handed in. It must outlive the session.
    ///
    /// # Errors
    /// That the driver cannot, or what it answers.
    pub(crate) fn wait_in(&self, stream: &mut Stream) -> Result<(), Failure> {
        let call = Call::SetIOCudaStreams;
        let set = self.functions().set_streams.ok_or_else(|| without(call, "such a function"))?;
        let place = stream.place().cast();
        // SAFETY: both are the place of one live stream of the session's device. The SDK does not say for
        // how long they are read, and by the caller's word the stream outlives the session.
        check(call, unsafe { set(self.handle, place, place) })
    }

    /// Makes a buffer for a coded picture.
    pub(crate) fn create_output(&self) -> Result<Output, Failure> {
        let mut parameters = Driver::<sdk::NV_ENC_CREATE_BITSTREAM_BUFFER>::zeroed();
        let pointer = parameters.pointer();
        // SAFETY: the box is live, and the driver writes into it.
        let (status, output) = unsafe {
            (*pointer).version = sdk::NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
            let create = self.functions().create_bitstream_buffer;
            (create(self.handle, pointer), (&raw const (*pointer).bitstreamBuffer).read())
        };
        check(Call::CreateBitstreamBuffer, status)?;
        non_null(Call::CreateBitstreamBuffer, output).map(Output)
    }

    pub(crate) fn destroy_output(&self, output: Output) -> Result<(), Failure> {
        // SAFETY: the buffer is one of this session, whose owner destroys it once.
        let status = unsafe { (self.functions().destroy_bitstream_buffer)(self.handle, output.0) };
        check(Call::DestroyBitstreamBuffer, status)
    }

    /// Makes a buffer for a picture that comes from the CPU.
    pub(crate) fn create_input(
        &self,
        size: Size,
        format: sdk::NV_ENC_BUFFER_FORMAT,
    ) -> Result<Input, Failure> {
        let mut parameters = Driver::<sdk::NV_ENC_CREATE_INPUT_BUFFER>::zeroed();
        let pointer = parameters.pointer();
        // SAFETY: as in `create_output`.
        let (status, input) = unsafe {
            (*pointer).version = sdk::NV_ENC_CREATE_INPUT_BUFFER_VER;
            (*pointer).width = size.width;
            (*pointer).height = size.height;
            (*pointer).bufferFmt = format;
            let create = self.functions().create_input_buffer;
            (create(self.handle, pointer), (&raw const (*pointer).inputBuffer).read())
        };
        check(Call::CreateInputBuffer, status)?;
        non_null(Call::CreateInputBuffer, input).map(Input)
    }

    pub(crate) fn destroy_input(&self, input: Input) -> Result<(), Failure> {
        // SAFETY: as in `destroy_output`.
        let status = unsafe { (self.functions().destroy_input_buffer)(self.handle, input.0) };
        check(Call::DestroyInputBuffer, status)
    }

    /// Tells the driver of a picture at `address` of the session's device, with `pitch` bytes from row
    /// to row and its planes behind one another.
    pub(crate) fn register(
        &self,
        address: u64,
        size: Size,
        pitch: u32,
        format: sdk::NV_ENC_BUFFER_FORMAT,
    ) -> Result<Registration, Failure> {
        let mut parameters = Driver::<sdk::NV_ENC_REGISTER_RESOURCE>::zeroed();
        let pointer = parameters.pointer();
        // SAFETY: as in `create_output`. The address is the device's and followed by it alone.
        let (status, registration) = unsafe {
            (*pointer).version = sdk::NV_ENC_REGISTER_RESOURCE_VER;
            (*pointer).resourceType =
                sdk::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
            (*pointer).width = size.width;
            (*pointer).height = size.height;
            (*pointer).pitch = pitch;
            (*pointer).resourceToRegister = std::ptr::without_provenance_mut(address as usize);
            (*pointer).bufferFormat = format;
            (*pointer).bufferUsage = sdk::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE;
            let register = self.functions().register_resource;
            (register(self.handle, pointer), (&raw const (*pointer).registeredResource).read())
        };
        check(Call::RegisterResource, status)?;
        non_null(Call::RegisterResource, registration).map(Registration)
    }

    pub(crate) fn unregister(&self, registration: Registration) -> Result<(), Failure> {
        // SAFETY: as in `destroy_output`.
        let status = unsafe { (self.functions().unregister_resource)(self.handle, registration.0) };
        check(Call::UnregisterResource, status)
    }

    pub(crate) fn unmap(&self, input: Input) -> Result<(), Failure> {
        undo(Call::UnmapInputResource, || {
            // SAFETY: the mapping is one of this session, and undone once by its owner.
            unsafe { (self.functions().unmap_input_resource)(self.handle, input.0) }
        })
    }

    /// Takes a picture out of the references, by the time stamp that it was coded with.
    pub(crate) fn invalidate(&self, time_stamp: u64) -> Result<(), Failure> {
        // SAFETY: the session is open.
        let status = unsafe { (self.functions().invalidate_ref_frames)(self.handle, time_stamp) };
        check(Call::InvalidateRefFrames, status)
    }
}

const BLANK: sdk::GUID = sdk::GUID { Data1: 0, Data2: 0, Data3: 0, Data4: [0; 8] };

fn non_null(call: Call, handle: *mut c_void) -> Result<*mut c_void, Failure> {
    if handle.is_null() { Err(without(call, "a handle")) } else { Ok(handle) }
}
