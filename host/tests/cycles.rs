//! Many sandboxes in a row leave nothing behind. Alone in its process: it counts threads, descriptors,
//! processes and mounts.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak as tests do"
)]

mod common;
#[path = "common/footprint.rs"]
mod footprint;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use common::{Bed, LONG, bed, ended, eventually, shell, spec, suspend, until};
use footprint::Footprint;
use nearlight_host::Game as _;
use nearlight_host::confine::{Network, Phase, processes};

/// Nothing changes in so many looks.
const STILL: u32 = 100;

/// How many: twenty, or as many as `make soak` asks for.
fn cycles() -> u32 {
    std::env::var("NEARLIGHT_CYCLES").map_or(20, |number| number.parse().unwrap())
}

/// What is there once nothing changes: a thread that was joined may be there a moment longer.
fn settled(bed: &Bed) -> Footprint {
    let (mut last, mut looks) = (Footprint::of(bed.run.path()), 0);
    eventually("nothing changes any more", || {
        let now = Footprint::of(bed.run.path());
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
        (looks == STILL).then_some(())
    });
    last
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
    let inside = footprint::inside(&all);
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
        let over = footprint::now();
        inside.extend(namespaces.into_iter().map(|name| (name, over)));
        let (mut now, end) = (Footprint::of(bed.run.path()), Instant::now() + LONG);
        while !now.is_within(&before) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
            now = Footprint::of(bed.run.path());
        }
        assert!(now.is_within(&before), "after {number}: {now:?}, before: {before:?}");
    }
    // A list that is read while some of it ends may lack others, and what is late to go goes.
    let mut looks = 0;
    eventually("there is no more than before", || {
        let is_within = Footprint::of(bed.run.path()).is_within(&before);
        looks = if is_within { looks + 1 } else { 0 };
        (looks == STILL).then_some(())
    });
    eventually("nobody is left in the namespaces", || {
        footprint::left(&inside).is_empty().then_some(())
    });
    let held = footprint::held(&inside);
    assert!(held.is_empty(), "{held:?}");
}
