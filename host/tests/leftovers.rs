//! What a node that crashed left behind. Alone in its process: every start removes it, also those of other
//! tests.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail and speak as tests do"
)]

mod common;

use common::{bed, bed_with, eventually};
use nearlight_host::confine::Mark;
use nearlight_host::confine::cgroup::Tree;

#[test]
fn what_a_node_that_crashed_left_behind_is_removed() {
    let Some(bed) = bed() else { return };
    let dead = "00000000-1-2";
    std::fs::create_dir_all(bed.run.path().join(dead).join("game/etc")).unwrap();
    let tree = Tree::find(&Mark::own().unwrap());
    let mut left = Vec::new();
    if let Ok(tree) = &tree {
        // A process in it, as one that was halted when its node went.
        let mut child = std::process::Command::new("/bin/sleep").arg("100000").spawn().unwrap();
        for base in tree.folders() {
            let group = base.join(format!("nearlight-{dead}-test{}", std::process::id()));
            // A node of another program's tests that starts meanwhile removes it, and ends what is in it.
            while child.try_wait().unwrap().is_none() {
                if let Err(error) = std::fs::create_dir(&group) {
                    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{error}");
                }
                let joined = std::fs::write(group.join("cgroup.procs"), child.id().to_string());
                if joined.is_ok() {
                    break;
                }
                assert!(!group.exists(), "{joined:?}");
            }
            left.push(group);
        }
        tree.remove_leftovers();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
        // What took longer to end than is waited for leaves its group to the next start.
        eventually("its groups are gone", || {
            tree.remove_leftovers();
            left.iter().all(|group| !group.exists()).then_some(())
        });
    }
    let Some(_) = bed_with(|config| config.run = bed.run.path().into()) else { return };
    assert!(!bed.run.path().join(dead).exists());
}
