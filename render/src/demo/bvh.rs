//! A tree of boxes over triangles that answers one question: is anything within reach of a ray?

use super::mesh::Mesh;
use glam::Vec3;

const LEAF: usize = 4;

struct Node {
    low: Vec3,
    high: Vec3,
    /// First triangle of a leaf, or the second child (the first follows its parent).
    start: u32,
    /// Triangles in a leaf; 0 for an inner node.
    count: u32,
}

/// A triangle as a corner and two edges.
#[derive(Clone, Copy)]
struct Triangle {
    corner: Vec3,
    edge1: Vec3,
    edge2: Vec3,
}

impl Triangle {
    fn bounds(&self) -> (Vec3, Vec3) {
        let (b, c) = (self.corner + self.edge1, self.corner + self.edge2);
        (self.corner.min(b).min(c), self.corner.max(b).max(c))
    }

    fn middle(&self) -> Vec3 {
        self.corner + (self.edge1 + self.edge2) / 3.0
    }

    /// Möller and Trumbore's test, both sides.
    fn hit(&self, from: Vec3, along: Vec3, reach: f32) -> bool {
        let p = along.cross(self.edge2);
        let scale = self.edge1.dot(p);
        if scale.abs() < 1e-9 {
            return false;
        }
        let s = from - self.corner;
        let u = s.dot(p) / scale;
        let q = s.cross(self.edge1);
        let v = along.dot(q) / scale;
        let t = self.edge2.dot(q) / scale;
        u >= 0.0 && v >= 0.0 && u + v <= 1.0 && t > 1e-4 && t < reach
    }
}

/// The tree.
pub(super) struct Bvh {
    nodes: Vec<Node>,
    triangles: Vec<Triangle>,
}

impl Bvh {
    pub(super) fn new<'a>(meshes: impl IntoIterator<Item = &'a Mesh>) -> Self {
        let mut triangles = Vec::new();
        for mesh in meshes {
            triangles.extend(mesh.indices.chunks_exact(3).map(|t| {
                let [a, b, c] = [t[0], t[1], t[2]].map(|i| mesh.vertices[i as usize].position);
                Triangle { corner: a, edge1: b - a, edge2: c - a }
            }));
        }
        let mut bvh = Self { nodes: Vec::with_capacity(triangles.len()), triangles: Vec::new() };
        let count = triangles.len();
        bvh.split(&mut triangles, 0, count);
        bvh.triangles = triangles;
        bvh
    }

    fn split(&mut self, triangles: &mut [Triangle], start: usize, end: usize) {
        let own = &mut triangles[start..end];
        let (mut low, mut high) = (Vec3::INFINITY, Vec3::NEG_INFINITY);
        for (l, h) in own.iter().map(Triangle::bounds) {
            (low, high) = (low.min(l), high.max(h));
        }
        let index = self.nodes.len();
        self.nodes.push(Node { low, high, start: start as u32, count: own.len() as u32 });
        if own.len() <= LEAF {
            return;
        }
        let size = high - low;
        let axis = size.max_position();
        let half = own.len() / 2;
        own.select_nth_unstable_by(half, |a, b| a.middle()[axis].total_cmp(&b.middle()[axis]));
        self.split(triangles, start, start + half);
        self.nodes[index].start = self.nodes.len() as u32;
        self.nodes[index].count = 0;
        self.split(triangles, start + half, end);
    }

    /// Whether a ray meets a triangle before `reach`.
    pub(super) fn blocked(&self, from: Vec3, along: Vec3, reach: f32) -> bool {
        if self.triangles.is_empty() {
            return false;
        }
        let inverse = along.recip();
        let mut waiting = [0u32; 48];
        let mut depth = 1;
        while depth > 0 {
            depth -= 1;
            let index = waiting[depth];
            let node = &self.nodes[index as usize];
            let (a, b) = ((node.low - from) * inverse, (node.high - from) * inverse);
            let (near, far) = (a.min(b).max_element(), a.max(b).min_element());
            if near.max(0.0) > far.min(reach) {
                continue;
            }
            if node.count > 0 {
                let own = &self.triangles[node.start as usize..(node.start + node.count) as usize];
                if own.iter().any(|t| t.hit(from, along, reach)) {
                    return true;
                }
            } else {
                waiting[depth] = index + 1;
                waiting[depth + 1] = node.start;
                depth += 2;
            }
        }
        false
    }
}
