//! The graphics device: one [`Gpu`] serves every session of the process, through a [`GpuPool`] that
//! opens a new one when it is lost.
//!
//! Headless Vulkan only. It must never know a scene, a frame or a session. Used wrongly it stalls or
//! ends the process: only the watch thread in here may call `wgpu::Device::poll` (wgpu panics in a
//! poll that meets a lost device), and nobody may call `destroy()` on a buffer or texture (it takes
//! a lock that a waiting poll holds, and every `submit` then queues behind it). Dropping is fine.

mod pool;
mod queue;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use media::DeviceId;
use thiserror::Error;
use wgpu::{DeviceType, Features};

use crate::export::{self, Exporter, Signalling};

pub use pool::GpuPool;
pub use queue::Queue;
use watch::Watch;
pub(crate) use watch::{Completion, Watched};

/// Features that are switched on wherever the adapter has them.
const WANTED: Features = Features::TIMESTAMP_QUERY
    .union(Features::IMMEDIATES)
    .union(Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES);
/// Without these nothing works. Vulkan promises 128 bytes of push constants, which is what
/// immediates are.
const REQUIRED: Features = Features::IMMEDIATES;
/// Size of the immediates of any pass, in bytes; the least that Vulkan promises.
const IMMEDIATE_BYTES: u32 = 128;

/// Why a device has nothing that it could share.
const UNSHARED: &str = "it was opened without shared memory";

/// Which device to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Part of the adapter's name, in any case; `None` takes the best: discrete, then integrated,
    /// then virtual, then software.
    pub adapter: Option<String>,
    /// Do without memory that other APIs can import, as on a driver that offers none.
    pub unshared: bool,
}

/// Why no device could be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No Vulkan loader, or no driver behind it.
    #[error(
        "no Vulkan device was found: a driver and the loader (libvulkan.so.1) must be installed; \
         on a machine without a GPU, Mesa's software driver (lavapipe) will do"
    )]
    NoDevice,
    /// There are devices, but none of that name.
    #[error("no Vulkan device is named like \"{wanted}\"; there are: {found}")]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// The names that exist, with commas between.
        found: String,
    },
    /// The device lacks something.
    #[error("the Vulkan device {name} lacks {missing}")]
    Unsuitable {
        /// The device.
        name: String,
        /// Features that it would need.
        missing: String,
    },
    /// The driver refused.
    #[error("the Vulkan device {name} could not be opened: {reason}")]
    Refused {
        /// The device.
        name: String,
        /// What the driver says.
        reason: String,
    },
    /// The watch thread could not be started.
    #[error("the thread that watches the graphics device could not be started")]
    Thread(#[source] std::io::Error),
}

/// What is allocated on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuMemory {
    /// Buffers and textures that hold memory.
    pub allocations: usize,
    /// Bytes that they hold.
    pub bytes: u64,
}

/// An open device with its queue. Shared by all sessions; every method may be called from any
/// thread.
pub struct Gpu {
    // Order matters: the watch thread ends before the queue and the device go.
    watch: Watch,
    health: Arc<Health>,
    queue: Queue,
    device: wgpu::Device,
    adapter: wgpu::Adapter,
    info: wgpu::AdapterInfo,
    exporter: Result<Exporter, String>,
    generation: u64,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu")
            .field("name", &self.name())
            .field("generation", &self.generation)
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

impl Gpu {
    /// Opens a device.
    ///
    /// # Errors
    /// See [`GpuError`].
    pub fn open(options: &GpuOptions) -> Result<Arc<Self>, GpuError> {
        Self::open_generation(options, 0)
    }

    fn open_generation(options: &GpuOptions, generation: u64) -> Result<Arc<Self>, GpuError> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN;
        // Validation layers are for whoever debugs the drawing: WGPU_VALIDATION=1.
        descriptor.flags = wgpu::InstanceFlags::empty().with_env();
        let instance = wgpu::Instance::new(descriptor);
        let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        let adapter = choose(adapters, options.adapter.as_deref())?;
        let info = adapter.get_info();

        let offered = adapter.features();
        if !offered.contains(REQUIRED) {
            let missing = format!("{:?}", REQUIRED.difference(offered));
            return Err(GpuError::Unsuitable { name: info.name, missing });
        }
        let mut features = WANTED & offered;
        if !options.unshared {
            features |= Features::VULKAN_EXTERNAL_MEMORY_FD & offered;
        }
        let mut memory_hints = wgpu::MemoryHints::Performance;
        if info.device_type == DeviceType::Cpu {
            // All memory is the same memory: no copy from where the pass writes to where we read,
            // and no point in large blocks.
            features |= Features::MAPPABLE_PRIMARY_BUFFERS & offered;
            memory_hints = wgpu::MemoryHints::MemoryUsage;
        }
        let mut limits = adapter.limits();
        limits.max_immediate_size = limits.max_immediate_size.min(IMMEDIATE_BYTES);
        let description = wgpu::DeviceDescriptor {
            label: Some("nearlight"),
            required_features: features,
            required_limits: limits,
            memory_hints,
            ..Default::default()
        };
        let signalling = if options.unshared {
            Err(UNSHARED.to_owned())
        } else {
            export::signalling_offered(&adapter)
        };
        let opened = if signalling.is_ok() {
            export::open(&adapter, &description)
        } else {
            pollster::block_on(adapter.request_device(&description))
                .map_err(|error| error.to_string())
        };
        let (device, queue) =
            opened.map_err(|reason| GpuError::Refused { name: info.name.clone(), reason })?;

        let health = Arc::new(Health::default());
        health.listen_to(&device);
        let watch = Watch::start(device.clone(), Arc::clone(&health)).map_err(GpuError::Thread)?;
        tracing::info!(
            name = info.name, driver = info.driver_info, kind = ?info.device_type,
            generation, "graphics device opened"
        );
        let exporter = if options.unshared {
            Err(UNSHARED.to_owned())
        } else {
            Exporter::new(&device, signalling)
        };
        let queue = Queue::new(queue);
        if let Err(reason) = &exporter {
            tracing::info!(reason, "pictures cannot be shared with encoders of the device");
        }
        Ok(Arc::new(Self { watch, health, queue, device, adapter, info, exporter, generation }))
    }

    /// The device. Never poll it and never destroy it; see the module's documentation.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// The driver's name and version.
    pub fn driver(&self) -> String {
        format!("{} {}", self.info.driver, self.info.driver_info)
    }

    /// What is allocated on the device now; `None` where the backend does not tell. Takes a lock and walks every
    /// allocation: for metrics, not for frames.
    pub fn memory(&self) -> Option<GpuMemory> {
        let report = self.device.generate_allocator_report()?;
        let shared = self.exporter.as_ref().map(Exporter::held).unwrap_or_default();
        Some(GpuMemory {
            allocations: report.allocations.len() + shared.allocations,
            bytes: report.total_allocated_bytes + shared.bytes,
        })
    }

    /// Whether the CPU does the work.
    pub fn is_software(&self) -> bool {
        self.info.device_type == DeviceType::Cpu
    }

    /// Whether passes can be timed by the device itself.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(Features::TIMESTAMP_QUERY)
    }

    /// Whether a buffer that a shader writes can be mapped as it is.
    pub fn maps_storage(&self) -> bool {
        self.device.features().contains(Features::MAPPABLE_PRIMARY_BUFFERS)
    }

    /// Makes buffers that other APIs of the device can import.
    ///
    /// # Errors
    /// Why there are none.
    pub fn exporter(&self) -> Result<&Exporter, &str> {
        self.exporter.as_ref().map_err(String::as_str)
    }

    /// The device as other APIs name it; `None` where they cannot import its memory.
    pub fn device_id(&self) -> Option<DeviceId> {
        self.exporter.as_ref().ok().map(Exporter::device_id)
    }

    /// Why no other API can import the device's memory; `None` where one can.
    pub fn cannot_share(&self) -> Option<&str> {
        self.exporter().err()
    }

    /// Why no other API of the device can wait for a picture on the device itself, so that a fence is
    /// waited for; `None` where one can.
    pub fn cannot_signal(&self) -> Option<&str> {
        self.signalling().err()
    }

    /// How other APIs of the device are told that a picture is complete.
    ///
    /// # Errors
    /// Why a fence is waited for instead.
    pub fn signalling(&self) -> Result<Signalling, &str> {
        self.exporter()?.signalling()
    }

    /// Whether textures of `format` can be drawn to with `samples` a pixel.
    pub(crate) fn draws_samples(&self, format: wgpu::TextureFormat, samples: u32) -> bool {
        let features = self.device.features();
        // Without the feature wgpu holds to what every adapter can do, whatever this one could.
        let able = if features.contains(Features::TEXTURE_ADAPTER_SPECIFIC_FORMAT_FEATURES) {
            self.adapter.get_texture_format_features(format)
        } else {
            format.guaranteed_format_features(features)
        };
        able.flags.sample_count_supported(samples)
    }

    /// Counts the devices that a pool opened, from 0. What was made on another generation is void.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Why the device is of no more use; `None` while it works.
    pub fn lost(&self) -> Option<String> {
        self.health.lost()
    }

    /// Gives the device up: everything that waits for it fails with `reason`, and it accepts no more
    /// work. The way to lose a device on purpose, for an operator or a test.
    pub fn lose(&self, reason: &str) {
        // In this order: once the watch thread no longer polls, wgpu does not free the memory under
        // pictures that are mapped.
        self.health.lose(reason);
        self.watch.abandon();
        self.device.destroy();
    }

    /// How many errors nobody was there to catch, and the newest one's text. Each is a bug or a
    /// lack of memory; the device lives on.
    pub fn errors(&self) -> (u64, Option<String>) {
        let state = self.health.state();
        (state.errors, state.newest_error.clone())
    }

    /// Runs `make` and catches what the device refuses of it on this thread: bad descriptors, too
    /// large resources, lack of memory. For resources whose size comes from outside.
    ///
    /// # Errors
    /// The driver's text.
    pub fn checked<T>(&self, make: impl FnOnce() -> T) -> Result<T, String> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let refused = pollster::block_on(validation.pop());
        let refused = pollster::block_on(memory.pop()).or(refused);
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        refused.map_or(Ok(made), |error| Err(error.to_string()))
    }

    /// When the device could begin with work that was recorded at `recorded` and ended at `ended`:
    /// not before what was submitted earlier ended. To be called once for each watched submission.
    pub(crate) fn busy_since(&self, recorded: Instant, ended: Instant) -> Instant {
        let mut state = self.health.state();
        let before = state.newest_end.replace(ended);
        before.filter(|&before| before < ended).map_or(recorded, |before| before.max(recorded))
    }

    /// Blocks until `submission` ended. For whoever may wait: loading, not drawing.
    ///
    /// # Errors
    /// Why it never will: the device refused it, is lost, or does not answer.
    pub fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<(), String> {
        let done = Arc::new(Completion::unmapped());
        self.watch(submission, Arc::clone(&done));
        done.wait().map(drop)
    }

    pub(crate) fn watch(&self, submission: wgpu::SubmissionIndex, done: Arc<Completion>) {
        self.watch.add(submission, done);
    }
}

/// Discrete before integrated before anything else, the CPU last.
fn rank(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

fn choose(adapters: Vec<wgpu::Adapter>, wanted: Option<&str>) -> Result<wgpu::Adapter, GpuError> {
    if adapters.is_empty() {
        return Err(GpuError::NoDevice);
    }
    let names: Vec<_> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    let lower = wanted.map(str::to_lowercase);
    adapters
        .into_iter()
        .filter(|adapter| {
            let name = adapter.get_info().name.to_lowercase();
            lower.as_ref().is_none_or(|part| name.contains(part))
        })
        .min_by_key(|adapter| rank(adapter.get_info().device_type))
        .ok_or_else(|| GpuError::NotFound {
            wanted: wanted.unwrap_or_default().to_owned(),
            found: names.join(", "),
        })
}

/// What is known of a device's state, fed by wgpu's callbacks.
#[derive(Default)]
pub(crate) struct Health {
    state: Mutex<HealthState>,
}

#[derive(Default)]
struct HealthState {
    lost: Option<String>,
    errors: u64,
    newest_error: Option<String>,
    /// When the newest watched submission ended.
    newest_end: Option<Instant>,
}

impl Health {
    fn listen_to(self: &Arc<Self>, device: &wgpu::Device) {
        let health = Arc::downgrade(self);
        device.set_device_lost_callback(move |reason, message| {
            // A device that was dropped in good order has no health left.
            if let Some(health) = health.upgrade() {
                health.lose(&format!("{reason:?}: {message}"));
            }
        });
        let health = Arc::downgrade(self);
        // wgpu's own handler panics.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let Some(health) = health.upgrade() else { return };
            let mut state = health.state();
            state.errors += 1;
            state.newest_error = Some(error.to_string());
            if state.lost.is_none() {
                tracing::error!(%error, "graphics device refused a call");
            }
        }));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> Option<String> {
        self.state().lost.clone()
    }

    /// The first reason counts.
    fn lose(&self, reason: &str) {
        let mut state = self.state();
        if state.lost.is_none() {
            tracing::warn!(reason, "graphics device lost");
            state.lost = Some(reason.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_kinds_come_first() {
        let mut kinds = [
            DeviceType::Cpu,
            DeviceType::IntegratedGpu,
            DeviceType::DiscreteGpu,
            DeviceType::VirtualGpu,
        ];
        kinds.sort_by_key(|&kind| rank(kind));
        assert_eq!(kinds[0], DeviceType::DiscreteGpu);
        assert_eq!(kinds[3], DeviceType::Cpu);
    }

    #[test]
    fn no_adapter_is_a_plain_error() {
        let error = choose(Vec::new(), None).expect_err("nothing to choose from");
        assert!(error.to_string().contains("libvulkan.so.1"), "{error}");
    }
}
