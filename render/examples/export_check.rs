//! Whether CUDA sees what Vulkan draws, on this machine's driver: pictures are drawn into shared
//! memory, imported, copied back and compared, byte by byte, with what the CPU is given, as NV12 and as P010.
//! Once after a wait for the fence, and where the driver can, once held off on the device by a semaphore.
//!
//! `cargo run --example export_check -- [--adapter NAME] [--cuda FILE] [--rounds N] [--any-device]`
//!
//! It needs the driver and the Vulkan loader alone. The exit status is 0 when every byte was right.
//! `--any-device` goes on where no device of CUDA is the one that draws, as with the double of CUDA.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Packed, Picture, TestClock, ring_of, submit};
use media::{
    DeviceId, FrameImage, MemoryId, PictureKind, SemaphoreKind, SharedSemaphore, Size, StageTimes,
};
use nearlight_render::device::{Gpu, GpuOptions};
use nearlight_render::readback::{FrameRing, Sharing};
use testkit::{Cuda, CudaBuffer, CudaContext, CudaMemory, CudaSemaphore, CudaStream};

/// One of rows that need no padding, one that does, one whose height is no multiple of 16.
const SIZES: [Size; 3] = [Size::new(1280, 720), Size::new(642, 362), Size::new(1920, 1080)];
/// More than enough for a device to draw one picture.
const PATIENCE: Duration = Duration::from_secs(20);

struct Options {
    adapter: Option<String>,
    cuda: OsString,
    rounds: usize,
    any_device: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| check(&options)) {
        Ok(()) => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("FAILED: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options =
        Options { adapter: None, cuda: "libcuda.so.1".into(), rounds: 100, any_device: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--adapter" => options.adapter = Some(value()?),
            "--cuda" => options.cuda = value()?.into(),
            "--rounds" => options.rounds = value()?.parse().map_err(|_| "--rounds N")?,
            "--any-device" => options.any_device = true,
            other => return Err(format!("{other} is not known")),
        }
    }
    Ok(options)
}

fn check(options: &Options) -> Result<(), String> {
    let wanted = GpuOptions { adapter: options.adapter.clone(), ..GpuOptions::default() };
    let gpu = Gpu::open(&wanted).map_err(|error| error.to_string())?;
    println!("Vulkan device       {} ({})", gpu.name(), gpu.driver());
    if let Some(reason) = gpu.cannot_share() {
        return Err(format!("the device cannot share memory: {reason}"));
    }
    let id = gpu.device_id().ok_or("the device has no identity")?;
    println!("  UUID              {}", hex(id));
    let cuda = Cuda::open(&options.cuda)?;
    let devices = cuda.devices()?;
    for device in &devices {
        println!("CUDA device {}       {}", device.ordinal, device.name);
        println!("  UUID              {}", hex(device.id));
    }
    let same = devices.iter().find(|device| device.id == id);
    println!("UUIDs equal         {}", if same.is_some() { "yes" } else { "NO" });
    let device = same
        .or(devices.first().filter(|_| options.any_device))
        .ok_or("no device of CUDA is the one that draws")?;
    let context = cuda.context(device)?;
    for kind in [PictureKind::NV12, PictureKind::HDR10] {
        println!("{:?} in {:?}", kind.format, kind.color.transfer);
        for size in SIZES {
            check_size(&gpu, &context, kind, size, options.rounds)?;
        }
    }
    match gpu.errors() {
        (0, _) => Ok(()),
        (count, newest) => Err(format!("the device refused {count} calls: {newest:?}")),
    }
}

/// Pictures of one kind and size, over all slots of a ring.
fn check_size(
    gpu: &Arc<Gpu>,
    context: &CudaContext<'_>,
    kind: PictureKind,
    size: Size,
    rounds: usize,
) -> Result<(), String> {
    let pictures = [
        Picture::noise(size),
        Picture::from_fn(size, |x, y| [x as u8, y as u8, (x + y) as u8]),
        Picture::from_fn(size, |x, y| [255 - x as u8, (x * y) as u8, 40]),
        Picture::from_fn(size, |_, _| [255, 255, 255]),
    ];
    let mut on_cpu = ring_of(gpu, kind, size, Sharing::Cpu);
    let wanted = pictures
        .iter()
        .map(|picture| {
            let view = picture.upload(gpu, size);
            let image = submit(gpu, &mut on_cpu, &view, size);
            let mut image = image.ok_or("the ring has no free slot")?;
            Ok((view, Packed::read(&mut *image)))
        })
        .collect::<Result<Vec<_>, String>>()?;

    let mut shared = ring_of(gpu, kind, size, Sharing::Shared);
    let memories = import_slots(gpu, context, &mut shared, &wanted[0].0)?;
    let mut maps = Vec::new();
    let mut buffers = Vec::new();
    for (id, memory, bytes) in &memories {
        let (buffer, took) = timed(|| memory.map(*bytes));
        maps.push(took);
        buffers.push((*id, buffer?));
    }

    let (mut compared, mut copies) = (0, Vec::new());
    for round in 0..rounds {
        let (view, wanted) = &wanted[round % wanted.len()];
        let mut image = next(gpu, &mut shared, view)?;
        finish(&mut *image)?;
        let (read, took) = timed(|| read(&buffers, &*image));
        copies.push(took);
        let read = read?;
        compared += read.luma.len() + read.chroma.len();
        differences(&read, wanted).map_err(|what| format!("{size}, picture {round}: {what}"))?;
    }
    if shared.readbacks() != 0 {
        return Err("a picture was read back to the CPU".to_owned());
    }
    match gpu.cannot_signal() {
        None => Waits::new(gpu, context, &mut shared, &buffers, &wanted)?.check(rounds)?,
        Some(reason) => println!("{size}: waits by the fence alone: {reason}"),
    }
    written_by_cuda(gpu, &mut shared, &buffers, &wanted[0])?;

    // The imports stay while everything on Vulkan's side goes.
    let (view, expected) = &wanted[1];
    let mut image = next(gpu, &mut shared, view)?;
    finish(&mut *image)?;
    let (id, planes) = place(&*image)?;
    drop((image, shared));
    let buffer = find(&buffers, id)?;
    let luma = buffer.read(planes[0], row_bytes(kind, size), size.height as usize)?;
    if luma != expected.luma {
        return Err(format!("{size}: memory changed when its ring went"));
    }
    println!(
        "{size}: {rounds} pictures over {} imports, {compared} bytes compared, 0 differ; written by CUDA \
         and read by Vulkan; readable after its ring",
        buffers.len()
    );
    println!("  map               {}", spread(&mut maps));
    println!("  copy to the host  {}", spread(&mut copies));
    Ok(())
}

/// Imports the memory of every slot.
fn import_slots<'a>(
    gpu: &Gpu,
    context: &'a CudaContext<'_>,
    shared: &mut FrameRing,
    view: &wgpu::TextureView,
) -> Result<Vec<(MemoryId, CudaMemory<'a>, u64)>, String> {
    let size = shared.size();
    let images: Vec<_> = std::iter::from_fn(|| submit(gpu, shared, view, size)).collect();
    let mut times = Vec::new();
    let mut memories = Vec::new();
    for mut image in images {
        finish(&mut *image)?;
        let held = image.shared().ok_or("the picture is not shared")?.memory.clone();
        let (memory, took) = timed(|| context.import(&held));
        times.push(took);
        memories.push((held.id, memory?, held.bytes));
    }
    println!("{size}: {} bytes a slot", memories.first().map_or(0, |(_, _, bytes)| *bytes));
    println!("  import            {}", spread(&mut times));
    Ok(memories)
}

/// What a copy waits for before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The CPU waits for the fence, then has the copy made.
    Fence,
    /// The copy is given to the device at once, which waits for the semaphore.
    Semaphore,
    /// Nothing: shows whether the test would see what waits are there to prevent.
    Nothing,
}

/// Pictures of one ring, copied after one wait or another.
struct Waits<'a> {
    gpu: &'a Gpu,
    ring: &'a mut FrameRing,
    buffers: &'a [(MemoryId, CudaBuffer<'a>)],
    wanted: &'a [(wgpu::TextureView, Packed)],
    context: &'a CudaContext<'a>,
    /// One for the ring, or one for each of its slots.
    semaphores: Vec<(MemoryId, CudaSemaphore<'a>)>,
    stream: CudaStream<'a>,
    /// What keeps the device busy before it draws, so that copies that do not wait come too early.
    work: [wgpu::Buffer; 2],
}

/// Bytes of a copy that keeps the device busy, and how many there are.
const WORK: (u64, usize) = (64 << 20, 24);

impl<'a> Waits<'a> {
    fn new(
        gpu: &'a Gpu,
        context: &'a CudaContext<'_>,
        ring: &'a mut FrameRing,
        buffers: &'a [(MemoryId, CudaBuffer<'a>)],
        wanted: &'a [(wgpu::TextureView, Packed)],
    ) -> Result<Self, String> {
        println!("{}: waits by {}", ring.size(), gpu.signalling()?);
        let work = [(); 2].map(|()| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("work"),
                size: WORK.0,
                usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        let (stream, semaphores) = (context.stream()?, Vec::new());
        Ok(Self { gpu, ring, buffers, wanted, context, semaphores, stream, work })
    }

    /// What CUDA knows a semaphore by, imported when it is first seen.
    fn import(&mut self, semaphore: &SharedSemaphore) -> Result<usize, String> {
        let known = self.semaphores.iter().position(|(id, _)| *id == semaphore.id);
        if let Some(known) = known {
            return Ok(known);
        }
        self.semaphores.push((semaphore.id, self.context.import_semaphore(semaphore)?));
        Ok(self.semaphores.len() - 1)
    }

    fn check(&mut self, rounds: usize) -> Result<(), String> {
        for busy in [false, true] {
            for wait in [Wait::Fence, Wait::Semaphore, Wait::Nothing] {
                let (mut times, mut given, mut wrong) = (Vec::new(), Vec::new(), 0);
                for round in 0..rounds {
                    let (right, given_after, copied_after) = self.round(round, wait, busy)?;
                    times.push(copied_after);
                    given.push(given_after);
                    wrong += usize::from(!right);
                }
                let device = if busy { "busy" } else { "idle" };
                println!("  {wait:?}, {device} device: {wrong} of {rounds} pictures differ");
                println!("    submit to given {}", spread(&mut given));
                println!("    to copied       {}", spread(&mut times));
                if wrong > 0 && wait != Wait::Nothing {
                    return Err(format!("{wrong} pictures differ after a wait for {wait:?}"));
                }
            }
        }
        Ok(())
    }

    /// One picture: whether it was right, and the time from its submission to the wait's end and to the
    /// copy's.
    fn round(
        &mut self,
        round: usize,
        wait: Wait,
        busy: bool,
    ) -> Result<(bool, Duration, Duration), String> {
        let (view, wanted) = &self.wanted[round % self.wanted.len()];
        let size = self.ring.size();
        let mut slot = free(|| self.ring.begin())?;
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        if busy {
            let [from, to] = &self.work;
            for _ in 0..WORK.1 {
                encoder.copy_buffer_to_buffer(from, 0, to, 0, WORK.0);
            }
        }
        slot.encode(&mut encoder, view, size);
        let commands = encoder.finish();
        let since = Instant::now();
        let mut image = slot.submit(commands).ok_or("nothing was recorded")?;
        if wait == Wait::Fence {
            finish(&mut *image)?;
        }
        let shared = image.shared().ok_or("the picture is not shared")?;
        if wait == Wait::Semaphore {
            let ready = shared.ready.as_ref().ok_or("the picture has no signal")?;
            let at = self.import(ready.semaphore)?;
            self.stream.wait(&self.semaphores[at].1, ready)?;
        }
        let given = since.elapsed();
        let buffer = find(self.buffers, shared.memory.id)?;
        let (row, height) = (row_bytes(self.ring.kind(), size), size.height as usize);
        let luma = self.stream.read(buffer, shared.planes[0], row, height)?;
        let chroma = self.stream.read(buffer, shared.planes[1], row, height / 2)?;
        let copied = since.elapsed();
        if let Some(SemaphoreKind::Binary(turns)) =
            shared.ready.as_ref().map(|ready| &ready.semaphore.kind)
        {
            turns.settle();
        }
        // The slot is drawn to again only when the device is through with it.
        finish(&mut *image)?;
        let made = Packed { size, luma, chroma };
        Ok((differences(&made, wanted).is_ok(), given, copied))
    }
}

/// What CUDA writes into a picture must be what a copy by Vulkan finds there.
fn written_by_cuda(
    gpu: &Gpu,
    shared: &mut FrameRing,
    buffers: &[(MemoryId, CudaBuffer<'_>)],
    (view, wanted): &(wgpu::TextureView, Packed),
) -> Result<(), String> {
    let mut image = next(gpu, shared, view)?;
    finish(&mut *image)?;
    let (id, planes) = place(&*image)?;
    let buffer = find(buffers, id)?;
    let row = row_bytes(shared.kind(), shared.size());
    let marks: Vec<u8> = (0..row * 16).map(|at| (at as u8).wrapping_mul(7) | 1).collect();
    buffer.write(planes[0], row, &marks)?;
    // A copy from pageable memory is complete only when something after it is.
    buffer.read(planes[0], row, 16)?;
    let made = Packed::read(&mut *image);
    let (upper, rest) = made.luma.split_at(marks.len());
    if upper != marks || rest != &wanted.luma[marks.len()..] || made.chroma != wanted.chroma {
        return Err("Vulkan does not see what CUDA wrote".to_owned());
    }
    if shared.readbacks() != 1 {
        return Err("the copy for the CPU was not counted".to_owned());
    }
    Ok(())
}

/// Submits a picture once a slot is free: images of before are dropped while the device still has them.
fn next(
    gpu: &Gpu,
    ring: &mut FrameRing,
    view: &wgpu::TextureView,
) -> Result<Box<dyn FrameImage>, String> {
    let size = ring.size();
    free(|| submit(gpu, ring, view, size))
}

/// What `take` makes of a slot, once one is free.
fn free<T>(mut take: impl FnMut() -> Option<T>) -> Result<T, String> {
    let since = Instant::now();
    loop {
        match take() {
            Some(made) => return Ok(made),
            None if since.elapsed() > PATIENCE => return Err("no slot is free".to_owned()),
            None => std::thread::yield_now(),
        }
    }
}

fn finish(image: &mut dyn FrameImage) -> Result<(), String> {
    image.finish(&TestClock::new(), &mut StageTimes::default()).map_err(|error| error.to_string())
}

type Planes = smallvec::SmallVec<[media::SharedPlane; 3]>;

fn place(image: &dyn FrameImage) -> Result<(MemoryId, Planes), String> {
    let shared = image.shared().ok_or("the picture is not shared")?;
    Ok((shared.memory.id, shared.planes))
}

fn find<'a, 'b>(
    buffers: &'a [(MemoryId, CudaBuffer<'b>)],
    id: MemoryId,
) -> Result<&'a CudaBuffer<'b>, String> {
    let found = buffers.iter().find(|(known, _)| *known == id);
    found.map(|(_, buffer)| buffer).ok_or("a slot has memory that was not imported".to_owned())
}

/// A picture as CUDA has it.
fn read(buffers: &[(MemoryId, CudaBuffer<'_>)], image: &dyn FrameImage) -> Result<Packed, String> {
    let (id, planes) = place(image)?;
    let buffer = find(buffers, id)?;
    let size = image.size();
    let (row, _) = image.format().plane(0, size).ok_or("a picture without planes")?;
    let height = size.height as usize;
    let luma = buffer.read(planes[0], row, height)?;
    let chroma = buffer.read(planes[1], row, height / 2)?;
    Ok(Packed { size, luma, chroma })
}

/// Bytes of a row; both planes have the same.
fn row_bytes(kind: PictureKind, size: Size) -> usize {
    kind.format.plane(0, size).map_or(0, |(row, _)| row)
}

fn differences(made: &Packed, wanted: &Packed) -> Result<(), String> {
    let planes = [(&made.luma, &wanted.luma, "luma"), (&made.chroma, &wanted.chroma, "chroma")];
    for (made, wanted, name) in planes {
        let differ = made.iter().zip(wanted).filter(|(made, wanted)| made != wanted).count();
        if differ > 0 || made.len() != wanted.len() {
            return Err(format!("{differ} of {} bytes of {name} differ", wanted.len()));
        }
    }
    Ok(())
}

fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let since = Instant::now();
    let made = call();
    (made, since.elapsed())
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let us = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let (median, most) = (us(times.len() / 2), us(times.len().saturating_sub(1)));
    format!("least {:.1} µs, median {median:.1} µs, most {most:.1} µs", us(0))
}

fn hex(DeviceId(bytes): DeviceId) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
