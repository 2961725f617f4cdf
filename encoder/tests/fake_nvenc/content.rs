//! What comes out is what was put in, from both kinds of inputs.

use std::time::{Duration, Instant};

use openh264::decoder::Decoder;
use openh264::formats::YUVSource as _;
use testkit::{Effect, Exported};

use crate::driver::{Driver, FORCE_IDR, HEIGHT, Handle, NV12, OK, WIDTH, get, set};
use crate::session::{Session, Setup, Unit};

const IDR: u32 = 3;
const P: u32 = 0;
const LOCK_BUSY: u32 = 13;
/// `hwEncodeStatus`.
const COMPLETE: u32 = 2;
const IN_PROGRESS: u32 = 1;

const W: usize = WIDTH as usize;
const H: usize = HEIGHT as usize;

/// NV12 without padding: a slope that moves by `step` a picture, with a block that stays.
pub(crate) fn picture(number: usize) -> Vec<u8> {
    let luma = (0..H).flat_map(|y| {
        (0..W).map(move |x| {
            let block = (80..112).contains(&x) && (64..96).contains(&y);
            if block { 220 } else { (40 + (x + y + 4 * number) % 160) as u8 }
        })
    });
    let chroma = (0..H / 2).flat_map(|y| {
        (0..W).map(move |x| if x % 2 == 0 { 90 + (y / 2) as u8 } else { 160 - (x / 8) as u8 })
    });
    luma.chain(chroma).collect()
}

/// The peak signal-to-noise ratio of luma in dB.
fn psnr(decoded: &[u8], stride: usize, source: &[u8]) -> f64 {
    let rows = decoded.chunks(stride).zip(source.chunks(W)).take(H);
    let squares: f64 = rows
        .flat_map(|(a, b)| a.iter().zip(b))
        .map(|(a, b)| f64::from(i32::from(*a) - i32::from(*b)).powi(2))
        .sum();
    10.0 * (255.0_f64.powi(2) / (squares / (W * H) as f64).max(1e-9)).log10()
}

/// Decodes units one by one, and holds each against its picture.
struct Check(Decoder);

impl Check {
    fn new() -> Self {
        Self(Decoder::new().unwrap())
    }

    #[track_caller]
    fn holds(&mut self, unit: &Unit, source: &[u8]) {
        let decoded = self.0.decode(&unit.data).unwrap().expect("a picture for each unit");
        assert_eq!(decoded.dimensions(), (W, H));
        let psnr = psnr(decoded.y(), decoded.strides().0, source);
        assert!(psnr > 25.0, "{psnr:.1} dB at ts {}", unit.timestamp);
    }
}

#[test]
fn pictures_of_the_cpu_are_coded_and_decode_to_themselves() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let (input, output) = session.buffers();
    let mut check = Check::new();
    for number in 0..12 {
        let source = picture(number);
        let unit = session.code((input, output), &source, 10 + number as u64, number == 7);
        assert_eq!(unit.timestamp, 10 + number as u64);
        assert_eq!(unit.kind, if matches!(number, 0 | 7) { IDR } else { P });
        assert_eq!(unit.status, COMPLETE);
        assert!((1..=51).contains(&unit.qp), "{unit:?}");
        assert_eq!(unit.slices, 0, "they were not asked for");
        // Parameter sets come with keyframes.
        assert_eq!(unit.data[4] & 0x1f, if unit.kind == IDR { 7 } else { 1 });
        check.holds(&unit, &source);
    }
    session.close(&[input], &[output]);
    driver.broke(&[]);
    assert!(driver.gpu.encode_leftovers().unwrap().is_empty());
    let log = driver.logged("nvEncEncodePicture");
    let key = format!("0 ts=17 flags={FORCE_IDR} size={WIDTH}x{HEIGHT} refresh=0 map=none");
    assert_eq!(log[7], format!("{key} mark=none ltr=0"));
    assert_eq!(log[12], "0 end");
    let log = driver.logged("nvEncInitializeEncoder");
    for part in ["0 codec=h264 preset=p1 tuning=3 profile=baseline size=320x192", "rate=60/1"] {
        assert!(log[0].contains(part), "{log:?}");
    }
}

#[test]
fn device_memory_is_read_in_place_and_overwritten_afterwards() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let pitch = W + 64;
    let bytes = pitch * H * 3 / 2;
    let mut memory = Exported::lavapipe(bytes).unwrap();
    let address = driver.import(&memory, bytes);
    let resource = session.register(address, pitch as u32, NV12).unwrap();
    let output = session.create_output().unwrap();
    let mut check = Check::new();
    for (number, poison) in [(0, true), (1, true), (2, false)] {
        driver.gpu.encode_poison(poison).unwrap();
        let source = picture(number);
        for (to, row) in memory.bytes_mut().chunks_mut(pitch).zip(source.chunks(W)) {
            to[..W].copy_from_slice(row);
        }
        let (mapping, format) = session.map(resource).unwrap();
        assert_eq!(format, NV12);
        session.encode((mapping, pitch as u32), output, number as u64, 0).unwrap();
        let unit = session.read(output);
        session.unmap(mapping).unwrap();
        check.holds(&unit, &source);
        let extent = bytes - 64;
        let overwritten = memory.bytes_mut()[..extent].iter().all(|byte| *byte == 0xA5);
        assert_eq!(overwritten, poison);
    }
    session.unregister(resource).unwrap();
    session.close(&[], &[output]);
    driver.broke(&[]);
    assert!(driver.gpu.cuda_broken_rules().unwrap().is_empty());
    let log = driver.logged("nvEncRegisterResource");
    assert!(log[0].starts_with("0 size=320x192 pitch=384 format=nv12 memory=0xfa4e"), "{log:?}");
    assert!(log[0].ends_with(" offset=0"), "{log:?}");
}

#[test]
fn an_input_is_read_when_its_picture_is_waited_for() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let bytes = W * H * 3 / 2;
    let mut memory = Exported::plain(bytes).unwrap();
    let address = driver.import(&memory, bytes);
    let resource = session.register(address, WIDTH, NV12).unwrap();
    let output = session.create_output().unwrap();
    memory.bytes_mut().copy_from_slice(&picture(0));
    let (mapping, _) = session.map(resource).unwrap();
    session.encode((mapping, WIDTH), output, 0, 0).unwrap();
    // A slot that is used again too early has the next picture.
    memory.bytes_mut().copy_from_slice(&picture(20));
    Check::new().holds(&session.read(output), &picture(20));
    session.unmap(mapping).unwrap();

    // One that is freed too early has none.
    let (mapping, _) = session.map(resource).unwrap();
    session.encode((mapping, WIDTH), output, 1, 0).unwrap();
    driver.free(address);
    assert_eq!(session.lock(output, 0).map(drop), Err(20));
    driver.broke(&["hardware: the input is gone before it was coded"]);
    session.unmap(mapping).unwrap();
    session.unregister(resource).unwrap();
    session.close(&[], &[output]);
}

#[test]
fn a_lock_that_does_not_wait_says_that_it_is_busy() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let (input, output) = session.buffers();
    let pitch = session.fill(input, &picture(0), W);
    session.encode((input, pitch), output, 0, 0).unwrap();
    // Nothing is begun before somebody asks, so that the first question comes in time on any machine.
    assert_eq!(session.lock_input(input, 1).map(drop), Err(18));
    // From now on it may be coded at any moment, and seems not to be.
    driver.gpu.encode_slices(0).unwrap();
    assert_eq!(session.lock(output, 1).map(drop), Err(LOCK_BUSY));
    driver.gpu.encode_slices(u32::MAX).unwrap();
    let started = Instant::now();
    let unit = loop {
        match session.lock(output, 1) {
            Ok(unit) => break unit,
            Err(status) => assert_eq!(status, LOCK_BUSY),
        }
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    };
    assert_eq!((unit.kind, unit.status), (IDR, COMPLETE));
    session.unlock(output).unwrap();
    session.close(&[input], &[output]);
    driver.broke(&[]);
}

#[test]
fn rates_change_without_a_keyframe_and_sizes_with_one() {
    let driver = Driver::fresh();
    let mut setup = Setup::h264();
    set!(setup.given, maxEncodeWidth = 640_u32);
    set!(setup.given, maxEncodeHeight = 384_u32);
    let mut session = Session::new(&driver, setup);
    let (input, output) = session.buffers();
    session.code((input, output), &picture(0), 0, false);
    set!(session.setup.config, rcParams.averageBitRate = 300_000_u32);
    set!(session.setup.config, rcParams.maxBitRate = 300_000_u32);
    set!(session.setup.given, frameRateNum = 30_u32);
    let handle = session.handle;
    session.setup.reconfigure(&driver, handle, 0).unwrap();
    assert_eq!(session.code((input, output), &picture(1), 1, false).kind, P);

    set!(session.setup.given, encodeWidth = 2 * WIDTH);
    set!(session.setup.given, encodeHeight = 2 * HEIGHT);
    session.setup.reconfigure(&driver, handle, 3).unwrap();
    let large = session.create_input(2 * WIDTH, 2 * HEIGHT, NV12).unwrap();
    let pitch = session.fill(large, &vec![128; 6 * W * H], 2 * W);
    session
        .encode_with(|given| {
            set!(given, inputWidth = 2 * WIDTH);
            set!(given, inputHeight = 2 * HEIGHT);
            set!(given, inputPitch = pitch);
            set!(given, inputBuffer = large);
            set!(given, outputBitstream = output);
            set!(given, inputTimeStamp = 2_u64);
        })
        .unwrap();
    let unit = session.read(output);
    assert_eq!(unit.kind, IDR);
    let mut decoder = Decoder::new().unwrap();
    let decoded = decoder.decode(&unit.data).unwrap().unwrap();
    assert_eq!(decoded.dimensions(), (2 * W, 2 * H));
    session.close(&[input, large], &[output]);
    driver.broke(&[]);
}

#[test]
fn slices_are_told_and_come_one_by_one_where_that_was_set_up() {
    let driver = Driver::fresh();
    let mut setup = Setup::h264();
    setup.h264_with(|mut h264| set!(h264, sliceModeData = 3_u32));
    // reportSliceOffsets, enableSubFrameWrite.
    set!(setup.given, _bitfield_1 = 0b11_u32 | 15 << 5);
    let session = Session::new(&driver, setup);
    let (input, output) = session.buffers();
    let mut check = Check::new();
    for number in 0..3 {
        let pitch = session.fill(input, &picture(number), W);
        session.encode((input, pitch), output, number as u64, 0).unwrap();
        // Asks once before there is anything.
        let _ = session.lock(output, 1).map(drop).map(|()| session.unlock(output));
        let mut seen = 1;
        let unit = loop {
            match session.lock(output, 1) {
                Err(status) => assert_eq!(status, LOCK_BUSY),
                Ok(unit) => {
                    session.unlock(output).unwrap();
                    assert!(unit.slices >= seen && unit.offsets.len() == unit.slices as usize);
                    seen = unit.slices;
                    if unit.status == COMPLETE {
                        break unit;
                    }
                    assert_eq!(unit.status, IN_PROGRESS);
                    assert!(unit.slices < 3);
                }
            }
        };
        assert_eq!(unit.slices, 3);
        for offset in &unit.offsets {
            let at = *offset as usize;
            assert_eq!(unit.data[at..at + 4], [0, 0, 0, 1]);
            assert!(matches!(unit.data[at + 4] & 0x1f, 1 | 5));
        }
        check.holds(&unit, &picture(number));
    }
    session.close(&[input], &[output]);
    driver.broke(&[]);
}

#[test]
fn slices_are_held_back_and_a_picture_can_fail_after_its_first_one() {
    let driver = Driver::fresh();
    let mut setup = Setup::h264();
    setup.h264_with(|mut h264| set!(h264, sliceModeData = 3_u32));
    set!(setup.given, _bitfield_1 = 0b11_u32 | 15 << 5);
    let session = Session::new(&driver, setup);
    let (input, output) = session.buffers();
    let look = || loop {
        match session.lock(output, 1) {
            Err(LOCK_BUSY) => {}
            Err(status) => return Err(status),
            Ok(unit) => {
                session.unlock(output).unwrap();
                return Ok((unit.slices, unit.status));
            }
        }
    };
    let pitch = session.fill(input, &picture(0), W);
    session.encode((input, pitch), output, 0, 0).unwrap();
    for most in [1, 1, 2, 2, 1] {
        driver.gpu.encode_slices(most).unwrap();
        // What was told of before stays.
        let seen = if most == 2 { 2 } else { 1 };
        let (slices, status) = look().unwrap();
        assert!(slices >= seen && slices <= 2 && status == IN_PROGRESS, "{slices} of {most}");
    }
    driver.gpu.encode_breaks(10).unwrap();
    assert_eq!(look(), Err(10));
    driver.gpu.encode_slices(u32::MAX).unwrap();
    assert_eq!(session.read(output).slices, 3);
    session.close(&[input], &[output]);
    driver.broke(&[]);
}

/// SHA-256 needs no library of its own here: two units tell the same picture or not.
fn text(unit: &Unit) -> String {
    let text = String::from_utf8_lossy(&unit.data).into_owned();
    let at = text.find("sha256=").unwrap();
    text[at..at + 71].to_owned()
}

#[test]
fn what_cannot_be_coded_here_is_told_by_its_digest() {
    type Kind = (&'static str, fn() -> (Setup, u32, usize));
    let kinds: [Kind; 6] = [
        ("hevc", || (Setup::hevc(false, false), NV12, 1)),
        ("hevc 10", || (Setup::hevc(true, false), 0x1_0000, 2)),
        ("hevc 444", || (Setup::hevc(false, true), 0x1000, 1)),
        ("hevc 444 10", || (Setup::hevc(true, true), 0x10_0000, 2)),
        ("av1", || (Setup::av1(), NV12, 1)),
        ("av1 10", || {
            let mut setup = Setup::av1();
            setup.av1_ten_bit();
            (setup, 0x1_0000, 2)
        }),
    ];
    for (name, make) in kinds {
        let driver = Driver::fresh();
        let (setup, format, sample) = make();
        let session = Session::new(&driver, setup);
        let input = session.create_input(WIDTH, HEIGHT, format).unwrap();
        let output = session.create_output().unwrap();
        let rows = if format & 0x10_1000 != 0 { 3 * H } else { 3 * H / 2 };
        let row = W * sample;
        let mut seen = Vec::new();
        for (number, last) in [7_u8, 7, 8].into_iter().enumerate() {
            let mut source = vec![100; row * rows];
            // The last visible byte counts.
            source[row * rows - 1] = last;
            let pitch = session.fill(input, &source, row);
            session
                .encode_with(|given| {
                    set!(given, inputBuffer = input);
                    set!(given, outputBitstream = output);
                    set!(given, inputPitch = pitch);
                    set!(given, inputTimeStamp = number as u64);
                    set!(given, bufferFmt = format);
                })
                .unwrap();
            let unit = session.read(output);
            assert_eq!(unit.kind, if number == 0 { IDR } else { P }, "{name}");
            let first = if name.starts_with("av1") {
                [0x12, 0, if number == 0 { 0x0a } else { 0x1a }]
            } else {
                [0, 0, 0]
            };
            assert_eq!(unit.data[..3], first, "{name}");
            if name.starts_with("hevc") {
                assert_eq!(unit.data[4] >> 1 & 0x3f, if number == 0 { 32 } else { 1 });
            }
            seen.push(text(&unit));
        }
        assert_eq!(seen[0], seen[1], "{name}");
        assert_ne!(seen[1], seen[2], "{name}");
        session.close(&[input], &[output]);
        driver.broke(&[]);
    }
}

#[test]
fn a_call_hangs_until_it_is_released_and_other_sessions_go_on() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let (input, output) = session.buffers();
    let pitch = session.fill(input, &picture(0), W);
    session.encode((input, pitch), output, 0, 0).unwrap();
    driver.gpu.plan_encode("nvEncLockBitstream", 1, 1, Effect::Hang).unwrap();
    let (session, output_number) = (Shared(session), Number(output.addr()));
    std::thread::scope(|scope| {
        let hung = scope.spawn(|| session.get().lock(output_number.handle(), 0).map(|u| u.kind));
        // Time in which a call that does not hang comes back.
        let other = Session::new(&driver, Setup::h264());
        let (input, output) = other.buffers();
        let started = Instant::now();
        assert!(!hung.is_finished());
        other.end().unwrap();
        other.destroy_input(input).unwrap();
        other.destroy_output(output).unwrap();
        driver.destroy(other.handle).unwrap();
        while !hung.is_finished() && started.elapsed() < Duration::from_secs(60) {
            driver.gpu.release_encode().unwrap();
            std::thread::yield_now();
        }
        assert_eq!(hung.join().unwrap(), Ok(IDR), "and then it does what it was asked");
    });
    let session = session.0;
    session.unlock(output).unwrap();
    session.close(&[input], &[output]);
    driver.broke(&[]);
}

/// Calls may come from any thread.
struct Shared<'a>(Session<'a>);

// SAFETY: handles are numbers, and nothing of the session is changed meanwhile.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    fn get(&self) -> &Session<'a> {
        &self.0
    }
}

struct Number(usize);

impl Number {
    fn handle(&self) -> Handle {
        std::ptr::without_provenance_mut(self.0)
    }
}

#[test]
fn enumerations_can_be_left_empty_or_unknown() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let (input, output) = session.buffers();
    for (number, fill) in [Some(0), Some(0xdead), None].into_iter().enumerate() {
        driver.gpu.encode_fill(fill).unwrap();
        let unit = session.code((input, output), &picture(0), number as u64, true);
        assert_eq!(unit.kind, fill.unwrap_or(IDR));
        let mut preset = crate::rules::preset();
        session.preset(&mut preset).unwrap();
        assert_eq!(crate::rules::frame_field_mode(&mut preset), fill.unwrap_or(1));
        assert_eq!(get!(preset, version as u32), crate::rules::PRESET_VERSION);
    }
    session.close(&[input], &[output]);
    driver.broke(&[]);
    assert_eq!(driver.logged("nvEncGetEncodePresetConfigEx")[0], "0 codec=h264 preset=p1 tuning=3");
    assert!(driver.gpu.encode_time().unwrap() > Duration::ZERO);
}

#[test]
fn sessions_are_limited_and_such_that_fail_are_destroyed_too() {
    let driver = Driver::fresh();
    driver.gpu.encode_sessions(2).unwrap();
    let open = [driver.open().unwrap(), driver.open().unwrap()];
    let mut given = crate::rules::open_parameters(&driver);
    let mut third = std::ptr::null_mut();
    assert_eq!(driver.open_with(&mut given, &mut third), Err(10));
    assert!(!third.is_null());
    let left = driver.gpu.encode_leftovers().unwrap();
    assert_eq!(
        left,
        ["2 x session not destroyed", "1 x session that failed to open not destroyed"]
    );
    for session in [open[0], third, open[1]] {
        assert_eq!(driver.destroy(session), OK);
    }
    assert!(driver.gpu.encode_leftovers().unwrap().is_empty());
    driver.broke(&[]);
}
