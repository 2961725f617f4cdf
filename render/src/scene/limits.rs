//! How much a scene may ask for. Everything is checked before memory is taken: counts in a file are
//! claims, and a claim of four thousand million vertices fits into a hundred bytes.

use std::cell::Cell;

use super::SceneError;

/// Bounds on what one scene may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadLimits {
    /// Bytes of any one file.
    pub file_bytes: u64,
    /// Bytes of the JSON part.
    pub json_bytes: u64,
    /// Nodes.
    pub nodes: u64,
    /// Primitives of all meshes together.
    pub primitives: u64,
    /// Primitives shown: a mesh counts once for each node that shows it.
    pub draws: u64,
    /// Triangles shown, counted in the same way.
    pub triangles: u64,
    /// Vertices read, all primitives together; those added for flat normals and tangents count too.
    pub vertices: u64,
    /// Triangle indices, all primitives together.
    pub indices: u64,
    /// Materials.
    pub materials: u64,
    /// Textures, and images.
    pub textures: u64,
    /// Pixels on an image's longer side.
    pub image_side: u32,
    /// Pixels of all images together.
    pub image_pixels: u64,
    /// Keys of all animation channels together.
    pub animation_keys: u64,
    /// Joints of all skins together.
    pub joints: u64,
    /// Joints that move a primitive, all primitives together; and again those that are shown, a mesh counted once
    /// for each node that shows it. Each is a box that every picture moves.
    pub joint_boxes: u64,
    /// Bytes taken while loading, all together; what stays afterwards is less. The scene and what its upload to a
    /// device takes must fit into as many.
    pub memory: u64,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            file_bytes: 512 << 20,
            json_bytes: 32 << 20,
            nodes: 100_000,
            primitives: 100_000,
            draws: 200_000,
            triangles: 100_000_000,
            vertices: 16_000_000,
            indices: 64_000_000,
            materials: 16_384,
            textures: 4_096,
            image_side: 16_384,
            image_pixels: 256 << 20,
            animation_keys: 8_000_000,
            joints: 100_000,
            joint_boxes: 1_000_000,
            memory: 3 << 30,
        }
    }
}

/// What is left of the limits that add up over a whole scene.
#[derive(Debug)]
pub(super) struct Budget {
    limits: LoadLimits,
    memory: Cell<u64>,
    vertices: Cell<u64>,
    indices: Cell<u64>,
    pixels: Cell<u64>,
    keys: Cell<u64>,
    joints: Cell<u64>,
}

impl Budget {
    pub(super) fn new(limits: LoadLimits) -> Self {
        Self {
            limits,
            memory: Cell::new(0),
            vertices: Cell::new(0),
            indices: Cell::new(0),
            pixels: Cell::new(0),
            keys: Cell::new(0),
            joints: Cell::new(0),
        }
    }

    pub(super) fn limits(&self) -> &LoadLimits {
        &self.limits
    }

    /// What of memory, vertices and indices is not taken yet; the rest of the limits as they are.
    pub(super) fn left(&self) -> LoadLimits {
        let minus = |limit: u64, used: &Cell<u64>| limit.saturating_sub(used.get());
        LoadLimits {
            memory: minus(self.limits.memory, &self.memory),
            vertices: minus(self.limits.vertices, &self.vertices),
            indices: minus(self.limits.indices, &self.indices),
            ..self.limits
        }
    }

    /// Takes `count` items of `size` bytes each from the memory, for `what`.
    pub(super) fn memory(&self, what: &str, count: u64, size: usize) -> Result<(), SceneError> {
        let bytes = count.saturating_mul(size as u64);
        take(&self.memory, bytes, self.limits.memory, || format!("the memory for {what}"))
    }

    pub(super) fn vertices(&self, what: &str, count: u64) -> Result<(), SceneError> {
        take(&self.vertices, count, self.limits.vertices, || {
            format!("the number of vertices up to {what}")
        })
    }

    pub(super) fn indices(&self, what: &str, count: u64) -> Result<(), SceneError> {
        take(&self.indices, count, self.limits.indices, || {
            format!("the number of indices up to {what}")
        })
    }

    pub(super) fn pixels(&self, what: &str, count: u64) -> Result<(), SceneError> {
        take(&self.pixels, count, self.limits.image_pixels, || {
            format!("the number of pixels up to {what}")
        })
    }

    pub(super) fn keys(&self, what: &str, count: u64) -> Result<(), SceneError> {
        take(&self.keys, count, self.limits.animation_keys, || {
            format!("the number of animation keys up to {what}")
        })
    }

    pub(super) fn joints(&self, what: &str, count: u64) -> Result<(), SceneError> {
        take(&self.joints, count, self.limits.joints, || {
            format!("the number of joints up to {what}")
        })
    }
}

fn take(
    used: &Cell<u64>,
    more: u64,
    limit: u64,
    what: impl FnOnce() -> String,
) -> Result<(), SceneError> {
    let found = used.get().saturating_add(more);
    check(what, found, limit)?;
    used.set(found);
    Ok(())
}

/// Refuses `found` above `limit`.
pub(super) fn check(
    what: impl FnOnce() -> String,
    found: u64,
    limit: u64,
) -> Result<(), SceneError> {
    if found > limit { Err(SceneError::Limit { what: what(), found, limit }) } else { Ok(()) }
}
