//! NVIDIA's devices, by the library that comes with their driver (NVML). It is opened at run time: where it is not
//! installed, that is the reason why nothing is known.

use std::ffi::OsStr;

use media::{ByteSize, GraphicsMemory};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

/// The library, which has each device at a place that it keeps while it is open.
#[derive(Debug)]
pub(super) struct Library(Nvml);

impl Library {
    /// Opens it by its name, which the dynamic linker looks for, or by its path.
    pub(super) fn open(file: &OsStr) -> Result<Self, String> {
        Nvml::builder().lib_path(file).init().map(Self).map_err(|error| match error {
            // It says which file.
            NvmlError::LibloadingError(error) => error.to_string(),
            error => told(&error),
        })
    }

    /// The place of the device whose node is `/dev/nvidia` with this number.
    pub(super) fn numbered(&self, minor: u32) -> Result<u32, String> {
        for place in 0..self.0.device_count().map_err(|error| told(&error))? {
            // One that is broken is no reason to do without the others.
            let number = self.0.device_by_index(place).and_then(|device| device.minor_number());
            if number.is_ok_and(|number| number == minor) {
                return Ok(place);
            }
        }
        Err("NVML has no device of this number".to_owned())
    }

    /// The place of the device with this address on the bus.
    pub(super) fn at(&self, address: &str) -> Result<u32, String> {
        let device = self.0.device_by_pci_bus_id(address);
        device.and_then(|device| device.index()).map_err(|error| told(&error))
    }

    /// What it has now.
    pub(super) fn memory(&self, place: u32) -> Result<GraphicsMemory, String> {
        let device = self.0.device_by_index(place);
        let memory =
            device.and_then(|device| device.memory_info()).map_err(|error| told(&error))?;
        Ok(GraphicsMemory { total: ByteSize(memory.total), free: ByteSize(memory.free) })
    }
}

fn told(error: &NvmlError) -> String {
    format!("NVML: {error}")
}
