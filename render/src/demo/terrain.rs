//! Floating ground: grass above, faceted rock below; with tufts, flowers and stepping stones.

use super::graph::Graph;
use super::materials::Mat;
use super::mesh::{Mesh, Vertex};
use super::noise::{Rng, fbm, lerp, noise, smoothstep};
use super::palette::{GRASS, ROCK, STONE, hex};
use super::shapes::{grid, lathe, polar};
use glam::{Mat4, Vec2, Vec3};
use std::f32::consts::TAU;

/// Radius of the paved plaza.
pub(super) const PLAZA: f32 = 16.0;

/// The shape of an island around the origin.
#[derive(Clone, Copy)]
pub(super) struct Island {
    pub radius: f32,
    pub depth: f32,
    /// Where the grass begins; a plaza covers the rest.
    pub inner: f32,
    /// How much the grass rolls, in metres.
    pub relief: f32,
    pub segments: u32,
    pub rings: (u32, u32),
    pub seed: u32,
}

impl Island {
    /// The outline's radius in a direction.
    pub(super) fn rim(&self, angle: f32) -> f32 {
        let at = polar(1.4, angle, self.seed as f32 * 3.1);
        self.radius * (1.0 + 0.13 * noise(at, self.seed) + 0.05 * noise(at * 3.1, self.seed + 5))
    }

    /// Height of the grass at a place.
    pub(super) fn height(&self, x: f32, z: f32) -> f32 {
        let (r, rim) = (x.hypot(z), self.rim(x.atan2(z)));
        let hills = fbm(Vec3::new(x, 0.0, z) * 0.16, 3, self.seed) + 0.25;
        let fade = smoothstep(self.inner, self.inner + 6.0, r) * smoothstep(rim, rim - 3.0, r);
        let lip = smoothstep(rim - 1.6, rim, r);
        hills * self.relief * fade - 0.05 - 0.5 * lip * lip
    }

    /// The body.
    pub(super) fn mesh(&self) -> Mesh {
        let (below, above) = self.rings;
        let rows = below + above;
        let body = grid(self.segments, rows, true, |u, v| {
            let (angle, row) = (u * TAU, (v * rows as f32).round() as u32);
            if row < below {
                self.underside(angle, row as f32 / below as f32)
            } else {
                let t = (row - below) as f32 / above as f32;
                let r = lerp(self.rim(angle), self.inner, t);
                let p = polar(r, angle, 0.0);
                let drop = if self.inner > 0.0 && row == rows { -0.35 } else { 0.0 };
                Vec3::new(p.x, self.height(p.x, p.z) + drop, p.z)
            }
        });
        body.painted(|p, n| self.color(p, n)).faceted()
    }

    fn underside(&self, angle: f32, t: f32) -> Vec3 {
        let y = -0.9 - self.depth * (1.0 - t).powf(1.35);
        let crag = 1.0
            + 0.26 * noise(polar(2.2, angle, y * 0.16 + 30.0), self.seed + 9)
            + 0.16 * noise(polar(5.0, angle, y * 0.45), self.seed + 10);
        let r = self.rim(angle) * lerp(0.02, 1.0, t.powf(0.72)) * lerp(crag, 0.97, t.powi(4));
        let ledge =
            0.08 * self.depth * noise(polar(3.0, angle, t * 4.0), self.seed + 11) * (1.0 - t);
        polar(r, angle, y + ledge)
    }

    fn color(&self, p: Vec3, n: Vec3) -> Vec3 {
        let rock = {
            let strata =
                noise(Vec3::new(p.x * 0.05, p.y * 0.55, p.z * 0.05), self.seed + 2) * 0.5 + 0.5;
            let deep = smoothstep(0.0, -self.depth, p.y);
            hex(ROCK[0]).lerp(hex(ROCK[1]), strata).lerp(hex(ROCK[2]), deep)
        };
        let grass = grass(p);
        let top = smoothstep(-1.2, -0.45, p.y) * smoothstep(0.25, 0.6, n.y);
        rock.lerp(grass, top)
    }
}

/// Grass at a place: broad patches of shade and dry gold.
pub(super) fn grass(p: Vec3) -> Vec3 {
    let broad = fbm(Vec3::new(p.x, 0.0, p.z) * 0.11, 2, 71) * 0.5 + 0.5;
    let fine = noise(Vec3::new(p.x, 0.0, p.z) * 0.7, 72) * 0.5 + 0.5;
    let t = (broad * 0.8 + fine * 0.25).clamp(0.0, 1.0) * 3.0;
    let k = (t as usize).min(2);
    hex(GRASS[k]).lerp(hex(GRASS[k + 1]), t - k as f32)
}

/// The island that carries the plaza.
pub(super) const MAIN: Island = Island {
    radius: 28.5,
    depth: 24.0,
    inner: PLAZA - 0.6,
    relief: 0.75,
    segments: 52,
    rings: (7, 8),
    seed: 4,
};

pub(super) fn build(graph: &mut Graph) {
    graph.still(Mat::Matte, &MAIN.mesh());
    let mut rng = Rng::new(31);
    let mut tufts = Mesh::default();
    for _ in 0..330 {
        let (angle, near) = (rng.angle(), rng.unit());
        let r = lerp(PLAZA + 0.25, MAIN.rim(angle) - 0.6, near * near);
        let p = polar(r, angle, 0.0);
        if path_distance(Vec2::new(p.x, p.z)) < 1.1 {
            continue;
        }
        let ground = Vec3::new(p.x, MAIN.height(p.x, p.z) - 0.02, p.z);
        if rng.unit() < 0.15 {
            tufts.add(&flower(&mut rng, ground));
        } else {
            tufts.add(&tuft(&mut rng, ground));
        }
    }
    // Outside of the bake: blades are thinner than its rays are apart.
    graph.open(Mat::Matte, &tufts);
    graph.still(Mat::Stone, &stepping_stones(&mut rng).box_mapped(2.0));
}

fn tuft(rng: &mut Rng, at: Vec3) -> Mesh {
    let mut mesh = Mesh::default();
    let base = grass(at) * 0.62;
    let tip = grass(at) * 1.15;
    let (turn, size) = (rng.angle(), rng.range(0.7, 1.5));
    for k in 0..3 {
        let angle = turn + k as f32 * TAU / 3.0 + rng.range(-0.4, 0.4);
        let (out, side) = (polar(1.0, angle, 0.0), polar(1.0, angle + TAU / 4.0, 0.0));
        let high = rng.range(0.16, 0.34) * size;
        let foot = at + out * 0.05;
        let corners = [
            foot - side * 0.045 * size,
            foot + side * 0.045 * size,
            at + out * high * 0.5 + Vec3::Y * high,
        ];
        let first = mesh.vertices.len() as u32;
        for (k, position) in corners.into_iter().enumerate() {
            let color = if k == 2 { tip } else { base };
            let normal = (Vec3::Y + out * 0.35).normalize();
            mesh.vertices.push(Vertex {
                position,
                normal,
                color: color.extend(1.0),
                ..Vertex::default()
            });
        }
        mesh.indices.extend([first, first + 1, first + 2]);
    }
    mesh
}

fn flower(rng: &mut Rng, at: Vec3) -> Mesh {
    let colors = [0xf6ead2, 0xf2b8a8, 0xe9c46a, 0xb9a5d6];
    let mut mesh = tuft(rng, at);
    for _ in 0..2 {
        let spread = polar(rng.range(0.03, 0.2), rng.angle(), rng.range(0.2, 0.4));
        let size = rng.range(0.035, 0.06);
        let head = lathe(&[(size, 0.0), (0.001, size * 0.6)], 4);
        mesh.add(
            &head
                .by(Mat4::from_translation(at + spread))
                .colored(hex(colors[(rng.bits() % 4) as usize])),
        );
    }
    mesh
}

/// Ways across the grass: to the front edge, to the bridge, to the dome.
const PATHS: [(Vec2, Vec2); 3] = [
    (Vec2::new(0.0, 16.0), Vec2::new(-1.0, 27.5)),
    (Vec2::new(11.2, -11.8), Vec2::new(18.6, -19.4)),
    (Vec2::new(-12.6, -10.4), Vec2::new(-15.6, -12.8)),
];

fn path_distance(p: Vec2) -> f32 {
    let to = |&(a, b): &(Vec2, Vec2)| {
        let along = ((p - a).dot(b - a) / (b - a).length_squared()).clamp(0.0, 1.0);
        p.distance(a + (b - a) * along)
    };
    PATHS.iter().map(to).fold(f32::MAX, f32::min)
}

fn stepping_stones(rng: &mut Rng) -> Mesh {
    let mut mesh = Mesh::default();
    for (a, b) in PATHS {
        let steps = (a.distance(b) / 0.95) as u32;
        for k in 0..=steps {
            let side = (b - a).perp().normalize();
            for half in [-0.5, 0.5] {
                let jitter = Vec2::new(rng.range(-0.12, 0.12), rng.range(-0.12, 0.12));
                let p = a.lerp(b, k as f32 / steps as f32) + side * half * 1.05 + jitter;
                let ground = MAIN.height(p.x, p.y);
                mesh.add(&flagstone(rng, Vec3::new(p.x, ground, p.y)));
            }
        }
    }
    mesh
}

/// An uneven slab of five to seven sides.
fn flagstone(rng: &mut Rng, at: Vec3) -> Mesh {
    let (sides, turn, size) = (5 + rng.bits() % 3, rng.angle(), rng.range(0.40, 0.52));
    let corners: Vec<Vec3> = (0..sides)
        .map(|k| polar(size * rng.range(0.85, 1.1), turn + k as f32 / sides as f32 * TAU, 0.0) + at)
        .collect();
    let lift = |p: &Vec3, scale: f32, y: f32| at + (*p - at) * scale + Vec3::Y * y;
    let mut mesh = Mesh::default();
    let top: Vec<Vec3> = corners.iter().map(|p| lift(p, 0.92, 0.07)).collect();
    mesh.polygon(&top);
    for k in 0..corners.len() {
        let n = (k + 1) % corners.len();
        mesh.polygon(&[lift(&corners[k], 1.0, -0.2), lift(&corners[n], 1.0, -0.2), top[n], top[k]]);
    }
    let tone = hex(STONE[(rng.bits() % 3) as usize]) * rng.range(0.72, 0.88);
    mesh.colored(tone)
}
