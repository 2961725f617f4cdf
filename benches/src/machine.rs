//! What the figures were taken on. Without it they mean nothing.

use serde::Serialize;

use crate::host::Host;
use crate::system::{BUILD, commit, cores, kernel, line_of, processor};

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
        let (encoder, declined) = host.node().encoder();
        Self {
            commit: commit(),
            build: BUILD,
            processor: processor(),
            cores: cores(),
            memory_mb: line_of("/proc/meminfo", "MemTotal")
                .and_then(|text| text.strip_suffix(" kB")?.trim().parse::<u64>().ok())
                .map(|kilobytes| kilobytes / 1_024),
            kernel: kernel(),
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
