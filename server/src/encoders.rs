//! The encoders of the node: what is known of each, which a session gets, and trying one again.
//!
//! ```text
//!  start ──▶ remembered, or tried ──▶ known ──▶ choose(session) ──▶ candidates of the session
//!                                      ▲                                   │ one breaks there
//!                                      └── tried again, until it works ◀───┘
//! ```
//!
//! Hardware may have fewer sessions to give than the node has: the session that gets none takes the next
//! candidate, and so does every session after it until one is given back, by a session of the node or, as
//! trying again finds, by another process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use encoder::probe::{Limits, Places};
use encoder::{
    Cache, Candidate, ChildProber, Choice, Demand, Encoders, InProcess, Preference, Prober,
    SelectError,
};
use media::{BitDepth, Codec, CodecSet, PictureKind};
use prometheus_client::metrics::gauge::Gauge;

use crate::apps::VideoMode;
use crate::config::{Config, ResilienceName};
use crate::wire;

mod again;
mod broken;

pub(crate) use broken::Broken;

/// The file in the state folder that verdicts are remembered in.
const CACHE: &str = "encoders.json";
/// Slices of a picture that encoders in software code side by side at most.
const SLICES: usize = 4;
/// The command of ours that tries candidates; their names follow.
pub(crate) const PROBE_COMMAND: &str = "probe-encoders";
/// How long a candidate is left alone between two tries, at first; see [`again`].
const RETRY: Duration = Duration::from_secs(10);

/// How candidates are tried.
pub struct Probing {
    /// Those that there are.
    pub candidates: Vec<Candidate>,
    /// What tries them.
    pub prober: Arc<dyn Prober>,
    /// Where verdicts are remembered; nowhere, if none.
    pub cache: Option<Cache>,
    /// Least time between two tries of a candidate that broke.
    pub retry: Duration,
}

impl Probing {
    /// In this process, remembering nothing: for hosts and tests whose drivers are sound.
    pub fn in_process() -> Self {
        Self {
            candidates: encoder::candidates(),
            prober: Arc::new(InProcess),
            cache: None,
            retry: RETRY,
        }
    }

    /// In children that run `program`, which is this one, with the preset of its sessions, remembering in the
    /// state folder.
    pub fn in_children(program: PathBuf, config: &Config) -> Self {
        let file = config.server.state_dir.join(CACHE);
        let speed = config.video.preset.speed();
        let cache = Cache::new(file, &Places::system(program.clone())).at(speed);
        let software = config.video.probe_limit.get();
        let hardware = software.max(Limits::default().hardware);
        let prober = ChildProber {
            program,
            arguments: vec![PROBE_COMMAND.into()],
            limits: Limits { software, hardware },
            speed,
        };
        Self { prober: Arc::new(prober), cache: Some(cache), ..Self::in_process() }
    }
}

/// How the configuration wishes encoders.
pub(crate) fn preference(config: &Config) -> Preference {
    let video = &config.video;
    Preference {
        pinned: Some(&video.encoder).filter(|name| *name != "auto").cloned(),
        forbidden: video.forbid_encoders.clone(),
        codecs: video.codecs.iter().map(|codec| codec.codec()).collect(),
    }
}

/// What a session needs of what has no pictures of its own, where nobody asks for others; its client may decode anything.
pub(crate) fn usual(config: &Config) -> Demand {
    let video = &config.video;
    let VideoMode { size, rate, .. } = video.usual();
    Demand {
        size,
        rate,
        format: PictureKind::NV12.format,
        waves: video.resilience == ResilienceName::IntraRefresh,
        decodes: CodecSet::of(&Codec::ALL),
        holds: None,
    }
}

/// Each candidate as the interface shows it, best first, for a session with this demand.
pub(crate) fn reports(encoders: &Encoders, demand: &Demand) -> Vec<wire::EncoderReport> {
    let choice = encoders.choose(demand);
    let chosen = choice.chosen();
    let report = |ranked: &encoder::choice::Ranked| {
        let verdict = encoders.table().iter().find(|verdict| verdict.name == ranked.name)?;
        let chosen = chosen == Some(ranked.name);
        let caveat = choice.caveat(ranked.name).filter(|_| chosen);
        Some(wire::EncoderReport {
            name: ranked.name.into(),
            codec: verdict.codec.rtp_name().into(),
            hardware: verdict.hardware,
            verdict: caveat.unwrap_or_else(|| ranked.reason().unwrap_or("ok").into()),
            chosen,
            us_per_megapixel: verdict.cost().map(|cost| cost.micros_per_megapixel),
            us_per_megapixel_hdr: verdict.cost().and_then(|cost| cost.ten_bits),
        })
    };
    choice.ranked().iter().filter_map(report).collect()
}

/// Names of codecs, for people.
fn names(set: CodecSet) -> String {
    let held = Codec::ALL.into_iter().filter(|codec| set.contains(*codec));
    held.map(Codec::rtp_name).collect::<Vec<_>>().join(", ")
}

/// See the module.
pub struct NodeEncoders {
    known: RwLock<Encoders>,
    prober: Arc<dyn Prober>,
    cache: Option<Cache>,
    retry: Duration,
    usual: Demand,
    /// Candidates that are being tried again, or were just now, and whether that was asked for once more
    /// since the try began.
    trying: Mutex<BTreeMap<&'static str, bool>>,
    /// How often each worked when it was tried again.
    passed: Mutex<BTreeMap<&'static str, u64>>,
    /// Held while what is known is written.
    storing: Mutex<()>,
}

impl NodeEncoders {
    /// Tries all candidates that are not remembered. Blocks.
    ///
    /// # Errors
    /// When a name in the configuration is unknown, or nothing can be used for an ordinary session.
    pub(crate) fn open(probing: Probing, config: &Config) -> Result<Self, SelectError> {
        let Probing { candidates, prober, cache, retry } = probing;
        let started = Instant::now();
        let preference = preference(config);
        let mut known = Encoders::probe(candidates, preference, prober.as_ref(), cache.as_ref())?;
        let usual = usual(config);
        if known.usable(&known.choose(&usual)).is_err() {
            // Nobody would try them beside the sessions, of which there would be none.
            known.try_remembered(prober.as_ref());
            if let Some(cache) = &cache {
                cache.store(&known.known());
            }
        }
        let (took, remembered) = (started.elapsed(), known.nothing_was_tried());
        let choice = known.choose(&usual);
        known.usable(&choice)?;
        tracing::info!(?took, remembered, encoder = choice.chosen(), "encoders are known");
        for line in choice.declined(choice.chosen().unwrap_or_default()) {
            tracing::info!(reason = line, "encoder declined");
        }
        Ok(Self {
            known: RwLock::new(known),
            prober,
            cache,
            retry,
            usual,
            trying: Mutex::default(),
            passed: Mutex::default(),
            storing: Mutex::default(),
        })
    }

    /// What is known now. A change is one assignment, so a panic elsewhere leaves it whole.
    fn known(&self) -> std::sync::RwLockReadGuard<'_, Encoders> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a session with such pictures needs for a client that decodes these.
    pub(crate) fn demand(&self, video: VideoMode, kind: PictureKind, decodes: CodecSet) -> Demand {
        let VideoMode { size, rate, .. } = video;
        Demand { size, rate, format: kind.format, decodes, ..self.usual }
    }

    /// Time of the cores that coding such pictures takes per second at most with this encoder; none where hardware does it.
    pub(crate) fn coding(&self, name: &str, demand: &Demand) -> Duration {
        let known = self.known();
        let verdict = known.table().iter().find(|verdict| verdict.name == name);
        let cost = verdict.filter(|verdict| !verdict.hardware).and_then(encoder::Verdict::cost);
        // What was measured is time that passed, while each slice was coded by a core of its own.
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(SLICES);
        cost.map_or(Duration::ZERO, |cost| {
            let picture = cost.of_picture(demand.format, demand.size);
            picture.mul_f64(demand.rate.as_f64() * cores as f64)
        })
    }

    fn trying(&self) -> MutexGuard<'_, BTreeMap<&'static str, bool>> {
        self.trying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The candidates that a session begins with, in order of use, and why.
    ///
    /// # Errors
    /// [`SelectError::NoneUsable`].
    pub fn choose(&self, demand: &Demand) -> Result<(Choice, Vec<Candidate>), SelectError> {
        let known = self.known();
        let choice = known.choose(demand);
        let usable = known.usable(&choice)?;
        Ok((choice, usable))
    }

    /// The same for a client. They are of one codec, which is what a connection has: one that breaks in a
    /// session can only be replaced by another of the same. Those that `broke` in its session come in as
    /// [`Broken`] says.
    ///
    /// # Errors
    /// [`SelectError::NoneUsable`].
    pub(crate) fn choose_for_client(
        &self,
        demand: &Demand,
        broke: &Broken,
    ) -> Result<(Choice, Vec<Candidate>), SelectError> {
        let (choice, usable) = self.choose(demand)?;
        let left = broke.leave(usable, |name| self.passed(name));
        if left.is_empty() {
            let lost = choice.usable().join(", ");
            let reasons = format!("{lost} broke more than once in this session");
            return Err(SelectError::NoneUsable { reasons, pinned: None });
        }
        Ok((choice, left))
    }

    /// What is told to a client that gets none of the encoders for this demand.
    pub(crate) fn nothing_for(&self, demand: &Demand) -> String {
        let (encoder, within, bits) = match demand.format.depth() {
            BitDepth::Eight => ("video encoder", "", 8),
            BitDepth::Ten => ("video encoder of 10 bits a sample", " in 10 bits a sample", 10),
        };
        if demand.decodes == CodecSet::default() {
            return format!("the client decodes no video of {bits} bits a sample");
        }
        if self.choose(demand).is_ok() {
            return format!("what this node codes{within} for the client broke in its session");
        }
        let any = Demand { decodes: CodecSet::of(&Codec::ALL), ..*demand };
        match self.choose(&any) {
            Ok((_, ours)) => {
                let ours: Vec<_> = ours.into_iter().map(|candidate| candidate.codec).collect();
                let (ours, theirs) = (names(CodecSet::of(&ours)), names(demand.decodes));
                format!("this node can code {ours}{within}; the client decodes {theirs}")
            }
            // They broke since the session began.
            Err(_) => {
                let reasons = self.known().choose(&any).reasons();
                format!("no {encoder} can be used: {reasons}")
            }
        }
    }

    /// The same for a session that asks for nothing out of the ordinary.
    ///
    /// # Errors
    /// As [`Self::choose`].
    pub fn usual(&self) -> Result<(Choice, Vec<Candidate>), SelectError> {
        self.choose(&self.usual)
    }

    /// Each candidate, best first, for an ordinary session.
    pub(crate) fn reports(&self) -> Vec<wire::EncoderReport> {
        reports(&self.known(), &self.usual)
    }

    /// Candidates that failed in a way that may have been chance, and those that are too slow to be used: the machine may
    /// have had something else to do when they were tried.
    pub(crate) fn doubtful(&self) -> Vec<&'static str> {
        let known = self.known();
        let mut doubtful = known.doubtful();
        doubtful.extend(known.choose(&self.usual).too_slow());
        doubtful
    }

    /// An encoder broke in the session whose broken ones these are.
    pub(crate) fn broke(&self, name: &'static str, broken: &mut Broken) {
        broken.add(name, self.passed(name));
    }

    fn passed(&self, name: &str) -> u64 {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.get(name).copied().unwrap_or_default()
    }

    /// A session got this encoder, and has it until what is returned is dropped.
    pub(crate) fn session(self: &Arc<Self>, name: &'static str, open: Gauge) -> EncoderSession {
        open.inc();
        let hardware = self.known().candidate(name).is_some_and(|candidate| candidate.hardware);
        EncoderSession { name, encoders: self.clone(), open, hardware }
    }

    /// A candidate had no session to give, with `open` of them open by this node.
    pub(crate) fn session_refused(&self, name: &str, open: u32) {
        self.change(|known| known.session_refused(name, open));
    }

    /// Whether a candidate is left out for want of a session, so that a later session may get one.
    pub(crate) fn is_full(&self) -> bool {
        self.known().is_full()
    }

    /// The same of one of them.
    fn is_full_of(&self, name: &str) -> bool {
        self.known().is_full_of(name)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Encoders) -> T) -> T {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An encoder that a session has. Dropping it says that the session of the hardware was given back, if it
/// is one of hardware.
pub(crate) struct EncoderSession {
    name: &'static str,
    encoders: Arc<NodeEncoders>,
    /// Sessions that have this encoder.
    open: Gauge,
    hardware: bool,
}

impl EncoderSession {
    /// The candidate.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl Drop for EncoderSession {
    fn drop(&mut self) {
        if self.hardware {
            self.encoders.change(Encoders::session_ended);
        }
        // Who sees the count may count on the rest.
        self.open.dec();
    }
}

#[cfg(test)]
mod tests;
