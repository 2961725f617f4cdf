//! Processes that code a clip, and what they took for it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE, EncoderSettings, Speed};
use media::{Codec, CpuImage, EncodeOptions, FrameId, Picture, PixelFormat, Plane};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use tempfile::TempDir;
use testkit::{ffmpeg, ivf};

use super::clip::{self, Clip, LUMA, PICTURE};
use super::{RATE, SIZE, settings};
use crate::args::Args;
use crate::figures::median;
use crate::host::{HEIGHT, WIDTH};
use crate::quality::Quality;

/// Threads of each coder, which are also the slices of a picture.
const THREADS: usize = 2;
/// Milliseconds of bit rate in the VBV: a frame at 60 a second, rounded up, as `gst-x264enc` has it.
const VBV_MILLIS: u32 = 17;
/// Pictures after which an encoder holds as many as it ever does. Until then each takes new memory, which
/// the system clears first.
pub(super) const FILLED: u32 = 31;

/// A folder with the clip, where streams are made of it.
pub(super) struct Workshop {
    folder: TempDir,
    frames: u32,
}

/// A coded clip.
pub(super) struct Stream {
    pub(super) path: PathBuf,
    bytes: u64,
    frames: u32,
    cpu: Duration,
    /// Milliseconds of processor time of a picture, by the account of the process itself.
    pub(super) told: Option<f64>,
}

/// What a candidate is told.
#[derive(Clone, Copy)]
pub(super) struct Told {
    /// Kilobits a second.
    pub(super) kbps: u32,
    /// Its own preset or its fastest.
    pub(super) speed: Speed,
    /// Pictures that it holds for recovery beside the newest one, at the most.
    pub(super) reach: u16,
}

/// What a clip took, coded some times in the same way.
pub(super) struct Cost {
    /// The last one.
    pub(super) stream: Stream,
    /// Of the first pictures, until the encoder is filled, and of all of them; the least of all times, since
    /// what else the machine does only adds to it.
    filling: Duration,
    whole: Duration,
    kbps: Vec<f64>,
}

impl Cost {
    /// Processor time of a picture once the encoder is filled, in milliseconds.
    pub(super) fn millis(&self) -> f64 {
        let rest = self.whole.saturating_sub(self.filling);
        rest.as_secs_f64() * 1e3 / f64::from(self.stream.frames - FILLED)
    }

    /// The rate that it was coded with, in fact: two slices at once do not share bits in the same way twice.
    pub(super) fn kbps(&self) -> Option<f64> {
        median(&self.kbps)
    }
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
        ensure!(frames > 2 * FILLED, "{frames} pictures are too few: ask for more seconds");
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

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Codes the first pictures by a candidate.
    pub(super) fn ours(&self, candidate: &Candidate, told: Told, frames: u32) -> Result<Stream> {
        let Told { kbps, speed, reach } = told;
        let kind = if candidate.codec == Codec::H265 { "265" } else { "ivf" };
        let path = self.path(&format!("ours-{reach}.{kind}"));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--child", "encode", "--encoder", candidate.name]);
        command.args(["--kbps", &kbps.to_string(), "--frames", &frames.to_string()]);
        command.args(["--reach", &reach.to_string()]);
        command.arg("--clip").arg(self.path("clip.nv12")).arg("--out").arg(&path);
        if speed == Speed::P1 {
            command.arg("--fastest");
        }
        let (cpu, said) = run(&mut command)?;
        let bytes = std::fs::metadata(&path)?.len() - overhead(candidate.codec, frames);
        let told = said.trim().parse().ok();
        Ok(Stream { path, bytes, frames, cpu, told })
    }

    /// Codes them by the command `x264`, set up as our candidates set up libx264 at its fastest, except
    /// that it keeps no more than one picture, which it has no option for.
    pub(super) fn by_command(&self, kbps: u32, frames: u32) -> Result<Stream> {
        let path = self.path("command.264");
        let (rate, vbv) = budget(kbps);
        let mut command = Command::new("x264");
        command.args(["--preset", "ultrafast", "--tune", "zerolatency", "--profile", "baseline"]);
        command.args(["--threads", &THREADS.to_string(), "--sliced-threads", "--ref", "1"]);
        command.args(["--keyint", "infinite", "--min-keyint", "1", "--no-scenecut"]);
        command.args(["--bitrate", &rate, "--vbv-maxrate", &rate, "--vbv-bufsize", &vbv]);
        command.args(["--quiet", "--no-progress", "--frames", &frames.to_string(), "-o"]);
        command.arg(&path).arg(self.path("clip.y4m"));
        foreign(command, path, frames)
    }

    /// Codes them by FFmpeg's command with libx264, which keeps so many pictures as ours does.
    pub(super) fn by_ffmpeg(&self, kbps: u32, kept: u16, frames: u32) -> Result<Stream> {
        let path = self.path("ffmpeg.264");
        let (rate, vbv) = budget(kbps);
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(self.path("clip.y4m"));
        command.args(["-frames:v", &frames.to_string(), "-c:v", "libx264"]);
        command.args(["-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline"]);
        command.args(["-threads", &THREADS.to_string(), "-x264-params"]);
        command.arg(format!(
            "sliced-threads=1:ref=1:dpb-size={kept}:keyint=infinite:min-keyint=1:scenecut=0:\
             bitrate={rate}:vbv-maxrate={rate}:vbv-bufsize={vbv}"
        ));
        command.args(["-f", "h264"]).arg(&path);
        foreign(command, path, frames)
    }

    /// Codes some pictures and then all, once more: what it takes until an encoder is filled does not count.
    pub(super) fn cost(
        &self,
        code: impl Fn(u32) -> Result<Stream>,
        before: Option<Cost>,
    ) -> Result<Cost> {
        let filling = code(FILLED)?.cpu;
        let stream = code(self.frames)?;
        let (whole, rate) = (stream.cpu, stream.kbps());
        let Some(before) = before else {
            return Ok(Cost { stream, filling, whole, kbps: vec![rate] });
        };
        let mut kbps = before.kbps;
        kbps.push(rate);
        let (filling, whole) = (filling.min(before.filling), whole.min(before.whole));
        Ok(Cost { stream, filling, whole, kbps })
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

/// Rate and VBV as libx264 takes them.
fn budget(kbps: u32) -> (String, String) {
    (kbps.to_string(), (kbps * VBV_MILLIS / 1_000).to_string())
}

/// Codes a clip by a command of others.
fn foreign(mut command: Command, path: PathBuf, frames: u32) -> Result<Stream> {
    let (cpu, _) = run(&mut command)?;
    let bytes = std::fs::metadata(&path)?.len();
    Ok(Stream { path, bytes, frames, cpu, told: None })
}

/// Runs a command to its end; yields the processor time that it took and what it said.
fn run(command: &mut Command) -> Result<(Duration, String)> {
    let before = processor_time(UsageWho::RUSAGE_CHILDREN)?;
    let program = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", program.display()))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}, {complaints}", program.display(), output.status);
    let took = processor_time(UsageWho::RUSAGE_CHILDREN)?.saturating_sub(before);
    Ok((took, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// User and system time of this process, or of all children that have ended and were waited for.
pub(super) fn processor_time(whose: UsageWho) -> Result<Duration> {
    let usage = getrusage(whose)?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec());
    Ok(Duration::from_micros(micros.iter().sum::<i64>().unsigned_abs()))
}

/// What the process does that codes a clip. It says how many milliseconds of processor time a picture
/// took, once the encoder was filled.
pub(crate) fn encode_clip(args: &Args) -> Result<()> {
    let (Some(name), Some(clip), Some(out)) = (&args.encoder, &args.clip, &args.out) else {
        bail!("--encoder, --clip and --out are needed");
    };
    keep_to_threads()?;
    let candidate = encoder::candidates().into_iter().find(|candidate| candidate.name == *name);
    let candidate = candidate.with_context(|| format!("there is no encoder {name}"))?;
    let mut settings = EncoderSettings { reach: args.reach, ..settings(args.kbps) };
    if args.fastest {
        settings.speed = Speed::P1;
    }
    let mut encoder = BlockingEncoder::open(&candidate, &settings, ENCODE_PATIENCE)?;
    let mut file = BufReader::with_capacity(PICTURE, File::open(clip)?);
    let mut samples = vec![0; PICTURE];
    let mut units = Vec::new();
    let mut filled = Duration::ZERO;
    for number in 0..args.frames {
        if number == FILLED {
            filled = processor_time(UsageWho::RUSAGE_SELF)?;
        }
        file.read_exact(&mut samples)?;
        let (luma, chroma) = samples.split_at(LUMA);
        let planes = [luma, chroma].map(|data| Plane { data, stride: WIDTH as usize });
        let image = CpuImage {
            format: PixelFormat::Nv12,
            size: SIZE,
            planes: planes.into_iter().collect(),
        };
        let options = EncodeOptions::keyframe(number == 0);
        let picture = Picture::Cpu(image);
        units.push(encoder.encode(FrameId(number.into()), &picture, options)?.data);
    }
    if let Some(counted) = args.frames.checked_sub(FILLED).filter(|counted| *counted > 0) {
        let took = processor_time(UsageWho::RUSAGE_SELF)?.saturating_sub(filled);
        writeln!(std::io::stdout(), "{}", took.as_secs_f64() * 1e3 / f64::from(counted))?;
    }
    write_stream(out, candidate.codec, &units)
}

/// In IVF, except for H.265, which FFmpeg does not read from there.
fn write_stream(out: &Path, codec: Codec, units: &[impl AsRef<[u8]>]) -> Result<()> {
    let mut file = BufWriter::new(File::create(out)?);
    if codec == Codec::H265 {
        units.iter().try_for_each(|unit| file.write_all(unit.as_ref()))?;
    } else {
        let numbered = units.iter().enumerate();
        let numbered = numbered.map(|(at, unit)| (at as u64, unit.as_ref()));
        ivf::write(&mut file, codec, SIZE, numbered)?;
    }
    file.flush()?;
    Ok(())
}

/// Bytes of such a file that are not the encoder's.
fn overhead(codec: Codec, frames: u32) -> u64 {
    if codec == Codec::H265 { 0 } else { ivf::overhead(frames.into()) }
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
