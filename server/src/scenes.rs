//! Rendered scenes as apps: the demo, and the folders that the configuration names; and the sync test.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use image::codecs::jpeg::JpegEncoder;
use media::{
    Clock, CpuImage, DeviceId, FrameId, FrameRate, FrameRequest, FrameSource as _, Size,
    SourceError, SourceEvent, StageTimes,
};
use render::device::GpuPool;
use render::draw::RenderSettings;
use render::scene::{LoadLimits, LoadedScene, SceneError, load_scene, load_scene_bytes};
use render::source::{SceneHost, Stage};

use crate::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use crate::clock::MonotonicClock;
use crate::config::Config;
use crate::saves::GameSaves;
use crate::sounds::bells::{Bells, Strikes};
use crate::sync_test::SyncTest;
use crate::wire::{ControlHint, EntryKind, KeyboardMode};

/// Size of a catalogue picture.
pub(crate) const POSTER: Size = Size::new(960, 540);

/// All scenes of a node.
pub struct SceneLibrary {
    apps: Vec<Arc<dyn App>>,
}

impl SceneLibrary {
    /// Loads the demo and every configured folder, and lists the sync test behind them. A scene that cannot
    /// be loaded is listed with the reason and cannot be played.
    pub fn new(pool: Arc<GpuPool>, config: &Config) -> Self {
        let settings = RenderSettings {
            samples: config.render.msaa,
            shadow_size: config.render.shadow_size,
            ..RenderSettings::default()
        };
        let stage = Stage::new(pool, settings, config.render.dynamic_resolution);
        let mut apps: Vec<Arc<dyn App>> = Vec::new();
        if config.catalogue.demo {
            let demo = || load_scene_bytes("demo", &render::demo::glb(), &LoadLimits::default());
            apps.push(Arc::new(SceneApp {
                id: "demo".into(),
                title: "Nearlight Observatory".into(),
                summary: "A floating observatory at golden hour, made by Nearlight itself. Walk the plaza, \
                          click the orrery, the lanterns and the rocks."
                    .into(),
                state: open(&stage, "demo", demo),
            }));
        }
        let mut taken = vec!["demo".to_owned(), "sync-test".to_owned()];
        for folder in &config.catalogue.scenes {
            let id = unique_id(folder, &mut taken);
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            let title = name.unwrap_or_else(|| id.clone());
            let state = open(&stage, &id, || load_scene(folder, &LoadLimits::default()));
            apps.push(Arc::new(SceneApp {
                // Where it lies is for the log, not for whoever reads the catalogue.
                state: state.map_err(|why| why.replace(&folder.display().to_string(), &title)),
                summary: format!("The scene {title:?} of this node."),
                title,
                id,
            }));
        }
        if config.catalogue.sync_test {
            apps.push(Arc::new(SyncTest));
        }
        Self { apps }
    }

    /// The scenes.
    pub fn apps(self) -> Vec<Arc<dyn App>> {
        self.apps
    }
}

fn open(
    stage: &Arc<Stage>,
    id: &str,
    load: impl FnOnce() -> Result<LoadedScene, SceneError>,
) -> Result<Arc<SceneHost>, String> {
    let opened = contained(|| {
        let loaded = load().map_err(|error| error.to_string())?;
        for warning in &loaded.warnings {
            tracing::info!(scene = loaded.scene.name, warning, "scene loaded with a remark");
        }
        let host = SceneHost::new(stage.clone(), loaded.scene);
        let warmed = match host.warm() {
            // A second try opens the device anew.
            Err(SourceError::DeviceLost(_)) => host.warm(),
            warmed => warmed,
        };
        warmed.map_err(|error| error.to_string())?;
        Ok(host)
    });
    opened.inspect_err(|reason| {
        tracing::warn!(scene = id, reason, "scene refused: it is listed and cannot be played");
    })
}

/// A panic is our bug, and one scene's: the others are played.
fn contained<T>(make: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|_| {
        tracing::error!("preparing a scene panicked");
        Err("the scene could not be prepared: an internal fault".into())
    })
}

fn unique_id(folder: &Path, taken: &mut Vec<String>) -> String {
    let name =
        folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut id: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    if id.is_empty() {
        id = "scene".into();
    }
    let base = id.clone();
    let mut number = 2;
    while taken.contains(&id) {
        id = format!("{base}-{number}");
        number += 1;
    }
    taken.push(id.clone());
    id
}

/// One scene.
struct SceneApp {
    id: String,
    title: String,
    summary: String,
    state: Result<Arc<SceneHost>, String>,
}

impl App for SceneApp {
    fn info(&self) -> AppInfo {
        let hint =
            |input: &str, action: &str| ControlHint { input: input.into(), action: action.into() };
        AppInfo {
            id: self.id.clone(),
            title: self.title.clone(),
            summary: self.summary.clone(),
            kind: EntryKind::Scene,
            controls: vec![
                hint("W A S D", "walk"),
                hint("mouse", "look"),
                hint("E, Q", "up, down"),
                hint("Shift", "run"),
                hint("click", "touch what you see"),
                hint("V", "walk or orbit"),
            ],
            genre: None,
            licence: None,
            keyboard: KeyboardMode::Places,
            has_poster: true,
            screen: None,
            unavailable: self.state.as_ref().err().cloned(),
        }
    }

    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let host = self.state.as_ref().map_err(|why| OpenError::Content(why.clone()))?;
        let (mut source, input) = host.open(video.size, clock).map_err(|error| match error {
            SourceError::DeviceLost(_) => OpenError::Device(error.to_string()),
            error => OpenError::Content(error.to_string()),
        })?;
        let strikes = Strikes::default();
        let bells = Bells::new(strikes.clone());
        source.on_touch(Box::new(move |touch| {
            strikes.strike(touch.node, touch.across, touch.at);
        }));
        Ok(Running {
            source: Box::new(source),
            input: Box::new(input),
            sound: Some(Box::new(bells)),
            rumble: None,
            voice: None,
        })
    }

    fn has_sound(&self) -> bool {
        true
    }

    fn device(&self) -> Option<DeviceId> {
        self.state.as_ref().ok()?.device_id()
    }

    fn draws_hdr(&self) -> bool {
        true
    }

    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }

    fn draw_poster(&self) -> Option<Vec<u8>> {
        let host = self.state.as_ref().ok()?;
        poster(host).inspect_err(|error| tracing::warn!(scene = self.id, error, "no poster")).ok()
    }
}

/// Draws the first picture of a scene as JPEG.
fn poster(host: &Arc<SceneHost>) -> Result<Vec<u8>, String> {
    let clock = Arc::new(MonotonicClock::new());
    let (mut source, _input) =
        host.open(POSTER, clock.clone()).map_err(|error| error.to_string())?;
    source.draw_at_coded_size();
    let request = FrameRequest {
        id: FrameId(0),
        at: clock.now(),
        within: FrameRate::fps(1).interval(),
        views: &[],
        refresh: true,
        share: false,
        kind: media::PictureKind::NV12,
    };
    let Ok(SourceEvent::Frame(mut frame)) = source.next(&request) else {
        return Err("the source gave no picture".into());
    };
    let mut stages = StageTimes::default();
    frame.image.finish(clock.as_ref(), &mut stages).map_err(|error| error.to_string())?;
    jpeg_of(&frame.image.map().map_err(|error| error.to_string())?)
}

/// A picture in NV12 as JPEG.
pub(crate) fn jpeg_of(image: &CpuImage<'_>) -> Result<Vec<u8>, String> {
    let rgb = rgb_of(image);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 85)
        .encode(&rgb, image.size.width, image.size.height, image::ExtendedColorType::Rgb8)
        .map_err(|error| error.to_string())?;
    Ok(jpeg)
}

/// NV12 (BT.709, limited range) to RGB, chroma not interpolated: for posters, not for measuring.
fn rgb_of(image: &CpuImage<'_>) -> Vec<u8> {
    let (luma, chroma) = (image.planes[0], image.planes[1]);
    let (width, height) = (image.size.width as usize, image.size.height as usize);
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let at = (y / 2) * chroma.stride + (x / 2) * 2;
            let l = (f32::from(luma.data[y * luma.stride + x]) - 16.0) * (255.0 / 219.0);
            let cb = (f32::from(chroma.data[at]) - 128.0) * (255.0 / 224.0);
            let cr = (f32::from(chroma.data[at + 1]) - 128.0) * (255.0 / 224.0);
            // ITU-R BT.709 §3; the cast saturates.
            rgb.extend(
                [l + 1.5748 * cr, l - 0.1873 * cb - 0.4681 * cr, l + 1.8556 * cb].map(|v| v as u8),
            );
        }
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_unique() {
        let mut taken = vec!["demo".to_owned()];
        assert_eq!(unique_id(Path::new("/scenes/My Scene!"), &mut taken), "my-scene-");
        assert_eq!(unique_id(Path::new("/other/my scene!"), &mut taken), "my-scene--2");
        assert_eq!(unique_id(Path::new("/demo"), &mut taken), "demo-2");
        assert_eq!(unique_id(Path::new("/"), &mut taken), "scene");
    }

    #[test]
    fn a_panic_makes_one_scene_unavailable() {
        let broken = contained::<()>(|| panic!("a bug"));
        assert!(broken.unwrap_err().contains("internal fault"));
        assert_eq!(contained(|| Ok(1)), Ok(1));
    }
}
