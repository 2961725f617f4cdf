//! What tests and benches of Nearlight share: a clock that is advanced by hand, sources that make
//! pictures without a device, the contract that every source keeps, a network in virtual time, a
//! graphics driver that is none, an encoder that codes nothing, and a decoder that is not ours.
//!
//! For development only: no shipped crate depends on it but `server`'s test pattern and `benches`.
//! It must never know `session`, `server` or any adapter, since their tests depend on it. Used
//! wrongly ([`FakeClock`] in one thread, the system's clock in another) stage times mean nothing.

pub mod allocations;
pub mod clock;
pub mod contract;
pub mod cuda;
pub mod exported;
pub mod fake_gpu;
pub mod ffmpeg;
pub mod inert;
pub mod ivf;
mod memfd;
pub mod net;
pub mod pattern;
pub mod pool;
pub mod pushed;
pub mod pushed_pattern;
pub mod rng;
pub mod stereo;

pub use clock::{FakeClock, WallClock};
pub use contract::{SourceSubject, source_contract};
pub use cuda::{Cuda, CudaBuffer, CudaContext, CudaDevice, CudaMemory, CudaSemaphore, CudaStream};
pub use exported::{Exported, read_exported};
pub use fake_gpu::{Effect, FakeGpu};
pub use inert::Inert;
pub use pattern::PulledPattern;
pub use pushed::{Producer, PushedShared, SharedSurface, Step};
pub use pushed_pattern::{Programme, PushedPattern};
pub use rng::Rng;
pub use stereo::StereoPattern;
