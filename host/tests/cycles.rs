//! Many sandboxes in a row leave nothing behind. Alone in its process: it counts threads, descriptors,
//! processes and mounts.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak as tests do"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Bed, LONG, bed, ended, eventually, shell, spec, suspend, until};
use nearlight_host::Game as _;
use nearlight_host::confine::cgroup::Tree;
use nearlight_host::confine::processes::{self, Stat};
use nearlight_host::confine::{Mark, Network, Phase};

/// Nothing changes in so many looks.
const STILL: u32 = 100;

/// How many: twenty, or as many as `make soak` asks for.
fn cycles() -> u32 {
    std::env::var("NEARLIGHT_CYCLES").map_or(20, |number| number.parse().unwrap())
}

/// Names of a folder; none where it is not there, or its owner is gone meanwhile.
fn names(folder: impl Into<PathBuf>) -> Vec<String> {
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

/// What is there of this process and below it.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    threads: usize,
    descriptors: usize,
    processes: usize,
    mounts: usize,
    groups: usize,
    files: usize,
    sockets: usize,
}

impl Footprint {
    /// Whether there is no more of anything. Less is no leak: a list that is read while some of it ends may lack others.
    fn is_within(&self, before: &Self) -> bool {
        let all = |of: &Self| {
            [of.threads, of.descriptors, of.processes, of.mounts, of.groups, of.files, of.sockets]
        };
        all(self).iter().zip(all(before)).all(|(now, before)| *now <= before)
    }
}

fn footprint(bed: &Bed) -> Footprint {
    let mark = Mark::own().unwrap().to_string();
    let run = bed.run.path().join(&mark);
    let groups = Tree::find(&Mark::own().unwrap())
        .map(|tree| tree.folders().flat_map(names).filter(|name| name.contains(&mark)).count());
    let lines_with = |file: &str, text: &str| {
        fs::read_to_string(file).unwrap().lines().filter(|line| line.contains(text)).count()
    };
    Footprint {
        threads: names("/proc/self/task").len(),
        descriptors: names("/proc/self/fd").len(),
        processes: processes::below(std::process::id()).len(),
        mounts: lines_with("/proc/self/mountinfo", ""),
        groups: groups.unwrap_or(0),
        files: names(&run).len(),
        sockets: lines_with("/proc/net/unix", run.to_str().unwrap()),
    }
}

/// The same once nothing changes: a thread that was joined may be there a moment longer.
fn settled(bed: &Bed) -> Footprint {
    let (mut last, mut looks) = (footprint(bed), 0);
    eventually("nothing changes any more", || {
        let now = footprint(bed);
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
        (looks == STILL).then_some(())
    });
    last
}

/// Now, in clock ticks from boot: when a thread began that is made for this.
fn now() -> u64 {
    let own = || Stat::parse(&fs::read_to_string("/proc/thread-self/stat").unwrap()).unwrap().start;
    std::thread::spawn(own).join().unwrap()
}

/// Processes anywhere that are in one of these namespaces, and began before it was over with its sandbox: numbers of
/// namespaces are used again, by others on this machine too.
fn left(inside: &BTreeMap<String, u64>) -> Vec<Stat> {
    let pids = names("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    let stats =
        pids.filter_map(|pid| Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?));
    let is_ours = |stat: &Stat| {
        let namespaces = namespaces(stat.pid);
        namespaces.iter().any(|name| inside.get(name).is_some_and(|over| stat.start <= *over))
    };
    stats.filter(is_ours).collect()
}

/// How many give games the internet.
fn passts() -> usize {
    let all = processes::below(std::process::id());
    let name = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    all.iter().filter(|of| name(of.pid).starts_with("passt")).count()
}

/// One from its start to its end, which comes in a different way every time. Its namespaces.
fn one(bed: &Bed, number: u32) -> BTreeSet<String> {
    let mut with = spec(&format!("cycle-{number}"));
    // Every other one, where games can have it here.
    let internet = number % 2 == 1 && bed.confinement.found().offers.internet.is_ok();
    with.network = if internet { Network::Internet } else { Network::None };
    let sandbox = bed.start(&with);
    if number.is_multiple_of(5) {
        // Before it is known whether it works at all.
        return BTreeSet::new();
    }
    until(&sandbox, &Phase::Waiting);
    assert_eq!(passts(), usize::from(internet), "{number}");
    let outermost = sandbox.pid().unwrap();
    let all = processes::below(outermost);
    assert!(all.len() >= 3, "bubblewrap, the first process and the X server: {all:?}");
    let own = namespaces(std::process::id());
    let inside: BTreeSet<_> =
        all.iter().flat_map(|of| namespaces(of.pid)).filter(|name| !own.contains(name)).collect();
    assert!(inside.len() >= 5, "{inside:?}");
    match number % 5 {
        1 => sandbox.launch(shell("echo over; sleep 100000 & exit 0")),
        2 => {
            sandbox.launch(shell("echo x > /dev/shm/x; ipcmk -M 4096; exec sleep 100000"));
            until(&sandbox, &Phase::Running);
            suspend(&sandbox);
            sandbox.stop();
        }
        3 => {
            sandbox.launch(shell("setsid sleep 100000 & exec sleep 100000"));
            until(&sandbox, &Phase::Running);
            // Dropped while it runs.
            return inside;
        }
        _ => sandbox.stop(),
    }
    let end = ended(&sandbox);
    assert!(end.gone, "{end:?}");
    inside
}

#[test]
fn many_sandboxes_leave_nothing_behind() {
    let Some(bed) = bed() else { return };
    // What stays for good: the allocator's arenas, and what is opened once.
    for number in 0..5 {
        one(&bed, number);
    }
    let before = settled(&bed);
    assert_eq!((before.files, before.groups, before.sockets), (0, 0, 0));
    let mut inside = BTreeMap::new();
    for number in 0..cycles() {
        let namespaces = one(&bed, number);
        let over = now();
        inside.extend(namespaces.into_iter().map(|name| (name, over)));
        let (mut now, end) = (footprint(&bed), Instant::now() + LONG);
        while !now.is_within(&before) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
            now = footprint(&bed);
        }
        assert!(now.is_within(&before), "after {number}: {now:?}, before: {before:?}");
    }
    // A list that is read while some of it ends may lack others, and what is late to go goes.
    let mut looks = 0;
    eventually("there is no more than before", || {
        looks = if footprint(&bed).is_within(&before) { looks + 1 } else { 0 };
        (looks == STILL).then_some(())
    });
    eventually("nobody is left in the namespaces", || left(&inside).is_empty().then_some(()));
    for fd in names("/proc/self/fd") {
        let target = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        assert!(!inside.contains_key(target.to_str().unwrap_or_default()), "{target:?}");
    }
}
