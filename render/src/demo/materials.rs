//! The materials of the scene, one table.

use super::textures::Tex;
use glam::Vec3;

/// A material; its place in the list is its index in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mat {
    /// Anything dull, coloured by vertex: earth, leaves, wood.
    Matte,
    /// Dressed stone.
    Stone,
    /// Brass and bronze.
    Metal,
    /// Glazed tiles, painted planets.
    Glaze,
    /// The heart of the orrery.
    Core,
    /// Lantern heads and windows: a texture says which part glows.
    Lamp,
    /// The pool.
    Water,
    /// Crystals under the islands.
    Crystal,
    /// Banners.
    Cloth,
    /// Birds.
    Paper,
    /// Sky, clouds and mountains.
    Backdrop,
    /// Waterfalls and mist.
    Mist,
}

/// All, in order.
pub(super) const ALL: [Mat; 12] = [
    Mat::Matte,
    Mat::Stone,
    Mat::Metal,
    Mat::Glaze,
    Mat::Core,
    Mat::Lamp,
    Mat::Water,
    Mat::Crystal,
    Mat::Cloth,
    Mat::Paper,
    Mat::Backdrop,
    Mat::Mist,
];

/// How a material looks.
pub(super) struct Look {
    pub name: &'static str,
    pub base: Vec3,
    pub metallic: f32,
    pub roughness: f32,
    pub emissive: Vec3,
    /// `KHR_materials_emissive_strength`.
    pub strength: f32,
    pub unlit: bool,
    pub blend: bool,
    pub double_sided: bool,
    pub base_texture: Option<Tex>,
    pub emissive_texture: Option<Tex>,
    pub normal_texture: Option<(Tex, f32)>,
}

const DULL: Look = Look {
    name: "matte",
    base: Vec3::ONE,
    metallic: 0.0,
    roughness: 0.92,
    emissive: Vec3::ZERO,
    strength: 1.0,
    unlit: false,
    blend: false,
    double_sided: false,
    base_texture: None,
    emissive_texture: None,
    normal_texture: None,
};

impl Mat {
    /// How it looks.
    pub(super) fn look(self) -> Look {
        match self {
            Mat::Matte => DULL,
            Mat::Stone => Look {
                name: "stone",
                base: Vec3::new(0.88, 0.87, 0.86),
                roughness: 0.72,
                base_texture: Some(Tex::Stone),
                ..DULL
            },
            Mat::Metal => Look { name: "metal", metallic: 1.0, roughness: 0.24, ..DULL },
            Mat::Glaze => Look { name: "glaze", roughness: 0.32, ..DULL },
            Mat::Core => {
                let emissive = Vec3::new(1.0, 0.44, 0.11);
                Look {
                    name: "core",
                    base: Vec3::splat(0.3),
                    emissive,
                    strength: 2.2,
                    roughness: 0.6,
                    ..DULL
                }
            }
            Mat::Lamp => Look {
                name: "lamp",
                roughness: 0.4,
                emissive: Vec3::ONE,
                strength: 3.2,
                base_texture: Some(Tex::Lamp),
                emissive_texture: Some(Tex::LampGlow),
                ..DULL
            },
            Mat::Water => Look {
                name: "water",
                base: Vec3::new(0.012, 0.035, 0.045),
                roughness: 0.08,
                normal_texture: Some((Tex::Ripples, 0.35)),
                ..DULL
            },
            Mat::Crystal => Look {
                name: "crystal",
                roughness: 0.15,
                emissive: Vec3::new(0.10, 0.72, 0.78),
                strength: 1.3,
                ..DULL
            },
            Mat::Cloth => Look {
                name: "cloth",
                roughness: 0.85,
                double_sided: true,
                base_texture: Some(Tex::Banner),
                ..DULL
            },
            Mat::Paper => Look { name: "paper", roughness: 0.8, double_sided: true, ..DULL },
            Mat::Backdrop => Look { name: "backdrop", unlit: true, roughness: 1.0, ..DULL },
            Mat::Mist => Look {
                name: "mist",
                unlit: true,
                blend: true,
                double_sided: true,
                roughness: 1.0,
                ..DULL
            },
        }
    }

    /// Whether its meshes need texture coordinates.
    pub(super) fn textured(self) -> bool {
        let look = self.look();
        look.base_texture.is_some()
            || look.emissive_texture.is_some()
            || look.normal_texture.is_some()
    }
}
