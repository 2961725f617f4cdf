//! `KHR_draco_mesh_compression`: what is compressed is unpacked into buffers that the rest of the
//! loader reads as it reads any other.
//!
//! A stream of a kilobyte may honestly hold millions of triangles, so a decode is bounded by what is
//! left of the scene's own limits, not by the size of its input. The types and counts of the stream
//! win over those of the accessors, which are said to be equal but often are not. Morph targets of a
//! compressed primitive stay as they are: they are not part of the stream.

use std::borrow::Cow;
use std::collections::BTreeMap;

use draco_core::draco_types::DataType;
use draco_core::geometry_indices::PointIndex;
use draco_core::{DecodeLimits, DecoderBuffer, Mesh, MeshDecoder, PointAttribute};
use gltf::json::accessor::{ComponentType, GenericComponentType, Type};
use gltf::json::mesh::{Mode, Semantic};
use gltf::json::validation::{Checked, USize64};
use gltf::json::{Accessor, Buffer, Index, Root, Value, buffer, deserialize};

use super::super::SceneError;
use super::super::limits::Budget;
use super::accessors::view_bytes;
use super::mesh_name;

/// The extension's name.
pub(super) const NAME: &str = "KHR_draco_mesh_compression";

/// What a decoder holds beside the result, a triangle: its table of corners and what it has visited.
const WORKING_BYTES: u64 = 128;

/// What a primitive says of its stream.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Compressed {
    buffer_view: u32,
    /// Semantic → id of the attribute in the stream.
    attributes: BTreeMap<String, u32>,
}

/// Unpacks every compressed primitive of `root` into further buffers, and points it there.
pub(super) fn unpack(
    root: &mut Root,
    buffers: &mut Vec<Cow<'_, [u8]>>,
    budget: &Budget,
) -> Result<(), SceneError> {
    for mesh in 0..root.meshes.len() {
        for part in 0..root.meshes[mesh].primitives.len() {
            let primitive = &mut root.meshes[mesh].primitives[part];
            let taken = primitive.extensions.as_mut().and_then(|e| e.others.remove(NAME));
            if let Some(said) = taken {
                let what = format!("primitive {part} of {}", mesh_name(root, mesh));
                Unpacking { root: &mut *root, buffers: &mut *buffers, budget, what: &what }
                    .primitive(mesh, part, said)?;
            }
        }
    }
    Ok(())
}

struct Unpacking<'a, 'b> {
    root: &'a mut Root,
    buffers: &'a mut Vec<Cow<'b, [u8]>>,
    budget: &'a Budget,
    what: &'a str,
}

impl Unpacking<'_, '_> {
    fn wrong(&self, why: impl std::fmt::Display) -> SceneError {
        SceneError::invalid(format!("the Draco stream of {}", self.what), why.to_string())
    }

    fn primitive(&mut self, mesh: usize, part: usize, said: Value) -> Result<(), SceneError> {
        let said: Compressed = deserialize::from_value(said).map_err(|error| self.wrong(error))?;
        let mode = self.root.meshes[mesh].primitives[part].mode;
        if !matches!(mode, Checked::Valid(Mode::Triangles | Mode::TriangleStrip)) {
            return Err(self.wrong("is of neither triangles nor strips"));
        }
        let unpacked = self.decode(said.buffer_view)?;
        let points = unpacked.num_points();
        let mut attributes = self.root.meshes[mesh].primitives[part].attributes.clone();
        for (semantic, accessor) in &mut attributes {
            let Checked::Valid(semantic) = semantic else { continue };
            let Some(&id) = said.attributes.get(&semantic.to_string()) else { continue };
            let attribute = unpacked.attribute_by_unique_id(id).ok_or_else(|| {
                self.wrong(format_args!("has no attribute {id} for {}", semantic.to_string()))
            })?;
            *accessor = self.attribute(attribute, semantic, points, *accessor)?;
        }
        let faces = unpacked.faces();
        self.budget.memory(self.what, faces.len() as u64, 12)?;
        let indices = faces.iter().flatten().flat_map(|point| point.0.to_le_bytes()).collect();
        let indices =
            self.accessor(indices, faces.len() * 3, ComponentType::U32, Type::Scalar, false)?;
        let primitive = &mut self.root.meshes[mesh].primitives[part];
        primitive.attributes = attributes;
        primitive.indices = Some(indices);
        // The stream holds triangles, whatever order they were stored in.
        primitive.mode = Checked::Valid(Mode::Triangles);
        Ok(())
    }

    fn decode(&self, view: u32) -> Result<Mesh, SceneError> {
        let stream = view_bytes(self.root, self.buffers, Index::new(view))?;
        let left = self.budget.left();
        let limits = DecodeLimits::default()
            .with_max_points(left.vertices)
            .with_max_faces((left.indices / 3).min(left.memory / WORKING_BYTES))
            .with_max_decoded_bytes(left.memory);
        let mut unpacked = Mesh::new();
        MeshDecoder::new()
            .decode(&mut DecoderBuffer::new(stream).with_limits(limits), &mut unpacked)
            .map_err(|error| self.wrong(error))?;
        if unpacked.num_points() as u64 > left.vertices {
            return Err(self.wrong("has more vertices than a scene may have"));
        }
        Ok(unpacked)
    }

    /// The values of `points` points as an accessor in place of `claimed`.
    fn attribute(
        &mut self,
        attribute: &PointAttribute,
        semantic: &Semantic,
        points: usize,
        claimed: Index<Accessor>,
    ) -> Result<Index<Accessor>, SceneError> {
        let named = semantic.to_string();
        let component = match attribute.data_type() {
            DataType::Int8 => ComponentType::I8,
            DataType::Uint8 => ComponentType::U8,
            DataType::Int16 => ComponentType::I16,
            DataType::Uint16 => ComponentType::U16,
            DataType::Uint32 => ComponentType::U32,
            DataType::Float32 => ComponentType::F32,
            other => return Err(self.wrong(format_args!("holds {other:?} for {named}"))),
        };
        let shape = match attribute.num_components() {
            1 => Type::Scalar,
            2 => Type::Vec2,
            3 => Type::Vec3,
            4 => Type::Vec4,
            other => return Err(self.wrong(format_args!("holds {other} numbers for {named}"))),
        };
        let size = component.size() * shape.multiplicity();
        self.budget.memory(self.what, points as u64, size)?;
        let stride = usize::try_from(attribute.byte_stride()).unwrap_or(size).max(size);
        let data = attribute.buffer().data();
        let mut bytes = Vec::with_capacity(points * size);
        for point in 0..u32::try_from(points).unwrap_or(u32::MAX) {
            let value = attribute.mapped_index(PointIndex(point)).0 as usize;
            let value = value.checked_mul(stride).and_then(|at| data.get(at..)?.get(..size));
            bytes.extend(value.ok_or_else(|| self.wrong(format_args!("lacks values of {named}")))?);
        }
        let normalized = self.root.get(claimed).is_some_and(|accessor| accessor.normalized);
        self.accessor(bytes, points, component, shape, normalized)
    }

    /// Adds packed values as a buffer with one view and one accessor.
    fn accessor(
        &mut self,
        bytes: Vec<u8>,
        count: usize,
        component: ComponentType,
        shape: Type,
        normalized: bool,
    ) -> Result<Index<Accessor>, SceneError> {
        let length = USize64::from(bytes.len());
        self.buffers.push(Cow::Owned(bytes));
        let buffer = self.root.push(Buffer {
            byte_length: length,
            name: None,
            uri: None,
            extensions: None,
            extras: None,
        });
        let view = self.root.push(buffer::View {
            buffer,
            byte_length: length,
            byte_offset: None,
            byte_stride: None,
            name: None,
            target: None,
            extensions: None,
            extras: None,
        });
        Ok(self.root.push(Accessor {
            buffer_view: Some(view),
            byte_offset: None,
            count: USize64::from(count),
            component_type: Checked::Valid(GenericComponentType(component)),
            extensions: None,
            extras: None,
            type_: Checked::Valid(shape),
            min: None,
            max: None,
            name: None,
            normalized,
            sparse: None,
        }))
    }
}
