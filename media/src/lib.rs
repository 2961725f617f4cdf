//! The vocabulary of Nearlight's media plane: units, ids, frames, access units, stage times, input,
//! and the seams [`FrameSource`], [`Convert`], [`AudioSource`], [`InputSink`], [`Encoder`], [`UnitSink`],
//! [`AudioSink`] and [`Transport`].
//!
//! This crate is pure. It must never know a GPU, a codec library, a socket, an async runtime or the
//! wall clock: time is [`MediaTime`], read by adapters from a [`Clock`] that they were given.
//! Used wrongly (two clocks in one process, a frame kept alive after its session) stage times stop
//! adding up and ring slots run out; both show at once in the latency ledger.

pub mod acks;
pub mod audio;
pub mod barcode;
pub mod clock;
pub mod color;
pub mod convert;
pub mod encoder;
pub mod frame;
pub mod gamepad;
pub mod ids;
pub mod input;
pub mod pen;
pub mod regions;
pub mod shared;
pub mod source;
pub mod stages;
pub mod transport;
pub mod unit;
pub mod units;
pub mod websocket;
pub mod webtransport;

pub use acks::{AckError, Acks, FrameAck, FrameState};
pub use audio::{
    AudioError, AudioPacket, AudioSink, AudioSource, Layout, Sound, VoicePacket, VoiceSink,
    VoiceState,
};
pub use clock::{Clock, MediaTime};
pub use color::{ColorDescription, MatrixCoefficients, PictureKind, Primaries, Transfer};
pub use convert::{Convert, Room};
pub use encoder::{
    EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, Picture, RateChange,
    Recovery, RecoveryMeans, Restarts, Submitted,
};
pub use frame::{
    BitDepth, Chroma, CpuImage, Damage, DamagedRects, DepthImage, Fov, Foveation, Frame,
    FrameImage, ImageError, PixelFormat, Plane, PlaneMut, Pose, View, Views,
};
pub use gamepad::{MOST_PADS, Pad, PadButtons, PadEffects, PadState, Plug, Rumble};
pub use ids::{FrameId, InputSeq, SessionId, SpaceEpoch, TrackId, ViewerId};
pub use input::{
    InputError, InputEvent, InputSink, InputSupport, KeyCode, PadsAs, SequencedInput, TakenAs,
};
pub use pen::{PadFinger, PadMotion, PadTouch, Pen, PenState};
pub use regions::{RegionQuality, Regions, RegionsRefused};
pub use shared::{
    DeviceId, MemoryId, SemaphoreKind, SharedImage, SharedMemory, SharedPlane, SharedSemaphore,
    SharedSignal, Turn, Turns,
};
pub use source::{
    CursorUpdate, Exit, Exited, FrameRequest, FrameSource, Pacing, SourceError, SourceEvent,
    SourceInfo,
};
pub use stages::{Mark, Stage, StageTimes};
pub use transport::{
    CloseReason, DataChannel, PathReport, SendRefused, Transport, TransportEvent, UnitSink,
};
pub use unit::{AccessUnit, Codec, CodecSet, Part, UnitKind};
pub use units::{Bitrate, ByteSize, FrameRate, GraphicsMemory, Rect, Size};
