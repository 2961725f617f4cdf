//! The domed observatory at the back of the island, its telescope out.

use super::graph::Graph;
use super::materials::Mat;
use super::mesh::Mesh;
use super::palette::{BRASS, BRONZE, PATINA, STONE, WOOD, hex};
use super::shapes::{ball, band, block, grid, lathe, polar};
use super::terrain::MAIN;
use glam::{Mat4, Vec3};
use std::f32::consts::{PI, TAU};

const AT: Vec3 = Vec3::new(-17.2, 0.0, -13.6);
const WALL: f32 = 4.3;
/// Which way the slit of the dome and the telescope look.
const SLIT: f32 = 0.95;

pub(super) fn build(graph: &mut Graph) {
    let ground = MAIN.height(AT.x, AT.z) - 0.1;
    let to = Mat4::from_translation(AT + Vec3::Y * ground);
    let wall = [
        (4.25, -0.4),
        (4.25, 0.3),
        (4.1, 0.42),
        (3.72, 0.42),
        (3.72, WALL - 0.3),
        (3.9, WALL - 0.2),
        (4.05, WALL),
        (4.05, WALL + 0.2),
        (3.7, WALL + 0.3),
    ];
    let mut stone = lathe(&wall, 24).colored(hex(STONE[0]));
    for k in 0..12 {
        let rib = block(0.42, WALL - 0.5, 0.34, 0.0).at(0.0, 0.35, 3.76);
        stone.add(&rib.turned((k as f32 + 0.5) * TAU / 12.0).colored(hex(STONE[1])));
    }
    let door = 0.88;
    stone.add(&block(1.9, 3.0, 0.5, 0.05).at(0.0, 0.2, 3.7).turned(door).colored(hex(STONE[1])));
    for k in 0..3 {
        let w = 2.6 - 0.3 * k as f32;
        stone.add(
            &block(w, 0.16, 0.9, 0.03)
                .at(0.0, 0.02 + 0.16 * k as f32, 4.5 - 0.26 * k as f32)
                .turned(door)
                .colored(hex(STONE[2])),
        );
    }
    graph.still(Mat::Stone, &stone.box_mapped(2.6).by(to));
    graph.still(
        Mat::Matte,
        &block(1.3, 2.5, 0.2, 0.02)
            .at(0.0, 0.4, 3.92)
            .turned(door)
            .colored(hex(WOOD[0]) * 0.8)
            .by(to),
    );
    windows(graph, to);
    dome(graph, to);
    telescope(graph, to);
}

/// Warm windows between the pilasters; the lantern's picture serves as panes.
fn windows(graph: &mut Graph, to: Mat4) {
    let mut panes = Mesh::default();
    for k in [0, 1, 3, 4, 5, 7, 9, 11] {
        let mut pane = Mesh::default();
        pane.polygon(&[
            Vec3::new(-0.36, 0.0, 0.0),
            Vec3::new(0.36, 0.0, 0.0),
            Vec3::new(0.36, 1.5, 0.0),
            Vec3::new(-0.36, 1.5, 0.0),
        ]);
        for v in &mut pane.vertices {
            v.uv = glam::Vec2::new(v.position.x / 0.72 + 0.5, 1.0 - v.position.y / 1.5);
        }
        panes.add(&pane.at(0.0, 1.5, 3.735).turned(k as f32 * TAU / 12.0));
    }
    graph.open(Mat::Lamp, &panes.by(to));
}

/// Half a ball of glazed tiles with brass ribs and an open slit.
fn dome(graph: &mut Graph, to: Mat4) {
    let (radius, base) = (3.85, WALL + 0.28);
    let half = 0.17;
    let shell = |r: f32, from: f32, to: f32, high: f32| {
        grid(18, 6, false, move |u, v| {
            let lift = v * high;
            polar(r * lift.cos(), from + (to - from) * u, base + r * lift.sin())
        })
    };
    let full = PI / 2.0 - 0.02;
    let tone =
        |p: Vec3, _: Vec3| hex(PATINA) * (0.78 + 0.28 * ((p.y * 4.2).floor() * 0.618).fract());
    let mut glaze = shell(radius, SLIT + half, SLIT + TAU - half, full).painted(tone);
    // A dark inside behind the slit.
    glaze.add(&shell(radius * 0.9, SLIT - 0.6, SLIT + 0.6, full).colored(hex(0x14202c)));
    graph.still(Mat::Glaze, &glaze.by(to));
    let mut brass = band(radius + 0.02, 0.24, 0.2, 24).at(0.0, base, 0.0);
    for k in 0..10 {
        let angle = SLIT + half + (TAU - 2.0 * half) * k as f32 / 9.0;
        let rib = |v: f32| {
            polar(
                (radius + 0.03) * (v * full).cos(),
                angle,
                base + (radius + 0.03) * (v * full).sin(),
            )
        };
        let path: Vec<Vec3> = (0..=7).map(|n| rib(n as f32 / 7.0)).collect();
        brass.add(&super::shapes::tube(&path, 4, polar(1.0, angle + PI / 2.0, 0.0), |_| 0.07));
    }
    brass.add(&ball(1).scaled(0.3, 0.3, 0.3).at(0.0, base + radius + 0.2, 0.0));
    brass.add(&lathe(&[(0.07, 0.0), (0.03, 1.3), (0.001, 1.35)], 6).at(
        0.0,
        base + radius + 0.3,
        0.0,
    ));
    graph.still(Mat::Metal, &brass.colored(BRASS * 0.9).by(to));
}

fn telescope(graph: &mut Graph, to: Mat4) {
    let tube = [
        (0.3, -1.6),
        (0.42, -1.5),
        (0.42, 0.8),
        (0.5, 0.85),
        (0.5, 1.1),
        (0.46, 1.15),
        (0.5, 3.1),
        (0.6, 3.15),
        (0.6, 3.5),
        (0.5, 3.52),
        (0.5, 3.3),
        (0.001, 3.3),
    ];
    let aim = Mat4::from_translation(Vec3::Y * (WALL + 0.6))
        * Mat4::from_rotation_y(SLIT)
        * Mat4::from_rotation_x(0.86);
    let body = lathe(&tube, 12)
        .painted(|p, _| if p.y > 0.8 && p.y < 1.12 || p.y > 3.12 { BRASS } else { BRONZE * 1.4 });
    graph.still(Mat::Metal, &body.by(to * aim));
}
