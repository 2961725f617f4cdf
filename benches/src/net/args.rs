//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use media::Bitrate;
use serde::Serialize;
use testkit::net::{Scenario, TcpKind};

/// Measures the transports over emulated networks; see the top of benches/src/net/main.rs.
#[derive(Debug, Clone, Parser, Serialize)]
pub(crate) struct Args {
    /// Run only these scenarios, with commas between.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Run scenarios only over these transports, with commas between.
    #[arg(long, value_delimiter = ',')]
    pub(crate) over: Vec<String>,
    /// Runs of each scenario; figures are medians of them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) runs: u64,
    /// Length of each run.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=600))]
    pub(crate) seconds: u64,
    /// Viewers of one session in the section `viewers`.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    viewers: u16,
    /// Most megabits a second that a session may send.
    #[arg(long, default_value_t = 30)]
    pub(crate) ceiling: u64,
    /// Write everything, each run by itself, to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Fail with status 3 when a target is missed.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// What a session shares its link with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// Nobody.
    None,
    /// Another session.
    Session,
    /// A bulk transfer.
    Tcp(TcpKind),
}

/// A row of the table: a network, and who else uses it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) scenario: Scenario,
    pub(crate) rival: Rival,
}

/// Sections beside the table.
pub(crate) const SECTIONS: [&str; 3] = ["wires", "viewers", "streams"];
/// The longest that these measure, in seconds: nothing in them changes with time.
const MANY_SECONDS: u64 = 15;

/// Those that share the steady link.
const SHARED: [(&str, Rival); 3] = [
    ("two", Rival::Session),
    ("cubic", Rival::Tcp(TcpKind::Cubic)),
    ("reno", Rival::Tcp(TcpKind::Reno)),
];

impl Args {
    pub(crate) const fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(crate) const fn ceiling(&self) -> Bitrate {
        Bitrate::from_mbps(self.ceiling)
    }

    /// What to run, in the order of printing.
    ///
    /// # Errors
    /// When a name is unknown.
    pub(crate) fn cases(&self) -> anyhow::Result<Vec<Case>> {
        let alone = Scenario::all(self.length()).map(|scenario| Case {
            name: scenario.name,
            scenario,
            rival: Rival::None,
        });
        let steady = Scenario::named("steady", self.length());
        let shared = SHARED
            .into_iter()
            .filter_map(|(name, rival)| Some(Case { name, scenario: steady.clone()?, rival }));
        let all: Vec<_> = alone.chain(shared).collect();
        for name in &self.only {
            let known = all.iter().map(|case| case.name).chain(SECTIONS);
            if !known.clone().any(|known| known == name) {
                let names: Vec<_> = known.collect();
                anyhow::bail!("no scenario {name:?}; there are {}", names.join(", "));
            }
        }
        Ok(all.into_iter().filter(|case| self.wants(case.name)).collect())
    }

    /// Whether this scenario or section is to run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// How many watch.
    pub(crate) fn viewers(&self) -> usize {
        self.viewers.into()
    }

    /// How long each round of a section measures.
    pub(crate) fn many_length(&self) -> Duration {
        Duration::from_secs(self.seconds.min(MANY_SECONDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_run_in_order_and_unknown_ones_are_refused() {
        let args = Args::parse_from(["bench-net", "--only", "two,step,fibre"]);
        let names: Vec<_> = args.cases().unwrap().iter().map(|case| case.name).collect();
        assert_eq!(names, ["fibre", "step", "two"]);
        assert_eq!(Args::parse_from(["bench-net"]).cases().unwrap().len(), 19);
        assert!(Args::parse_from(["bench-net", "--only", "moon"]).cases().is_err());
    }
}
