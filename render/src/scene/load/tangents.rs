//! Tangents by Mikkelsen's algorithm, where a normal map needs them and the file has none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bevy_mikktspace::TangentSpace;

use super::super::limits::Budget;
use super::super::{Influence, SceneError, Vertex};

/// More triangles than this around one vertex and no tangents are generated: the algorithm walks
/// around a vertex by recursion, a stack frame a triangle, and compares them pairwise: a hostile fan
/// would overflow the stack. Poles of real spheres have some tens.
const MOST_TRIANGLES_AROUND: u32 = 512;

/// A primitive while its tangents are made.
pub(super) struct Geometry {
    vertices: Vec<Vertex>,
    influences: Option<Vec<Influence>>,
    indices: Vec<u32>,
    uv_set: u32,
    /// One for each index.
    corners: Vec<[f32; 4]>,
}

impl Geometry {
    pub(super) fn new(
        vertices: Vec<Vertex>,
        influences: Option<Vec<Influence>>,
        indices: Vec<u32>,
        uv_set: u32,
    ) -> Self {
        Self { vertices, influences, indices, uv_set, corners: Vec::new() }
    }

    pub(super) fn into_parts(self) -> (Vec<Vertex>, Option<Vec<Influence>>, Vec<u32>) {
        (self.vertices, self.influences, self.indices)
    }

    /// Sets the tangents, splitting vertices where two meet; false when they had to be left alone.
    pub(super) fn generate(&mut self, what: &str, budget: &Budget) -> Result<bool, SceneError> {
        // What the algorithm holds for a corner, measured by its types: about 200 bytes.
        budget.memory(what, self.indices.len() as u64, 256)?;
        if self.most_triangles_around() > MOST_TRIANGLES_AROUND {
            return Ok(false);
        }
        self.corners = vec![[1.0, 0.0, 0.0, 1.0]; self.indices.len()];
        bevy_mikktspace::generate_tangents(self)
            .map_err(|error| SceneError::invalid(what, error.to_string()))?;
        self.apply(what, budget)?;
        Ok(true)
    }

    /// Vertices that the algorithm will weld count as one.
    fn most_triangles_around(&self) -> u32 {
        let mut around: HashMap<[u32; 8], u32> = HashMap::new();
        let mut most = 0;
        for &index in &self.indices {
            let vertex = &self.vertices[index as usize];
            let [u, v] = self.uv(vertex);
            let [[x, y, z], [nx, ny, nz]] = [vertex.position, vertex.normal];
            // Adding zero makes the two zeros one.
            let key = [x, y, z, nx, ny, nz, u, v].map(|part| (part + 0.0).to_bits());
            let count = around.entry(key).or_default();
            *count += 1;
            most = most.max(*count);
        }
        most
    }

    fn uv(&self, vertex: &Vertex) -> [f32; 2] {
        match self.uv_set {
            0 => vertex.uv0,
            _ => vertex.uv1,
        }
    }

    fn apply(&mut self, what: &str, budget: &Budget) -> Result<(), SceneError> {
        let mut places: HashMap<(u32, [u32; 4]), u32> = HashMap::new();
        let mut taken = vec![false; self.vertices.len()];
        for (slot, &tangent) in self.indices.iter_mut().zip(&self.corners) {
            let original = *slot;
            match places.entry((original, tangent.map(f32::to_bits))) {
                Entry::Occupied(place) => *slot = *place.get(),
                Entry::Vacant(place) => {
                    let at = original as usize;
                    if taken[at] {
                        budget.vertices(what, 1)?;
                        *slot = u32::try_from(self.vertices.len()).unwrap_or(u32::MAX);
                        self.vertices.push(self.vertices[at]);
                        if let Some(influences) = &mut self.influences {
                            influences.push(influences[at]);
                        }
                    }
                    taken[at] = true;
                    self.vertices[*slot as usize].tangent = tangent;
                    place.insert(*slot);
                }
            }
        }
        Ok(())
    }

    fn corner(&self, face: usize, corner: usize) -> &Vertex {
        &self.vertices[self.indices[face * 3 + corner] as usize]
    }
}

impl bevy_mikktspace::Geometry for Geometry {
    fn num_faces(&self) -> usize {
        self.indices.len() / 3
    }

    fn num_vertices_of_face(&self, _face: usize) -> usize {
        3
    }

    fn position(&self, face: usize, corner: usize) -> [f32; 3] {
        self.corner(face, corner).position
    }

    fn normal(&self, face: usize, corner: usize) -> [f32; 3] {
        self.corner(face, corner).normal
    }

    fn tex_coord(&self, face: usize, corner: usize) -> [f32; 2] {
        // The algorithm counts v upwards, glTF downwards.
        let [u, v] = self.uv(self.corner(face, corner));
        [u, 1.0 - v]
    }

    fn set_tangent(&mut self, space: Option<TangentSpace>, face: usize, corner: usize) {
        let tangent = space.unwrap_or_default().tangent_encoded();
        // Overflow on enormous triangles leaves NaN behind.
        if tangent.iter().all(|part| part.is_finite()) {
            self.corners[face * 3 + corner] = tangent;
        }
    }
}
