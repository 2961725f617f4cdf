//! What the driver answers.

/// `NVENCSTATUS` as a number: a newer driver may answer what the headers do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// The call did what was asked.
    pub const SUCCESS: Self = Self(0);
    pub(crate) const NO_ENCODE_DEVICE: Self = Self(1);
    pub(crate) const UNSUPPORTED_DEVICE: Self = Self(2);
    pub(crate) const INVALID_ENCODERDEVICE: Self = Self(3);
    pub(crate) const INVALID_DEVICE: Self = Self(4);
    pub(crate) const INVALID_PTR: Self = Self(6);
    pub(crate) const INVALID_PARAM: Self = Self(8);
    pub(crate) const INVALID_CALL: Self = Self(9);
    pub(crate) const OUT_OF_MEMORY: Self = Self(10);
    pub(crate) const UNSUPPORTED_PARAM: Self = Self(12);
    pub(crate) const LOCK_BUSY: Self = Self(13);
    pub(crate) const INVALID_VERSION: Self = Self(15);
    pub(crate) const MAP_FAILED: Self = Self(16);
    pub(crate) const ENCODER_BUSY: Self = Self(18);
    pub(crate) const INCOMPATIBLE_CLIENT_KEY: Self = Self(21);
    pub(crate) const UNIMPLEMENTED: Self = Self(22);
    pub(crate) const RESOURCE_REGISTER_FAILED: Self = Self(23);
    pub(crate) const RESOURCE_NOT_REGISTERED: Self = Self(24);
    pub(crate) const RESOURCE_NOT_MAPPED: Self = Self(25);

    /// Whether it says of the device or of the call what is true as long as neither changes. All else may
    /// be of the moment: no memory, a device that is busy or gone, what no header knows.
    pub(crate) fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::NO_ENCODE_DEVICE
                | Self::UNSUPPORTED_DEVICE
                | Self::INVALID_ENCODERDEVICE
                | Self::INVALID_DEVICE
                | Self::INVALID_PTR
                | Self::INVALID_PARAM
                | Self::INVALID_CALL
                | Self::UNSUPPORTED_PARAM
                | Self::INVALID_VERSION
                | Self::INCOMPATIBLE_CLIENT_KEY
                | Self::UNIMPLEMENTED
        )
    }
}

/// Names of `NVENCSTATUS` by value, without their common `NV_ENC_ERR_`.
const NAMES: [&str; 27] = [
    "SUCCESS",
    "NO_ENCODE_DEVICE",
    "UNSUPPORTED_DEVICE",
    "INVALID_ENCODERDEVICE",
    "INVALID_DEVICE",
    "DEVICE_NOT_EXIST",
    "INVALID_PTR",
    "INVALID_EVENT",
    "INVALID_PARAM",
    "INVALID_CALL",
    "OUT_OF_MEMORY",
    "ENCODER_NOT_INITIALIZED",
    "UNSUPPORTED_PARAM",
    "LOCK_BUSY",
    "NOT_ENOUGH_BUFFER",
    "INVALID_VERSION",
    "MAP_FAILED",
    "NEED_MORE_INPUT",
    "ENCODER_BUSY",
    "EVENT_NOT_REGISTERD",
    "GENERIC",
    "INCOMPATIBLE_CLIENT_KEY",
    "UNIMPLEMENTED",
    "RESOURCE_REGISTER_FAILED",
    "RESOURCE_NOT_REGISTERED",
    "RESOURCE_NOT_MAPPED",
    "NEED_MORE_OUTPUT",
];

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "status {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS;

    #[test]
    fn names_are_those_of_the_headers_and_unknown_numbers_are_told() {
        for (status, name) in [
            (NVENCSTATUS::NV_ENC_SUCCESS, "SUCCESS"),
            (NVENCSTATUS::NV_ENC_ERR_OUT_OF_MEMORY, "OUT_OF_MEMORY"),
            (NVENCSTATUS::NV_ENC_ERR_INVALID_VERSION, "INVALID_VERSION"),
            (NVENCSTATUS::NV_ENC_ERR_UNIMPLEMENTED, "UNIMPLEMENTED"),
            (NVENCSTATUS::NV_ENC_ERR_NEED_MORE_OUTPUT, "NEED_MORE_OUTPUT"),
        ] {
            assert_eq!(Status(status as u32).to_string(), name);
        }
        assert_eq!(Status(27).to_string(), "status 27");
        assert_eq!(Status(u32::MAX).to_string(), "status 4294967295");
    }
}
