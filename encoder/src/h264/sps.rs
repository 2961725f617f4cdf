//! Sequence parameter sets (H.264 §7.3.2.1.1, Annex E), read and written whole.

use media::{ColorDescription, Size};

use crate::bits::{BitReader, BitWriter, SyntaxError};

/// NAL header of a sequence parameter set: `nal_ref_idc` 3, `nal_unit_type` 7.
const HEADER: u8 = 0x67;
/// Profiles whose parameter sets carry the fields of [`HighProfile`].
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// Macroblocks along an edge: more than any level allows, and small enough for 32 bit products.
const MAX_MBS: u32 = 4_095;

/// A sequence parameter set. Fields are named as in the standard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`.
    pub profile_idc: u8,
    /// `constraint_set0_flag` (most significant bit) to `constraint_set5_flag`, two reserved bits.
    pub constraint_flags: u8,
    /// `level_idc`: ten times the level.
    pub level_idc: u8,
    /// `seq_parameter_set_id`.
    pub id: u32,
    /// Fields of High and related profiles.
    pub high: Option<HighProfile>,
    /// `log2_max_frame_num_minus4`.
    pub log2_max_frame_num_minus4: u32,
    /// `pic_order_cnt_type` and its fields.
    pub pic_order_count: PicOrderCount,
    /// `max_num_ref_frames`.
    pub max_num_ref_frames: u32,
    /// `gaps_in_frame_num_value_allowed_flag`.
    pub gaps_in_frame_num_allowed: bool,
    /// `pic_width_in_mbs_minus1`.
    pub width_in_mbs_minus1: u32,
    /// `pic_height_in_map_units_minus1`.
    pub height_in_map_units_minus1: u32,
    /// `frame_mbs_only_flag`.
    pub frame_mbs_only: bool,
    /// `mb_adaptive_frame_field_flag`; only coded without `frame_mbs_only`.
    pub mb_adaptive_frame_field: bool,
    /// `direct_8x8_inference_flag`.
    pub direct_8x8_inference: bool,
    /// `frame_crop_*_offset`.
    pub cropping: Option<FrameCropping>,
    /// Video usability information.
    pub vui: Option<Vui>,
}

/// Fields of High and related profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HighProfile {
    /// `chroma_format_idc`: 0 none, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u32,
    /// `separate_colour_plane_flag`; only coded for 4:4:4.
    pub separate_colour_plane: bool,
    /// `bit_depth_luma_minus8`.
    pub bit_depth_luma_minus8: u32,
    /// `bit_depth_chroma_minus8`.
    pub bit_depth_chroma_minus8: u32,
    /// `qpprime_y_zero_transform_bypass_flag`.
    pub transform_bypass: bool,
    /// The scaling matrix: 8 lists, 12 for 4:4:4; a list that is absent falls back (table 7-2).
    pub scaling: Option<Vec<Option<ScalingList>>>,
}

/// A scaling list as it is coded: its `delta_scale` values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalingList(pub Vec<i32>);

/// `pic_order_cnt_type` and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PicOrderCount {
    /// Sent with every slice.
    Type0 {
        /// `log2_max_pic_order_cnt_lsb_minus4`.
        log2_max_lsb_minus4: u32,
    },
    /// Predicted from a cycle of offsets.
    Type1 {
        /// `delta_pic_order_always_zero_flag`.
        delta_always_zero: bool,
        /// `offset_for_non_ref_pic`.
        offset_for_non_ref: i32,
        /// `offset_for_top_to_bottom_field`.
        offset_top_to_bottom: i32,
        /// `offset_for_ref_frame`.
        offsets: Vec<i32>,
    },
    /// Output order is decoding order.
    Type2,
}

/// `frame_crop_*_offset` in crop units: two luma samples for 4:2:0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameCropping {
    /// From the left edge.
    pub left: u32,
    /// From the right edge.
    pub right: u32,
    /// From the top edge.
    pub top: u32,
    /// From the bottom edge.
    pub bottom: u32,
}

/// Video usability information (Annex E).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vui {
    /// `aspect_ratio_idc`.
    pub aspect_ratio: Option<SampleAspectRatio>,
    /// `overscan_appropriate_flag`.
    pub overscan_appropriate: Option<bool>,
    /// Video signal type.
    pub signal: Option<VideoSignal>,
    /// `chroma_sample_loc_type_*`; absent means 0, left.
    pub chroma_location: Option<ChromaLocation>,
    /// Timing.
    pub timing: Option<TimingInfo>,
    /// `nal_hrd_parameters`.
    pub nal_hrd: Option<Hrd>,
    /// `vcl_hrd_parameters`.
    pub vcl_hrd: Option<Hrd>,
    /// `low_delay_hrd_flag`; only coded with HRD parameters.
    pub low_delay_hrd: bool,
    /// `pic_struct_present_flag`.
    pub pic_struct_present: bool,
    /// Bitstream restriction.
    pub bitstream_restriction: Option<BitstreamRestriction>,
}

/// `aspect_ratio_idc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleAspectRatio {
    /// A code of table E-1, not 255.
    Code(u8),
    /// `sar_width` and `sar_height`.
    Extended(u16, u16),
}

/// Video signal type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoSignal {
    /// `video_format` (table E-2); 5 is unspecified.
    pub format: u8,
    /// `video_full_range_flag`.
    pub full_range: bool,
    /// Colour description.
    pub colour: Option<ColourDescription>,
}

/// Colour description by the code points of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColourDescription {
    /// `colour_primaries`.
    pub primaries: u8,
    /// `transfer_characteristics`.
    pub transfer: u8,
    /// `matrix_coefficients`.
    pub matrix: u8,
}

/// `chroma_sample_loc_type_top_field` and `_bottom_field`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChromaLocation {
    /// Of the top field, and of frames.
    pub top: u32,
    /// Of the bottom field.
    pub bottom: u32,
}

/// Timing information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimingInfo {
    /// `num_units_in_tick`.
    pub units_in_tick: u32,
    /// `time_scale`.
    pub time_scale: u32,
    /// `fixed_frame_rate_flag`.
    pub fixed_frame_rate: bool,
}

/// Hypothetical reference decoder parameters (E.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hrd {
    /// `bit_rate_scale`.
    pub bit_rate_scale: u8,
    /// `cpb_size_scale`.
    pub cpb_size_scale: u8,
    /// `bit_rate_value_minus1`, `cpb_size_value_minus1`, `cbr_flag`: 1 to 32 entries.
    pub schedules: Vec<(u32, u32, bool)>,
    /// `initial_cpb_removal_delay_length_minus1`, `cpb_removal_delay_length_minus1`,
    /// `dpb_output_delay_length_minus1`, `time_offset_length`: 5 bits each.
    pub lengths: [u8; 4],
}

/// Bitstream restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitstreamRestriction {
    /// `motion_vectors_over_pic_boundaries_flag`.
    pub motion_vectors_over_boundaries: bool,
    /// `max_bytes_per_pic_denom`.
    pub max_bytes_per_pic_denom: u32,
    /// `max_bits_per_mb_denom`.
    pub max_bits_per_mb_denom: u32,
    /// `log2_max_mv_length_horizontal`.
    pub log2_max_mv_length_horizontal: u32,
    /// `log2_max_mv_length_vertical`.
    pub log2_max_mv_length_vertical: u32,
    /// `max_num_reorder_frames`.
    pub max_num_reorder_frames: u32,
    /// `max_dec_frame_buffering`.
    pub max_dec_frame_buffering: u32,
}

impl BitstreamRestriction {
    /// No limit but the order: what is inferred where the fields are absent (E.2.1).
    const fn in_order(max_num_ref_frames: u32) -> Self {
        Self {
            motion_vectors_over_boundaries: true,
            max_bytes_per_pic_denom: 2,
            max_bits_per_mb_denom: 1,
            log2_max_mv_length_horizontal: 15,
            log2_max_mv_length_vertical: 15,
            max_num_reorder_frames: 0,
            max_dec_frame_buffering: max_num_ref_frames,
        }
    }
}

impl Sps {
    /// Reads a NAL unit: header and payload without the start code.
    ///
    /// # Errors
    /// [`SyntaxError`] when it ends early or holds a value that the standard forbids.
    pub fn parse(nal: &[u8]) -> Result<Self, SyntaxError> {
        let payload = match nal.split_first() {
            Some((header, payload)) if header & 0x1f == 7 => payload,
            Some(_) => return Err(SyntaxError::OutOfRange("nal_unit_type")),
            None => return Err(SyntaxError::Truncated),
        };
        let r = &mut BitReader::new(payload);
        let profile_idc = r.byte()?;
        let (constraint_flags, level_idc) = (r.byte()?, r.byte()?);
        let id = r.unsigned_to(31, "seq_parameter_set_id")?;
        let high =
            HIGH_PROFILES.contains(&profile_idc).then(|| HighProfile::read(r)).transpose()?;
        let log2_max_frame_num_minus4 = r.unsigned_to(12, "log2_max_frame_num_minus4")?;
        let pic_order_count = PicOrderCount::read(r)?;
        let max_num_ref_frames = r.unsigned_to(16, "max_num_ref_frames")?;
        let gaps_in_frame_num_allowed = r.flag()?;
        let width_in_mbs_minus1 = r.unsigned_to(MAX_MBS, "pic_width_in_mbs_minus1")?;
        let height_in_map_units_minus1 =
            r.unsigned_to(MAX_MBS, "pic_height_in_map_units_minus1")?;
        let frame_mbs_only = r.flag()?;
        Ok(Self {
            profile_idc,
            constraint_flags,
            level_idc,
            id,
            high,
            log2_max_frame_num_minus4,
            pic_order_count,
            max_num_ref_frames,
            gaps_in_frame_num_allowed,
            width_in_mbs_minus1,
            height_in_map_units_minus1,
            frame_mbs_only,
            mb_adaptive_frame_field: !frame_mbs_only && r.flag()?,
            direct_8x8_inference: r.flag()?,
            cropping: r.flag()?.then(|| FrameCropping::read(r)).transpose()?,
            vui: r.flag()?.then(|| Vui::read(r)).transpose()?,
        })
    }

    /// Writes the NAL unit: header and payload with emulation prevention, without a start code.
    pub fn to_nal(&self) -> Vec<u8> {
        let mut writer = BitWriter::new();
        let w = &mut writer;
        for byte in [self.profile_idc, self.constraint_flags, self.level_idc] {
            w.bits(byte.into(), 8);
        }
        w.unsigned(self.id);
        if let Some(high) = &self.high {
            high.write(w);
        }
        w.unsigned(self.log2_max_frame_num_minus4);
        self.pic_order_count.write(w);
        w.unsigned(self.max_num_ref_frames);
        w.flag(self.gaps_in_frame_num_allowed);
        w.unsigned(self.width_in_mbs_minus1);
        w.unsigned(self.height_in_map_units_minus1);
        w.flag(self.frame_mbs_only);
        if !self.frame_mbs_only {
            w.flag(self.mb_adaptive_frame_field);
        }
        w.flag(self.direct_8x8_inference);
        w.flag(self.cropping.is_some());
        if let Some(crop) = self.cropping {
            for edge in [crop.left, crop.right, crop.top, crop.bottom] {
                w.unsigned(edge);
            }
        }
        w.flag(self.vui.is_some());
        if let Some(vui) = &self.vui {
            vui.write(w);
        }
        writer.into_nal(HEADER)
    }

    /// Declares that pictures come out in the order they go in and that the rate is not fixed.
    /// Returns whether anything changed.
    pub fn declare_no_reordering(&mut self) -> bool {
        let frames = self.max_num_ref_frames;
        let vui = self.vui.get_or_insert_default();
        let had = vui.bitstream_restriction.is_some();
        let restriction =
            vui.bitstream_restriction.get_or_insert(BitstreamRestriction::in_order(frames));
        let wanted = BitstreamRestriction {
            max_num_reorder_frames: 0,
            max_dec_frame_buffering: frames,
            ..*restriction
        };
        let mut changed = !had || *restriction != wanted;
        *restriction = wanted;
        // With HRD parameters the tick is the unit of their delays and must stay.
        if vui.nal_hrd.is_none() && vui.vcl_hrd.is_none() {
            changed |= vui.timing.take().is_some();
        }
        changed
    }

    /// Declares that pictures may be missing: a decoder then takes the next one as it comes and puts
    /// empty frames in the places of those (8.2.5.2), where it would else conceal them or refuse all
    /// up to the next keyframe. Returns whether anything changed.
    pub fn allow_gaps(&mut self) -> bool {
        !std::mem::replace(&mut self.gaps_in_frame_num_allowed, true)
    }

    /// Declares how colours are to be read. Returns whether anything changed.
    pub fn declare_color(&mut self, color: ColorDescription) -> bool {
        let ColorDescription { primaries, transfer, matrix, full_range } = color;
        let [primaries, transfer, matrix] = [primaries as u8, transfer as u8, matrix as u8];
        let signal = &mut self.vui.get_or_insert_default().signal;
        let wanted = VideoSignal {
            format: signal.map_or(UNSPECIFIED_FORMAT, |signal| signal.format),
            full_range,
            colour: Some(ColourDescription { primaries, transfer, matrix }),
        };
        signal.replace(wanted) != Some(wanted)
    }

    /// Size of the picture after cropping.
    pub fn size(&self) -> Size {
        let field_factor = if self.frame_mbs_only { 1 } else { 2 };
        let (unit_x, unit_y) = match self.high.as_ref().map_or(1, |high| high.chroma_format_idc) {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let crop = self.cropping.unwrap_or(FrameCropping { left: 0, right: 0, top: 0, bottom: 0 });
        let cut = |whole: u32, unit: u32, a: u32, b: u32| {
            whole.saturating_sub(unit.saturating_mul(a.saturating_add(b)))
        };
        Size::new(
            cut((self.width_in_mbs_minus1 + 1) * 16, unit_x, crop.left, crop.right),
            cut(
                (self.height_in_map_units_minus1 + 1) * 16 * field_factor,
                unit_y * field_factor,
                crop.top,
                crop.bottom,
            ),
        )
    }
}

impl HighProfile {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        let chroma_format_idc = r.unsigned_to(3, "chroma_format_idc")?;
        Ok(Self {
            chroma_format_idc,
            separate_colour_plane: chroma_format_idc == 3 && r.flag()?,
            bit_depth_luma_minus8: r.unsigned_to(6, "bit_depth_luma_minus8")?,
            bit_depth_chroma_minus8: r.unsigned_to(6, "bit_depth_chroma_minus8")?,
            transform_bypass: r.flag()?,
            scaling: r
                .flag()?
                .then(|| {
                    (0..scaling_lists(chroma_format_idc))
                        .map(|index| r.flag()?.then(|| ScalingList::read(r, index)).transpose())
                        .collect()
                })
                .transpose()?,
        })
    }

    fn write(&self, w: &mut BitWriter) {
        w.unsigned(self.chroma_format_idc);
        if self.chroma_format_idc == 3 {
            w.flag(self.separate_colour_plane);
        }
        w.unsigned(self.bit_depth_luma_minus8);
        w.unsigned(self.bit_depth_chroma_minus8);
        w.flag(self.transform_bypass);
        w.flag(self.scaling.is_some());
        for list in self.scaling.iter().flatten() {
            w.flag(list.is_some());
            for &delta in list.iter().flat_map(|list| &list.0) {
                w.signed(delta);
            }
        }
    }
}

const fn scaling_lists(chroma_format_idc: u32) -> usize {
    if chroma_format_idc == 3 { 12 } else { 8 }
}

impl ScalingList {
    /// §7.3.2.1.1.1: values are coded until the next scale becomes 0.
    fn read(r: &mut BitReader<'_>, index: usize) -> Result<Self, SyntaxError> {
        let size = if index < 6 { 16 } else { 64 };
        let (mut deltas, mut scale) = (Vec::new(), 8);
        while deltas.len() < size {
            let delta = r.signed()?;
            if !(-128..=127).contains(&delta) {
                return Err(SyntaxError::OutOfRange("delta_scale"));
            }
            deltas.push(delta);
            scale = (scale + delta + 256) % 256;
            if scale == 0 {
                break;
            }
        }
        Ok(Self(deltas))
    }
}

impl PicOrderCount {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        Ok(match r.unsigned_to(2, "pic_order_cnt_type")? {
            0 => Self::Type0 {
                log2_max_lsb_minus4: r.unsigned_to(12, "log2_max_pic_order_cnt_lsb_minus4")?,
            },
            1 => Self::Type1 {
                delta_always_zero: r.flag()?,
                offset_for_non_ref: r.signed()?,
                offset_top_to_bottom: r.signed()?,
                offsets: {
                    let count = r.unsigned_to(255, "num_ref_frames_in_pic_order_cnt_cycle")?;
                    (0..count).map(|_| r.signed()).collect::<Result<_, _>>()?
                },
            },
            _ => Self::Type2,
        })
    }

    fn write(&self, w: &mut BitWriter) {
        match self {
            Self::Type0 { log2_max_lsb_minus4 } => {
                w.unsigned(0);
                w.unsigned(*log2_max_lsb_minus4);
            }
            Self::Type1 {
                delta_always_zero,
                offset_for_non_ref,
                offset_top_to_bottom,
                offsets,
            } => {
                w.unsigned(1);
                w.flag(*delta_always_zero);
                w.signed(*offset_for_non_ref);
                w.signed(*offset_top_to_bottom);
                w.unsigned(offsets.len() as u32);
                for &offset in offsets {
                    w.signed(offset);
                }
            }
            Self::Type2 => w.unsigned(2),
        }
    }
}

impl FrameCropping {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        let mut edge = || r.unsigned_to(MAX_MBS * 16, "frame_crop_offset");
        Ok(Self { left: edge()?, right: edge()?, top: edge()?, bottom: edge()? })
    }
}

impl Vui {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        let aspect_ratio = r.flag()?.then(|| SampleAspectRatio::read(r)).transpose()?;
        let overscan_appropriate = r.flag()?.then(|| r.flag()).transpose()?;
        let signal = r.flag()?.then(|| VideoSignal::read(r)).transpose()?;
        let chroma_location = r.flag()?.then(|| ChromaLocation::read(r)).transpose()?;
        let timing = r.flag()?.then(|| TimingInfo::read(r)).transpose()?;
        let nal_hrd = r.flag()?.then(|| Hrd::read(r)).transpose()?;
        let vcl_hrd = r.flag()?.then(|| Hrd::read(r)).transpose()?;
        let low_delay_hrd = (nal_hrd.is_some() || vcl_hrd.is_some()) && r.flag()?;
        Ok(Self {
            aspect_ratio,
            overscan_appropriate,
            signal,
            chroma_location,
            timing,
            nal_hrd,
            vcl_hrd,
            low_delay_hrd,
            pic_struct_present: r.flag()?,
            bitstream_restriction: r.flag()?.then(|| BitstreamRestriction::read(r)).transpose()?,
        })
    }

    fn write(&self, w: &mut BitWriter) {
        w.flag(self.aspect_ratio.is_some());
        match self.aspect_ratio {
            Some(SampleAspectRatio::Code(code)) => w.bits(code.into(), 8),
            Some(SampleAspectRatio::Extended(width, height)) => {
                w.bits(EXTENDED_SAR.into(), 8);
                w.bits(width.into(), 16);
                w.bits(height.into(), 16);
            }
            None => {}
        }
        w.flag(self.overscan_appropriate.is_some());
        if let Some(appropriate) = self.overscan_appropriate {
            w.flag(appropriate);
        }
        w.flag(self.signal.is_some());
        if let Some(signal) = self.signal {
            signal.write(w);
        }
        w.flag(self.chroma_location.is_some());
        if let Some(location) = self.chroma_location {
            w.unsigned(location.top);
            w.unsigned(location.bottom);
        }
        w.flag(self.timing.is_some());
        if let Some(timing) = self.timing {
            w.bits(timing.units_in_tick, 32);
            w.bits(timing.time_scale, 32);
            w.flag(timing.fixed_frame_rate);
        }
        for hrd in [&self.nal_hrd, &self.vcl_hrd] {
            w.flag(hrd.is_some());
            if let Some(hrd) = hrd {
                hrd.write(w);
            }
        }
        if self.nal_hrd.is_some() || self.vcl_hrd.is_some() {
            w.flag(self.low_delay_hrd);
        }
        w.flag(self.pic_struct_present);
        w.flag(self.bitstream_restriction.is_some());
        if let Some(restriction) = self.bitstream_restriction {
            restriction.write(w);
        }
    }
}

/// `video_format` (table E-2): unspecified.
const UNSPECIFIED_FORMAT: u8 = 5;
/// `aspect_ratio_idc` Extended_SAR (table E-1).
const EXTENDED_SAR: u8 = 255;

impl SampleAspectRatio {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        Ok(match r.byte()? {
            EXTENDED_SAR => Self::Extended(r.bits(16)? as u16, r.bits(16)? as u16),
            code => Self::Code(code),
        })
    }
}

impl VideoSignal {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        Ok(Self {
            format: r.bits(3)? as u8,
            full_range: r.flag()?,
            colour: if r.flag()? {
                Some(ColourDescription {
                    primaries: r.byte()?,
                    transfer: r.byte()?,
                    matrix: r.byte()?,
                })
            } else {
                None
            },
        })
    }

    fn write(self, w: &mut BitWriter) {
        w.bits(self.format.into(), 3);
        w.flag(self.full_range);
        w.flag(self.colour.is_some());
        if let Some(colour) = self.colour {
            for code in [colour.primaries, colour.transfer, colour.matrix] {
                w.bits(code.into(), 8);
            }
        }
    }
}

impl ChromaLocation {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        let mut location = || r.unsigned_to(5, "chroma_sample_loc_type");
        Ok(Self { top: location()?, bottom: location()? })
    }
}

impl TimingInfo {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        Ok(Self {
            units_in_tick: r.bits(32)?,
            time_scale: r.bits(32)?,
            fixed_frame_rate: r.flag()?,
        })
    }
}

impl Hrd {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        let count = r.unsigned_to(31, "cpb_cnt_minus1")? + 1;
        let (bit_rate_scale, cpb_size_scale) = (r.bits(4)? as u8, r.bits(4)? as u8);
        let schedules = (0..count)
            .map(|_| Ok((r.unsigned()?, r.unsigned()?, r.flag()?)))
            .collect::<Result<_, SyntaxError>>()?;
        let mut lengths = [0; 4];
        for length in &mut lengths {
            *length = r.bits(5)? as u8;
        }
        Ok(Self { bit_rate_scale, cpb_size_scale, schedules, lengths })
    }

    fn write(&self, w: &mut BitWriter) {
        w.unsigned(self.schedules.len() as u32 - 1);
        w.bits(self.bit_rate_scale.into(), 4);
        w.bits(self.cpb_size_scale.into(), 4);
        for &(bit_rate, cpb_size, constant) in &self.schedules {
            w.unsigned(bit_rate);
            w.unsigned(cpb_size);
            w.flag(constant);
        }
        for length in self.lengths {
            w.bits(length.into(), 5);
        }
    }
}

impl BitstreamRestriction {
    fn read(r: &mut BitReader<'_>) -> Result<Self, SyntaxError> {
        Ok(Self {
            motion_vectors_over_boundaries: r.flag()?,
            max_bytes_per_pic_denom: r.unsigned_to(16, "max_bytes_per_pic_denom")?,
            max_bits_per_mb_denom: r.unsigned_to(16, "max_bits_per_mb_denom")?,
            log2_max_mv_length_horizontal: r.unsigned_to(16, "log2_max_mv_length_horizontal")?,
            log2_max_mv_length_vertical: r.unsigned_to(16, "log2_max_mv_length_vertical")?,
            max_num_reorder_frames: r.unsigned_to(16, "max_num_reorder_frames")?,
            max_dec_frame_buffering: r.unsigned_to(16, "max_dec_frame_buffering")?,
        })
    }

    fn write(self, w: &mut BitWriter) {
        w.flag(self.motion_vectors_over_boundaries);
        for value in [
            self.max_bytes_per_pic_denom,
            self.max_bits_per_mb_denom,
            self.log2_max_mv_length_horizontal,
            self.log2_max_mv_length_vertical,
            self.max_num_reorder_frames,
            self.max_dec_frame_buffering,
        ] {
            w.unsigned(value);
        }
    }
}

#[cfg(test)]
#[path = "sps_tests.rs"]
mod tests;
