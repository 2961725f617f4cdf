//! Many whole sessions of hosted games in a row leave nothing behind: in real sandboxes, by real connections, each ended in
//! another way than the one before. Alone in its process: it counts threads, descriptors, processes, mounts, control groups,
//! sockets and files. Left out where this machine gives no sandboxes, unless `NEARLIGHT_HOST` says that it must.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    reason = "helpers of tests fail and speak as tests do; each test file uses its part"
)]

extern crate host as nearlight_host;
extern crate transport as nearlight_transport;

#[path = "../hosted/bed.rs"]
mod bed;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../../host/tests/common/footprint.rs"]
mod footprint;
#[path = "../player/mod.rs"]
mod player;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use bed::{Bed, bed};
use common::{PATIENCE, until};
use footprint::Footprint;
use tokio::runtime::Handle;

/// Versions that the node keeps of what its player keeps.
const VERSIONS: usize = 3;
/// So much lies below its saves then: a folder of the player's, one of the game's, its lock, and of each version a folder with two
/// files.
const MOST_KEPT: usize = 3 + 3 * VERSIONS;

/// Nothing changes in so many looks: longer than the runtime keeps a thread without work.
const STILL: u32 = 50;
const LOOK: Duration = Duration::from_millis(10);

/// How many after one of each: two of each, or as many as `make soak` asks for.
fn cycles(ways: usize) -> usize {
    std::env::var("NEARLIGHT_CYCLES").map_or(2 * ways, |number| number.parse().unwrap())
}

/// What is there of the node.
#[derive(Debug, PartialEq, Eq)]
struct There {
    process: Footprint,
    /// Of its runtime, which are its clients', too.
    tasks: usize,
    /// Below its saves.
    kept: usize,
    /// In the rest of its state folder, but for what games took: one file for all, which comes once any was measured.
    files: usize,
}

impl There {
    fn is_within(&self, before: &Self) -> bool {
        self.process.is_within(&before.process)
            && self.tasks <= before.tasks
            && self.kept <= MOST_KEPT
            && self.files <= before.files
    }
}

/// How much there is below a folder.
fn below(folder: &Path) -> usize {
    footprint::names(folder).into_iter().map(|name| 1 + below(&folder.join(name))).sum()
}

/// A node whose sessions are counted.
struct Cycles {
    bed: Bed,
    tasks: Handle,
    sessions: usize,
    /// Pages of the diary.
    pages: usize,
    /// Namespaces of the session that is played.
    seen: BTreeSet<String>,
    /// Those of all before it, with when each was over.
    inside: BTreeMap<String, u64>,
}

impl Cycles {
    fn there(&self) -> There {
        let (state, saves) = (self.bed.state.path(), self.bed.state.path().join("saves"));
        let others = footprint::names(state).into_iter();
        let others = others.filter(|name| !["saves", "games.json"].contains(&name.as_str()));
        There {
            process: Footprint::of(self.bed.run.path()),
            tasks: self.tasks.metrics().num_alive_tasks(),
            kept: below(&saves),
            files: others.map(|name| 1 + below(&state.join(name))).sum(),
        }
    }

    /// The same once nothing changes: what was the last session's goes a moment later.
    async fn settled(&self) -> There {
        let (mut last, mut looks) = (self.there(), 0);
        until("nothing changes any more", async || {
            let now = self.there();
            looks = if now == last { looks + 1 } else { 0 };
            last = now;
            (looks == STILL).then_some(())
        })
        .await;
        last
    }

    /// Waits until there is no more than before.
    async fn settles(&self, before: &There, after: &str) {
        let (mut now, end) = (self.there(), Instant::now() + PATIENCE);
        while !now.is_within(before) && Instant::now() < end {
            tokio::time::sleep(LOOK).await;
            now = self.there();
        }
        assert!(now.is_within(before), "after {after}: {now:?}, before: {before:?}");
    }
}

#[test]
fn many_hosted_sessions_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Or the pool's own patience of ten seconds would be waited for after each.
        .thread_keep_alive(Duration::from_millis(100))
        .enable_all()
        .build()
        .unwrap();
    let tasks = runtime.handle().clone();
    runtime.block_on(async {
        // One place: a session that did not give its place back would refuse the next. Gamepads are sockets, whatever the
        // kernel has.
        let versions = format!("saves.versions={VERSIONS}");
        let codecs = "video.codecs=[\"h264\"]";
        let settings = ["sessions.max=1", "games.devices=off", codecs, versions.as_str()];
        let Some(bed) = bed(&settings, &ways::games(), |_| {}).await else { return };
        let (seen, inside) = (BTreeSet::new(), BTreeMap::new());
        let mut all = Cycles { bed, tasks, sessions: 0, pages: 0, seen, inside };
        let ways = all.ways().await;
        // What stays for good: the allocator's arenas, and what is opened once.
        for way in &ways {
            all.one(*way, 0).await;
        }
        let before = all.settled().await;
        let Footprint { processes, groups, files, sockets, .. } = before.process;
        assert_eq!((processes, groups, files, sockets), (1, 0, 0, 0), "this process alone");
        for number in 0..cycles(ways.len()) {
            let (way, round) = (ways[number % ways.len()], 1 + number / ways.len());
            all.one(way, round).await;
            all.settles(&before, &format!("{number}, {way:?}")).await;
        }
        // A list that is read while some of it ends may lack others, and what is late to go goes.
        let mut looks = 0;
        until("there is no more than before", async || {
            looks = if all.there().is_within(&before) { looks + 1 } else { 0 };
            (looks == STILL).then_some(())
        })
        .await;
        until("nobody is left in the namespaces", async || {
            footprint::left(&all.inside).is_empty().then_some(())
        })
        .await;
        let held = footprint::held(&all.inside);
        assert!(held.is_empty(), "{held:?}");
        let node = all.bed.node();
        assert!(node.registry.live().is_empty());
        let started = format!("nearlight_sessions_started_total {}", all.sessions);
        let metrics = node.metrics.encode().unwrap();
        assert!(metrics.lines().any(|line| line == started), "{started}: {metrics}");
        all.bed.server.shut_down().await;
    });
}
