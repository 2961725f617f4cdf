//! Heads written bit by bit from the syntax tables; real ones are read in `tests/recovery/`.

use proptest::prelude::*;

use super::*;
use crate::bits::BitWriter;

fn sps(log2_max_frame_num_minus4: u32, pic_order_count: PicOrderCount) -> Sps {
    Sps {
        profile_idc: 66,
        constraint_flags: 0xc0,
        level_idc: 31,
        id: 0,
        high: None,
        log2_max_frame_num_minus4,
        pic_order_count,
        max_num_ref_frames: 3,
        gaps_in_frame_num_allowed: true,
        width_in_mbs_minus1: 39,
        height_in_map_units_minus1: 23,
        frame_mbs_only: true,
        mb_adaptive_frame_field: false,
        direct_8x8_inference: true,
        cropping: None,
        vui: None,
    }
}

const PPS: Pps = Pps {
    id: 0,
    bottom_field_pic_order: false,
    weighted_prediction: false,
    redundant_pic_cnt_present: false,
};

/// `nal_ref_idc` 3, and types 1 and 5.
const SLICE: u8 = 0x61;
const IDR: u8 = 0x65;

#[test]
fn a_keyframe_that_is_a_long_term_reference() {
    let mut w = BitWriter::new();
    for value in [0, 7, 0] {
        w.unsigned(value);
    }
    w.bits(0, 15);
    w.unsigned(4); // idr_pic_id
    w.bits(0, 16); // pic_order_cnt_lsb
    w.flag(false);
    w.flag(true); // long_term_reference_flag
    let order = PicOrderCount::Type0 { log2_max_lsb_minus4: 12 };
    let header = SliceHeader::parse(&w.into_nal(IDR), &sps(11, order), &PPS).unwrap();
    assert_eq!(
        header,
        SliceHeader {
            first_mb: 0,
            slice_type: SliceType::I,
            frame_num: 0,
            idr_pic_id: Some(4),
            references: SmallVec::new(),
            long_term: Some(LongTermMark::Current),
        }
    );
}

#[test]
fn a_picture_that_marks_the_one_before_and_one_that_goes_back() {
    let mut w = BitWriter::new();
    for value in [0, 0, 0] {
        w.unsigned(value);
    }
    w.bits(1_234, 15);
    w.flag(true);
    w.unsigned(0); // num_ref_idx_l0_active_minus1
    w.flag(true);
    for value in [0, 0, 3] {
        w.unsigned(value);
    }
    w.flag(true);
    for value in [3, 0, 1, 0] {
        w.unsigned(value);
    }
    let header =
        SliceHeader::parse(&w.into_nal(SLICE), &sps(11, PicOrderCount::Type2), &PPS).unwrap();
    assert_eq!((header.frame_num, header.idr_pic_id), (1_234, None));
    assert_eq!(header.references.as_slice(), [Reference::Back(1)]);
    assert_eq!(header.long_term, Some(LongTermMark::Earlier(1)));

    let mut w = BitWriter::new();
    for value in [9, 5, 0] {
        w.unsigned(value);
    }
    w.bits(7, 4);
    w.flag(false);
    w.flag(true);
    for value in [2, 1, 1, 4, 3] {
        w.unsigned(value);
    }
    w.flag(false);
    let header =
        SliceHeader::parse(&w.into_nal(SLICE), &sps(0, PicOrderCount::Type2), &PPS).unwrap();
    assert_eq!((header.first_mb, header.frame_num, header.long_term), (9, 7, None));
    assert_eq!(header.references.as_slice(), [Reference::LongTerm(1), Reference::Onwards(5)]);
}

#[test]
fn what_no_encoder_here_makes_is_refused() {
    let mut w = BitWriter::new();
    for value in [0, 1, 0] {
        w.unsigned(value);
    }
    w.bits(0, 20);
    let nal = w.into_nal(SLICE);
    let order = PicOrderCount::Type2;
    let refused = |nal: &[u8], sps: &Sps| SliceHeader::parse(nal, sps, &PPS).unwrap_err();
    let sps = sps(0, order);
    assert_eq!(refused(&nal, &sps), SyntaxError::OutOfRange("slice_type"));
    assert_eq!(refused(&[0x67, 1], &sps), SyntaxError::OutOfRange("nal_unit_type"));
    assert_eq!(refused(&[], &sps), SyntaxError::Truncated);
    let fields = Sps { frame_mbs_only: false, ..sps };
    assert!(matches!(refused(&nal, &fields), SyntaxError::OutOfRange(_)));
}

proptest! {
    #[test]
    fn garbage_is_an_error_or_a_head(bytes in proptest::collection::vec(any::<u8>(), 0..80), idr: bool) {
        let mut nal = vec![if idr { IDR } else { SLICE }];
        nal.extend(bytes);
        let order = PicOrderCount::Type0 { log2_max_lsb_minus4: 2 };
        if let Ok(header) = SliceHeader::parse(&nal, &sps(3, order), &PPS) {
            prop_assert!(header.frame_num < 128);
            prop_assert_eq!(header.idr_pic_id.is_some(), idr);
        }
    }

    #[test]
    fn a_picture_parameter_set_of_garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
        bytes[0] = 0x68;
        let _ = Pps::parse(&bytes);
    }
}
