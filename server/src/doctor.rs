//! `nearlight doctor`: what this machine can do, in words that name what to do about it.

use std::fmt::Write as _;

use encoder::{Preference, SelectError, Verdict};
use render::device::{Gpu, GpuOptions};

use crate::config::Config;

/// How the configuration wishes encoders.
pub(crate) fn preference(config: &Config) -> Preference {
    let pinned = Some(&config.video.encoder).filter(|name| *name != "auto").cloned();
    Preference { pinned, forbidden: config.video.forbid_encoders.clone() }
}

/// How the configuration wishes the graphics device.
pub(crate) fn gpu_options(config: &Config) -> GpuOptions {
    let device = &config.render.device;
    let adapter = (!device.is_empty()).then(|| device.clone());
    GpuOptions { adapter, ..GpuOptions::default() }
}

/// The whole report, and whether a node would start.
pub fn report(config: &Config) -> (String, bool) {
    let mut starts = true;
    let mut out = format!("nearlight {}\n\ngraphics device\n", env!("CARGO_PKG_VERSION"));
    match Gpu::open(&gpu_options(config)) {
        Ok(gpu) => {
            row(&mut out, gpu.name(), "", "ok");
            row(&mut out, "driver", "", &gpu.driver());
            let sharing = gpu.cannot_share().map_or_else(
                || "encoders of the device can read pictures in place".to_owned(),
                |reason| format!("pictures go through the CPU: {reason}"),
            );
            row(&mut out, "shared memory", "", &sharing);
            if gpu.is_software() {
                row(&mut out, "note", "", "drawn in software: expect a lower internal resolution");
            }
        }
        Err(error) => {
            starts = false;
            row(&mut out, "none", "", &error.to_string());
        }
    }
    out.push_str("\nencoders, best first\n");
    match encoder::select(encoder::candidates(), &preference(config)) {
        Ok(selection) => {
            rows(&mut out, &selection.table);
            row(&mut out, "in use", "", selection.chosen().name);
        }
        Err(SelectError::NoneUsable { table, pinned }) => {
            rows(&mut out, &table);
            let which = pinned.map_or_else(String::new, |name| format!(" ({name} is pinned)"));
            starts = false;
            row(&mut out, "in use", "", &format!("none{which}: the node does not start"));
        }
        Err(error) => {
            starts = false;
            row(&mut out, "in use", "", &error.to_string());
        }
    }
    (out, starts)
}

fn rows(out: &mut String, table: &[Verdict]) {
    for verdict in table {
        row(out, verdict.name, verdict.codec.rtp_name(), &verdict.reason);
    }
}

fn row(out: &mut String, name: &str, codec: &str, verdict: &str) {
    // Writing into a string cannot fail.
    let _ = writeln!(out, "  {name:<16} {codec:<5} {verdict}");
}
