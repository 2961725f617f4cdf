//! What streams are to say of their colours: taken as the SDK and ITU-T H.273 have it, and nothing else.

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use crate::driver::{Answer, Driver, OK, set};
use crate::session::{At, Setup};

const INVALID_PARAM: Answer = Err(8);

/// Sets fields of the VUI of H.264 and HEVC.
macro_rules! vui {
    ($setup:expr, $type:ty, $vui:ident: $($field:ident = $value:expr),+) => {{
        let mut coding = At($setup.coding().cast::<$type>());
        $(set!(coding, $vui.$field = $value as u32);)+
    }};
}

type Change = fn(&mut Setup);

fn h264(change: Change) -> Setup {
    let mut setup = Setup::h264();
    change(&mut setup);
    setup
}

/// HEVC in 4:4:4.
fn hevc(change: Change) -> Setup {
    let mut setup = Setup::hevc(false, true);
    change(&mut setup);
    setup
}

fn av1(change: Change) -> Setup {
    let mut setup = Setup::av1();
    change(&mut setup);
    setup
}

macro_rules! h264 {
    ($($field:ident = $value:expr),+) => {
        h264(|s| vui!(s, sdk::NV_ENC_CONFIG_H264, h264VUIParameters: $($field = $value),+))
    };
}

macro_rules! hevc {
    ($($field:ident = $value:expr),+) => {
        hevc(|s| vui!(s, sdk::NV_ENC_CONFIG_HEVC, hevcVUIParameters: $($field = $value),+))
    };
}

macro_rules! av1 {
    ($($field:ident = $value:expr),+) => {
        av1(|s| {
            let mut av1 = At(s.coding().cast::<sdk::NV_ENC_CONFIG_AV1>());
            $(set!(av1, $field = $value as u32);)+
        })
    };
}

#[test]
fn colours_are_read_of_every_codec() {
    let rows = [
        (h264(|_| ()), "none"),
        // A signal without a description.
        (h264!(videoSignalTypePresentFlag = 1, videoFullRangeFlag = 1), "none"),
        (
            h264!(
                videoSignalTypePresentFlag = 1,
                videoFormat = 5,
                videoFullRangeFlag = 1,
                colourDescriptionPresentFlag = 1,
                colourPrimaries = 22,
                transferCharacteristics = 18,
                colourMatrix = 11,
                chromaSampleLocationFlag = 1,
                chromaSampleLocationTop = 5
            ),
            "22/18/11/1",
        ),
        (
            hevc!(
                videoSignalTypePresentFlag = 1,
                colourDescriptionPresentFlag = 1,
                colourPrimaries = 1,
                transferCharacteristics = 13,
                colourMatrix = 0
            ),
            "1/13/0/0",
        ),
        (av1(|_| ()), "none"),
        (
            av1!(
                colorPrimaries = 9,
                transferCharacteristics = 16,
                matrixCoefficients = 9,
                colorRange = 1,
                chromaSamplePosition = 2
            ),
            "9/16/9/1",
        ),
    ];
    let driver = Driver::fresh();
    for (number, (mut setup, colours)) in rows.into_iter().enumerate() {
        let handle = driver.open().unwrap();
        assert_eq!(setup.initialize(&driver, handle), OK, "{number}");
        let log = driver.gpu.encode_log().unwrap();
        let mut calls = log.iter().filter(|line| line.starts_with("nvEncInitializeEncoder"));
        let line = calls.next_back().unwrap();
        assert!(line.contains(&format!(" colours={colours}")), "{number}: {line}");
        assert_eq!(driver.destroy(handle), OK);
    }
    driver.broke(&[]);
}

#[test]
fn colours_that_no_stream_can_have_are_refused() {
    let described = "colours are described, and the signal is not";
    let nameless = "colours 3/1/1 have no name";
    let rgb = "RGB is in 4:4:4 only";
    let rows = [
        (h264!(colourDescriptionPresentFlag = 1), described),
        (hevc!(colourDescriptionPresentFlag = 1), described),
        (h264!(videoFullRangeFlag = 2), "a flag of the VUI is no flag"),
        (h264!(videoFormat = 6), "videoFormat is no value"),
        (h264!(chromaSampleLocationBot = 6), "the place of chroma is no value"),
        (hevc!(chromaSampleLocationFlag = 1), "chroma has a place in 4:2:0 only"),
        (
            hevc!(
                videoSignalTypePresentFlag = 1,
                colourDescriptionPresentFlag = 1,
                colourPrimaries = 3,
                transferCharacteristics = 1,
                colourMatrix = 1
            ),
            nameless,
        ),
        (
            h264!(
                videoSignalTypePresentFlag = 1,
                colourDescriptionPresentFlag = 1,
                colourPrimaries = 1,
                transferCharacteristics = 1
            ),
            rgb,
        ),
        (av1!(colorPrimaries = 3, transferCharacteristics = 1, matrixCoefficients = 1), nameless),
        (av1!(colorPrimaries = 1, transferCharacteristics = 1), rgb),
        (av1!(colorRange = 2), "colorRange or chromaSamplePosition is no value"),
        (av1!(chromaSamplePosition = 3), "colorRange or chromaSamplePosition is no value"),
    ];
    let driver = Driver::fresh();
    let handle = driver.open().unwrap();
    let mut rules = Vec::new();
    for (mut setup, rule) in rows {
        assert_eq!(setup.initialize(&driver, handle), INVALID_PARAM, "{rule}");
        rules.push(format!("nvEncInitializeEncoder: {rule}"));
    }
    assert_eq!(driver.destroy(handle), OK);
    assert_eq!(driver.gpu.encode_broken_rules().unwrap(), rules);
}
