//! `nearlight doctor`: what this machine can do, in words that name what to do about it.

use std::fmt::Write as _;

use std::time::Instant;

use encoder::choice::Standing;
use encoder::opus::{Aim, OpusEncoder};
use encoder::{Encoders, Verdict};
use media::{Layout, PictureKind};
use render::device::{Gpu, GpuOptions};

use crate::config::Config;
use crate::encoders::{self, Probing};

/// How the configuration wishes the graphics device.
pub(crate) fn gpu_options(config: &Config) -> GpuOptions {
    let device = &config.render.device;
    let adapter = (!device.is_empty()).then(|| device.clone());
    GpuOptions { adapter, ..GpuOptions::default() }
}

/// The whole report, and whether a node would start. Every encoder is tried, whatever is remembered of it, and
/// nothing is remembered: who asks the doctor may not be who runs the node.
pub fn report(config: &Config, probing: &Probing) -> (String, bool) {
    let mut starts = true;
    let mut out = format!("nearlight {}\n\ngraphics device\n", env!("CARGO_PKG_VERSION"));
    let gpu = Gpu::open(&gpu_options(config));
    let converted = crate::games::conversion(config.games.convert, gpu.as_deref().ok());
    match gpu {
        Ok(gpu) => {
            row(&mut out, gpu.name(), "", "ok");
            row(&mut out, "driver", "", &gpu.driver());
            let sharing = gpu.cannot_share().map_or_else(
                || "encoders of the device can read pictures in place".to_owned(),
                |reason| format!("pictures go through the CPU: {reason}"),
            );
            row(&mut out, "shared memory", "", &sharing);
            if gpu.cannot_share().is_none() {
                let ready = match gpu.signalling() {
                    Ok(signalling) => format!("{signalling} tells encoders of the device"),
                    Err(reason) => format!("a fence is waited for: {reason}"),
                };
                row(&mut out, "picture complete", "", &ready);
            }
            if gpu.is_software() {
                row(&mut out, "note", "", "drawn in software: expect a lower internal resolution");
            }
        }
        Err(error) => {
            starts = false;
            row(&mut out, "none", "", &error.to_string());
        }
    }
    let sound = encoder::opus::version();
    let most = Layout::within(config.audio.channels);
    let verdict = match OpusEncoder::of(most, config.audio.rate.rate(), Aim::Prompt) {
        Ok(_) if most == Layout::Stereo => "ok, stereo".to_owned(),
        Ok(_) => format!("ok, up to {}.1 for games", most.channels() - 1),
        Err(error) => error.to_string(),
    };
    // Writing into a string cannot fail; so below.
    let _ = writeln!(out, "\nsound");
    row(&mut out, sound.as_deref().unwrap_or("none"), "", &verdict);
    let demand = encoders::usual(config);
    let _ = writeln!(
        out,
        "\nencoders, best first, for {} at {} frames a second",
        demand.size, config.video.fps
    );
    let started = Instant::now();
    let preference = encoders::preference(config);
    let prober = probing.prober.as_ref();
    match Encoders::probe(probing.candidates.clone(), preference, prober, None) {
        Ok(known) => {
            let took = started.elapsed();
            let choice = known.choose(&demand);
            for (report, ranked) in
                encoders::reports(&known, &demand).into_iter().zip(choice.ranked())
            {
                let mut text = report.verdict;
                let keeps_up = matches!(ranked.standing, Standing::Usable | Standing::Restarts(_));
                let verdict = known.table().iter().find(|verdict| verdict.name == report.name);
                if let (Some(cost), true) = (verdict.and_then(Verdict::cost), keeps_up) {
                    let millis = |kind: PictureKind| {
                        cost.of_picture(kind.format, demand.size).as_secs_f64() * 1e3
                    };
                    let _ = write!(text, ", {:.1} ms a picture", millis(PictureKind::NV12));
                    if cost.ten_bits.is_some() {
                        let _ = write!(text, " ({:.1} ms in HDR10)", millis(PictureKind::HDR10));
                    }
                }
                row(&mut out, &report.name, ranked.codec.config_name(), &text);
            }
            row(&mut out, "tried in", "", &format!("{:.0} ms", took.as_secs_f64() * 1e3));
            match known.usable(&choice) {
                Ok(usable) => row(&mut out, "in use", "", usable[0].name),
                Err(error) => {
                    starts = false;
                    row(&mut out, "in use", "", &format!("none: the node does not start: {error}"));
                }
            }
        }
        Err(error) => {
            starts = false;
            row(&mut out, "in use", "", &error.to_string());
        }
    }
    let _ = writeln!(out, "\nhosted games");
    row(&mut out, "pictures converted", "", &converted);
    for (name, verdict) in crate::games::checks(&config.games) {
        row(&mut out, &name, "", &verdict);
    }
    (out, starts)
}

fn row(out: &mut String, name: &str, codec: &str, verdict: &str) {
    let _ = writeln!(out, "  {name:<20} {codec:<5} {verdict}");
}
