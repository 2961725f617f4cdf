//! What the figures were taken on. Without it they mean nothing.

use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::browser::repository;
use crate::host::Host;

/// Commit, machine, device, encoder.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) commit: String,
    pub(crate) build: &'static str,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) kernel: String,
    pub(crate) graphics: String,
    pub(crate) encoder: String,
    pub(crate) declined: Vec<String>,
    pub(crate) chromium: String,
    /// Load of the last minute before anything was run: more than a little of it spoils figures.
    pub(crate) load: String,
}

impl Machine {
    /// Asks the system, the repository and the server.
    pub(crate) fn describe(host: &Host, chromium: Option<String>, load: String) -> Self {
        let unknown = || "unknown".to_owned();
        let (encoder, declined) = host.node().encoder();
        Self {
            commit: commit().unwrap_or_else(unknown),
            build: if cfg!(debug_assertions) { "dev profile" } else { "release profile" },
            processor: line_of("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mb: line_of("/proc/meminfo", "MemTotal")
                .and_then(|text| text.strip_suffix(" kB")?.trim().parse::<u64>().ok())
                .map(|kilobytes| kilobytes / 1_024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |text| text.trim().to_owned()),
            graphics: match &host.gpu {
                Ok((name, driver)) => format!("{name}, {driver}"),
                Err(reason) => format!("none ({reason})"),
            },
            encoder: encoder.to_owned(),
            declined,
            chromium: chromium.unwrap_or_else(|| "none".into()),
            load,
        }
    }
}

/// The load of the last minute.
pub(crate) fn load() -> String {
    let first = |text: String| text.split(' ').next().map(str::to_owned);
    fs::read_to_string("/proc/loadavg").ok().and_then(first).unwrap_or_else(|| "unknown".into())
}

/// The value of a `name: value` line.
fn line_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(repository()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let dirty = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    Some(if dirty { format!("{commit}, dirty") } else { commit })
}
