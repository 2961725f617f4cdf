//! Heads of slices (H.264 §7.3.3), as far as they say what a picture refers to and how long it is
//! referred to itself.

use smallvec::SmallVec;

use super::{NalKind, PicOrderCount, Pps, Sps};
use crate::bits::{BitReader, SyntaxError};

/// Bound on lists that a slice ends by a code of its own; more no decoded picture buffer holds.
const MOST_COMMANDS: usize = 66;

/// Kinds of slices that are read (table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceType {
    /// Predicted from earlier pictures.
    P,
    /// Coded on its own.
    I,
}

/// An entry of the reference list that a slice asks for (`modification_of_pic_nums_idc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `abs_diff_pic_num_minus1` + 1, back from the entry before or else from the picture itself.
    Back(u32),
    /// The same, onwards.
    Onwards(u32),
    /// `long_term_pic_num`.
    LongTerm(u32),
}

/// What a picture makes a long-term reference of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongTermMark {
    /// Itself (`long_term_reference_flag`, or operation 6).
    Current,
    /// The picture whose `frame_num` is this much lower (operation 3).
    Earlier(u32),
}

/// The head of a slice of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceHeader {
    /// `first_mb_in_slice`.
    pub first_mb: u32,
    /// `slice_type`.
    pub slice_type: SliceType,
    /// `frame_num`.
    pub frame_num: u32,
    /// `idr_pic_id`, of IDR pictures.
    pub idr_pic_id: Option<u32>,
    /// Entries that are moved to the front of the reference list; none where it is as it is by default.
    pub references: SmallVec<[Reference; 4]>,
    /// What becomes a long-term reference.
    pub long_term: Option<LongTermMark>,
}

impl SliceHeader {
    /// Reads the head of a slice: header and payload of its NAL unit without the start code.
    ///
    /// # Errors
    /// [`SyntaxError`] when it ends early, holds a value that the standard forbids, or is of a kind
    /// that no encoder here makes: of a field, predicted from two lists, or by weights.
    pub fn parse(nal: &[u8], sps: &Sps, pps: &Pps) -> Result<Self, SyntaxError> {
        let (&header, payload) = nal.split_first().ok_or(SyntaxError::Truncated)?;
        let idr = match NalKind::of(header) {
            NalKind::IdrSlice => true,
            NalKind::Slice => false,
            _ => return Err(SyntaxError::OutOfRange("nal_unit_type")),
        };
        let separate = sps.high.as_ref().is_some_and(|high| high.separate_colour_plane);
        if !sps.frame_mbs_only || separate {
            return Err(SyntaxError::OutOfRange(
                "frame_mbs_only_flag or separate_colour_plane_flag",
            ));
        }
        let r = &mut BitReader::new(payload);
        let first_mb = r.unsigned()?;
        let slice_type = match r.unsigned()? {
            0 | 5 => SliceType::P,
            2 | 7 => SliceType::I,
            _ => return Err(SyntaxError::OutOfRange("slice_type")),
        };
        if r.unsigned()? != pps.id {
            return Err(SyntaxError::OutOfRange("pic_parameter_set_id"));
        }
        let frame_num = r.bits(sps.log2_max_frame_num_minus4 + 4)?;
        let idr_pic_id = if idr { Some(r.unsigned_to(65_535, "idr_pic_id")?) } else { None };
        skip_order(r, sps, pps)?;
        if pps.redundant_pic_cnt_present {
            r.unsigned_to(127, "redundant_pic_cnt")?;
        }
        let mut references = SmallVec::new();
        if slice_type == SliceType::P {
            if pps.weighted_prediction {
                return Err(SyntaxError::OutOfRange("weighted_pred_flag"));
            }
            if r.flag()? {
                r.unsigned_to(31, "num_ref_idx_l0_active_minus1")?;
            }
            if r.flag()? {
                read_references(r, &mut references)?;
            }
        }
        let referred_to = header >> 5 & 3 != 0;
        let long_term = if referred_to { read_marking(r, idr)? } else { None };
        Ok(Self { first_mb, slice_type, frame_num, idr_pic_id, references, long_term })
    }
}

/// Skips `pic_order_cnt_lsb` and its kin.
fn skip_order(r: &mut BitReader<'_>, sps: &Sps, pps: &Pps) -> Result<(), SyntaxError> {
    let deltas = match &sps.pic_order_count {
        PicOrderCount::Type0 { log2_max_lsb_minus4 } => {
            r.bits(log2_max_lsb_minus4 + 4)?;
            u32::from(pps.bottom_field_pic_order)
        }
        PicOrderCount::Type1 { delta_always_zero: false, .. } => {
            1 + u32::from(pps.bottom_field_pic_order)
        }
        PicOrderCount::Type1 { .. } | PicOrderCount::Type2 => 0,
    };
    for _ in 0..deltas {
        r.signed()?;
    }
    Ok(())
}

/// `ref_pic_list_modification` after its flag.
fn read_references(
    r: &mut BitReader<'_>,
    references: &mut SmallVec<[Reference; 4]>,
) -> Result<(), SyntaxError> {
    for _ in 0..MOST_COMMANDS {
        references.push(match r.unsigned_to(3, "modification_of_pic_nums_idc")? {
            0 => Reference::Back(r.unsigned_to(65_535, "abs_diff_pic_num_minus1")? + 1),
            1 => Reference::Onwards(r.unsigned_to(65_535, "abs_diff_pic_num_minus1")? + 1),
            2 => Reference::LongTerm(r.unsigned()?),
            _ => return Ok(()),
        });
    }
    Err(SyntaxError::OutOfRange("modification_of_pic_nums_idc"))
}

/// `dec_ref_pic_marking`.
fn read_marking(r: &mut BitReader<'_>, idr: bool) -> Result<Option<LongTermMark>, SyntaxError> {
    if idr {
        r.flag()?; // no_output_of_prior_pics_flag
        return Ok(r.flag()?.then_some(LongTermMark::Current));
    }
    let mut mark = None;
    if !r.flag()? {
        return Ok(mark);
    }
    for _ in 0..MOST_COMMANDS {
        match r.unsigned_to(6, "memory_management_control_operation")? {
            0 => return Ok(mark),
            1 | 2 | 4 => drop(r.unsigned()?),
            3 => {
                let back = r.unsigned_to(65_535, "difference_of_pic_nums_minus1")? + 1;
                r.unsigned()?; // long_term_frame_idx
                mark = Some(LongTermMark::Earlier(back));
            }
            6 => {
                r.unsigned()?; // long_term_frame_idx
                mark = Some(LongTermMark::Current);
            }
            // 5 ends all references.
            _ => mark = None,
        }
    }
    Err(SyntaxError::OutOfRange("memory_management_control_operation"))
}

#[cfg(test)]
#[path = "slice_tests.rs"]
mod tests;
