//! Uniforms as the shaders read them; the same structures stand in `shaders/mesh.wgsl`.

use bytemuck::{Pod, Zeroable};
use glam::{Mat4, Vec3, Vec4};

/// Lights that a frame can have beside the sun.
pub(crate) const MAX_LIGHTS: usize = crate::scene::LIGHTS_AT_ONCE;

#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct LightUniform {
    /// In world space in the list, relative to the eye in a frame's uniform.
    pub(crate) position: Vec3,
    pub(crate) inverse_range_2: f32,
    pub(crate) color: Vec3,
    pub(crate) spot_offset: f32,
    pub(crate) spot: Vec3,
    pub(crate) padding: f32,
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct FrameUniform {
    pub(crate) clip_from_world: Mat4,
    pub(crate) shadow_from_world: Mat4,
    pub(crate) eye: Vec4,
    pub(crate) sky: [Vec4; 3],
    pub(crate) sun_direction: Vec4,
    pub(crate) sun_color: Vec4,
    pub(crate) gradient: [Vec4; 3],
    pub(crate) irradiance: [Vec4; 9],
    /// The last one is black: what objects without lamps are lit by.
    pub(crate) lights: [LightUniform; MAX_LIGHTS + 1],
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct ObjectUniform {
    pub(crate) world: [Vec4; 3],
    pub(crate) normal: [Vec4; 3],
    pub(crate) emitted: Vec4,
    /// Number of lights, their indices in 4 bits each, first joint matrix.
    pub(crate) lights: [u32; 4],
}

impl ObjectUniform {
    pub(crate) fn new(world: &Mat4, emitted: Vec3, lights: (u32, u32), joint: u32) -> Self {
        let rows = rows(world);
        let [x, y, z] = rows.map(Vec4::truncate);
        // det(M) M⁻ᵀ, with the sign of a mirroring taken out; also right where the matrix is singular.
        let sign = if x.dot(y.cross(z)) < 0.0 { -1.0 } else { 1.0 };
        let normal = [y.cross(z), z.cross(x), x.cross(y)].map(|row| (row * sign).extend(sign));
        Self {
            world: rows,
            normal,
            emitted: emitted.extend(0.0),
            lights: [lights.0, lights.1, joint, 0],
        }
    }
}

/// Radiance of the flash at its height: warm, and above white so that it reads on any colour.
pub(crate) const HIGHLIGHT: Vec3 = Vec3::new(1.2, 0.75, 0.25);

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct MaterialUniform {
    pub(crate) base_color: Vec4,
    pub(crate) emissive: Vec4,
    pub(crate) factors: Vec4,
    pub(crate) uv_sets: [u32; 4],
    pub(crate) uv_transforms: [Vec4; 10],
}

/// The rows of an affine matrix.
pub(crate) fn rows(matrix: &Mat4) -> [Vec4; 3] {
    [matrix.row(0), matrix.row(1), matrix.row(2)]
}

/// Bytes from one block to the next in a buffer that is bound with dynamic offsets.
pub(crate) fn stride<T>(device: &wgpu::Device) -> u64 {
    (size_of::<T>() as u64)
        .next_multiple_of(u64::from(device.limits().min_uniform_buffer_offset_alignment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::variant::MESH;

    #[test]
    fn sizes_agree_with_the_shader() {
        let module = naga::front::wgsl::parse_str(MESH).unwrap();
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        for (name, size) in [
            ("Light", size_of::<LightUniform>()),
            ("Frame", size_of::<FrameUniform>()),
            ("Object", size_of::<ObjectUniform>()),
            ("Material", size_of::<MaterialUniform>()),
        ] {
            let (handle, _) =
                module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).unwrap();
            assert_eq!(layouter[handle].size as usize, size, "{name}");
        }
    }

    #[test]
    fn normals_stay_perpendicular_under_uneven_mirrored_scale() {
        let world = Mat4::from_scale(Vec3::new(-2.0, 1.0, 0.5)) * Mat4::from_rotation_x(0.4);
        let object = ObjectUniform::new(&world, Vec3::ZERO, (0, 0), 0);
        let (tangent, normal) = (Vec3::new(1.0, 1.0, 0.2), Vec3::new(1.0, -1.0, 0.0));
        let moved = Vec3::from_array(object.normal.map(|row| row.truncate().dot(normal)));
        assert!(world.transform_vector3(tangent).dot(moved).abs() < 1e-5);
        // Still on the outside: along the image of the normal itself.
        assert!(world.transform_vector3(normal).dot(moved) > 0.0);
    }
}
