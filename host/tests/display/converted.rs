//! Pictures that a graphics device converts are those that the processor makes.

use std::sync::Arc;
use std::time::Duration;

use media::{
    Damage, Frame, FrameId, FrameRequest, FrameSource as _, MediaTime, PictureKind, Rect, Size,
    SourceEvent,
};
use nearlight_host::display::XSource;
use render::captured::CaptureStage;
use render::device::{GpuOptions, GpuPool};
use testkit::FakeClock;

use crate::capture::{Chance, LONG, ask, check, keep_contract, open, rect, sample};
use crate::client::Client;
use crate::server::{self, Server};

const SIZE: Size = Size::new(96, 300);

fn pool() -> Arc<GpuPool> {
    Arc::new(GpuPool::open(GpuOptions::default()).expect("tests need a Vulkan device"))
}

/// A source whose pictures the device converts, whoever reads them.
fn on_device(server: &Server, pool: &Arc<GpuPool>) -> XSource {
    let stage = CaptureStage::new(pool.clone(), true);
    open(server).converted_by(stage.open().expect("the device works"))
}

/// The newest picture once the display stands still, and what is different in it from the one that was had before.
fn newest(source: &mut XSource) -> Option<(Frame, Damage)> {
    let (mut newest, mut damage) = (None, Damage::none());
    loop {
        match ask(source, Duration::from_millis(4), false).unwrap() {
            SourceEvent::Frame(mut frame) => {
                frame.image.finish(&FakeClock::default(), &mut frame.stages).unwrap();
                damage.merge(&frame.damage);
                newest = Some(frame);
            }
            SourceEvent::Unchanged => return newest.map(|frame| (frame, damage)),
            _ => {}
        }
    }
}

/// Y, Cb and Cr at every pixel.
fn samples(frame: &Frame) -> Vec<[u8; 3]> {
    let size = frame.image.size();
    let places = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    places.map(|(x, y)| sample(frame, x as usize, y as usize)).collect()
}

fn holds(rect: &Rect, x: u32, y: u32) -> bool {
    (rect.x..rect.x + rect.width).contains(&x) && (rect.y..rect.y + rect.height).contains(&y)
}

/// Whether all pixels that chroma at this one may be made of have one colour.
fn is_flat(model: &[u32], x: u32, y: u32) -> bool {
    let colour = |x: u32, y: u32| model[(y * SIZE.width + x) as usize];
    let (left, top) = ((x & !1).saturating_sub(1), y & !1);
    let right = (x | 1).min(SIZE.width - 1);
    (left..=right).all(|at| colour(at, top) == colour(x, y) && colour(at, top + 1) == colour(x, y))
}

#[test]
fn a_device_makes_the_pictures_that_the_processor_makes() {
    let Some(server) = server::start(96, 300) else { return };
    let client = Client::open(&server, 96, 300);
    let pool = pool();
    let (mut here, mut there) = (open(&server), on_device(&server, &pool));
    let mut model = vec![0; SIZE.pixels() as usize];
    let mut chance = Chance(7);
    newest(&mut here).unwrap();
    let mut before = samples(&newest(&mut there).unwrap().0);
    let mut compared = 0;
    for step in 0..80 {
        for _ in 0..=chance.below(3) {
            // All of it now and then, and else a part, whose edges lie anyhow.
            let (x, y) = (chance.below(SIZE.width), chance.below(SIZE.height));
            let width = 1 + chance.below(SIZE.width - x);
            let area = match chance.below(8) {
                0 => Rect::whole(SIZE),
                _ => rect(x, y, width, 1 + chance.below(SIZE.height - y)),
            };
            let colour = chance.below(0x100_0000);
            client.fill(area, colour);
            for y in area.y..area.y + area.height {
                let row = (y * SIZE.width + area.x) as usize;
                model[row..row + area.width as usize].fill(colour);
            }
        }
        let (Some((one, _)), Some((other, damage))) = (newest(&mut here), newest(&mut there))
        else {
            panic!("step {step}: something was drawn");
        };
        let (one, other) = (samples(&one), samples(&other));
        let Damage::Rects(rects) = damage else { panic!("it is known what changed") };
        for (at, (wanted, made)) in one.iter().zip(&other).enumerate() {
            let (x, y) = (at as u32 % SIZE.width, at as u32 / SIZE.width);
            // Each may round its own way, and the processor takes chroma from the middle of four pixels.
            let near = |n: usize| wanted[n].abs_diff(made[n]) <= 2;
            assert!(near(0), "step {step}: luma at {x},{y} is {made:?}, not {wanted:?}");
            if is_flat(&model, x, y) {
                compared += 1;
                assert!(near(1) && near(2), "step {step}: {x},{y} is {made:?}, not {wanted:?}");
            }
            let told = rects.iter().any(|rect| holds(rect, x, y));
            assert!(told || *made == before[at], "step {step}: {x},{y} is not in {rects:?}");
        }
        before = other;
    }
    assert!(compared > 500_000, "{compared} samples of chroma were compared");
    assert_eq!(pool.current().errors(), (0, None));
}

#[test]
fn a_display_that_a_device_converts_keeps_the_contract_of_sources() {
    let Some(server) = server::start(128, 96) else { return };
    let client = Client::open(&server, 128, 96);
    keep_contract(on_device(&server, &pool()), client);
}

#[test]
fn a_lost_device_is_nothing_to_the_picture() {
    let Some(server) = server::start(128, 96) else { return };
    let client = Client::open(&server, 128, 96);
    let pool = pool();
    let mut source = on_device(&server, &pool);
    client.fill(rect(0, 0, 128, 96), 0x20_40_80);
    let (mut first, _) = newest(&mut source).unwrap();
    assert!(first.image.map_mut().is_none(), "it is of the device");
    check(&first, 9, 9, 0x20_40_80);
    drop(first);
    pool.current().lose("the test says so");
    client.fill(rect(32, 32, 8, 8), 0xff_00_00);
    let (mut second, damage) = newest(&mut source).unwrap();
    assert_eq!(damage, Damage::Unknown, "all of it may be rounded otherwise");
    assert!(second.image.map_mut().is_some(), "it is of the processor");
    check(&second, 9, 9, 0x20_40_80);
    check(&second, 35, 35, 0xff_00_00);
    drop(second);
    client.fill(rect(64, 32, 8, 8), 0x00_ff_00);
    let (third, damage) = newest(&mut source).unwrap();
    assert_eq!(damage, Damage::Rects(std::iter::once(rect(64, 32, 8, 8)).collect()));
    check(&third, 67, 35, 0x00_ff_00);
}

#[test]
fn what_the_cpu_reads_is_converted_there_unless_it_is_asked_otherwise() {
    let Some(server) = server::start(128, 96) else { return };
    let client = Client::open(&server, 128, 96);
    client.fill(rect(0, 0, 128, 96), 0x20_40_80);
    let pool = pool();
    let shares = pool.current().cannot_share().is_none();
    let stage = CaptureStage::new(pool, false);
    let mut source = open(&server).converted_by(stage.open().expect("the device works"));
    for share in [false, shares, false] {
        let (id, at, within, views) = (FrameId(1), MediaTime::ZERO, LONG, &[]);
        let (refresh, kind) = (true, PictureKind::NV12);
        let request = FrameRequest { id, at, within, views, refresh, share, kind };
        let mut frame = loop {
            if let SourceEvent::Frame(frame) = source.next(&request).unwrap() {
                break frame;
            }
        };
        frame.image.finish(&FakeClock::default(), &mut frame.stages).unwrap();
        assert_eq!(frame.image.shared().is_some(), share);
        check(&frame, 9, 9, 0x20_40_80);
        check(&frame, 127, 95, 0x20_40_80);
    }
}
