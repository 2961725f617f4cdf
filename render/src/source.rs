//! A scene as a [`FrameSource`]: camera and clicks in, frames out, on whichever device works now.
//!
//! ```text
//!  Stage (one a process)      pipelines and converter on the device of now
//!    └─ SceneHost (a scene)   CPU scene, pick index; geometry and textures on the device of now
//!         └─ SceneSource (a session)   camera, clicks, pose, targets, ring of three slots
//! ```
//! A lost device is replaced by the first source that meets it; the others find the new one and make
//! their resources anew. Nothing is lost but the pictures in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use glam::{Mat4, Vec2};
use media::{
    Clock, Damage, DeviceId, Frame, FrameRequest, FrameSource, InputSeq, InputSink, Mark,
    MediaTime, Pacing, PictureKind, Rect, SequencedInput, Size, SourceError, SourceEvent,
    SourceInfo, StageTimes, View,
};
use smallvec::{SmallVec, smallvec};

use crate::camera::{CameraPose, CameraRig};
use crate::device::{Gpu, GpuPool};
use crate::draw::{
    DrawList, PoseRef, RenderSettings, Renderer, SceneGpu, SessionTargets, ViewParams, perspective,
};
use crate::picture::{self, PictureConverter};
use crate::readback::{FrameRing, RingError, Sharing};
use crate::resolution::Resolution;
use crate::scene::{Clicks, PickIndex, Pose, Scene, click_target};

/// Clicks that wait for the next frame. A further one takes the place of the oldest.
const PENDING_CLICKS: usize = 8;
/// Part of the frame interval that drawing may take where the encoder runs on the same cores.
const SOFTWARE_SHARE: f64 = 0.72;

/// What sources draw with, on the device of now.
struct Kit {
    gpu: Arc<Gpu>,
    renderer: Renderer,
    converter: Arc<PictureConverter>,
}

/// The renderer of a process, shared by all scenes.
pub struct Stage {
    pool: Arc<GpuPool>,
    settings: RenderSettings,
    dynamic_resolution: bool,
    kit: Mutex<Option<Arc<Kit>>>,
}

impl Stage {
    /// A renderer on the devices of `pool`. Without `dynamic_resolution` scenes are always drawn at the
    /// coded size.
    pub fn new(
        pool: Arc<GpuPool>,
        settings: RenderSettings,
        dynamic_resolution: bool,
    ) -> Arc<Self> {
        Arc::new(Self { pool, settings, dynamic_resolution, kit: Mutex::new(None) })
    }

    /// The kit on a device that works; the device is opened anew if need be.
    fn kit(&self) -> Result<Arc<Kit>, SourceError> {
        let mut kept = self.kit.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that no older device takes the place of a newer one.
        let gpu = self.pool.reopen().map_err(lost)?;
        if let Some(kit) = kept.as_ref().filter(|kit| kit.gpu.generation() == gpu.generation()) {
            return Ok(kit.clone());
        }
        // On cores, shadows of what moves cost a tenth of a picture, which the frame rate needs more.
        let moving_casters = self.settings.moving_casters && !gpu.is_software();
        let settings = RenderSettings { moving_casters, ..self.settings };
        let (renderer, converter) = gpu
            .checked(|| (Renderer::new(&gpu, settings), PictureConverter::new(&gpu)))
            .map_err(|refused| failed(&gpu, refused))?;
        let renderer = renderer.map_err(|error| failed(&gpu, error))?;
        let converter = Arc::new(converter);
        let kit = Arc::new(Kit { gpu, renderer, converter });
        *kept = Some(kit.clone());
        Ok(kit)
    }
}

fn lost(error: impl std::fmt::Display) -> SourceError {
    SourceError::DeviceLost(error.to_string())
}

/// What a device refused: for want of the device itself, or for good.
fn failed(gpu: &Gpu, error: impl std::fmt::Display) -> SourceError {
    match gpu.lost() {
        Some(reason) => SourceError::DeviceLost(reason),
        None => SourceError::Failed(error.to_string()),
    }
}

/// A scene on a device.
struct OnGpu {
    kit: Arc<Kit>,
    scene: Arc<SceneGpu>,
}

/// A loaded scene, shared by all sessions that show it.
pub struct SceneHost {
    stage: Arc<Stage>,
    scene: Scene,
    pick: PickIndex,
    on_gpu: Mutex<Option<Arc<OnGpu>>>,
}

impl SceneHost {
    /// Takes a loaded scene; nothing is uploaded before [`warm`](Self::warm) or the first source.
    pub fn new(stage: Arc<Stage>, scene: Scene) -> Arc<Self> {
        let pick = PickIndex::new(&scene);
        Arc::new(Self { stage, scene, pick, on_gpu: Mutex::new(None) })
    }

    /// Uploads the scene and compiles its pipelines, so that the first session starts at once. Takes
    /// up to seconds on a software device.
    ///
    /// # Errors
    /// [`SourceError::DeviceLost`], or [`SourceError::Failed`] where the device cannot hold the scene.
    pub fn warm(&self) -> Result<(), SourceError> {
        self.on_gpu().map(drop)
    }

    fn on_gpu(&self) -> Result<Arc<OnGpu>, SourceError> {
        let mut kept = self.on_gpu.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, as there.
        let kit = self.stage.kit()?;
        let current = |on: &&Arc<OnGpu>| on.kit.gpu.generation() == kit.gpu.generation();
        if let Some(on_gpu) = kept.as_ref().filter(current) {
            return Ok(on_gpu.clone());
        }
        let scene =
            SceneGpu::upload(&kit.gpu, &self.scene).map_err(|error| failed(&kit.gpu, error))?;
        kit.renderer.prepare(&kit.gpu, &scene).map_err(|error| failed(&kit.gpu, error))?;
        let on_gpu = Arc::new(OnGpu { kit, scene });
        *kept = Some(on_gpu.clone());
        Ok(on_gpu)
    }

    /// The device that draws it now; none where no other API can read its pictures in place.
    pub fn device_id(&self) -> Option<DeviceId> {
        self.stage.pool.current().device_id()
    }

    /// Opens a source of `coded` size with a camera of its own, and the sink that steers it. The
    /// scene's time begins at the first frame.
    ///
    /// # Errors
    /// As [`warm`](Self::warm), and [`SourceError::Failed`] for a size that cannot be had.
    pub fn open(
        self: &Arc<Self>,
        coded: Size,
        clock: Arc<dyn Clock>,
    ) -> Result<(SceneSource, SceneInput), SourceError> {
        let steering = Arc::new(Mutex::new(Steering {
            rig: CameraRig::new(&self.scene),
            clicks: SmallVec::new(),
            newest: None,
            touched: clock.now(),
        }));
        let resources = Resources::new(self.on_gpu()?, coded, Wanted::default())?;
        let resolution = if !self.stage.dynamic_resolution {
            None
        } else if resources.on_gpu.kit.gpu.is_software() {
            Some(Resolution::from_least(coded))
        } else {
            Some(Resolution::new(coded))
        };
        let drawn = resolution.as_ref().map_or(coded, Resolution::internal);
        let source = SceneSource {
            pose: Pose::new(&self.scene),
            host: self.clone(),
            coded,
            drawn,
            clock,
            resources: Some(resources),
            resolution,
            steering: steering.clone(),
            clicks: Clicks::new(),
            touched: None,
            list: DrawList::new(),
            began: None,
            shown: None,
        };
        Ok((source, SceneInput { steering }))
    }
}

/// What a session holds on the device of now.
struct Resources {
    on_gpu: Arc<OnGpu>,
    ring: FrameRing,
    /// What the ring was asked to be.
    wanted: Wanted,
    targets: SessionTargets,
}

/// What a ring is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wanted {
    /// In shared memory, which the device need not have.
    share: bool,
    kind: PictureKind,
}

impl Wanted {
    fn of(request: &FrameRequest<'_>) -> Self {
        // What is not made is NV12.
        let kind = if picture::is_made(request.kind) { request.kind } else { PictureKind::NV12 };
        Self { share: request.share, kind }
    }
}

impl Default for Wanted {
    fn default() -> Self {
        Self { share: false, kind: PictureKind::NV12 }
    }
}

impl Resources {
    fn new(on_gpu: Arc<OnGpu>, coded: Size, wanted: Wanted) -> Result<Self, SourceError> {
        let ring = ring(&on_gpu.kit, coded, wanted)?;
        Ok(Self { on_gpu, ring, wanted, targets: SessionTargets::new() })
    }

    /// Another ring where pictures are wanted elsewhere, otherwise or of another size than before. Pictures of the old
    /// one stay valid.
    fn follow(&mut self, coded: Size, wanted: Wanted) -> Result<(), SourceError> {
        if self.wanted != wanted || self.ring.size() != coded {
            self.ring = ring(&self.on_gpu.kit, coded, wanted)?;
            self.wanted = wanted;
        }
        Ok(())
    }
}

/// A ring in shared memory where that is wanted and can be had, else one for the CPU.
fn ring(kit: &Kit, coded: Size, wanted: Wanted) -> Result<FrameRing, SourceError> {
    let Kit { gpu, converter, .. } = kit;
    let make = |sharing| FrameRing::new(gpu, converter, coded, wanted.kind, sharing);
    let made = if wanted.share {
        make(Sharing::Shared).or_else(|error| match error {
            RingError::Size(_) => Err(error),
            _ => {
                tracing::warn!(%error, "pictures are read back to the CPU");
                make(Sharing::Cpu)
            }
        })
    } else {
        make(Sharing::Cpu)
    };
    made.map_err(|error| failed(gpu, error))
}

/// What the hands on the controls left for the next frame.
struct Steering {
    rig: CameraRig,
    clicks: SmallVec<[Vec2; PENDING_CLICKS]>,
    newest: Option<InputSeq>,
    touched: MediaTime,
}

/// Steers the camera of a [`SceneSource`].
pub struct SceneInput {
    steering: Arc<Mutex<Steering>>,
}

fn lock(steering: &Mutex<Steering>) -> MutexGuard<'_, Steering> {
    // The rig's own changes are complete at every call's end; a panic in between is caught by tests.
    steering.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InputSink for SceneInput {
    fn inject(&mut self, input: &SequencedInput, at: MediaTime) {
        let mut steering = lock(&self.steering);
        let click = steering.rig.handle(&input.event, at);
        if let Some(click) = click {
            if steering.clicks.len() == PENDING_CLICKS {
                steering.clicks.remove(0);
            }
            steering.clicks.push(click.ndc);
        }
        // Two channels: numbers may come out of order.
        if steering.newest.is_none_or(|newest| input.seq.is_after(newest)) {
            steering.newest = Some(input.seq);
        }
        steering.touched = at;
    }

    fn release_all(&mut self, at: MediaTime) {
        // Not the player's doing: it neither counts as input nor shows as one.
        lock(&self.steering).rig.handle(&media::InputEvent::ReleaseAll, at);
    }

    fn support(&self) -> media::InputSupport {
        // Two fingers look and walk; a pen points as a mouse does.
        let (touch, pen) = (media::TakenAs::Itself, media::TakenAs::Nothing);
        media::InputSupport { touch, pen, ..media::InputSupport::default() }
    }

    fn idle_for(&self, now: MediaTime) -> Duration {
        now.since(lock(&self.steering).touched)
    }
}

/// A scene seen by one camera, drawn when it is asked for.
pub struct SceneSource {
    host: Arc<SceneHost>,
    coded: Size,
    drawn: Size,
    clock: Arc<dyn Clock>,
    resources: Option<Resources>,
    resolution: Option<Resolution>,
    steering: Arc<Mutex<Steering>>,
    clicks: Clicks,
    touched: Option<TouchListener>,
    pose: Pose,
    list: DrawList,
    began: Option<MediaTime>,
    /// The time that was drawn last, and at what size.
    shown: Option<(MediaTime, Size)>,
}

impl FrameSource for SceneSource {
    fn info(&self) -> SourceInfo {
        let (size, drawn) = (self.coded, self.drawn);
        SourceInfo { pacing: Pacing::Pulled, size, drawn, views: 1, resizes: true }
    }

    fn resize(&mut self, size: Size) -> Size {
        if size != self.coded {
            self.coded = size;
            // A picture that was drawn at the coded size still is.
            self.resolution = self.resolution.take().map(|before| before.of(size));
            self.drawn = self.resolution.as_ref().map_or(size, Resolution::internal);
        }
        size
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        if !request.views.is_empty() {
            let why = "a scene is drawn for its own camera, not yet for the eyes of a headset";
            return Err(SourceError::Failed(why.into()));
        }
        let mut resources = self.take_resources(Wanted::of(request))?;
        let event = self.draw(&mut resources, request);
        if let Some(reason) = resources.on_gpu.kit.gpu.lost() {
            // What was recorded will never be drawn, so what changed in it is not known to anybody.
            self.shown = None;
            return Err(SourceError::DeviceLost(reason));
        }
        self.resources = Some(resources);
        event
    }
}

/// Something in the scene was touched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Touch {
    /// The node that answers.
    pub node: usize,
    /// Where across the picture, from -1, left, to 1.
    pub across: f32,
    /// The time of the picture that shows it first.
    pub at: MediaTime,
}

/// Hears of what is touched, on the thread that draws; must not block.
pub type TouchListener = Box<dyn FnMut(Touch) + Send>;

impl SceneSource {
    /// Tells `listener` of everything that is touched from now on.
    pub fn on_touch(&mut self, listener: TouchListener) {
        self.touched = Some(listener);
    }

    /// Draws at the coded size from now on, however long that takes: for still pictures.
    pub fn draw_at_coded_size(&mut self) {
        self.resolution = None;
        self.drawn = self.coded;
    }

    /// Pictures in shared memory that the CPU wanted after all, of the ring in use. It stays 0 where
    /// the encoder reads them in place.
    pub fn readbacks(&self) -> u64 {
        self.resources.as_ref().map_or(0, |resources| resources.ring.readbacks())
    }

    /// The resources, made anew if their device is gone.
    fn take_resources(&mut self, wanted: Wanted) -> Result<Resources, SourceError> {
        match self.resources.take() {
            Some(resources) => match resources.on_gpu.kit.gpu.lost() {
                // Told once as a loss; the next call opens the device anew.
                Some(reason) => Err(SourceError::DeviceLost(reason)),
                None => Ok(resources),
            },
            None => {
                // Another device draws otherwise.
                self.shown = None;
                Resources::new(self.host.on_gpu()?, self.coded, wanted)
            }
        }
    }

    fn draw(
        &mut self,
        resources: &mut Resources,
        request: &FrameRequest<'_>,
    ) -> Result<SourceEvent, SourceError> {
        // In software the next picture would only take cores from this one, and be old when drawn.
        if resources.on_gpu.kit.gpu.is_software() && resources.ring.is_drawing() {
            return Err(SourceError::Busy);
        }
        let resized = resources.ring.size() != self.coded;
        resources.follow(self.coded, Wanted::of(request))?;
        // The slot first: state that is sampled must be drawn, or its change would go unseen.
        let mut slot = resources.ring.begin().ok_or(SourceError::NoFreeSlot)?;
        let mut stages = StageTimes::captured(request.at);
        let began = *self.began.get_or_insert(request.at);
        let seconds = request.at.since(began).as_secs_f64();
        let (camera, moved, newest) = self.sample(request.at, seconds);
        self.pose.evaluate(&self.host.scene, seconds, &self.clicks);
        let before = self.shown;
        let passed = before.is_none_or(|(at, _)| at != request.at);
        if !(moved || self.pose.moving && passed || request.refresh) {
            return Ok(SourceEvent::Unchanged);
        }
        self.choose_size(resources, request.within);
        self.shown = Some((request.at, self.drawn));
        let still = !moved && !self.pose.moving && !resized;
        stages.mark(Mark::DrawStarted, self.clock.now());

        let view = view_params(&camera, self.drawn);
        let pose = PoseRef {
            world: &self.pose.world,
            joints: &self.pose.joint_matrices,
            highlights: &self.pose.highlight,
        };
        let OnGpu { kit, scene } = &*resources.on_gpu;
        self.list.build(scene, pose, &[view]);
        let mut encoder =
            kit.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let Resources { targets, ring, .. } = resources;
        let kind = ring.kind();
        let (renderer, list) = (&kit.renderer, &self.list);
        let picture = match picture::is_pq(kind) {
            Some(true) => renderer.draw_linear(&mut encoder, scene, targets, list, self.drawn),
            _ => renderer.draw(&mut encoder, scene, targets, list, self.drawn),
        };
        let picture = picture.map_err(|error| SourceError::Failed(error.to_string()))?;
        slot.encode(&mut encoder, picture, self.drawn);
        let image = slot
            .submit(encoder.finish())
            .ok_or_else(|| SourceError::Failed("no picture was recorded".into()))?;
        Ok(SourceEvent::Frame(Frame {
            id: request.id,
            captured_at: request.at,
            views: smallvec![View::screen(self.coded)],
            damage: match before {
                Some((_, drawn)) if still && drawn == self.drawn => Damage::none(),
                _ => Damage::Unknown,
            },
            color: kind.color,
            depth: None,
            last_input: newest,
            scaled: self.drawn != self.coded,
            stages,
            image,
        }))
    }

    /// Where the camera is, whether it moved, and the newest input that this shows.
    fn sample(&mut self, at: MediaTime, seconds: f64) -> (CameraPose, bool, Option<InputSeq>) {
        let mut steering = lock(&self.steering);
        let moved = steering.rig.is_moving() || !steering.clicks.is_empty();
        let camera = steering.rig.advance(at);
        let clicks = std::mem::take(&mut steering.clicks);
        let newest = steering.newest;
        drop(steering);
        let aspect = self.coded.width as f32 / self.coded.height as f32;
        for ndc in clicks {
            // The pose is that of the frame before: what the player saw when clicking.
            let hit = self.host.pick.pick(&self.host.scene, &self.pose, camera.ray(ndc, aspect));
            if let Some(hit) = hit {
                self.clicks.push(hit.node, seconds);
                if let Some(touched) = &mut self.touched {
                    let node = click_target(&self.host.scene, hit.node);
                    touched(Touch { node, across: ndc.x, at });
                }
            }
        }
        (camera, moved, newest)
    }

    fn choose_size(&mut self, resources: &Resources, interval: Duration) {
        let Some(resolution) = &mut self.resolution else { return };
        if let Some(cost) = resources.ring.take_cost() {
            let software = resources.on_gpu.kit.gpu.is_software();
            let budget = if software { interval.mul_f64(SOFTWARE_SHARE) } else { interval };
            resolution.observe(cost.internal, cost.time, budget);
        }
        self.drawn = resolution.internal();
    }
}

fn view_params(camera: &CameraPose, size: Size) -> ViewParams {
    let up = (camera.fov_y * 0.5).tan();
    let side = up * size.width as f32 / size.height as f32;
    let fov = media::Fov { left: side, right: side, up, down: up };
    ViewParams {
        clip_from_view: perspective(fov, camera.near),
        view_from_world: Mat4::from_rotation_translation(camera.orientation, camera.position)
            .inverse(),
        region: Rect::whole(size),
    }
}
