//! The elements that are known, best first, and how each is set up for the least delay.
//!
//! Every row asks for the same: no B-frames, no look-ahead, one picture in and one unit out, constant
//! bit rate, keyframes on request alone or as seldom as the element can, parameter sets with every
//! keyframe. What an element cannot do stands in its row. Its capabilities say what of it a session must
//! know: sizes, layouts, what a new rate costs, that only a keyframe mends a loss (`x264enc` also does so by
//! waves, where it is opened for them), and what the element is started anew for. They do not say that
//! hardware may make a keyframe that nobody asked for (VA after 1024 pictures, QSV and AMF after 65535). No
//! row has regions: GStreamer passes them as metas of buffers, which elements that do not know them ignore,
//! and none tells whether it does. What a driver ignores of orders that an element has passed on, its trial
//! finds.
//!
//! A row is checked by the compliance suite wherever its element is: those in software on Debian 12,
//! except `svtav1enc`, which it does not have. Properties of that one and of hardware are those of
//! GStreamer 1.22 to 1.28, from its sources; an element that lacks one that is needed is
//! refused with the property's name, and one that holds pictures back fails the trial at start.

use media::{Codec, Size};

/// One element.
#[derive(Debug)]
pub(super) struct Row {
    /// The candidate's name: `gst-` and the element.
    pub(super) name: &'static str,
    /// The element's factory.
    pub(super) element: &'static str,
    /// Debian's package of it.
    pub(super) package: &'static str,
    /// GStreamer's plugin that has it, as `gst-inspect-1.0` calls it.
    pub(super) plugin: &'static str,
    pub(super) codec: Codec,
    /// Whether it codes on dedicated hardware.
    pub(super) hardware: bool,
    /// Longest edges of the codec's highest level or of the library, whichever is less. The element's
    /// own template may say less.
    pub(super) largest: Size,
    /// What it is set to before it starts, in this order.
    pub(super) settings: &'static [Setting],
    pub(super) rate: Rate,
    pub(super) keyframes: Keyframes,
    /// Whether it is libx264: with a VBV of one frame, to which every unit is held (see `vbv_fill`), and
    /// with waves where these are asked for.
    pub(super) libx264: bool,
    pub(super) units: Units,
}

/// Something that an element is set to, as alternatives of a property and its value: which the
/// element takes depends on its version, and the first that it takes is set.
#[derive(Debug)]
pub(super) enum Setting {
    /// Without it the element is of no use.
    Needed(&'static [(&'static str, Value)]),
    /// Better with it.
    Wished(&'static [(&'static str, Value)]),
}

/// What a property is set to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// As `gst-launch-1.0` takes it.
    Text(&'static str),
    /// As many as there are cores, up to [`MAX_THREADS`](super::MAX_THREADS).
    Threads,
    /// How long one frame takes, in milliseconds rounded up.
    FrameMillis,
    /// libx264's preset for the speed that was asked for.
    LibX264Preset,
    /// Pictures from one keyframe or wave to the next that nobody asked for.
    LibX264Interval,
    /// Whether libx264 makes waves.
    LibX264Waves,
    /// The options of libx264 that have no property of their own.
    LibX264Options,
}

/// How an element is told of a new bit rate.
#[derive(Debug)]
pub(super) struct Rate {
    pub(super) knob: Knob,
    pub(super) change: Change,
}

/// What a bit rate is written to.
#[derive(Debug)]
pub(super) enum Knob {
    /// A property in units of 1000 bit/s.
    Kilobits(&'static str),
    /// Two properties in units of 1000 bit/s that are set to the same: the bit rate, and the most that it
    /// may be. Where they differ the element makes a variable bit rate.
    AtMost { bitrate: &'static str, most: &'static str },
    /// A property in bit/s.
    Bits(&'static str),
    /// As [`Kilobits`](Self::Kilobits), and a property of options in libx265's form, to which a VBV
    /// of two frames is added: with one it stays a seventh below the bit rate (640x384, noise).
    WithVbvOptions { bitrate: &'static str, options: &'static str, fixed: &'static str },
    /// A field of the property `extra-controls`, in bit/s: V4L2's controls by their names. The element
    /// keeps nothing of what the property was before, so `fixed`, the other fields, is written each time.
    Control { field: &'static str, fixed: &'static str },
}

/// What a new bit rate costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    Seamless,
    /// The element starts its library anew, or may: a keyframe.
    Keyframe,
    /// It takes none while it runs: the adapter starts it anew, and that is a keyframe too.
    Reopen,
}

/// How an element is asked for a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyframes {
    /// By GStreamer's event: the next picture is one.
    OnRequest,
    /// It heeds no request: the adapter starts it anew.
    Reopen,
}

/// Where units come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// On the thread that pushes the picture, before the push returns.
    Caller,
    /// On a thread of the element's own: they are waited for.
    OwnThread,
}

use Setting::{Needed, Wished};
use Value::{FrameMillis, Text, Threads};

const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const UGLY: &str = "gstreamer1.0-plugins-ugly";

/// libx264 initialises with edges up to this, as tried with build 164.
const H264_LARGEST: Size = Size::new(16_384, 16_384);
/// Level 6.2 (ITU-T H.265 table A.8), lying or standing.
const H265_LARGEST: Size = Size::new(8_192, 4_320);
/// Level 6.2 (VP9 bitstream specification, annex A), lying or standing.
const VP9_LARGEST: Size = Size::new(16_384, 8_704);
/// 14 bits of width and of height (RFC 6386, 9.1), even.
const VP8_LARGEST: Size = Size::new(16_382, 16_382);
/// Level 6.2 (AV1 specification, A.3), lying or standing.
const AV1_LARGEST: Size = Size::new(16_384, 8_704);

/// Every row, best first: hardware before software, and of each what codes with less delay. Within
/// that H.264 comes first, which every client decodes.
pub(super) static ROWS: &[Row] = &[
    nvcodec("gst-nvautogpuh264enc", "nvautogpuh264enc", Codec::H264, Change::Seamless),
    nvcodec("gst-nvcudah264enc", "nvcudah264enc", Codec::H264, Change::Seamless),
    // Before GStreamer 1.26 these two were another implementation, which starts anew.
    nvcodec("gst-nvh264enc", "nvh264enc", Codec::H264, Change::Keyframe),
    va("gst-vah264lpenc", "vah264lpenc", Codec::H264, VA_H26X),
    va("gst-vah264enc", "vah264enc", Codec::H264, VA_H26X),
    qsv("gst-qsvh264enc", "qsvh264enc", Codec::H264, QSV_H26X),
    amf("gst-amfh264enc", "amfh264enc", Codec::H264),
    Row {
        name: "gst-v4l2h264enc",
        element: "v4l2h264enc",
        package: GOOD,
        plugin: "video4linux2",
        codec: Codec::H264,
        hardware: true,
        largest: H264_LARGEST,
        // Controls that a driver lacks the element leaves out with a warning that no program sees, so
        // what is told here need not hold, the bit rate included.
        settings: &[],
        rate: Rate {
            knob: Knob::Control {
                field: "video_bitrate",
                fixed: "repeat_sequence_header=1,video_gop_size=2147483647,video_b_frames=0",
            },
            // Whether a new one costs a keyframe is the driver's choice.
            change: Change::Keyframe,
        },
        keyframes: Keyframes::OnRequest,
        libx264: false,
        units: Units::OwnThread,
    },
    nvcodec("gst-nvh265enc", "nvh265enc", Codec::H265, Change::Keyframe),
    va("gst-vah265enc", "vah265enc", Codec::H265, VA_H26X),
    qsv("gst-qsvh265enc", "qsvh265enc", Codec::H265, QSV_H26X),
    amf("gst-amfh265enc", "amfh265enc", Codec::H265),
    nvcodec("gst-nvav1enc", "nvav1enc", Codec::Av1, Change::Seamless),
    va("gst-vaav1enc", "vaav1enc", Codec::Av1, VA_AV1),
    qsv("gst-qsvav1enc", "qsvav1enc", Codec::Av1, QSV_AV1),
    amf("gst-amfav1enc", "amfav1enc", Codec::Av1),
    Row {
        name: "gst-x264enc",
        element: "x264enc",
        package: UGLY,
        plugin: "x264",
        codec: Codec::H264,
        hardware: false,
        largest: H264_LARGEST,
        settings: &[
            Needed(&[("tune", Text("zerolatency"))]),
            Needed(&[("speed-preset", Value::LibX264Preset)]),
            Needed(&[("pass", Text("cbr"))]),
            Needed(&[("vbv-buf-capacity", FrameMillis)]),
            Needed(&[("key-int-max", Value::LibX264Interval)]),
            Needed(&[("intra-refresh", Value::LibX264Waves)]),
            Needed(&[("bframes", Text("0"))]),
            Needed(&[("threads", Threads)]),
            Needed(&[("sliced-threads", Text("true"))]),
            Needed(&[("byte-stream", Text("true"))]),
            Needed(&[("aud", Text("false"))]),
            Needed(&[("option-string", Value::LibX264Options)]),
        ],
        rate: Rate { knob: Knob::Kilobits("bitrate"), change: Change::Seamless },
        keyframes: Keyframes::OnRequest,
        libx264: true,
        units: Units::Caller,
    },
    Row {
        name: "gst-x265enc",
        element: "x265enc",
        package: BAD,
        plugin: "x265",
        codec: Codec::H265,
        hardware: false,
        largest: H265_LARGEST,
        settings: &[
            Needed(&[("tune", Text("zerolatency"))]),
            Needed(&[("speed-preset", Text("ultrafast"))]),
            Wished(&[("log-level", Text("none"))]),
        ],
        rate: Rate {
            knob: Knob::WithVbvOptions {
                bitrate: "bitrate",
                options: "option-string",
                fixed: "repeat-headers=1:bframes=0:keyint=-1:min-keyint=1:scenecut=0:ref=1:\
                        rc-lookahead=0:frame-threads=1:open-gop=0:info=0:aud=0",
            },
            // It would start libx265 anew for a bit rate, and takes no options while it runs.
            change: Change::Reopen,
        },
        keyframes: Keyframes::OnRequest,
        libx264: false,
        units: Units::Caller,
    },
    Row {
        name: "gst-vp9enc",
        element: "vp9enc",
        package: GOOD,
        plugin: "vpx",
        codec: Codec::Vp9,
        hardware: false,
        largest: VP9_LARGEST,
        settings: &[
            Needed(&[("deadline", Text("1"))]),
            Needed(&[("cpu-used", Text("8"))]),
            Needed(&[("lag-in-frames", Text("0"))]),
            Needed(&[("auto-alt-ref", Text("false"))]),
            Needed(&[("end-usage", Text("cbr"))]),
            Needed(&[("keyframe-mode", Text("disabled"))]),
            Needed(&[("keyframe-max-dist", Text("2147483647"))]),
            Needed(&[("buffer-initial-size", Text("100"))]),
            Needed(&[("buffer-optimal-size", Text("120"))]),
            Needed(&[("buffer-size", Text("150"))]),
            Needed(&[("min-quantizer", Text("2"))]),
            Wished(&[("max-intra-bitrate", Text("300"))]),
            Wished(&[("aq-mode", Text("cyclic-refresh"))]),
            Wished(&[("row-mt", Text("true"))]),
            Needed(&[("threads", Threads)]),
        ],
        rate: Rate { knob: Knob::Bits("target-bitrate"), change: Change::Seamless },
        keyframes: Keyframes::OnRequest,
        libx264: false,
        units: Units::Caller,
    },
    Row {
        name: "gst-vp8enc",
        element: "vp8enc",
        package: GOOD,
        plugin: "vpx",
        codec: Codec::Vp8,
        hardware: false,
        largest: VP8_LARGEST,
        settings: &[
            Needed(&[("deadline", Text("1"))]),
            Needed(&[("cpu-used", Text("-12"))]),
            Needed(&[("lag-in-frames", Text("0"))]),
            Needed(&[("auto-alt-ref", Text("false"))]),
            Needed(&[("end-usage", Text("cbr"))]),
            Needed(&[("keyframe-mode", Text("disabled"))]),
            Needed(&[("keyframe-max-dist", Text("2147483647"))]),
            Needed(&[("buffer-initial-size", Text("100"))]),
            Needed(&[("buffer-optimal-size", Text("120"))]),
            Needed(&[("buffer-size", Text("150"))]),
            Needed(&[("min-quantizer", Text("2"))]),
            Wished(&[("max-intra-bitrate", Text("300"))]),
            Wished(&[("token-partitions", Text("4"))]),
            Needed(&[("threads", Threads)]),
        ],
        rate: Rate { knob: Knob::Bits("target-bitrate"), change: Change::Seamless },
        keyframes: Keyframes::OnRequest,
        libx264: false,
        units: Units::Caller,
    },
    Row {
        name: "gst-svtav1enc",
        element: "svtav1enc",
        // Debian has it from 13 on.
        package: BAD,
        plugin: "svtav1",
        codec: Codec::Av1,
        hardware: false,
        largest: AV1_LARGEST,
        settings: &[
            Needed(&[("preset", Text("12"))]),
            Needed(&[("intra-period-length", Text("-1"))]),
            Needed(&[("maximum-buffer-size", Text("100"))]),
            // Prediction from the past alone.
            Needed(&[("parameters-string", Text("pred-struct=1:lookahead=0:scd=0"))]),
        ],
        // SVT-AV1 refuses prediction from the past alone with a variable bit rate.
        rate: Rate {
            knob: Knob::AtMost { bitrate: "target-bitrate", most: "max-bitrate" },
            change: Change::Reopen,
        },
        // Without constant quality it takes none.
        keyframes: Keyframes::Reopen,
        libx264: false,
        units: Units::Caller,
    },
    Row {
        name: "gst-av1enc",
        element: "av1enc",
        package: BAD,
        plugin: "aom",
        codec: Codec::Av1,
        hardware: false,
        largest: AV1_LARGEST,
        settings: &[
            Needed(&[("usage-profile", Text("realtime"))]),
            Needed(&[("cpu-used", Text("10"))]),
            Needed(&[("lag-in-frames", Text("0"))]),
            Needed(&[("end-usage", Text("cbr"))]),
            Needed(&[("keyframe-mode", Text("disabled"))]),
            Needed(&[("keyframe-max-dist", Text("2147483647"))]),
            Needed(&[("buf-initial-sz", Text("100"))]),
            Needed(&[("buf-optimal-sz", Text("120"))]),
            Needed(&[("buf-sz", Text("150"))]),
            // Both are 0 by its own default, which leaves rate control nothing to choose from.
            Needed(&[("min-quantizer", Text("2"))]),
            Needed(&[("max-quantizer", Text("63"))]),
            Wished(&[("row-mt", Text("true"))]),
            Needed(&[("threads", Threads)]),
        ],
        rate: Rate { knob: Knob::Kilobits("target-bitrate"), change: Change::Seamless },
        // In GStreamer 1.22 it heeds none.
        keyframes: Keyframes::Reopen,
        libx264: false,
        units: Units::Caller,
    },
];

const fn largest(codec: Codec) -> Size {
    match codec {
        Codec::H264 => H264_LARGEST,
        Codec::H265 => H265_LARGEST,
        Codec::Av1 => AV1_LARGEST,
        Codec::Vp8 => VP8_LARGEST,
        Codec::Vp9 => VP9_LARGEST,
    }
}

const fn hardware(
    (name, element): (&'static str, &'static str),
    plugin: &'static str,
    codec: Codec,
    settings: &'static [Setting],
    change: Change,
    units: Units,
) -> Row {
    Row {
        name,
        element,
        package: BAD,
        plugin,
        codec,
        hardware: true,
        largest: largest(codec),
        settings,
        rate: Rate { knob: Knob::Kilobits("bitrate"), change },
        keyframes: Keyframes::OnRequest,
        libx264: false,
        units,
    }
}

/// NVENC by GStreamer's `nvcodec`. Its VBV stays the driver's own: a new one would cost a keyframe
/// with every bit rate. Names of properties changed in 1.26.
const fn nvcodec(name: &'static str, element: &'static str, codec: Codec, change: Change) -> Row {
    hardware(
        (name, element),
        "nvcodec",
        codec,
        &[
            Needed(&[("preset", Text("p3")), ("preset", Text("low-latency-hp"))]),
            Wished(&[("tune", Text("ultra-low-latency"))]),
            Needed(&[("rc-mode", Text("cbr")), ("rate-control", Text("cbr"))]),
            Needed(&[("zerolatency", Text("true")), ("zero-reorder-delay", Text("true"))]),
            // Without end.
            Needed(&[("gop-size", Text("-1"))]),
            // There only where the device has them.
            Wished(&[("bframes", Text("0")), ("b-frames", Text("0"))]),
            Wished(&[("aud", Text("false"))]),
            Wished(&[("repeat-sequence-header", Text("true"))]),
        ],
        change,
        Units::OwnThread,
    )
}

/// Intel and AMD by libva. A keyframe at least every 1024 pictures, which is the most that it takes,
/// and with every new bit rate.
const fn va(
    name: &'static str,
    element: &'static str,
    codec: Codec,
    settings: &'static [Setting],
) -> Row {
    hardware((name, element), "va", codec, settings, Change::Keyframe, Units::Caller)
}

const VA_H26X: &[Setting] = &[
    Needed(&[("rate-control", Text("cbr"))]),
    Needed(&[("b-frames", Text("0"))]),
    Needed(&[("ref-frames", Text("1"))]),
    Needed(&[("key-int-max", Text("1024"))]),
    Wished(&[("target-usage", Text("6"))]),
    Wished(&[("aud", Text("false"))]),
];
const VA_AV1: &[Setting] = &[
    Needed(&[("rate-control", Text("cbr"))]),
    // Groups of one picture: nothing is coded ahead of its turn.
    Needed(&[("gf-group-size", Text("1"))]),
    Needed(&[("hierarchical-level", Text("1"))]),
    Needed(&[("ref-frames", Text("1"))]),
    Needed(&[("key-int-max", Text("1024"))]),
    Wished(&[("target-usage", Text("6"))]),
];

/// Intel by oneVPL. Whether a new bit rate costs a keyframe is the driver's choice.
const fn qsv(
    name: &'static str,
    element: &'static str,
    codec: Codec,
    settings: &'static [Setting],
) -> Row {
    hardware((name, element), "qsv", codec, settings, Change::Keyframe, Units::Caller)
}

const QSV_H26X: &[Setting] = &[
    // One picture in it at most: else a unit comes only after three more pictures.
    Needed(&[("low-latency", Text("true"))]),
    Needed(&[("rate-control", Text("cbr"))]),
    Needed(&[("gop-size", Text("65535"))]),
    Needed(&[("b-frames", Text("0"))]),
    Needed(&[("ref-frames", Text("1"))]),
    // Lets the driver take a new bit rate within a sequence.
    Wished(&[("disable-hrd-conformance", Text("true"))]),
    Wished(&[("target-usage", Text("6"))]),
];
const QSV_AV1: &[Setting] = &[
    Needed(&[("low-latency", Text("true"))]),
    Needed(&[("rate-control", Text("cbr"))]),
    Needed(&[("gop-size", Text("65535"))]),
    Needed(&[("ref-frames", Text("1"))]),
    Wished(&[("target-usage", Text("6"))]),
];

/// AMD by AMF, on Linux from GStreamer 1.28 on. The element asks for a unit once and does not wait:
/// it is of use only with drivers that answer at once, which the trial at start shows.
const fn amf(name: &'static str, element: &'static str, codec: Codec) -> Row {
    hardware(
        (name, element),
        "amfcodec",
        codec,
        &[
            Needed(&[("usage", Text("ultra-low-latency")), ("usage", Text("low-latency"))]),
            Needed(&[("rate-control", Text("cbr"))]),
            Needed(&[("gop-size", Text("65535")), ("gop-size", Text("0"))]),
            Wished(&[("b-frames", Text("0"))]),
            Wished(&[("preset", Text("speed"))]),
            Wished(&[("aud", Text("false"))]),
        ],
        Change::Keyframe,
        Units::Caller,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_elements_and_unique() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.name.strip_prefix("gst-"), Some(row.element));
            assert!(ROWS[..index].iter().all(|other| other.name != row.name), "{}", row.name);
            assert!(row.package.starts_with("gstreamer1.0-plugins-"));
        }
    }

    #[test]
    fn hardware_comes_before_software_and_the_usual_codec_before_others() {
        let key = |row: &Row| (!row.hardware, row.codec != Codec::H264);
        assert!(ROWS.is_sorted_by_key(key));
        let order: Vec<_> = ROWS.iter().map(|row| row.element).collect();
        let place = |element| order.iter().position(|&other| other == element);
        let better = ["nvautogpuh264enc", "nvh264enc", "vah264lpenc", "vah264enc", "qsvh264enc"];
        assert!(better.map(place).is_sorted() && place("x264enc") < place("vp8enc"));
        assert!(place("svtav1enc") < place("av1enc") && place("av1enc").is_some());
    }

    /// The elements differ in it, and a mistake is a factor of a thousand.
    #[test]
    fn bit_rates_have_the_units_of_their_elements() {
        for row in ROWS {
            let bits = matches!(row.rate.knob, Knob::Bits(_) | Knob::Control { .. });
            let expected = ["vp8enc", "vp9enc", "v4l2h264enc"].contains(&row.element);
            assert_eq!(bits, expected, "{}", row.name);
        }
    }

    #[test]
    fn only_seamless_rates_and_short_units_are_promised_where_they_are_tried() {
        for row in ROWS {
            assert!(!row.libx264 || !row.hardware, "{}", row.name);
            let restarts = ["x265enc", "svtav1enc"].contains(&row.element);
            if !row.hardware {
                assert_eq!(row.rate.change != Change::Seamless, restarts, "{}", row.name);
                assert_eq!(row.units, Units::Caller, "{}", row.name);
            }
        }
    }

    #[test]
    fn a_setting_has_alternatives_and_no_property_is_set_twice() {
        for row in ROWS {
            let mut seen = Vec::new();
            for setting in row.settings {
                let (Needed(alternatives) | Wished(alternatives)) = setting;
                assert!(!alternatives.is_empty(), "{}", row.name);
                let mut names: Vec<_> = alternatives.iter().map(|(name, _)| *name).collect();
                names.dedup();
                assert!(names.iter().all(|name| !seen.contains(name)), "{} {names:?}", row.name);
                seen.extend(names);
            }
        }
    }
}
