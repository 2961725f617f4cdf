//! Processes as `/proc` shows them: those below another one, and whether others stand still.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};

/// What is used of `/proc/PID/stat` (`proc_pid_stat(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// What it does, as a letter: `R` for what runs, `T` for what is halted.
    pub state: char,
    /// Processor time of its threads and of the children that it has collected, in clock ticks.
    pub ticks: u64,
    /// Clock ticks from boot to its start.
    pub start: u64,
    /// Pages of memory.
    pub pages: u64,
}

impl Stat {
    /// Reads the line.
    pub fn parse(line: &str) -> Option<Self> {
        // The name may hold anything, spaces and brackets too.
        let (head, tail) = line.rsplit_once(')')?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        // The first is field 3 of the manual.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks =
            (14..=17).map(field).try_fold(0_u64, |sum, of| Some(sum.saturating_add(of?)))?;
        Some(Self {
            pid,
            state: fields.first()?.chars().next()?,
            parent: u32::try_from(field(4)?).ok()?,
            ticks,
            start: field(22)?,
            pages: field(24)?,
        })
    }

    /// Halted by a signal, or at its end. What is in a call that nothing interrupts is neither.
    fn stands_still(&self) -> bool {
        matches!(self.state, 'T' | 't' | 'Z' | 'X')
    }
}

/// Of the processes, or the threads of one, that a folder has; those that are gone by now are left out.
fn stats(folder: &str) -> io::Result<Vec<Stat>> {
    let there = fs::read_dir(folder)?.flatten().filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        Stat::parse(&fs::read_to_string(format!("{folder}/{number}/stat")).ok()?)
    });
    Ok(there.collect())
}

/// Whether every process that this one sees, itself left out, stands still with all of its threads.
pub fn others_stand_still() -> bool {
    let own = std::process::id();
    stats("/proc").is_ok_and(|all| all.iter().all(|of| of.pid == own || stands_still(of.pid)))
}

fn stands_still(pid: u32) -> bool {
    // What is gone does.
    stats(&format!("/proc/{pid}/task")).unwrap_or_default().iter().all(Stat::stands_still)
}

/// Processes that descend from this one, itself included, the older of a line first.
pub fn below(pid: u32) -> Vec<Stat> {
    let mut children: BTreeMap<u32, Vec<Stat>> = BTreeMap::new();
    let mut found = Vec::new();
    for stat in stats("/proc").unwrap_or_default() {
        if stat.pid == pid {
            found.push(stat);
        } else {
            children.entry(stat.parent).or_default().push(stat);
        }
    }
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|stat| stat.pid) {
        found.extend(children.remove(&parent).unwrap_or_default());
        next += 1;
    }
    found
}

/// Processor time that they have used.
pub fn cpu(of: &[Stat]) -> Duration {
    let ticks: u64 = of.iter().map(|stat| stat.ticks).sum();
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(clock_ticks_per_second().max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Bytes of memory that they have; what several share counts for each.
pub fn memory(of: &[Stat]) -> u64 {
    let pages: u64 = of.iter().map(|stat| stat.pages).sum();
    pages.saturating_mul(page_size() as u64)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let line = format!("7 (a) b) S {}", fields.join(" "));
        let ticks = 14 + 15 + 16 + 17;
        let stat = Stat { pid: 7, parent: 4, state: 'S', ticks, start: 22, pages: 24 };
        assert_eq!(Stat::parse(&line), Some(stat));
        for bad in ["", "7", "7 (a) S 1 2", "x (a) S 1 2 3"] {
            assert_eq!(Stat::parse(bad), None);
        }
    }

    #[test]
    fn what_is_halted_or_gone_stands_still() {
        let mut cat = std::process::Command::new("/bin/cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (pid, number) = (Pid::from_child(&cat), cat.id());
        assert!(!stands_still(number) && !others_stand_still(), "it waits for its input");
        kill_process(pid, Signal::STOP).unwrap();
        waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
        assert!(stands_still(number));
        kill_process(pid, Signal::CONT).unwrap();
        waitpid(Some(pid), WaitOptions::CONTINUED).unwrap();
        assert!(!stands_still(number));
        cat.kill().unwrap();
        cat.wait().unwrap();
        assert!(stands_still(number));
        assert!(!stands_still(std::process::id()));
    }

    #[test]
    fn a_child_and_its_child_are_found() {
        // The shell waits for its child, so both are there until the pipe closes.
        let mut shell = std::process::Command::new("/bin/sh")
            .args(["-c", "echo up; cat; echo over"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = [0; 3];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut up).unwrap();
        let found = loop {
            let found = below(shell.id());
            if found.len() == 2 {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!(found[0].pid, shell.id());
        assert_eq!(found[1].parent, shell.id());
        assert!(memory(&found) > 0);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(below(shell.id()).is_empty());
    }
}
