//! Processor time and memory of processes, from `/proc` (proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// `USER_HZ`, the unit of times in `/proc/*/stat`; 100 on every Linux that Rust runs on.
const TICKS_A_SECOND: u64 = 100;

/// User and system time of a process so far; it has steps of 10 ms.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    parse_stat(&stat).map(|stat| stat.cpu).context("/proc/*/stat is not as expected")
}

/// User and system time of all processes that descend from one, without that one. A process that ends
/// between two readings is missing from the second.
pub(crate) fn cpu_time_below(root: u32) -> Result<Duration> {
    let mut children: BTreeMap<u32, Vec<(u32, Duration)>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("/proc cannot be read")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Processes come and go while they are listed.
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(stat) = parse_stat(&text) {
            children.entry(stat.parent).or_default().push((pid, stat.cpu));
        }
    }
    let mut total = Duration::ZERO;
    let mut pending = vec![root];
    while let Some(pid) = pending.pop() {
        for (child, cpu) in children.remove(&pid).unwrap_or_default() {
            total += cpu;
            pending.push(child);
        }
    }
    Ok(total)
}

struct Stat {
    parent: u32,
    cpu: Duration,
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The name may hold spaces and brackets; fields are counted from the last bracket (field 2).
    let fields: Vec<_> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)? + field(15)?;
    let cpu = Duration::from_millis(ticks * 1_000 / TICKS_A_SECOND);
    Some(Stat { parent: u32::try_from(field(4)?).ok()?, cpu })
}

/// Resident memory of a process in bytes: private pages, shared memory and mapped files.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    parse_resident(&status).context("/proc/*/status has no VmRSS")
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194304 9 8 7 6 150 50 3 2 20 0 1 0 100 1 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.parent, stat.cpu), (7, Duration::from_secs(2)));
        assert!(parse_stat("42 (a S").is_none());
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(parse_resident("VmSize:\t 9 kB\nVmRSS:\t  1234 kB\n"), Some(1_263_616));
        assert_eq!(parse_resident("Name: x\n"), None);
        assert!(resident(std::process::id()).unwrap() > 1 << 20);
    }

    #[test]
    fn this_process_descends_from_its_parent() {
        let parent = std::os::unix::process::parent_id();
        let end = std::time::Instant::now() + Duration::from_secs(60);
        // Until a tick was used.
        while cpu_time(std::process::id()).unwrap().is_zero() {
            assert!(std::time::Instant::now() < end);
        }
        assert!(!cpu_time_below(parent).unwrap().is_zero());
    }
}
