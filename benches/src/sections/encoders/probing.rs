//! How long it takes to find out which encoders work: by children of this process, and then remembered.

use std::ffi::OsString;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use encoder::probe::{Limits, Places};
use encoder::{Cache, ChildProber, Encoders, Preference, Speed, Verdict};

use crate::args::Args;
use crate::figures::median;

/// Starts with all of it remembered, of which the median counts: one is too short to tell from what else
/// the machine does.
const REMEMBERED: u32 = 9;

/// Milliseconds that it takes when nothing is remembered, and when all of it is. Children and files are
/// those of a node; the children run this program.
pub(super) fn run() -> Result<[f64; 2]> {
    let (folder, program) = (tempfile::tempdir()?, std::env::current_exe()?);
    let places = Places::system(program.clone());
    let prober = ChildProber {
        program,
        arguments: ["--child", "probe"].map(OsString::from).into(),
        limits: Limits::default(),
        speed: Speed::Auto,
    };
    let find = || -> Result<_> {
        let began = Instant::now();
        let cache = Cache::new(folder.path().join("encoders.json"), &places);
        let (all, usual) = (encoder::candidates(), Preference::default());
        let known = Encoders::probe(all, usual, &prober, Some(&cache))?;
        Ok((began.elapsed().as_secs_f64() * 1e3, known))
    };
    let (cold, first) = find()?;
    ensure!(first.table().iter().any(Verdict::works), "no encoder works");
    let mut warm = Vec::new();
    for _ in 0..REMEMBERED {
        let (millis, known) = find()?;
        ensure!(known.nothing_was_tried(), "it is not remembered");
        warm.push(millis);
    }
    Ok([cold, median(&warm).context("nothing was remembered")?])
}

/// What such a child does.
pub(crate) fn answer(args: &Args) -> Result<()> {
    Ok(encoder::probe::answer(&encoder::candidates(), &args.names, Speed::Auto)?)
}
