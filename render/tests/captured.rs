//! Pictures that lie in memory, against the same ones that were uploaded whole: `picture.rs` holds those against the standards.

mod common;

use std::sync::Arc;

use common::{Packed, Picture, convert};
use media::{Convert, Damage, FrameImage, Rect, Room, Size, StageTimes};
use nearlight_render::captured::CaptureStage;
use nearlight_render::device::{Gpu, GpuOptions, GpuPool};

const SIZE: Size = Size::new(130, 66);

fn pool() -> Arc<GpuPool> {
    Arc::new(GpuPool::open(GpuOptions::default()).expect("tests need a Vulkan device"))
}

/// One whose pictures encoders could read in place.
fn sharing() -> Arc<GpuPool> {
    let pool = pool();
    if pool.current().cannot_share().is_none() {
        return pool;
    }
    let software = GpuOptions { adapter: Some("llvmpipe".to_owned()), ..GpuOptions::default() };
    Arc::new(GpuPool::open(software).expect("tests need lavapipe (mesa-vulkan-drivers)"))
}

/// A display whose picture lies in memory, and is noise.
#[derive(Clone)]
struct Display {
    size: Size,
    bgrx: Vec<u8>,
    state: u64,
}

impl Display {
    fn new(size: Size) -> Self {
        let (bgrx, state) = (vec![0; size.pixels() as usize * 4], 0x2545_f491_4f6c_dd1d);
        let mut display = Self { size, bgrx, state };
        display.draw(Rect::whole(size));
        display
    }

    fn chance(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, most: u32) -> u32 {
        (self.chance() >> 32) as u32 % most
    }

    fn draw(&mut self, rect: Rect) {
        for y in rect.y..rect.y + rect.height {
            for x in rect.x..rect.x + rect.width {
                let noise = (self.chance() >> 32) as u32;
                let at = (y * self.size.width + x) as usize * 4;
                self.bgrx[at..at + 4].copy_from_slice(&noise.to_le_bytes());
            }
        }
    }

    /// Any part of it, however its edges lie.
    fn part(&mut self) -> Rect {
        let Size { width, height } = self.size;
        let (x, y) = (self.below(width), self.below(height));
        Rect { x, y, width: 1 + self.below(width - x), height: 1 + self.below(height - y) }
    }

    /// What it becomes where all of it is uploaded.
    fn expected(&self, gpu: &Arc<Gpu>) -> Packed {
        let picture = Picture::from_fn(self.size, |x, y| {
            let at = (y * self.size.width + x) as usize * 4;
            [self.bgrx[at + 2], self.bgrx[at + 1], self.bgrx[at]]
        });
        convert(gpu, &picture, self.size, self.size)
    }

    /// What is made of it where only this is said to have changed.
    fn converted(
        &self,
        by: &mut dyn Convert,
        share: bool,
        changed: &Damage,
    ) -> Box<dyn FrameImage> {
        assert_eq!(by.begin(self.size, share), Ok(Room::Free));
        by.convert(&self.bgrx, changed).expect("the device works")
    }
}

fn damage(rects: &[Rect]) -> Damage {
    let mut damage = Damage::none();
    rects.iter().for_each(|&rect| damage.add(rect));
    damage
}

#[track_caller]
fn assert_same(image: &mut dyn FrameImage, wanted: &Packed) {
    let made = Packed::read(image);
    assert_eq!(made.size, wanted.size);
    assert!(made.luma == wanted.luma, "luma");
    assert!(made.chroma == wanted.chroma, "chroma");
}

#[test]
fn pictures_are_what_lies_in_memory_however_little_of_them_is_uploaded() {
    let pool = pool();
    let gpu = pool.current();
    let mut by = CaptureStage::new(pool, true).open().expect("the device works");
    // One after the other: another size is another picture.
    for (width, height) in [(642, 362), (2, 2), (10, 4), (530, 34), (130, 66)] {
        let mut display = Display::new(Size::new(width, height));
        // What is said to have changed of a picture that nobody knows is all of it.
        let mut changed = damage(&[display.part()]);
        for _ in 0..5 {
            let mut image = display.converted(&mut *by, false, &changed);
            assert!(image.shared().is_none());
            assert_same(&mut *image, &display.expected(&gpu));
            changed = Damage::none();
            // As many as are kept apart, and more; of some pictures nothing.
            for _ in 0..display.below(7) {
                let part = display.part();
                display.draw(part);
                changed.add(part);
            }
        }
        display.draw(Rect::whole(display.size));
        let mut image = display.converted(&mut *by, false, &Damage::Unknown);
        assert_same(&mut *image, &display.expected(&gpu));
    }
    assert_eq!(gpu.errors(), (0, None));
}

#[test]
fn only_what_changed_is_uploaded() {
    let pool = pool();
    let gpu = pool.current();
    let mut by = CaptureStage::new(pool, true).open().expect("the device works");
    let mut shown = Display::new(SIZE);
    shown.converted(&mut *by, false, &Damage::Unknown);
    let part = Rect { x: 31, y: 17, width: 45, height: 9 };
    // All of it is another one in memory.
    let mut other = shown.clone();
    other.draw(Rect::whole(SIZE));
    for y in part.y..part.y + part.height {
        let row = (y * SIZE.width + part.x) as usize * 4..(y * SIZE.width + 76) as usize * 4;
        shown.bgrx[row.clone()].copy_from_slice(&other.bgrx[row]);
    }
    let mut image = other.converted(&mut *by, false, &damage(&[part]));
    assert_same(&mut *image, &shown.expected(&gpu));
}

#[test]
fn encoders_of_the_device_find_the_picture_where_it_was_made() {
    let pool = sharing();
    let gpu = pool.current();
    let stage = CaptureStage::new(pool, false);
    let mut by = stage.open().expect("the device works");
    let mut display = Display::new(SIZE);
    let device = stage.device_id();
    assert_eq!((device, device.is_some()), (gpu.device_id(), true));
    for _ in 0..4 {
        let part = display.part();
        display.draw(part);
        let mut image = display.converted(&mut *by, true, &damage(&[part]));
        let shared = image.shared().expect("it can share");
        assert_eq!((Some(shared.memory.device), shared.size), (device, SIZE));
        // By a copy of it.
        assert_same(&mut *image, &display.expected(&gpu));
    }
    // Whoever reads it on the CPU gets it from there.
    assert_eq!(by.begin(SIZE, false), Ok(Room::Elsewhere));
    // What was uploaded before is forgotten.
    display.draw(Rect::whole(SIZE));
    let mut image = display.converted(&mut *by, true, &Damage::none());
    assert_same(&mut *image, &display.expected(&gpu));
    assert_eq!(gpu.errors(), (0, None));
}

#[test]
fn there_is_no_room_while_all_pictures_are_held() {
    let mut by = CaptureStage::new(pool(), true).open().expect("the device works");
    let display = Display::new(SIZE);
    let mut held = Vec::new();
    while by.begin(SIZE, false) == Ok(Room::Free) {
        held.push(by.convert(&display.bgrx, &Damage::none()).expect("the device works"));
    }
    assert_eq!((by.begin(SIZE, false), held.len()), (Ok(Room::Full), 3));
    let mut first = held.swap_remove(0);
    first.finish(&common::TestClock::new(), &mut StageTimes::default()).expect("it works");
    drop(first);
    assert_eq!(by.begin(SIZE, false), Ok(Room::Free));
}

#[test]
fn what_cannot_be_converted_is_said() {
    let stage = CaptureStage::new(pool(), true);
    for size in [Size::new(3, 2), Size::new(2, 0), Size::new(16_386, 2)] {
        let mut by = stage.open().expect("the device works");
        by.begin(size, false).expect_err("no picture has that size");
    }
    let mut by = stage.open().expect("the device works");
    assert_eq!(by.begin(SIZE, false), Ok(Room::Free));
    let short = vec![0; SIZE.pixels() as usize * 4 - 1];
    assert!(by.convert(&short, &Damage::Unknown).is_err());
}

#[test]
fn a_lost_device_is_said_and_another_one_is_opened_for_the_next_source() {
    let pool = pool();
    let stage = CaptureStage::new(pool.clone(), true);
    let mut by = stage.open().expect("the device works");
    let display = Display::new(SIZE);
    drop(display.converted(&mut *by, false, &Damage::Unknown));
    assert_eq!(by.begin(SIZE, false), Ok(Room::Free));
    pool.current().lose("the test says so");
    let failed = by.convert(&display.bgrx, &Damage::none()).map(drop);
    assert_eq!(failed, Err("the test says so".to_owned()));
    assert_eq!(by.begin(SIZE, false), Err("the test says so".to_owned()));
    let mut by = stage.open().expect("another one works");
    let mut image = display.converted(&mut *by, false, &Damage::Unknown);
    assert_same(&mut *image, &display.expected(&pool.current()));
    assert_eq!(pool.current().generation(), 1);
}
