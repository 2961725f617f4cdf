//! Control groups: what bounds, halts and counts the processes of a sandbox.
//!
//! Version 2 where its controllers are delegated to the node, version 1 where those are writable, or
//! nothing with the reason. Groups lie in the node's own group, so that what bounds the node bounds them;
//! their names carry the node's [`Mark`], by which those of a node that crashed are found and removed.

mod find;
mod group;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use group::{Group, Usage};

use super::mark::Mark;
use super::spec::Limits;

/// What all names begin with.
const PREFIX: &str = "nearlight-";
/// How long a leftover may take to end.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(2);
/// How long between two looks at what the kernel does by itself.
const LOOK: Duration = Duration::from_millis(2);

/// The interface of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    One,
    /// One for all.
    Two,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "cgroup v1",
            Self::Two => "cgroup v2",
        })
    }
}

/// A part of the kernel that bounds or counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Processor time.
    Cpu,
    /// What of it was used; a part of the one above in version 2.
    CpuAccounting,
    /// Memory.
    Memory,
    /// The number of processes and threads.
    Processes,
    /// Halting; always there in version 2.
    Freezer,
}

impl Controller {
    const ALL: [Self; 5] =
        [Self::Cpu, Self::CpuAccounting, Self::Memory, Self::Processes, Self::Freezer];

    /// As `/proc/self/cgroup` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::Memory => "memory",
            Self::Processes => "pids",
            Self::Freezer => "freezer",
        }
    }
}

/// Where groups are made.
#[derive(Clone, Debug)]
pub struct Tree {
    version: Version,
    /// The folder of the node's own group, for each controller.
    bases: BTreeMap<Controller, PathBuf>,
    missing: Vec<String>,
    mark: Mark,
}

impl Tree {
    /// Looks for what this process may use.
    ///
    /// # Errors
    /// Why that is nothing.
    pub fn find(mark: &Mark) -> Result<Self, String> {
        let read = |path| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        find::tree(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?, mark)
    }

    /// Which interface it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether this controller is there.
    pub fn has(&self, controller: Controller) -> bool {
        self.bases.contains_key(&controller)
    }

    /// Controllers that are not there, with the reason.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// What was found, in words for operators: what bounds games, or that and why nothing does.
    pub(super) fn in_words(found: &Result<Self, String>) -> Result<String, String> {
        match found {
            Ok(tree) if tree.missing.is_empty() => Ok(tree.version.to_string()),
            Ok(tree) => Ok(format!("{}, without {}", tree.version, tree.missing.join(", "))),
            Err(reason) => Err(format!("limits unavailable: {reason}")),
        }
    }

    /// Makes a group with these limits.
    ///
    /// # Errors
    /// When the kernel refuses; nothing is left of it.
    pub fn make(&self, id: &str, limits: &Limits) -> io::Result<Group> {
        Group::make(self, &format!("{PREFIX}{}-{id}", self.mark), limits)
    }

    /// Removes the groups of nodes that are gone, with every process in them. Returns how many there were.
    pub fn remove_leftovers(&self) -> usize {
        let mut names: Vec<String> = self.folders().flat_map(|base| leftovers(&base)).collect();
        names.sort();
        names.dedup();
        for name in &names {
            let group = Group::open(self, name);
            let until = Instant::now() + LEFTOVER_PATIENCE;
            let removed = group.kill().and_then(|()| group.remove(until));
            match removed {
                Ok(()) => {
                    tracing::warn!(group = name, "removed what a node that is gone left");
                }
                Err(error) => {
                    tracing::warn!(group = name, %error, "a group of a node that is gone stays");
                }
            }
        }
        names.len()
    }

    /// The folders that groups are made in, each once: version 1 may have several controllers in one,
    /// version 2 has all.
    pub fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let mut folders: Vec<PathBuf> = self.bases.values().cloned().collect();
        folders.sort();
        folders.dedup();
        folders.into_iter()
    }
}

fn leftovers(base: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| {
            let mark = name.strip_prefix(PREFIX).and_then(Mark::split);
            mark.is_some_and(|(mark, _)| !mark.is_alive())
        })
        .collect()
}

/// Looks again and again until it is so.
fn wait_until(until: Instant, mut is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    while !is_so()? {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
