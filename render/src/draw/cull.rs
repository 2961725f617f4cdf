//! Frustum culling. Pure.

use glam::{Mat4, Vec3, Vec4};

use crate::scene::Aabb;

/// The half spaces that a view sees: a point is inside where all of them are not negative.
#[derive(Clone, Copy, Debug)]
pub struct Frustum {
    planes: [Vec4; 6],
}

impl Frustum {
    /// The frustum of a projection with depth from 0 to 1, in the space that the matrix starts from.
    pub fn new(clip: &Mat4) -> Self {
        let [x, y, z, w] = [clip.row(0), clip.row(1), clip.row(2), clip.row(3)];
        Self { planes: [w + x, w - x, w + y, w - y, w - z, z] }
    }

    /// Whether a box may be seen. Never denies one that is; may affirm one that is just outside an edge.
    pub fn sees(&self, bounds: &Aabb) -> bool {
        // A box without volume that no loader made finite must not disappear by NaN arithmetic.
        self.planes.iter().all(|plane| {
            let normal = plane.truncate();
            let corner = Vec3::select(normal.cmpge(Vec3::ZERO), bounds.max, bounds.min);
            let distance = normal.dot(corner) + plane.w;
            // Rounding grows with the numbers that cancel.
            distance >= -1e-5 * ((normal * corner).abs().element_sum() + plane.w.abs())
        })
    }
}

/// The least box around both.
pub(crate) fn union(a: &Aabb, b: &Aabb) -> Aabb {
    Aabb { min: a.min.min(b.min), max: a.max.max(b.max) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::view::perspective;
    use glam::{EulerRot, Quat};
    use media::Fov;
    use proptest::prelude::*;

    fn camera(yaw: f32, pitch: f32, eye: Vec3) -> Mat4 {
        let fov = Fov { left: 0.9, right: 0.7, up: 0.5, down: 0.6 };
        let world =
            Mat4::from_rotation_translation(Quat::from_euler(EulerRot::YXZ, yaw, pitch, 0.3), eye);
        perspective(fov, 0.1) * world.inverse()
    }

    fn coordinate() -> impl Strategy<Value = f32> {
        -50.0_f32..50.0
    }

    proptest! {
        #[test]
        fn a_box_with_a_visible_point_is_never_culled(
            yaw in -3.2_f32..3.2, pitch in -1.5_f32..1.5,
            eye in (coordinate(), coordinate(), coordinate()),
            a in (coordinate(), coordinate(), coordinate()),
            b in (coordinate(), coordinate(), coordinate()),
            t in (0.0_f32..=1.0, 0.0_f32..=1.0, 0.0_f32..=1.0),
        ) {
            let clip = camera(yaw, pitch, eye.into());
            let (a, b, t) = (Vec3::from(a), Vec3::from(b), Vec3::from(t));
            let bounds = Aabb { min: a.min(b), max: a.max(b) };
            let p = clip * (bounds.min + (bounds.max - bounds.min) * t).extend(1.0);
            let visible = p.x.abs() <= p.w && p.y.abs() <= p.w && p.z >= 0.0 && p.z <= p.w;
            prop_assert!(!visible || Frustum::new(&clip).sees(&bounds));
        }
    }

    #[test]
    fn what_lies_behind_or_beside_is_culled() {
        let frustum = Frustum::new(&camera(0.0, 0.0, Vec3::ZERO));
        let at = |x: f32, z: f32| Aabb {
            min: Vec3::new(x, -0.5, z),
            max: Vec3::new(x + 1.0, 0.5, z + 1.0),
        };
        assert!(frustum.sees(&at(-0.5, -10.0)));
        assert!(!frustum.sees(&at(-0.5, 3.0)));
        assert!(!frustum.sees(&at(30.0, -10.0)));
        // Nothing is too far away.
        assert!(frustum.sees(&at(-0.5, -1e6)));
    }
}
