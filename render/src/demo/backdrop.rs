//! What is far away, drawn without light: the painted sky, a sea of clouds, mountains in layers of
//! haze, and small islands with falling water.

use super::bake;
use super::graph::Graph;
use super::materials::Mat;
use super::mesh::{Mesh, Vertex};
use super::noise::{Rng, billow, fbm, lerp, smoothstep};
use super::palette::{self, EVERGREEN, hex};
use super::shapes::{grid, lathe, polar};
use super::terrain::Island;
use glam::{Mat4, Vec3};
use std::f32::consts::TAU;

/// Metres to the painted sky.
const SKY: f32 = 900.0;
/// Height of the sea of clouds.
const CLOUDS: f32 = -34.0;

pub(super) fn build(graph: &mut Graph) {
    let mut far = sky();
    far.add(&cloud_sea());
    for (distance, height, wide, tint, seed) in
        [(720.0, 165.0, 3.6, 0.30, 3), (560.0, 110.0, 4.6, 0.52, 8), (430.0, 66.0, 6.0, 0.78, 13)]
    {
        far.add(&mountains(distance, height, wide, tint, seed));
    }
    far.add(&streaks());
    graph.open(Mat::Backdrop, &far);
    islets(graph);
}

/// A dome seen from inside, finer towards the horizon.
fn sky() -> Mesh {
    let dome = grid(30, 10, true, |u, v| {
        let height = -0.16 + 1.16 * v.powf(1.7);
        let height = if v >= 1.0 { 0.9999 } else { height };
        let flat = (1.0 - height * height).max(0.0).sqrt();
        // Around the other way, so that the front is inside.
        polar(flat, -u * TAU, height)
    });
    dome.painted(|p, _| palette::sky(p.normalize())).scaled(SKY, SKY, SKY)
}

/// Billows from below the island to where the haze takes them.
fn cloud_sea() -> Mesh {
    let (near, edge): (f32, f32) = (10.0, SKY * 0.97);
    let sea = grid(52, 11, true, |u, v| {
        // From the far edge inwards, so that the front is above.
        let r = edge * (near / edge).powf(v);
        let p = polar(r, u * TAU, 0.0);
        let high = 15.0 * billow(p * 0.011, 3, 44)
            + 5.0 * billow(p * 0.05, 2, 45) * smoothstep(260.0, 60.0, r);
        Vec3::new(p.x, CLOUDS + (high - 6.0) * smoothstep(edge, edge * 0.5, r), p.z)
    });
    sea.painted(|p, n| {
        let sun = smoothstep(-0.25, 0.75, n.dot(palette::sun_direction()));
        let top = smoothstep(CLOUDS - 6.0, CLOUDS + 9.0, p.y);
        let lit =
            hex(0x8f7fa6).lerp(hex(0xd8a9a4), top).lerp(hex(0xffd8ac), sun * (0.35 + 0.65 * top));
        lit.lerp(palette::haze(p), smoothstep(90.0, SKY * 0.8, p.length()))
    })
}

/// One range all around, ridges as noise, its feet in the haze.
fn mountains(distance: f32, height: f32, wide: f32, tint: f32, seed: u32) -> Mesh {
    let range = grid(88, 2, true, |u, v| {
        let angle = -u * TAU;
        let at = polar(wide, angle, seed as f32);
        let ridge = 1.0 - fbm(at, 4, seed).abs() * 2.2;
        let massif = smoothstep(-0.35, 0.5, fbm(polar(wide * 0.3, angle, 9.0), 2, seed + 1));
        let top = height * (0.18 + 0.82 * ridge.max(0.0) * massif);
        polar(distance, angle, CLOUDS - 4.0 + (top - CLOUDS * 0.6) * v)
    });
    range.painted(|p, _| {
        let haze = palette::haze(p);
        let shade = hex(0x5d5f8a)
            .lerp(hex(0x9a6a78), smoothstep(0.3, 1.0, palette::sun_direction().dot(p.normalize())));
        let veil = smoothstep(height * 0.75, -8.0, p.y);
        haze.lerp(shade, tint * lerp(1.0, 0.12, veil))
    })
}

/// Long thin clouds low in the sky, lit from below.
fn streaks() -> Mesh {
    let mut rng = Rng::new(23);
    let mut mesh = Mesh::default();
    for k in 0..14 {
        let angle = k as f32 / 14.0 * TAU + rng.range(-0.1, 0.1);
        let (long, high) = (rng.range(0.10, 0.30), rng.range(0.07, 0.34));
        let thick = rng.range(0.004, 0.011) * (0.6 + high * 2.0);
        let seed = rng.bits();
        let ribbon = grid(8, 2, false, |u, v| {
            let across = (u * 2.0 - 1.0) * long;
            let bulge = (1.0 - (u * 2.0 - 1.0).powi(2)).max(0.0).powf(0.8);
            let rough = 0.55 + 0.45 * fbm(Vec3::new(u * 5.0, k as f32, 0.0), 3, seed);
            let up = if v < 0.25 {
                -0.45
            } else if v > 0.75 {
                1.0
            } else {
                0.0
            };
            let d = polar(1.0, angle - across, high + thick * up * bulge * rough * 1.6).normalize();
            d * SKY * 0.96
        });
        mesh.add(&ribbon.painted(|p, _| {
            let d = p.normalize();
            let warm = smoothstep(0.0, 1.0, d.dot(palette::sun_direction()) * 0.5 + 0.5);
            let cloud = hex(0xc9aec6).lerp(hex(0xffd3a0), warm);
            palette::sky(d).lerp(cloud, 0.55)
        }));
    }
    mesh
}

/// Distance, angle in degrees to the right of −z, height, radius.
const ISLETS: [(f32, f32, f32, f32); 6] = [
    (74.0, -34.0, -3.0, 8.0),
    (112.0, -13.0, 9.0, 12.0),
    (150.0, 19.0, -4.0, 16.0),
    (96.0, 58.0, 5.0, 9.0),
    (120.0, 150.0, -6.0, 12.0),
    (90.0, -110.0, 2.0, 9.0),
];

fn islets(graph: &mut Graph) {
    let mut rng = Rng::new(64);
    for (k, (distance, degrees, y, radius)) in ISLETS.into_iter().enumerate() {
        let at = polar(distance, std::f32::consts::PI - degrees.to_radians(), y);
        let shape = Island {
            radius,
            depth: radius * 1.3,
            inner: 0.0,
            relief: radius * 0.14,
            segments: 15,
            rings: (4, 2),
            seed: 90 + k as u32,
        };
        let mut land = shape.mesh();
        for _ in 0..5 {
            let p = polar(rng.range(0.1, 0.75) * radius, rng.angle(), 0.0);
            let (tall, wide) = (rng.range(3.0, 5.5), rng.range(0.7, 1.3));
            let tree = lathe(&[(wide, 0.5), (wide * 0.5, tall * 0.5), (0.001, tall)], 5);
            let green = hex(EVERGREEN[(rng.bits() % 3) as usize]);
            land.add(
                &tree
                    .at(p.x, shape.height(p.x, p.z), p.z)
                    .painted(|_, n| green * (0.9 + 0.1 * n.y))
                    .faceted(),
            );
        }
        let land = bake::far_light(land.by(Mat4::from_translation(at)), 30.0, 330.0);
        graph.open(Mat::Backdrop, &land);
        let toward = (-at.x).atan2(-at.z) + rng.range(-0.4, 0.4);
        graph.open(
            Mat::Mist,
            &waterfall(at + polar(shape.rim(toward) * 0.97, toward, -0.5), toward, radius),
        );
    }
    let angle = 3.75;
    let edge = super::terrain::MAIN.rim(angle);
    graph.open(Mat::Mist, &waterfall(polar(edge * 0.985, angle, -0.55), angle, 14.0));
}

/// A veil that widens and thins out as it falls.
fn waterfall(from: Vec3, angle: f32, size: f32) -> Mesh {
    let side = polar(1.0, angle + TAU / 4.0, 0.0);
    let out = polar(1.0, angle, 0.0);
    let mut mesh = Mesh::default();
    for layer in 0..2 {
        let wide = size * 0.075 * (1.0 + 0.7 * layer as f32);
        let mut veil = grid(4, 6, false, |u, v| {
            let fall = 1.0 - v;
            let spread = wide * (0.6 + 0.9 * fall);
            from + side * (u - 0.5) * 2.0 * spread
                + out * (fall.sqrt() * size * 0.12 + 0.1 * layer as f32)
                - Vec3::Y * fall * fall * size * 1.7
        });
        for v in &mut veil.vertices {
            let Vertex { uv, .. } = *v;
            let fall = 1.0 - uv.y;
            let edge = (1.0 - (uv.x * 2.0 - 1.0).abs()).min(1.0);
            let alpha = edge.powf(0.6) * (1.0 - fall).powf(0.8) * 0.62;
            v.color = hex(0xfdeee0).lerp(palette::haze(v.position), 0.35).extend(alpha);
        }
        mesh.add(&veil);
    }
    mesh
}
