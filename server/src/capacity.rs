//! What the node has for the games that it hosts, as the system says: cores and memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use media::ByteSize;

use crate::config;

/// Hundredths of what there is that games may take where the operator says nothing: the rest is the node's own.
const SHARE: u32 = 90;
const CGROUP: &str = "/sys/fs/cgroup";

/// Time of cores per second: of those that this process may use (affinity, cgroup).
pub(crate) fn cores(config: &config::Games) -> Duration {
    if config.max_cpus > 0.0 {
        return Duration::from_secs_f64(config.max_cpus);
    }
    // What cannot be told is taken to be one: a game more than there is room for spoils all.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Duration::from_secs(cores as u64) * SHARE / 100
}

/// Memory that is available now, to this machine and to the cgroup of this process; all there can be where the system
/// does not say.
pub(crate) fn memory(config: &config::Games) -> ByteSize {
    if config.max_memory_mib > 0 {
        return ByteSize(config.max_memory_mib.saturating_mul(1 << 20));
    }
    let text = |path: &Path| fs::read_to_string(path).ok();
    let machine = text(Path::new("/proc/meminfo")).and_then(|text| available(&text));
    let groups = text(Path::new("/proc/self/cgroup")).map_or_else(Vec::new, |text| groups(&text));
    let number = |path: PathBuf| text(&path)?.trim().parse::<u64>().ok();
    let free = groups.iter().filter_map(|(folder, [limit, used])| {
        // `max` is no number, and says that there is no limit.
        Some(number(folder.join(limit))?.saturating_sub(number(folder.join(used))?))
    });
    match free.chain(machine).min() {
        Some(bytes) => ByteSize(bytes / 100 * u64::from(SHARE)),
        None => ByteSize(u64::MAX),
    }
}

/// Bytes of `MemAvailable` (proc(5)).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

/// Folders of the memory cgroups that this process is in, the innermost first, each with the files of its limit and its
/// use (cgroups(7)).
fn groups(own: &str) -> Vec<(PathBuf, [&'static str; 2])> {
    let mut groups = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, files) = if controllers.is_empty() {
            (PathBuf::from(CGROUP), ["memory.max", "memory.current"])
        } else if controllers.split(',').any(|each| each == "memory") {
            let files = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
            (Path::new(CGROUP).join("memory"), files)
        } else {
            continue;
        };
        let inner = root.join(path.trim_start_matches('/'));
        let outwards = inner.ancestors().take_while(|folder| folder.starts_with(&root));
        groups.extend(outwards.map(|folder| (folder.to_owned(), files)));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Games;

    #[test]
    fn what_the_operator_says_counts() {
        let config = Games { max_cpus: 1.5, max_memory_mib: 3, ..Games::default() };
        assert_eq!(cores(&config), Duration::from_millis(1_500));
        assert_eq!(memory(&config), ByteSize(3 << 20));
    }

    #[test]
    fn what_the_system_says_is_less_than_all_of_it() {
        let config = Games::default();
        let cores = cores(&config);
        assert!(
            cores >= Duration::from_millis(900) && cores.subsec_millis().is_multiple_of(100),
            "{cores:?}"
        );
        let memory = memory(&config);
        assert!((1 << 20..u64::MAX).contains(&memory.0), "{memory:?}");
    }

    #[test]
    fn memory_is_read_as_it_is_written() {
        let text = "MemTotal: 9 kB\nMemFree:  1 kB\nMemAvailable:    1234 kB\n";
        assert_eq!(available(text), Some(1_263_616));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn groups_are_found_in_both_versions_up_to_the_root() {
        let own = "12:memory:/a/b\n3:cpu,cpuacct:/x\n0::/c\nnonsense\n";
        let folders: Vec<_> =
            groups(own).into_iter().map(|(folder, [limit, _])| folder.join(limit)).collect();
        let expected = [
            "memory/a/b/memory.limit_in_bytes",
            "memory/a/memory.limit_in_bytes",
            "memory/memory.limit_in_bytes",
            "c/memory.max",
            "memory.max",
        ];
        assert_eq!(folders, expected.map(|file| Path::new(CGROUP).join(file)));
    }
}
