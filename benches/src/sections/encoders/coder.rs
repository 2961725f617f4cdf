//! Processes that code a clip, and what they took for it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use encoder::{BlockingEncoder, ENCODE_PATIENCE, Preference};
use media::{CpuImage, EncodeOptions, FrameId, Picture, PixelFormat, Plane};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use tempfile::TempDir;
use testkit::{ffmpeg, ivf};

use super::clip::{self, Clip, LUMA, PICTURE};
use super::{RATE, SIZE, settings};
use crate::args::Args;
use crate::host::{HEIGHT, WIDTH};
use crate::quality::Quality;

/// Threads of each coder, which are also the slices of a picture.
const THREADS: usize = 2;
/// Milliseconds of bit rate in the VBV: a frame at 60 a second, rounded up, as `gst-x264enc` has it.
const VBV_MILLIS: u32 = 17;

/// A folder with the clip, where streams are made of it.
pub(super) struct Workshop {
    folder: TempDir,
    frames: u32,
}

/// A coded clip.
pub(super) struct Stream {
    path: PathBuf,
    bytes: u64,
    frames: u32,
    cpu: Duration,
}

/// A stream, and what a picture of it took.
pub(super) struct Cost {
    pub(super) stream: Stream,
    /// Processor time of a picture, in milliseconds.
    pub(super) millis: f64,
}

impl Stream {
    /// The rate that it was coded with, in fact.
    pub(super) fn kbps(&self) -> f64 {
        let length = f64::from(self.frames) / RATE.as_f64();
        self.bytes as f64 * 8.0 / 1e3 / length
    }
}

impl Workshop {
    /// Writes a clip of so many pictures.
    pub(super) fn open(frames: u32) -> Result<Self> {
        let workshop = Self { folder: tempfile::tempdir()?, frames };
        let create = |name| File::create(workshop.path(name)).map(BufWriter::new);
        let (mut raw, mut y4m) = (create("clip.nv12")?, create("clip.y4m")?);
        clip::y4m_header(&mut y4m)?;
        let mut clip = Clip::new();
        for _ in 0..frames {
            let nv12 = clip.next(|image| clip::nv12(&image))?;
            raw.write_all(&nv12)?;
            clip::y4m_picture(&mut y4m, &clip::i420(&nv12))?;
        }
        raw.flush()?;
        y4m.flush()?;
        Ok(workshop)
    }

    /// Pictures of the clip.
    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Codes the first pictures by a candidate.
    pub(super) fn ours(&self, candidate: &str, kbps: u32, frames: u32) -> Result<Stream> {
        let path = self.path("ours.ivf");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--child", "encode", "--encoder", candidate]);
        command.args(["--kbps", &kbps.to_string(), "--frames", &frames.to_string()]);
        command.arg("--clip").arg(self.path("clip.nv12")).arg("--out").arg(&path);
        let cpu = run(&mut command)?;
        let bytes = std::fs::metadata(&path)?.len() - ivf::overhead(u64::from(frames));
        Ok(Stream { path, bytes, frames, cpu })
    }

    /// Codes them by the command `x264`, set up as our candidates set up libx264.
    pub(super) fn by_command(&self, kbps: u32, frames: u32) -> Result<Stream> {
        let path = self.path("command.264");
        let (rate, vbv) = (kbps.to_string(), (kbps * VBV_MILLIS / 1_000).to_string());
        let mut command = Command::new("x264");
        command.args(["--preset", "ultrafast", "--tune", "zerolatency", "--profile", "baseline"]);
        command.args(["--threads", &THREADS.to_string(), "--sliced-threads", "--ref", "1"]);
        command.args(["--keyint", "infinite", "--min-keyint", "1", "--no-scenecut"]);
        command.args(["--bitrate", &rate, "--vbv-maxrate", &rate, "--vbv-bufsize", &vbv]);
        command.args(["--quiet", "--no-progress", "--frames", &frames.to_string(), "-o"]);
        command.arg(&path).arg(self.path("clip.y4m"));
        let cpu = run(&mut command)?;
        let bytes = std::fs::metadata(&path)?.len();
        Ok(Stream { path, bytes, frames, cpu })
    }

    /// Codes one picture and then all: what a process takes to start does not count.
    pub(super) fn cost(&self, code: impl Fn(u32) -> Result<Stream>) -> Result<Cost> {
        let start = code(1)?.cpu;
        let stream = code(self.frames)?;
        let rest = stream.cpu.saturating_sub(start);
        let millis = rest.as_secs_f64() * 1e3 / f64::from(self.frames - 1);
        Ok(Cost { stream, millis })
    }

    /// Decodes a stream and holds it against the clip.
    pub(super) fn quality(&self, stream: &Stream) -> Result<Quality> {
        let (mut clip, mut quality) = (Clip::new(), Quality::default());
        let mut broken = None;
        ffmpeg::pictures(&stream.path, PICTURE, |decoded| {
            match clip.next(|image| clip::i420(&clip::nv12(&image))) {
                Ok(source) => quality.add(WIDTH as usize, HEIGHT as usize, &source, decoded),
                Err(error) => broken = Some(error),
            }
        })?;
        broken.map_or(Ok(()), Err)?;
        ensure!(
            quality.pictures() == stream.frames,
            "of {} pictures {} were decoded",
            stream.frames,
            quality.pictures()
        );
        Ok(quality)
    }
}

/// Runs a command to its end; yields the processor time that it took.
fn run(command: &mut Command) -> Result<Duration> {
    let before = ended_children()?;
    let program = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", program.display()))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}, {complaints}", program.display(), output.status);
    Ok(ended_children()?.saturating_sub(before))
}

/// User and system time of all children that have ended and were waited for.
fn ended_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Ok(Duration::from_micros(micros.iter().sum::<i64>().unsigned_abs()))
}

/// What the process does that codes a clip.
pub(crate) fn encode_clip(args: &Args) -> Result<()> {
    let (Some(name), Some(clip), Some(out)) = (&args.encoder, &args.clip, &args.out) else {
        bail!("--encoder, --clip and --out are needed");
    };
    keep_to_threads()?;
    let candidate = encoder::candidates().into_iter().find(|candidate| candidate.name == *name);
    let candidate = candidate.with_context(|| format!("there is no encoder {name}"))?;
    let mut encoder = BlockingEncoder::open(&candidate, &settings(args.kbps), ENCODE_PATIENCE)?;
    let mut file = BufReader::with_capacity(PICTURE, File::open(clip)?);
    let mut samples = vec![0; PICTURE];
    let mut units = Vec::new();
    for number in 0..u64::from(args.frames) {
        file.read_exact(&mut samples)?;
        let (luma, chroma) = samples.split_at(LUMA);
        let planes = [luma, chroma].map(|data| Plane { data, stride: WIDTH as usize });
        let image = CpuImage {
            format: PixelFormat::Nv12,
            size: SIZE,
            planes: planes.into_iter().collect(),
        };
        let options = EncodeOptions { keyframe: number == 0, strip: None };
        units.push(encoder.encode(FrameId(number), &Picture::Cpu(image), options)?.data);
    }
    write_ivf(out, candidate.codec, &units)
}

fn write_ivf(out: &Path, codec: media::Codec, units: &[impl AsRef<[u8]>]) -> Result<()> {
    let mut file = BufWriter::new(File::create(out)?);
    let numbered = units.iter().enumerate();
    ivf::write(&mut file, codec, SIZE, numbered.map(|(at, unit)| (at as u64, unit.as_ref())))?;
    file.flush()?;
    Ok(())
}

/// Leaves this process as many cores as the command has threads: encoders take one thread for each.
fn keep_to_threads() -> Result<()> {
    let ours = sched_getaffinity(Pid::from_raw(0))?;
    let mut kept = CpuSet::new();
    let allowed = (0..CpuSet::count()).filter(|&cpu| ours.is_set(cpu).unwrap_or(false));
    for cpu in allowed.take(THREADS) {
        kept.set(cpu)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &kept)?)
}

/// Milliseconds that probing takes in a process that has loaded nothing, and then once more.
pub(super) fn probing() -> Result<[f64; 2]> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--child", "probe"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("the probing process has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    ensure!(child.wait()?.success(), "the probing process failed");
    let (cold, warm) = line.trim().split_once(' ').context("the probing process told nothing")?;
    Ok([cold.parse()?, warm.parse()?])
}

/// What that process does.
pub(crate) fn probe_twice() -> Result<()> {
    let probe = || {
        let began = Instant::now();
        encoder::select(encoder::candidates(), &Preference::default())?;
        anyhow::Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    let (cold, warm) = (probe()?, probe()?);
    writeln!(std::io::stdout(), "{cold} {warm}")?;
    Ok(())
}
