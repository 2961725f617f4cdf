//! Which punctual lights a frame shades with, and which of those reach an object. Pure.

use glam::{Mat4, Vec3};

use crate::draw::uniforms::{LightUniform, MAX_LIGHTS};
use crate::scene::{Aabb, Light, LightKind};

/// Lights that cannot give more than this anywhere on an object are left out of it: on white it makes a
/// radiance of 0.0003, the first 8 bit sRGB code above black at exposure 1.
const LEAST_LUX: f32 = 0.001;

/// The lights of a frame.
#[derive(Debug, Default)]
pub(crate) struct FrameLights {
    pub(crate) uniforms: [LightUniform; MAX_LIGHTS + 1],
    /// Index of each among the scene's lights.
    sources: [usize; MAX_LIGHTS],
    count: usize,
    candidates: Vec<(f32, usize, LightUniform)>,
}

/// Direction that a node shines to.
pub(crate) fn forward(world: &Mat4) -> Vec3 {
    (-world.z_axis.truncate()).normalize_or(Vec3::NEG_Y)
}

impl FrameLights {
    /// Picks the most relevant of `lights` for an eye.
    pub(crate) fn choose<'a>(
        &mut self,
        eye: Vec3,
        lights: impl Iterator<Item = (usize, &'a Light, &'a Mat4)>,
    ) {
        self.candidates.clear();
        for (source, light, world) in lights {
            let uniform = uniform(light, world);
            let lux = uniform.color.max_element();
            let distance_2 = (uniform.position - eye).length_squared();
            // What is near the eye fills the picture; a metre more makes no light infinitely relevant.
            let relevance = if light.kind == LightKind::Directional {
                light.intensity * light.color.max_element()
            } else {
                lux / (distance_2 + 1.0)
            };
            if lux > 0.0 && relevance.is_finite() {
                self.candidates.push((relevance, source, uniform));
            }
        }
        // Stable, so that equal lights do not swap from frame to frame.
        self.candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.count = self.candidates.len().min(MAX_LIGHTS);
        for (slot, (_, source, uniform)) in self.candidates.iter().take(MAX_LIGHTS).enumerate() {
            self.uniforms[slot] = *uniform;
            self.sources[slot] = *source;
        }
    }

    /// How many lights reach a box, and their indices in 4 bits each; where none does, one that is black. Of the
    /// scene's lights only those in `mask` are asked, see [`crate::draw::split`].
    pub(crate) fn reaching(&self, bounds: &Aabb, mask: u64) -> (u32, u32) {
        let (mut count, mut packed) = (0, 0);
        for (index, light) in self.uniforms[..self.count].iter().enumerate() {
            // Lights beyond the mask's bits are always asked.
            let masked = self.sources[index] < 64 && mask >> self.sources[index] & 1 == 0;
            if !masked && reaches(light, bounds) {
                packed |= (index as u32) << (4 * count);
                count += 1;
            }
        }
        if count == 0 { NO_LIGHTS } else { (count, packed) }
    }
}

/// The black light alone.
pub(crate) const NO_LIGHTS: (u32, u32) = (1, MAX_LIGHTS as u32);

fn reaches(light: &LightUniform, bounds: &Aabb) -> bool {
    let nearest = light.position.clamp(bounds.min, bounds.max.max(bounds.min));
    let distance_2 = (nearest - light.position).length_squared();
    if distance_2 * light.inverse_range_2 >= 1.0
        || light.color.max_element() < LEAST_LUX * distance_2
    {
        return false;
    }
    // A cone misses a sphere that lies all behind its apex plane; enough to halve what a lamp costs.
    let center = (bounds.min + bounds.max) * 0.5;
    let radius = (bounds.max - bounds.min).length() * 0.5;
    light.spot == Vec3::ZERO || (center - light.position).dot(light.spot.normalize()) > -radius
}

fn uniform(light: &Light, world: &Mat4) -> LightUniform {
    let direction = forward(world);
    let base = LightUniform {
        position: world.w_axis.truncate(),
        inverse_range_2: if light.range.is_finite() && light.range > 0.0 {
            1.0 / (light.range * light.range)
        } else {
            0.0
        },
        color: light.color * light.intensity,
        spot_offset: 1.0,
        spot: Vec3::ZERO,
        padding: 0.0,
    };
    match light.kind {
        LightKind::Point => base,
        // So far away that its rays are parallel, and as much brighter.
        LightKind::Directional => LightUniform {
            position: direction * -FAR,
            color: base.color * (FAR * FAR),
            inverse_range_2: 0.0,
            ..base
        },
        LightKind::Spot { inner, outer } => {
            // KHR_lights_punctual, "Inner and Outer Cone Angles".
            let scale = 1.0 / (inner.cos() - outer.cos()).max(0.001);
            LightUniform { spot: direction * scale, spot_offset: -outer.cos() * scale, ..base }
        }
    }
}

/// Metres to directional lights that are not the sun.
const FAR: f32 = 1e5;

#[cfg(test)]
mod tests {
    use super::*;

    fn point(intensity: f32, range: f32) -> Light {
        Light { kind: LightKind::Point, color: Vec3::ONE, intensity, range }
    }

    fn cube(center: Vec3) -> Aabb {
        Aabb { min: center - 0.5, max: center + 0.5 }
    }

    #[test]
    fn the_nearest_of_many_equal_lights_are_chosen() {
        let lights: Vec<(Light, Mat4)> = (0..20)
            .map(|x| (point(10.0, f32::INFINITY), Mat4::from_translation(Vec3::X * x as f32)))
            .collect();
        let mut frame = FrameLights::default();
        frame.choose(
            Vec3::X * 19.0,
            lights.iter().enumerate().map(|(i, (light, world))| (i, light, world)),
        );
        let xs: Vec<f32> =
            frame.uniforms[..MAX_LIGHTS].iter().map(|light| light.position.x).collect();
        assert_eq!(xs, [19.0, 18.0, 17.0, 16.0, 15.0, 14.0, 13.0, 12.0]);
    }

    #[test]
    fn objects_take_only_what_reaches_them() {
        let directional = Light { kind: LightKind::Directional, ..point(1.0, f32::INFINITY) };
        let spot = Light { kind: LightKind::Spot { inner: 0.1, outer: 0.5 }, ..point(9.0, 50.0) };
        let at = |x: f32| Mat4::from_translation(Vec3::X * x);
        let lights = [(point(9.0, 2.0), at(0.0)), (directional, at(0.0)), (spot, at(0.0))];
        let mut frame = FrameLights::default();
        frame.choose(
            Vec3::ZERO,
            lights.iter().enumerate().map(|(i, (light, world))| (i, light, world)),
        );
        // Sorted by relevance: point and spot 9, then the directional one.
        assert_eq!(frame.reaching(&cube(Vec3::X), u64::MAX), (3, 0x210));
        // Two of them are masked; the third is left.
        assert_eq!(frame.reaching(&cube(Vec3::X), 0b010), (1, 0x2));
        assert_eq!(frame.reaching(&cube(Vec3::NEG_Z * 10.0), u64::MAX), (2, 0x21));
        assert_eq!(frame.reaching(&cube(Vec3::Z * 10.0), u64::MAX), (1, 0x2));
        // Too faint to be seen from 100 m.
        frame.choose(Vec3::ZERO, [(0, &point(9.0, f32::INFINITY), &at(0.0))].into_iter());
        assert_eq!(frame.reaching(&cube(Vec3::X * 100.0), u64::MAX), NO_LIGHTS);
    }
}
