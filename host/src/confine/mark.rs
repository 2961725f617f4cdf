//! Names what this process makes outside of itself, so that what a process that is gone left behind can
//! be told from what another that runs still uses.

use std::fmt;
use std::fs;
use std::io;

/// Letters of the boot's number that are used: enough to tell one boot from the one before.
const BOOT_LETTERS: usize = 8;

/// A process, for good: its number is used again, but not with the same start in the same boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    boot: String,
    pid: u32,
    /// Clock ticks from boot to its start (`proc_pid_stat(5)`, field 22).
    start: u64,
}

impl Mark {
    /// This process's.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn own() -> io::Result<Self> {
        let pid = std::process::id();
        let start =
            start_of(pid).ok_or_else(|| io::Error::other("/proc/self/stat is not there"))?;
        Ok(Self { boot: boot()?, pid, start })
    }

    /// The one that a name begins with, and what follows it; both with a `-` after.
    pub fn split(name: &str) -> Option<(Self, &str)> {
        let mut parts = name.splitn(4, '-');
        let boot = parts.next().filter(|boot| boot.len() == BOOT_LETTERS)?.to_owned();
        let (pid, start) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((Self { boot, pid, start }, parts.next().unwrap_or_default()))
    }

    /// Whether that process still runs.
    pub fn is_alive(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot) && start_of(self.pid) == Some(self.start)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.boot, self.pid, self.start)
    }
}

fn boot() -> io::Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.chars().filter(char::is_ascii_hexdigit).take(BOOT_LETTERS).collect())
}

fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    super::processes::Stat::parse(&stat).map(|stat| stat.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back() {
        let own = Mark::own().unwrap();
        assert!(own.is_alive());
        for rest in ["", "game-1"] {
            let name = format!("{own}-{rest}");
            assert_eq!(Mark::split(&name), Some((own.clone(), rest)));
        }
        assert_eq!(Mark::split(&own.to_string()), Some((own, "")));
        for bad in ["", "x", "12345678-1", "12345678-a-1-x", "1-1-1-x"] {
            assert_eq!(Mark::split(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_number_that_another_process_has_now_is_not_alive() {
        let own = Mark::own().unwrap();
        assert!(!Mark { start: own.start + 1, ..own.clone() }.is_alive());
        assert!(!Mark { boot: "00000000".into(), ..own }.is_alive());
    }
}
