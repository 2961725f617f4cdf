//! Which node a ray meets first, for clicks.
//!
//! Boxes first, then triangles as the world matrix places them; skinned meshes by the boxes of their
//! joints only. A [`PickIndex`] belongs to one scene and is shared by all its sessions.

use glam::{Mat4, Vec3};

use super::bounds::joint_bounds;
use super::{Aabb, Pose, Primitive, Scene};

/// A half-line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ray {
    /// Where it begins.
    pub origin: Vec3,
    /// Where it goes; its length is the unit of distances.
    pub direction: Vec3,
}

/// What a ray met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The node whose mesh it met.
    pub node: usize,
    /// How far, in lengths of the ray's direction.
    pub distance: f32,
}

/// What makes picking in a scene fast.
#[derive(Clone, Debug)]
pub struct PickIndex {
    meshes: Vec<Vec<Part>>,
}

#[derive(Clone, Debug)]
struct Part {
    /// Only for primitives above [`LINEAR`] triangles.
    tree: Option<Tree>,
    joints: Vec<(u16, Aabb)>,
}

/// Up to here every triangle is tried: a thousand take some microseconds.
const LINEAR: usize = 1_000;

impl PickIndex {
    /// Builds the index; takes time in proportion to the scene's triangles.
    pub fn new(scene: &Scene) -> Self {
        let part = |primitive: &Primitive| Part {
            tree: (primitive.indices.len() / 3 > LINEAR).then(|| Tree::new(primitive)),
            joints: joint_bounds(primitive),
        };
        let meshes =
            scene.meshes.iter().map(|mesh| mesh.primitives.iter().map(part).collect()).collect();
        Self { meshes }
    }

    /// The nearest node that `ray` meets; both sides of triangles count.
    pub fn pick(&self, scene: &Scene, pose: &Pose, ray: Ray) -> Option<Hit> {
        if !(ray.origin.is_finite() && ray.direction.is_finite()) {
            return None;
        }
        let mut nearest: Option<Hit> = None;
        for (index, node) in scene.nodes.iter().enumerate() {
            let Some(mesh) = node.mesh else { continue };
            let mut limit = nearest.map_or(f32::INFINITY, |hit| hit.distance);
            let parts = scene.meshes[mesh].primitives.iter().zip(&self.meshes[mesh]);
            let offset = pose.joint_offset(scene, index);
            let inside = if offset.is_none() { ray.within(&pose.world[index]) } else { None };
            for (primitive, part) in parts {
                let met = match (offset, inside) {
                    (Some(offset), _) => {
                        part.meet_joints(&pose.joint_matrices[offset..], ray, limit)
                    }
                    (None, Some(inside)) => part.meet(primitive, inside, limit),
                    (None, None) => None,
                };
                if let Some(distance) = met {
                    limit = distance;
                    nearest = Some(Hit { node: index, distance });
                }
            }
        }
        nearest
    }
}

impl Part {
    fn meet(&self, primitive: &Primitive, ray: Ray, limit: f32) -> Option<f32> {
        ray.meets_box(&primitive.bounds, limit)?;
        match &self.tree {
            Some(tree) => tree.meet(primitive, ray, limit),
            None => {
                let mut nearest = None;
                for triangle in 0..primitive.indices.len() / 3 {
                    let below = nearest.unwrap_or(limit);
                    nearest = ray.meets_triangle(corners(primitive, triangle), below).or(nearest);
                }
                nearest
            }
        }
    }

    fn meet_joints(&self, matrices: &[Mat4], ray: Ray, limit: f32) -> Option<f32> {
        let mut nearest = None;
        for (joint, bounds) in &self.joints {
            let Some(inside) =
                matrices.get(usize::from(*joint)).and_then(|matrix| ray.within(matrix))
            else {
                continue;
            };
            nearest = inside.meets_box(bounds, nearest.unwrap_or(limit)).or(nearest);
        }
        nearest
    }
}

impl Ray {
    /// This ray in the space that `matrix` leads out of; none when the matrix flattens it.
    fn within(self, matrix: &Mat4) -> Option<Self> {
        let inverse = matrix.try_inverse().filter(Mat4::is_finite)?;
        // Not normalised, so that distances stay comparable between nodes.
        Some(Self {
            origin: inverse.transform_point3(self.origin),
            direction: inverse.transform_vector3(self.direction),
        })
    }

    /// Distance at which it enters `bounds`, 0 from within, when that is below `limit`.
    fn meets_box(self, bounds: &Aabb, limit: f32) -> Option<f32> {
        if bounds.is_empty() {
            return None;
        }
        let (mut enter, mut leave) = (0.0_f32, limit);
        for axis in 0..3 {
            let (origin, direction) = (self.origin[axis], self.direction[axis]);
            let (low, high) = (bounds.min[axis] - origin, bounds.max[axis] - origin);
            if direction == 0.0 {
                if low > 0.0 || high < 0.0 {
                    return None;
                }
                continue;
            }
            let (near, far) = (low / direction, high / direction);
            enter = enter.max(near.min(far));
            leave = leave.min(near.max(far));
        }
        (enter <= leave && enter < limit).then_some(enter)
    }

    /// Möller and Trumbore's test.
    fn meets_triangle(self, [a, b, c]: [Vec3; 3], limit: f32) -> Option<f32> {
        let (ab, ac) = (b - a, c - a);
        let p = self.direction.cross(ac);
        let determinant = ab.dot(p);
        if determinant == 0.0 {
            return None;
        }
        let from_a = self.origin - a;
        let u = from_a.dot(p) / determinant;
        let q = from_a.cross(ab);
        let v = self.direction.dot(q) / determinant;
        let distance = ac.dot(q) / determinant;
        let met = u >= 0.0 && v >= 0.0 && u + v <= 1.0 && distance >= 0.0 && distance < limit;
        met.then_some(distance)
    }
}

fn corners(primitive: &Primitive, triangle: usize) -> [Vec3; 3] {
    [0, 1, 2].map(|corner| {
        let vertex = primitive.indices[triangle * 3 + corner] as usize;
        Vec3::from_array(primitive.vertices[vertex].position)
    })
}

/// A tree of boxes over triangles, split at the median: its depth is the logarithm of their number.
#[derive(Clone, Debug)]
struct Tree {
    nodes: Vec<Branch>,
    /// Triangles in the order of the leaves.
    order: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Branch {
    bounds: Aabb,
    /// Of a leaf: its first triangle in the order; else its second child (the first follows it).
    start: u32,
    /// Triangles of a leaf; 0 for an inner node.
    count: u32,
}

impl Tree {
    const LEAF: usize = 8;

    fn new(primitive: &Primitive) -> Self {
        let count = primitive.indices.len() / 3;
        let centers: Vec<Vec3> = (0..count)
            .map(|triangle| {
                let [a, b, c] = corners(primitive, triangle);
                (a + b + c) / 3.0
            })
            .collect();
        let order = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
        let mut tree = Self { nodes: Vec::with_capacity(count / 2), order };
        tree.split(primitive, &centers, 0, count);
        tree
    }

    fn split(&mut self, primitive: &Primitive, centers: &[Vec3], start: usize, end: usize) {
        let (mut bounds, mut spread) = (Aabb::default(), Aabb::default());
        for &triangle in &self.order[start..end] {
            spread.include(centers[triangle as usize]);
            corners(primitive, triangle as usize).into_iter().for_each(|at| bounds.include(at));
        }
        let place = self.nodes.len();
        let count = (end - start) as u32;
        self.nodes.push(Branch { bounds, start: start as u32, count });
        if end - start <= Self::LEAF {
            return;
        }
        let axis = (spread.max - spread.min).max_position();
        let middle = (end - start) / 2;
        self.order[start..end].select_nth_unstable_by(middle, |&a, &b| {
            centers[a as usize][axis].total_cmp(&centers[b as usize][axis])
        });
        self.split(primitive, centers, start, start + middle);
        let second = self.nodes.len() as u32;
        self.nodes[place] = Branch { bounds, start: second, count: 0 };
        self.split(primitive, centers, start + middle, end);
    }

    fn meet(&self, primitive: &Primitive, ray: Ray, limit: f32) -> Option<f32> {
        let mut nearest: Option<f32> = None;
        // Deep enough for 2^62 triangles: each level leaves one node behind.
        let mut stack = [0_u32; 64];
        let mut depth = 1;
        while depth > 0 {
            depth -= 1;
            let place = stack[depth] as usize;
            let branch = self.nodes[place];
            let below = nearest.unwrap_or(limit);
            if ray.meets_box(&branch.bounds, below).is_none() {
                continue;
            }
            if branch.count == 0 {
                stack[depth] = branch.start;
                stack[depth + 1] = place as u32 + 1;
                depth += 2;
                continue;
            }
            let leaf = branch.start as usize..(branch.start + branch.count) as usize;
            for &triangle in &self.order[leaf] {
                let below = nearest.unwrap_or(limit);
                let met = ray.meets_triangle(corners(primitive, triangle as usize), below);
                nearest = met.or(nearest);
            }
        }
        nearest
    }
}
