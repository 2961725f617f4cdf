//! One group.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Controller, LOOK, Limits, Tree, Version, wait_until};

/// What a limit on processor time is counted over, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;
/// How long processes may take to be halted: those in the kernel leave it first.
const FREEZE_PATIENCE: Duration = Duration::from_secs(2);

/// What processes have used. `None` where nothing counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, of those that have ended too.
    pub cpu: Option<Duration>,
    /// Bytes of memory now, with files in memory.
    pub memory: Option<u64>,
    /// Processes and threads now.
    pub processes: Option<u32>,
}

/// How often processes met their limits; 0 where nothing counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overruns {
    /// Processes that were killed because the memory was used up.
    pub(crate) killed: u64,
    /// Processes and threads that were refused because there were as many as may be.
    pub(crate) refused: u64,
}

/// A group of processes. It stays until [`remove`](Self::remove).
#[derive(Clone, Debug)]
pub struct Group {
    version: Version,
    folders: BTreeMap<Controller, PathBuf>,
}

impl Group {
    pub(super) fn open(tree: &Tree, name: &str) -> Self {
        let folders = tree.bases.iter().map(|(controller, base)| (*controller, base.join(name)));
        Self { version: tree.version, folders: folders.collect() }
    }

    pub(super) fn make(tree: &Tree, name: &str, limits: &Limits) -> io::Result<Self> {
        let group = Self::open(tree, name);
        // One that is there already is another sandbox's: it must not be shared, nor removed.
        for (number, folder) in group.each().enumerate() {
            if let Err(error) = fs::create_dir(folder) {
                for made in group.each().take(number) {
                    let _ = fs::remove_dir(made);
                }
                return Err(error);
            }
        }
        if let Err(error) = group.limit(limits) {
            let _ = group.remove(Instant::now());
            return Err(error);
        }
        Ok(group)
    }

    /// The folder of the freezer.
    #[cfg(test)]
    pub(super) fn folder(&self) -> &Path {
        &self.folders[&Controller::Freezer]
    }

    /// Each folder once.
    fn each(&self) -> impl Iterator<Item = &PathBuf> {
        let mut folders: Vec<&PathBuf> = self.folders.values().collect();
        folders.sort();
        folders.dedup();
        folders.into_iter()
    }

    fn limit(&self, limits: &Limits) -> io::Result<()> {
        if let Some(millis) = limits.cpu_millis {
            let quota = (u64::from(millis) * PERIOD / 1_000).max(1_000);
            match self.version {
                Version::Two => {
                    self.write(Controller::Cpu, "cpu.max", &format!("{quota} {PERIOD}"))?;
                }
                Version::One => {
                    self.write(Controller::Cpu, "cpu.cfs_period_us", &PERIOD.to_string())?;
                    self.write(Controller::Cpu, "cpu.cfs_quota_us", &quota.to_string())?;
                }
            }
        }
        if let Some(bytes) = limits.memory {
            let bytes = bytes.to_string();
            // Swap counts as memory; kernels without swap accounting have no file for it.
            let (most, swap, with_swap) = match self.version {
                Version::Two => ("memory.max", "memory.swap.max", "0"),
                Version::One => {
                    ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes.as_str())
                }
            };
            self.write(Controller::Memory, most, &bytes)?;
            if self.path(Controller::Memory, swap).is_some_and(|path| path.exists()) {
                self.write(Controller::Memory, swap, with_swap)?;
            }
        }
        if let Some(most) = limits.processes {
            self.write(Controller::Processes, "pids.max", &most.to_string())?;
        }
        Ok(())
    }

    /// Files by which a process puts itself into the group, by writing `0`.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |folder: &PathBuf| {
            fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs")).map(OwnedFd::from)
        };
        self.each().map(open).collect()
    }

    /// Whether [`freeze`](Self::freeze) can do anything.
    pub fn can_freeze(&self) -> bool {
        self.folders.contains_key(&Controller::Freezer)
    }

    /// Halts every process. Waits for at most two seconds.
    ///
    /// # Errors
    /// When there is no freezer, or a process is not halted by then; [`thaw`](Self::thaw) lets the others go.
    pub fn freeze(&self) -> io::Result<()> {
        wait_until(Instant::now() + FREEZE_PATIENCE, || {
            // Told again: in version 1 a process that was forked meanwhile may have missed it.
            self.set_frozen(true)?;
            self.is_frozen()
        })
    }

    /// Lets them run again.
    ///
    /// # Errors
    /// When there is no freezer.
    pub fn thaw(&self) -> io::Result<()> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> io::Result<()> {
        let (file, text) = match (self.version, frozen) {
            (Version::Two, true) => ("cgroup.freeze", "1"),
            (Version::Two, false) => ("cgroup.freeze", "0"),
            (Version::One, true) => ("freezer.state", "FROZEN"),
            (Version::One, false) => ("freezer.state", "THAWED"),
        };
        if !self.can_freeze() {
            return Err(io::Error::new(ErrorKind::Unsupported, "there is no freezer"));
        }
        self.write(Controller::Freezer, file, text)
    }

    fn is_frozen(&self) -> io::Result<bool> {
        let (file, text) = match self.version {
            Version::Two => ("cgroup.events", "frozen 1"),
            Version::One => ("freezer.state", "FROZEN"),
        };
        let path = self.path(Controller::Freezer, file).ok_or(ErrorKind::Unsupported)?;
        Ok(fs::read_to_string(path)?.lines().any(|line| line == text))
    }

    /// Kills every process, halted ones too. Does not wait for their end.
    ///
    /// # Errors
    /// When the group cannot be read.
    pub fn kill(&self) -> io::Result<()> {
        let at_once = self.path(Controller::Freezer, "cgroup.kill");
        if let Some(path) = at_once.filter(|path| self.version == Version::Two && path.exists()) {
            return fs::write(path, "1");
        }
        let killed = self.each().try_for_each(|folder| {
            processes_in(folder)?.into_iter().for_each(|pid| {
                // It may have ended since.
                let _ = kill_process(pid, Signal::KILL);
            });
            Ok(())
        });
        // In version 1 a halted process takes the signal when it runs again.
        if self.can_freeze() {
            match self.thaw() {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        killed
    }

    /// Removes the group as soon as it is empty; kills what is still in it meanwhile.
    ///
    /// # Errors
    /// When it is not empty by then. What could be removed is.
    pub fn remove(&self, until: Instant) -> io::Result<()> {
        let mut result = Ok(());
        for folder in self.each() {
            let removed = wait_until(until, || match fs::remove_dir(folder) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                    self.kill()?;
                    std::thread::sleep(LOOK);
                    Ok(false)
                }
                Err(error) => Err(error),
            });
            result = result.and(removed);
        }
        result
    }

    /// What the processes have used.
    pub fn usage(&self) -> Usage {
        let read = |controller, file| self.read(controller, file);
        let number = |controller, file| read(controller, file)?.trim().parse::<u64>().ok();
        let cpu = match self.version {
            Version::Two => read(Controller::Cpu, "cpu.stat")
                .and_then(|text| entry(&text, "usage_usec"))
                .map(Duration::from_micros),
            Version::One => {
                number(Controller::CpuAccounting, "cpuacct.usage").map(Duration::from_nanos)
            }
        };
        let memory = match self.version {
            Version::Two => "memory.current",
            Version::One => "memory.usage_in_bytes",
        };
        Usage {
            cpu,
            memory: number(Controller::Memory, memory),
            processes: number(Controller::Processes, "pids.current")
                .and_then(|number| u32::try_from(number).ok()),
        }
    }

    /// How often the processes have met their limits by now.
    pub(crate) fn overruns(&self) -> Overruns {
        let count = |controller, file, word| entry(&self.read(controller, file)?, word);
        // Kills are counted whoever's memory was used up, the machine's too; of version 2 it is told whether the limit was met.
        let (memory, was_met) = match self.version {
            Version::Two => {
                let met = count(Controller::Memory, "memory.events", "oom");
                ("memory.events", met.is_some_and(|met| met > 0))
            }
            Version::One => ("memory.oom_control", true),
        };
        let killed = count(Controller::Memory, memory, "oom_kill");
        Overruns {
            killed: killed.filter(|_| was_met).unwrap_or(0),
            refused: count(Controller::Processes, "pids.events", "max").unwrap_or(0),
        }
    }

    fn read(&self, controller: Controller, file: &str) -> Option<String> {
        fs::read_to_string(self.path(controller, file)?).ok()
    }

    fn path(&self, controller: Controller, file: &str) -> Option<PathBuf> {
        Some(self.folders.get(&controller)?.join(file))
    }

    /// Writes a file of a controller; nothing where there is no such controller, which the tree tells.
    fn write(&self, controller: Controller, file: &str, text: &str) -> io::Result<()> {
        let Some(path) = self.path(controller, file) else { return Ok(()) };
        fs::write(&path, text).map_err(|error| {
            io::Error::new(error.kind(), format!("{} to {}: {error}", text, path.display()))
        })
    }
}

/// The number after a word at the start of a line.
fn entry(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.parse().ok())
}

fn processes_in(folder: &Path) -> io::Result<Vec<Pid>> {
    match fs::read_to_string(folder.join("cgroup.procs")) {
        Ok(text) => Ok(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mark;
    use super::*;

    /// A tree over plain folders: what the kernel would be told stays in files.
    fn tree(version: Version, base: &Path) -> Tree {
        let folder = |controller: Controller| match version {
            Version::Two => base.to_owned(),
            Version::One => base.join(controller.name()),
        };
        let bases: BTreeMap<_, _> =
            Controller::ALL.map(|controller| (controller, folder(controller))).into();
        bases.values().for_each(|folder| fs::create_dir_all(folder).unwrap());
        Tree { version, bases, missing: Vec::new(), mark: Mark::own().unwrap() }
    }

    const LIMITS: Limits = Limits {
        cpu_millis: Some(1_500),
        memory: Some(1 << 20),
        processes: Some(50),
        open_files: 64,
    };

    fn told(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn version_two_is_told_the_limits() {
        let base = tempfile::tempdir().unwrap();
        let tree = tree(Version::Two, base.path());
        tree.make("a", &LIMITS).unwrap();
        let folder = base.path().join(format!("nearlight-{}-a", tree.mark));
        let expected =
            [("cpu.max", "150000 100000"), ("memory.max", "1048576"), ("pids.max", "50")];
        assert_eq!(told(&folder), pairs(&expected));
    }

    #[test]
    fn version_one_is_told_the_limits() {
        let base = tempfile::tempdir().unwrap();
        let tree = tree(Version::One, base.path());
        tree.make("a", &LIMITS).unwrap();
        let told = |controller| {
            told(&base.path().join(controller).join(format!("nearlight-{}-a", tree.mark)))
        };
        let cpu = [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")];
        assert_eq!(told("cpu"), pairs(&cpu));
        assert_eq!(told("memory"), pairs(&[("memory.limit_in_bytes", "1048576")]));
        assert_eq!(told("pids"), pairs(&[("pids.max", "50")]));
        assert_eq!(told("freezer"), []);
    }

    #[test]
    fn a_group_that_is_there_is_not_taken_over() {
        let base = tempfile::tempdir().unwrap();
        let tree = tree(Version::One, base.path());
        let theirs = base.path().join("memory").join(format!("nearlight-{}-a", tree.mark));
        fs::create_dir(&theirs).unwrap();
        assert_eq!(tree.make("a", &LIMITS).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(theirs.exists());
        assert!(told_names(&base.path().join("cpu")).is_empty(), "nothing is left of it");
    }

    #[test]
    fn usage_is_read_as_the_kernel_writes_it() {
        let base = tempfile::tempdir().unwrap();
        let tree = tree(Version::Two, base.path());
        let group = tree.make("a", &Limits::default()).unwrap();
        let write = |file, text| {
            group.write(Controller::Cpu, file, text).unwrap();
        };
        write("cpu.stat", "usage_usec 2500\nuser_usec 2000\n");
        write("memory.current", "4096\n");
        write("pids.current", "3\n");
        let expected = Usage {
            cpu: Some(Duration::from_micros(2_500)),
            memory: Some(4_096),
            processes: Some(3),
        };
        assert_eq!(group.usage(), expected);
        write("cpu.stat", "usage_usec x");
        assert_eq!(group.usage().cpu, None);
    }

    #[test]
    fn limits_that_were_met_are_counted_as_the_kernel_writes_it() {
        let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
        // Where the limit was not met, it was the machine's memory that was used up.
        let memory: [(_, &[(&str, &str)], u64); 3] = [
            (Version::One, &[("memory.oom_control", control)], 1),
            (Version::Two, &[("memory.events", "low 0\noom 2\noom_kill 1\noom_group_kill 0\n")], 1),
            (Version::Two, &[("memory.events", "low 0\noom 0\noom_kill 1\noom_group_kill 0\n")], 0),
        ];
        for (version, files, killed) in memory {
            let base = tempfile::tempdir().unwrap();
            let group = tree(version, base.path()).make("a", &Limits::default()).unwrap();
            assert_eq!(group.overruns(), Overruns::default());
            for (file, text) in files {
                group.write(Controller::Memory, file, text).unwrap();
            }
            group.write(Controller::Processes, "pids.events", "max 7\n").unwrap();
            assert_eq!(group.overruns(), Overruns { killed, refused: 7 });
        }
    }

    #[test]
    fn groups_of_the_gone_are_told_from_those_in_use() {
        let base = tempfile::tempdir().unwrap();
        let tree = tree(Version::One, base.path());
        let own = format!("nearlight-{}-a", tree.mark);
        for name in [own.as_str(), "nearlight-00000000-1-2-b", "nearlight-x", "other"] {
            fs::create_dir(base.path().join("cpu").join(name)).unwrap();
        }
        assert_eq!(tree.remove_leftovers(), 1);
        let left: Vec<_> = told_names(&base.path().join("cpu"));
        assert_eq!(left, [own.as_str(), "nearlight-x", "other"]);
    }

    fn told_names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}
