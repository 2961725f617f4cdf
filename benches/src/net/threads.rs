//! Processor time of this process's threads, by their names (proc(5)).

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Time that this process's threads of one name have run so far, to the nanosecond
/// (`/proc/*/task/*/schedstat`). Threads that have ended are not in it.
pub(crate) fn thread_time(name: &str) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task").context("/proc cannot be read")?.flatten() {
        // Threads come and go while they are listed.
        let Ok(comm) = fs::read_to_string(task.path().join("comm")) else { continue };
        let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        let ran = stat.split_ascii_whitespace().next().and_then(|first| first.parse().ok());
        if comm.trim_end() == name {
            total += Duration::from_nanos(ran.context("schedstat is not as expected")?);
        }
    }
    Ok(total)
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
