//! Pictures in, units out.

use std::ffi::c_void;
use std::sync::Arc;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::NV_ENC_CAPS as Cap;
use sdk::NV_ENC_PIC_FLAGS as Flag;

use super::number;
use crate::config::Configuration;
use crate::given::{Call, Given, put, put_word, value, word, zero};
use crate::hardware::{Job, Map, Source};
use crate::picture::Layout;
use crate::session::{self, Session, Stage, State, TIMESTAMPS};
use crate::settings::{Codec, settings};
use crate::status::{
    GENERIC, INVALID_CALL, INVALID_PARAM, LOCK_BUSY, NOT_MAPPED, UNSUPPORTED_PARAM,
};

type Handle = *mut c_void;

const FORCE_IDR: u32 = Flag::NV_ENC_PIC_FLAG_FORCEIDR as u32;
const PARAMETER_SETS: u32 = Flag::NV_ENC_PIC_FLAG_OUTPUT_SPSPPS as u32;
const END: u32 = Flag::NV_ENC_PIC_FLAG_EOS as u32;

/// `hwEncodeStatus` of a unit of which more slices are to come, and of a whole one.
const IN_PROGRESS: u32 = 1;
const COMPLETE: u32 = 2;

/// What `nvEncEncodePicture` is given.
struct Picture {
    flags: u32,
    timestamp: u64,
    input: u64,
    output: u64,
    width: u32,
    height: u32,
    pitch: u32,
    format: u32,
    structure: u32,
    map: Option<Map>,
    refresh: u32,
    /// The long-term reference that it becomes.
    mark: Option<u32>,
    /// Those that it may be coded from, a bit for each.
    long_term: Option<u32>,
}

pub(crate) unsafe fn encode(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_PIC_PARAMS,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let config = session.state().configuration(call)?;
    // SAFETY: the caller's word.
    let picture = unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_PIC_PARAMS_VER)?;
        read(call, &given, &config)?
    };
    if picture.flags & END != 0 {
        return end(call, &session, &picture);
    }
    *call.detail = format!(
        "ts={} flags={} size={}x{} refresh={} map={} mark={} ltr={}",
        picture.timestamp,
        picture.flags,
        picture.width,
        picture.height,
        picture.refresh,
        picture.map.as_ref().map_or_else(|| "none".to_owned(), Map::to_string),
        picture.mark.map_or("none".to_owned(), |index| index.to_string()),
        picture.long_term.unwrap_or(0)
    );
    submit(call, &session, picture)
}

/// # Safety
/// The structure can be read.
unsafe fn read(
    call: &Call<'_>,
    given: &Given<sdk::NV_ENC_PIC_PARAMS>,
    config: &Configuration,
) -> Result<Picture, u32> {
    // SAFETY: the caller's word.
    unsafe {
        zero!(
            call, given, sdk::NV_ENC_PIC_PARAMS:
            completionEvent, meExternalHints, reserved1, reserved2, reservedBitFields, alphaBuffer,
            meExternalSbHints, meSbHintsCount, stateBufferIdx, outputReconBuffer, reserved3, reserved4
        );
        let map = map(call, value!(given, qpDeltaMap), value!(given, qpDeltaMapSize), config)?;
        let coding = (&raw mut (*given.0).codecPicParams).cast::<u32>();
        let (refresh, mark, long_term) = match config.codec {
            Codec::H264 => {
                let given = Given(coding.cast::<sdk::NV_ENC_PIC_PARAMS_H264>());
                zero!(
                    call, given, sdk::NV_ENC_PIC_PARAMS_H264:
                    reserved3, seiPayloadArrayCnt, forceIntraSliceCount, ltrUsageMode, reserved,
                    reserved2
                );
                let flags = word!(given, _bitfield_1);
                let (mark, uses) = long_term(call, flags, value!(given, ltrMarkFrameIdx))?;
                let used = uses.then(|| value!(given, ltrUseFrameBitmap));
                (value!(given, forceIntraRefreshWithFrameCnt), mark, used)
            }
            Codec::Hevc => {
                let given = Given(coding.cast::<sdk::NV_ENC_PIC_PARAMS_HEVC>());
                zero!(
                    call, given, sdk::NV_ENC_PIC_PARAMS_HEVC:
                    seiPayloadArrayCnt, ltrUsageMode, reserved, reserved2, reserved3
                );
                let flags = word!(given, _bitfield_1);
                let (mark, uses) = long_term(call, flags, value!(given, ltrMarkFrameIdx))?;
                let used = uses.then(|| value!(given, ltrUseFrameBitmap));
                (value!(given, forceIntraRefreshWithFrameCnt), mark, used)
            }
            Codec::Av1 => {
                let given = Given(coding.cast::<sdk::NV_ENC_PIC_PARAMS_AV1>());
                zero!(
                    call, given, sdk::NV_ENC_PIC_PARAMS_AV1:
                    _bitfield_1, obuPayloadArrayCnt, filmGrainParams, reserved, reserved2, reserved3
                );
                (value!(given, forceIntraRefreshWithFrameCnt), None, None)
            }
        };
        Ok(Picture {
            flags: value!(given, encodePicFlags),
            timestamp: value!(given, inputTimeStamp),
            input: number(value!(given, inputBuffer)),
            output: number(value!(given, outputBitstream)),
            width: value!(given, inputWidth),
            height: value!(given, inputHeight),
            pitch: value!(given, inputPitch),
            format: word!(given, bufferFmt),
            structure: word!(given, pictureStruct),
            map,
            refresh,
            mark,
            long_term,
        })
    }
}

/// From the bits of `NV_ENC_PIC_PARAMS_H264` or its like of HEVC: the long-term reference that a picture
/// becomes, and whether it may be coded from such.
fn long_term(call: &Call<'_>, flags: u32, index: u32) -> Result<(Option<u32>, bool), u32> {
    const MARK: u32 = 1 << 2;
    const USE: u32 = 1 << 3;
    if flags & !(MARK | USE) != 0 {
        return Err(call.refuse(UNSUPPORTED_PARAM, "flags of a picture that are not offered"));
    }
    Ok(((flags & MARK != 0).then_some(index), flags & USE != 0))
}

/// Checks what a picture says of long-term references, of which `marked` are there.
fn check_long_term(
    call: &Call<'_>,
    config: &Configuration,
    picture: &Picture,
    marked: u32,
) -> Result<(), u32> {
    let rule = if (picture.mark, picture.long_term) == (None, None) {
        return Ok(());
    } else if config.long_term == 0 {
        "long-term references were not set up"
    } else if picture.mark.is_some_and(|index| index >= config.long_term) {
        "there is no long-term reference of this index"
    } else if picture.long_term == Some(0) {
        "to be coded from no long-term reference"
    } else if picture.long_term.is_some_and(|used| used & !marked != 0) {
        "to be coded from a long-term reference that was not marked"
    } else {
        return Ok(());
    };
    Err(call.refuse(INVALID_PARAM, rule))
}

/// The map of quantiser steps of a picture, where it has one.
///
/// # Safety
/// `bytes` can be read at `start`, unless that is null.
unsafe fn map(
    call: &Call<'_>,
    start: *const i8,
    bytes: u32,
    config: &Configuration,
) -> Result<Option<Map>, u32> {
    if start.is_null() != (bytes == 0) || !start.is_null() && config.qp_map == 0 {
        return Err(call.refuse(INVALID_PARAM, "a map of quantisers without size, or not set up"));
    }
    if start.is_null() {
        return Ok(None);
    }
    // Macroblocks, coding tree blocks and superblocks as large as the hardware's.
    let edge = match config.codec {
        Codec::H264 => 16,
        Codec::Hevc => 32,
        Codec::Av1 => 64,
    };
    let blocks = config.width.div_ceil(edge) * config.height.div_ceil(edge);
    if bytes != blocks {
        let rule = format!("a map of {bytes} quantisers for {blocks} blocks");
        return Err(call.refuse(INVALID_PARAM, &rule));
    }
    // SAFETY: the caller's word.
    Ok(Some(unsafe { Map::at(start, bytes as usize) }))
}

/// The end of the stream: waits for all pictures.
fn end(call: &mut Call<'_>, session: &Session, picture: &Picture) -> Result<(), u32> {
    *call.detail = "end".to_owned();
    if (picture.input, picture.output, picture.flags) != (0, 0, END) {
        call.refuse(INVALID_PARAM, "the end of the stream comes with a picture");
    }
    let mut state = session.state();
    state.ended = true;
    state.wanted = state.submitted;
    session.tell();
    drop(session.wait_while(state, |state| !state.stopped && state.coded < state.submitted));
    Ok(())
}

/// Checks a picture, and queues it for the hardware.
fn submit(call: &Call<'_>, session: &Session, picture: Picture) -> Result<(), u32> {
    let mut state = session.state();
    let config = state.configuration(call)?;
    if state.ended {
        return Err(call.refuse(INVALID_CALL, "a picture after the end of the stream"));
    }
    if picture.flags & !(FORCE_IDR | PARAMETER_SETS) != 0 {
        return Err(call.refuse(UNSUPPORTED_PARAM, &format!("flags {:#x}", picture.flags)));
    }
    if picture.structure != sdk::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME as u32 {
        return Err(call.refuse(INVALID_PARAM, "pictureStruct is no frame"));
    }
    if state.timestamps.back().is_some_and(|last| *last >= picture.timestamp) {
        return Err(call.refuse(INVALID_PARAM, "the timestamp does not increase"));
    }
    if picture.refresh > 0 && config.refresh.is_none() {
        return Err(call.refuse(INVALID_PARAM, "intra refresh was not set up"));
    }
    check_long_term(call, &config, &picture, state.marked)?;
    let (source, layout) = source(call, &state, picture.input)?;
    fits(call, &config, &picture, &layout)?;
    let number = state.submitted;
    let output = state.output(call, picture.output)?;
    if !matches!(output.stage, Stage::Free) {
        return Err(call.refuse(INVALID_PARAM, "the bitstream buffer is in use"));
    }
    output.stage = Stage::Waiting;
    output.shown = 0;
    output.ready = None;
    output.unit = None;
    output.number = number;
    output.timestamp = picture.timestamp;
    match source {
        Source::Buffer(handle) => {
            if let Some(input) = state.inputs.get_mut(&handle) {
                input.used_by = Some(number);
            }
        }
        Source::Device(_) => {
            if let Some(mapping) = state.mappings.get_mut(&picture.input) {
                mapping.used_by = Some(number);
            }
        }
    }
    state.submitted += 1;
    state.unread.push_back(picture.output);
    state.timestamps.push_back(picture.timestamp);
    if state.timestamps.len() > TIMESTAMPS {
        state.timestamps.pop_front();
    }
    // Taken whatever the flags say: asked for twice, it is still one keyframe.
    let forced = std::mem::take(&mut state.force_key);
    let asked = picture.flags & FORCE_IDR != 0 && !settings().ignores_keyframes;
    let key = asked || forced || number == 0;
    // "Not necessarily honored", as the SDK says of how many there are.
    let becomes = picture.mark.filter(|_| settings().marks);
    let mark = becomes.map_or(0, |index| 1 << index);
    state.marked = if key { mark } else { state.marked | mark };
    let waits = state.stream.and_then(|stream| session.device.waits(stream));
    let job = Job {
        number,
        timestamp: picture.timestamp,
        configuration: Arc::clone(&config),
        key,
        parameter_sets: picture.flags & PARAMETER_SETS != 0,
        invalid: std::mem::take(&mut state.invalid),
        mark: becomes,
        long_term: picture.long_term.unwrap_or(0),
        refresh: picture.refresh,
        map: picture.map,
        source,
        layout,
        output: picture.output,
        waits,
    };
    state.jobs.push_back(job);
    session.tell();
    Ok(())
}

/// Where a picture is, by the handle of its input.
fn source(call: &Call<'_>, state: &State, input: u64) -> Result<(Source, Layout), u32> {
    if let Some(buffer) = state.inputs.get(&input) {
        if buffer.locked {
            return Err(call.refuse(INVALID_PARAM, "the input buffer is locked"));
        }
        return Ok((Source::Buffer(input), buffer.layout));
    }
    let mapping = state.mappings.get(&input);
    let Some(mapping) = mapping else {
        if state.resources.contains_key(&input) {
            return Err(call.refuse(NOT_MAPPED, "the resource is registered, and not mapped"));
        }
        return Err(state.unknown(call, INVALID_PARAM, input, "input"));
    };
    if mapping.used_by.is_some_and(|picture| picture >= state.read) {
        return Err(call.refuse(INVALID_PARAM, "the input has a picture that was not locked yet"));
    }
    // What is mapped cannot be unregistered.
    let resource = state.resources.get(&mapping.resource).ok_or(GENERIC)?;
    Ok((Source::Device(resource.address), resource.layout))
}

/// Whether what a picture says of itself, its input and what is coded are one.
fn fits(
    call: &Call<'_>,
    config: &Configuration,
    picture: &Picture,
    layout: &Layout,
) -> Result<(), u32> {
    let size = (config.width, config.height);
    if (picture.width, picture.height) != size || (layout.width, layout.height) != size {
        return Err(call.refuse(INVALID_PARAM, "the picture has another size than is coded"));
    }
    if picture.format != layout.format.number() || layout.format != config.format() {
        return Err(call.refuse(INVALID_PARAM, "the picture has another format than is coded"));
    }
    // `inputWidth` stands for a pitch that is not known.
    if picture.pitch != layout.pitch && picture.pitch != picture.width {
        return Err(call.refuse(INVALID_PARAM, "the pitch is not that of the input"));
    }
    Ok(())
}

pub(crate) unsafe fn lock(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_LOCK_BITSTREAM,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    // SAFETY: the caller's word.
    unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_LOCK_BITSTREAM_VER)?;
        zero!(
            call, given, sdk::NV_ENC_LOCK_BITSTREAM:
            outputStatsPtrSize, outputStatsPtr, reserved1, reserved2, reservedInternal
        );
        let flags = word!(given, _bitfield_1);
        if flags & !0b101 != 0 {
            return Err(call.refuse(INVALID_PARAM, "reserved bits are not zero"));
        }
        let do_not_wait = flags & 1 != 0;
        let handle = number(value!(given, outputBitstream));
        let mut state = wait_for(call, &session, handle, do_not_wait)?;
        let config = state.configuration(call)?;
        let output = state.output(call, handle)?;
        let failed = output.unit.as_ref().is_none_or(|unit| unit.failed);
        let whole = failed || show(output, do_not_wait && config.sub_frame);
        output.stage = if failed { Stage::Free } else { Stage::Locked };
        if let Some(unit) = output.unit.as_ref().filter(|unit| !unit.failed) {
            let bytes = unit.slices.get(output.shown).copied().filter(|_| !whole);
            let bytes = bytes.unwrap_or(unit.bytes.len() as u32);
            let fill = settings().fill;
            put!(given, frameIdx = output.number as u32);
            put!(given, hwEncodeStatus = if whole { COMPLETE } else { IN_PROGRESS });
            put!(given, bitstreamSizeInBytes = bytes);
            put!(given, outputTimeStamp = output.timestamp);
            put!(given, outputDuration = 1);
            put!(given, bitstreamBufferPtr = output.memory.start().cast());
            put_word!(given, pictureType = fill.or(unit.kind));
            put_word!(given, pictureStruct = fill.or(1));
            put!(given, frameAvgQP = unit.qp);
            // ltrFrame.
            put_word!(given, _bitfield_1 = flags | u32::from(unit.mark.is_some()) << 1);
            put!(given, ltrFrameIdx = unit.mark.unwrap_or(0));
            put!(given, ltrFrameBitmap = unit.long_term);
            let slices = if config.slice_offsets { output.shown } else { 0 };
            put!(given, numSlices = slices as u32);
            let offsets = value!(given, sliceOffsets);
            if !offsets.is_null() {
                // As the SDK asks, there is room for as many as the picture has macroblocks.
                offsets.copy_from_nonoverlapping(unit.slices.as_ptr(), slices);
            }
            *call.detail = format!(
                "ts={} type={} bytes={bytes} qp={} slices={slices} whole={} refers={}",
                output.timestamp,
                unit.kind,
                unit.qp,
                u8::from(whole),
                unit.refers
            );
        }
        if whole {
            state.unread.pop_front();
            state.read += 1;
        }
        if failed { Err(GENERIC) } else { Ok(()) }
    }
}

/// Waits until an output is coded, or only makes it so.
fn wait_for<'a>(
    call: &Call<'_>,
    session: &'a Session,
    handle: u64,
    do_not_wait: bool,
) -> Result<std::sync::MutexGuard<'a, State>, u32> {
    let mut state = session.state();
    state.configuration(call)?;
    let output = state.output(call, handle)?;
    let number = output.number;
    match output.stage {
        Stage::Free => {
            return Err(call.refuse(INVALID_PARAM, "there is no picture in the bitstream buffer"));
        }
        Stage::Locked => {
            return Err(call.refuse(INVALID_PARAM, "the bitstream buffer is locked already"));
        }
        Stage::Waiting | Stage::Coded => {}
    }
    if state.unread.front() != Some(&handle) {
        return Err(call.refuse(INVALID_PARAM, "locked before the picture that came before it"));
    }
    state.wanted = state.wanted.max(number + 1);
    session.tell();
    let begun = |state: &State| {
        let ready = state.outputs.get(&handle).and_then(|output| output.ready);
        state.coded > number || ready.is_some_and(|slices| slices > 0)
    };
    if do_not_wait && (!begun(&state) || settings().slices == 0) {
        return Err(settings().breaks.take().unwrap_or(LOCK_BUSY));
    }
    let is_short = |state: &mut State| {
        if do_not_wait {
            return !begun(state);
        }
        let unit = state.outputs.get(&handle).and_then(|output| output.unit.as_ref());
        state.coded <= number
            || unit.is_some_and(|unit| unit.slices.len() > settings().slices as usize)
    };
    let waits =
        |state: &mut State| !state.stopped && settings().breaks.is_none() && is_short(state);
    let mut state = session.wait_while(state, waits);
    if let Some(status) = settings().breaks.take() {
        return Err(status);
    }
    if is_short(&mut state) {
        return Err(call.refuse(GENERIC, "the session was destroyed meanwhile"));
    }
    Ok(state)
}

/// Shows those slices that are ready, one more, or all of them. Whether those are all.
fn show(output: &mut session::Output, one_by_one: bool) -> bool {
    let slices = output.unit.as_ref().map_or(0, |unit| unit.slices.len());
    let there = slices.min(settings().slices as usize);
    // What was shown stays so, also where fewer are there of the pictures to come.
    let next = output.ready.unwrap_or(output.shown + 1);
    output.shown = if one_by_one { next.min(there).max(output.shown) } else { slices };
    output.shown == slices
}

pub(crate) unsafe fn unlock(
    call: &mut Call<'_>,
    encoder: Handle,
    output: Handle,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    let output = state.output(call, number(output))?;
    if !matches!(output.stage, Stage::Locked) {
        return Err(call.refuse(INVALID_PARAM, "the bitstream buffer is not locked"));
    }
    let slices = output.unit.as_ref().map_or(0, |unit| unit.slices.len());
    output.stage = if output.shown < slices { Stage::Coded } else { Stage::Free };
    Ok(())
}

pub(crate) unsafe fn invalidate(
    call: &mut Call<'_>,
    encoder: Handle,
    timestamp: u64,
) -> Result<(), u32> {
    *call.detail = format!("ts={timestamp}");
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    let config = state.configuration(call)?;
    if !settings().can(config.codec, Cap::NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION) {
        return Err(call.refuse(UNSUPPORTED_PARAM, "references cannot be invalidated"));
    }
    if !state.timestamps.contains(&timestamp) {
        return Err(call.refuse(INVALID_PARAM, "no picture has this timestamp"));
    }
    state.invalid.push(timestamp);
    Ok(())
}
