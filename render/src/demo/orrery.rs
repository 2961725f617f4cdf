//! The orrery: nested brass rings that turn around a glowing heart, with planets on arms.
//!
//! Everything that turns hangs from two nodes: one loops for ever, the other stays at rest until a click
//! takes it through whole turns, so that the rush starts and ends without a jump.

use super::graph::{Graph, Light};
use super::materials::Mat;
use super::mesh::Mesh;
use super::noise::{fbm, smoothstep};
use super::palette::{BRASS, BRONZE, STONE, hex};
use super::plaza::DAIS;
use super::shapes::{ball, band, block, hoop, lathe, polar, sweep, tube};
use glam::{Mat4, Quat, Vec2, Vec3};
use std::f32::consts::{PI, TAU};

/// Height of the heart.
const HEART: f32 = 5.75;
/// Of the fixed rings, to the middle of their section.
const RADIUS: f32 = 4.6;
/// Name of the animation that a click plays.
const RUSH: &str = "orrery rush";
const RUSH_SECONDS: f32 = 6.0;

pub(super) fn build(graph: &mut Graph) {
    stand(graph);
    let root = graph.node("orrery", None, Vec3::Y * HEART);
    graph.clickable(root, RUSH);
    // (radius, width, seconds a turn, turns in a rush, tilt, spin axis)
    let rings = [
        (4.05, 0.44, 46.0, 2.0, Quat::from_rotation_x(0.5), Vec3::X),
        (3.5, 0.38, -34.0, -3.0, Quat::from_rotation_z(0.9), Vec3::Z),
        (2.95, 0.33, 25.0, 4.0, Quat::from_rotation_x(1.35), Vec3::X),
        (2.42, 0.28, -17.0, -5.0, Quat::from_rotation_z(-0.6), Vec3::new(0.6, 0.0, 0.8)),
    ];
    for (k, (radius, width, seconds, turns, tilt, axis)) in rings.into_iter().enumerate() {
        let parts = vec![(Mat::Metal, ring(radius, width, k))];
        turning(graph, root, &format!("ring {}", k + 1), (seconds, turns), tilt, axis, parts);
    }
    planets(graph, root);
    heart(graph, root);
}

/// A mesh that loops about `axis` and rushes on a click.
fn turning(
    graph: &mut Graph,
    root: usize,
    name: &str,
    (seconds, turns): (f32, f32),
    tilt: Quat,
    axis: Vec3,
    parts: Vec<(Mat, Mesh)>,
) {
    let rush = graph.node(format!("{name} rush"), Some(root), Vec3::ZERO);
    let node = graph.node(name, Some(rush), Vec3::ZERO);
    graph.nodes[node].rotation = tilt;
    graph.dress(node, parts);
    let local = tilt.inverse() * axis.normalize();
    graph.spin(name, node, local, seconds);
    let axis = axis.normalize();
    graph.animate_turn(RUSH, rush, RUSH_SECONDS, 60, |t| {
        Quat::from_axis_angle(axis, TAU * turns * smoothstep(0.0, 1.0, t))
    });
}

/// A ring with graduation marks and the pins that it turns on.
fn ring(radius: f32, width: f32, index: usize) -> Mesh {
    let thick = 0.14;
    let mut mesh = hoop(radius, width, thick, 40).colored(BRASS);
    for k in 0..24_u32 {
        let high = width * if k.is_multiple_of(3) { 0.36 } else { 0.2 };
        for side in [-1.0, 1.0] {
            let (z, x) = (radius + side * (thick * 0.5 + 0.006), side * 0.022);
            let mut mark = Mesh::default();
            mark.polygon(
                &[(-x, -high), (x, -high), (x, high), (-x, high)].map(|(x, y)| Vec3::new(x, y, z)),
            );
            mesh.add(&mark.turned(k as f32 / 24.0 * TAU).colored(BRONZE * 0.5));
        }
    }
    let axis = if index.is_multiple_of(2) { 0.0 } else { PI / 2.0 };
    for side in [0.0, PI] {
        let pin =
            lathe(&[(0.001, -0.18), (0.11, -0.14), (0.12, 0.12), (0.05, 0.2), (0.001, 0.5)], 8);
        let out = Mat4::from_rotation_y(axis + side + PI / 2.0)
            * Mat4::from_translation(Vec3::Z * radius)
            * Mat4::from_rotation_x(PI / 2.0);
        mesh.add(&pin.by(out).colored(BRASS * 0.7));
    }
    mesh
}

/// One of the planets.
struct Planet {
    /// Metres from the axis, and above the heart.
    place: (f32, f32),
    size: f32,
    /// Seconds a turn, and turns in a rush.
    turn: (f32, f32),
    /// How its path leans.
    tilt: f32,
    colors: [u32; 2],
}

/// Two between the heart and the rings, two that hang outside from arms at the top.
const PLANETS: [Planet; 4] = [
    Planet {
        place: (1.42, 0.0),
        size: 0.17,
        turn: (9.0, 6.0),
        tilt: 0.35,
        colors: [0xc4623c, 0x8e3f2e],
    },
    Planet {
        place: (1.92, 0.0),
        size: 0.27,
        turn: (15.0, 4.0),
        tilt: -0.25,
        colors: [0x2e7fa8, 0xe6ead8],
    },
    Planet {
        place: (5.5, 1.1),
        size: 0.50,
        turn: (38.0, 2.0),
        tilt: 0.0,
        colors: [0xc98a4e, 0xf1dcb4],
    },
    Planet {
        place: (6.3, -0.5),
        size: 0.36,
        turn: (-57.0, -1.0),
        tilt: 0.0,
        colors: [0x35549c, 0x86b6da],
    },
];

fn planets(graph: &mut Graph, root: usize) {
    for (k, planet) in PLANETS.iter().enumerate() {
        let Planet { place: (distance, height), size, turn, tilt, colors } = *planet;
        let place = Vec3::new(0.0, height, distance);
        let banded = k == 2;
        let paint = |p: Vec3, _| {
            let p = p.normalize_or(Vec3::Y);
            let at = if banded {
                Vec3::new(0.0, p.y * 5.0, 3.0 + p.x * 0.5)
            } else {
                p * 1.7 + k as f32 * 9.0
            };
            hex(colors[0]).lerp(hex(colors[1]), smoothstep(-0.12, 0.2, fbm(at, 3, 40 + k as u32)))
        };
        let globe = ball(if k == 0 { 1 } else { 2 }).scaled(size, size, size).painted(paint);
        let globe = globe.by(Mat4::from_translation(place));
        let mut arm = if distance > RADIUS {
            hanger(distance, height, size)
        } else {
            tube(&[Vec3::Z * 0.6, Vec3::Z * (distance - size * 0.9)], 5, Vec3::Y, |_| 0.03)
        };
        arm.add(&band(size * 1.05, 0.035, 0.035, 20).by(Mat4::from_translation(place)));
        if banded {
            let rings = Mat4::from_translation(place) * Mat4::from_rotation_x(0.45);
            arm.add(&band(size * 1.75, 0.02, 0.3, 28).by(rings));
        }
        let parts = vec![(Mat::Glaze, globe), (Mat::Metal, arm.colored(BRASS))];
        let start = Quat::from_rotation_y([0.6, 2.7, -0.75, 1.1][k]);
        let tilt = Quat::from_rotation_x(tilt);
        turning(
            graph,
            root,
            &format!("planet {}", k + 1),
            turn,
            tilt * start,
            tilt * Vec3::Y,
            parts,
        );
    }
}

/// An arm from the top of the axis outward and down to a planet.
fn hanger(distance: f32, height: f32, size: f32) -> Mesh {
    let fall = RADIUS + 0.22 - height;
    let path: Vec<Vec3> = (0..=10)
        .map(|n| {
            let angle = PI / 2.0 * n as f32 / 10.0;
            Vec3::new(
                0.0,
                height + (fall - size) * angle.cos() + size * 0.95,
                distance * angle.sin(),
            )
        })
        .collect();
    let mut arm = tube(&path, 5, Vec3::X, |t| 0.06 - 0.02 * t);
    let hub = lathe(&[(0.001, -0.1), (0.2, -0.08), (0.2, 0.08), (0.001, 0.1)], 10);
    arm.add(&hub.at(0.0, height + fall, 0.0));
    arm
}

fn heart(graph: &mut Graph, root: usize) {
    let node = graph.node("heart", Some(root), Vec3::ZERO);
    let sun = ball(2).bent(|p, _| p * 0.92).faceted().colored(Vec3::new(1.0, 0.96, 0.9));
    graph.dress(node, vec![(Mat::Core, sun)]);
    graph.spin("heart", node, Vec3::Y, 21.0);
    graph.animate_scale(RUSH, node, RUSH_SECONDS, 40, |t| {
        let swell = (PI * t).sin().max(0.0).powi(2);
        Vec3::splat(1.0 + 0.45 * swell + 0.06 * swell * (t * TAU * 9.0).sin())
    });
    let light = graph.node("heart light", Some(root), Vec3::ZERO);
    graph.lights.push(Light {
        name: "heart",
        color: Vec3::new(1.0, 0.66, 0.34),
        intensity: 22.0,
        range: Some(7.2),
    });
    graph.nodes[light].light = Some(graph.lights.len() - 1);
}

/// The stone foot, four curved legs and the fixed horizon ring that they carry.
fn stand(graph: &mut Graph) {
    let foot = [
        (1.45, DAIS - 0.05),
        (1.45, DAIS + 0.16),
        (1.38, DAIS + 0.22),
        (1.05, DAIS + 0.26),
        (0.9, DAIS + 0.42),
        (0.62, DAIS + 0.72),
        (0.55, DAIS + 0.86),
        (0.62, DAIS + 0.92),
        (0.62, DAIS + 1.0),
        (0.001, DAIS + 1.0),
    ];
    graph.still(Mat::Stone, &lathe(&foot, 16).colored(hex(STONE[0])).box_mapped(2.6));
    let mut metal = lathe(
        &[
            (0.45, DAIS + 1.0),
            (0.34, DAIS + 1.12),
            (0.16, DAIS + 1.2),
            (0.13, HEART - 4.38),
            (0.24, HEART - 4.3),
            (0.001, HEART - 4.1),
        ],
        12,
    )
    .colored(BRASS * 0.85);
    let radius = RADIUS;
    metal.add(&hoop(radius, 0.24, 0.3, 44).at(0.0, HEART, 0.0).colored(BRASS));
    let outline =
        [(0.11, -0.16), (0.11, 0.16), (-0.11, 0.16), (-0.11, -0.16)].map(|(x, y)| Vec2::new(x, y));
    for k in 0..4 {
        let angle = (k as f32 + 0.5) * TAU / 4.0;
        // From the foot outward and up, as the leg of a table.
        let path: Vec<Vec3> = (0..=11)
            .map(|n| {
                let t = n as f32 / 11.0;
                let r = 2.75 + (RADIUS - 2.75) * smoothstep(0.15, 1.0, t)
                    - 0.5 * (t * PI).sin() * (1.0 - t);
                polar(r, angle, DAIS + (HEART - DAIS - 0.1) * t)
            })
            .collect();
        metal.add(&sweep(&outline, &path, polar(1.0, angle, 0.0), false).colored(BRONZE * 1.3));
        let toe = block(0.62, 0.14, 0.62, 0.0).at(0.0, DAIS, 2.75).turned(angle);
        metal.add(&toe.colored(BRASS * 0.7));
        let knob = ball(0).scaled(0.17, 0.17, 0.17).by(Mat4::from_translation(polar(
            radius,
            angle,
            HEART + 0.24,
        )));
        metal.add(&knob.colored(BRASS));
    }
    graph.still(Mat::Metal, &metal);
    meridian(graph, radius);
}

/// The fixed upright ring with the star on top.
fn meridian(graph: &mut Graph, radius: f32) {
    let upright = Mat4::from_translation(Vec3::Y * HEART)
        * Mat4::from_rotation_y(0.55)
        * Mat4::from_rotation_x(PI / 2.0);
    let mut metal = hoop(radius, 0.2, 0.2, 44).by(upright).colored(BRASS * 0.92);
    let mut star = Mesh::default();
    for k in 0..8_u32 {
        let (angle, long) = (k as f32 * TAU / 8.0, if k.is_multiple_of(2) { 0.72 } else { 0.38 });
        let point = Vec3::new(angle.sin(), angle.cos(), 0.0);
        let side = Vec3::new(angle.cos(), -angle.sin(), 0.0) * 0.11;
        for z in [0.09, -0.09] {
            let (a, b) = (point * 0.1 + side, point * 0.1 - side);
            let (tip, heart) = (point * long, Vec3::Z * z);
            if z > 0.0 {
                star.polygon(&[heart, tip, a]);
                star.polygon(&[heart, b, tip]);
            } else {
                star.polygon(&[heart, a, tip]);
                star.polygon(&[heart, tip, b]);
            }
        }
    }
    metal.add(&star.at(0.0, HEART + radius + 0.95, 0.0).colored(BRASS));
    metal.add(
        &lathe(&[(0.07, 0.0), (0.06, 0.75), (0.001, 0.8)], 8)
            .at(0.0, HEART + radius, 0.0)
            .colored(BRASS),
    );
    graph.still(Mat::Metal, &metal);
}
