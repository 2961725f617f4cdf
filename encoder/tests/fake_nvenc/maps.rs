//! Maps of quantiser steps: what the double checks of them, and when it looks.

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use crate::content::picture;
use crate::driver::{Answer, Driver, HEIGHT, OK, WIDTH, set};
use crate::session::{Session, Setup};

const INVALID_PARAM: Answer = Err(8);
const UNSUPPORTED_PARAM: Answer = Err(12);

/// `NV_ENC_QP_MAP_DELTA`.
const DELTA: u32 = 2;

fn with_maps(mut setup: Setup) -> Setup {
    set!(setup.config, rcParams.qpMapMode = DELTA);
    setup
}

/// Codes a picture with a map of so many steps, which are all 0 but the first.
fn code(session: &Session<'_>, steps: usize, first: i8) -> Answer {
    let (input, output) = session.buffers();
    let pitch = session.fill(input, &picture(0), WIDTH as usize);
    let mut map = vec![0_i8; steps];
    if let Some(step) = map.first_mut() {
        *step = first;
    }
    let answer = session.encode_with(|given| {
        set!(given, inputBuffer = input);
        set!(given, outputBitstream = output);
        set!(given, inputPitch = pitch);
        set!(given, qpDeltaMap = if steps > 0 { map.as_mut_ptr() } else { std::ptr::null_mut() });
        set!(given, qpDeltaMapSize = steps as u32);
    });
    if answer == OK {
        session.read(output);
    }
    session.destroy_input(input).unwrap();
    session.destroy_output(output).unwrap();
    answer
}

#[test]
fn a_map_has_a_step_for_each_block_of_the_codec() {
    for (setup, blocks, more) in [
        (Setup::h264(), WIDTH.div_ceil(16) * HEIGHT.div_ceil(16), 1),
        (Setup::hevc(false, false), WIDTH.div_ceil(32) * HEIGHT.div_ceil(32), 180),
        (Setup::av1(), WIDTH.div_ceil(64) * HEIGHT.div_ceil(64), 45),
    ] {
        let driver = Driver::fresh();
        let session = Session::new(&driver, with_maps(setup));
        assert_eq!(code(&session, (blocks + more) as usize, 0), INVALID_PARAM);
        assert_eq!(code(&session, blocks as usize, -3), OK);
        let log = driver.logged("nvEncEncodePicture");
        assert!(log[1].contains(&format!(" map=-3*1,0*{} ", blocks - 1)), "{}", log[1]);
        session.close(&[], &[]);
        let rule = format!("a map of {} quantisers for {blocks} blocks", blocks + more);
        driver.broke(&[&format!("nvEncEncodePicture: {rule}")]);
    }
}

#[test]
fn maps_that_were_not_set_up_are_not_taken() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    assert_eq!(code(&session, 240, 0), INVALID_PARAM);
    assert_eq!(code(&session, 0, 0), OK);
    let log = driver.logged("nvEncEncodePicture");
    assert!(log[1].contains(" map=none "), "{}", log[1]);
    session.close(&[], &[]);
    driver.broke(&["nvEncEncodePicture: a map of quantisers without size, or not set up"]);
}

#[test]
fn other_kinds_of_maps_and_adaptive_quantisation_beside_them_are_not_taken() {
    let driver = Driver::fresh();
    let handle = driver.open().unwrap();
    for other in [1_u32, 3] {
        let mut setup = Setup::h264();
        set!(setup.config, rcParams.qpMapMode = other);
        assert_eq!(setup.initialize(&driver, handle), UNSUPPORTED_PARAM);
    }
    // enableAQ.
    let mut setup = with_maps(Setup::h264());
    set!(setup.config, rcParams._bitfield_1 = 1_u32 << 3);
    assert_eq!(setup.initialize(&driver, handle), UNSUPPORTED_PARAM);
    assert_eq!(with_maps(Setup::h264()).initialize(&driver, handle), OK);
    assert_eq!(driver.destroy(handle), OK);
    driver.broke(&[
        "nvEncInitializeEncoder: maps of other kinds than quantiser steps",
        "nvEncInitializeEncoder: maps of other kinds than quantiser steps",
        "nvEncInitializeEncoder: a map of quantisers, and AQ",
    ]);
}

/// As late as it can, since the SDK does not say when.
#[test]
fn a_map_is_looked_at_until_its_picture_is_coded() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, with_maps(Setup::h264()));
    let (input, output) = session.buffers();
    let pitch = session.fill(input, &picture(0), WIDTH as usize);
    let mut map = vec![0_i8; 240];
    let steps = map.as_mut_ptr();
    for (timestamp, changed) in [(0_u64, false), (1, true)] {
        let answer =
            session.encode_with(|given: &mut crate::driver::Raw<sdk::NV_ENC_PIC_PARAMS>| {
                set!(given, inputBuffer = input);
                set!(given, outputBitstream = output);
                set!(given, inputPitch = pitch);
                set!(given, inputTimeStamp = timestamp);
                set!(given, qpDeltaMap = steps);
                set!(given, qpDeltaMapSize = 240_u32);
            });
        assert_eq!(answer, OK);
        if changed {
            // SAFETY: within the map, which the double's thread reads only while the picture is waited for.
            unsafe { steps.add(7).write(1) };
        }
        session.read(output);
    }
    session.close(&[input], &[output]);
    driver.broke(&["hardware: the map of quantisers changed before it was used"]);
}
