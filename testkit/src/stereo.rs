//! Two eyes in one picture, bound to their pose: the seam that headsets need.

use std::sync::Arc;

use media::{
    Clock, ColorDescription, Damage, DepthImage, Fov, Frame, FrameRequest, FrameSource, Mark,
    MediaTime, Pacing, PixelFormat, Pose, Rect, Size, SourceError, SourceEvent, SourceInfo,
    SpaceEpoch, StageTimes, View, Views,
};
use smallvec::smallvec;

use crate::pattern::{Canvas, Texture, even};
use crate::pool::SlotPool;

/// Distance between the eyes in metres.
const EYES: f32 = 0.063;
/// How far the content moves for a metre of the eye, in pixels.
const PIXELS_PER_METRE: f64 = 200.0;
/// The near plane in metres.
const NEAR: f32 = 0.1;

/// Pulled NV12 pictures with the left eye's view beside the right eye's.
///
/// Two views in [`FrameRequest::views`] say where the eyes are, and come back with the frame as they
/// were asked for; with any other number the source's own head is used, turning slowly.
pub struct StereoPattern {
    eye: Size,
    texture: Texture,
    pool: SlotPool,
    clock: Arc<dyn Clock>,
    shown: Option<(MediaTime, [Eye; 2])>,
    depth: Option<DepthImage>,
}

/// Where an eye is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Eye {
    pose: Pose,
    fov: Fov,
    space: SpaceEpoch,
}

impl StereoPattern {
    /// Pictures of two views of `eye` pixels each, rounded down to even; `slots` at most in flight.
    pub fn new(eye: Size, slots: usize, clock: Arc<dyn Clock>) -> Self {
        let (eye, pool) = (even(eye), SlotPool::new(slots));
        Self { eye, texture: Texture::new(), pool, clock, shown: None, depth: None }
    }

    /// Gives each picture depth of a quarter of its size: a wall two metres away.
    #[must_use]
    pub fn with_depth(mut self) -> Self {
        let size = Size::new(self.size().width.div_ceil(4), self.size().height.div_ceil(4));
        let values = std::iter::repeat_n(NEAR / 2.0, size.pixels() as usize).collect();
        self.depth = Some(DepthImage { size, near: NEAR, values });
        self
    }

    fn size(&self) -> Size {
        Size::new(self.eye.width * 2, self.eye.height)
    }

    fn region(&self, eye: u32) -> Rect {
        Rect { x: eye * self.eye.width, y: 0, width: self.eye.width, height: self.eye.height }
    }
}

impl FrameSource for StereoPattern {
    fn info(&self) -> SourceInfo {
        let size = self.size();
        SourceInfo { pacing: Pacing::Pulled, size, views: 2, drawn: size, resizes: false }
    }

    fn resize(&mut self, _: Size) -> Size {
        self.size()
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        let mut stages = StageTimes::captured(self.clock.now());
        let eyes = eyes(request);
        let unchanged = self.shown == Some((request.at, eyes));
        if unchanged && !request.refresh {
            return Ok(SourceEvent::Unchanged);
        }
        let size = self.size();
        let mut image = self.pool.take(PixelFormat::Nv12, size).ok_or(SourceError::NoFreeSlot)?;
        stages.mark(Mark::DrawStarted, self.clock.now());
        let (luma, chroma) = image.nv12_mut();
        let mut canvas = Canvas { luma, chroma, stride: size.width as usize };
        let mut views = Views::new();
        for (index, eye) in (0..).zip(eyes) {
            let region = self.region(index);
            let shift = -f64::from(eye.pose.position[0]) * PIXELS_PER_METRE;
            self.texture.paint(&mut canvas, region, request.at, shift);
            views.push(View {
                region,
                pose: Some(eye.pose),
                fov: Some(eye.fov),
                foveation: None,
                space: eye.space,
            });
        }
        image.completed(self.clock.now());
        self.shown = Some((request.at, eyes));
        Ok(SourceEvent::Frame(Frame {
            id: request.id,
            captured_at: request.at,
            views,
            damage: if unchanged { Damage::Rects(smallvec![]) } else { Damage::Unknown },
            color: ColorDescription::BT709_LIMITED,
            depth: self.depth.clone(),
            last_input: None,
            scaled: false,
            stages,
            image: Box::new(image),
        }))
    }
}

/// The eyes to draw for: those asked for, completed from the source's own head.
fn eyes(request: &FrameRequest<'_>) -> [Eye; 2] {
    let own = own_eyes(request.at);
    let [left, right] = request.views else { return own };
    [(left, own[0]), (right, own[1])].map(|(view, own)| Eye {
        pose: view.pose.unwrap_or(own.pose),
        fov: view.fov.unwrap_or(own.fov),
        space: view.space,
    })
}

/// A head at eye height that turns a little to both sides every ten seconds.
fn own_eyes(at: MediaTime) -> [Eye; 2] {
    let seconds = (at.as_nanos() % 10_000_000_000) as f32 / 1e9;
    let half_yaw = 0.15 * (std::f32::consts::TAU * seconds / 10.0).sin();
    let (sin, cos) = half_yaw.sin_cos();
    [-EYES / 2.0, EYES / 2.0].map(|side| Eye {
        pose: Pose {
            // The eyes lie on the head's own x axis, turned by the yaw (2 x half_yaw) about y.
            position: [side * (cos * cos - sin * sin), 1.6, -side * 2.0 * sin * cos],
            orientation: [0.0, sin, 0.0, cos],
        },
        fov: if side < 0.0 {
            Fov { left: 1.2, right: 1.0, up: 1.1, down: 1.1 }
        } else {
            Fov { left: 1.0, right: 1.2, up: 1.1, down: 1.1 }
        },
        space: SpaceEpoch(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeClock;
    use media::FrameId;
    use std::time::Duration;

    fn frame(source: &mut StereoPattern, views: &[View]) -> Frame {
        let at = MediaTime::from_millis(40);
        let request = FrameRequest {
            id: FrameId(4),
            at,
            within: Duration::ZERO,
            views,
            refresh: true,
            share: false,
            kind: media::PictureKind::NV12,
        };
        match source.next(&request) {
            Ok(SourceEvent::Frame(frame)) => frame,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_headsets_pose_comes_back_with_the_picture() {
        let mut source = StereoPattern::new(Size::new(64, 48), 2, Arc::new(FakeClock::default()));
        let own = frame(&mut source, &[]).views;
        let asked: Vec<View> = own
            .iter()
            .map(|view| View {
                pose: view.pose.map(|pose| Pose { position: [3.0, 1.0, -2.0], ..pose }),
                space: SpaceEpoch(7),
                ..view.clone()
            })
            .collect();
        let got = frame(&mut source, &asked).views;
        assert_eq!(got.as_slice(), asked.as_slice());
    }

    #[test]
    fn the_eyes_see_different_pictures() {
        let mut source = StereoPattern::new(Size::new(64, 48), 1, Arc::new(FakeClock::default()));
        let mut frame = frame(&mut source, &[]);
        frame.image.finish(&FakeClock::default(), &mut frame.stages).unwrap();
        let image = frame.image.map().unwrap();
        let differs = image.planes[0].data.chunks(128).any(|row| row[..64] != row[64..]);
        assert!(differs);
        let apart: Vec<_> = frame.views.iter().filter_map(|view| view.pose).collect();
        assert!(apart[1].position[0] - apart[0].position[0] > 0.05);
    }
}
