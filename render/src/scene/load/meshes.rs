//! Turns primitives of any layout into lists of triangles with complete vertices.

use std::collections::BTreeMap;

use glam::Vec3;
use gltf::json::accessor::Type;
use gltf::json::mesh::{Mode, Primitive as JsonPrimitive, Semantic};
use gltf::json::validation::Checked;
use gltf::json::{Accessor, Index};

use super::super::{Aabb, Influence, Material, Mesh, Primitive, SceneError, Vertex};
use super::accessors::{Accessors, Integers};
use super::{Warnings, mesh_name, tangents};

type Attributes = BTreeMap<Checked<Semantic>, Index<Accessor>>;

struct Source<'a> {
    accessors: &'a Accessors<'a>,
    warnings: &'a Warnings,
    attributes: &'a Attributes,
    what: String,
}

/// Loads every mesh; `materials` are those of the scene, the last being the default.
pub(super) fn load(
    accessors: &Accessors<'_>,
    materials: &[Material],
    warnings: &Warnings,
) -> Result<Vec<Mesh>, SceneError> {
    let root = accessors.root;
    let mut meshes = Vec::with_capacity(root.meshes.len());
    for (index, mesh) in root.meshes.iter().enumerate() {
        let mut primitives = Vec::with_capacity(mesh.primitives.len());
        for (part, primitive) in mesh.primitives.iter().enumerate() {
            let source = Source {
                accessors,
                warnings,
                attributes: &primitive.attributes,
                what: format!("primitive {part} of {}", mesh_name(root, index)),
            };
            primitives.extend(source.primitive(primitive, materials)?);
        }
        meshes.push(Mesh { primitives });
    }
    Ok(meshes)
}

impl Source<'_> {
    /// None where the primitive has nothing that can be drawn.
    fn primitive(
        &self,
        primitive: &JsonPrimitive,
        materials: &[Material],
    ) -> Result<Option<Primitive>, SceneError> {
        let what = &self.what;
        let mode = match primitive.mode {
            Checked::Valid(mode) => mode,
            Checked::Invalid => return Err(SceneError::invalid(what, "has an unknown mode")),
        };
        if !matches!(mode, Mode::Triangles | Mode::TriangleStrip | Mode::TriangleFan) {
            self.warnings.add(format!("{what} holds {mode:?}, which are not drawn"));
            return Ok(None);
        }
        if primitive.targets.as_ref().is_some_and(|targets| !targets.is_empty()) {
            self.warnings.add(format!("morph targets of {what} are ignored"));
        }
        let Some(&positions) = self.attributes.get(&Checked::Valid(Semantic::Positions)) else {
            self.warnings.add(format!("{what} has no positions"));
            return Ok(None);
        };
        let count = self.accessors.count(positions);
        self.accessors.budget.vertices(what, count)?;
        self.accessors.budget.memory(what, count, size_of::<Vertex>())?;
        let mut vertices = self.vertices(positions)?;
        let mut influences = self.influences(vertices.len())?;
        let mut indices = self.triangles(mode, primitive.indices, vertices.len())?;
        if indices.is_empty() {
            self.warnings.add(format!("{what} has no triangle"));
            return Ok(None);
        }
        let material = primitive.material.map_or(materials.len() - 1, |index| index.value());
        let Some(used) = materials.get(material) else {
            let why = format!("uses material {material}, which does not exist");
            return Err(SceneError::invalid(what, why));
        };
        let has_normals = self.attributes.contains_key(&Checked::Valid(Semantic::Normals));
        if has_normals {
            replace_missing_normals(&mut vertices, &indices);
        } else {
            self.split(&mut vertices, &mut influences, &mut indices)?;
            set_flat_normals(&mut vertices);
        }
        // glTF 2.0 §3.7.2.1: without normals, given tangents are to be ignored.
        let has_tangents =
            has_normals && self.attributes.contains_key(&Checked::Valid(Semantic::Tangents));
        if let (Some(texture), false) = (&used.normal_texture, has_tangents) {
            let mut geometry =
                tangents::Geometry::new(vertices, influences, indices, texture.uv_set);
            if !geometry.generate(what, self.accessors.budget)? {
                self.warnings.add(format!(
                    "tangents of {what} are arbitrary: too many triangles meet at one vertex"
                ));
            }
            (vertices, influences, indices) = geometry.into_parts();
        }
        if used.normal_texture.is_some() {
            replace_parallel_tangents(&mut vertices);
        }
        let bounds = bounds_of(&vertices);
        Ok(Some(Primitive { vertices, influences, indices, material, bounds }))
    }
    fn find(&self, semantic: &Semantic) -> Option<Index<Accessor>> {
        self.attributes.get(&Checked::Valid(semantic.clone())).copied()
    }

    /// Floats of an attribute, which must have `count` elements.
    fn attribute<const N: usize>(
        &self,
        semantic: &Semantic,
        count: usize,
        integers: Integers,
    ) -> Result<Option<Vec<[f32; N]>>, SceneError> {
        let Some(index) = self.find(semantic) else { return Ok(None) };
        let what = format!("{} of {}", semantic.to_string(), self.what);
        self.expect_count(index, &what, count)?;
        self.accessors.floats(index, &what, integers).map(Some)
    }

    /// Before the elements are read, so that a wrong count costs nothing.
    fn expect_count(
        &self,
        index: Index<Accessor>,
        what: &str,
        count: usize,
    ) -> Result<(), SceneError> {
        let found = self.accessors.count(index);
        if found == count as u64 {
            return Ok(());
        }
        let why = format!("has {found} elements where the positions have {count}");
        Err(SceneError::invalid(format!("accessor {index} ({what})"), why))
    }

    fn vertices(&self, positions: Index<Accessor>) -> Result<Vec<Vertex>, SceneError> {
        let what = format!("POSITION of {}", self.what);
        let positions = self.accessors.floats::<3>(positions, &what, Integers::AsDeclared)?;
        let mut vertices: Vec<_> = positions
            .into_iter()
            .map(|position| Vertex {
                position,
                tangent: [1.0, 0.0, 0.0, 1.0],
                color: [u16::MAX; 4],
                ..Vertex::default()
            })
            .collect();
        let count = vertices.len();
        if let Some(normals) =
            self.attribute::<3>(&Semantic::Normals, count, Integers::AsDeclared)?
        {
            for (vertex, normal) in vertices.iter_mut().zip(normals) {
                // Zero where it has no direction: replaced once the triangles are known.
                vertex.normal = Vec3::from_array(normal).normalize_or_zero().to_array();
            }
        }
        if let Some(values) =
            self.attribute::<4>(&Semantic::Tangents, count, Integers::AsDeclared)?
        {
            for (vertex, [x, y, z, w]) in vertices.iter_mut().zip(values) {
                let [x, y, z] = Vec3::new(x, y, z).normalize_or(Vec3::X).to_array();
                vertex.tangent = [x, y, z, if w < 0.0 { -1.0 } else { 1.0 }];
            }
        }
        if let Some(uvs) =
            self.attribute::<2>(&Semantic::TexCoords(0), count, Integers::AsDeclared)?
        {
            for (vertex, uv) in vertices.iter_mut().zip(uvs) {
                vertex.uv0 = uv;
            }
        }
        if let Some(uvs) =
            self.attribute::<2>(&Semantic::TexCoords(1), count, Integers::AsDeclared)?
        {
            for (vertex, uv) in vertices.iter_mut().zip(uvs) {
                vertex.uv1 = uv;
            }
        }
        self.colors(&mut vertices)?;
        Ok(vertices)
    }

    fn colors(&self, vertices: &mut [Vertex]) -> Result<(), SceneError> {
        let semantic = Semantic::Colors(0);
        let Some(index) = self.find(&semantic) else { return Ok(()) };
        let unit = |value: f32| (value.clamp(0.0, 1.0) * 65_535.0).round() as u16;
        let (count, integers) = (vertices.len(), Integers::Normalized);
        if self.accessors.shape(index) == Some(Type::Vec3) {
            let colors = self.attribute::<3>(&semantic, count, integers)?.unwrap_or_default();
            for (vertex, [red, green, blue]) in vertices.iter_mut().zip(colors) {
                vertex.color = [unit(red), unit(green), unit(blue), u16::MAX];
            }
        } else {
            let colors = self.attribute::<4>(&semantic, count, integers)?.unwrap_or_default();
            for (vertex, color) in vertices.iter_mut().zip(colors) {
                vertex.color = color.map(unit);
            }
        }
        Ok(())
    }

    fn influences(&self, count: usize) -> Result<Option<Vec<Influence>>, SceneError> {
        let Some(joints) = self.find(&Semantic::Joints(0)) else { return Ok(None) };
        let what = format!("JOINTS_0 of {}", self.what);
        self.expect_count(joints, &what, count)?;
        let joints = self.accessors.integers::<4>(joints, &what)?;
        let weights = self
            .attribute::<4>(&Semantic::Weights(0), count, Integers::Normalized)?
            .ok_or_else(|| SceneError::invalid(&self.what, "has joints without weights"))?;
        if self.find(&Semantic::Joints(1)).is_some() {
            self.warnings.add(format!("{} has more than four joints a vertex", self.what));
        }
        self.accessors.budget.memory(&what, count as u64, size_of::<Influence>())?;
        let mut influences = Vec::with_capacity(count);
        for (element, (joints, weights)) in joints.into_iter().zip(weights).enumerate() {
            let influence = influence(joints, weights).ok_or_else(|| {
                SceneError::invalid(&what, format!("names a joint above 65535 at {element}"))
            })?;
            influences.push(influence);
        }
        Ok(Some(influences))
    }

    /// Triangle lists from strips and fans too (glTF 2.0 §3.7.2.1); every index is checked.
    fn triangles(
        &self,
        mode: Mode,
        indices: Option<Index<Accessor>>,
        vertices: usize,
    ) -> Result<Vec<u32>, SceneError> {
        let what = format!("the indices of {}", self.what);
        let budget = self.accessors.budget;
        let count = indices.map_or(vertices as u64, |index| self.accessors.count(index));
        // A strip or fan holds up to three times as many as it was given.
        let factor = if mode == Mode::Triangles { 1 } else { 3 };
        budget.indices(&self.what, count.saturating_mul(factor))?;
        budget.memory(&what, count.saturating_mul(factor), size_of::<u32>())?;
        let list: Vec<u32> = match indices {
            Some(index) => {
                self.accessors.integers::<1>(index, &what)?.into_iter().map(|[i]| i).collect()
            }
            None => (0..u32::try_from(vertices).unwrap_or(u32::MAX)).collect(),
        };
        if let Some((at, bad)) = list.iter().enumerate().find(|&(_, &i)| i as usize >= vertices) {
            let why = format!("name vertex {bad} at {at}, but there are {vertices} vertices");
            return Err(SceneError::invalid(what, why));
        }
        let mut triangles = Vec::new();
        match mode {
            Mode::TriangleStrip => {
                for (i, window) in list.windows(3).enumerate() {
                    let [a, b, c] = [window[0], window[1], window[2]];
                    triangles.extend(if i % 2 == 0 { [a, b, c] } else { [a, c, b] });
                }
            }
            Mode::TriangleFan => {
                if let Some((&hub, rim)) = list.split_first() {
                    for window in rim.windows(2) {
                        triangles.extend([window[0], window[1], hub]);
                    }
                }
            }
            _ => {
                triangles = list;
                let extra = triangles.len() % 3;
                if extra != 0 {
                    self.warnings.add(format!("{what} are no multiple of three"));
                    triangles.truncate(triangles.len() - extra);
                }
            }
        }
        Ok(triangles)
    }

    /// Gives every triangle vertices of its own.
    fn split(
        &self,
        vertices: &mut Vec<Vertex>,
        influences: &mut Option<Vec<Influence>>,
        indices: &mut [u32],
    ) -> Result<(), SceneError> {
        let budget = self.accessors.budget;
        budget.vertices(&self.what, indices.len() as u64)?;
        let size = size_of::<Vertex>() + size_of::<Influence>();
        budget.memory(&self.what, indices.len() as u64, size)?;
        *vertices = indices.iter().map(|&index| vertices[index as usize]).collect();
        if let Some(influences) = influences {
            *influences = indices.iter().map(|&index| influences[index as usize]).collect();
        }
        for (place, index) in indices.iter_mut().enumerate() {
            *index = u32::try_from(place).unwrap_or(u32::MAX);
        }
        Ok(())
    }
}

/// Weights that sum to one, joints that fit; joints without weight are set to 0, where files often
/// hold garbage.
fn influence(joints: [u32; 4], weights: [f32; 4]) -> Option<Influence> {
    let weights = weights.map(|weight| weight.max(0.0));
    let sum: f32 = weights.iter().sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return Some(Influence { joints: [0; 4], weights: [1.0, 0.0, 0.0, 0.0] });
    }
    let mut out = Influence { joints: [0; 4], weights: weights.map(|weight| weight / sum) };
    for (slot, (joint, weight)) in out.joints.iter_mut().zip(joints.into_iter().zip(weights)) {
        if weight > 0.0 {
            *slot = u16::try_from(joint).ok()?;
        }
    }
    Some(out)
}

fn face_normal(vertices: &[Vertex], corners: [usize; 3]) -> Vec3 {
    let [a, b, c] = corners.map(|corner| Vec3::from_array(vertices[corner].position));
    (b - a).cross(c - a)
}

fn set_flat_normals(vertices: &mut [Vertex]) {
    for first in (0..vertices.len()).step_by(3) {
        let corners = [first, first + 1, first + 2];
        let normal = face_normal(vertices, corners).normalize_or(Vec3::Y).to_array();
        for corner in corners {
            vertices[corner].normal = normal;
        }
    }
}

/// Normals of length zero become the mean of the faces around, weighted by their areas.
fn replace_missing_normals(vertices: &mut [Vertex], indices: &[u32]) {
    let missing = |vertex: &Vertex| vertex.normal == [0.0; 3];
    if !vertices.iter().any(missing) {
        return;
    }
    let mut sums = vec![Vec3::ZERO; vertices.len()];
    for triangle in indices.chunks_exact(3) {
        let corners = [triangle[0] as usize, triangle[1] as usize, triangle[2] as usize];
        let normal = face_normal(vertices, corners);
        for corner in corners {
            sums[corner] += normal;
        }
    }
    for (vertex, sum) in vertices.iter_mut().zip(sums) {
        if missing(vertex) {
            vertex.normal = sum.normalize_or(Vec3::Y).to_array();
        }
    }
}

/// A tangent along the normal spans no plane with it, and what the shader makes of it is no number. Files hold such,
/// and so do surfaces that face along x where tangents cannot be made.
fn replace_parallel_tangents(vertices: &mut [Vertex]) {
    for vertex in vertices {
        let normal = Vec3::from_array(vertex.normal);
        let [x, y, z, sign] = vertex.tangent;
        let across = Vec3::new(x, y, z).reject_from_normalized(normal);
        if across.length_squared() < 1e-6 {
            vertex.tangent = normal.any_orthonormal_vector().extend(sign).to_array();
        }
    }
}

fn bounds_of(vertices: &[Vertex]) -> Aabb {
    let mut bounds = Aabb::default();
    for vertex in vertices {
        bounds.include(Vec3::from_array(vertex.position));
    }
    bounds
}
