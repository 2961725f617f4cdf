//! What this process has at a moment, with what is below it and what its sandboxes have on the host; and who is in namespaces
//! that were seen. For tests that are alone in their process.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nearlight_host::confine::Mark;
use nearlight_host::confine::cgroup::Tree;
use nearlight_host::confine::processes::{self, Stat};

/// Names of a folder; none where it is not there, or its owner is gone meanwhile.
pub fn names(folder: impl Into<PathBuf>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder.into()) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The namespaces of a process.
fn namespaces(pid: u32) -> BTreeSet<String> {
    let folder = PathBuf::from(format!("/proc/{pid}/ns"));
    names(&folder)
        .into_iter()
        .filter_map(|name| Some(fs::read_link(folder.join(name)).ok()?.to_str()?.to_owned()))
        .collect()
}

/// The namespaces of these processes that this one is not in.
pub fn inside(all: &[Stat]) -> BTreeSet<String> {
    let own = namespaces(std::process::id());
    all.iter().flat_map(|of| namespaces(of.pid)).filter(|name| !own.contains(name)).collect()
}

/// What is there of this process and below it.
#[derive(Debug, PartialEq, Eq)]
pub struct Footprint {
    pub threads: usize,
    pub descriptors: usize,
    pub processes: usize,
    pub mounts: usize,
    pub groups: usize,
    pub files: usize,
    pub sockets: usize,
}

impl Footprint {
    /// Now; sandboxes have their folders in `run`.
    pub fn of(run: &Path) -> Self {
        let mark = Mark::own().unwrap().to_string();
        // By the path that sockets in it are bound by.
        let run = run.canonicalize().unwrap().join(&mark);
        let groups = Tree::find(&Mark::own().unwrap())
            .map(|tree| tree.folders().flat_map(names).filter(|name| name.contains(&mark)).count());
        let lines_with = |file: &str, text: &str| {
            fs::read_to_string(file).unwrap().lines().filter(|line| line.contains(text)).count()
        };
        Self {
            threads: names("/proc/self/task").len(),
            descriptors: names("/proc/self/fd").len(),
            processes: processes::below(std::process::id()).len(),
            mounts: lines_with("/proc/self/mountinfo", ""),
            groups: groups.unwrap_or(0),
            files: names(&run).len(),
            sockets: lines_with("/proc/net/unix", run.to_str().unwrap()),
        }
    }

    /// Whether there is no more of anything. Less is no leak: a list that is read while some of it ends may lack others.
    pub fn is_within(&self, before: &Self) -> bool {
        let all = |of: &Self| {
            [of.threads, of.descriptors, of.processes, of.mounts, of.groups, of.files, of.sockets]
        };
        all(self).iter().zip(all(before)).all(|(now, before)| *now <= before)
    }
}

/// Now, in clock ticks from boot: when a thread began that is made for this.
pub fn now() -> u64 {
    let own = || Stat::parse(&fs::read_to_string("/proc/thread-self/stat").unwrap()).unwrap().start;
    std::thread::spawn(own).join().unwrap()
}

/// Processes anywhere that are in one of these namespaces, and began before it was over with its sandbox: numbers of
/// namespaces are used again, by others on this machine too.
pub fn left(inside: &BTreeMap<String, u64>) -> Vec<Stat> {
    let pids = names("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    let stats =
        pids.filter_map(|pid| Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?));
    let is_ours = |stat: &Stat| {
        let namespaces = namespaces(stat.pid);
        namespaces.iter().any(|name| inside.get(name).is_some_and(|over| stat.start <= *over))
    };
    stats.filter(is_ours).collect()
}

/// Which of these namespaces this process has open.
pub fn held(inside: &BTreeMap<String, u64>) -> Vec<PathBuf> {
    let fds = names("/proc/self/fd").into_iter();
    let targets = fds.filter_map(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).ok());
    targets.filter(|target| target.to_str().is_some_and(|name| inside.contains_key(name))).collect()
}
