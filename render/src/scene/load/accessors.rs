//! Reads accessors (glTF 2.0 §3.6.2): every layout is checked against the bytes that exist before
//! anything is allocated, and every float that comes out is finite.

use std::borrow::Cow;

use gltf::json::accessor::{ComponentType, Type};
use gltf::json::validation::Checked;
use gltf::json::{Accessor, Index, Root, buffer};

use super::super::SceneError;
use super::super::error::describe;
use super::super::limits::Budget;

/// A scene's buffers, with what is needed to read from them.
pub(super) struct Accessors<'a> {
    pub(super) root: &'a Root,
    pub(super) buffers: Vec<Cow<'a, [u8]>>,
    pub(super) budget: &'a Budget,
}

/// How integers become floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integers {
    /// Only floats are allowed.
    Refused,
    /// Scaled to the unit range where the accessor says so (`KHR_mesh_quantization`).
    AsDeclared,
    /// Always scaled to the unit range: the attribute allows nothing else.
    Normalized,
}

/// An accessor whose layout has been checked.
struct Layout<'a> {
    name: String,
    count: usize,
    component: ComponentType,
    normalized: bool,
    /// Bytes from one element to the next; the bytes reach as far as the last element does.
    base: Option<(&'a [u8], usize)>,
    sparse: Option<Sparse<'a>>,
}

/// Replacements for some elements, tightly packed.
struct Sparse<'a> {
    indices: &'a [u8],
    index_type: ComponentType,
    values: &'a [u8],
}

impl<'a> Accessors<'a> {
    /// How many elements accessor `index` claims to have.
    pub(super) fn count(&self, index: Index<Accessor>) -> u64 {
        self.root.get(index).map_or(0, |accessor| accessor.count.0)
    }

    /// The shape of accessor `index`.
    pub(super) fn shape(&self, index: Index<Accessor>) -> Option<Type> {
        match self.root.get(index)?.type_ {
            Checked::Valid(shape) => Some(shape),
            Checked::Invalid => None,
        }
    }

    /// Floats of accessor `index`, which must have the shape of `N` numbers; `what` says what they are.
    pub(super) fn floats<const N: usize>(
        &self,
        index: Index<Accessor>,
        what: &str,
        integers: Integers,
    ) -> Result<Vec<[f32; N]>, SceneError> {
        let layout = self.layout::<N>(index, what)?;
        let declared = integers == Integers::AsDeclared && !layout.normalized;
        let convert: fn(&[u8]) -> f32 = match (layout.component, declared) {
            (ComponentType::F32, _) => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            (ComponentType::U32, _) => return Err(layout.wrong(what, "holds 32 bit integers")),
            _ if integers == Integers::Refused => {
                return Err(layout.wrong(what, "does not hold floats"));
            }
            (ComponentType::U8, true) => |b| f32::from(b[0]),
            (ComponentType::I8, true) => |b| f32::from(b[0] as i8),
            (ComponentType::U16, true) => |b| f32::from(u16::from_le_bytes([b[0], b[1]])),
            (ComponentType::I16, true) => |b| f32::from(i16::from_le_bytes([b[0], b[1]])),
            // glTF 2.0 §3.11 gives these four.
            (ComponentType::U8, false) => |b| f32::from(b[0]) / 255.0,
            (ComponentType::I8, false) => |b| (f32::from(b[0] as i8) / 127.0).max(-1.0),
            (ComponentType::U16, false) => {
                |b| f32::from(u16::from_le_bytes([b[0], b[1]])) / 65_535.0
            }
            (ComponentType::I16, false) => {
                |b| (f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_767.0).max(-1.0)
            }
        };
        let values = self.collect(&layout, what, convert)?;
        let bad = values.iter().position(|value| value.iter().any(|number| !number.is_finite()));
        match bad {
            Some(element) => Err(SceneError::NotFinite {
                what: format!("element {element} of {} ({what})", layout.name),
            }),
            None => Ok(values),
        }
    }

    /// Unsigned integers of accessor `index`.
    pub(super) fn integers<const N: usize>(
        &self,
        index: Index<Accessor>,
        what: &str,
    ) -> Result<Vec<[u32; N]>, SceneError> {
        let layout = self.layout::<N>(index, what)?;
        let convert: fn(&[u8]) -> u32 = match layout.component {
            ComponentType::U8 => |b| u32::from(b[0]),
            ComponentType::U16 => |b| u32::from(u16::from_le_bytes([b[0], b[1]])),
            ComponentType::U32 => |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            _ => return Err(layout.wrong(what, "does not hold unsigned integers")),
        };
        self.collect(&layout, what, convert)
    }

    /// The bytes of a buffer view.
    pub(super) fn view(&self, index: Index<buffer::View>) -> Result<&[u8], SceneError> {
        view_bytes(self.root, &self.buffers, index)
    }

    fn layout<const N: usize>(
        &self,
        index: Index<Accessor>,
        what: &str,
    ) -> Result<Layout<'_>, SceneError> {
        let missing = || SceneError::invalid(format!("accessor {index}"), "does not exist");
        let accessor = self.root.get(index).ok_or_else(missing)?;
        let name = describe("accessor", index.value(), accessor.name.as_deref());
        let wrong = |why: &str| SceneError::invalid(format!("{name} ({what})"), why);
        let (Checked::Valid(component), Checked::Valid(shape)) =
            (&accessor.component_type, &accessor.type_)
        else {
            return Err(wrong("has no known type"));
        };
        let expected = match N {
            1 => Type::Scalar,
            2 => Type::Vec2,
            3 => Type::Vec3,
            4 => Type::Vec4,
            _ => Type::Mat4,
        };
        if *shape != expected || shape.multiplicity() != N {
            return Err(wrong(&format!("is {shape:?} where {expected:?} is needed")));
        }
        let component = component.0;
        let count = accessor.count.0;
        // Before the conversion to usize and before the first allocation.
        self.budget.memory(&name, count, N * 4)?;
        if count == 0 {
            return Err(wrong("is empty"));
        }
        // Columns of matrices of small components are padded; only MAT4 is read, whose never are.
        let size = component.size() * N;
        let base = match accessor.buffer_view {
            None => None,
            Some(view_index) => {
                let view = self.view(view_index)?;
                let stride =
                    self.root.get(view_index).and_then(|v| v.byte_stride).map_or(size, |s| s.0);
                if stride < size {
                    return Err(wrong(&format!(
                        "has a stride of {stride}, below its {size} bytes"
                    )));
                }
                let start = accessor.byte_offset.unwrap_or_default().0;
                let length = (count - 1)
                    .checked_mul(stride as u64)
                    .and_then(|bytes| bytes.checked_add(size as u64));
                let bytes = length.and_then(|length| range(view, start, length));
                let bytes = bytes.ok_or_else(|| {
                    wrong(&format!(
                        "has {count} elements of {size} bytes, stride {stride}, from byte {start} \
                         of a view of {} bytes",
                        view.len()
                    ))
                })?;
                Some((bytes, stride))
            }
        };
        let sparse = match &accessor.sparse {
            None => None,
            Some(sparse) => Some(self.sparse(sparse, size, count).map_err(|why| match why {
                Some(error) => error,
                None => wrong("has sparse parts that do not fit their views"),
            })?),
        };
        let normalized = accessor.normalized;
        Ok(Layout { name, count: count as usize, component, normalized, base, sparse })
    }

    fn sparse(
        &self,
        sparse: &gltf::json::accessor::sparse::Sparse,
        size: usize,
        elements: u64,
    ) -> Result<Sparse<'_>, Option<SceneError>> {
        let Checked::Valid(index_type) = &sparse.indices.component_type else { return Err(None) };
        let count = sparse.count.0;
        if count > elements {
            return Err(None);
        }
        let part = |view, start, size: usize| {
            let view = self.view(view).map_err(Some)?;
            let length = count.checked_mul(size as u64).ok_or(None)?;
            range(view, start, length).ok_or(None)
        };
        let index_type = index_type.0;
        let (indices, values) = (&sparse.indices, &sparse.values);
        Ok(Sparse {
            indices: part(indices.buffer_view, indices.byte_offset.0, index_type.size())?,
            index_type,
            values: part(values.buffer_view, values.byte_offset.0, size)?,
        })
    }

    fn collect<T: Copy + Default, const N: usize>(
        &self,
        layout: &Layout<'_>,
        what: &str,
        convert: fn(&[u8]) -> T,
    ) -> Result<Vec<[T; N]>, SceneError> {
        let size = layout.component.size();
        let element = |bytes: &[u8]| {
            let mut out = [T::default(); N];
            for (value, bytes) in out.iter_mut().zip(bytes.chunks_exact(size)) {
                *value = convert(bytes);
            }
            out
        };
        let mut out = match layout.base {
            None => vec![[T::default(); N]; layout.count],
            Some((bytes, stride)) => bytes.chunks(stride).map(element).collect(),
        };
        if let Some(sparse) = &layout.sparse {
            let mut before = None;
            let indices = sparse.indices.chunks_exact(sparse.index_type.size());
            for (index, value) in indices.zip(sparse.values.chunks_exact(size * N)) {
                let mut wide = [0; 8];
                wide[..index.len()].copy_from_slice(index);
                let index = usize::try_from(u64::from_le_bytes(wide)).unwrap_or(usize::MAX);
                if before.is_some_and(|before| before >= index) {
                    return Err(layout.wrong(what, "has sparse indices that do not ascend"));
                }
                before = Some(index);
                let slot = out.get_mut(index);
                let slot = slot.ok_or_else(|| {
                    layout.wrong(what, &format!("has a sparse index {index} out of range"))
                })?;
                *slot = element(value);
            }
        }
        Ok(out)
    }
}

impl Layout<'_> {
    fn wrong(&self, what: &str, why: &str) -> SceneError {
        SceneError::invalid(format!("{} ({what})", self.name), why)
    }
}

/// The bytes of a buffer view of `root`, whose buffers are `buffers`.
pub(super) fn view_bytes<'b>(
    root: &Root,
    buffers: &'b [Cow<'_, [u8]>],
    index: Index<buffer::View>,
) -> Result<&'b [u8], SceneError> {
    let name = || format!("buffer view {index}");
    let missing = || SceneError::invalid(name(), "does not exist");
    let view = root.get(index).ok_or_else(missing)?;
    let buffer = buffers.get(view.buffer.value()).ok_or_else(missing)?;
    let start = view.byte_offset.unwrap_or_default().0;
    range(buffer, start, view.byte_length.0).ok_or_else(|| {
        let why = format!(
            "covers {} bytes from {start} of buffer {}, which has {}",
            view.byte_length.0,
            view.buffer,
            buffer.len()
        );
        SceneError::invalid(name(), why)
    })
}

/// `length` bytes from `start`, if they exist.
pub(super) fn range(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let end = start.checked_add(length)?;
    bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}
