//! What the system and the repository say of themselves.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The repository that this was built from.
pub(crate) fn repository() -> PathBuf {
    let benches = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    benches.parent().map_or_else(|| benches.clone(), PathBuf::from)
}

/// How this was compiled.
pub(crate) const BUILD: &str =
    if cfg!(debug_assertions) { "dev profile" } else { "release profile" };

/// The processor's name.
pub(crate) fn processor() -> String {
    line_of("/proc/cpuinfo", "model name").unwrap_or_else(unknown)
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// The kernel's version.
pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

/// The load of the last minute.
pub(crate) fn load() -> String {
    let first = |text: String| text.split(' ').next().map(str::to_owned);
    fs::read_to_string("/proc/loadavg").ok().and_then(first).unwrap_or_else(unknown)
}

/// The value of a `name: value` line.
pub(crate) fn line_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// What is checked out, and whether there is more.
pub(crate) fn commit() -> String {
    checked_out().unwrap_or_else(unknown)
}

fn checked_out() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(repository()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let dirty = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    Some(if dirty { format!("{commit}, dirty") } else { commit })
}

fn unknown() -> String {
    "unknown".to_owned()
}
