//! Materials, and the textures that they use. Images that no material uses are never decoded.

use std::collections::HashMap;

use glam::{Vec2, Vec3, Vec4};
use gltf::json::extensions::texture::TextureTransform;
use gltf::json::material::{AlphaMode as JsonAlphaMode, Material as JsonMaterial};
use gltf::json::texture::{MagFilter, MinFilter, Sampler as JsonSampler, WrappingMode};
use gltf::json::validation::Checked;
use gltf::json::{Index, Texture as JsonTexture, Value};

use super::super::error::describe;
use super::super::{
    AlphaMode, Image, Material, Mipmaps, Sampler, SceneError, Texture, TextureUse, Wrap,
};
use super::Warnings;
use super::accessors::Accessors;
use super::files::Files;

/// What the materials of a file come to.
#[derive(Debug, Default)]
pub(super) struct Materials {
    /// One for each of the file, in order, then the default.
    pub(super) materials: Vec<Material>,
    pub(super) textures: Vec<Texture>,
    pub(super) images: Vec<Image>,
}

struct Builder<'a> {
    accessors: &'a Accessors<'a>,
    files: &'a Files,
    warnings: &'a Warnings,
    out: Materials,
    texture_of: HashMap<usize, Option<usize>>,
    image_of: HashMap<usize, usize>,
}

/// Loads every material and the textures in use.
pub(super) fn load(
    accessors: &Accessors<'_>,
    files: &Files,
    warnings: &Warnings,
) -> Result<Materials, SceneError> {
    let mut builder = Builder {
        accessors,
        files,
        warnings,
        out: Materials::default(),
        texture_of: HashMap::new(),
        image_of: HashMap::new(),
    };
    for (index, source) in accessors.root.materials.iter().enumerate() {
        let material = builder.material(index, source)?;
        builder.out.materials.push(material);
    }
    builder.out.materials.push(Material::default());
    Ok(builder.out)
}

impl Builder<'_> {
    fn material(&mut self, index: usize, source: &JsonMaterial) -> Result<Material, SceneError> {
        let what = describe("material", index, source.name.as_deref());
        let pbr = &source.pbr_metallic_roughness;
        let extensions = source.extensions.as_ref();
        let strength = extensions
            .and_then(|extensions| extensions.emissive_strength.as_ref())
            .map_or(1.0, |strength| strength.emissive_strength.0);
        let plain = |info: &gltf::json::texture::Info| {
            let transform = info.extensions.as_ref().and_then(|e| e.texture_transform.clone());
            (info.index, info.tex_coord, transform)
        };
        let mut material = Material {
            name: source.name.clone().unwrap_or_default(),
            base_color: Vec4::from_array(pbr.base_color_factor.0),
            metallic: pbr.metallic_factor.0,
            roughness: pbr.roughness_factor.0,
            emissive: Vec3::from_array(source.emissive_factor.0) * strength,
            double_sided: source.double_sided,
            unlit: extensions.is_some_and(|extensions| extensions.unlit.is_some()),
            alpha: match source.alpha_mode {
                Checked::Valid(JsonAlphaMode::Mask) => {
                    AlphaMode::Mask(source.alpha_cutoff.map_or(0.5, |cutoff| cutoff.0))
                }
                Checked::Valid(JsonAlphaMode::Blend) => AlphaMode::Blend,
                _ => AlphaMode::Opaque,
            },
            ..Material::default()
        };
        material.base_color_texture =
            self.texture_use(&what, pbr.base_color_texture.as_ref().map(plain))?;
        material.metallic_roughness_texture =
            self.texture_use(&what, pbr.metallic_roughness_texture.as_ref().map(plain))?;
        material.emissive_texture =
            self.texture_use(&what, source.emissive_texture.as_ref().map(plain))?;
        if let Some(normal) = &source.normal_texture {
            let raw = normal.extensions.as_ref().and_then(|e| e.others.get(TRANSFORM));
            let transform = transform(&what, raw)?;
            material.normal_scale = normal.scale;
            material.normal_texture =
                self.texture_use(&what, Some((normal.index, normal.tex_coord, transform)))?;
        }
        if let Some(occlusion) = &source.occlusion_texture {
            let raw = occlusion.extensions.as_ref().and_then(|e| e.others.get(TRANSFORM));
            let transform = transform(&what, raw)?;
            material.occlusion_strength = occlusion.strength.0;
            material.occlusion_texture =
                self.texture_use(&what, Some((occlusion.index, occlusion.tex_coord, transform)))?;
        }
        check_factors(&what, &mut material)?;
        Ok(material)
    }

    fn texture_use(
        &mut self,
        what: &str,
        info: Option<(Index<JsonTexture>, u32, Option<TextureTransform>)>,
    ) -> Result<Option<TextureUse>, SceneError> {
        let Some((index, tex_coord, transform)) = info else { return Ok(None) };
        let Some(texture) = self.texture(index)? else { return Ok(None) };
        let transform = transform.unwrap_or_default();
        let mut uv_set = transform.tex_coord.unwrap_or(tex_coord);
        if uv_set > 1 {
            self.warnings.add(format!("{what} uses texture coordinates {uv_set}; 0 are taken"));
            uv_set = 0;
        }
        let used = TextureUse {
            texture,
            uv_set,
            offset: Vec2::from_array(transform.offset.0),
            rotation: transform.rotation.0,
            scale: Vec2::from_array(transform.scale.0),
        };
        if !(used.offset.is_finite() && used.rotation.is_finite() && used.scale.is_finite()) {
            let what = format!("the texture transform of {what}");
            return Err(SceneError::NotFinite { what });
        }
        Ok(Some(used))
    }

    /// The texture's place in the scene; none when only an unsupported extension could fill it.
    fn texture(&mut self, index: Index<JsonTexture>) -> Result<Option<usize>, SceneError> {
        if let Some(&known) = self.texture_of.get(&index.value()) {
            return Ok(known);
        }
        let root = self.accessors.root;
        let what = format!("texture {index}");
        let source = root.get(index).ok_or_else(|| SceneError::invalid(&what, "does not exist"))?;
        let webp = source
            .extensions
            .as_ref()
            .and_then(|extensions| {
                extensions.others.get("EXT_texture_webp")?.get("source")?.as_u64()
            })
            .and_then(|image| usize::try_from(image).ok());
        let plain = (source.source.value() != u32::MAX as usize).then_some(source.source.value());
        let texture = match webp.or(plain) {
            None => {
                self.warnings.add(format!("{what} has no image that can be read; it is left out"));
                None
            }
            Some(image) => {
                let image = self.image(image)?;
                let sampler = source.sampler.and_then(|sampler| root.get(sampler));
                self.out.textures.push(Texture { image, sampler: read_sampler(sampler) });
                Some(self.out.textures.len() - 1)
            }
        };
        self.texture_of.insert(index.value(), texture);
        Ok(texture)
    }

    fn image(&mut self, index: usize) -> Result<usize, SceneError> {
        if let Some(&known) = self.image_of.get(&index) {
            return Ok(known);
        }
        self.out.images.push(super::images::load(self.accessors, self.files, index)?);
        let place = self.out.images.len() - 1;
        self.image_of.insert(index, place);
        Ok(place)
    }
}

const TRANSFORM: &str = "KHR_texture_transform";

/// The transform of the two kinds of texture for which the `gltf` crate has no typed one.
fn transform(what: &str, value: Option<&Value>) -> Result<Option<TextureTransform>, SceneError> {
    let parsed = value.map(|value| gltf::json::deserialize::from_value(value.clone()));
    parsed.transpose().map_err(|error| SceneError::Json(format!("{TRANSFORM} of {what}: {error}")))
}

/// Finite, and within the ranges that glTF 2.0 §5.19 and §5.22 give: what is outside is taken to the
/// nearest value, as viewers do.
fn check_factors(what: &str, material: &mut Material) -> Result<(), SceneError> {
    let cutoff = match material.alpha {
        AlphaMode::Mask(cutoff) => cutoff,
        _ => 0.0,
    };
    let finite = material.base_color.is_finite()
        && material.emissive.is_finite()
        && [
            material.metallic,
            material.roughness,
            material.normal_scale,
            material.occlusion_strength,
            cutoff,
        ]
        .iter()
        .all(|factor| factor.is_finite());
    if !finite {
        return Err(SceneError::NotFinite { what: format!("a factor of {what}") });
    }
    material.base_color = material.base_color.clamp(Vec4::ZERO, Vec4::ONE);
    material.emissive = material.emissive.max(Vec3::ZERO);
    material.metallic = material.metallic.clamp(0.0, 1.0);
    material.roughness = material.roughness.clamp(0.0, 1.0);
    material.occlusion_strength = material.occlusion_strength.clamp(0.0, 1.0);
    Ok(())
}

fn read_sampler(source: Option<&JsonSampler>) -> Sampler {
    let default = JsonSampler::default();
    let source = source.unwrap_or(&default);
    let mag_linear = source.mag_filter != Some(Checked::Valid(MagFilter::Nearest));
    let min = match source.min_filter {
        Some(Checked::Valid(filter)) => filter,
        // Left to us when the file does not say: the best.
        _ => MinFilter::LinearMipmapLinear,
    };
    let (min_linear, mipmaps) = match min {
        MinFilter::Nearest => (false, Mipmaps::None),
        MinFilter::Linear => (true, Mipmaps::None),
        MinFilter::NearestMipmapNearest => (false, Mipmaps::Nearest),
        MinFilter::LinearMipmapNearest => (true, Mipmaps::Nearest),
        MinFilter::NearestMipmapLinear => (false, Mipmaps::Linear),
        MinFilter::LinearMipmapLinear => (true, Mipmaps::Linear),
    };
    let wrap = |mode: &Checked<WrappingMode>| match mode {
        Checked::Valid(WrappingMode::ClampToEdge) => Wrap::Clamp,
        Checked::Valid(WrappingMode::MirroredRepeat) => Wrap::Mirror,
        _ => Wrap::Repeat,
    };
    Sampler {
        mag_linear,
        min_linear,
        mipmaps,
        wrap_u: wrap(&source.wrap_s),
        wrap_v: wrap(&source.wrap_t),
    }
}
