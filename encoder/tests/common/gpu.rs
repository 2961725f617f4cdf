//! A driver that is none, and encoders on it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use media::{
    Bitrate, Codec, CpuImage, DeviceId, EncodeError, EncodeOptions, Encoded, FrameId, FrameRate,
    MemoryId, Picture, PictureKind, PixelFormat, Plane, SemaphoreKind, SharedImage, SharedMemory,
    SharedPlane, SharedSemaphore, SharedSignal, Size, Turn, Turns,
};
use nearlight_encoder::nvenc::{self, Libraries};
use nearlight_encoder::{BlockingEncoder, Candidate, EncoderSettings, OpenError, Wake, candidates};
use testkit::{Exported, FakeGpu};

/// Small, and above the least that the double claims to take.
pub const SIZE: Size = Size::new(320, 192);
pub const SETTINGS: EncoderSettings =
    EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(4));
/// Far longer than a picture takes; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const KEY: EncodeOptions = EncodeOptions::keyframe(true);

/// Every call of NVENC that sessions make, which the loader needs.
pub const ENTRIES: [&str; 26] = [
    "nvEncOpenEncodeSessionEx",
    "nvEncGetEncodeGUIDCount",
    "nvEncGetEncodeGUIDs",
    "nvEncGetEncodeProfileGUIDCount",
    "nvEncGetEncodeProfileGUIDs",
    "nvEncGetInputFormatCount",
    "nvEncGetInputFormats",
    "nvEncGetEncodeCaps",
    "nvEncGetEncodePresetConfigEx",
    "nvEncInitializeEncoder",
    "nvEncReconfigureEncoder",
    "nvEncCreateInputBuffer",
    "nvEncDestroyInputBuffer",
    "nvEncLockInputBuffer",
    "nvEncUnlockInputBuffer",
    "nvEncCreateBitstreamBuffer",
    "nvEncDestroyBitstreamBuffer",
    "nvEncLockBitstream",
    "nvEncUnlockBitstream",
    "nvEncRegisterResource",
    "nvEncUnregisterResource",
    "nvEncMapInputResource",
    "nvEncUnmapInputResource",
    "nvEncEncodePicture",
    "nvEncInvalidateRefFrames",
    "nvEncDestroyEncoder",
];

/// The driver, and the candidates that open it.
pub struct Rig {
    pub gpu: FakeGpu,
    candidates: [Candidate; 3],
}

impl Rig {
    pub fn new() -> Self {
        Self::without(&[])
    }

    /// One whose libraries lack these functions.
    pub fn without(symbols: &[&str]) -> Self {
        let gpu = FakeGpu::without(symbols).unwrap();
        let libraries = Libraries { encode: gpu.encode().into(), cuda: gpu.cuda().into() };
        Self { gpu, candidates: nvenc::candidates(libraries) }
    }

    /// Every candidate, and beside those of this machine the ones on the doubles.
    pub fn all_candidates(&self) -> Vec<Present> {
        let present =
            |double| move |candidate| Present { candidate, double, kind: PictureKind::NV12 };
        let ours = candidates().into_iter().map(present(false));
        ours.chain(self.candidates.iter().cloned().map(present(true))).collect()
    }

    /// The same, and then those in software for pictures in ten bits, of which most refuse these. Not of H.265: its
    /// [`Viewer`](super::viewer::Viewer) has eight, and `tests/hdr.rs` FFmpeg's.
    pub fn all_candidates_in_both_depths(&self) -> Vec<Present> {
        let mut all = self.all_candidates();
        let is_seen = |each: &Candidate| !each.hardware && each.codec != Codec::H265;
        let ours = candidates().into_iter().filter(is_seen);
        let kind = PictureKind::HDR10;
        all.extend(ours.map(|candidate| Present { candidate, double: false, kind }));
        all
    }

    pub fn candidate(&self, name: &str) -> &Candidate {
        self.candidates.iter().find(|candidate| candidate.name == name).unwrap()
    }

    pub fn open(&self, name: &str, settings: &EncoderSettings) -> Result<Run, OpenError> {
        let encoder = BlockingEncoder::open(self.candidate(name), settings, PATIENCE)?;
        Ok(Run { encoder, frames: 0 })
    }

    pub fn h264(&self) -> Run {
        self.open("nvenc-h264", &SETTINGS).unwrap()
    }

    /// An encoder whose units are not waited for.
    pub fn asynchronous(&self, name: &str) -> (Box<dyn media::Encoder>, mpsc::Receiver<()>) {
        // Far more than pictures may be in it at once.
        let (sender, woken) = mpsc::sync_channel(64);
        let wake = Wake::new(move || {
            // Whoever waited may be gone while the encoder ends.
            let _ = sender.try_send(());
        });
        ((self.candidate(name).open)(&SETTINGS, &wake).unwrap(), woken)
    }

    /// Calls of NVENC whose lines begin so.
    pub fn calls(&self, name: &str) -> Vec<String> {
        let log = self.gpu.encode_log().unwrap();
        log.into_iter().filter(|line| line.split(' ').next() == Some(name)).collect()
    }

    /// Every rule was kept.
    pub fn assert_rules(&self) {
        assert_eq!(self.gpu.encode_broken_rules().unwrap(), [""; 0]);
        assert_eq!(self.gpu.cuda_broken_rules().unwrap(), [""; 0]);
    }

    /// Every rule was kept, and everything given back.
    pub fn assert_clean(&self) {
        self.assert_rules();
        assert_eq!(self.encode_leftovers(), [""; 0]);
        assert_eq!(self.cuda_leftovers(), [""; 0]);
    }

    /// What of NVENC is not given back.
    pub fn encode_leftovers(&self) -> Vec<String> {
        given_back(|| self.gpu.encode_leftovers().unwrap())
    }

    /// What of CUDA is not given back.
    pub fn cuda_leftovers(&self) -> Vec<String> {
        given_back(|| self.gpu.cuda_leftovers().unwrap())
    }
}

/// What is left for good: a session whose second thread had no time while it was dropped goes with that thread.
fn given_back(left: impl Fn() -> Vec<String>) -> Vec<String> {
    let began = Instant::now();
    while !left().is_empty() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    left()
}

/// A driver, and an encoder of H.265 on it.
pub fn hevc(settings: &EncoderSettings) -> (Rig, Run) {
    let rig = Rig::new();
    let run = rig.open("nvenc-h265", settings).unwrap();
    (rig, run)
}

/// What the double puts into the units of codecs that it does not have.
pub fn text(unit: &Encoded) -> String {
    String::from_utf8_lossy(&unit.data).into_owned()
}

/// What it says of the picture's content.
pub fn digest(text: &str) -> Option<String> {
    text.split("sha256=").nth(1).map(|text| text[..64].to_owned())
}

/// A word of a line of the log, such as `size` of `size=320x192`.
pub fn word<'a>(line: &'a str, name: &str) -> &'a str {
    let mut words = line.split(' ').filter_map(|word| word.split_once('='));
    words.find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name} in {line}")).1
}

/// A candidate, whether its driver is a double, and what pictures it is to take.
pub struct Present {
    pub candidate: Candidate,
    pub double: bool,
    pub kind: PictureKind,
}

impl Present {
    /// Its name, with which files can be named too.
    pub fn label(&self) -> String {
        let Candidate { name, .. } = self.candidate;
        match (self.double, self.kind) {
            (true, _) => format!("{name}-double"),
            (false, PictureKind::HDR10) => format!("{name}-hdr"),
            (false, _) => name.to_owned(),
        }
    }

    /// Whether it was refused for what pictures it is to take, which others have.
    pub fn takes_none(&self, refused: &str) -> bool {
        self.kind == PictureKind::HDR10 && refused.ends_with("not P010")
    }

    /// Whether its units can be decoded: the double codes H.264, and digests in the other codecs.
    pub fn codes_pictures(&self) -> bool {
        !self.double || self.candidate.codec == Codec::H264
    }
}

/// An encoder that counts its frames.
pub struct Run {
    pub encoder: BlockingEncoder,
    pub frames: u64,
}

impl Run {
    pub fn code(&mut self, picture: &Picture<'_>) -> Result<Encoded, EncodeError> {
        self.code_with(picture, EncodeOptions::default())
    }

    pub fn code_with(
        &mut self,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Encoded, EncodeError> {
        let frame = FrameId(self.frames);
        self.frames += 1;
        self.encoder.encode(frame, picture, options)
    }
}

/// A picture of any layout, of bytes that follow from its number.
pub struct Raw {
    pub format: PixelFormat,
    pub size: Size,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Raw {
    /// Rows are padded, as those of sources are.
    pub fn new(format: PixelFormat, size: Size, number: usize) -> Self {
        let plane = |(row, rows): (usize, usize)| {
            let stride = row + 24;
            let byte = |n: usize| ((n % stride) / 8 + (n / stride) / 4 + number * 3) as u8;
            ((0..stride * rows).map(byte).collect(), stride)
        };
        Self { format, size, planes: format.planes(size).map(plane).collect() }
    }

    pub fn picture(&self) -> Picture<'_> {
        let planes =
            self.planes.iter().map(|(data, stride)| Plane { data, stride: *stride }).collect();
        Picture::Cpu(CpuImage { format: self.format, size: self.size, planes })
    }

    /// Its rows without padding, one plane after the other.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let shapes = self.format.planes(self.size);
        self.planes
            .iter()
            .zip(shapes)
            .flat_map(|((data, stride), (row, _))| data.chunks(*stride).map(move |r| &r[..row]))
    }
}

/// What stands for a timeline semaphore with the double of CUDA.
pub struct Timeline {
    memory: Exported,
    shared: Arc<SharedSemaphore>,
}

impl Timeline {
    pub fn new() -> Self {
        let memory = Exported::plain(8).unwrap();
        let device = DeviceId(*b"nearlight-fake-0");
        let (id, fd) = (MemoryId::next(), memory.fd().unwrap());
        Self {
            memory,
            shared: Arc::new(SharedSemaphore { id, device, fd, kind: SemaphoreKind::Timeline }),
        }
    }

    /// One that has reached this.
    pub fn reached(value: u64) -> Self {
        let mut timeline = Self::new();
        timeline.signal(value);
        timeline
    }

    /// It has reached this.
    pub fn signal(&mut self, value: u64) {
        // The drawing must be there first, and the word come at once: bytes above the first stay 0.
        assert!(value < 256);
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        self.memory.bytes_mut()[0] = value as u8;
    }

    pub fn at(&self, value: u64) -> SharedSignal<'_> {
        SharedSignal { semaphore: &self.shared, value: Some(value) }
    }
}

/// What stands for a binary semaphore with the double of CUDA: the signals that came, and those that were
/// submitted.
pub struct Binary {
    memory: Exported,
    shared: Arc<SharedSemaphore>,
    submitted: u8,
}

impl Binary {
    pub fn new() -> Self {
        let memory = Exported::plain(16).unwrap();
        let device = DeviceId(*b"nearlight-fake-0");
        let (id, fd) = (MemoryId::next(), memory.fd().unwrap());
        let kind = SemaphoreKind::Binary(Turns::default());
        Self { memory, shared: Arc::new(SharedSemaphore { id, device, fd, kind }), submitted: 0 }
    }

    pub fn turns(&self) -> &Turns {
        match &self.shared.kind {
            SemaphoreKind::Binary(turns) => turns,
            SemaphoreKind::Timeline => unreachable!("it was made above"),
        }
    }

    /// A submission that signals it.
    pub fn submit(&mut self) {
        assert_eq!(self.turns().now(), Turn::Free, "as the source does");
        self.turns().signalled();
        self.submitted += 1;
        self.memory.bytes_mut()[8] = self.submitted;
    }

    /// The submission is complete.
    pub fn signal(&mut self) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        self.memory.bytes_mut()[0] = self.submitted;
    }

    pub fn ready(&self) -> SharedSignal<'_> {
        SharedSignal { semaphore: &self.shared, value: None }
    }
}

/// A slot of a source's ring, in memory that the driver can import.
pub struct Slot {
    memory: Exported,
    shared: Arc<SharedMemory>,
    format: PixelFormat,
    size: Size,
    stride: usize,
}

impl Slot {
    pub fn new(format: PixelFormat, size: Size) -> Self {
        Self::on(format, size, DeviceId(*b"nearlight-fake-0"))
    }

    /// One that is said to lie on a device.
    pub fn on(format: PixelFormat, size: Size, device: DeviceId) -> Self {
        let (row, _) = format.plane(0, size).unwrap();
        let stride = row.next_multiple_of(256);
        let bytes = format.planes(size).map(|(_, rows)| rows * stride).sum::<usize>() + 4096;
        let memory = Exported::lavapipe(bytes).unwrap();
        let shared = Arc::new(SharedMemory {
            id: MemoryId::next(),
            device,
            fd: memory.fd().unwrap(),
            bytes: bytes as u64,
            dedicated: true,
        });
        Self { memory, shared, format, size, stride }
    }

    /// Bytes from a row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    pub fn memory(&self) -> &Arc<SharedMemory> {
        &self.shared
    }

    /// Draws a picture of the slot's layout and size into it.
    pub fn draw(&mut self, picture: &Raw) {
        self.draw_rows(picture.rows());
    }

    /// The same of NV12.
    pub fn draw_scene(&mut self, scene: &super::Picture) {
        let width = scene.size.width as usize;
        let rows = |plane: &'_ [u8]| {
            plane.chunks(scene.stride).map(|row| row[..width].to_vec()).collect::<Vec<_>>()
        };
        let rows = [rows(&scene.luma), rows(&scene.chroma)].concat();
        self.draw_rows(rows.iter().map(Vec::as_slice));
    }

    fn draw_rows<'a>(&mut self, rows: impl Iterator<Item = &'a [u8]>) {
        for (to, from) in self.memory.bytes_mut().chunks_mut(self.stride).zip(rows) {
            to[..from.len()].copy_from_slice(from);
        }
    }

    /// The bytes that lie in it now, padding and all.
    pub fn bytes(&mut self) -> &[u8] {
        self.memory.bytes_mut()
    }

    pub fn image(&self) -> SharedImage<'_> {
        let stride = self.stride as u32;
        let mut offset = 0;
        let plane = |(_, rows): (usize, usize)| {
            let plane = SharedPlane { offset, stride };
            offset += (rows * self.stride) as u64;
            plane
        };
        let planes = self.format.planes(self.size).map(plane).collect();
        SharedImage {
            memory: &self.shared,
            format: self.format,
            size: self.size,
            planes,
            ready: None,
        }
    }

    pub fn picture(&self) -> Picture<'_> {
        Picture::Shared(self.image())
    }
}
