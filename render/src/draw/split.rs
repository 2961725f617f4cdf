//! Cuts what lamps reach from what they do not.
//!
//! A lamp costs every fragment of a draw call that it reaches, and a scene's floor is often one mesh. Where neither
//! the mesh moves nor the lamps stray from their places, triangles are grouped by the lamps in whose range they lie,
//! once per scene.

use std::collections::BTreeMap;

use glam::{Mat4, Vec3};

use crate::draw::cull::union;
use crate::scene::{Aabb, Vertex};

/// A lamp in its place: centre and range in metres.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lamp {
    pub(crate) bit: u64,
    pub(crate) at: Vec3,
    pub(crate) range: f32,
}

/// Triangles with one set of lamps.
#[derive(Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) lamps: u64,
    pub(crate) indices: Vec<u32>,
    /// In the mesh's space.
    pub(crate) bounds: Aabb,
}

/// Metres that a lamp may stray from its place, as a lantern in the wind does, before groups no longer heed it.
pub(crate) const SLACK: f32 = 0.5;

/// More groups than this are not worth their draw calls, of some 10 µs each on a software device.
const MOST_GROUPS: usize = 6;

/// Groups of a mesh's triangles; none where a cut gains nothing.
pub(crate) fn by_lamps(
    vertices: &[Vertex],
    indices: &[u32],
    world: &Mat4,
    lamps: &[Lamp],
) -> Option<Vec<Group>> {
    let mut groups: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for triangle in indices.chunks_exact(3) {
        let bounds = bounds(vertices, triangle, world);
        let mask = lamps.iter().filter(|lamp| lamp.touches(&bounds)).fold(0, |all, l| all | l.bit);
        groups.entry(mask).or_default().extend(triangle);
    }
    if groups.len() > MOST_GROUPS {
        let dark = groups.remove(&0);
        let mask = groups.keys().fold(0, |all, mask| all | mask);
        let lit = groups.into_values().flatten().collect();
        groups = BTreeMap::from([(mask, lit)]);
        groups.extend(dark.map(|dark| (0, dark)));
    }
    // One group is worth it too, where it is the dark one: its box may well touch a lamp's range.
    let useful = groups.len() > 1 || groups.contains_key(&0);
    useful.then(|| {
        let group = |(lamps, indices): (u64, Vec<u32>)| {
            let bounds = bounds(vertices, &indices, &Mat4::IDENTITY);
            Group { lamps, indices, bounds }
        };
        groups.into_iter().map(group).collect()
    })
}

impl Lamp {
    fn touches(&self, bounds: &Aabb) -> bool {
        let nearest = self.at.clamp(bounds.min, bounds.max);
        (nearest - self.at).length() < self.range + SLACK
    }
}

fn bounds(vertices: &[Vertex], indices: &[u32], world: &Mat4) -> Aabb {
    indices.iter().fold(Aabb::default(), |all, index| {
        let at = world.transform_point3(Vec3::from(vertices[*index as usize].position));
        union(&all, &Aabb { min: at, max: at })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A row of triangles a metre apart along x.
    fn row(count: u32) -> (Vec<Vertex>, Vec<u32>) {
        let corner = |x: f32, z: f32| Vertex { position: [x, 0.0, z], ..Vertex::default() };
        let vertices = (0..count)
            .flat_map(|i| {
                [corner(i as f32, 0.0), corner(i as f32 + 0.5, 0.0), corner(i as f32, 0.5)]
            })
            .collect();
        (vertices, (0..3 * count).collect())
    }

    #[test]
    fn triangles_go_with_their_lamps() {
        let (vertices, indices) = row(10);
        let lamps = [
            Lamp { bit: 1, at: Vec3::ZERO, range: 1.7 },
            Lamp { bit: 2, at: Vec3::X * 3.0, range: 0.7 },
        ];
        let groups = by_lamps(&vertices, &indices, &Mat4::IDENTITY, &lamps).unwrap();
        let sizes: Vec<_> = groups.iter().map(|g| (g.lamps, g.indices.len() / 3)).collect();
        assert_eq!(sizes, [(0, 5), (1, 2), (2, 2), (3, 1)]);
        assert_eq!(groups[0].bounds.min.x, 5.0);
    }

    #[test]
    fn a_mesh_that_one_lamp_fills_stays_whole() {
        let (vertices, indices) = row(3);
        let lamps = [Lamp { bit: 1, at: Vec3::ZERO, range: 100.0 }];
        assert_eq!(by_lamps(&vertices, &indices, &Mat4::IDENTITY, &lamps), None);
    }

    proptest! {
        #[test]
        fn no_triangle_is_lost_or_dark_by_mistake(
            lamps in proptest::collection::vec((-2.0_f32..40.0, 0.1_f32..6.0), 1..12),
        ) {
            let (vertices, indices) = row(40);
            let lamps: Vec<_> = lamps.into_iter().enumerate()
                .map(|(i, (x, range))| Lamp { bit: 1 << i, at: Vec3::X * x, range })
                .collect();
            let world = Mat4::from_translation(Vec3::Z * 0.2);
            let Some(groups) = by_lamps(&vertices, &indices, &world, &lamps) else { return Ok(()) };
            prop_assert!(groups.len() <= MOST_GROUPS);
            let mut all: Vec<u32> = groups.iter().flat_map(|g| g.indices.clone()).collect();
            all.sort_unstable();
            prop_assert_eq!(&all, &indices);
            for group in &groups {
                for triangle in group.indices.chunks(3) {
                    let bounds = bounds(&vertices, triangle, &world);
                    let missing = lamps.iter()
                        .filter(|lamp| lamp.touches(&bounds) && group.lamps & lamp.bit == 0);
                    prop_assert_eq!(missing.count(), 0);
                }
            }
        }
    }
}
