//! A triangle mesh that is being modelled: vertices, indices, and the operations that all parts share.

use glam::{Mat3, Mat4, Vec2, Vec3, Vec4};
use std::collections::HashMap;

/// A vertex; colours are linear and at most one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vertex {
    pub position: Vec3,
    pub normal: Vec3,
    pub color: Vec4,
    pub uv: Vec2,
    /// Two joints and the weight of the second; the first has the rest.
    pub joints: [u8; 2],
    pub blend: f32,
}

impl Default for Vertex {
    fn default() -> Self {
        Self {
            position: Vec3::ZERO,
            normal: Vec3::Y,
            color: Vec4::ONE,
            uv: Vec2::ZERO,
            joints: [0, 0],
            blend: 0.0,
        }
    }
}

/// Indexed triangles, counter-clockwise seen from the front.
#[derive(Clone, Debug, Default)]
pub(super) struct Mesh {
    pub vertices: Vec<Vertex>,
    pub indices: Vec<u32>,
}

impl Mesh {
    pub(super) fn triangles(&self) -> usize {
        self.indices.len() / 3
    }

    /// Adds another mesh.
    pub(super) fn add(&mut self, other: &Mesh) {
        let base = self.vertices.len() as u32;
        self.vertices.extend_from_slice(&other.vertices);
        self.indices.extend(other.indices.iter().map(|i| i + base));
    }

    /// Adds a polygon with corners in order, flat, as a fan.
    pub(super) fn polygon(&mut self, corners: &[Vec3]) {
        let base = self.vertices.len() as u32;
        let normal = (corners[1] - corners[0]).cross(corners[2] - corners[0]).normalize_or(Vec3::Y);
        self.vertices.extend(corners.iter().map(|&position| Vertex {
            position,
            normal,
            ..Vertex::default()
        }));
        for k in 2..corners.len() as u32 {
            self.indices.extend([base, base + k - 1, base + k]);
        }
    }

    /// Moved by a matrix; a mirroring one keeps the front outside.
    pub(super) fn by(mut self, matrix: Mat4) -> Self {
        let linear = Mat3::from_mat4(matrix);
        let normals = linear.inverse().transpose();
        for v in &mut self.vertices {
            v.position = matrix.transform_point3(v.position);
            v.normal = (normals * v.normal).normalize_or(Vec3::Y);
        }
        if linear.determinant() < 0.0 {
            for t in self.indices.chunks_exact_mut(3) {
                t.swap(1, 2);
            }
        }
        self
    }

    pub(super) fn at(self, x: f32, y: f32, z: f32) -> Self {
        self.by(Mat4::from_translation(Vec3::new(x, y, z)))
    }

    pub(super) fn turned(self, angle: f32) -> Self {
        self.by(Mat4::from_rotation_y(angle))
    }

    pub(super) fn scaled(self, x: f32, y: f32, z: f32) -> Self {
        self.by(Mat4::from_scale(Vec3::new(x, y, z)))
    }

    /// One colour everywhere.
    pub(super) fn colored(mut self, color: Vec3) -> Self {
        for v in &mut self.vertices {
            v.color = color.extend(1.0);
        }
        self
    }

    /// A colour by position and normal.
    pub(super) fn painted(mut self, paint: impl Fn(Vec3, Vec3) -> Vec3) -> Self {
        for v in &mut self.vertices {
            v.color = paint(v.position, v.normal).extend(v.color.w);
        }
        self
    }

    /// Every vertex moved, normals made anew and smooth.
    pub(super) fn bent(mut self, bend: impl Fn(Vec3, Vec3) -> Vec3) -> Self {
        for v in &mut self.vertices {
            v.position = bend(v.position, v.normal);
        }
        self.smooth_normals();
        self
    }

    /// Normals averaged over the triangles around each vertex, by area.
    pub(super) fn smooth_normals(&mut self) {
        let mut sums = vec![Vec3::ZERO; self.vertices.len()];
        for t in self.indices.chunks_exact(3) {
            let [a, b, c] = [t[0], t[1], t[2]].map(|i| self.vertices[i as usize].position);
            let area = (b - a).cross(c - a);
            for &i in t {
                sums[i as usize] += area;
            }
        }
        for (v, sum) in self.vertices.iter_mut().zip(sums) {
            v.normal = sum.normalize_or(v.normal);
        }
    }

    /// No vertex shared between planes: every triangle shows its own plane and one colour.
    /// Triangles without area disappear.
    pub(super) fn faceted(self) -> Self {
        let mut flat = Mesh::default();
        for t in self.indices.chunks_exact(3) {
            let mut corners = [t[0], t[1], t[2]].map(|i| self.vertices[i as usize]);
            let area = (corners[1].position - corners[0].position)
                .cross(corners[2].position - corners[0].position);
            if area.length_squared() < 1e-12 {
                continue;
            }
            let color = (corners[0].color + corners[1].color + corners[2].color) / 3.0;
            for v in &mut corners {
                v.normal = area.normalize();
                v.color = color;
            }
            let base = flat.vertices.len() as u32;
            flat.vertices.extend(corners);
            flat.indices.extend([base, base + 1, base + 2]);
        }
        flat
    }

    /// Texture coordinates from the position, seen along the axis that each normal is closest to.
    pub(super) fn box_mapped(mut self, metres_per_tile: f32) -> Self {
        for v in &mut self.vertices {
            let (p, n) = (v.position / metres_per_tile, v.normal.abs());
            v.uv = if n.y >= n.x && n.y >= n.z {
                Vec2::new(p.x, p.z)
            } else if n.x >= n.z {
                Vec2::new(p.z, p.y)
            } else {
                Vec2::new(p.x, p.y)
            };
        }
        self
    }

    /// All vertices moved by one joint.
    pub(super) fn bound_to(mut self, joint: u8) -> Self {
        for v in &mut self.vertices {
            v.joints = [joint, 0];
            v.blend = 0.0;
        }
        self
    }

    /// Equal vertices merged, and triangles without area dropped.
    pub(super) fn welded(self) -> Self {
        let mut seen: HashMap<[u32; 11], u32> = HashMap::with_capacity(self.vertices.len());
        let mut out = Mesh::default();
        let mut map = Vec::with_capacity(self.vertices.len());
        for v in &self.vertices {
            let joints = u32::from(v.joints[0]) << 8 | u32::from(v.joints[1]);
            let c = v.color;
            let (p, n) = (v.position, (v.normal * 512.0).round());
            let key = [p.x, p.y, p.z, n.x, n.y, n.z, v.uv.x, v.uv.y, v.blend]
                .map(|x| (x + 0.0).to_bits());
            let color = u32::from_le_bytes([c.x, c.y, c.z, c.w].map(|x| (x * 255.0).round() as u8));
            let key = [
                key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7], key[8], joints,
                color,
            ];
            map.push(*seen.entry(key).or_insert_with(|| {
                out.vertices.push(*v);
                out.vertices.len() as u32 - 1
            }));
        }
        for t in self.indices.chunks_exact(3) {
            let t = [t[0], t[1], t[2]].map(|i| map[i as usize]);
            if t[0] != t[1] && t[1] != t[2] && t[2] != t[0] {
                out.indices.extend(t);
            }
        }
        out
    }
}
