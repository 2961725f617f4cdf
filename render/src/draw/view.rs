//! Views: where an eye is, what it sees, and where in the image that goes.

use glam::{Mat4, Vec3, Vec4};
use media::{Fov, Rect};

use crate::scene::{Camera, Projection};

/// One view of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewParams {
    /// Projection with reversed depth: 1 at the near plane, 0 at the far plane or infinity; see [`perspective`].
    pub clip_from_view: Mat4,
    /// From world space to the eye's, right-handed, looking along −z.
    pub view_from_world: Mat4,
    /// Where in the image the view is drawn; must lie within it.
    pub region: Rect,
}

impl ViewParams {
    /// From world space to clip space.
    pub fn clip_from_world(&self) -> Mat4 {
        self.clip_from_view * self.view_from_world
    }

    /// The eye in world space. That of an orthographic view is taken to be far behind it, so that the
    /// direction to it is the same everywhere.
    pub(crate) fn eye(&self) -> Vec3 {
        let world_from_view = self.view_from_world.inverse();
        let back = if self.is_orthographic() { 1e4 } else { 0.0 };
        (world_from_view.w_axis + world_from_view.z_axis * back).truncate()
    }

    fn is_orthographic(&self) -> bool {
        self.clip_from_view.row(3).z == 0.0
    }

    /// Directions of rays: through the centre, and their change along x and y of the picture.
    pub(crate) fn rays(&self) -> [Vec3; 3] {
        if self.is_orthographic() {
            let forward = -self.view_from_world.inverse().z_axis.truncate().normalize();
            return [forward, Vec3::ZERO, Vec3::ZERO];
        }
        // In the eye's space first: the world's coordinates may be large.
        let view_from_clip = self.clip_from_view.inverse();
        let world_from_view = self.view_from_world.inverse();
        let ray = |x, y| {
            let point = view_from_clip.project_point3(Vec3::new(x, y, 1.0));
            // Lengths only matter relative to each other; a unit distance keeps them tame.
            world_from_view.transform_vector3(point / -point.z)
        };
        let base = ray(0.0, 0.0);
        [base, ray(1.0, 0.0) - base, ray(0.0, 1.0) - base]
    }
}

/// Reversed-depth projection without a far plane for an asymmetric field of view; `near` in metres.
pub fn perspective(fov: Fov, near: f32) -> Mat4 {
    let (width, height) = (fov.left + fov.right, fov.up + fov.down);
    Mat4::from_cols(
        Vec4::new(2.0 / width, 0.0, 0.0, 0.0),
        Vec4::new(0.0, 2.0 / height, 0.0, 0.0),
        Vec4::new((fov.right - fov.left) / width, (fov.up - fov.down) / height, 0.0, -1.0),
        Vec4::new(0.0, 0.0, near, 0.0),
    )
}

/// Reversed-depth projection of a scene's camera; `aspect` is width over height of the view.
///
/// A perspective camera's far plane is ignored: with reversed depth it would only cost precision.
pub fn camera_projection(camera: &Camera, aspect: f32) -> Mat4 {
    match camera.projection {
        Projection::Perspective { fov_y } => {
            let tan = (fov_y / 2.0).tan();
            let side = tan * aspect;
            perspective(Fov { left: side, right: side, up: tan, down: tan }, camera.near)
        }
        Projection::Orthographic { half_height } => {
            let side = half_height * aspect;
            let depth = camera.far - camera.near;
            Mat4::from_cols(
                Vec4::new(1.0 / side, 0.0, 0.0, 0.0),
                Vec4::new(0.0, 1.0 / half_height, 0.0, 0.0),
                Vec4::new(0.0, 0.0, 1.0 / depth, 0.0),
                Vec4::new(0.0, 0.0, camera.far / depth, 1.0),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_reversed() {
        let fov = Fov { left: 1.0, right: 2.0, up: 0.5, down: 1.0 };
        let clip = perspective(fov, 0.1);
        assert!((clip.project_point3(Vec3::new(0.0, 0.0, -0.1)).z - 1.0).abs() < 1e-6);
        assert!(clip.project_point3(Vec3::new(0.0, 0.0, -1e6)).z < 1e-6);
        let corner = clip.project_point3(Vec3::new(2.0, -1.0, -1.0));
        assert!((corner.truncate() - glam::Vec2::new(1.0, -1.0)).length() < 1e-6);

        let projection = Projection::Orthographic { half_height: 2.0 };
        let clip = camera_projection(&Camera { projection, near: 1.0, far: 5.0 }, 1.0);
        assert!(
            (clip.project_point3(Vec3::new(0.0, 2.0, -1.0)) - Vec3::new(0.0, 1.0, 1.0)).length()
                < 1e-6
        );
        assert!(clip.project_point3(Vec3::new(0.0, 0.0, -5.0)).z.abs() < 1e-6);
    }

    #[test]
    fn rays_point_where_the_projection_looks() {
        let view = ViewParams {
            clip_from_view: perspective(Fov { left: 1.0, right: 0.5, up: 0.7, down: 0.4 }, 0.05),
            view_from_world: glam::camera::rh::view::look_at_mat4(
                Vec3::new(3.0, 2.0, 1.0),
                Vec3::ZERO,
                Vec3::Y,
            ),
            region: Rect { x: 0, y: 0, width: 2, height: 2 },
        };
        let [base, dx, dy] = view.rays();
        for (x, y) in [(-1.0, -1.0), (0.3, 0.8), (1.0, 0.0)] {
            let far = view.eye() + (base + dx * x + dy * y) * 10.0;
            let seen = view.clip_from_world().project_point3(far);
            assert!((seen.truncate() - glam::Vec2::new(x, y)).length() < 1e-4, "{seen}");
        }
    }
}
