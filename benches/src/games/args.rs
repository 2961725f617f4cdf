//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;

/// Measures hosted games end to end; see the top of benches/src/games/main.rs.
#[derive(Debug, Clone, Parser, Serialize)]
pub(crate) struct Args {
    /// Run only these sections, with commas between.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Section>,
    /// Runs of each section; figures are medians of them.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Length of each measurement, after its warm-up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Seconds of a session that are not measured: the rate climbs.
    #[arg(long, default_value_t = 5)]
    pub(crate) warmup: u64,
    /// Most kilobits a second of a session.
    #[arg(long, default_value_t = 8_000)]
    pub(crate) kbps: u32,
    /// Keys of the sections `input` and `browser`.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub(crate) keys: u32,
    /// Starts of the section `start`.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) starts: u32,
    /// Extra sessions of the section `footprint`.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=12))]
    pub(crate) extra: u32,
    /// Have the games of this process shown by Xorg, as those are that are played with several fingers.
    #[arg(long)]
    pub(crate) xorg: bool,
    /// Write everything, each run by itself, to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Fail with status 3 when a target is missed.
    #[arg(long)]
    pub(crate) strict: bool,
    /// What this process is when the bench started it.
    #[arg(long, hide = true, value_enum)]
    pub(crate) child: Option<Child>,
}

/// Processes that the bench starts from its own binary, so that only what they do is in their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Child {
    /// Serves until its standard input ends.
    Node,
    /// The same with x264's quickest preset.
    QuickNode,
    /// The same with the preset of apps that do not say how they move.
    SearchingNode,
    /// Opens encoders one by one and says what it takes.
    Codec,
}

/// A part of the bench that can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Section {
    Capture,
    Input,
    Browser,
    Start,
    Density,
    Footprint,
    Selkies,
}

impl Section {
    /// Its name on the command line and at the head of its figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Input => "input",
            Self::Browser => "browser",
            Self::Start => "start",
            Self::Density => "density",
            Self::Footprint => "footprint",
            Self::Selkies => "selkies",
        }
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
        let args = Args::parse_from(["bench-games", "--only", "start,capture"]);
        assert_eq!(args.sections(), [Section::Capture, Section::Start]);
        assert_eq!(Args::parse_from(["bench-games"]).sections().len(), 7);
    }
}
