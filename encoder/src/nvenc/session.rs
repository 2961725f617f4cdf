//! A session: pictures go in on the calling thread, and come out on a second one.
//!
//! ```text
//! open ──▶ (submit │ reconfigure │ invalidate)* ──▶ drop: drain ──▶ flush ──▶ unregister ──▶ destroy
//!                                                     └─ hangs: the reader keeps all, told by its name
//! ```
//!
//! The driver's calls that wait are made by the reader alone (see `output`). What both threads use is
//! in [`Inner`], and goes with the last of them: so nothing is freed that a thread still reads from,
//! even where it never comes back.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use media::barcode::Strip;
use media::{CpuImage, Encoded, MemoryId, Picture, PixelFormat, Regions, SharedImage, Size};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use thiserror::Error;

use super::calls::{Call, DriverSession, Failure, Format, Input, Job, PictureCalls, StepMap};
use super::inner::{Inner, Pending, Registered, State, layout_of, lock};
use super::loader::Nvenc;
use super::losses::LongTerm;
use super::output::{self, ReadError};
use super::plan::{Caps, Plan, Refusal, Settings};
use super::raw::Driver;
use super::ring::{Full, PICTURES};
use super::strip::StripRows;
use crate::cuda::{self, Context, Imported, Stream};
use crate::nv12::{copy_rows, plane_holds};
use crate::regions::BlockMap;
use crate::settings::Resilience;
use crate::wake::Wake;

/// Why a session could not be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenFailure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Lacking(String),
    #[error(transparent)]
    Driver(#[from] Failure),
    #[error("its thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a picture did not go in.
#[derive(Debug, Error)]
pub(crate) enum SubmitError {
    /// As many are in it as it takes.
    #[error("{PICTURES} pictures are in it")]
    Full,
    /// Its memory has a picture that is still being coded.
    #[error("its memory has a picture that is still being coded")]
    InUse,
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Driver(#[from] Failure),
    #[error(transparent)]
    Cuda(#[from] cuda::Unavailable),
    /// The device cannot wait until it is complete.
    #[error(transparent)]
    Wait(cuda::Unavailable),
}

/// How a picture is coded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Counts up from picture to picture.
    pub(crate) time_stamp: u64,
    pub(crate) keyframe: bool,
    /// Pictures of the wave that begins with it; 0 begins none.
    pub(crate) wave: u16,
    pub(crate) long_term: LongTerm,
    /// It is the one that is clean again after a loss.
    pub(crate) recovery: bool,
    pub(crate) strip: Option<Strip>,
    pub(crate) regions: Regions,
}

/// An open session of one codec, size and format.
pub(crate) struct Session {
    inner: Arc<Inner>,
    reader: Option<JoinHandle<()>>,
    caps: Caps,
    plan: Plan,
    /// No picture of its size was handed in yet.
    resized: bool,
    resilience: Resilience,
    format: PixelFormat,
    config: Driver<sdk::NV_ENC_CONFIG>,
    parameters: Driver<sdk::NV_ENC_INITIALIZE_PARAMS>,
    change: Driver<sdk::NV_ENC_RECONFIGURE_PARAMS>,
    calls: PictureCalls,
    strip: StripRows,
}

impl Session {
    /// Opens a session and its reader, which is named after `label`.
    pub(crate) fn open(
        nvenc: &Arc<Nvenc>,
        context: &Arc<Context>,
        settings: &Settings,
        format: PixelFormat,
        label: &str,
        wake: &Wake,
    ) -> Result<Self, OpenFailure> {
        let driver = DriverSession::open(nvenc, context)?;
        let mut inner = Inner::new(driver, context);
        let codec = settings.guid()?;
        if !inner.driver.codecs()?.contains(&codec) {
            let codec = settings.codec.rtp_name();
            return Err(OpenFailure::Lacking(format!("this device does not code {codec}")));
        }
        let caps = Caps::query(|cap| inner.driver.cap(codec, cap))?;
        let settings = &settings.for_device(&caps);
        let plan = Plan::new(settings, &caps)?;
        if !inner.driver.profiles(codec)?.contains(&plan.profile) {
            return Err(OpenFailure::Lacking("this device lacks the profile".to_owned()));
        }
        if !inner.driver.formats(codec)?.contains(&(plan.input as u32)) {
            return Err(OpenFailure::Lacking(format!("this device does not take {format:?}")));
        }
        let mut config = inner.driver.preset(codec, plan.preset)?;
        let mut parameters = Driver::zeroed();
        plan.apply(&mut config, &mut parameters);
        inner.driver.initialize(&mut parameters, &mut config)?;
        inner.initialised = true;
        match stream(&inner.driver, context) {
            Ok(stream) => {
                tracing::info!(label, "shared pictures with a signal are waited for by the device");
                inner.stream = Some(Mutex::new(stream));
            }
            Err(reason) => {
                tracing::info!(label, reason, "shared pictures are waited for by a fence");
            }
        }
        for _ in 0..PICTURES {
            inner.outputs.push(inner.driver.create_output()?);
        }
        let inner = Arc::new(inner);
        // Lost pictures may be left out by later ones.
        let gaps = match settings.resilience {
            Resilience::References => caps.invalidation || plan.long_term > 0,
            Resilience::IntraRefresh { .. } => true,
        };
        let reader = output::Reader::new(settings, &plan, gaps, wake.clone());
        let shared = Arc::clone(&inner);
        let reader = std::thread::Builder::new()
            .name(format!("nvo-{label}"))
            .spawn(move || reader.run(&shared))?;
        Ok(Self {
            inner,
            reader: Some(reader),
            caps,
            plan,
            resized: false,
            resilience: settings.resilience,
            format,
            config,
            parameters,
            change: Driver::zeroed(),
            calls: PictureCalls::new(),
            strip: StripRows::new(format),
        })
    }

    pub(crate) fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Whether the device waits for pictures that are not complete.
    pub(crate) fn waits(&self) -> bool {
        self.inner.stream.is_some()
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What lost frames are answered with: what was asked for, or the next best.
    pub(crate) fn resilience(&self) -> Resilience {
        self.resilience
    }

    /// Hands a picture in. Shared memory must stay as it is until the picture's unit is out; where it says
    /// when it is complete, it may be drawn to until then.
    pub(crate) fn submit(
        &mut self,
        picture: &Picture<'_>,
        order: Order,
    ) -> Result<(), SubmitError> {
        let number = lock(&self.inner.state).pictures.room().ok_or(SubmitError::Full)?;
        let output = self.inner.outputs[number];
        let (input, format, pitch, mapped, waited) = match picture {
            Picture::Cpu(image) => {
                let (input, pitch) = self.copy(image, number, order.strip)?;
                (input, self.plan.input as Format, pitch, None, None)
            }
            Picture::Shared(image) => {
                // First, since a strip is drawn at once. A wait for a picture that is not given harms nobody.
                let waited = self.wait_for(image, order.strip)?;
                let (input, format) = self.map(image, order.strip)?;
                (input, format, image.planes[0].stride, Some((image.memory.id, input)), waited)
            }
        };
        let map = self.step_map(number, &order.regions);
        let Order { time_stamp, keyframe, wave, long_term, recovery, .. } = order;
        let wave = u32::from(wave);
        let job = Job { input, format, pitch, output, time_stamp, keyframe, wave, long_term, map };
        if let Err(failure) = self.calls.encode(&self.inner.driver, &self.plan, &job) {
            self.inner.give_back(mapped);
            return Err(failure.into());
        }
        let (slices, resized) = (self.plan.slices(), std::mem::take(&mut self.resized));
        let pending = Pending { output, slices, resized, recovery, long_term, mapped, waited };
        lock(&self.inner.state).pictures.submit(pending);
        self.inner.changed.notify_all();
        Ok(())
    }

    /// Draws the map of the picture of this number, which is free with its output.
    fn step_map(&self, number: usize, regions: &Regions) -> Option<StepMap> {
        let blocks = self.plan.map?;
        let mut resources = lock(&self.inner.resources);
        let map = &mut resources.maps[number];
        let map = map.get_or_insert_with(|| BlockMap::new(self.plan.size, blocks));
        Some(StepMap::of(map.draw(regions)))
    }

    /// Copies a picture from the CPU into the buffer of this number.
    fn copy(
        &mut self,
        image: &CpuImage<'_>,
        number: usize,
        strip: Option<Strip>,
    ) -> Result<(Input, u32), SubmitError> {
        self.check(image.format, image.size)?;
        let planes = || self.format.planes(self.plan.size);
        let whole = image.planes.len() == planes().count()
            && image
                .planes
                .iter()
                .zip(planes())
                .all(|(plane, (row, rows))| plane_holds(plane, row, rows));
        if !whole {
            let reason = format!("its planes do not hold {}", self.plan.size);
            return Err(SubmitError::Refused(reason));
        }
        let mut resources = lock(&self.inner.resources);
        let input = match resources.buffers[number] {
            Some(input) => input,
            None => {
                let input = self.inner.driver.create_input(self.plan.size, self.plan.input)?;
                *resources.buffers[number].insert(input)
            }
        };
        drop(resources);
        let strip = match strip {
            Some(strip) if self.strip.draw(strip, self.plan.size) => Some(&self.strip),
            _ => None,
        };
        let format = self.format;
        let size = self.plan.size;
        let row = format.plane(0, size).map_or(0, |(row, _)| row);
        let all_rows = format.planes(size).map(|(_, rows)| rows).sum();
        let pitch =
            self.calls.fill(&self.inner.driver, input, row, all_rows, |mut memory, stride| {
                for (number, (plane, (row, rows))) in
                    image.planes.iter().zip(format.planes(size)).enumerate()
                {
                    let (to, rest) = memory.split_at_mut(stride * rows);
                    copy_rows(plane, to, stride, row, rows);
                    if let Some((data, row)) = strip.and_then(|strip| strip.plane(number)) {
                        for (from, to) in data.chunks(row).zip(to.chunks_mut(stride)) {
                            to[..row].copy_from_slice(from);
                        }
                    }
                    memory = rest;
                }
            })?;
        Ok((input, pitch))
    }

    /// Makes a picture in shared memory one that can be coded, without touching it.
    fn map(
        &mut self,
        image: &SharedImage<'_>,
        strip: Option<Strip>,
    ) -> Result<(Input, Format), SubmitError> {
        self.check(image.format, image.size)?;
        let layout = layout_of(image).map_err(SubmitError::Refused)?;
        let id = image.memory.id;
        let inner = &*self.inner;
        if image.memory.device != inner.context.device() {
            return Err(SubmitError::Refused("it lies on another device".to_owned()));
        }
        let mut resources = lock(&inner.resources);
        if resources.shared.is_used(id) {
            return Err(SubmitError::InUse);
        }
        if resources.shared.get(id).is_some_and(|known| known.layout != layout)
            && let Some(old) = resources.shared.remove(id)
        {
            inner.unregister(old);
        }
        let registration = match resources.shared.get(id) {
            Some(known) => known.registration,
            None => {
                match resources.shared.make_room() {
                    Ok(Some(oldest)) => inner.unregister(oldest),
                    Ok(None) => {}
                    Err(Full) => return Err(SubmitError::Full),
                }
                let imported = Imported::new(&inner.context, image.memory)?;
                let (size, stride) = (self.plan.size, layout.stride);
                let address = imported.pointer() + layout.offset;
                let registration = inner.driver.register(address, size, stride, self.plan.input)?;
                resources.shared.insert(id, Registered { registration, imported, layout });
                registration
            }
        };
        if let Some(strip) = strip
            && self.strip.draw(strip, self.plan.size)
            && let Some(known) = resources.shared.get(id)
        {
            for ((data, row), plane) in
                (0..).map_while(|number| self.strip.plane(number)).zip(&image.planes)
            {
                known.imported.write_rows(plane.offset, plane.stride, row, data)?;
            }
        }
        let (input, format) = self.calls.map(&inner.driver, registration)?;
        resources.shared.begin(id);
        Ok((input, format))
    }

    /// Has the device wait until a picture is complete, and yields by what semaphore.
    fn wait_for(
        &self,
        image: &SharedImage<'_>,
        strip: Option<Strip>,
    ) -> Result<Option<MemoryId>, SubmitError> {
        let Some(ready) = &image.ready else { return Ok(None) };
        let (Some(stream), None) = (&self.inner.stream, strip) else {
            return Err(SubmitError::Refused("it is not complete".to_owned()));
        };
        match lock(stream).wait(ready) {
            Ok(true) => Ok(Some(ready.semaphore.id)),
            // A session of before, which is gone.
            Ok(false) => Err(SubmitError::InUse),
            Err(failure) => Err(SubmitError::Wait(failure)),
        }
    }

    fn check(&self, format: PixelFormat, size: Size) -> Result<(), SubmitError> {
        if format != self.format {
            let reason = format!("the layout is {format:?}, not {:?}", self.format);
            return Err(SubmitError::Refused(reason));
        }
        if size != self.plan.size {
            return Err(SubmitError::Refused(format!(
                "its size is {size}, not {}",
                self.plan.size
            )));
        }
        Ok(())
    }

    /// Gives up what was registered of this memory, unless a picture in it is being coded.
    pub(crate) fn forget_memory(&mut self, id: MemoryId) {
        let gone = lock(&self.inner.resources).shared.remove(id);
        if let Some(registered) = gone {
            self.inner.unregister(registered);
        }
    }

    /// The next unit, or why there is none for its picture.
    pub(crate) fn poll(&mut self) -> Option<Result<Encoded, ReadError>> {
        let mut state = lock(&self.inner.state);
        let unit = state.pictures.poll();
        if unit.is_some() || !state.ended || state.pictures.unread() == 0 {
            return unit;
        }
        // It panicked, and nobody reads what is left.
        let left = state.pictures.next();
        state.pictures.finish(Err(ReadError::ReaderGone));
        let unit = state.pictures.poll();
        drop(state);
        self.inner.give_back(left.and_then(|picture| picture.mapped));
        unit
    }

    /// Waits until every picture was read; tells whether it was.
    pub(crate) fn drain(&self) -> bool {
        let state = lock(&self.inner.state);
        let busy = |state: &mut State| !state.ended && state.pictures.unread() > 0;
        self.inner.wait_while(state, busy).pictures.unread() == 0
    }

    /// Goes on with other numbers, seamlessly. On failure all stays as it was.
    pub(crate) fn change_rate(&mut self, plan: Plan) -> Result<(), Failure> {
        self.reconfigure(plan, false)
    }

    /// Goes on with another size, from a keyframe on. [`drain`](Self::drain) comes first, and what was
    /// registered must be so anew.
    pub(crate) fn change_size(&mut self, plan: Plan) -> Result<(), Failure> {
        self.inner.release_inputs();
        self.reconfigure(plan, true)?;
        self.resized = true;
        Ok(())
    }

    fn reconfigure(&mut self, plan: Plan, reset: bool) -> Result<(), Failure> {
        plan.apply(&mut self.config, &mut self.parameters);
        let Self { inner, parameters, config, change, .. } = self;
        let result = inner.driver.reconfigure(parameters, config, change, reset);
        match result {
            Ok(()) => self.plan = plan,
            Err(_) => self.plan.apply(&mut self.config, &mut self.parameters),
        }
        result
    }

    /// Takes a picture out of the references.
    pub(crate) fn invalidate(&mut self, time_stamp: u64) -> Result<(), Failure> {
        self.inner.driver.invalidate(time_stamp)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = lock(&self.inner.state);
        state.closing = true;
        self.inner.changed.notify_all();
        let ended = self.inner.wait_while(state, |state| !state.ended).ended;
        let Some(reader) = self.reader.take() else { return };
        if ended {
            // It only returns now. Its panic was told where it happened.
            let _ = reader.join();
        } else {
            let name = reader.thread().name().unwrap_or_default().to_owned();
            tracing::error!(
                thread = name,
                "the driver holds on to a picture: this thread and its session are left behind"
            );
        }
    }
}

/// Where the session of `driver` waits for pictures, or why it cannot.
fn stream(driver: &DriverSession, context: &Arc<Context>) -> Result<Stream, String> {
    // One picture more than there are, so that the one in hand never puts out what others wait for.
    let mut stream = Stream::new(context, PICTURES + 1).map_err(|failure| failure.to_string())?;
    driver.wait_in(&mut stream).map_err(|failure| failure.to_string())?;
    Ok(stream)
}

impl SubmitError {
    /// The driver's failure, where it is one; that of an import counts as one to register.
    pub(crate) fn failed_call(&self) -> Option<Failure> {
        match self {
            Self::Driver(failure) => Some(*failure),
            Self::Cuda(_) => Some(Failure::REGISTER),
            Self::Full | Self::InUse | Self::Refused(_) | Self::Wait(_) => None,
        }
    }

    /// Whether CUDA failed in a way that the next picture need not meet.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Cuda(failure) | Self::Wait(failure) if failure.may_pass())
    }
}

impl Failure {
    /// What an import that failed is treated as.
    const REGISTER: Self = Self {
        call: Call::RegisterResource,
        answer: super::calls::Answer::Status(super::Status::RESOURCE_REGISTER_FAILED),
    };
}
