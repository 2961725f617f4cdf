//! Round trips of generated parameter sets; real ones are read in `tests/compliance.rs`.

use proptest::option;
use proptest::prelude::*;

use super::*;

fn high() -> impl Strategy<Value = HighProfile> {
    let list = prop_oneof![Just(ScalingList(vec![-8])), Just(ScalingList(vec![1, 2, -11])),];
    (
        0_u32..=3,
        0_u32..=6,
        any::<bool>(),
        option::of(proptest::collection::vec(option::of(list), 12)),
    )
        .prop_map(|(chroma_format_idc, depth, flag, scaling)| HighProfile {
            chroma_format_idc,
            separate_colour_plane: chroma_format_idc == 3 && flag,
            bit_depth_luma_minus8: depth,
            bit_depth_chroma_minus8: 6 - depth,
            transform_bypass: flag,
            scaling: scaling.map(|mut lists| {
                lists.truncate(scaling_lists(chroma_format_idc));
                lists
            }),
        })
}

fn order() -> impl Strategy<Value = PicOrderCount> {
    prop_oneof![
        (0_u32..=12).prop_map(|log2_max_lsb_minus4| PicOrderCount::Type0 { log2_max_lsb_minus4 }),
        (any::<bool>(), any::<i16>(), proptest::collection::vec(-9..9_i32, 0..255)).prop_map(
            |(delta_always_zero, offset, offsets)| PicOrderCount::Type1 {
                delta_always_zero,
                offset_for_non_ref: offset.into(),
                offset_top_to_bottom: -i32::from(offset),
                offsets,
            }
        ),
        Just(PicOrderCount::Type2),
    ]
}

fn hrd() -> impl Strategy<Value = Hrd> {
    let schedule = (0..u32::MAX / 2, 0..u32::MAX / 2, any::<bool>());
    (0_u8..16, proptest::collection::vec(schedule, 1..=32), prop::array::uniform4(0_u8..32))
        .prop_map(|(scale, schedules, lengths)| Hrd {
            bit_rate_scale: scale,
            cpb_size_scale: 15 - scale,
            schedules,
            lengths,
        })
}

fn restriction() -> impl Strategy<Value = BitstreamRestriction> {
    (any::<bool>(), prop::array::uniform6(0_u32..=16)).prop_map(|(flag, values)| {
        BitstreamRestriction {
            motion_vectors_over_boundaries: flag,
            max_bytes_per_pic_denom: values[0],
            max_bits_per_mb_denom: values[1],
            log2_max_mv_length_horizontal: values[2],
            log2_max_mv_length_vertical: values[3],
            max_num_reorder_frames: values[4],
            max_dec_frame_buffering: values[5],
        }
    })
}

fn signal() -> impl Strategy<Value = VideoSignal> {
    let colour = any::<[u8; 3]>().prop_map(|[primaries, transfer, matrix]| ColourDescription {
        primaries,
        transfer,
        matrix,
    });
    (0_u8..8, any::<bool>(), option::of(colour))
        .prop_map(|(format, full_range, colour)| VideoSignal { format, full_range, colour })
}

fn vui() -> impl Strategy<Value = Vui> {
    let aspect_ratio = prop_oneof![
        (0_u8..255).prop_map(SampleAspectRatio::Code),
        any::<(u16, u16)>().prop_map(|(w, h)| SampleAspectRatio::Extended(w, h)),
    ];
    let timing = any::<(u32, u32, bool)>().prop_map(|(units_in_tick, time_scale, fixed)| {
        TimingInfo { units_in_tick, time_scale, fixed_frame_rate: fixed }
    });
    let location = (0_u32..=5, 0_u32..=5).prop_map(|(top, bottom)| ChromaLocation { top, bottom });
    (
        (option::of(aspect_ratio), any::<Option<bool>>(), option::of(signal())),
        (option::of(location), option::of(timing), option::of(hrd()), option::of(hrd())),
        (any::<bool>(), any::<bool>(), option::of(restriction())),
    )
        .prop_map(|(a, b, (low_delay, pic_struct_present, bitstream_restriction))| Vui {
            aspect_ratio: a.0,
            overscan_appropriate: a.1,
            signal: a.2,
            chroma_location: b.0,
            timing: b.1,
            low_delay_hrd: low_delay && (b.2.is_some() || b.3.is_some()),
            nal_hrd: b.2,
            vcl_hrd: b.3,
            pic_struct_present,
            bitstream_restriction,
        })
}

fn sps() -> impl Strategy<Value = Sps> {
    let cropping = prop::array::uniform4(0_u32..64)
        .prop_map(|[left, right, top, bottom]| FrameCropping { left, right, top, bottom });
    (
        (any::<[u8; 2]>(), 0_u32..=31, option::of(high()), 0_u32..=12, order()),
        (0_u32..=16, prop::array::uniform4(any::<bool>()), 0..=MAX_MBS, 0..=MAX_MBS),
        (option::of(cropping), option::of(vui())),
    )
        .prop_map(|((bytes, id, high, log2, order), (refs, flags, width, height), tail)| Sps {
            profile_idc: if high.is_some() { 100 } else { 66 },
            constraint_flags: bytes[0],
            level_idc: bytes[1],
            id,
            high,
            log2_max_frame_num_minus4: log2,
            pic_order_count: order,
            max_num_ref_frames: refs,
            gaps_in_frame_num_allowed: flags[0],
            width_in_mbs_minus1: width,
            height_in_map_units_minus1: height,
            frame_mbs_only: flags[1],
            mb_adaptive_frame_field: !flags[1] && flags[2],
            direct_8x8_inference: flags[3],
            cropping: tail.0,
            vui: tail.1,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(sps in sps()) {
        prop_assert_eq!(Sps::parse(&sps.to_nal()), Ok(sps));
    }

    #[test]
    fn no_reordering_is_declared_once_and_changes_nothing_else(mut sps in sps()) {
        let before = sps.clone();
        sps.declare_no_reordering();
        let after = sps.clone();
        prop_assert!(!sps.declare_no_reordering());
        let restriction = after.vui.as_ref().and_then(|vui| vui.bitstream_restriction).unwrap();
        prop_assert_eq!(restriction.max_num_reorder_frames, 0);
        prop_assert_eq!(restriction.max_dec_frame_buffering, before.max_num_ref_frames);
        prop_assert_eq!(after.size(), before.size());
        prop_assert_eq!(Sps { vui: None, ..after }, Sps { vui: None, ..before });
    }

    #[test]
    fn garbage_is_an_error_or_a_parameter_set(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(header) = bytes.first_mut() {
            *header = HEADER;
        }
        if let Ok(sps) = Sps::parse(&bytes) {
            let _ = sps.size();
            prop_assert_eq!(Sps::parse(&sps.to_nal()), Ok(sps));
        }
    }

    #[test]
    fn a_cut_parameter_set_never_panics(sps in sps(), keep in 0_usize..64) {
        let nal = sps.to_nal();
        let _ = Sps::parse(&nal[..keep.min(nal.len())]);
    }
}
