//! The ordered table of encoders, and which of them work here.
//!
//! Every candidate is opened and codes one picture, so that the table says what is true on this
//! machine and not what is installed. It must never know sessions. Probing takes tens of
//! milliseconds and loads plugins: do it once at start, not per session.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use media::{
    Bitrate, Codec, CpuImage, EncodeOptions, Encoder, FrameId, FrameRate, Picture, PixelFormat,
    Plane, Size, UnitKind,
};
use smallvec::smallvec;
use thiserror::Error;

pub use crate::settings::EncoderSettings;
use crate::wake::{BlockingEncoder, Wake};

/// Why an encoder could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What it needs is not installed.
    #[error("missing: {0}")]
    Missing(String),
    /// It is there, but does not take the settings.
    #[error("refused: {0}")]
    Refused(String),
    /// It works, but has no session to give: others hold as many as it has.
    #[error("busy: {reason}; {open} of its sessions are open here")]
    Busy {
        /// What it answered.
        reason: String,
        /// Sessions of this process.
        open: u32,
    },
}

/// Opens an encoder on the calling thread, which is the one that it is used and dropped on. The
/// [`Wake`] is for encoders whose units come later.
pub type Open =
    dyn Fn(&EncoderSettings, &Wake) -> Result<Box<dyn Encoder>, OpenError> + Send + Sync;

/// One way to code video.
#[derive(Clone)]
pub struct Candidate {
    /// Its name in the configuration, in metrics and on the page.
    pub name: &'static str,
    /// The codec.
    pub codec: Codec,
    /// Whether it runs on dedicated hardware.
    pub hardware: bool,
    /// Opens it.
    pub open: Arc<Open>,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate")
            .field("name", &self.name)
            .field("codec", &self.codec)
            .field("hardware", &self.hardware)
            .finish_non_exhaustive()
    }
}

/// Every encoder in this build, best first.
///
/// NVENC comes first: it leaves the processor to the sessions. x264 comes before OpenH264: it takes
/// about two thirds of the processor time for the same pictures (`examples/measure.rs` at 1280x720)
/// and keeps to a VBV of one frame.
pub fn candidates() -> Vec<Candidate> {
    vec![
        crate::nvenc::candidate(crate::nvenc::Libraries::system()),
        Candidate {
            name: crate::x264::NAME,
            codec: Codec::H264,
            hardware: false,
            open: Arc::new(|settings, _| {
                Ok(Box::new(crate::x264::X264Encoder::open(settings)?) as Box<dyn Encoder>)
            }),
        },
        Candidate {
            name: crate::openh264::NAME,
            codec: Codec::H264,
            hardware: false,
            open: Arc::new(|settings, _| {
                Ok(Box::new(crate::openh264::OpenH264Encoder::open(settings)?) as Box<dyn Encoder>)
            }),
        },
    ]
}

/// Which candidates may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preference {
    /// The only one to use; none takes the first that works.
    pub pinned: Option<String>,
    /// Never to be used, and not even opened.
    pub forbidden: Vec<String>,
}

/// What is known of a candidate on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The candidate's name.
    pub name: &'static str,
    /// The codec.
    pub codec: Codec,
    /// Whether it runs on dedicated hardware.
    pub hardware: bool,
    /// Whether it coded a picture.
    pub ok: bool,
    /// `ok`, or why it cannot be used.
    pub reason: String,
}

/// The result of probing.
#[derive(Clone, Debug)]
pub struct Selection {
    /// What is used, best first; never empty. The later ones replace one that fails at run time.
    pub usable: Vec<Candidate>,
    /// Every candidate, in the table's order.
    pub table: Vec<Verdict>,
}

impl Selection {
    /// The encoder that a new session gets.
    pub fn chosen(&self) -> &Candidate {
        &self.usable[0]
    }
}

/// Why there is no encoder.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The configuration names an encoder that this build does not have.
    #[error("there is no encoder named {name:?}; this build has {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// None can be used.
    #[error("no video encoder can be used: {}", reasons(table, pinned.as_deref()))]
    NoneUsable {
        /// Every candidate with its reason.
        table: Vec<Verdict>,
        /// The one that was asked for.
        pinned: Option<String>,
    },
}

fn reasons(table: &[Verdict], pinned: Option<&str>) -> String {
    let reasons = table.iter().map(|verdict| {
        let reason =
            if verdict.ok { "works, but is not the one asked for" } else { &verdict.reason };
        format!("{}: {reason}", verdict.name)
    });
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    match pinned {
        Some(name) => format!("{name} was asked for ({reasons})"),
        None if table.is_empty() => "this build has none".into(),
        None => reasons,
    }
}

/// Opens and tries every candidate that is not forbidden.
///
/// # Errors
/// [`SelectError`] when a name is unknown or no candidate is left.
pub fn select(
    candidates: Vec<Candidate>,
    preference: &Preference,
) -> Result<Selection, SelectError> {
    let known: Vec<_> = candidates.iter().map(|candidate| candidate.name).collect();
    // An unknown forbidden name is refused too: a typo would silently allow what was forbidden.
    for name in preference.pinned.iter().chain(&preference.forbidden) {
        if !known.contains(&name.as_str()) {
            return Err(SelectError::Unknown { name: name.clone(), known });
        }
    }
    let table: Vec<_> = candidates
        .iter()
        .map(|candidate| {
            let forbidden = preference.forbidden.iter().any(|name| name == candidate.name);
            let result =
                if forbidden { Err("forbidden by configuration".into()) } else { probe(candidate) };
            Verdict {
                name: candidate.name,
                codec: candidate.codec,
                hardware: candidate.hardware,
                ok: result.is_ok(),
                reason: result.err().unwrap_or_else(|| "ok".into()),
            }
        })
        .collect();
    let usable: Vec<_> = candidates
        .into_iter()
        .zip(&table)
        .filter(|(candidate, verdict)| {
            verdict.ok && preference.pinned.as_deref().is_none_or(|name| name == candidate.name)
        })
        .map(|(candidate, _)| candidate)
        .collect();
    if usable.is_empty() {
        return Err(SelectError::NoneUsable { table, pinned: preference.pinned.clone() });
    }
    Ok(Selection { usable, table })
}

/// Size of the picture that a candidate must code: small, and above what hardware encoders take as
/// their least.
const PROBE_SIZE: Size = Size::new(320, 192);
/// How long its unit may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opens the candidate and codes one grey picture, which must come out as a keyframe.
fn probe(candidate: &Candidate) -> Result<(), String> {
    let settings = EncoderSettings::new(PROBE_SIZE, FrameRate::fps(30), Bitrate::from_mbps(1));
    let attempt = || {
        let mut encoder = BlockingEncoder::open(candidate, &settings, PATIENCE)
            .map_err(|error| error.to_string())?;
        let stride = PROBE_SIZE.width as usize;
        let grey = vec![128; stride * PROBE_SIZE.height as usize * 3 / 2];
        let (luma, chroma) = grey.split_at(stride * PROBE_SIZE.height as usize);
        let picture = Picture::Cpu(CpuImage {
            format: PixelFormat::Nv12,
            size: PROBE_SIZE,
            planes: smallvec![Plane { data: luma, stride }, Plane { data: chroma, stride },],
        });
        let options = EncodeOptions { keyframe: true, strip: None };
        let encoded =
            encoder.encode(FrameId(0), &picture, options).map_err(|error| error.to_string())?;
        if encoded.kind != UnitKind::Key || encoded.data.is_empty() {
            return Err("its first picture was not a keyframe".to_owned());
        }
        Ok(())
    };
    // A panic here is a bug of ours, but no reason to stream nothing when another one works.
    catch_unwind(AssertUnwindSafe(attempt))
        .unwrap_or_else(|panic| Err(format!("panicked: {}", crate::panic_text(&*panic))))
}
