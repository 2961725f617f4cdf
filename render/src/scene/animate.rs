//! Where everything is at a moment: a pure function of the scene, the time and the clicks so far.
//!
//! A [`Pose`] belongs to one session and one scene; evaluating it against another scene draws
//! nonsense or panics. Its buffers are sized once, so evaluating allocates nothing.

use std::collections::VecDeque;

use glam::{Mat4, Quat, Vec3};

use super::{Animation, Channel, Interpolation, OnClick, Scene, Transform, Values};

/// How long a clicked node flashes, in seconds.
pub const FLASH_SECONDS: f64 = 0.6;

/// The clicks that may still show: at most [`Clicks::CAPACITY`], the oldest makes room.
#[derive(Clone, Debug)]
pub struct Clicks {
    list: VecDeque<(usize, f64)>,
}

impl Clicks {
    /// How many clicks are remembered.
    pub const CAPACITY: usize = 16;

    /// No clicks.
    pub fn new() -> Self {
        Self { list: VecDeque::with_capacity(Self::CAPACITY) }
    }

    /// Remembers a click on `node` of the scene at `seconds` on the scene's time. A node that does not
    /// exist is passed over when it is evaluated.
    pub fn push(&mut self, node: usize, seconds: f64) {
        if self.list.len() == Self::CAPACITY {
            self.list.pop_front();
        }
        self.list.push_back((node, seconds));
    }

    /// Node and time of each click, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.list.iter().copied()
    }
}

impl Default for Clicks {
    fn default() -> Self {
        Self::new()
    }
}

/// The node that answers a click on `node`: the nearest with an action, upwards, else `node` itself.
pub fn click_target(scene: &Scene, node: usize) -> usize {
    let mut at = Some(node);
    while let Some(index) = at {
        let Some(found) = scene.nodes.get(index) else { break };
        if found.on_click.is_some() {
            return index;
        }
        at = found.parent;
    }
    node
}

/// A scene at a moment.
#[derive(Clone, Debug)]
pub struct Pose {
    /// World matrix of each node.
    pub world: Vec<Mat4>,
    /// Matrices of all skins, one skin after the other: from mesh space straight to world space (glTF
    /// 2.0 §3.7.3.3: the transform of the node that shows a skinned mesh has no effect on it).
    pub joint_matrices: Vec<Mat4>,
    /// How bright each node flashes after a click, 1 at once to 0; children flash with their parent.
    pub highlight: Vec<f32>,
    /// Whether anything differs from the evaluation before, or will without further input.
    pub moving: bool,
    local: Vec<Transform>,
    /// First of `joint_matrices` for each skin.
    skin_offsets: Vec<usize>,
    /// Not evaluated yet: the next evaluation differs from what the caller has drawn, which is nothing.
    fresh: bool,
}

impl Pose {
    /// `scene` at rest, before any animation.
    pub fn new(scene: &Scene) -> Self {
        let mut joints = 0;
        let skin_offsets = scene
            .skins
            .iter()
            .map(|skin| {
                joints += skin.joints.len();
                joints - skin.joints.len()
            })
            .collect();
        let mut pose = Self {
            world: vec![Mat4::IDENTITY; scene.nodes.len()],
            joint_matrices: vec![Mat4::IDENTITY; joints],
            highlight: vec![0.0; scene.nodes.len()],
            moving: true,
            local: scene.nodes.iter().map(|node| node.rest).collect(),
            skin_offsets,
            fresh: true,
        };
        pose.place_nodes(scene);
        pose
    }

    /// Moves to `seconds` on the scene's time, the same time that `clicks` are on.
    ///
    /// Where two looped animations drive one property, the first in the file wins; a clicked animation
    /// wins over looped ones while it plays, the latest click over earlier ones.
    pub fn evaluate(&mut self, scene: &Scene, seconds: f64, clicks: &Clicks) {
        for (local, node) in self.local.iter_mut().zip(&scene.nodes) {
            *local = node.rest;
        }
        let mut alive = false;
        for animation in scene.animations.iter().rev().filter(|animation| animation.looped) {
            let duration = f64::from(animation.duration);
            let at = if duration > 0.0 { seconds.rem_euclid(duration) } else { 0.0 };
            alive |= duration > 0.0;
            self.apply(animation, at as f32);
        }
        for (node, clicked) in clicks.iter() {
            let target = click_target(scene, node);
            let Some(OnClick::Play(index)) =
                scene.nodes.get(target).and_then(|n| n.on_click.as_ref())
            else {
                continue;
            };
            let Some(animation) = scene.animations.get(*index) else { continue };
            let at = seconds - clicked;
            alive |= at < f64::from(animation.duration);
            if (0.0..=f64::from(animation.duration)).contains(&at) {
                self.apply(animation, at as f32);
            }
        }
        let (flashed, flashing) = self.flash(scene, seconds, clicks);
        let moved = self.place_nodes(scene);
        self.moving = alive || flashing || flashed || moved || self.fresh;
        self.fresh = false;
    }

    /// Where the matrices of the skin of `node` begin; none when it has no skin.
    pub fn joint_offset(&self, scene: &Scene, node: usize) -> Option<usize> {
        self.skin_offsets.get(scene.nodes.get(node)?.skin?).copied()
    }

    fn apply(&mut self, animation: &Animation, seconds: f32) {
        for channel in &animation.channels {
            let Some(local) = self.local.get_mut(channel.node) else { continue };
            match &channel.values {
                Values::Translation(values) => {
                    local.translation = sample_vec3(channel, values, seconds, local.translation);
                }
                Values::Scale(values) => {
                    local.scale = sample_vec3(channel, values, seconds, local.scale);
                }
                Values::Rotation(values) => {
                    local.rotation = sample_quat(channel, values, seconds, local.rotation);
                }
            }
        }
    }

    /// Sets the highlights: whether one changed, and whether one still will.
    fn flash(&mut self, scene: &Scene, seconds: f64, clicks: &Clicks) -> (bool, bool) {
        // Looked up once a click: the way up can be as long as the scene is large.
        let mut flashes = [(usize::MAX, 0.0_f32); Clicks::CAPACITY];
        let mut flashing = 0;
        for (node, clicked) in clicks.iter() {
            let age = seconds - clicked;
            if age < FLASH_SECONDS && node < scene.nodes.len() {
                let left = 1.0 - (age.max(0.0) / FLASH_SECONDS) as f32;
                flashes[flashing] = (click_target(scene, node), left * left);
                flashing += 1;
            }
        }
        let flashes = &flashes[..flashing];
        let mut changed = false;
        for index in 0..self.highlight.len() {
            let inherited = scene.nodes[index].parent.map_or(0.0, |parent| self.highlight[parent]);
            let own = flashes.iter().filter(|(target, _)| *target == index);
            let value = own.fold(inherited, |brightest, (_, left)| brightest.max(*left));
            changed |= self.highlight[index] != value;
            self.highlight[index] = value;
        }
        (changed, flashing > 0)
    }

    /// World and joint matrices from the local transforms: whether one changed.
    fn place_nodes(&mut self, scene: &Scene) -> bool {
        let mut changed = false;
        for index in 0..self.world.len() {
            let local = self.local[index].matrix();
            let world = match scene.nodes[index].parent {
                Some(parent) => self.world[parent] * local,
                None => local,
            };
            changed |= self.world[index] != world;
            self.world[index] = world;
        }
        for (skin, &offset) in scene.skins.iter().zip(&self.skin_offsets) {
            let matrices = &mut self.joint_matrices[offset..offset + skin.joints.len()];
            for (slot, (&joint, inverse_bind)) in
                matrices.iter_mut().zip(skin.joints.iter().zip(&skin.inverse_bind))
            {
                *slot = self.world[joint] * *inverse_bind;
            }
        }
        changed
    }
}

/// Between which keys `seconds` lies, how far, and the seconds from one to the other.
enum Between {
    Key(usize),
    Keys { first: usize, fraction: f32, span: f32 },
}

fn locate(times: &[f32], seconds: f32) -> Option<Between> {
    let last = times.len().checked_sub(1)?;
    let after = times.partition_point(|&time| time <= seconds);
    Some(match after {
        0 => Between::Key(0),
        _ if after > last => Between::Key(last),
        _ => {
            let (first, span) = (after - 1, times[after] - times[after - 1]);
            Between::Keys { first, fraction: (seconds - times[first]) / span, span }
        }
    })
}

fn sample_vec3(channel: &Channel, values: &[Vec3], seconds: f32, rest: Vec3) -> Vec3 {
    let cubic = channel.interpolation == Interpolation::CubicSpline;
    let value = |key: usize| if cubic { values[key * 3 + 1] } else { values[key] };
    match (locate(&channel.times, seconds), channel.interpolation) {
        (None, _) => rest,
        (Some(Between::Key(key)), _) => value(key),
        (Some(Between::Keys { first, .. }), Interpolation::Step) => value(first),
        (Some(Between::Keys { first, fraction, .. }), Interpolation::Linear) => {
            value(first).lerp(value(first + 1), fraction)
        }
        (Some(Between::Keys { first, fraction, span }), Interpolation::CubicSpline) => {
            let [p0, m0, p1, m1] = hermite(fraction, span);
            let at = first * 3;
            values[at + 1] * p0 + values[at + 2] * m0 + values[at + 4] * p1 + values[at + 3] * m1
        }
    }
}

fn sample_quat(channel: &Channel, values: &[Quat], seconds: f32, rest: Quat) -> Quat {
    let cubic = channel.interpolation == Interpolation::CubicSpline;
    let value = |key: usize| if cubic { values[key * 3 + 1] } else { values[key] };
    match (locate(&channel.times, seconds), channel.interpolation) {
        (None, _) => rest,
        (Some(Between::Key(key)), _) => value(key),
        (Some(Between::Keys { first, .. }), Interpolation::Step) => value(first),
        (Some(Between::Keys { first, fraction, .. }), Interpolation::Linear) => {
            // Takes the shorter way.
            value(first).slerp(value(first + 1), fraction).normalize()
        }
        (Some(Between::Keys { first, fraction, span }), Interpolation::CubicSpline) => {
            let [p0, m0, p1, m1] = hermite(fraction, span);
            let at = first * 3;
            let sum = values[at + 1] * p0
                + values[at + 2] * m0
                + values[at + 4] * p1
                + values[at + 3] * m1;
            let length = sum.length();
            // Opposite keys cancel out half-way.
            if length > 1e-6 && length.is_finite() { sum * length.recip() } else { value(first) }
        }
    }
}

/// Weights of value, out-tangent, next value and its in-tangent (glTF 2.0 appendix C.5).
fn hermite(t: f32, span: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [2.0 * t3 - 3.0 * t2 + 1.0, span * (t3 - 2.0 * t2 + t), -2.0 * t3 + 3.0 * t2, span * (t3 - t2)]
}
