//! Pictures in shared memory: what others see of it, when it goes, and what happens without it.
//!
//! A second device on the same adapter imports what the first one exports, so that any device that can share
//! will do. That of CUDA looks into the sealed files which the software driver exports, and needs that driver
//! by its name; what CUDA itself sees is for `examples/export_check.rs`.

#![expect(clippy::panic, reason = "helpers of tests panic as tests do")]

mod common;
#[path = "common/import.rs"]
mod import;

use std::collections::HashSet;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Packed, Picture, TestClock, ring, submit};
use import::Importer;
use media::{
    ColorDescription, Frame, FrameId, FrameImage, FrameRequest, FrameSource, ImageError, Mark,
    MediaTime, PictureKind, PixelFormat, SharedMemory, Size, SourceError, SourceEvent, StageTimes,
};
use nearlight_render::device::{Gpu, GpuMemory, GpuOptions, GpuPool};
use nearlight_render::draw::RenderSettings;
use nearlight_render::picture::PictureConverter;
use nearlight_render::readback::{FrameRing, RingError, Sharing};
use nearlight_render::scene::{LoadLimits, Scene, load_scene_bytes};
use nearlight_render::source::{SceneHost, SceneInput, SceneSource, Stage};
use testkit::{Cuda, FakeGpu};

const SIZE: Size = Size::new(642, 362);
/// Generous: waited for in full only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn software() -> GpuOptions {
    GpuOptions { adapter: Some("llvmpipe".to_owned()), ..GpuOptions::default() }
}

/// Those of the machine's device where it can share, else of the software driver.
fn any() -> GpuOptions {
    if common::gpu().cannot_share().is_none() { GpuOptions::default() } else { software() }
}

/// A device that can share.
fn sharing() -> Arc<Gpu> {
    Gpu::open(&any()).expect("tests need lavapipe (mesa-vulkan-drivers)")
}

/// The same, and one that sees what it exports.
fn both() -> (Arc<Gpu>, Importer) {
    let gpu = sharing();
    let other = Importer::beside(&gpu);
    (gpu, other)
}

fn finish(image: &mut dyn FrameImage) {
    image.finish(&TestClock::new(), &mut StageTimes::default()).expect("the device works");
}

/// The memory that a picture lies in.
fn memory(image: &dyn FrameImage) -> Arc<SharedMemory> {
    image.shared().expect("a shared picture").memory.clone()
}

/// A finished picture in shared memory, as its memory has it.
fn nv12_of(other: &Importer, image: &dyn FrameImage) -> Packed {
    let shared = image.shared().expect("a shared picture");
    let (width, height) = (shared.size.width as usize, shared.size.height as usize);
    let stride = shared.planes[0].stride as usize;
    let bytes = other.read(shared.memory, (stride * height * 3 / 2) as u64);
    let rows = |plane: usize, rows: usize| {
        let at = shared.planes[plane].offset as usize;
        bytes[at..at + stride * rows]
            .chunks(stride)
            .flat_map(|row| &row[..width])
            .copied()
            .collect()
    };
    Packed { size: shared.size, luma: rows(0, height), chroma: rows(1, height / 2) }
}

/// The rows of each plane of a finished picture without padding, as its memory has them.
fn planes_of(other: &Importer, image: &dyn FrameImage) -> Vec<Vec<u8>> {
    let shared = image.shared().expect("a shared picture");
    let bytes = other.read(shared.memory, shared.memory.bytes);
    let rows = |(plane, (row, rows)): (&media::SharedPlane, (usize, usize))| {
        let from = bytes[plane.offset as usize..].chunks(plane.stride as usize).take(rows);
        from.flat_map(|from| &from[..row]).copied().collect()
    };
    shared.planes.iter().zip(shared.format.planes(shared.size)).map(rows).collect()
}

/// The same as the CPU has them.
fn planes_on_cpu(image: &dyn FrameImage) -> Vec<Vec<u8>> {
    let mapped = image.map().expect("the picture is finished");
    let rows = |(plane, (row, rows)): (&media::Plane<'_>, (usize, usize))| {
        let from = plane.data.chunks(plane.stride).take(rows);
        from.flat_map(|from| &from[..row]).copied().collect()
    };
    mapped.planes.iter().zip(mapped.format.planes(mapped.size)).map(rows).collect()
}

fn assert_same(made: &Packed, wanted: &Packed) {
    assert_eq!(made.size, wanted.size);
    assert!(made.luma == wanted.luma, "luma differs");
    assert!(made.chroma == wanted.chroma, "chroma differs");
}

fn pictures(size: Size) -> [Picture; 2] {
    [Picture::noise(size), Picture::from_fn(size, |x, y| [x as u8, y as u8, (x + y) as u8])]
}

#[track_caller]
fn until(mut met: impl FnMut() -> bool, otherwise: &str) {
    let since = Instant::now();
    while !met() {
        assert!(since.elapsed() < PATIENCE, "{otherwise}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Device and inode of the files that this process has open.
fn open_files() -> HashSet<(u64, u64)> {
    let entries = fs::read_dir("/proc/self/fd").expect("Linux").flatten();
    entries
        .filter_map(|entry| fs::metadata(entry.path()).ok())
        .map(|file| (file.dev(), file.ino()))
        .collect()
}

fn file_of(memory: &SharedMemory) -> (u64, u64) {
    let path = format!("/proc/self/fd/{}", memory.fd.as_raw_fd());
    let file = fs::metadata(path).expect("it is open");
    (file.dev(), file.ino())
}

#[test]
fn the_layout_is_told_and_fits_the_memory() {
    let gpu = sharing();
    assert_eq!(gpu.cannot_share(), None);
    let device = gpu.device_id().expect("it can share");
    for (size, stride) in [(SIZE, 768), (Size::new(1280, 720), 1280), (Size::new(2, 2), 256)] {
        let mut ring = ring(&gpu, size, Sharing::Shared);
        assert_eq!(ring.sharing(), Sharing::Shared);
        let view = Picture::noise(size).upload(&gpu, size);
        let mut images: Vec<_> =
            std::iter::from_fn(|| submit(&gpu, &mut ring, &view, size)).collect();
        let mut ids = HashSet::new();
        for image in &mut images {
            finish(&mut **image);
            let shared = image.shared().expect("a shared picture");
            assert_eq!((shared.size, shared.format), (size, image.format()));
            let planes: Vec<_> =
                shared.planes.iter().map(|plane| (plane.offset, plane.stride)).collect();
            let luma = u64::from(stride) * u64::from(size.height);
            assert_eq!(planes, [(0, stride), (luma, stride)], "planes follow without a gap");
            assert!(shared.memory.bytes >= luma * 3 / 2, "{:?}", shared.memory);
            assert_eq!(shared.memory.device, device);
            assert!(shared.memory.dedicated);
            assert_eq!(shared.ready.is_some(), gpu.cannot_signal().is_none());
            ids.insert(shared.memory.id);
        }
        assert_eq!(ids.len(), 3, "each slot has memory of its own");
        drop(images);
        until(|| ring.free() == 3, "slots are still in use");
        let again = submit(&gpu, &mut ring, &view, size).expect("a slot");
        assert!(ids.contains(&memory(&*again).id), "slots are used again");
    }
    assert_eq!(gpu.errors(), (0, None));
}

#[test]
fn others_see_the_picture_that_the_cpu_would_get() {
    let (gpu, other) = both();
    for size in [SIZE, Size::new(640, 360), Size::new(2, 2), Size::new(530, 34)] {
        let mut on_cpu = ring(&gpu, size, Sharing::Cpu);
        let mut shared = ring(&gpu, size, Sharing::Shared);
        // More than there are slots: memory that was exported before is written again.
        for picture in pictures(size).iter().cycle().take(8) {
            let view = picture.upload(&gpu, size);
            let mut wanted = submit(&gpu, &mut on_cpu, &view, size).expect("a slot");
            let mut made = submit(&gpu, &mut shared, &view, size).expect("a slot");
            finish(&mut *made);
            assert_same(&nv12_of(&other, &*made), &Packed::read(&mut *wanted));
        }
        assert_eq!(shared.readbacks(), 0);
    }
    assert_eq!(gpu.errors(), (0, None));
}

#[test]
fn ten_bits_lie_there_as_the_cpu_would_get_them() {
    let (gpu, other) = both();
    let converter = Arc::new(PictureConverter::new(&gpu));
    let sdr = PictureKind { color: ColorDescription::BT709_LIMITED, ..PictureKind::HDR10 };
    for kind in [PictureKind::HDR10, sdr] {
        let ring = |sharing| FrameRing::new(&gpu, &converter, SIZE, kind, sharing).expect("a ring");
        let (mut on_cpu, mut shared) = (ring(Sharing::Cpu), ring(Sharing::Shared));
        assert_eq!(shared.kind(), kind);
        for picture in pictures(SIZE).iter().cycle().take(4) {
            let view = picture.upload(&gpu, SIZE);
            let mut wanted = submit(&gpu, &mut on_cpu, &view, SIZE).expect("a slot");
            let mut made = submit(&gpu, &mut shared, &view, SIZE).expect("a slot");
            finish(&mut *wanted);
            finish(&mut *made);
            let image = made.shared().expect("a shared picture");
            // 642 samples of two bytes, in rows of whole 256 bytes.
            let places: Vec<_> =
                image.planes.iter().map(|plane| (plane.offset, plane.stride)).collect();
            assert_eq!(places, [(0, 1536), (1536 * 362, 1536)]);
            assert_eq!((image.format, image.size), (PixelFormat::P010, SIZE));
            let planes = planes_of(&other, &*made);
            assert!(planes == planes_on_cpu(&*wanted), "{kind:?}");
            let lower = planes.iter().flatten().step_by(2);
            assert!(lower.clone().all(|byte| byte & 63 == 0), "the value is in the upper ten bits");
            assert!(lower.clone().any(|byte| *byte != 0), "there are ten of them");
        }
        assert_eq!(shared.readbacks(), 0);
    }
    assert_eq!(gpu.errors(), (0, None));
}

#[test]
fn marks_and_cost_are_those_of_any_picture() {
    let clock = TestClock::new();
    let gpu = sharing();
    let mut ring = ring(&gpu, SIZE, Sharing::Shared);
    let view = Picture::noise(SIZE).upload(&gpu, SIZE);
    let mut image = submit(&gpu, &mut ring, &view, SIZE).expect("a slot");
    assert!(matches!(image.map(), Err(ImageError::Unfinished)));
    let mut stages = StageTimes::default();
    image.finish(&clock, &mut stages).expect("the device works");
    let converted = stages.get(Mark::Converted).expect("finish sets it");
    if gpu.has_timestamps() {
        assert!(stages.get(Mark::Drawn).expect("the pass is measured") < converted);
    }
    let cost = ring.take_cost().expect("it is complete");
    assert!(cost.internal == SIZE && cost.time > Duration::ZERO);
}

#[test]
fn a_picture_dropped_in_flight_does_not_spoil_the_next_one() {
    let (gpu, other) = both();
    let mut shared = ring(&gpu, SIZE, Sharing::Shared);
    let views =
        [0_u8, 255].map(|level| Picture::from_fn(SIZE, |_, _| [level; 3]).upload(&gpu, SIZE));
    for _ in 0..10 {
        for (view, wanted) in views.iter().zip([16_u8, 235]) {
            until(|| shared.free() >= 2, "slots are still in use");
            drop(submit(&gpu, &mut shared, &views[0], SIZE).expect("a slot"));
            let mut image = submit(&gpu, &mut shared, view, SIZE).expect("a slot");
            finish(&mut *image);
            assert!(nv12_of(&other, &*image).luma.iter().all(|&luma| luma == wanted));
        }
    }
    assert_eq!(gpu.errors(), (0, None));
}

#[test]
fn the_cpu_gets_a_copy_once_when_it_asks_after_all() {
    let (gpu, other) = both();
    let [picture, _] = pictures(SIZE);
    let view = picture.upload(&gpu, SIZE);
    let mut shared = ring(&gpu, SIZE, Sharing::Shared);
    let mut image = submit(&gpu, &mut shared, &view, SIZE).expect("a slot");
    let made = Packed::read(&mut *image);
    assert_same(&made, &nv12_of(&other, &*image));
    assert_same(&made, &common::convert(&gpu, &picture, SIZE, SIZE));
    assert_eq!(shared.readbacks(), 1);
    image.map().expect("it was copied already");
    assert_eq!(shared.readbacks(), 1);
    // What importers see is still the picture's own memory.
    assert_eq!(image.shared().expect("still shared").planes.len(), 2);
}

#[test]
fn descriptors_go_with_the_ring_and_memory_stays_while_it_is_held() {
    let (gpu, other) = both();
    let [picture, _] = pictures(SIZE);
    let view = picture.upload(&gpu, SIZE);
    let mut shared = ring(&gpu, SIZE, Sharing::Shared);
    let mut images: Vec<_> =
        std::iter::from_fn(|| submit(&gpu, &mut shared, &view, SIZE)).collect();
    images.iter_mut().for_each(|image| finish(&mut **image));
    let wanted = nv12_of(&other, &*images[0]);
    let kept = memory(&*images[0]);
    let files: Vec<_> = images.iter().map(|image| file_of(&memory(&**image))).collect();
    let fd = kept.fd.as_raw_fd();
    assert!(files.iter().all(|file| open_files().contains(file)));
    // Other drivers export many allocations as one device file.
    let told_apart = files.iter().collect::<HashSet<_>>().len() == files.len();
    assert!(told_apart || !gpu.is_software());

    // The ring goes first, as when the size changes; then the pictures, then the device.
    drop(shared);
    let luma = &wanted.luma;
    assert_eq!(nv12_of(&other, &*images[0]).luma, *luma, "images of the old ring stay valid");
    drop(images);
    drop((view, gpu));
    let dropped: HashSet<_> = files[1..].iter().copied().collect();
    until(
        || !told_apart || open_files().is_disjoint(&dropped),
        "descriptors of dropped pictures are open",
    );
    assert_eq!((kept.fd.as_raw_fd(), file_of(&kept)), (fd, files[0]));
    let stride = 768;
    let bytes = other.read(&kept, (stride * SIZE.height as usize) as u64);
    let rows = bytes.chunks(stride).flat_map(|row| &row[..SIZE.width as usize]);
    assert!(rows.eq(luma), "the memory outlives the device while it is held");
    drop(kept);
    until(|| !told_apart || !open_files().contains(&files[0]), "nobody holds it, and it is open");
}

#[test]
fn rings_of_changing_sizes_leave_nothing_behind() {
    let gpu = sharing();
    let converter = Arc::new(PictureConverter::new(&gpu));
    let view = Picture::noise(SIZE).upload(&gpu, SIZE);
    let exporter = gpu.exporter().expect("it can share");
    let mut files = Vec::new();
    for step in 0..40 {
        let size = Size::new(64 + step * 34, 64 + step * 18);
        let mut ring = FrameRing::new(&gpu, &converter, size, PictureKind::NV12, Sharing::Shared)
            .expect("a sound size");
        let held = exporter.held();
        let pixels = u64::from(size.width) * u64::from(size.height) * 3 / 2 * 3;
        assert!(held.allocations >= 3 && held.bytes >= pixels, "{held:?}");
        let all = gpu.memory().expect("Vulkan tells");
        assert!(all.bytes > held.bytes, "shared memory is counted with the rest: {all:?}");
        let images: Vec<_> = std::iter::from_fn(|| submit(&gpu, &mut ring, &view, SIZE)).collect();
        files.extend(images.iter().map(|image| file_of(&memory(&**image))));
    }
    let told_apart: HashSet<_> = files.iter().copied().collect();
    // Other drivers export many allocations as one device file.
    if gpu.is_software() {
        assert_eq!((files.len(), told_apart.len()), (120, 120));
        until(|| open_files().is_disjoint(&told_apart), "descriptors are left");
    }
    until(|| exporter.held() == GpuMemory::default(), "memory is left");
    assert_eq!(gpu.errors(), (0, None));
}

/// A ring of its own that need not come about.
fn unmade(gpu: &Arc<Gpu>) -> Result<FrameRing, RingError> {
    let converter = Arc::new(PictureConverter::new(gpu));
    FrameRing::new(gpu, &converter, SIZE, PictureKind::NV12, Sharing::Shared)
}

#[test]
fn nothing_is_made_of_nothing_nor_on_a_lost_device() {
    let (gpu, other) = both();
    let exporter = gpu.exporter().expect("it can share");
    let before = exporter.held();
    assert!(exporter.buffer(0).is_err());
    assert_eq!(exporter.held(), before);
    let view = Picture::noise(SIZE).upload(&gpu, SIZE);
    let mut shared = ring(&gpu, SIZE, Sharing::Shared);
    let mut image = submit(&gpu, &mut shared, &view, SIZE).expect("a slot");
    finish(&mut *image);
    let wanted = nv12_of(&other, &*image);
    gpu.lose("pulled out by the test");
    let told = image.map().map(drop);
    assert!(
        matches!(told, Err(ImageError::Lost(ref why)) if why.contains("pulled out")),
        "{told:?}"
    );
    // Whoever imported it goes on reading.
    assert_same(&nv12_of(&other, &*image), &wanted);
    let again = unmade(&gpu);
    assert!(matches!(again, Err(RingError::Refused(_))), "{again:?}");
}

/// A scene on a device, and that device.
fn source(options: GpuOptions) -> (Arc<GpuPool>, SceneSource, SceneInput) {
    let pool = Arc::new(GpuPool::open(options).expect("tests need lavapipe"));
    let settings = RenderSettings { shadow_size: 0, ..RenderSettings::default() };
    let glb = nearlight_render::demo::glb();
    let demo = load_scene_bytes("demo", &glb, &LoadLimits::default()).expect("the demo loads");
    let still = Scene { animations: Vec::new(), ..demo.scene };
    let host = SceneHost::new(Stage::new(pool.clone(), settings, false), still);
    let (source, input) = host.open(SIZE, Arc::new(TestClock::new())).expect("the scene opens");
    (pool, source, input)
}

fn draw(source: &mut SceneSource, share: bool) -> Box<dyn FrameImage> {
    draw_as(source, share, PictureKind::NV12).image
}

fn draw_as(source: &mut SceneSource, share: bool, kind: PictureKind) -> Frame {
    let request = FrameRequest {
        id: FrameId(0),
        at: MediaTime::from_millis(1_000),
        within: Duration::from_millis(33),
        views: &[],
        refresh: true,
        share,
        kind,
    };
    let since = Instant::now();
    loop {
        match source.next(&request) {
            Ok(SourceEvent::Frame(mut frame)) => {
                finish(&mut *frame.image);
                return frame;
            }
            Err(SourceError::Busy) if since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => panic!("a frame was due, not {other:?}"),
        }
    }
}

#[test]
fn a_scene_follows_what_is_asked_for() {
    let (pool, mut source, _input) = source(any());
    let other = Importer::beside(&pool.current());
    let mut wanted = draw(&mut source, false);
    assert!(wanted.shared().is_none());
    let wanted = Packed::read(&mut *wanted);
    let first = draw(&mut source, true);
    assert_same(&nv12_of(&other, &*first), &wanted);
    let ids = [&*first, &*draw(&mut source, true)].map(|image| memory(image).id);
    assert_ne!(ids[0], ids[1], "the first one's slot is held");
    // Back to the CPU: the encoder gave its import up, say.
    let mut back = draw(&mut source, false);
    assert!(back.shared().is_none());
    assert_same(&Packed::read(&mut *back), &wanted);
    assert_same(&nv12_of(&other, &*first), &wanted);
    assert_eq!(pool.current().errors(), (0, None));
}

#[test]
fn a_scene_is_drawn_in_high_dynamic_range_while_that_is_asked_for() {
    let (pool, mut source, _input) = source(any());
    let other = Importer::beside(&pool.current());
    let sdr = draw(&mut source, true);
    let shared = draw_as(&mut source, true, PictureKind::HDR10);
    let on_cpu = draw_as(&mut source, false, PictureKind::HDR10);
    for frame in [&shared, &on_cpu] {
        let made = PictureKind { format: frame.image.format(), color: frame.color };
        assert_eq!(made, PictureKind::HDR10);
    }
    let planes = planes_of(&other, &*shared.image);
    assert!(planes == planes_on_cpu(&*on_cpu.image));
    let luma = planes[0].as_chunks::<2>().0.iter().map(|&word| u16::from_le_bytes(word) >> 6);
    // 573 is the white of a page, which is all that there is in standard range.
    assert!(luma.clone().max() > Some(600), "the sun is brighter than paper: {:?}", luma.max());
    // What is not made comes as what is.
    let wide = PictureKind { color: ColorDescription::SRGB, ..PictureKind::NV12 };
    let back = draw_as(&mut source, true, wide);
    assert_eq!(back.color, ColorDescription::BT709_LIMITED);
    assert_same(&nv12_of(&other, &*back.image), &nv12_of(&other, &*sdr));
    assert_eq!(pool.current().errors(), (0, None));
}

#[test]
fn a_device_that_cannot_share_says_so_and_the_cpu_reads_instead() {
    let (pool, mut source, _input) = source(GpuOptions { unshared: true, ..GpuOptions::default() });
    let gpu = pool.current();
    let reason = gpu.cannot_share().expect("it cannot");
    assert!(reason.contains("without shared memory"), "{reason}");
    assert_eq!(gpu.device_id(), None);
    let made = unmade(&gpu);
    let Err(RingError::Unshared(told)) = made else { panic!("a shared ring: {made:?}") };
    assert_eq!(told, reason);
    let mut image = draw(&mut source, true);
    assert!(image.shared().is_none());
    assert!(Packed::read(&mut *image).luma.iter().any(|&luma| luma > 60), "it is not black");
}

#[test]
fn cuda_imports_what_vulkan_exports() {
    let gpu = match Gpu::open(&software()) {
        Ok(gpu) => gpu,
        Err(reason) => {
            assert!(!common::gpu().is_software(), "{reason}");
            println!("skipped: the double of CUDA imports lavapipe's files alone, and {reason}");
            return;
        }
    };
    let other = Importer::beside(&gpu);
    let fake = FakeGpu::fresh().expect("the double is built beside the test");
    let cuda = Cuda::open(fake.cuda().as_os_str()).expect("it opens");
    let devices = cuda.devices().expect("they are listed");
    {
        let context = cuda.context(&devices[0]).expect("its context is free");
        let mut shared = ring(&gpu, SIZE, Sharing::Shared);
        let (width, height) = (SIZE.width as usize, SIZE.height as usize);
        let [first, second] = pictures(SIZE);
        let first = first.upload(&gpu, SIZE);
        let mut image = submit(&gpu, &mut shared, &first, SIZE).expect("a slot");
        finish(&mut *image);
        let held = memory(&*image);
        let planes = image.shared().expect("a shared picture").planes;
        let imported = context.import(&held).expect("the driver's own export");
        let buffer = imported.map(held.bytes).expect("all of it");
        let read = |plane: usize, rows| buffer.read(planes[plane], width, rows).expect("in bounds");
        assert_eq!(read(0, height), nv12_of(&other, &*image).luma);
        assert_eq!(read(1, height / 2), nv12_of(&other, &*image).chroma);

        // Another picture in the slot is seen through the import that there is.
        drop(image);
        until(|| shared.free() == 3, "the slot is still in use");
        let second = second.upload(&gpu, SIZE);
        let mut image = submit(&gpu, &mut shared, &second, SIZE).expect("a slot");
        finish(&mut *image);
        assert_eq!(memory(&*image).id, held.id, "the first free slot is taken");
        assert_eq!(read(0, height), nv12_of(&other, &*image).luma);

        // And what CUDA writes is what Vulkan reads: one memory.
        let marks: Vec<u8> = (0..width * 4).map(|at| at as u8 | 1).collect();
        buffer.write(planes[0], width, &marks).expect("in bounds");
        let copy = Packed::read(&mut *image);
        assert_eq!(copy.luma[..width * 4], marks);
        // It lasts when everything on Vulkan's side is gone.
        drop((image, shared, first, second, gpu, other, held));
        assert_eq!(read(0, 4), marks);
    }
    assert_eq!(fake.cuda_broken_rules().expect("it tells"), [""; 0]);
    assert_eq!(fake.cuda_leftovers().expect("it tells"), [""; 0]);
}
