//! Which encoders a session may use, best first, and why each of the others is not used.
//!
//! Pure: decided from what probing found, what the session needs and what the operator wishes, and
//! from nothing else. It must never open an encoder. Used wrongly (with verdicts of another machine)
//! a session gets an encoder that cannot keep up, or none.
//!
//! The order is: the codecs as the operator has them, within a codec hardware before software, within
//! both the table's own order. In the order of use, what is started anew for a new bit rate or a keyframe
//! comes after the others of its codec: its stream stops for it.

use std::time::Duration;

use media::{
    BitDepth, Codec, CodecSet, EncoderCapabilities, FrameRate, PixelFormat, Restarts, Size,
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::candidates::Candidate;
use crate::probe::row;

/// Part of a frame's interval that an encoder in software may take, in percent. The rest is for
/// drawing, converting and sending the picture, which share the processor with it.
const SHARE_OF_INTERVAL: u32 = 60;

/// Which candidates may be used, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// The only one to use; none takes the best that works.
    pub pinned: Option<String>,
    /// Never to be used, and not even opened.
    pub forbidden: Vec<String>,
    /// Codecs, best first. One that is not among them is never used.
    pub codecs: Vec<Codec>,
}

impl Default for Preference {
    /// H.264 first: every browser decodes it in hardware.
    fn default() -> Self {
        Self {
            pinned: None,
            forbidden: Vec::new(),
            codecs: vec![Codec::H264, Codec::H265, Codec::Av1, Codec::Vp9, Codec::Vp8],
        }
    }
}

impl Preference {
    /// Whether a candidate may be opened at all.
    pub fn allows(&self, name: &str, codec: Codec) -> bool {
        self.forbids(name, codec).is_none()
    }

    /// Which setting forbids a candidate, and which one contradicts that.
    fn forbids(&self, name: &str, codec: Codec) -> Option<String> {
        let setting = if self.forbidden.iter().any(|forbidden| forbidden == name) {
            "video.forbid_encoders names it".to_owned()
        } else if !self.codecs.contains(&codec) {
            format!("video.codecs has no {}", codec.config_name())
        } else {
            return None;
        };
        let asked = match self.pinned.as_deref() {
            Some(pinned) if pinned == name => ", while video.encoder asks for it",
            _ => "",
        };
        Some(format!("forbidden by configuration: {setting}{asked}"))
    }
}

/// How long an encoder takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Microseconds of encoding for a million pixels of NV12, the least of the pictures that were tried.
    pub micros_per_megapixel: u32,
    /// The same of HDR10 in P010; none where it takes none, or could not be tried at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ten_bits: Option<u32>,
}

impl Cost {
    /// The less of both in each: what else the machine does can only add to it.
    pub(crate) fn least(self, other: Self) -> Self {
        let ten_bits = [self.ten_bits, other.ten_bits].into_iter().flatten().min();
        let micros_per_megapixel = self.micros_per_megapixel.min(other.micros_per_megapixel);
        Self { micros_per_megapixel, ten_bits }
    }

    /// Time for a picture of this layout and size, taking it to grow with the pixels. Where ten bits were
    /// not measured they are taken to cost as much as eight.
    pub fn of_picture(self, format: PixelFormat, size: Size) -> Duration {
        let micros = match format.depth() {
            BitDepth::Eight => self.micros_per_megapixel,
            BitDepth::Ten => self.ten_bits.unwrap_or(self.micros_per_megapixel),
        };
        let micros = u64::from(micros).saturating_mul(size.pixels());
        Duration::from_micros(micros / 1_000_000)
    }
}

/// Pictures that an encoder takes, and what it does with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepts {
    /// Layouts.
    #[serde(with = "row::formats")]
    pub formats: SmallVec<[PixelFormat; 4]>,
    /// Least width and least height.
    pub smallest: Size,
    /// Largest picture, lying or standing.
    pub largest: Size,
    /// Whether it makes losses good by waves of intra blocks where that is asked for.
    pub waves: bool,
    /// What it says that it is started anew for, or what it was found to ignore while it runs.
    pub restarts: Restarts,
}

impl Accepts {
    /// What the capabilities say of it.
    pub fn of(capabilities: &EncoderCapabilities) -> Self {
        Self {
            formats: capabilities.formats.clone(),
            smallest: capabilities.smallest,
            largest: capabilities.largest,
            waves: capabilities.waves,
            restarts: capabilities.restarts,
        }
    }

    fn takes(&self, demand: &Demand) -> Result<(), String> {
        let format = demand.format;
        if !self.formats.contains(&format) {
            return Err(format!("takes pictures as {:?}, not as {format:?}", self.formats));
        }
        if demand.waves && !self.waves {
            return Err("has no intra refresh".into());
        }
        let sizes = EncoderCapabilities {
            smallest: self.smallest,
            largest: self.largest,
            ..EncoderCapabilities::plain("", Codec::H264)
        };
        if sizes.takes_size(demand.size) {
            return Ok(());
        }
        let (size, smallest, largest) = (demand.size, self.smallest, self.largest);
        Err(format!("takes pictures of {smallest} to {largest}, not of {size}"))
    }
}

/// What came of trying a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It coded pictures.
    Works {
        /// How long it took for them.
        cost: Cost,
        /// What else it takes.
        accepts: Accepts,
    },
    /// It said that it cannot be used, and why.
    Declined {
        /// Why.
        reason: String,
    },
    /// It crashed, hung or answered nonsense: another try may end otherwise.
    Unanswered {
        /// Which of these.
        reason: String,
    },
    /// It had no session to give, since others held as many as it has: another try may end otherwise.
    Busy {
        /// What it said.
        reason: String,
    },
    /// It failed in a way that may pass, such as for want of memory: another try may end otherwise.
    Failed {
        /// How.
        reason: String,
    },
    /// It was not tried: it must not be used.
    #[serde(skip)]
    Untried,
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
    /// What came of trying it.
    pub outcome: Outcome,
    /// It works, but had no session to give when it was asked last: with so many open by this process.
    pub full: Option<u32>,
}

impl Verdict {
    /// What came of trying this candidate.
    pub fn of(candidate: &Candidate, outcome: Outcome) -> Self {
        let Candidate { name, codec, hardware, .. } = *candidate;
        Self { name, codec, hardware, outcome, full: None }
    }

    /// Whether it coded pictures.
    pub fn works(&self) -> bool {
        matches!(self.outcome, Outcome::Works { .. })
    }

    /// How long it takes, where it works.
    pub fn cost(&self) -> Option<Cost> {
        match self.outcome {
            Outcome::Works { cost, .. } => Some(cost),
            _ => None,
        }
    }

    /// What it has to be started anew for, where it works.
    pub fn restarts(&self) -> Restarts {
        match &self.outcome {
            Outcome::Works { accepts, .. } => accepts.restarts,
            _ => Restarts::NONE,
        }
    }

    /// `ok`, or why it cannot be used.
    pub fn reason(&self) -> &str {
        match &self.outcome {
            Outcome::Works { .. } => "ok",
            Outcome::Declined { reason }
            | Outcome::Unanswered { reason }
            | Outcome::Busy { reason }
            | Outcome::Failed { reason } => reason,
            Outcome::Untried => "not tried",
        }
    }
}

/// What a session needs of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Coded size.
    pub size: Size,
    /// Pictures a second.
    pub rate: FrameRate,
    /// Layout of the pictures as they come to the encoder.
    pub format: PixelFormat,
    /// Losses are to be made good by waves of intra blocks.
    pub waves: bool,
    /// What the client decodes.
    pub decodes: CodecSet,
    /// The encoder that the session has already, which needs no more room in its hardware.
    pub holds: Option<&'static str>,
}

/// Whether a candidate may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Usable,
    /// Yes, but after the others of its codec: it is started anew for what they do while they run, which
    /// this says.
    Restarts(&'static str),
    /// Only where nothing else is left, since it does not keep up.
    LastResort {
        /// What a picture takes.
        picture: Duration,
        /// The same in words.
        reason: String,
    },
    /// No, for this reason.
    Declined(String),
}

/// A candidate in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Its name.
    pub name: &'static str,
    /// Its codec.
    pub codec: Codec,
    /// Whether it may be used.
    pub standing: Standing,
}

/// Every candidate, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    ranked: Vec<Ranked>,
}

impl Choice {
    /// All of them, best first.
    pub fn ranked(&self) -> &[Ranked] {
        &self.ranked
    }

    /// What is to be used, in order: the later ones replace one that fails in a session. Those that are
    /// started anew come after the others of their codec, and those that do not keep up last of all, the
    /// quickest first. Empty where none can be used.
    pub fn usable(&self) -> Vec<&'static str> {
        let mut names = Vec::with_capacity(self.ranked.len());
        for codec in self.ranked.chunk_by(|one, other| one.codec == other.codec) {
            let usable = codec.iter().filter(|each| each.standing == Standing::Usable);
            names.extend(usable.map(|each| each.name));
            let restart = codec.iter().filter(|each| each.restarts());
            names.extend(restart.map(|each| each.name));
        }
        let mut slow: Vec<_> = self.ranked.iter().filter_map(Ranked::last_resort).collect();
        slow.sort_by_key(|(picture, _)| *picture);
        names.extend(slow.into_iter().map(|(_, name)| name));
        names
    }

    /// What a session begins with.
    pub fn chosen(&self) -> Option<&'static str> {
        self.usable().first().copied()
    }

    /// Those that would be used before what is chosen, or in its place, if they kept up.
    pub fn too_slow(&self) -> Vec<&'static str> {
        let chosen = self.chosen();
        let after = self.ranked.iter().position(|each| Some(each.name) == chosen);
        let better = self.ranked.iter().take(after.map_or(0, |chosen| chosen + 1));
        better.filter_map(|each| Some(each.last_resort()?.1)).collect()
    }

    /// Why each candidate that is better than `used` is not used, a line each.
    pub fn declined(&self, used: &str) -> Vec<String> {
        let better = self.ranked.iter().take_while(|each| each.name != used);
        better.filter_map(|each| Some(format!("{}: {}", each.name, each.reason()?))).collect()
    }

    /// Why every candidate is not used that is not, in one line.
    pub fn reasons(&self) -> String {
        if self.ranked.is_empty() {
            return "this build has none".into();
        }
        self.declined("").join("; ")
    }

    /// Where `used` does not keep up with the pictures: that, by how much, and why it is used. Where it is
    /// started anew: what for.
    pub fn caveat(&self, used: &str) -> Option<String> {
        let used = self.ranked.iter().find(|each| each.name == used)?;
        match &used.standing {
            Standing::LastResort { reason, .. } => {
                Some(format!("used although it {reason}: nothing better is left"))
            }
            Standing::Restarts(what) => Some(format!("used although it {what}")),
            Standing::Usable | Standing::Declined(_) => None,
        }
    }
}

impl Ranked {
    /// Why it is not used, or others before it; none where nothing is against it.
    pub fn reason(&self) -> Option<&str> {
        match &self.standing {
            Standing::Usable => None,
            Standing::Restarts(reason) => Some(reason),
            Standing::LastResort { reason, .. } | Standing::Declined(reason) => Some(reason),
        }
    }

    fn restarts(&self) -> bool {
        matches!(self.standing, Standing::Restarts(_))
    }

    fn last_resort(&self) -> Option<(Duration, &'static str)> {
        match self.standing {
            Standing::LastResort { picture, .. } => Some((picture, self.name)),
            Standing::Usable | Standing::Restarts(_) | Standing::Declined(_) => None,
        }
    }
}

/// Says of every candidate in `table` whether a session that needs `demand` may use it.
pub fn choose(table: &[Verdict], demand: &Demand, preference: &Preference) -> Choice {
    let rank = |codec| preference.codecs.iter().position(|each| *each == codec);
    let mut order: Vec<_> = table.iter().collect();
    // Stable: within these the table's order stays. A codec that is left out comes last.
    order.sort_by_key(|verdict| {
        (rank(verdict.codec).unwrap_or(usize::MAX), std::cmp::Reverse(verdict.hardware))
    });
    let ranked = order.into_iter().map(|verdict| Ranked {
        name: verdict.name,
        codec: verdict.codec,
        standing: standing(verdict, demand, preference).unwrap_or_else(Standing::Declined),
    });
    Choice { ranked: ranked.collect() }
}

/// What a candidate is good for, or why for nothing.
fn standing(
    verdict: &Verdict,
    demand: &Demand,
    preference: &Preference,
) -> Result<Standing, String> {
    if let Some(reason) = preference.forbids(verdict.name, verdict.codec) {
        return Err(reason);
    }
    let Outcome::Works { cost, accepts } = &verdict.outcome else {
        return Err(verdict.reason().into());
    };
    if preference.pinned.as_deref().is_some_and(|name| name != verdict.name) {
        return Err("works, but is not the one asked for".into());
    }
    if !demand.decodes.contains(verdict.codec) {
        let depth = match demand.format.depth() {
            BitDepth::Eight => "",
            BitDepth::Ten => " in 10 bits a sample",
        };
        return Err(format!("the client does not decode {}{depth}", verdict.codec.rtp_name()));
    }
    accepts.takes(demand)?;
    if let Some(open) = verdict.full.filter(|_| demand.holds != Some(verdict.name)) {
        return Err(match open {
            0 => "has no session to give: others hold all of them".to_owned(),
            _ => format!("has no session to give while {open} of this node's are open"),
        });
    }
    let (picture, interval) = (cost.of_picture(demand.format, demand.size), demand.rate.interval());
    let restarts = in_words(accepts.restarts);
    if verdict.hardware || picture <= interval * SHARE_OF_INTERVAL / 100 {
        return Ok(restarts.map_or(Standing::Usable, Standing::Restarts));
    }
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let mut reason = format!(
        "takes {:.1} ms for a picture of {}, more than {SHARE_OF_INTERVAL}% of the {:.1} ms between two",
        millis(picture),
        demand.size,
        millis(interval)
    );
    if let Some(restarts) = restarts {
        reason = format!("{reason}, and {restarts}");
    }
    Ok(Standing::LastResort { picture, reason })
}

/// What an encoder is started anew for, if it is for something.
const fn in_words(restarts: Restarts) -> Option<&'static str> {
    match restarts {
        Restarts { rate: false, keyframe: false } => None,
        Restarts { rate: true, keyframe: false } => {
            Some("is started anew for each new bit rate, which it does not take while it runs")
        }
        Restarts { rate: false, keyframe: true } => {
            Some("is started anew for each keyframe, which it does not make on request")
        }
        Restarts { rate: true, keyframe: true } => {
            Some("is started anew for each new bit rate and each keyframe")
        }
    }
}

#[cfg(test)]
mod tests;
