//! Opening, losing and reopening the device, and the ring's life around it.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Packed, Picture, TestClock, gpu, submit};
use media::{Clock, ImageError, Mark, MediaTime, PictureKind, Size, StageTimes};
use nearlight_render::device::{Gpu, GpuError, GpuOptions, GpuPool};
use nearlight_render::picture::PictureConverter;
use nearlight_render::readback::{FrameRing, RingError, Sharing};

const SIZE: Size = Size::new(640, 360);

fn ring(gpu: &Arc<Gpu>) -> FrameRing {
    common::ring(gpu, SIZE, Sharing::Cpu)
}

fn grey() -> Picture {
    Picture::from_fn(SIZE, |_, _| [128, 128, 128])
}

#[test]
fn a_device_tells_what_it_is() {
    let gpu = gpu();
    assert!(!gpu.name().is_empty());
    assert!(!gpu.driver().trim().is_empty());
    assert_eq!(gpu.lost(), None);
    let part = gpu.name()[1..gpu.name().len() / 2].to_uppercase();
    let named = Gpu::open(&GpuOptions { adapter: Some(part), ..GpuOptions::default() })
        .expect("named by a part of its name");
    assert_eq!(named.name(), gpu.name());
}

#[test]
fn an_unknown_adapter_is_refused_by_name() {
    let options =
        GpuOptions { adapter: Some("no such adapter".to_owned()), ..GpuOptions::default() };
    let error = Gpu::open(&options).expect_err("there is no such adapter");
    assert!(matches!(error, GpuError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("no such adapter"), "{error}");
}

#[test]
fn a_refused_call_is_recorded_and_nobody_panics() {
    let gpu = gpu();
    let absurd = wgpu::BufferDescriptor {
        label: None,
        size: u64::MAX - 3,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    };
    drop(gpu.device().create_buffer(&absurd));
    let (count, newest) = gpu.errors();
    assert_eq!(count, 1);
    assert!(newest.is_some());
    // Inside a scope it is the caller's to handle.
    assert!(gpu.checked(|| gpu.device().create_buffer(&absurd)).is_err());
    assert_eq!(gpu.errors().0, 1);
    assert!(gpu.checked(|| ()).is_ok());
}

#[test]
fn odd_sizes_are_refused() {
    let gpu = gpu();
    let converter = Arc::new(PictureConverter::new(&gpu));
    let made =
        FrameRing::new(&gpu, &converter, Size::new(641, 360), PictureKind::NV12, Sharing::Cpu);
    assert!(matches!(made, Err(RingError::Size(_))));
}

/// Waits until the device is through with what was dropped.
fn until_free(ring: &FrameRing, slots: usize) {
    until(|| ring.free() >= slots, "slots are still in use");
}

fn until(mut met: impl FnMut() -> bool, otherwise: &str) {
    let since = std::time::Instant::now();
    while !met() {
        assert!(since.elapsed() < Duration::from_secs(60), "{otherwise}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn slots_run_out_and_come_back_from_any_thread() {
    let gpu = gpu();
    let mut ring = ring(&gpu);
    let view = grey().upload(&gpu, SIZE);
    for _ in 0..20 {
        let mut images: Vec<_> =
            std::iter::from_fn(|| submit(&gpu, &mut ring, &view, SIZE)).collect();
        assert_eq!((images.len(), ring.free()), (3, 0));
        assert!(ring.begin().is_none());
        // One is dropped before it is finished, as in the mailbox; one after; one elsewhere.
        drop(images.pop());
        let mut read = images.pop().expect("two are left");
        assert_eq!(Packed::read(&mut *read).luma_at(5, 5), 126);
        drop(read);
        std::thread::spawn(move || drop(images)).join().expect("no panic");
        until_free(&ring, 3);
        // A slot that nothing was submitted for is free at once.
        drop(ring.begin());
        assert_eq!(ring.free(), 3);
    }
    assert_eq!(gpu.errors(), (0, None));
}

#[test]
fn a_picture_dropped_in_flight_does_not_spoil_the_next_one() {
    let gpu = gpu();
    let mut ring = ring(&gpu);
    let views =
        [0_u8, 255].map(|level| Picture::from_fn(SIZE, |_, _| [level; 3]).upload(&gpu, SIZE));
    for round in 0..30 {
        for (view, wanted) in views.iter().zip([16_u8, 235]) {
            until_free(&ring, 2);
            drop(submit(&gpu, &mut ring, &views[round % 2], SIZE).expect("a slot"));
            let mut image = submit(&gpu, &mut ring, view, SIZE).expect("a slot");
            let made = Packed::read(&mut *image);
            assert!(made.luma.iter().all(|&luma| luma == wanted));
        }
    }
    assert_eq!(gpu.errors(), (0, None));
}

#[test]
fn marks_tell_when_the_picture_was_complete_and_not_when_it_was_asked_for() {
    let gpu = gpu();
    let mut ring = ring(&gpu);
    let view = grey().upload(&gpu, SIZE);
    let clock = TestClock::new();
    let mut stages = StageTimes::captured(clock.now());
    stages.mark(Mark::DrawStarted, clock.now());
    let mut image = submit(&gpu, &mut ring, &view, SIZE).expect("a slot");
    // Until the device itself says that it is complete: from then on the moment is fixed.
    let mut cost = None;
    until(
        || {
            cost = ring.take_cost();
            cost.is_some()
        },
        "never complete",
    );
    let cost = cost.expect("it was waited for");
    let complete_by = clock.now();
    std::thread::sleep(Duration::from_millis(50));
    image.finish(&clock, &mut stages).expect("the device works");
    let converted = stages.get(Mark::Converted).expect("finish sets it");
    assert!(converted <= complete_by + Duration::from_millis(1), "{converted:?} {complete_by:?}");
    assert!(converted > MediaTime::ZERO);
    assert_eq!(cost.internal, SIZE);
    assert!(cost.time > Duration::ZERO);
    if gpu.has_timestamps() {
        let drawn = stages.get(Mark::Drawn).expect("the device measures its passes");
        assert!(drawn < converted);
    }
    let sum: Duration = stages.spans().map(|(_, span)| span).sum();
    assert_eq!(Some(sum), stages.total());
}

#[test]
fn mapping_comes_after_finishing_and_is_read_only() {
    let gpu = gpu();
    let mut ring = ring(&gpu);
    let view = grey().upload(&gpu, SIZE);
    let mut image = submit(&gpu, &mut ring, &view, SIZE).expect("a slot");
    assert!(matches!(image.map(), Err(ImageError::Unfinished)));
    image.finish(&TestClock::new(), &mut StageTimes::default()).expect("the device works");
    assert_eq!(image.map().expect("finished").planes.len(), 2);
    assert!(image.map_mut().is_none());
}

#[test]
fn a_picture_whose_commands_were_refused_is_an_error_and_the_next_one_is_not() {
    let gpu = gpu();
    let mut ring = ring(&gpu);
    let view = grey().upload(&gpu, SIZE);
    let mut slot = ring.begin().expect("a slot");
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    // A copy of a buffer onto itself is no valid command.
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 16,
        usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    encoder.copy_buffer_to_buffer(&buffer, 0, &buffer, 0, 16);
    slot.encode(&mut encoder, &view, SIZE);
    let mut image = slot.submit(encoder.finish()).expect("it was recorded");
    let finished = image.finish(&TestClock::new(), &mut StageTimes::default());
    assert!(finished.is_err());
    assert!(gpu.errors().0 > 0);
    assert_eq!(gpu.lost(), None, "a bug in one session does not take the device from the others");
    drop(image);
    let mut next = submit(&gpu, &mut ring, &view, SIZE).expect("a slot");
    assert_eq!(Packed::read(&mut *next).luma_at(0, 0), 126);
}

/// What a source does, reduced: one picture a call, and a device that may be gone.
fn draw(pool: &GpuPool, ring: &mut FrameRing, made_on: &Arc<Gpu>) -> Result<Packed, String> {
    if let Some(reason) = made_on.lost() {
        return Err(reason);
    }
    assert_eq!(pool.current().generation(), made_on.generation());
    let view = grey().upload(made_on, SIZE);
    let mut image = submit(made_on, ring, &view, SIZE).ok_or("no slot")?;
    image
        .finish(&TestClock::new(), &mut StageTimes::default())
        .map_err(|error| error.to_string())?;
    Ok(Packed::read(&mut *image))
}

#[test]
fn a_lost_device_is_reported_and_replaced_once_for_all() {
    let pool = Arc::new(GpuPool::open(GpuOptions::default()).expect("a Vulkan device"));
    let first = pool.current();
    let mut old_ring = ring(&first);
    draw(&pool, &mut old_ring, &first).expect("it works");
    assert_eq!(pool.reopen().expect("nothing to do").generation(), 0, "a sound device stays");

    // One picture is mapped and one is in flight when it happens.
    let view = grey().upload(&first, SIZE);
    let mut mapped = submit(&first, &mut old_ring, &view, SIZE).expect("a slot");
    mapped.finish(&TestClock::new(), &mut StageTimes::default()).expect("the device works");
    let mut in_flight = submit(&first, &mut old_ring, &view, SIZE).expect("a slot");
    first.lose("pulled out by the test");
    assert_eq!(first.lost().as_deref(), Some("pulled out by the test"));

    // The mapped one stays readable; the other one either made it or says why not.
    assert_eq!(mapped.map().expect("still mapped").planes[0].data[0], 126);
    if let Err(error) = in_flight.finish(&TestClock::new(), &mut StageTimes::default()) {
        assert!(error.to_string().contains("pulled out by the test"), "{error}");
    }
    // A source that has not noticed yet goes on drawing: errors, no panic.
    let mut late = submit(&first, &mut old_ring, &view, SIZE).expect("a slot");
    let error = late.finish(&TestClock::new(), &mut StageTimes::default()).expect_err("it is lost");
    assert!(matches!(error, ImageError::Lost(_)));
    let converter = Arc::new(PictureConverter::new(&first));
    assert!(FrameRing::new(&first, &converter, SIZE, PictureKind::NV12, Sharing::Cpu).is_err());
    assert!(FrameRing::new(&first, &converter, SIZE, PictureKind::NV12, Sharing::Shared).is_err());
    assert!(draw(&pool, &mut old_ring, &first).is_err());

    let reopeners: Vec<_> = (0..4)
        .map(|_| {
            let pool = Arc::clone(&pool);
            std::thread::spawn(move || pool.reopen().expect("the driver still works").generation())
        })
        .collect();
    for reopener in reopeners {
        assert_eq!(reopener.join().expect("no panic"), 1);
    }
    let second = pool.current();
    let mut new_ring = ring(&second);
    let made = draw(&pool, &mut new_ring, &second).expect("the new device works");
    assert_eq!(made.luma_at(0, 0), 126);

    // Images of the old device are dropped long after it.
    drop((mapped, in_flight, late));
    drop(first);
    until_free(&old_ring, 3);
}

#[test]
fn a_device_that_dies_by_itself_is_noticed_by_the_next_picture() {
    let pool = GpuPool::open(GpuOptions::default()).expect("a Vulkan device");
    let gpu = pool.current();
    let mut ring = ring(&gpu);
    let view = grey().upload(&gpu, SIZE);
    // Nothing is in flight, nobody is told: as when a driver resets while all is quiet.
    gpu.device().destroy();
    let mut image = submit(&gpu, &mut ring, &view, SIZE).expect("a slot");
    let error =
        image.finish(&TestClock::new(), &mut StageTimes::default()).expect_err("it is lost");
    assert!(matches!(error, ImageError::Lost(_)), "{error:?}");
    assert!(gpu.lost().is_some());
    assert_eq!(pool.reopen().expect("the driver still works").generation(), 1);
}

#[test]
fn threads_end_with_the_device() {
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .expect("Linux")
            .flatten()
            .filter(|task| {
                std::fs::read_to_string(task.path().join("comm"))
                    .is_ok_and(|name| name == "gpu-watch\n")
            })
            .count()
    };
    // Other tests of this binary open devices too, so the count is taken in a process of its own.
    if std::env::var_os("NEARLIGHT_LEAK_CHILD").is_none() {
        let test = std::env::current_exe().expect("Linux");
        let status = std::process::Command::new(test)
            .args(["--exact", "threads_end_with_the_device"])
            .env("NEARLIGHT_LEAK_CHILD", "1")
            .status()
            .expect("the test binary runs");
        assert!(status.success());
        return;
    }
    for _ in 0..5 {
        let gpu = gpu();
        let mut ring = ring(&gpu);
        let view = grey().upload(&gpu, SIZE);
        drop(submit(&gpu, &mut ring, &view, SIZE));
        // A thread names itself, once it runs.
        until(|| threads() == 1, "there is no thread");
        // The picture in flight keeps the device until it is complete.
        drop((ring, gpu));
        until(|| threads() == 0, "the thread is still there");
    }
}
