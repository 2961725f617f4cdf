//! The sun's shadow map.
//!
//! Casters that no animation moves are drawn once per scene into a layer of their own. A session whose
//! scene has moving casters copies that layer and draws them over it; where there are none,
//! every session reads the layer itself. The map covers the casters, not the view: it does not depend on the
//! camera, so shadows do not swim and the layer stays valid.

use glam::{Mat4, Vec3};

use crate::draw::cull::union;
use crate::scene::Aabb;

/// 16 bit depth: over a scene 50 m deep a step is 0.8 mm, far below the bias, and a copy of the layer moves
/// half the bytes of 32 bit.
pub(crate) const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Depth16Unorm;

/// Static casters as seen from the sun.
#[derive(Debug)]
pub(crate) struct StaticShadow {
    pub(crate) size: u32,
    pub(crate) fit: ShadowFit,
    pub(crate) texture: wgpu::Texture,
    pub(crate) view: wgpu::TextureView,
}

/// How the sun sees the casters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ShadowFit {
    pub(crate) clip_from_world: Mat4,
    /// Metres across the map.
    pub(crate) width: f32,
}

impl ShadowFit {
    /// An orthographic view from `towards` (unit direction to the sun) that holds all `casters`, with room for
    /// what moves at the edges.
    pub(crate) fn new(towards: Vec3, casters: &Aabb) -> Self {
        let up = if towards.y.abs() > 0.99 { Vec3::X } else { Vec3::Y };
        let light_from_world = glam::camera::rh::view::look_to_mat4(Vec3::ZERO, -towards, up);
        let bounds = casters.transformed(&light_from_world);
        let center = (bounds.min + bounds.max) * 0.5;
        let half = (bounds.max - bounds.min) * 0.5;
        // Square texels, so that the bias is the same both ways; the margin keeps the border lit.
        let side = (half.x.max(half.y) * 1.04).max(1e-3);
        let depth = (half.z * 1.04).max(1e-3);
        let clip_from_light = Mat4::from_scale(Vec3::new(1.0 / side, 1.0 / side, -0.5 / depth))
            * Mat4::from_translation(Vec3::new(-center.x, -center.y, -center.z - depth));
        Self { clip_from_world: clip_from_light * light_from_world, width: 2.0 * side }
    }

    /// To texture coordinates and depth.
    pub(crate) fn texture_from_world(&self) -> Mat4 {
        Mat4::from_translation(Vec3::new(0.5, 0.5, 0.0))
            * Mat4::from_scale(Vec3::new(0.5, -0.5, 1.0))
            * self.clip_from_world
    }
}

/// The two drawables that reach down farthest: tells of any one whether something else lies below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lowest {
    index: usize,
    least: f32,
    /// Of all others.
    second: f32,
}

impl Lowest {
    pub(crate) fn new(bounds: &[Aabb]) -> Self {
        let mut lowest = Self { index: usize::MAX, least: f32::INFINITY, second: f32::INFINITY };
        for (index, bounds) in bounds.iter().enumerate() {
            if bounds.min.y < lowest.least {
                lowest = Self { index, least: bounds.min.y, second: lowest.least };
            } else {
                lowest.second = lowest.second.min(bounds.min.y);
            }
        }
        lowest
    }

    fn without(&self, index: usize) -> f32 {
        if index == self.index { self.second } else { self.least }
    }
}

/// Whether drawable `index` with bounds `own` is the ground: flat, wide, and nothing lies below it, so that no shadow
/// of it is ever seen. It would stretch the map over itself.
pub(crate) fn is_ground(index: usize, own: &Aabb, lowest: &Lowest, scene: &Aabb) -> bool {
    let size = own.max - own.min;
    let flat = size.y <= 0.02 * size.x.min(size.z);
    let tolerance = 0.02 * (scene.max.y - scene.min.y).max(0.0);
    flat && lowest.without(index) >= own.min.y - tolerance
}

/// Bounds of the casters without the few that lie far from all others: a mountain on the horizon must not
/// take the map from the place where the eye is. Outliers hold at most a twentieth of the triangles, which stand for
/// detail, and go while that halves the bounds; their shadows end at the border of the map.
pub(crate) fn without_outliers(mut casters: Vec<(Aabb, u32)>) -> Aabb {
    let around = |casters: &[(Aabb, u32)]| {
        casters.iter().fold(Aabb::default(), |all, (one, _)| union(&all, one))
    };
    let total: u64 = casters.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let center = weighted_center(&casters, total);
    let reach = |bounds: &Aabb| (bounds.max - center).max(center - bounds.min).max_element();
    casters.sort_by(|a, b| reach(&a.0).total_cmp(&reach(&b.0)));
    let mut kept = casters.len();
    let mut dropped = 0;
    for index in (1..casters.len()).rev() {
        dropped += u64::from(casters[index].1);
        if dropped * 20 > total {
            break;
        }
        if reach(&casters[index - 1].0) * 2.0 < reach(&casters[kept - 1].0) {
            kept = index;
        }
    }
    around(&casters[..kept])
}

/// Median of the casters' centres by axis; one outlier does not move it.
fn weighted_center(casters: &[(Aabb, u32)], total: u64) -> Vec3 {
    let median = |axis: usize| {
        let mut at: Vec<(f32, u32)> = casters
            .iter()
            .map(|(bounds, weight)| ((bounds.min[axis] + bounds.max[axis]) * 0.5, *weight))
            .collect();
        at.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut below = 0;
        let middle = at.iter().find(|(_, weight)| {
            below += u64::from(*weight);
            below * 2 >= total
        });
        middle.map_or(0.0, |(at, _)| *at)
    };
    Vec3::new(median(0), median(1), median(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_holds_every_caster_within_its_border() {
        let casters = Aabb { min: Vec3::new(-3.0, 0.0, 2.0), max: Vec3::new(5.0, 4.0, 9.0) };
        for towards in
            [Vec3::Y, Vec3::new(0.4, 0.7, -0.2).normalize(), Vec3::new(0.0, -1.0, 0.1).normalize()]
        {
            let fit = ShadowFit::new(towards, &casters);
            for corner in 0..8 {
                let pick = |bit: usize, a: f32, b: f32| if corner >> bit & 1 == 1 { a } else { b };
                let at = Vec3::new(
                    pick(0, casters.min.x, casters.max.x),
                    pick(1, casters.min.y, casters.max.y),
                    pick(2, casters.min.z, casters.max.z),
                );
                let seen = fit.texture_from_world().transform_point3(at);
                assert!(
                    seen.cmpgt(Vec3::splat(0.005)).all() && seen.cmplt(Vec3::splat(0.995)).all(),
                    "{seen}"
                );
                let nearer = fit.texture_from_world().transform_point3(at + towards * 0.1);
                assert!(nearer.z < seen.z);
            }
        }
    }

    #[test]
    fn only_a_wide_flat_lowest_thing_is_ground() {
        let at = |min: [f32; 3], max: [f32; 3]| Aabb { min: min.into(), max: max.into() };
        let floor = at([-50.0, 0.0, -50.0], [50.0, 0.01, 50.0]);
        let table = at([-1.0, 0.8, -1.0], [1.0, 0.81, 1.0]);
        let cellar = at([-1.0, -2.0, -1.0], [1.0, -1.0, 1.0]);
        let scene = at([-50.0, -2.0, -50.0], [50.0, 5.0, 50.0]);
        let ground =
            |index: usize, all: &[Aabb]| is_ground(index, &all[index], &Lowest::new(all), &scene);
        assert!(ground(0, &[floor, table]) && ground(1, &[table, floor]));
        assert!(!ground(1, &[floor, table]));
        assert!(!ground(0, &[floor, table, cellar]));
        assert!(ground(0, &[floor]));
        // Tiles lie level with one another.
        assert!(ground(0, &[floor, floor]) && ground(1, &[floor, floor]));
    }

    #[test]
    fn a_far_hill_does_not_take_the_map() {
        let cube = |at: Vec3, half: f32| Aabb { min: at - half, max: at + half };
        let village: Vec<_> = (0..9).map(|i| (cube(Vec3::X * i as f32, 1.0), 100)).collect();
        let plain = without_outliers(village.clone());
        assert_eq!(plain, Aabb { min: Vec3::splat(-1.0), max: Vec3::new(9.0, 1.0, 1.0) });
        let mut with_hill = village.clone();
        with_hill.push((cube(Vec3::Z * 500.0, 100.0), 40));
        assert_eq!(without_outliers(with_hill), plain);
        // What holds much of the detail is no outlier, and neither is what lies a little aside.
        let mut with_town = village.clone();
        with_town.push((cube(Vec3::Z * 500.0, 100.0), 400));
        assert!(without_outliers(with_town).max.z == 600.0);
        let mut with_barn = village;
        with_barn.push((cube(Vec3::X * 12.0, 1.0), 40));
        assert!(without_outliers(with_barn).max.x == 13.0);
        assert_eq!(without_outliers(Vec::new()), Aabb::default());
    }
}
