//! The calls that every picture takes. Their structures are used again.

use std::time::{Duration, Instant};
use std::{ptr, slice};

use media::Size;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use super::{
    Answer, Call, DriverSession, Failure, Format, Input, Output, Registration, check, undo, without,
};
use crate::nvenc::losses::{LongTerm, LongTermTold};
use crate::nvenc::plan::{Coding, Plan};
use crate::nvenc::raw::Driver;
use crate::nvenc::recover::is_busy;

/// What one picture is coded with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) input: Input,
    pub(crate) format: Format,
    /// Bytes from row to row.
    pub(crate) pitch: u32,
    pub(crate) output: Output,
    /// Counts up from picture to picture.
    pub(crate) time_stamp: u64,
    pub(crate) keyframe: bool,
    /// Begins a wave of intra blocks of so many pictures; 0 begins none.
    pub(crate) wave: u32,
    /// Of H.264 and HEVC; AV1 has none in this SDK.
    pub(crate) long_term: LongTerm,
    pub(crate) map: Option<StepMap>,
}

/// A map of quantiser steps. The SDK does not say when it is read, so it must stay until the picture's
/// unit is out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepMap {
    start: *const i8,
    bytes: u32,
}

impl StepMap {
    pub(crate) const fn of(steps: &[i8]) -> Self {
        Self { start: steps.as_ptr(), bytes: steps.len() as u32 }
    }
}

/// Structures of the thread that hands pictures in.
pub(crate) struct PictureCalls {
    map: Driver<sdk::NV_ENC_MAP_INPUT_RESOURCE>,
    lock: Driver<sdk::NV_ENC_LOCK_INPUT_BUFFER>,
    picture: Driver<sdk::NV_ENC_PIC_PARAMS>,
}

impl PictureCalls {
    pub(crate) fn new() -> Self {
        Self { map: Driver::zeroed(), lock: Driver::zeroed(), picture: Driver::zeroed() }
    }

    /// Makes registered memory a picture until it is unmapped; tells the format that it has then.
    pub(crate) fn map(
        &mut self,
        session: &DriverSession,
        registration: Registration,
    ) -> Result<(Input, Format), Failure> {
        let pointer = self.map.clear();
        // SAFETY: the box is live, and the driver writes into it. The format is read as a number.
        let (status, input, format) = unsafe {
            (*pointer).version = sdk::NV_ENC_MAP_INPUT_RESOURCE_VER;
            (*pointer).registeredResource = registration.0;
            let map = session.functions().map_input_resource;
            (
                map(session.handle, pointer),
                (&raw const (*pointer).mappedResource).read(),
                (&raw const (*pointer).mappedBufferFmt).cast::<u32>().read(),
            )
        };
        check(Call::MapInputResource, status)?;
        if input.is_null() {
            return Err(without(Call::MapInputResource, "a picture"));
        }
        Ok((Input(input), format))
    }

    /// Fills a buffer of the driver's: `write` gets its memory, in which a row of the first plane takes
    /// the bytes that it is told, and of which `rows` tells how many of them all planes take. Returns
    /// the bytes from row to row.
    pub(crate) fn fill(
        &mut self,
        session: &DriverSession,
        input: Input,
        row: usize,
        rows: usize,
        write: impl FnOnce(&mut [u8], usize),
    ) -> Result<u32, Failure> {
        let pointer = self.lock.clear();
        // SAFETY: the box is live, and the driver writes into it.
        let (status, data, pitch) = unsafe {
            (*pointer).version = sdk::NV_ENC_LOCK_INPUT_BUFFER_VER;
            (*pointer).inputBuffer = input.0;
            let lock = session.functions().lock_input_buffer;
            (
                lock(session.handle, pointer),
                (&raw const (*pointer).bufferDataPtr).read().cast::<u8>(),
                (&raw const (*pointer).pitch).read(),
            )
        };
        check(Call::LockInputBuffer, status)?;
        let stride = pitch as usize;
        let whole = !data.is_null() && stride >= row;
        if whole {
            // SAFETY: the driver's memory of a locked buffer, which holds rows of the pitch that it
            // tells for all planes of the format that the buffer was made with; nobody else touches it
            // before it is unlocked.
            write(unsafe { slice::from_raw_parts_mut(data, stride * rows) }, stride);
        }
        let unlocked = undo(Call::UnlockInputBuffer, || {
            // SAFETY: the buffer was locked above.
            unsafe { (session.functions().unlock_input_buffer)(session.handle, input.0) }
        });
        if !whole {
            return Err(without(Call::LockInputBuffer, "memory for the picture"));
        }
        unlocked.map(|()| pitch)
    }

    /// Hands a picture in.
    pub(crate) fn encode(
        &mut self,
        session: &DriverSession,
        plan: &Plan,
        job: &Job,
    ) -> Result<(), Failure> {
        use sdk::NV_ENC_PIC_FLAGS as Flag;
        let Size { width, height } = plan.size;
        let pointer = self.picture.clear();
        let key =
            Flag::NV_ENC_PIC_FLAG_FORCEIDR as u32 | Flag::NV_ENC_PIC_FLAG_OUTPUT_SPSPPS as u32;
        // SAFETY: the box is live; the codec's part is written as the member that belongs to the codec
        // of the session, of which zero is a value. The map is one of the session's, which keeps one for
        // each picture that can be in it.
        let status = unsafe {
            (*pointer).version = sdk::NV_ENC_PIC_PARAMS_VER;
            (*pointer).inputWidth = width;
            (*pointer).inputHeight = height;
            (*pointer).inputPitch = job.pitch;
            (*pointer).encodePicFlags = if job.keyframe { key } else { 0 };
            (*pointer).inputTimeStamp = job.time_stamp;
            (*pointer).inputDuration = 1;
            (*pointer).inputBuffer = job.input.0;
            (*pointer).outputBitstream = job.output.0;
            (&raw mut (*pointer).bufferFmt).cast::<u32>().write(job.format);
            if let Some(StepMap { start, bytes }) = job.map {
                ((*pointer).qpDeltaMap, (*pointer).qpDeltaMapSize) = (start.cast_mut(), bytes);
            }
            (*pointer).pictureStruct = sdk::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME;
            let codec = &raw mut (*pointer).codecPicParams;
            let (mark, from) = (job.long_term.mark.unwrap_or(0), job.long_term.bitmap());
            // `ltrMarkFrame` and `ltrUseFrames`, which lie alike in both.
            let bits = u32::from(job.long_term.mark.is_some()) << 2 | u32::from(from != 0) << 3;
            // Slices are said again: this structure has a place for them, and its 0 means one.
            match plan.coding {
                Coding::H264 { slices, .. } => {
                    let h264 = codec.cast::<sdk::NV_ENC_PIC_PARAMS_H264>();
                    (*h264).forceIntraRefreshWithFrameCnt = job.wave;
                    (&raw mut (*h264)._bitfield_1).cast::<[u8; 4]>().write(bits.to_le_bytes());
                    ((*h264).ltrMarkFrameIdx, (*h264).ltrUseFrameBitmap) = (mark, from);
                    ((*h264).sliceMode, (*h264).sliceModeData) = (3, slices);
                }
                Coding::Hevc { slices, .. } => {
                    let hevc = codec.cast::<sdk::NV_ENC_PIC_PARAMS_HEVC>();
                    (*hevc).forceIntraRefreshWithFrameCnt = job.wave;
                    (&raw mut (*hevc)._bitfield_1).cast::<[u8; 4]>().write(bits.to_le_bytes());
                    ((*hevc).ltrMarkFrameIdx, (*hevc).ltrUseFrameBitmap) = (mark, from);
                    ((*hevc).sliceMode, (*hevc).sliceModeData) = (3, slices);
                }
                Coding::Av1 { tile_columns, .. } => {
                    let av1 = codec.cast::<sdk::NV_ENC_PIC_PARAMS_AV1>();
                    (*av1).forceIntraRefreshWithFrameCnt = job.wave;
                    (*av1).numTileColumns = tile_columns;
                }
            }
            (session.functions().encode_picture)(session.handle, pointer)
        };
        check(Call::EncodePicture, status)
    }
}

impl DriverSession {
    /// Says that no more pictures come, which must be before anything of the session is freed.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        let mut picture = Driver::<sdk::NV_ENC_PIC_PARAMS>::zeroed();
        let pointer = picture.pointer();
        // SAFETY: the box is live, and the driver reads it.
        let status = unsafe {
            (*pointer).version = sdk::NV_ENC_PIC_PARAMS_VER;
            (*pointer).encodePicFlags = sdk::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32;
            (self.functions().encode_picture)(self.handle, pointer)
        };
        check(Call::EncodePicture, status)
    }
}

/// A picture that was coded, as it lies in the driver's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coded<'a> {
    pub(crate) bytes: &'a [u8],
    /// Mean quantiser, on the codec's own scale.
    pub(crate) quantiser: u32,
    pub(crate) long_term: LongTermTold,
    /// All of it is coded.
    pub(crate) whole: bool,
    /// Slices of it that are, where the driver was set up to tell.
    pub(crate) slices: u32,
}

/// Structures of the thread that reads coded pictures.
pub(crate) struct ReadCalls {
    lock: Driver<sdk::NV_ENC_LOCK_BITSTREAM>,
    /// Where slices begin, which the driver writes.
    offsets: Vec<u32>,
    spent: Duration,
}

/// `hwEncodeStatus` of a picture that is coded whole.
const COMPLETE: u32 = 2;

impl ReadCalls {
    /// `macroblocks`: those of a picture whose slices are told of; `sliceOffsets` has room for as many.
    pub(crate) fn new(macroblocks: usize) -> Self {
        let offsets = vec![0; macroblocks];
        Self { lock: Driver::zeroed(), offsets, spent: Duration::ZERO }
    }

    /// How long the driver had the calls since this was asked last.
    pub(crate) fn take_spent(&mut self) -> Duration {
        std::mem::take(&mut self.spent)
    }

    /// Lets `read` have a picture while it is locked: whole, once it is where it must `wait`, or what is coded
    /// of it by now. None where that is nothing.
    pub(crate) fn read<T>(
        &mut self,
        session: &DriverSession,
        output: Output,
        wait: bool,
        read: impl FnOnce(Coded<'_>) -> T,
    ) -> Result<Option<T>, Failure> {
        let offsets = match &mut self.offsets[..] {
            [] => ptr::null_mut(),
            offsets => offsets.as_mut_ptr(),
        };
        let pointer = self.lock.clear();
        let began = Instant::now();
        // SAFETY: the box is live, and the driver writes into it, and into the offsets, which are live too
        // and as many as the SDK asks for. The first bit of the flags is `doNotWait`.
        let status = unsafe {
            (*pointer).version = sdk::NV_ENC_LOCK_BITSTREAM_VER;
            (*pointer).outputBitstream = output.0;
            (*pointer).sliceOffsets = offsets;
            let flags = u32::from(!wait);
            (&raw mut (*pointer)._bitfield_1).cast::<[u8; 4]>().write(flags.to_le_bytes());
            (session.functions().lock_bitstream)(session.handle, pointer)
        };
        self.spent += began.elapsed();
        match check(Call::LockBitstream, status) {
            Err(Failure { answer: Answer::Status(status), .. }) if !wait && is_busy(status) => {
                return Ok(None);
            }
            checked => checked?,
        }
        // SAFETY: the box is live and was zero before the driver wrote into it.
        let (data, length, quantiser, flags, index, from, state, slices) = unsafe {
            (
                (&raw const (*pointer).bitstreamBufferPtr).read().cast::<u8>(),
                (&raw const (*pointer).bitstreamSizeInBytes).read(),
                (&raw const (*pointer).frameAvgQP).read(),
                (&raw const (*pointer)._bitfield_1).cast::<[u8; 4]>().read(),
                (&raw const (*pointer).ltrFrameIdx).read(),
                (&raw const (*pointer).ltrFrameBitmap).read(),
                (&raw const (*pointer).hwEncodeStatus).read(),
                (&raw const (*pointer).numSlices).read(),
            )
        };
        // `ltrFrame`, after `doNotWait`.
        let marked = (u32::from_le_bytes(flags) & 1 << 1 != 0).then_some(index);
        let long_term = LongTermTold { marked, from };
        let whole = wait || state == COMPLETE;
        let result = if data.is_null() || length == 0 {
            match whole {
                true => Err(without(Call::LockBitstream, "a coded picture")),
                false => Ok(None),
            }
        } else {
            // SAFETY: the driver's memory, which holds as much until it is unlocked below.
            let bytes = unsafe { slice::from_raw_parts(data, length as usize) };
            Ok(Some(read(Coded { bytes, quantiser, long_term, whole, slices })))
        };
        let began = Instant::now();
        let unlocked = undo(Call::UnlockBitstream, || {
            // SAFETY: the buffer was locked above.
            unsafe { (session.functions().unlock_bitstream)(session.handle, output.0) }
        });
        self.spent += began.elapsed();
        unlocked?;
        result
    }
}
