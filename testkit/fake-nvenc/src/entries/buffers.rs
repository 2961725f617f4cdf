//! Inputs and outputs: made, registered, mapped, locked, and given back.

use std::ffi::c_void;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use super::{number, pointer};
use crate::given::{Call, Given, put, put_word, value, word, zero};
use crate::picture::{Format, Layout};
use crate::session::{self, Input, Mapping, Memory, Output, Resource, Stage, State, handle};
use crate::settings::settings;
use crate::status::{
    ENCODER_BUSY, INVALID_PARAM, LOCK_BUSY, NOT_MAPPED, NOT_REGISTERED, REGISTER_FAILED,
    UNSUPPORTED_PARAM,
};

type Handle = *mut c_void;

/// Beside pictures there may be parameter sets in an output.
const OUTPUT_EXTRA: usize = 64 << 10;

/// A size and format that are taken.
fn layout(
    call: &Call<'_>,
    state: &State,
    (width, height): (u32, u32),
    format: u32,
    pitch: impl FnOnce(Format) -> u32,
) -> Result<Layout, u32> {
    let config = state.configuration(call)?;
    let offered = Format::of(format).filter(|f| settings().formats(config.codec).contains(f));
    let Some(format) = offered else {
        return Err(call.refuse(UNSUPPORTED_PARAM, &format!("format {format:#x} is not offered")));
    };
    if width == 0 || height == 0 || width % 2 != 0 || height % 2 != 0 || width.max(height) > 16_384
    {
        return Err(call.refuse(INVALID_PARAM, &format!("a picture of {width}x{height}")));
    }
    let pitch = pitch(format);
    if !pitch.is_multiple_of(4) || (pitch as usize) < format.row_bytes(width) || pitch > 1 << 17 {
        return Err(call.refuse(INVALID_PARAM, &format!("a pitch of {pitch} bytes")));
    }
    Ok(Layout { format, width, height, pitch })
}

pub(crate) unsafe fn create_input(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_CREATE_INPUT_BUFFER,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    // SAFETY: the caller's word.
    unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_CREATE_INPUT_BUFFER_VER)?;
        zero!(call, given, sdk::NV_ENC_CREATE_INPUT_BUFFER: reserved, reserved1, reserved2);
        if !value!(given, pSysMemBuffer).is_null() {
            return Err(call.refuse(UNSUPPORTED_PARAM, "memory of the caller's"));
        }
        let size = (value!(given, width), value!(given, height));
        // Never the width alone: who takes the one for the other is to be seen.
        let pitch = |format: Format| (format.row_bytes(size.0) as u32).next_multiple_of(256) + 256;
        let layout = layout(call, &state, size, word!(given, bufferFmt), pitch)?;
        let memory = Memory::new(layout.extent());
        let handle = handle();
        state.inputs.insert(handle, Input { layout, memory, locked: false, used_by: None });
        put!(given, inputBuffer = pointer(handle));
    }
    Ok(())
}

/// # Errors
/// An input of the driver's own that is not there.
fn input<'a>(call: &Call<'_>, state: &'a mut State, handle: u64) -> Result<&'a mut Input, u32> {
    if !state.inputs.contains_key(&handle) {
        return Err(state.unknown(call, INVALID_PARAM, handle, "input buffer"));
    }
    // It is there, as was just seen.
    state.inputs.get_mut(&handle).ok_or(INVALID_PARAM)
}

pub(crate) unsafe fn destroy_input(
    call: &mut Call<'_>,
    encoder: Handle,
    buffer: Handle,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    let coded = state.coded;
    let input = input(call, &mut state, number(buffer))?;
    if input.locked || input.used_by.is_some_and(|picture| picture >= coded) {
        return Err(call.refuse(INVALID_PARAM, "the input buffer is in use"));
    }
    state.inputs.remove(&number(buffer));
    state.gone.insert(number(buffer));
    Ok(())
}

pub(crate) unsafe fn lock_input(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_LOCK_INPUT_BUFFER,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    // SAFETY: the caller's word.
    unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_LOCK_INPUT_BUFFER_VER)?;
        zero!(call, given, sdk::NV_ENC_LOCK_INPUT_BUFFER: reserved1, reserved2);
        let flags = word!(given, _bitfield_1);
        if flags & !1 != 0 {
            return Err(call.refuse(INVALID_PARAM, "reserved bits are not zero"));
        }
        let buffer = number(value!(given, inputBuffer));
        let mut state = session.state();
        let used_by = input(call, &mut state, buffer)?.used_by;
        if let Some(picture) = used_by.filter(|picture| *picture >= state.coded) {
            state.wanted = state.wanted.max(picture + 1);
            session.tell();
            if flags & 1 != 0 {
                return Err(ENCODER_BUSY);
            }
            state = session.wait_while(state, |state| !state.stopped && state.coded <= picture);
        }
        let input = input(call, &mut state, buffer)?;
        if input.locked {
            return Err(call.refuse(LOCK_BUSY, "the input buffer is locked already"));
        }
        input.locked = true;
        put!(given, bufferDataPtr = input.memory.start().cast());
        put!(given, pitch = input.layout.pitch);
    }
    Ok(())
}

pub(crate) unsafe fn unlock_input(
    call: &mut Call<'_>,
    encoder: Handle,
    buffer: Handle,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    let input = input(call, &mut state, number(buffer))?;
    if !std::mem::take(&mut input.locked) {
        return Err(call.refuse(INVALID_PARAM, "the input buffer is not locked"));
    }
    Ok(())
}

pub(crate) unsafe fn create_output(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_CREATE_BITSTREAM_BUFFER,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    let config = state.configuration(call)?;
    // SAFETY: the caller's word. `size` and `memoryHeap` are said to be ignored.
    unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_CREATE_BITSTREAM_BUFFER_VER)?;
        zero!(call, given, sdk::NV_ENC_CREATE_BITSTREAM_BUFFER: reserved, reserved1, reserved2);
        let (width, height) =
            (config.width.max(config.largest.0), config.height.max(config.largest.1));
        let memory = Memory::new(width as usize * height as usize * 2 + OUTPUT_EXTRA);
        let handle = handle();
        let output = Output {
            memory,
            stage: Stage::Free,
            shown: 0,
            ready: None,
            unit: None,
            number: 0,
            timestamp: 0,
        };
        state.outputs.insert(handle, output);
        put!(given, bitstreamBuffer = pointer(handle));
    }
    Ok(())
}

pub(crate) unsafe fn destroy_output(
    call: &mut Call<'_>,
    encoder: Handle,
    buffer: Handle,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    if !matches!(state.output(call, number(buffer))?.stage, Stage::Free) {
        return Err(call.refuse(INVALID_PARAM, "the bitstream buffer is in use"));
    }
    state.outputs.remove(&number(buffer));
    state.gone.insert(number(buffer));
    Ok(())
}

pub(crate) unsafe fn register(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_REGISTER_RESOURCE,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    // SAFETY: the caller's word.
    unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_REGISTER_RESOURCE_VER)?;
        zero!(
            call, given, sdk::NV_ENC_REGISTER_RESOURCE:
            subResourceIndex, pInputFencePoint, chromaOffset, reserved1, reserved2
        );
        let kind = word!(given, resourceType);
        if kind != sdk::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR as u32
        {
            return Err(call.refuse(UNSUPPORTED_PARAM, "the resource is no device pointer of CUDA"));
        }
        if word!(given, bufferUsage) != sdk::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE as u32 {
            return Err(call.refuse(UNSUPPORTED_PARAM, "the resource is no input"));
        }
        let size = (value!(given, width), value!(given, height));
        let pitch = value!(given, pitch);
        let layout = layout(call, &state, size, word!(given, bufferFormat), |_| pitch)?;
        let address = number(value!(given, resourceToRegister));
        let Some(origin) = session.device.origin(address, layout.extent() as u64) else {
            return Err(call.refuse(REGISTER_FAILED, "the picture is not within device memory"));
        };
        *call.detail = format!(
            "size={}x{} pitch={pitch} format={} memory={:#x} offset={}",
            size.0,
            size.1,
            layout.format.name(),
            origin.memory,
            origin.offset
        );
        let handle = handle();
        state.resources.insert(handle, Resource { address, layout, mapped: false });
        put!(given, registeredResource = pointer(handle));
    }
    Ok(())
}

pub(crate) unsafe fn unregister(
    call: &mut Call<'_>,
    encoder: Handle,
    resource: Handle,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    match state.resources.get(&number(resource)) {
        None => Err(state.unknown(call, NOT_REGISTERED, number(resource), "resource")),
        Some(found) if found.mapped => Err(call.refuse(INVALID_PARAM, "the resource is mapped")),
        Some(_) => {
            state.resources.remove(&number(resource));
            state.gone.insert(number(resource));
            Ok(())
        }
    }
}

pub(crate) unsafe fn map(
    call: &mut Call<'_>,
    encoder: Handle,
    given: *mut sdk::NV_ENC_MAP_INPUT_RESOURCE,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    // SAFETY: the caller's word.
    unsafe {
        let given = Given::new(call, given, sdk::NV_ENC_MAP_INPUT_RESOURCE_VER)?;
        zero!(
            call, given, sdk::NV_ENC_MAP_INPUT_RESOURCE:
            subResourceIndex, inputResource, reserved1, reserved2
        );
        let resource = number(value!(given, registeredResource));
        let Some(found) = state.resources.get_mut(&resource) else {
            return Err(state.unknown(call, NOT_REGISTERED, resource, "resource"));
        };
        if std::mem::replace(&mut found.mapped, true) {
            return Err(call.refuse(INVALID_PARAM, "the resource is mapped already"));
        }
        let format = found.layout.format.number();
        let handle = handle();
        state.mappings.insert(handle, Mapping { resource, used_by: None });
        put!(given, mappedResource = pointer(handle));
        put_word!(given, mappedBufferFmt = settings().fill.or(format));
    }
    Ok(())
}

pub(crate) unsafe fn unmap(
    call: &mut Call<'_>,
    encoder: Handle,
    mapping: Handle,
) -> Result<(), u32> {
    let session = session::find(call, number(encoder))?;
    let mut state = session.state();
    let Some(found) = state.mappings.get(&number(mapping)) else {
        return Err(state.unknown(call, NOT_MAPPED, number(mapping), "mapped input"));
    };
    if found.used_by.is_some_and(|picture| picture >= state.read) {
        return Err(call.refuse(INVALID_PARAM, "unmapped before its picture was locked"));
    }
    let resource = found.resource;
    state.mappings.remove(&number(mapping));
    state.gone.insert(number(mapping));
    if let Some(resource) = state.resources.get_mut(&resource) {
        resource.mapped = false;
    }
    Ok(())
}
