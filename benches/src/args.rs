//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;

/// Measures Nearlight end to end in a headless Chromium; see the top of benches/src/main.rs.
#[derive(Debug, Clone, Parser, Serialize)]
pub(crate) struct Args {
    /// Run only these sections, with commas between.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Section>,
    /// Runs of each section; figures are medians of them.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Length of each measurement, after its warm-up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Seconds of a session that are not measured: the rate climbs, the resolution settles.
    #[arg(long, default_value_t = 4)]
    pub(crate) warmup: u64,
    /// Most kilobits a second of a session: high enough for good pictures, fixed so that runs compare.
    #[arg(long, default_value_t = 8_000)]
    pub(crate) kbps: u32,
    /// Input events of the section `input`, on each source.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) events: u32,
    /// Starts of the section `start`.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) starts: u32,
    /// Times that each thing happens in the section `resume`.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) resumes: u32,
    /// Extra sessions of the section `memory`.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=12))]
    pub(crate) extra: u32,
    /// Write everything, each run by itself, to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Fail with status 3 when a target is missed.
    #[arg(long)]
    pub(crate) strict: bool,
    /// What this process is when the bench started it.
    #[arg(long, hide = true, value_enum)]
    pub(crate) child: Option<Child>,
    /// The encoder that codes a clip.
    #[arg(long, hide = true)]
    pub(crate) encoder: Option<String>,
    /// The clip, NV12.
    #[arg(long, hide = true)]
    pub(crate) clip: Option<PathBuf>,
    /// Where its stream goes.
    #[arg(long, hide = true)]
    pub(crate) out: Option<PathBuf>,
    /// Pictures of the clip to code.
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) frames: u32,
    /// With the encoder's fastest preset.
    #[arg(long, hide = true)]
    pub(crate) fastest: bool,
    /// Pictures that the encoder holds for recovery beside the newest one, at the most.
    #[arg(long, hide = true, default_value_t = u16::MAX)]
    pub(crate) reach: u16,
    /// Encoders to try.
    #[arg(hide = true)]
    pub(crate) names: Vec<String>,
}

/// Processes that the bench starts from its own binary, so that only what they do is in their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Child {
    /// Serves until its standard input ends.
    Host,
    /// Opens encoders one by one and says what it takes.
    Codec,
    /// Codes a clip from a file into a file.
    Encode,
    /// Tries encoders and says what came of each.
    Probe,
}

/// A part of the bench that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Section {
    Demo,
    #[value(alias = "overhead")]
    Synthetic,
    /// The same by WebTransport.
    Webtransport,
    Encoder,
    Encoders,
    Input,
    Memory,
    Resume,
    Sound,
    Start,
    Weight,
    Still,
}

impl Section {
    /// Its name on the command line and at the head of its figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Synthetic => "synthetic",
            Self::Webtransport => "webtransport",
            Self::Encoder => "encoder",
            Self::Encoders => "encoders",
            Self::Input => "input",
            Self::Memory => "memory",
            Self::Resume => "resume",
            Self::Sound => "sound",
            Self::Start => "start",
            Self::Weight => "weight",
            Self::Still => "still",
        }
    }

    /// Whether this process renders for it. `memory` renders in a process of its own.
    pub(crate) const fn needs_demo(self) -> bool {
        matches!(self, Self::Demo | Self::Input | Self::Start)
    }
}

impl Args {
    /// What to run, in the order of printing.
    pub(crate) fn sections(&self) -> Vec<Section> {
        let all = Section::value_variants().iter().copied();
        all.filter(|section| self.only.is_empty() || self.only.contains(section)).collect()
    }

    /// Length of each measurement.
    pub(crate) const fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// What a session runs before it is measured.
    pub(crate) const fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warmup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_run_in_order_whatever_was_asked_first() {
        let args = Args::parse_from(["latency", "--only", "still,overhead,demo"]);
        assert_eq!(args.sections(), [Section::Demo, Section::Synthetic, Section::Still]);
        assert_eq!(Args::parse_from(["latency"]).sections().len(), 12);
    }
}
