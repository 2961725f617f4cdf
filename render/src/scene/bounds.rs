//! Boxes around what moves. Boxes of skinned meshes are kept per joint: a vertex lies between the places
//! to which its joints take it, so the boxes of its joints, moved with them, always hold it.

use std::collections::BTreeMap;

use glam::{Mat4, Vec3};

use super::{Aabb, Pose, Primitive, Scene};

impl Aabb {
    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        !self.min.cmple(self.max).all()
    }

    /// Grows to hold `point`.
    pub fn include(&mut self, point: Vec3) {
        self.min = self.min.min(point);
        self.max = self.max.max(point);
    }

    /// Grows to hold `other`.
    pub fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The middle; the origin for an empty box.
    pub fn center(&self) -> Vec3 {
        if self.is_empty() { Vec3::ZERO } else { self.min * 0.5 + self.max * 0.5 }
    }

    /// Half the diagonal; zero for an empty box.
    pub fn radius(&self) -> f32 {
        if self.is_empty() { 0.0 } else { (self.max * 0.5 - self.min * 0.5).length() }
    }

    /// The box around this one after `matrix`, which must be affine; everything when it overflows.
    pub fn transformed(&self, matrix: &Mat4) -> Self {
        if self.is_empty() {
            return *self;
        }
        // Arvo's method: each column moves the two corners apart by its own extent.
        let (mut min, mut max) = (matrix.w_axis.truncate(), matrix.w_axis.truncate());
        let columns = [matrix.x_axis, matrix.y_axis, matrix.z_axis];
        for (axis, column) in columns.into_iter().enumerate() {
            let (low, high) =
                (column.truncate() * self.min[axis], column.truncate() * self.max[axis]);
            min += low.min(high);
            max += low.max(high);
        }
        if min.is_finite() && max.is_finite() {
            Self { min, max }
        } else {
            // An overflow: it may be anywhere, and must not be lost in a comparison with NaN.
            Self { min: Vec3::NEG_INFINITY, max: Vec3::INFINITY }
        }
    }
}

/// For each joint that moves a vertex of `primitive`: the box of those vertices, in the mesh's space.
pub fn joint_bounds(primitive: &Primitive) -> Vec<(u16, Aabb)> {
    let mut boxes: BTreeMap<u16, Aabb> = BTreeMap::new();
    let influences = primitive.influences.iter().flatten();
    for (vertex, influence) in primitive.vertices.iter().zip(influences) {
        for (&joint, &weight) in influence.joints.iter().zip(&influence.weights) {
            if weight > 0.0 {
                boxes.entry(joint).or_default().include(Vec3::from_array(vertex.position));
            }
        }
    }
    boxes.into_iter().collect()
}

/// The box around everything that `scene` shows in `pose`, in world space. Unlit surfaces (a painted
/// sky) are left out unless there is nothing else: cameras and lights go by these bounds.
///
/// Reads every vertex of skinned meshes: for loading, not for every frame.
pub fn scene_bounds(scene: &Scene, pose: &Pose) -> Aabb {
    let unlit = |part: &&Primitive| {
        scene.materials.get(part.material).is_some_and(|material| material.unlit)
    };
    let parts = || scene.meshes.iter().flat_map(|mesh| &mesh.primitives);
    let all_unlit = parts().all(|part| unlit(&part));
    let still: Vec<Aabb> = scene
        .meshes
        .iter()
        .map(|mesh| {
            let mut bounds = Aabb::default();
            let shown = mesh.primitives.iter().filter(|part| all_unlit || !unlit(part));
            shown.for_each(|part| bounds.merge(&part.bounds));
            bounds
        })
        .collect();
    let mut joints = BTreeMap::new();
    let mut skinned = BTreeMap::new();
    let mut bounds = Aabb::default();
    for (index, node) in scene.nodes.iter().enumerate() {
        let Some(mesh) = node.mesh else { continue };
        match (node.skin, pose.joint_offset(scene, index)) {
            (Some(skin), Some(offset)) => {
                // Joints place a skinned mesh, whichever node shows it.
                let moved = skinned.entry((mesh, skin)).or_insert_with(|| {
                    let boxes: &mut Vec<(u16, Aabb)> = joints.entry(mesh).or_insert_with(|| {
                        scene.meshes[mesh].primitives.iter().flat_map(joint_bounds).collect()
                    });
                    let mut bounds = Aabb::default();
                    for (joint, part) in boxes {
                        let matrix = &pose.joint_matrices[offset + usize::from(*joint)];
                        bounds.merge(&part.transformed(matrix));
                    }
                    bounds
                });
                bounds.merge(moved);
            }
            _ => bounds.merge(&still[mesh].transformed(&pose.world[index])),
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::Quat;

    #[test]
    fn a_turned_box_holds_its_corners() {
        let bounds = Aabb { min: Vec3::new(-1.0, 2.0, -3.0), max: Vec3::new(4.0, 5.0, 6.0) };
        let matrix = Mat4::from_scale_rotation_translation(
            Vec3::new(2.0, -0.5, 1.0),
            Quat::from_rotation_y(0.7) * Quat::from_rotation_x(-1.1),
            Vec3::new(10.0, 0.0, -7.0),
        );
        let moved = bounds.transformed(&matrix);
        let mut expected = Aabb::default();
        for corner in 0..8 {
            let pick = |axis: usize| {
                if corner >> axis & 1 == 0 { bounds.min[axis] } else { bounds.max[axis] }
            };
            expected.include(matrix.transform_point3(Vec3::new(pick(0), pick(1), pick(2))));
        }
        assert!(moved.min.abs_diff_eq(expected.min, 1e-4), "{moved:?} {expected:?}");
        assert!(moved.max.abs_diff_eq(expected.max, 1e-4), "{moved:?} {expected:?}");
    }

    #[test]
    fn an_empty_box_stays_empty() {
        let empty = Aabb::default();
        assert!(empty.is_empty() && empty.transformed(&Mat4::IDENTITY).is_empty());
        assert_eq!((empty.center(), empty.radius()), (Vec3::ZERO, 0.0));
    }
}
