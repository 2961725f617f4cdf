//! What pictures are coded to.
//!
//! H.264 in 8 bit 4:2:0 is H.264, by OpenH264. All else is a stand-in: units with the headers that packetisers
//! and decoders' front ends look at, around a text that has the SHA-256 of the picture and is filled up to
//! the length that the bit rate gives a picture.

use sha2::{Digest, Sha256};

use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_PIC_TYPE as PictureType;

use crate::config::Configuration;
use crate::h264::OpenH264;
use crate::hardware::Job;
use crate::references::{References, Source};
use crate::settings::{Codec, settings};

pub(crate) const IDR: u32 = PictureType::NV_ENC_PIC_TYPE_IDR as u32;
pub(crate) const P: u32 = PictureType::NV_ENC_PIC_TYPE_P as u32;
const INTRA_REFRESH: u32 = PictureType::NV_ENC_PIC_TYPE_INTRA_REFRESH as u32;

/// The quantiser that stand-ins claim.
const STAND_IN_QP: u32 = 26;

/// A coded picture.
pub(crate) struct Unit {
    pub(crate) bytes: Vec<u8>,
    /// `NV_ENC_PIC_TYPE`.
    pub(crate) kind: u32,
    pub(crate) qp: u32,
    /// Where each slice or tile begins.
    pub(crate) slices: Vec<u32>,
    /// What it refers to, for the log, or why there is none.
    pub(crate) refers: &'static str,
    /// The long-term reference that it is, and a bit for each that it was coded from.
    pub(crate) mark: Option<u32>,
    pub(crate) long_term: u32,
    pub(crate) failed: bool,
}

impl Unit {
    /// A picture between others, of a quantiser that stand-ins claim.
    pub(crate) fn of(job: &Job, bytes: Vec<u8>, slices: Vec<u32>, source: Source) -> Self {
        let long_term = if matches!(source, Source::LongTerm(_)) { job.long_term } else { 0 };
        let (qp, mark) = (STAND_IN_QP, job.mark);
        Self { bytes, kind: P, qp, slices, refers: source.word(), mark, long_term, failed: false }
    }

    pub(crate) fn failed(why: &'static str) -> Self {
        Self {
            bytes: Vec::new(),
            kind: P,
            qp: 0,
            slices: Vec::new(),
            refers: why,
            mark: None,
            long_term: 0,
            failed: true,
        }
    }
}

/// The coder of a session.
#[derive(Default)]
pub(crate) struct Coder {
    h264: Option<OpenH264>,
    /// Size of the last picture.
    last: Option<(u32, u32)>,
    references: References,
}

impl Coder {
    /// Codes a picture; `pixels` are the extent of its layout.
    ///
    /// # Errors
    /// Says why the codec could not, which is no fault of the caller's.
    pub(crate) fn code(&mut self, job: &Job, pixels: &[u8]) -> Result<Unit, String> {
        let config = &job.configuration;
        let size = (config.width, config.height);
        let coded = config.codec == Codec::H264 && !config.full_chroma;
        let mut fresh = self.last.replace(size) != Some(size);
        if coded && !self.h264.as_ref().is_some_and(|coder| coder.can_become(config)) {
            self.h264 = None;
            self.h264 = Some(OpenH264::open(config)?);
            fresh = true;
        }
        self.references.invalidate(&job.invalid);
        let goes_back = settings().goes_back;
        let source = if job.key || fresh {
            Source::Nothing
        } else {
            self.references.source(if goes_back { job.long_term } else { 0 })
        };
        let oldest = self.references.oldest().unwrap_or(job.timestamp);
        let unit = match &mut self.h264 {
            Some(coder) if coded => coder.code(job, pixels, source, oldest)?,
            _ => stand_in(job, pixels, source),
        };
        let room = config.references.saturating_sub(config.long_term);
        self.references.coded(job.timestamp, source == Source::Nothing, job.mark, room);
        Ok(unit)
    }
}

/// The digest of a picture.
fn stand_in(job: &Job, pixels: &[u8], source: Source) -> Unit {
    let config = &job.configuration;
    let key = source == Source::Nothing;
    let mut digest = Sha256::new();
    job.layout.visible(pixels).for_each(|row| digest.update(row));
    let text = format!(
        "{}x{} {} ts={} sha256={}",
        config.width,
        config.height,
        job.layout.format.name(),
        job.timestamp,
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    );
    let sets = (key && config.repeat) || job.parameter_sets || job.number == 0;
    let filling = filling(config, text.len());
    let (bytes, slices) = match config.codec {
        Codec::Av1 => obus(config, key, sets, &text, &filling),
        codec => nals(codec, config, key, sets, &text, &filling),
    };
    let kind = match (key, job.refresh) {
        (true, _) => IDR,
        (false, 0) => P,
        (false, _) => INTRA_REFRESH,
    };
    Unit { kind, ..Unit::of(job, bytes, slices, source) }
}

/// What is added to each slice's text of this length, so that the picture takes its part of the bit rate.
/// No more than it fits into an output with.
fn filling(config: &Configuration, text: usize) -> String {
    let (numerator, denominator) = config.rate;
    let budget =
        u64::from(config.bitrate) / 8 * u64::from(denominator) / u64::from(numerator.max(1));
    let most = u64::from(config.width) * u64::from(config.height) / 2;
    let slice = budget.min(most) as usize / config.slices.max(1) as usize;
    format!(" {}", ".".repeat(slice.saturating_sub(text)))
}

/// NAL units of H.264 or HEVC. A text has no zero byte, hence nothing that needs an emulation prevention byte.
fn nals(
    codec: Codec,
    config: &Configuration,
    key: bool,
    sets: bool,
    text: &str,
    filling: &str,
) -> (Vec<u8>, Vec<u32>) {
    let hevc = codec == Codec::Hevc;
    let mut bytes = Vec::new();
    let nal = |bytes: &mut Vec<u8>, kind: u8, text: &str| {
        bytes.extend([0, 0, 0, 1]);
        if hevc {
            // Layer 0, temporal id 0 (H.265, 7.3.1.2).
            bytes.extend([kind << 1, 1]);
        } else {
            // nal_ref_idc 3 (H.264, 7.3.1).
            bytes.push(3 << 5 | kind);
        }
        // It begins with a 1, as the first slice of a picture does in HEVC.
        bytes.push(0x80);
        bytes.extend(text.bytes());
        // rbsp_trailing_bits.
        bytes.push(0x80);
    };
    if sets {
        let kinds: &[u8] = if hevc { &[32, 33, 34] } else { &[7, 8] };
        kinds.iter().for_each(|kind| nal(&mut bytes, *kind, "nearlight stand-in"));
    }
    let kind = match (hevc, key) {
        // IDR_N_LP, TRAIL_R.
        (true, true) => 20,
        (true, false) => 1,
        (false, true) => 5,
        (false, false) => 1,
    };
    let mut slices = Vec::new();
    for slice in 0..config.slices {
        slices.push(bytes.len() as u32);
        nal(&mut bytes, kind, &format!("slice={slice} {text}{filling}"));
    }
    (bytes, slices)
}

/// OBUs of AV1, all with their sizes.
fn obus(
    config: &Configuration,
    key: bool,
    sets: bool,
    text: &str,
    filling: &str,
) -> (Vec<u8>, Vec<u32>) {
    // OBU_SEQUENCE_HEADER, OBU_TEMPORAL_DELIMITER, OBU_FRAME_HEADER, OBU_TILE_GROUP (AV1, 6.2.2).
    const SEQUENCE: u8 = 1;
    const DELIMITER: u8 = 2;
    const FRAME: u8 = 3;
    const TILES: u8 = 4;
    let mut bytes = Vec::new();
    let obu = |bytes: &mut Vec<u8>, kind: u8, payload: &[u8]| {
        // obu_has_size_field.
        bytes.push(kind << 3 | 0b10);
        let mut size = payload.len();
        while size > 0x7f {
            bytes.push(0x80 | (size & 0x7f) as u8);
            size >>= 7;
        }
        bytes.push(size as u8);
        bytes.extend(payload);
    };
    obu(&mut bytes, DELIMITER, &[]);
    if sets {
        obu(&mut bytes, SEQUENCE, b"nearlight stand-in");
    }
    // show_existing_frame 0, frame_type KEY_FRAME or INTER_FRAME, show_frame 1 (AV1, 5.9.2).
    obu(&mut bytes, FRAME, &[if key { 0b0001_0000 } else { 0b0011_0000 }]);
    let mut slices = Vec::new();
    for tile in 0..config.slices {
        slices.push(bytes.len() as u32);
        obu(&mut bytes, TILES, format!("tile={tile} {text}{filling}").as_bytes());
    }
    (bytes, slices)
}
