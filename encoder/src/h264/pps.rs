//! Picture parameter sets (H.264 §7.3.2.2), as far as the heads of slices depend on them.

use crate::bits::{BitReader, SyntaxError};

/// A picture parameter set without slice groups. Fields are named as in the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pps {
    /// `pic_parameter_set_id`.
    pub id: u32,
    /// `bottom_field_pic_order_in_frame_present_flag`.
    pub bottom_field_pic_order: bool,
    /// `weighted_pred_flag`.
    pub weighted_prediction: bool,
    /// `redundant_pic_cnt_present_flag`.
    pub redundant_pic_cnt_present: bool,
}

impl Pps {
    /// Reads a NAL unit: header and payload without the start code.
    ///
    /// # Errors
    /// [`SyntaxError`] when it ends early, holds a value that the standard forbids, or has slice
    /// groups, which no encoder here makes.
    pub fn parse(nal: &[u8]) -> Result<Self, SyntaxError> {
        let payload = match nal.split_first() {
            Some((header, payload)) if header & 0x1f == 8 => payload,
            Some(_) => return Err(SyntaxError::OutOfRange("nal_unit_type")),
            None => return Err(SyntaxError::Truncated),
        };
        let r = &mut BitReader::new(payload);
        let id = r.unsigned_to(255, "pic_parameter_set_id")?;
        r.unsigned_to(31, "seq_parameter_set_id")?;
        r.flag()?; // entropy_coding_mode_flag
        let bottom_field_pic_order = r.flag()?;
        r.unsigned_to(0, "num_slice_groups_minus1")?;
        r.unsigned_to(31, "num_ref_idx_l0_default_active_minus1")?;
        r.unsigned_to(31, "num_ref_idx_l1_default_active_minus1")?;
        let weighted_prediction = r.flag()?;
        r.bits(2)?; // weighted_bipred_idc
        r.signed()?; // pic_init_qp_minus26
        r.signed()?; // pic_init_qs_minus26
        r.signed()?; // chroma_qp_index_offset
        r.flag()?; // deblocking_filter_control_present_flag
        r.flag()?; // constrained_intra_pred_flag
        let redundant_pic_cnt_present = r.flag()?;
        Ok(Self { id, bottom_field_pic_order, weighted_prediction, redundant_pic_cnt_present })
    }
}
