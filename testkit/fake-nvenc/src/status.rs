//! `NVENCSTATUS` as numbers: a test may ask for one that the headers do not know.

use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS as Status;

pub(crate) const SUCCESS: u32 = Status::NV_ENC_SUCCESS as u32;
pub(crate) const INVALID_ENCODERDEVICE: u32 = Status::NV_ENC_ERR_INVALID_ENCODERDEVICE as u32;
pub(crate) const INVALID_DEVICE: u32 = Status::NV_ENC_ERR_INVALID_DEVICE as u32;
pub(crate) const UNSUPPORTED_DEVICE: u32 = Status::NV_ENC_ERR_UNSUPPORTED_DEVICE as u32;
pub(crate) const INVALID_PTR: u32 = Status::NV_ENC_ERR_INVALID_PTR as u32;
pub(crate) const INVALID_PARAM: u32 = Status::NV_ENC_ERR_INVALID_PARAM as u32;
pub(crate) const INVALID_CALL: u32 = Status::NV_ENC_ERR_INVALID_CALL as u32;
pub(crate) const OUT_OF_MEMORY: u32 = Status::NV_ENC_ERR_OUT_OF_MEMORY as u32;
pub(crate) const NOT_INITIALIZED: u32 = Status::NV_ENC_ERR_ENCODER_NOT_INITIALIZED as u32;
pub(crate) const UNSUPPORTED_PARAM: u32 = Status::NV_ENC_ERR_UNSUPPORTED_PARAM as u32;
pub(crate) const LOCK_BUSY: u32 = Status::NV_ENC_ERR_LOCK_BUSY as u32;
pub(crate) const INVALID_VERSION: u32 = Status::NV_ENC_ERR_INVALID_VERSION as u32;
pub(crate) const ENCODER_BUSY: u32 = Status::NV_ENC_ERR_ENCODER_BUSY as u32;
pub(crate) const GENERIC: u32 = Status::NV_ENC_ERR_GENERIC as u32;
pub(crate) const UNIMPLEMENTED: u32 = Status::NV_ENC_ERR_UNIMPLEMENTED as u32;
pub(crate) const REGISTER_FAILED: u32 = Status::NV_ENC_ERR_RESOURCE_REGISTER_FAILED as u32;
pub(crate) const NOT_REGISTERED: u32 = Status::NV_ENC_ERR_RESOURCE_NOT_REGISTERED as u32;
pub(crate) const NOT_MAPPED: u32 = Status::NV_ENC_ERR_RESOURCE_NOT_MAPPED as u32;
