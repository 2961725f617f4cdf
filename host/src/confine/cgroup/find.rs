//! Which groups this process may make.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Controller, Mark, PREFIX, Tree, Version};

/// What version 2 must have for limits.
const WANTED: [Controller; 3] = [Controller::Cpu, Controller::Memory, Controller::Processes];

/// From the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
pub(super) fn tree(mounts: &str, own: &str, mark: &Mark) -> Result<Tree, String> {
    let of_two = match second(mounts, own) {
        Some(base) => match prepare(&base, mark) {
            Ok(()) => return Ok(all_in(&base, mark)),
            Err(reason) => format!("cgroup v2 at {}: {reason}", base.display()),
        },
        None => "cgroup v2 is not mounted".to_owned(),
    };
    let (mut bases, mut missing) = (BTreeMap::new(), Vec::new());
    for controller in Controller::ALL {
        match first(mounts, own, controller) {
            Some(base) => match writable(&base) {
                Ok(()) => {
                    bases.insert(controller, base);
                }
                Err(error) => missing.push(format!("{}: {error}", base.display())),
            },
            None => missing.push(format!("{} is not mounted", controller.name())),
        }
    }
    if WANTED.iter().any(|controller| bases.contains_key(controller)) {
        return Ok(Tree { version: Version::One, bases, missing, mark: mark.clone() });
    }
    Err(format!("{of_two}; cgroup v1: {}", missing.join(", ")))
}

fn all_in(base: &Path, mark: &Mark) -> Tree {
    let bases = Controller::ALL.map(|controller| (controller, base.to_owned())).into();
    Tree { version: Version::Two, bases, missing: Vec::new(), mark: mark.clone() }
}

/// This process's folder in the hierarchy of a controller of version 1.
fn first(mounts: &str, own: &str, controller: Controller) -> Option<PathBuf> {
    let has = |list: &str| list.split(',').any(|name| name == controller.name());
    let path = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        has(controllers).then_some(path)
    })?;
    mount(mounts, |kind, options| kind == "cgroup" && has(options)).map(|at| inside(at, path))
}

/// This process's folder in version 2.
fn second(mounts: &str, own: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mount(mounts, |kind, _| kind == "cgroup2").map(|at| inside(at, path))
}

/// Root and place of the first mount of this type and with these options (`proc_pid_mountinfo(5)`).
fn mount(mounts: &str, is_it: impl Fn(&str, &str) -> bool) -> Option<(&str, &str)> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (name, options) = (kind.next()?, kind.nth(1)?);
        let mut place = place.split(' ').skip(3);
        let at = (place.next()?, place.next()?);
        is_it(name, options).then_some(at)
    })
}

/// Paths are told from the hierarchy's root; a container sees a part of it mounted.
fn inside((root, at): (&str, &str), path: &str) -> PathBuf {
    let path = Path::new(path);
    let rest = path.strip_prefix(root).unwrap_or(Path::new(""));
    Path::new(at).join(rest)
}

/// Whether groups can be made there, by making one.
fn writable(base: &Path) -> io::Result<()> {
    static TRIALS: AtomicU32 = AtomicU32::new(0);
    let number = TRIALS.fetch_add(1, Ordering::Relaxed);
    let trial = base.join(format!("{PREFIX}trial-{}-{number}", std::process::id()));
    fs::create_dir(&trial)?;
    fs::remove_dir(&trial)
}

/// Hands the controllers on to groups below.
fn prepare(base: &Path, mark: &Mark) -> Result<(), String> {
    let have = fs::read_to_string(base.join("cgroup.controllers")).map_err(|e| e.to_string())?;
    let lacks = |list: &str| {
        let names: Vec<_> = list.split_whitespace().collect();
        WANTED.into_iter().find(|controller| !names.contains(&controller.name()))
    };
    if let Some(controller) = lacks(&have) {
        return Err(format!("it has no {} controller", controller.name()));
    }
    writable(base).map_err(|error| error.to_string())?;
    let subtree = base.join("cgroup.subtree_control");
    if lacks(&fs::read_to_string(&subtree).map_err(|e| e.to_string())?).is_none() {
        return Ok(());
    }
    let enable = || fs::write(&subtree, "+cpu +memory +pids");
    match enable() {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            // A group that has groups with controllers may hold no process: this one moves below.
            let node = base.join(format!("{PREFIX}{mark}-node"));
            let own = std::process::id().to_string();
            let moved = fs::create_dir(&node)
                .and_then(|()| fs::write(node.join("cgroup.procs"), &own))
                .and_then(|()| enable());
            moved.map_err(|error| {
                let back = fs::write(base.join("cgroup.procs"), &own);
                let removed = back.and_then(|()| fs::remove_dir(&node));
                let rest = removed.err().map(|e| format!(" ({e})")).unwrap_or_default();
                format!(
                    "other processes are in it, so its controllers cannot be handed on: {error}{rest}"
                )
            })
        }
        other => other.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    const MOUNTS: &str = "\
22 1 253:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 /docker/abc /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
";
    const OWN: &str = "8:memory:/docker/abc/node\n3:cpu,cpuacct:/user\n0::/\n";

    #[test]
    fn folders_of_controllers_are_found() {
        let first = |controller| first(MOUNTS, OWN, controller);
        assert_eq!(first(Controller::Cpu), Some("/sys/fs/cgroup/cpu,cpuacct/user".into()));
        assert_eq!(first(Controller::CpuAccounting), first(Controller::Cpu));
        assert_eq!(first(Controller::Memory), Some("/sys/fs/cgroup/memory/node".into()));
        assert_eq!(first(Controller::Freezer), None);
        assert_eq!(second(MOUNTS, OWN), Some("/sys/fs/cgroup/unified/".into()));
        assert_eq!(second(MOUNTS, "1:cpu:/\n"), None);
    }

    #[test]
    fn nothing_is_found_in_nothing_and_the_reason_says_so() {
        let mark = Mark::own().unwrap();
        let reason = tree("", "", &mark).unwrap_err();
        assert!(reason.contains("v2 is not mounted") && reason.contains("memory is not mounted"));
        let words = Tree::in_words(&Err(reason.clone())).unwrap_err();
        assert_eq!(words, format!("limits unavailable: {reason}"));
        tree("x - \n - cgroup2\n1 2 3", "::\n0:", &mark).unwrap_err();
    }

    /// A folder with the files that version 2 has; what is written stays in them.
    fn like_two(controllers: &str) -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("cgroup.controllers"), controllers).unwrap();
        fs::write(base.path().join("cgroup.subtree_control"), "").unwrap();
        base
    }

    #[test]
    fn controllers_of_version_two_are_handed_on() {
        let mark = Mark::own().unwrap();
        let base = like_two("cpuset cpu io memory pids\n");
        let mounts = format!("1 1 0:1 / {} rw - cgroup2 cgroup2 rw", base.path().display());
        let found = tree(&mounts, "0::/\n", &mark).unwrap();
        assert_eq!((found.version(), found.missing().len()), (Version::Two, 0));
        let handed = fs::read_to_string(base.path().join("cgroup.subtree_control")).unwrap();
        assert_eq!(handed, "+cpu +memory +pids");
    }

    #[test]
    fn a_controller_that_version_two_lacks_is_named() {
        let mark = Mark::own().unwrap();
        let base = like_two("cpu pids hugetlb\n");
        assert_eq!(prepare(base.path(), &mark).unwrap_err(), "it has no memory controller");
    }

    /// Halting and killing need no controller, so machines with both versions show them too.
    #[test]
    fn version_two_halts_and_kills_what_is_in_it() {
        let read = |path| fs::read_to_string(path).unwrap();
        let base = second(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        let Some(base) = base.filter(|base| writable(base).is_ok()) else {
            println!("left out: cgroup v2 cannot be written here");
            return;
        };
        let none = Limits { cpu_millis: None, memory: None, processes: None, open_files: 64 };
        let group = all_in(&base, &Mark::own().unwrap()).make("version-two", &none).unwrap();
        let mut child = std::process::Command::new("/bin/sleep").arg("100000").spawn().unwrap();
        fs::write(group.folder().join("cgroup.procs"), child.id().to_string()).unwrap();
        // It may take longer to begin, and so to be halted, than is waited for: a minute of that.
        let mut tries = 1;
        while let Err(error) = group.freeze() {
            assert!(error.kind() == io::ErrorKind::TimedOut && tries < 30, "{error}");
            tries += 1;
        }
        group.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        group.remove(std::time::Instant::now() + std::time::Duration::from_secs(20)).unwrap();
        assert!(!group.folder().exists());
    }
}
