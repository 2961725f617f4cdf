//! Processor time of this process's threads, by their names (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Time that this process's threads of one name have run so far, to the nanosecond
/// (`/proc/*/task/*/schedstat`). Threads that have ended are not in it.
pub(crate) fn thread_time(name: &str) -> Result<Duration> {
    let all = thread_times(std::process::id())?.into_iter();
    Ok(all.filter(|(comm, _)| comm == name).map(|(_, ran)| ran).sum())
}

/// The same of every thread of a process, with its name.
pub(crate) fn thread_times(pid: u32) -> Result<Vec<(String, Duration)>> {
    let mut times = Vec::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).context("/proc cannot be read")?;
    for task in tasks.flatten() {
        // Threads come and go while they are listed.
        let Ok(comm) = fs::read_to_string(task.path().join("comm")) else { continue };
        let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        let ran = stat.split_ascii_whitespace().next().and_then(|first| first.parse().ok());
        let ran = ran.context("schedstat is not as expected")?;
        times.push((comm.trim_end().to_owned(), Duration::from_nanos(ran)));
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_apart_by_their_names() {
        let busy = std::thread::Builder::new()
            .name("busy-here".into())
            .spawn(|| while thread_time("busy-here").unwrap() < Duration::from_millis(5) {});
        busy.unwrap().join().unwrap();
        assert_eq!(thread_time("nobody-here").unwrap(), Duration::ZERO);
    }
}
