//! A session of the double, from a setup that is right.

use std::ptr::null_mut;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use crate::driver::{
    Answer, Driver, END, FORCE_IDR, HEIGHT, Handle, NV12, Raw, WIDTH, entry, get, set,
};

/// What a session is set up with, changed before it is.
pub(crate) struct Setup {
    pub(crate) given: Raw<sdk::NV_ENC_INITIALIZE_PARAMS>,
    pub(crate) config: Raw<sdk::NV_ENC_CONFIG>,
}

impl Setup {
    /// H.264 of one slice.
    pub(crate) fn h264() -> Self {
        let mut this =
            Self::of(sdk::NV_ENC_CODEC_H264_GUID, sdk::NV_ENC_H264_PROFILE_BASELINE_GUID);
        this.h264_with(|mut h264| {
            set!(h264, idrPeriod = u32::MAX);
            set!(h264, sliceMode = 3_u32);
            set!(h264, sliceModeData = 1_u32);
            set!(h264, chromaFormatIDC = 1_u32);
            set!(h264, maxNumRefFrames = 5_u32);
            // NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC, repeatSPSPPS.
            set!(h264, entropyCodingMode = 2_u32);
            set!(h264, _bitfield_1 = 1_u32 << 12);
        });
        this
    }

    /// HEVC of one slice.
    pub(crate) fn hevc(ten_bit: bool, full_chroma: bool) -> Self {
        let profile = match (full_chroma, ten_bit) {
            (true, _) => sdk::NV_ENC_HEVC_PROFILE_FREXT_GUID,
            (false, true) => sdk::NV_ENC_HEVC_PROFILE_MAIN10_GUID,
            (false, false) => sdk::NV_ENC_HEVC_PROFILE_MAIN_GUID,
        };
        let mut this = Self::of(sdk::NV_ENC_CODEC_HEVC_GUID, profile);
        let mut hevc = At(this.coding().cast::<sdk::NV_ENC_CONFIG_HEVC>());
        set!(hevc, idrPeriod = u32::MAX);
        set!(hevc, sliceMode = 3_u32);
        set!(hevc, sliceModeData = 1_u32);
        set!(hevc, maxNumRefFramesInDPB = 5_u32);
        let chroma = if full_chroma { 3_u32 } else { 1 };
        let depth = if ten_bit { 2_u32 } else { 0 };
        set!(hevc, _bitfield_1 = 1 << 7 | chroma << 9 | depth << 11);
        this
    }

    /// AV1 of one tile.
    pub(crate) fn av1() -> Self {
        let mut this = Self::of(sdk::NV_ENC_CODEC_AV1_GUID, sdk::NV_ENC_AV1_PROFILE_MAIN_GUID);
        let mut av1 = At(this.coding().cast::<sdk::NV_ENC_CONFIG_AV1>());
        set!(av1, idrPeriod = u32::MAX);
        set!(av1, numTileColumns = 1_u32);
        set!(av1, maxNumRefFramesInDPB = 8_u32);
        set!(av1, _bitfield_1 = 1_u32 << 5 | 1 << 7);
        this
    }

    fn of(codec: sdk::GUID, profile: sdk::GUID) -> Self {
        let mut given =
            Raw::<sdk::NV_ENC_INITIALIZE_PARAMS>::new(sdk::NV_ENC_INITIALIZE_PARAMS_VER);
        set!(given, encodeGUID = codec);
        set!(given, presetGUID = sdk::NV_ENC_PRESET_P1_GUID);
        set!(given, encodeWidth = WIDTH);
        set!(given, encodeHeight = HEIGHT);
        set!(given, frameRateNum = 60_u32);
        set!(given, frameRateDen = 1_u32);
        set!(given, enablePTD = 1_u32);
        set!(given, tuningInfo = 3_u32);
        // splitEncodeMode off.
        set!(given, _bitfield_1 = 15_u32 << 5);
        let mut config = Raw::<sdk::NV_ENC_CONFIG>::new(sdk::NV_ENC_CONFIG_VER);
        set!(config, profileGUID = profile);
        set!(config, gopLength = u32::MAX);
        set!(config, frameIntervalP = 1_i32);
        set!(config, frameFieldMode = 1_u32);
        set!(config, rcParams.version = sdk::NV_ENC_RC_PARAMS_VER);
        set!(config, rcParams.rateControlMode = 2_u32);
        set!(config, rcParams.averageBitRate = 2_000_000_u32);
        set!(config, rcParams.maxBitRate = 2_000_000_u32);
        Self { given, config }
    }

    pub(crate) fn coding(&mut self) -> *mut u32 {
        // SAFETY: the configuration is alive.
        unsafe { (&raw mut (*self.config.at()).encodeCodecConfig).cast() }
    }

    pub(crate) fn h264_with(&mut self, change: impl FnOnce(At<sdk::NV_ENC_CONFIG_H264>)) {
        change(At(self.coding().cast()));
    }

    pub(crate) fn initialize(&mut self, driver: &Driver, session: Handle) -> Answer {
        set!(self.given, encodeConfig = self.config.at());
        entry!(driver, nvEncInitializeEncoder(
            session => Handle, self.given.at() => *mut sdk::NV_ENC_INITIALIZE_PARAMS
        ))
    }

    /// `flags` are resetEncoder 1 and forceIDR 2.
    pub(crate) fn reconfigure(&mut self, driver: &Driver, session: Handle, flags: u32) -> Answer {
        set!(self.given, encodeConfig = self.config.at());
        let mut given =
            Raw::<sdk::NV_ENC_RECONFIGURE_PARAMS>::new(sdk::NV_ENC_RECONFIGURE_PARAMS_VER);
        // SAFETY: both are alive, and of one type.
        unsafe {
            (&raw mut (*given.at()).reInitEncodeParams)
                .copy_from_nonoverlapping(self.given.at(), 1);
        }
        set!(given, _bitfield_1 = flags);
        entry!(driver, nvEncReconfigureEncoder(
            session => Handle, given.at() => *mut sdk::NV_ENC_RECONFIGURE_PARAMS
        ))
    }
}

/// A structure within another.
pub(crate) struct At<T>(pub(crate) *mut T);

impl<T> At<T> {
    pub(crate) fn at(&mut self) -> *mut T {
        self.0
    }
}

/// What a lock told.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) data: Vec<u8>,
    pub(crate) timestamp: u64,
    pub(crate) kind: u32,
    pub(crate) qp: u32,
    pub(crate) status: u32,
    pub(crate) slices: u32,
    pub(crate) offsets: Vec<u32>,
}

/// A session that is set up.
pub(crate) struct Session<'a> {
    pub(crate) driver: &'a Driver,
    pub(crate) handle: Handle,
    pub(crate) setup: Setup,
}

impl<'a> Session<'a> {
    pub(crate) fn new(driver: &'a Driver, mut setup: Setup) -> Self {
        let handle = driver.open().unwrap();
        setup.initialize(driver, handle).unwrap();
        Self { driver, handle, setup }
    }

    pub(crate) fn create_output(&self) -> Result<Handle, u32> {
        let mut given = Raw::<sdk::NV_ENC_CREATE_BITSTREAM_BUFFER>::new(
            sdk::NV_ENC_CREATE_BITSTREAM_BUFFER_VER,
        );
        entry!(self.driver, nvEncCreateBitstreamBuffer(
            self.handle => Handle, given.at() => *mut sdk::NV_ENC_CREATE_BITSTREAM_BUFFER
        ))?;
        Ok(get!(given, bitstreamBuffer as Handle))
    }

    pub(crate) fn destroy_output(&self, output: Handle) -> Answer {
        entry!(self.driver, nvEncDestroyBitstreamBuffer(self.handle => Handle, output => Handle))
    }

    pub(crate) fn create_input(&self, width: u32, height: u32, format: u32) -> Result<Handle, u32> {
        let mut given =
            Raw::<sdk::NV_ENC_CREATE_INPUT_BUFFER>::new(sdk::NV_ENC_CREATE_INPUT_BUFFER_VER);
        set!(given, width = width);
        set!(given, height = height);
        set!(given, bufferFmt = format);
        entry!(self.driver, nvEncCreateInputBuffer(
            self.handle => Handle, given.at() => *mut sdk::NV_ENC_CREATE_INPUT_BUFFER
        ))?;
        Ok(get!(given, inputBuffer as Handle))
    }

    pub(crate) fn destroy_input(&self, input: Handle) -> Answer {
        entry!(self.driver, nvEncDestroyInputBuffer(self.handle => Handle, input => Handle))
    }

    /// Address and pitch.
    pub(crate) fn lock_input(&self, input: Handle, flags: u32) -> Result<(*mut u8, usize), u32> {
        let mut given =
            Raw::<sdk::NV_ENC_LOCK_INPUT_BUFFER>::new(sdk::NV_ENC_LOCK_INPUT_BUFFER_VER);
        set!(given, inputBuffer = input);
        set!(given, _bitfield_1 = flags);
        entry!(self.driver, nvEncLockInputBuffer(
            self.handle => Handle, given.at() => *mut sdk::NV_ENC_LOCK_INPUT_BUFFER
        ))?;
        Ok((get!(given, bufferDataPtr as *mut u8), get!(given, pitch as u32) as usize))
    }

    pub(crate) fn unlock_input(&self, input: Handle) -> Answer {
        entry!(self.driver, nvEncUnlockInputBuffer(self.handle => Handle, input => Handle))
    }

    /// Writes rows of one length into an input. Answers its pitch.
    pub(crate) fn fill(&self, input: Handle, rows: &[u8], row_bytes: usize) -> u32 {
        let (to, pitch) = self.lock_input(input, 0).unwrap();
        for (number, row) in rows.chunks(row_bytes).enumerate() {
            // SAFETY: the input is locked and has these rows.
            unsafe { to.add(number * pitch).copy_from_nonoverlapping(row.as_ptr(), row.len()) };
        }
        self.unlock_input(input).unwrap();
        pitch as u32
    }

    pub(crate) fn register(&self, address: u64, pitch: u32, format: u32) -> Result<Handle, u32> {
        self.register_with(|given| {
            set!(given, pitch = pitch);
            set!(given, resourceToRegister = address as usize);
            set!(given, bufferFormat = format);
        })
    }

    /// A picture of the session's size, otherwise as `change` says.
    pub(crate) fn register_with(
        &self,
        change: impl FnOnce(&mut Raw<sdk::NV_ENC_REGISTER_RESOURCE>),
    ) -> Result<Handle, u32> {
        let mut given =
            Raw::<sdk::NV_ENC_REGISTER_RESOURCE>::new(sdk::NV_ENC_REGISTER_RESOURCE_VER);
        // NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR.
        set!(given, resourceType = 1_u32);
        set!(given, width = WIDTH);
        set!(given, height = HEIGHT);
        change(&mut given);
        entry!(self.driver, nvEncRegisterResource(
            self.handle => Handle, given.at() => *mut sdk::NV_ENC_REGISTER_RESOURCE
        ))?;
        Ok(get!(given, registeredResource as Handle))
    }

    pub(crate) fn unregister(&self, resource: Handle) -> Answer {
        entry!(self.driver, nvEncUnregisterResource(self.handle => Handle, resource => Handle))
    }

    /// The mapped input and its format.
    pub(crate) fn map(&self, resource: Handle) -> Result<(Handle, u32), u32> {
        let mut given =
            Raw::<sdk::NV_ENC_MAP_INPUT_RESOURCE>::new(sdk::NV_ENC_MAP_INPUT_RESOURCE_VER);
        set!(given, registeredResource = resource);
        entry!(self.driver, nvEncMapInputResource(
            self.handle => Handle, given.at() => *mut sdk::NV_ENC_MAP_INPUT_RESOURCE
        ))?;
        Ok((get!(given, mappedResource as Handle), get!(given, mappedBufferFmt as u32)))
    }

    pub(crate) fn unmap(&self, mapping: Handle) -> Answer {
        entry!(self.driver, nvEncUnmapInputResource(self.handle => Handle, mapping => Handle))
    }

    /// A picture of NV12 in the session's size; `pitch` is that of the input.
    pub(crate) fn encode(
        &self,
        (input, pitch): (Handle, u32),
        output: Handle,
        timestamp: u64,
        flags: u32,
    ) -> Answer {
        self.encode_with(|given| {
            set!(given, inputBuffer = input);
            set!(given, outputBitstream = output);
            set!(given, inputPitch = pitch);
            set!(given, inputTimeStamp = timestamp);
            set!(given, encodePicFlags = flags);
        })
    }

    pub(crate) fn encode_with(
        &self,
        change: impl FnOnce(&mut Raw<sdk::NV_ENC_PIC_PARAMS>),
    ) -> Answer {
        let mut given = Raw::<sdk::NV_ENC_PIC_PARAMS>::new(sdk::NV_ENC_PIC_PARAMS_VER);
        set!(given, inputWidth = WIDTH);
        set!(given, inputHeight = HEIGHT);
        set!(given, inputDuration = 1_u64);
        set!(given, bufferFmt = NV12);
        // NV_ENC_PIC_STRUCT_FRAME.
        set!(given, pictureStruct = 1_u32);
        change(&mut given);
        entry!(self.driver, nvEncEncodePicture(
            self.handle => Handle, given.at() => *mut sdk::NV_ENC_PIC_PARAMS
        ))
    }

    /// Tells the end of the stream.
    pub(crate) fn end(&self) -> Answer {
        let mut given = Raw::<sdk::NV_ENC_PIC_PARAMS>::new(sdk::NV_ENC_PIC_PARAMS_VER);
        set!(given, encodePicFlags = END);
        entry!(self.driver, nvEncEncodePicture(
            self.handle => Handle, given.at() => *mut sdk::NV_ENC_PIC_PARAMS
        ))
    }

    /// Locks an output and copies what it has; `flags` is doNotWait.
    pub(crate) fn lock(&self, output: Handle, flags: u32) -> Result<Unit, u32> {
        let mut offsets = vec![0_u32; (WIDTH * HEIGHT / 256) as usize];
        let mut given = Raw::<sdk::NV_ENC_LOCK_BITSTREAM>::new(sdk::NV_ENC_LOCK_BITSTREAM_VER);
        set!(given, outputBitstream = output);
        set!(given, sliceOffsets = offsets.as_mut_ptr());
        set!(given, _bitfield_1 = flags);
        entry!(self.driver, nvEncLockBitstream(
            self.handle => Handle, given.at() => *mut sdk::NV_ENC_LOCK_BITSTREAM
        ))?;
        let bytes = get!(given, bitstreamSizeInBytes as u32) as usize;
        let from = get!(given, bitstreamBufferPtr as *const u8);
        let slices = get!(given, numSlices as u32);
        offsets.truncate(slices as usize);
        Ok(Unit {
            // SAFETY: the output is locked and has so many bytes.
            data: unsafe { std::slice::from_raw_parts(from, bytes) }.to_vec(),
            timestamp: get!(given, outputTimeStamp as u64),
            kind: get!(given, pictureType as u32),
            qp: get!(given, frameAvgQP as u32),
            status: get!(given, hwEncodeStatus as u32),
            slices,
            offsets,
        })
    }

    pub(crate) fn unlock(&self, output: Handle) -> Answer {
        entry!(self.driver, nvEncUnlockBitstream(self.handle => Handle, output => Handle))
    }

    /// The unit of an output.
    pub(crate) fn read(&self, output: Handle) -> Unit {
        let unit = self.lock(output, 0).unwrap();
        self.unlock(output).unwrap();
        unit
    }

    pub(crate) fn invalidate(&self, timestamp: u64) -> Answer {
        entry!(self.driver, nvEncInvalidateRefFrames(self.handle => Handle, timestamp => u64))
    }

    /// Codes pictures of the CPU one by one, in the size of the session.
    pub(crate) fn code(
        &self,
        io: (Handle, Handle),
        picture: &[u8],
        timestamp: u64,
        key: bool,
    ) -> Unit {
        let pitch = self.fill(io.0, picture, WIDTH as usize);
        let flags = if key { FORCE_IDR } else { 0 };
        self.encode((io.0, pitch), io.1, timestamp, flags).unwrap();
        self.read(io.1)
    }

    /// An input of NV12 and an output.
    pub(crate) fn buffers(&self) -> (Handle, Handle) {
        (self.create_input(WIDTH, HEIGHT, NV12).unwrap(), self.create_output().unwrap())
    }

    /// Gives all of it back as it should be.
    pub(crate) fn close(self, inputs: &[Handle], outputs: &[Handle]) {
        self.end().unwrap();
        inputs.iter().for_each(|input| self.destroy_input(*input).unwrap());
        outputs.iter().for_each(|output| self.destroy_output(*output).unwrap());
        self.driver.destroy(self.handle).unwrap();
    }
}

/// What was never a handle.
pub(crate) fn nonsense() -> Handle {
    std::ptr::without_provenance_mut(0xdead_beef)
}

/// No handle.
pub(crate) fn none() -> Handle {
    null_mut()
}
