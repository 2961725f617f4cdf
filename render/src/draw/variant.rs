//! Variants of the mesh shader: which features a primitive needs, and the source without the others.

use std::fmt::Write as _;

use crate::scene::{Influence, Vertex};

/// The mesh shader, valid with every feature on.
pub(crate) const MESH: &str = include_str!("../../../shaders/mesh.wgsl");
/// The background.
pub(crate) const SKY: &str = include_str!("../../../shaders/sky.wgsl");
/// The tone map.
pub(crate) const TONEMAP: &str = include_str!("../../../shaders/tonemap.wgsl");

/// A set of features of the mesh shader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Features(u32);

impl Features {
    pub(crate) const LIT: Self = Self(1);
    pub(crate) const SUN: Self = Self(1 << 1);
    pub(crate) const SHADOW: Self = Self(1 << 2);
    /// Reached by lamps, emitting or flashing.
    pub(crate) const EXTRA: Self = Self(1 << 3);
    pub(crate) const SKIN: Self = Self(1 << 4);
    pub(crate) const UV0: Self = Self(1 << 5);
    pub(crate) const UV1: Self = Self(1 << 6);
    pub(crate) const UV_TRANSFORM: Self = Self(1 << 7);
    pub(crate) const COLOR: Self = Self(1 << 8);
    pub(crate) const BASE_MAP: Self = Self(1 << 9);
    pub(crate) const SURFACE_MAP: Self = Self(1 << 10);
    pub(crate) const NORMAL_MAP: Self = Self(1 << 11);
    pub(crate) const OCCLUSION_MAP: Self = Self(1 << 12);
    pub(crate) const EMISSIVE_MAP: Self = Self(1 << 13);
    pub(crate) const MASK: Self = Self(1 << 14);
    pub(crate) const BLEND: Self = Self(1 << 15);
    pub(crate) const DOUBLE_SIDED: Self = Self(1 << 16);
    /// Certainly no metal.
    pub(crate) const DIELECTRIC: Self = Self(1 << 17);
    /// Smooth enough that one sees from where one looks. Without it reflection is a constant.
    pub(crate) const GLOSSY: Self = Self(1 << 18);
    /// The fragment works with the normal; without it the sun's light is interpolated.
    pub(crate) const NORMAL: Self = Self(1 << 19);
    /// The sun's light is interpolated.
    pub(crate) const SLOPE: Self = Self(1 << 20);

    /// Maps in the order of their bindings.
    pub(crate) const MAPS: [Self; 5] = [
        Self::BASE_MAP,
        Self::SURFACE_MAP,
        Self::NORMAL_MAP,
        Self::OCCLUSION_MAP,
        Self::EMISSIVE_MAP,
    ];

    const NAMES: [(&'static str, Self); 21] = [
        ("LIT", Self::LIT),
        ("SUN", Self::SUN),
        ("SHADOW", Self::SHADOW),
        ("EXTRA", Self::EXTRA),
        ("SKIN", Self::SKIN),
        ("UV0", Self::UV0),
        ("UV1", Self::UV1),
        ("UV_TRANSFORM", Self::UV_TRANSFORM),
        ("COLOR", Self::COLOR),
        ("BASE_MAP", Self::BASE_MAP),
        ("SURFACE_MAP", Self::SURFACE_MAP),
        ("NORMAL_MAP", Self::NORMAL_MAP),
        ("OCCLUSION_MAP", Self::OCCLUSION_MAP),
        ("EMISSIVE_MAP", Self::EMISSIVE_MAP),
        ("MASK", Self::MASK),
        ("BLEND", Self::BLEND),
        ("DOUBLE_SIDED", Self::DOUBLE_SIDED),
        ("DIELECTRIC", Self::DIELECTRIC),
        ("GLOSSY", Self::GLOSSY),
        ("NORMAL", Self::NORMAL),
        ("SLOPE", Self::SLOPE),
    ];

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    pub(crate) fn only(self, of: Self) -> Self {
        Self(self.0 & of.0)
    }

    pub(crate) fn with_if(self, condition: bool, other: Self) -> Self {
        if condition { self.with(other) } else { self }
    }

    /// The maps among the features.
    pub(crate) fn maps(self) -> Self {
        Self::MAPS
            .iter()
            .filter(|map| self.has(**map))
            .fold(Self::default(), |all, map| all.with(*map))
    }

    /// What the shadow pass needs of a primitive: its shape, and for masks its base colour.
    pub(crate) fn for_shadow(self) -> Self {
        let shape = Self(self.0 & Self::SKIN.0);
        if !self.has(Self::MASK) {
            return shape;
        }
        let base =
            [Self::MASK, Self::UV0, Self::UV1, Self::UV_TRANSFORM, Self::COLOR, Self::BASE_MAP];
        base.into_iter().filter(|f| self.has(*f)).fold(shape, Self::with)
    }

    /// With what the features themselves ask for.
    pub(crate) fn completed(self) -> Self {
        if !self.has(Self::LIT) {
            return self;
        }
        let normal = [Self::GLOSSY, Self::NORMAL_MAP, Self::EXTRA, Self::DOUBLE_SIDED];
        if normal.into_iter().any(|feature| self.has(feature)) {
            self.with(Self::NORMAL)
        } else {
            self.with_if(self.has(Self::SUN), Self::SLOPE)
        }
    }

    fn named(self, name: &str) -> bool {
        Self::NAMES.iter().any(|(n, feature)| *n == name && self.has(*feature))
    }

    /// Names for labels of pipelines.
    pub(crate) fn label(self) -> String {
        let mut label = String::from("mesh");
        for (name, _) in Self::NAMES.iter().filter(|(_, feature)| self.has(*feature)) {
            // Writing to a string cannot fail.
            let _ = write!(label, " {name}");
        }
        label
    }
}

/// The mesh shader without the features that are off, see `shaders/README.md`.
pub(crate) fn expand(source: &str, features: Features) -> String {
    let mut result = String::with_capacity(source.len());
    // Whether each open block is kept.
    let mut open: Vec<bool> = Vec::new();
    for line in source.lines() {
        if let Some(name) = line.trim().strip_prefix("//#if ") {
            open.push(features.named(name));
        } else if line.trim() == "//#endif" {
            open.pop();
        } else if open.iter().all(|kept| *kept) {
            result.push_str(line);
        }
        // Line numbers in error messages stay those of the file.
        result.push('\n');
    }
    result
}

/// Vertex attributes that a variant reads, from the vertices and from the influences.
pub(crate) struct Attributes {
    vertices: Vec<wgpu::VertexAttribute>,
    influences: Vec<wgpu::VertexAttribute>,
}

impl Attributes {
    pub(crate) fn new(features: Features) -> Self {
        use wgpu::VertexFormat as F;
        let attribute = |format, offset: usize, shader_location| wgpu::VertexAttribute {
            format,
            offset: offset as u64,
            shader_location,
        };
        let mut vertices = vec![attribute(F::Float32x3, std::mem::offset_of!(Vertex, position), 0)];
        for (feature, format, offset, location) in [
            (Features::LIT, F::Float32x3, std::mem::offset_of!(Vertex, normal), 1),
            (Features::NORMAL_MAP, F::Float32x4, std::mem::offset_of!(Vertex, tangent), 2),
            (Features::UV0, F::Float32x2, std::mem::offset_of!(Vertex, uv0), 3),
            (Features::UV1, F::Float32x2, std::mem::offset_of!(Vertex, uv1), 4),
            (Features::COLOR, F::Unorm16x4, std::mem::offset_of!(Vertex, color), 5),
        ] {
            if features.has(feature) {
                vertices.push(attribute(format, offset, location));
            }
        }
        let influences = if features.has(Features::SKIN) {
            vec![
                attribute(F::Uint16x4, std::mem::offset_of!(Influence, joints), 6),
                attribute(F::Float32x4, std::mem::offset_of!(Influence, weights), 7),
            ]
        } else {
            Vec::new()
        };
        Self { vertices, influences }
    }

    pub(crate) fn layouts(&self) -> Vec<Option<wgpu::VertexBufferLayout<'_>>> {
        let layout = |attributes, stride: usize| {
            Some(wgpu::VertexBufferLayout {
                array_stride: stride as u64,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes,
            })
        };
        let mut layouts = vec![layout(&self.vertices[..], size_of::<Vertex>())];
        if !self.influences.is_empty() {
            layouts.push(layout(&self.influences[..], size_of::<Influence>()));
        }
        layouts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(source: &str, what: &str) {
        let module = naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(source)));
        naga::valid::Validator::new(
            naga::valid::ValidationFlags::all(),
            naga::valid::Capabilities::default(),
        )
        .validate(&module)
        .unwrap_or_else(|error| panic!("{what}: {}", error.emit_to_string(source)));
    }

    #[test]
    fn every_file_is_valid_as_it_stands() {
        for (name, source) in [("mesh", MESH), ("sky", SKY), ("tonemap", TONEMAP)] {
            validate(source, name);
        }
    }

    #[test]
    fn variants_are_valid() {
        let lit = Features::LIT.with(Features::UV0);
        let mut variants = vec![Features::default(), Features::UV0.with(Features::BASE_MAP)];
        for bits in 0..1_u32 << Features::NAMES.len() {
            let features = Features(bits);
            let unlit = [Features::SUN, Features::NORMAL_MAP, Features::GLOSSY, Features::NORMAL];
            let sensible = features == features.completed()
                && !features.has(Features::NORMAL.with(Features::SLOPE))
                && (features.maps() == Features::default() || features.has(Features::UV0))
                && (!features.has(Features::UV1) || features.has(Features::UV0))
                && (!features.has(Features::SHADOW) || features.has(Features::SUN))
                && (features.has(Features::LIT) || !unlit.iter().any(|f| features.has(*f)))
                && (features.has(Features::SUN) || !features.has(Features::SLOPE))
                && (features.has(Features::LIT) || !features.has(Features::SLOPE));
            // One in a prime number of them, so that every feature meets every other.
            if sensible && bits % 1_009 == 1 {
                variants.push(features);
            }
        }
        variants.extend(Features::MAPS.iter().map(|map| lit.with(*map)));
        assert!(variants.len() > 100);
        for features in variants {
            validate(&expand(MESH, features), &features.label());
            validate(&expand(MESH, features.for_shadow()), &features.for_shadow().label());
        }
    }

    #[test]
    fn blocks_nest() {
        let source = "a\n//#if LIT\nb\n//#if SUN\nc\n//#endif\nd\n//#endif\ne";
        assert_eq!(expand(source, Features::LIT), "a\n\nb\n\n\n\nd\n\ne\n");
        assert_eq!(expand(source, Features::SUN), "a\n\n\n\n\n\n\n\ne\n");
    }
}
