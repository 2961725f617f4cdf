//! NVENC, the encoder of NVIDIA's devices, through the driver's own table of functions.
//!
//! Types and constants come from `nvidia-video-codec-sdk`; nothing of the driver is linked, so its
//! absence is a row of the table of candidates and no reason not to start. It must never know
//! sessions of users. Used wrongly (a structure of the driver held as a Rust value, see `raw`) it is
//! undefined behaviour.

mod calls;
mod encoder;
mod inner;
pub mod loader;
mod losses;
mod output;
mod pace;
mod plan;
mod raw;
mod recover;
mod ring;
mod session;
mod status;
mod strip;

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use media::Codec;

use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::cuda::{self, Context, Unavailable};
use crate::wake::Wake;
use encoder::NvencEncoder;
use plan::Settings;

pub use loader::Nvenc;
pub use status::Status;

/// The candidates' names, with the codec of each, best first.
const CANDIDATES: [(&str, Codec); 3] =
    [("nvenc-h264", Codec::H264), ("nvenc-h265", Codec::H265), ("nvenc-av1", Codec::Av1)];

/// Which libraries are opened: names for the dynamic linker to look up, or paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    /// NVENC.
    pub encode: OsString,
    /// CUDA's driver interface.
    pub cuda: OsString,
}

impl Libraries {
    /// Those of the installed driver.
    pub fn system() -> Self {
        Self { encode: loader::LIBRARY.into(), cuda: cuda::loader::LIBRARY.into() }
    }
}

/// The rows of the table of candidates. The driver is opened by the first that opens one of them, and
/// what came of it is kept, unless it may pass.
pub fn candidates(libraries: Libraries) -> [Candidate; 3] {
    let driver = Arc::new(Kept { libraries, loaded: Mutex::default() });
    CANDIDATES.map(|(name, codec)| {
        let driver = Arc::clone(&driver);
        Candidate {
            name,
            codec,
            hardware: true,
            library: loader::LIBRARY,
            open: Arc::new(move |settings, wake| {
                let nvenc = driver.load().map_err(|reason| unavailable(&reason))?;
                Ok(Box::new(open(name, codec, &nvenc, settings, wake)?))
            }),
        }
    })
}

/// The driver of a process, once it was opened, or why there is none.
struct Kept {
    libraries: Libraries,
    loaded: Mutex<Option<Result<Arc<Nvenc>, Unavailable>>>,
}

impl Kept {
    fn load(&self) -> Result<Arc<Nvenc>, Unavailable> {
        let mut kept = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*kept {
            return loaded.clone();
        }
        let loaded = Nvenc::load(&self.libraries);
        if !loaded.as_ref().is_err_and(Unavailable::may_pass) {
            *kept = Some(loaded.clone());
        }
        loaded
    }
}

/// Opens a session on the device that is asked for, else on the first that can: pictures of a device
/// that is not NVIDIA's, or has no session to give, come through the CPU.
fn open(
    name: &'static str,
    codec: Codec,
    nvenc: &Arc<Nvenc>,
    settings: &EncoderSettings,
    wake: &Wake,
) -> Result<NvencEncoder, OpenError> {
    let format = settings.format;
    let own = Settings::new(settings, codec)
        .ok_or_else(|| OpenError::Refused(format!("NVENC does not take {format:?}")))?;
    let thread = std::thread::current();
    let label = thread.name().map_or(name, |name| name.strip_prefix("enc-").unwrap_or(name));
    let wanted = |device: &&cuda::Device| settings.device.is_some_and(|id| id.0 == device.uuid);
    let devices = nvenc.cuda().devices();
    let others = devices.iter().filter(|device| !wanted(device));
    let mut failure: Option<OpenError> = None;
    for device in devices.iter().filter(wanted).chain(others) {
        let opened = Context::retain(nvenc.cuda(), device).map_err(|error| unavailable(&error));
        let opened = opened.and_then(|context| {
            let own = (own, format);
            NvencEncoder::open(name, (nvenc, &context), own, label.to_owned(), wake.clone())
        });
        match opened {
            Ok(encoder) => return Ok(encoder),
            // What the best of them says counts, and of those that may pass the first.
            Err(error) => match &failure {
                Some(before) if before.may_pass() || !error.may_pass() => {}
                _ => failure = Some(error),
            },
        }
    }
    Err(failure.unwrap_or_else(|| unavailable(&Unavailable::NoDevice)))
}

fn unavailable(reason: &Unavailable) -> OpenError {
    if reason.may_pass() {
        OpenError::Failed(reason.to_string())
    } else {
        OpenError::Missing(reason.to_string())
    }
}

#[cfg(test)]
mod tests;
