//! A camera that a user steers: first person, or in orbit around a point.
//!
//! ```text
//!   keys, touch ─▶ held ─▶ wanted velocity ─▶ velocity (approaches, then stops) ─▶ position
//!   pointer, touch ──────────────────────────▶ yaw, pitch (at once: smoothing here would be latency)
//!   wheel ─▶ wanted distance or speed ───────▶ distance
//! ```
//!
//! It is pure: time is told, with each event and each frame, and never goes back. Motion is integrated
//! in closed form between these moments, so it does not depend on the frame rate. It must never know a
//! scene's geometry beyond its bounds, a renderer or a clock. Two sessions that share a rig fight over it.
//!
//! W A S D and the arrows move, E and Space rise, Q and C sink, Shift runs, V changes between the two
//! kinds. A locked pointer looks; a free one does while a button is held. The left half of a touch screen
//! moves, the right half looks. The wheel changes the speed, or in orbit the distance.

use std::f32::consts::{FRAC_PI_2, PI, TAU};
use std::time::Duration;

use glam::{Quat, Vec2, Vec3};
use media::input::{PointerButton, TouchPhase};
use media::{InputEvent, KeyCode, MediaTime};

use crate::scene::{Pose, Projection, Ray, Scene};

const KEY_V: KeyCode = KeyCode(0x19);
const KEY_SHIFT_RIGHT: KeyCode = KeyCode(0xe5);

/// Radians for a pixel of a locked pointer: a turn for 3,100 pixels, as games do by default.
const LOOK_PER_PIXEL: f32 = 0.002;
/// Radians for dragging across the whole picture, and down it.
const LOOK_PER_PICTURE: Vec2 = Vec2::new(PI, FRAC_PI_2 * 1.125);
/// Radians for a finger across the whole picture, and down it: fingers have less room.
const LOOK_PER_SWIPE: Vec2 = Vec2::new(TAU * 0.75, FRAC_PI_2 * 1.5);
/// Part of the picture that a finger moves to reach the full speed.
const STICK_TRAVEL: f32 = 0.08;
/// Part of the picture that a press may move and still be a click.
const CLICK_TRAVEL: f32 = 0.008;
/// A finger that stays longer does not tap.
const TAP_LONGEST: Duration = Duration::from_millis(400);
/// Seconds in which velocity and distance cover 63 % of the way to what is wanted.
const SMOOTHING: f32 = 0.08;
/// How much faster with Shift.
const RUN: f32 = 3.0;
/// A scene of a smaller radius, in metres, is a point: nothing of it would be seen from anywhere.
const POINT: f32 = 1e-9;
const PITCH_LIMIT: f32 = 89.0 * PI / 180.0;

/// How the camera moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraMode {
    /// It turns where it is.
    FirstPerson,
    /// It turns around a point.
    Orbit,
}

/// Where the camera is and how it looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraPose {
    /// World space, metres.
    pub position: Vec3,
    /// From camera space (looks along −z, +y is up) to world space.
    pub orientation: Quat,
    /// Vertical field of view in radians.
    pub fov_y: f32,
    /// A near plane that fits the scene's size, metres.
    pub near: f32,
}

impl CameraPose {
    /// The ray through `ndc` of a picture that is `aspect` times as wide as high.
    pub fn ray(&self, ndc: Vec2, aspect: f32) -> Ray {
        let up = (self.fov_y * 0.5).tan();
        let direction = self.orientation * Vec3::new(ndc.x * up * aspect, ndc.y * up, -1.0);
        Ray { origin: self.position, direction: direction.normalize() }
    }
}

/// The user clicked or tapped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Click {
    /// Where: −1 is the left or lower edge of the picture, 1 the other.
    pub ndc: Vec2,
}

/// A finger on the screen.
#[derive(Clone, Copy, Debug)]
struct Finger {
    id: u8,
    moves: bool,
    start: Vec2,
    at: Vec2,
    since: MediaTime,
    travelled: bool,
}

/// The free pointer while a button is held.
#[derive(Clone, Copy, Debug)]
struct Drag {
    start: Vec2,
    travelled: bool,
}

/// What is held down. Bounded by its types; a finger too many is passed over.
#[derive(Clone, Debug, Default)]
struct Held {
    /// One bit for each direction of [`DIRECTIONS`].
    directions: u16,
    run: u8,
    buttons: u8,
    fingers: [Option<Finger>; 4],
    drag: Option<Drag>,
}

/// Keys that move, and where: right, up, back.
const DIRECTIONS: [(KeyCode, Vec3); 12] = [
    (KeyCode::W, Vec3::NEG_Z),
    (KeyCode::UP, Vec3::NEG_Z),
    (KeyCode::S, Vec3::Z),
    (KeyCode::DOWN, Vec3::Z),
    (KeyCode::A, Vec3::NEG_X),
    (KeyCode::LEFT, Vec3::NEG_X),
    (KeyCode::D, Vec3::X),
    (KeyCode::RIGHT, Vec3::X),
    (KeyCode::E, Vec3::Y),
    (KeyCode::SPACE, Vec3::Y),
    (KeyCode::Q, Vec3::NEG_Y),
    (KeyCode::C, Vec3::NEG_Y),
];

/// A camera and the hands on it.
#[derive(Clone, Debug)]
pub struct CameraRig {
    mode: CameraMode,
    /// The camera in first person, the point looked at in orbit.
    anchor: Vec3,
    velocity: Vec3,
    yaw: f32,
    pitch: f32,
    /// From the point looked at, in orbit.
    distance: f32,
    wanted_distance: f32,
    fov_y: f32,
    near: f32,
    /// Metres a second.
    speed: f32,
    /// What the wheel made of it.
    speed_factor: f32,
    /// The camera stays within this sphere.
    home: Vec3,
    reach: f32,
    held: Held,
    pointer: Vec2,
    locked: bool,
    /// Totals of the locked pointer at the event before; none after a break in the counting.
    totals: Option<(i32, i32)>,
    now: Option<MediaTime>,
    /// Something changed that the last frame does not show.
    dirty: bool,
}

impl CameraRig {
    /// A first-person camera where the scene's first camera stands, or an orbit that shows all of it.
    pub fn new(scene: &Scene) -> Self {
        let radius = match scene.bounds.radius() {
            radius if radius > POINT && radius.is_finite() => radius,
            _ => 1.0,
        };
        let fov_y = 1.0;
        let distance = radius / (fov_y * 0.5_f32).sin() * 1.05;
        let mut rig = Self {
            mode: CameraMode::Orbit,
            anchor: scene.bounds.center(),
            velocity: Vec3::ZERO,
            yaw: 0.45,
            pitch: -0.3,
            distance,
            wanted_distance: distance,
            fov_y,
            near: (radius * 2e-3).min(0.1),
            speed: (radius * 0.6).min(4.0),
            speed_factor: 1.0,
            home: scene.bounds.center(),
            reach: (radius * 4.0).max(distance * 1.5),
            held: Held::default(),
            pointer: Vec2::splat(0.5),
            locked: false,
            totals: Some((0, 0)),
            now: None,
            dirty: true,
        };
        rig.start_at_camera(scene);
        rig
    }

    /// How it moves at present.
    pub fn mode(&self) -> CameraMode {
        self.mode
    }

    /// Whether the next frame will differ from the last one that [`advance`](Self::advance) gave.
    pub fn is_moving(&self) -> bool {
        self.dirty
            || self.velocity != Vec3::ZERO
            || self.distance != self.wanted_distance
            || self.wanted_velocity() != Vec3::ZERO
    }

    /// Takes one event that came in at `at`.
    pub fn handle(&mut self, event: &InputEvent, at: MediaTime) -> Option<Click> {
        // What was held until now moved the camera until now.
        self.integrate(at);
        match *event {
            InputEvent::Key { code, pressed } => {
                self.key(code, pressed);
                None
            }
            InputEvent::Button { button, pressed } => self.button(button, pressed),
            InputEvent::PointerAbsolute { x, y } => {
                self.point(position(x, y));
                None
            }
            InputEvent::PointerRelative { total_x, total_y } => {
                self.locked = true;
                self.held.drag = None;
                if let Some((x, y)) = self.totals.replace((total_x, total_y)) {
                    let pixels =
                        Vec2::new(total_x.wrapping_sub(x) as f32, total_y.wrapping_sub(y) as f32);
                    self.look(pixels / 16.0 * LOOK_PER_PIXEL);
                }
                None
            }
            InputEvent::Wheel { y, .. } => {
                self.wheel(f32::from(y) / 120.0);
                None
            }
            InputEvent::Touch { finger, phase, x, y, .. } => {
                self.touch(finger, phase, position(x, y), at)
            }
            InputEvent::Text(_)
            | InputEvent::Gamepad { .. }
            | InputEvent::GamepadPlugged { .. }
            | InputEvent::Pen(_)
            | InputEvent::PadMotion { .. }
            | InputEvent::PadTouch { .. } => None,
            InputEvent::ReleaseAll => {
                self.held = Held::default();
                // The page may start over with its counting.
                self.totals = None;
                None
            }
        }
    }

    /// Moves on to `now` and says where the camera is.
    pub fn advance(&mut self, now: MediaTime) -> CameraPose {
        self.integrate(now);
        self.dirty = false;
        let orientation = self.orientation();
        let position = match self.mode {
            CameraMode::FirstPerson => self.anchor,
            CameraMode::Orbit => self.anchor + orientation * Vec3::Z * self.distance,
        };
        let offset = (position - self.home).clamp_length_max(self.reach);
        CameraPose { position: self.home + offset, orientation, fov_y: self.fov_y, near: self.near }
    }

    fn start_at_camera(&mut self, scene: &Scene) {
        let found = scene
            .nodes
            .iter()
            .enumerate()
            .find_map(|(index, node)| Some((index, scene.cameras.get(node.camera?)?)));
        let Some((node, camera)) = found else { return };
        let world = Pose::new(scene).world[node];
        let forward = world.transform_vector3(Vec3::NEG_Z).normalize_or_zero();
        let position = world.w_axis.truncate();
        if forward == Vec3::ZERO || !position.is_finite() {
            return;
        }
        if let Projection::Perspective { fov_y } = camera.projection {
            self.fov_y = fov_y.clamp(0.2, 2.4);
        }
        // Nearer than usual where the camera is close to something; not farther, or the player would walk through
        // what the camera was never near to.
        self.near = camera.near.min(self.near).max(self.near * 1e-3);
        self.mode = CameraMode::FirstPerson;
        self.anchor = position;
        self.pitch = forward.y.clamp(-1.0, 1.0).asin().clamp(-PITCH_LIMIT, PITCH_LIMIT);
        // Straight up or down has no heading; then the camera's upper edge gives it.
        let up = world.transform_vector3(Vec3::Y) * -forward.y.signum();
        let level = if forward.y.abs() > 0.999 { up } else { forward };
        self.yaw = (-level.x).atan2(-level.z);
        self.reach = self.reach.max((position - self.home).length() * 1.5);
    }

    fn orientation(&self) -> Quat {
        Quat::from_rotation_y(self.yaw) * Quat::from_rotation_x(self.pitch)
    }

    fn key(&mut self, code: KeyCode, pressed: bool) {
        let set = |bits: u16, mask: u16| if pressed { bits | mask } else { bits & !mask };
        if let Some(bit) = DIRECTIONS.iter().position(|(key, _)| *key == code) {
            self.held.directions = set(self.held.directions, 1 << bit);
        } else if code == KeyCode::SHIFT_LEFT || code == KEY_SHIFT_RIGHT {
            let mask = if code == KEY_SHIFT_RIGHT { 2 } else { 1 };
            self.held.run = set(self.held.run.into(), mask) as u8;
        } else if code == KEY_V && pressed {
            self.change_mode();
        }
    }

    /// The view stays as it is; only what it turns around changes.
    fn change_mode(&mut self) {
        let back = self.orientation() * Vec3::Z;
        match self.mode {
            CameraMode::Orbit => {
                self.mode = CameraMode::FirstPerson;
                self.anchor += back * self.distance;
            }
            CameraMode::FirstPerson => {
                self.mode = CameraMode::Orbit;
                // As far as the middle of the scene, if that lies ahead.
                let ahead = (self.home - self.anchor).dot(-back);
                self.distance = ahead.max(self.reach * 0.05);
                self.wanted_distance = self.distance;
                self.anchor -= back * self.distance;
            }
        }
        self.dirty = true;
    }

    fn button(&mut self, button: PointerButton, pressed: bool) -> Option<Click> {
        let mask = 1_u8 << (button as u8);
        let left = button == PointerButton::Left;
        if pressed {
            self.held.buttons |= mask;
            if self.locked {
                return left.then_some(Click { ndc: Vec2::ZERO });
            }
            self.held.drag.get_or_insert(Drag { start: self.pointer, travelled: false });
            return None;
        }
        let was_held = self.held.buttons & mask != 0;
        self.held.buttons &= !mask;
        let drag = if self.held.buttons == 0 { self.held.drag.take() } else { self.held.drag };
        let clicked = left && was_held && drag.is_some_and(|drag| !drag.travelled);
        clicked.then(|| Click { ndc: ndc(self.pointer) })
    }

    fn point(&mut self, at: Vec2) {
        self.locked = false;
        let from = std::mem::replace(&mut self.pointer, at);
        let Some(drag) = &mut self.held.drag else { return };
        drag.travelled |= drag.start.distance(at) > CLICK_TRAVEL;
        if drag.travelled {
            self.look((at - from) * LOOK_PER_PICTURE);
        }
    }

    fn look(&mut self, by: Vec2) {
        self.yaw = (self.yaw - by.x).rem_euclid(TAU);
        self.pitch = (self.pitch - by.y).clamp(-PITCH_LIMIT, PITCH_LIMIT);
        self.dirty |= by != Vec2::ZERO;
    }

    fn wheel(&mut self, notches: f32) {
        match self.mode {
            CameraMode::Orbit => {
                let wanted = self.wanted_distance * 1.15_f32.powf(notches);
                self.wanted_distance = wanted.max(self.near * 2.0).min(self.reach);
            }
            CameraMode::FirstPerson => {
                let factor = self.speed_factor * 1.15_f32.powf(-notches);
                self.speed_factor = factor.clamp(0.1, 10.0);
            }
        }
    }

    fn touch(&mut self, id: u8, phase: TouchPhase, at: Vec2, now: MediaTime) -> Option<Click> {
        let fingers = &mut self.held.fingers;
        let known = fingers.iter_mut().find(|slot| slot.is_some_and(|finger| finger.id == id));
        if phase == TouchPhase::Start {
            let moves = at.x < 0.5;
            let finger = Finger { id, moves, start: at, at, since: now, travelled: false };
            // A second start is one whose end was lost.
            let slot = match known {
                Some(slot) => Some(slot),
                None => fingers.iter_mut().find(|slot| slot.is_none()),
            };
            if let Some(slot) = slot {
                *slot = Some(finger);
            }
            return None;
        }
        let slot = known?;
        let finger = slot.as_mut()?;
        let by = at - finger.at;
        finger.at = at;
        finger.travelled |= finger.start.distance(at) > CLICK_TRAVEL * 2.0;
        let finger = *finger;
        let lifted = phase != TouchPhase::Move;
        if lifted {
            *slot = None;
        }
        if finger.travelled && !finger.moves {
            self.look(by * LOOK_PER_SWIPE);
        }
        let quick = now.since(finger.since) <= TAP_LONGEST;
        let tapped = phase == TouchPhase::End && quick && !finger.travelled;
        tapped.then(|| Click { ndc: ndc(at) })
    }

    fn wanted_velocity(&self) -> Vec3 {
        let mut wanted = Vec3::ZERO;
        for (bit, (_, direction)) in DIRECTIONS.iter().enumerate() {
            if self.held.directions >> bit & 1 != 0 {
                wanted += *direction;
            }
        }
        // Two keys for one direction are no faster than one, nor is a diagonal.
        wanted = wanted.clamp(Vec3::NEG_ONE, Vec3::ONE).clamp_length_max(1.0);
        for finger in self.held.fingers.iter().flatten().filter(|finger| finger.moves) {
            if finger.travelled {
                let stick = ((finger.at - finger.start) / STICK_TRAVEL).clamp_length_max(1.0);
                wanted += Vec3::new(stick.x, 0.0, stick.y);
            }
        }
        let speed = self.speed
            * if self.mode == CameraMode::FirstPerson { self.speed_factor } else { 1.0 }
            * if self.held.run != 0 { RUN } else { 1.0 };
        // Up and down are the world's; the rest follows where the camera looks, but stays level.
        Quat::from_rotation_y(self.yaw) * wanted.clamp_length_max(1.0) * speed
    }

    /// Exact for a wanted velocity that does not change on the way, so that any number of steps between
    /// two events leads to the same place.
    fn integrate(&mut self, to: MediaTime) {
        let from = self.now.replace(self.now.map_or(to, |now| now.max(to)));
        let seconds = from.map_or(0.0, |from| to.since(from).as_secs_f32());
        if seconds == 0.0 {
            return;
        }
        let left = (-seconds / SMOOTHING).exp();
        let wanted = self.wanted_velocity();
        let lag = self.velocity - wanted;
        if lag != Vec3::ZERO || wanted != Vec3::ZERO {
            self.anchor += wanted * seconds + lag * (SMOOTHING * (1.0 - left));
            self.velocity = wanted + lag * left;
            self.dirty = true;
            // So slow that it would take a minute to cross a thousandth of the scene: it stands.
            if wanted == Vec3::ZERO && self.velocity.length() < self.speed * 1e-4 {
                self.velocity = Vec3::ZERO;
            }
        }
        self.anchor = self.home + (self.anchor - self.home).clamp_length_max(self.reach);
        if self.distance != self.wanted_distance {
            let gap = (self.distance - self.wanted_distance) * left;
            let close = gap.abs() < self.wanted_distance * 1e-4;
            self.distance = self.wanted_distance + if close { 0.0 } else { gap };
            self.dirty = true;
        }
    }
}

/// A place in the picture, 0 to 1 from the left and upper edges.
fn position(x: u16, y: u16) -> Vec2 {
    Vec2::new(f32::from(x), f32::from(y)) / f32::from(u16::MAX)
}

fn ndc(at: Vec2) -> Vec2 {
    Vec2::new(at.x * 2.0 - 1.0, 1.0 - at.y * 2.0)
}

#[cfg(test)]
#[path = "camera_tests.rs"]
mod tests;
