//! Images to GPU textures with mipmaps, filtered in linear light on the CPU once per scene.

use std::borrow::Cow;

use crate::draw::staging::{Staging, extent};
use crate::scene::{Image, Mipmaps, Sampler, Wrap};

/// One level of 8 bit RGBA.
struct Level<'a> {
    width: u32,
    height: u32,
    rgba: Cow<'a, [u8]>,
}

/// Decode and encode tables between 8 bit sRGB and 16 bit linear light.
struct Tables {
    to_linear: [u16; 256],
    to_srgb: Vec<u8>,
}

impl Tables {
    fn new() -> Self {
        let to_linear = std::array::from_fn(|code| {
            let c = code as f32 / 255.0;
            let linear = if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
            (linear * 65535.0 + 0.5) as u16
        });
        let to_srgb = (0..=65535_u32 >> SHIFT)
            .map(|index| {
                let c = ((index << SHIFT) + (1 << SHIFT >> 1)) as f32 / 65535.0;
                let code =
                    if c <= 0.003_130_8 { c * 12.92 } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 };
                (code * 255.0 + 0.5) as u8
            })
            .collect();
        Self { to_linear, to_srgb }
    }
}

/// Eight linear steps of 65535 share a table entry: finer than the darkest 8 bit codes, 20 apart.
const SHIFT: u32 = 3;

/// The next level: a box filter over 2x2 pixels, or fewer at odd edges.
fn halve(from: &Level<'_>, tables: Option<&Tables>) -> Level<'static> {
    let (width, height) = ((from.width / 2).max(1), (from.height / 2).max(1));
    let mut rgba = Vec::with_capacity((width * height * 4) as usize);
    let texel = |x: u32, y: u32| {
        let at = (y.min(from.height - 1) * from.width + x.min(from.width - 1)) as usize * 4;
        &from.rgba[at..at + 4]
    };
    for y in 0..height {
        for x in 0..width {
            let quad = [
                texel(2 * x, 2 * y),
                texel(2 * x + 1, 2 * y),
                texel(2 * x, 2 * y + 1),
                texel(2 * x + 1, 2 * y + 1),
            ];
            for channel in 0..4 {
                let codes = quad.map(|texel| texel[channel]);
                rgba.push(match tables {
                    Some(tables) if channel < 3 => {
                        let sum: u32 = codes
                            .iter()
                            .map(|c| u32::from(tables.to_linear[usize::from(*c)]))
                            .sum();
                        tables.to_srgb[((sum / 4) >> SHIFT) as usize]
                    }
                    _ => ((codes.iter().map(|c| u32::from(*c)).sum::<u32>() + 2) / 4) as u8,
                });
            }
        }
    }
    Level { width, height, rgba: rgba.into() }
}

/// Uploads an image with mipmaps; `srgb` says that its colours are encoded.
pub(crate) fn upload(staging: &mut Staging<'_>, image: &Image, srgb: bool) -> wgpu::TextureView {
    let levels = image.width.max(image.height).ilog2() + 1;
    let format =
        if srgb { wgpu::TextureFormat::Rgba8UnormSrgb } else { wgpu::TextureFormat::Rgba8Unorm };
    let texture = staging.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("scene image"),
        size: extent(image.width, image.height),
        mip_level_count: levels,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let tables = srgb.then(Tables::new);
    let Image { width, height, ref rgba } = *image;
    let mut level = Level { width, height, rgba: Cow::Borrowed(rgba) };
    staging.level(&texture, 0, width, 4, rgba);
    for index in 1..levels {
        level = halve(&level, tables.as_ref());
        staging.level(&texture, index, level.width, 4, &level.rgba);
    }
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

/// The sampler of a texture.
pub(crate) fn sampler(device: &wgpu::Device, sampler: Sampler) -> wgpu::Sampler {
    let filter = |linear| if linear { wgpu::FilterMode::Linear } else { wgpu::FilterMode::Nearest };
    let wrap = |wrap| match wrap {
        Wrap::Repeat => wgpu::AddressMode::Repeat,
        Wrap::Mirror => wgpu::AddressMode::MirrorRepeat,
        Wrap::Clamp => wgpu::AddressMode::ClampToEdge,
    };
    device.create_sampler(&wgpu::SamplerDescriptor {
        label: Some("scene sampler"),
        address_mode_u: wrap(sampler.wrap_u),
        address_mode_v: wrap(sampler.wrap_v),
        mag_filter: filter(sampler.mag_linear),
        min_filter: filter(sampler.min_linear),
        mipmap_filter: match sampler.mipmaps {
            Mipmaps::Linear => wgpu::MipmapFilterMode::Linear,
            Mipmaps::Nearest | Mipmaps::None => wgpu::MipmapFilterMode::Nearest,
        },
        lod_max_clamp: if sampler.mipmaps == Mipmaps::None { 0.0 } else { 32.0 },
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker(size: u32, a: u8, b: u8) -> Level<'static> {
        let rgba = (0..size * size)
            .flat_map(|at| {
                let c = if (at % size + at / size).is_multiple_of(2) { a } else { b };
                [c, c, c, 255]
            })
            .collect();
        Level { width: size, height: size, rgba: Cow::Owned(rgba) }
    }

    #[test]
    fn colours_are_averaged_in_linear_light() {
        let tables = Tables::new();
        // Half of white light is code 188 in sRGB (IEC 61966-2-1).
        assert_eq!(halve(&checker(4, 0, 255), Some(&tables)).rgba[..4], [188, 188, 188, 255]);
        assert_eq!(halve(&checker(4, 0, 254), None).rgba[..4], [127, 127, 127, 255]);
    }

    #[test]
    fn a_flat_colour_survives_every_level() {
        let tables = Tables::new();
        for code in 0..=255 {
            assert_eq!(halve(&checker(2, code, code), Some(&tables)).rgba[..3], [code; 3]);
        }
    }

    #[test]
    fn odd_sizes_halve_down_to_one() {
        let mut level = Level { width: 5, height: 3, rgba: Cow::Owned(vec![9; 60]) };
        for expected in [(2, 1), (1, 1)] {
            level = halve(&level, None);
            assert_eq!((level.width, level.height), expected);
            assert_eq!(level.rgba.len() as u32, 4 * level.width * level.height);
        }
    }
}
