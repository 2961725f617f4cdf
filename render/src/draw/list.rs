//! The draw list: what is drawn of a scene in a pose, culled and sorted per view. Runs on the CPU.

use std::ops::Range;

use glam::{Mat4, Vec3, Vec4};

use crate::draw::cull::{Frustum, union};
use crate::draw::lights::{FrameLights, NO_LIGHTS, forward};
use crate::draw::scene_gpu::SceneGpu;
use crate::draw::split::SLACK;
use crate::draw::uniforms::{HIGHLIGHT, ObjectUniform, rows};
use crate::draw::variant::Features;
use crate::draw::view::ViewParams;
use crate::scene::Aabb;

/// A scene's pose at one moment, as the animation evaluates it.
#[derive(Clone, Copy, Debug)]
pub struct PoseRef<'a> {
    /// World matrix of each node.
    pub world: &'a [Mat4],
    /// Joint matrices (mesh to world space: joint's world matrix times inverse bind matrix), one skin
    /// after the other: nodes that share a skin share its matrices.
    pub joints: &'a [Mat4],
    /// Strength of the flash of each node, 0 to 1.
    pub highlights: &'a [f32],
}

/// One draw call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Index into [`SceneGpu::drawables`] and into the list's objects.
    pub(crate) drawable: u32,
    pub(crate) object: u32,
    /// The matrix mirrors: front faces wind the other way.
    pub(crate) mirrored: bool,
    /// A lamp reaches it, or it emits light or flashes.
    pub(crate) extra: bool,
    key: u64,
}

impl Item {
    /// A draw into the shadow map in a given order.
    pub(crate) fn caster(drawable: usize, object: usize, world: &Mat4) -> Self {
        let mirrored = world.determinant() < 0.0;
        Self { drawable: drawable as u32, object: object as u32, mirrored, extra: false, key: 0 }
    }
}

/// What one view draws.
#[derive(Clone, Debug)]
pub(crate) struct ListView {
    pub(crate) params: ViewParams,
    pub(crate) opaque: Range<usize>,
    pub(crate) blended: Range<usize>,
}

/// The sun in a pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sun {
    /// Unit direction towards it.
    pub(crate) towards: Vec3,
    /// Lux.
    pub(crate) color: Vec3,
}

/// How much a [`DrawList`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrawStats {
    /// Draw calls over all views, without shadows.
    pub draws: usize,
    /// Triangles over all views, without shadows.
    pub triangles: u64,
    /// Drawables of the scene that no view sees.
    pub culled: usize,
    /// Draw calls of moving casters into the shadow map.
    pub casters: usize,
}

/// What is drawn, ready for the GPU. Kept and rebuilt by its session, so that building allocates nothing once
/// it has grown.
#[derive(Debug, Default)]
pub struct DrawList {
    pub(crate) views: Vec<ListView>,
    pub(crate) items: Vec<Item>,
    pub(crate) objects: Vec<ObjectUniform>,
    pub(crate) joints: Vec<[Vec4; 3]>,
    pub(crate) lights: FrameLights,
    /// Lights that are too far from their places for the drawables' groups, a bit each.
    strayed: u64,
    pub(crate) sun: Option<Sun>,
    /// Casters that move, and, when the sun itself moves, the others too.
    pub(crate) casters: Vec<Item>,
    /// Bounds of [`Self::casters`].
    pub(crate) caster_bounds: Aabb,
    /// Object of each drawable in this build; none when it has none yet.
    slots: Vec<Option<u32>>,
    bounds: Vec<Aabb>,
    stats: DrawStats,
}

impl DrawList {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills the list for a pose and its views. A pose with too few entries shows the missing nodes not at
    /// all: it belongs to another scene.
    pub fn build(&mut self, scene: &SceneGpu, pose: PoseRef<'_>, views: &[ViewParams]) {
        self.clear(scene);
        self.place_lights(scene, pose, views);
        self.joints.extend(pose.joints.iter().map(rows));
        if scene.node_count > pose.world.len() || scene.joint_count > pose.joints.len() {
            self.views.extend(views.iter().map(|params| ListView {
                params: *params,
                opaque: 0..0,
                blended: 0..0,
            }));
            return;
        }
        self.bounds.extend(
            scene.drawables.iter().map(|d| d.world_bounds(&pose.world[d.node], pose.joints)),
        );
        for params in views {
            self.add_view(scene, pose, *params);
        }
        self.stats.draws = self.items.len();
        self.stats.culled = self.slots.iter().filter(|slot| slot.is_none()).count();
        self.add_casters(scene, pose);
    }

    /// What the last [`build`](Self::build) came to.
    pub fn stats(&self) -> DrawStats {
        self.stats
    }

    /// Lets every item or none have the variant for lamps and emission, whatever the truth is: to prepare both.
    pub(crate) fn pretend_extra(&mut self, extra: bool) {
        for item in &mut self.items {
            item.extra = extra;
        }
    }

    fn clear(&mut self, scene: &SceneGpu) {
        self.views.clear();
        self.items.clear();
        self.objects.clear();
        self.joints.clear();
        self.casters.clear();
        self.caster_bounds = Aabb::default();
        self.bounds.clear();
        self.slots.clear();
        self.slots.resize(scene.drawables.len(), None);
        self.stats = DrawStats::default();
    }

    fn place_lights(&mut self, scene: &SceneGpu, pose: PoseRef<'_>, views: &[ViewParams]) {
        self.sun = scene.sun.and_then(|sun| {
            let towards = -forward(pose.world.get(sun.node)?);
            Some(Sun { towards, color: sun.light.color * sun.light.intensity })
        });
        let eye = views.first().map_or(Vec3::ZERO, ViewParams::eye);
        self.strayed =
            scene.lights.iter().take(64).enumerate().fold(0, |strayed, (index, light)| {
                let (now, rest) = (pose.world.get(light.node), &scene.rest.world[light.node]);
                let away = now.is_some_and(|now| (now.w_axis - rest.w_axis).length() > SLACK);
                strayed | u64::from(away) << index
            });
        let lights = scene.lights.iter().enumerate();
        let lights = lights.filter_map(|(i, l)| Some((i, &l.light, pose.world.get(l.node)?)));
        self.lights.choose(eye, lights);
    }

    fn add_view(&mut self, scene: &SceneGpu, pose: PoseRef<'_>, params: ViewParams) {
        let frustum = Frustum::new(&params.clip_from_world());
        // Distance along the view: the third row of its matrix.
        let depth = -params.view_from_world.row(2);
        let start = self.items.len();
        let mut blended = 0;
        for (index, drawable) in scene.drawables.iter().enumerate() {
            let bounds = self.bounds[index];
            if !frustum.sees(&bounds) {
                continue;
            }
            let center = (bounds.min + bounds.max) * 0.5;
            let distance = depth.dot(center.extend(1.0));
            let key = if drawable.features.has(Features::BLEND) {
                blended += 1;
                back_to_front(distance)
            } else {
                // By the far side: a wide ground comes after what stands on it, and most of it is hidden.
                let far = distance + (bounds.max - bounds.min).length() * 0.5;
                front_to_back(far, drawable.state_rank)
            };
            self.stats.triangles += u64::from(drawable.indices.len() as u32) / 3;
            self.push_item(scene, pose, index, key);
        }
        self.items[start..].sort_unstable_by_key(|item| item.key);
        let end = self.items.len();
        let opaque = start..end - blended;
        self.views.push(ListView { params, opaque, blended: end - blended..end });
    }

    fn add_casters(&mut self, scene: &SceneGpu, pose: PoseRef<'_>) {
        let Some(sun) = &scene.sun else { return };
        let start = self.items.len();
        for (index, drawable) in scene.drawables.iter().enumerate() {
            if drawable.casts && !(drawable.fixed && sun.fixed) {
                self.caster_bounds = union(&self.caster_bounds, &self.bounds[index]);
                self.push_item(scene, pose, index, u64::from(drawable.state_rank));
            }
        }
        self.casters.extend(self.items.drain(start..));
        self.casters.sort_unstable_by_key(|item| item.key);
        self.stats.casters = self.casters.len();
    }

    fn push_item(&mut self, scene: &SceneGpu, pose: PoseRef<'_>, index: usize, key: u64) {
        let drawable = &scene.drawables[index];
        let world = &pose.world[drawable.node];
        let object = self.slots[index].unwrap_or_else(|| {
            let highlight = pose.highlights.get(drawable.node).copied().unwrap_or(0.0);
            let first_joint = drawable.skin.as_ref().map_or(0, |skin| skin.0);
            let lights = self.lights.reaching(&self.bounds[index], drawable.lamps | self.strayed);
            let emitted = drawable.emitted + HIGHLIGHT * highlight;
            self.objects.push(ObjectUniform::new(world, emitted, lights, first_joint));
            self.objects.len() as u32 - 1
        });
        self.slots[index] = Some(object);
        // A skin ignores its node's matrix (glTF 2.0 §3.7.3.3).
        let mirrored = drawable.skin.is_none() && world.determinant() < 0.0;
        let uniform = &self.objects[object as usize];
        let dark = uniform.lights[..2] == [NO_LIGHTS.0, NO_LIGHTS.1];
        let extra = !dark || uniform.emitted != Vec4::ZERO;
        self.items.push(Item { drawable: index as u32, object, mirrored, extra, key });
    }
}

/// Opaque things first and near ones before far ones, so that hidden fragments are not shaded. Distances
/// within a factor of about 1.4 count as equal and are sorted by state, which saves pipeline changes.
fn front_to_back(distance: f32, state_rank: u32) -> u64 {
    // The exponent and the first bit of the mantissa of a positive float are in order.
    u64::from(distance.max(0.01).to_bits() >> 22) << 32 | u64::from(state_rank)
}

/// After everything opaque; far ones first.
fn back_to_front(distance: f32) -> u64 {
    1 << 63 | u64::from(!distance.max(0.0).to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_order_by_distance(a in 0.1_f32..1e4, b in 0.1_f32..1e4, rank_a: u32, rank_b: u32) {
            if a < b * 0.66 {
                prop_assert!(front_to_back(a, rank_a) < front_to_back(b, rank_b));
            }
            prop_assert_eq!(a < b, back_to_front(a) > back_to_front(b));
            prop_assert!(front_to_back(a, rank_a) < back_to_front(b));
        }
    }
}
