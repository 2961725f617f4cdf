//! Light from all around, prepared once per scene on the CPU: spherical harmonics for diffuse surfaces, an
//! octahedral map of five roughness levels for reflections, and the background picture.
//!
//! The split sum of B. Karis, "Real Shading in Unreal Engine 4" (2013), with lobes prefiltered for a view
//! along the normal; harmonics after Ramamoorthi and Hanrahan (2001).

use glam::{Vec2, Vec3, Vec4};
use half::f16;

use crate::scene::Environment;

/// Edge of the sharpest level. 256 across the sphere's two sides is a reflection of about half a degree.
const SHARPEST: u32 = 256;
/// Levels from roughness 0 to 1 in equal steps; the last is 16 texels wide. As in `mesh.wgsl`.
const LEVELS: u32 = 5;
/// The share of a map inside its border, which repeats what lies across the edge; one texel of the
/// smallest level each side. As in `mesh.wgsl` and `sky.wgsl`.
const INNER: f32 = 0.875;
/// Samples per texel; with levels of detail picked by their density, more make no visible difference.
const SAMPLES: u32 = 64;
/// Reflections of anything brighter would sparkle.
const BRIGHTEST: f32 = 500.0;

/// A square octahedral map of linear radiance.
pub(crate) struct OctahedralMap {
    pub(crate) size: u32,
    pub(crate) texels: Vec<[f16; 4]>,
}

/// Everything that drawing needs of an [`Environment`].
pub(crate) struct Prefiltered {
    /// Irradiance over π as harmonics with all constants folded in, in the order of `mesh.wgsl`.
    pub(crate) irradiance: [Vec4; 9],
    /// From sharp to rough, each half as wide as the one before.
    pub(crate) levels: Vec<OctahedralMap>,
    /// The picture behind everything; none for a gradient.
    pub(crate) background: Option<OctahedralMap>,
}

impl Prefiltered {
    pub(crate) fn new(environment: &Environment) -> Self {
        let source = Source::new(environment);
        let background = match environment {
            Environment::Sky { .. } => None,
            Environment::Picture { width, .. } => {
                let size = (width / 2).next_power_of_two().clamp(256, 1024);
                Some(map(size, |direction| source.radiance(direction, 0.0)))
            }
        };
        let levels = (0..LEVELS)
            .map(|level| {
                let roughness = level as f32 / (LEVELS - 1) as f32;
                map(SHARPEST >> level, |direction| source.lobe(direction, roughness))
            })
            .collect();
        Self { irradiance: source.irradiance(), levels, background }
    }
}

/// Direction of octahedral coordinates; beyond ±1 the map goes on across the edge.
fn direction(mut p: Vec2) -> Vec3 {
    // Across the left or right edge y is mirrored, across the upper or lower one x.
    if p.x.abs() > 1.0 {
        p = Vec2::new(p.x.signum() * 2.0 - p.x, -p.y);
    }
    if p.y.abs() > 1.0 {
        p = Vec2::new(-p.x, p.y.signum() * 2.0 - p.y);
    }
    let y = 1.0 - p.x.abs() - p.y.abs();
    let fold = (-y).max(0.0);
    Vec3::new(p.x - fold * p.x.signum(), y, p.y - fold * p.y.signum()).normalize()
}

fn map(size: u32, radiance: impl Fn(Vec3) -> Vec3) -> OctahedralMap {
    let texel = |at: u32| ((at as f32 + 0.5) / size as f32 * 2.0 - 1.0) / INNER;
    let mut texels = Vec::with_capacity((size * size) as usize);
    for y in 0..size {
        for x in 0..size {
            let color = radiance(direction(Vec2::new(texel(x), texel(y))));
            let color = color.clamp(Vec3::ZERO, Vec3::splat(BRIGHTEST));
            texels.push([color.x, color.y, color.z, 1.0].map(f16::from_f32));
        }
    }
    OctahedralMap { size, texels }
}

/// Radiance of the gradient; `y` is the height of the direction. As in `sky.wgsl`.
fn gradient(y: f32, zenith: Vec3, horizon: Vec3, ground: Vec3) -> Vec3 {
    let k4 = (1.0 - y.abs()).powi(4);
    if y >= 0.0 { zenith.lerp(horizon, k4) } else { ground.lerp(horizon, k4.powi(3)) }
}

/// Where radiance comes from.
enum Source {
    Gradient {
        zenith: Vec3,
        horizon: Vec3,
        ground: Vec3,
    },
    /// Equirectangular levels, each half the size of the one before.
    Pyramid(Vec<Panorama>),
}

struct Panorama {
    width: usize,
    height: usize,
    texels: Vec<Vec3>,
}

impl Panorama {
    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let texels = (0..width * height)
            .map(|at| {
                let (x, y) = (at % width * 2, at / width * 2);
                let row = |y: usize| {
                    self.texels[y * self.width + x] + self.texels[y * self.width + x + 1]
                };
                (row(y) + row(y + 1)) * 0.25
            })
            .collect();
        Self { width, height, texels }
    }

    fn bilinear(&self, direction: Vec3) -> Vec3 {
        let u = 0.5 + direction.x.atan2(-direction.z) / std::f32::consts::TAU;
        let v = direction.y.clamp(-1.0, 1.0).acos() / std::f32::consts::PI;
        let (x, y) = (u * self.width as f32 - 0.5, v * self.height as f32 - 0.5);
        let (fx, fy) = (x - x.floor(), y - y.floor());
        let texel = |dx: i64, dy: i64| {
            let x = (x.floor() as i64 + dx).rem_euclid(self.width as i64) as usize;
            let y = (y.floor() as i64 + dy).clamp(0, self.height as i64 - 1) as usize;
            self.texels[y * self.width + x]
        };
        texel(0, 0).lerp(texel(1, 0), fx).lerp(texel(0, 1).lerp(texel(1, 1), fx), fy)
    }
}

impl Source {
    fn new(environment: &Environment) -> Self {
        match environment {
            Environment::Sky { zenith, horizon, ground } => {
                Self::Gradient { zenith: *zenith, horizon: *horizon, ground: *ground }
            }
            Environment::Picture { width, height, radiance } => {
                let texels = radiance
                    .iter()
                    .map(|texel| Vec3::from(*texel))
                    .map(|c| if c.is_finite() { c.max(Vec3::ZERO) } else { Vec3::ZERO })
                    .collect();
                let full = Panorama { width: *width as usize, height: *height as usize, texels };
                let mut levels = vec![full];
                while let Some(last) = levels.last().filter(|l| l.width >= 16 && l.height >= 8) {
                    let next = last.halved();
                    levels.push(next);
                }
                Self::Pyramid(levels)
            }
        }
    }

    /// Radiance from a direction, averaged over about `2^level` texels across.
    fn radiance(&self, direction: Vec3, level: f32) -> Vec3 {
        match self {
            Self::Gradient { zenith, horizon, ground } => {
                gradient(direction.y, *zenith, *horizon, *ground)
            }
            Self::Pyramid(levels) => {
                let at = level.clamp(0.0, (levels.len() - 1) as f32);
                let sharp = levels[at as usize].bilinear(direction);
                match levels.get(at as usize + 1) {
                    Some(next) if at.fract() > 0.0 => {
                        sharp.lerp(next.bilinear(direction), at.fract())
                    }
                    _ => sharp,
                }
            }
        }
    }

    /// Level at which a texel of the full picture covers `solid_angle` at the horizon.
    fn level_of(&self, solid_angle: f32) -> f32 {
        let Self::Pyramid(levels) = self else { return 0.0 };
        let Some(full) = levels.first() else { return 0.0 };
        let texel = 2.0 * std::f32::consts::PI.powi(2) / (full.width * full.height) as f32;
        (0.5 * (solid_angle / texel).log2()).max(0.0)
    }

    /// Radiance as a GGX lobe about `normal` sees it.
    fn lobe(&self, normal: Vec3, roughness: f32) -> Vec3 {
        if roughness == 0.0 {
            let texel = 4.0 * std::f32::consts::PI / (SHARPEST * SHARPEST) as f32;
            return self.radiance(normal, self.level_of(texel));
        }
        let (tangent, bitangent) = normal.any_orthonormal_pair();
        let alpha_2 = roughness.powi(4);
        let (mut sum, mut weight) = (Vec3::ZERO, 0.0);
        for index in 0..SAMPLES {
            let u = (index as f32 + 0.5) / SAMPLES as f32;
            // Van der Corput's sequence: with `u` it makes Hammersley's points.
            let phi = index.reverse_bits() as f32 * (std::f32::consts::TAU / 4_294_967_296.0);
            let cos_2 = (1.0 - u) / (1.0 + (alpha_2 - 1.0) * u);
            let (cos, sin) = (cos_2.sqrt(), (1.0 - cos_2).max(0.0).sqrt());
            let half = tangent * (phi.cos() * sin) + bitangent * (phi.sin() * sin) + normal * cos;
            let n_dot_l = 2.0 * cos_2 - 1.0;
            if n_dot_l <= 0.0 {
                continue;
            }
            let light = half * (2.0 * cos) - normal;
            let d = (cos_2 * (alpha_2 - 1.0) + 1.0).powi(2);
            let density = alpha_2 / (std::f32::consts::PI * d) / 4.0;
            // One level blurrier than the samples' spacing hides their pattern.
            let level = self.level_of(1.0 / (SAMPLES as f32 * density)) + 1.0;
            sum += self.radiance(light, level) * n_dot_l;
            weight += n_dot_l;
        }
        sum / weight
    }

    fn irradiance(&self) -> [Vec4; 9] {
        const ROWS: u32 = 64;
        let mut sums = [Vec3::ZERO; 9];
        // Texels of the quadrature are blended from finer ones so that none is missed.
        let level = self.level_of(2.0 * (std::f32::consts::PI / ROWS as f32).powi(2));
        for row in 0..ROWS {
            let edge = |row: u32| (row as f32 * std::f32::consts::PI / ROWS as f32).cos();
            let y = (edge(row) + edge(row + 1)) * 0.5;
            let solid_angle = (edge(row) - edge(row + 1)) * std::f32::consts::PI / ROWS as f32;
            for column in 0..2 * ROWS {
                let phi = (column as f32 + 0.5) * std::f32::consts::PI / ROWS as f32;
                let side = (1.0 - y * y).sqrt();
                let d = Vec3::new(side * phi.cos(), y, side * phi.sin());
                let radiance = self.radiance(d, level) * solid_angle;
                for (sum, value) in sums.iter_mut().zip(basis(d)) {
                    *sum += radiance * value;
                }
            }
        }
        // Square of the basis function's constant, times the cosine lobe's factor over π.
        const Y: [f32; 9] = [
            0.282_095, 0.488_603, 0.488_603, 0.488_603, 1.092_548, 1.092_548, 0.315_392, 1.092_548,
            0.546_274,
        ];
        const COSINE: [f32; 9] =
            [1.0, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.25, 0.25, 0.25, 0.25, 0.25];
        std::array::from_fn(|i| (sums[i] * (Y[i] * Y[i] * COSINE[i])).extend(0.0))
    }
}

/// Real harmonics up to the second band without their constants.
fn basis(d: Vec3) -> [f32; 9] {
    [
        1.0,
        d.y,
        d.z,
        d.x,
        d.x * d.y,
        d.y * d.z,
        3.0 * d.z * d.z - 1.0,
        d.x * d.z,
        d.x * d.x - d.y * d.y,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(irradiance: &[Vec4; 9], n: Vec3) -> Vec3 {
        irradiance.iter().zip(basis(n)).map(|(c, value)| c.truncate() * value).sum()
    }

    #[test]
    fn uniform_light_stays_uniform() {
        let color = Vec3::new(0.5, 1.0, 2.0);
        let sky = Environment::Sky { zenith: color, horizon: color, ground: color };
        let picture = Environment::Picture {
            width: 64,
            height: 32,
            radiance: vec![color.to_array(); 64 * 32],
        };
        for environment in [sky, picture] {
            let prefiltered = Prefiltered::new(&environment);
            for n in [Vec3::X, Vec3::NEG_Y, Vec3::ONE.normalize()] {
                assert!((evaluate(&prefiltered.irradiance, n) - color).length() < 0.01);
            }
            for level in &prefiltered.levels {
                for texel in &level.texels {
                    assert!((texel[2].to_f32() - 2.0).abs() < 0.01);
                }
            }
        }
    }

    #[test]
    fn irradiance_of_a_bright_upper_half_matches_the_closed_form() {
        // Irradiance / π under a half-white sky is (1 + cos θ) / 2.
        let width = 128;
        let radiance = (0..width * width / 2)
            .map(|at| if at / width < width / 4 { [1.0; 3] } else { [0.0; 3] })
            .collect();
        let environment =
            Environment::Picture { width: width as u32, height: width as u32 / 2, radiance };
        let irradiance = Source::new(&environment).irradiance();
        for n in [Vec3::Y, Vec3::X, Vec3::NEG_Y, Vec3::new(0.6, 0.8, 0.0)] {
            let expected = (1.0 + n.y) / 2.0;
            assert!((evaluate(&irradiance, n).x - expected).abs() < 0.02, "{n}");
        }
    }

    #[test]
    fn the_picture_keeps_its_orientation() {
        // Middle column −z, upper rows +y, a quarter to the right +x.
        let (width, height) = (64_usize, 32_usize);
        let spot = |x: usize, y: usize| {
            let radiance = (0..width * height)
                .map(|at| {
                    let near = (at % width).abs_diff(x) < 4 && (at / width).abs_diff(y) < 4;
                    if near { [1.0; 3] } else { [0.0; 3] }
                })
                .collect();
            Source::new(&Environment::Picture {
                width: width as u32,
                height: height as u32,
                radiance,
            })
        };
        assert!(spot(32, 16).radiance(Vec3::NEG_Z, 0.0).x > 0.9);
        assert!(spot(48, 16).radiance(Vec3::X, 0.0).x > 0.9);
        assert!(spot(0, 0).radiance(Vec3::NEG_X, 0.0).x < 0.1);
    }

    #[test]
    fn octahedral_directions_continue_across_the_edges() {
        for t in [-0.9_f32, -0.3, 0.2, 0.7] {
            for e in [1e-4_f32, 0.1] {
                for (inside, outside) in [
                    (Vec2::new(1.0 - e, t), Vec2::new(1.0 + e, -t)),
                    (Vec2::new(t, -1.0 + e), Vec2::new(-t, -1.0 - e)),
                ] {
                    assert!((direction(inside) - direction(outside)).length() < 1e-3);
                }
            }
        }
        assert!((direction(Vec2::ZERO) - Vec3::Y).length() < 1e-6);
        assert!((direction(Vec2::ONE) - Vec3::NEG_Y).length() < 1e-6);
    }

    #[test]
    fn a_rough_lobe_is_wider() {
        let radiance = (0..128 * 64)
            .map(|at: usize| {
                if (at % 128).abs_diff(64) < 4 && (at / 128).abs_diff(32) < 4 {
                    [10.0; 3]
                } else {
                    [0.0; 3]
                }
            })
            .collect();
        let source = Source::new(&Environment::Picture { width: 128, height: 64, radiance });
        let away = Vec3::new(0.5, 0.0, -1.0).normalize();
        assert!(source.lobe(Vec3::NEG_Z, 0.25).x > source.lobe(Vec3::NEG_Z, 0.75).x);
        assert!(source.lobe(away, 0.25).x < source.lobe(away, 0.75).x);
    }
}
