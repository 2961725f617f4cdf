//! The project's own scene: an observatory on a floating island at golden hour, modelled by this code.
//!
//! [`glb`] makes the same binary glTF file on every call and reads nothing from outside, so that a
//! fresh machine has something to show. It knows the file format and no renderer; what it makes goes
//! through the ordinary loader. Lengths are metres, y is up, the plaza lies at y = 0 and the first
//! camera looks along −z. A part that is added without regard to the budgets in `tests/demo.rs` makes the
//! scene too slow for a machine without a GPU.

mod backdrop;
mod bake;
mod banner;
mod birds;
mod bvh;
mod columns;
mod graph;
mod islet;
mod lanterns;
mod materials;
mod mesh;
mod noise;
mod observatory;
mod orrery;
mod palette;
mod plaza;
mod rocks;
mod shapes;
mod terrain;
mod textures;
mod trees;
mod view;
mod writer;

use bvh::Bvh;
use glam::Vec3;
use graph::Graph;
use materials::Mat;
use mesh::Mesh;
use std::collections::BTreeMap;

/// The demo scene as a binary glTF 2.0 file.
///
/// Cameras are named `walk` (at eye height) and `orbit`. The scene's extras give its sky
/// (`nearlight.environment`), those of some nodes the animation that a click plays once
/// (`nearlight.onClick`); all other animations loop.
pub fn glb() -> Vec<u8> {
    let mut graph = Graph::default();
    view::build(&mut graph);
    terrain::build(&mut graph);
    plaza::build(&mut graph);
    columns::build(&mut graph);
    orrery::build(&mut graph);
    observatory::build(&mut graph);
    islet::build(&mut graph);
    trees::build(&mut graph);
    lanterns::build(&mut graph);
    rocks::build(&mut graph);
    banner::build(&mut graph);
    birds::build(&mut graph);
    backdrop::build(&mut graph);
    finish(&mut graph);
    writer::write(&graph)
}

/// Bakes light and gathers what stands still into one mesh.
fn finish(graph: &mut Graph) {
    let mut still = std::mem::take(&mut graph.still);
    for mesh in still.values_mut() {
        *mesh = std::mem::take(mesh).welded();
    }
    let world = Bvh::new(still.values());
    for (mat, mesh) in &mut still {
        if !mat.look().unlit {
            bake::occlusion(mesh, &world);
        }
    }
    for (mat, mesh) in std::mem::take(&mut graph.open) {
        still.entry(mat).or_default().add(&mesh.welded());
    }
    for parts in &mut graph.meshes {
        for (_, mesh) in parts {
            *mesh = std::mem::take(mesh).welded();
        }
    }
    let mut regions: BTreeMap<Region, Vec<(Mat, Mesh)>> = BTreeMap::new();
    for (mat, mesh) in still {
        for (region, part) in split(mat, mesh) {
            regions.entry(region).or_default().push((mat, part));
        }
    }
    for (region, parts) in regions {
        let node = graph.node(format!("{region:?}").to_lowercase(), None, Vec3::ZERO);
        graph.dress(node, parts);
    }
}

/// A part of the world that is culled as one, and lit by the same few lanterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Region {
    /// The orrery, the pool and what is around it, as far as the heart's light reaches.
    Centre,
    Front,
    Right,
    Back,
    Left,
    Islet,
    /// What is seen from everywhere.
    Far,
}

impl Region {
    fn of(p: Vec3) -> Self {
        if p.x > 19.0 && p.z < -20.5 {
            return Self::Islet;
        }
        if p.x.hypot(p.z) < 10.2 {
            return Self::Centre;
        }
        match (p.z > p.x.abs(), p.z < -p.x.abs(), p.x > 0.0) {
            (true, ..) => Self::Front,
            (_, true, _) => Self::Back,
            (.., true) => Self::Right,
            _ => Self::Left,
        }
    }
}

/// A mesh by regions; one whole where pieces would be too small to be worth a draw each.
fn split(mat: Mat, mesh: Mesh) -> BTreeMap<Region, Mesh> {
    const WORTH: usize = 1500;
    if mat.look().unlit || mesh.triangles() < WORTH {
        return BTreeMap::from([(Region::Far, mesh)]);
    }
    let mut parts: BTreeMap<Region, Mesh> = BTreeMap::new();
    for t in mesh.indices.chunks_exact(3) {
        let corners = [t[0], t[1], t[2]].map(|i| mesh.vertices[i as usize]);
        let middle = corners.iter().map(|v| v.position).sum::<Vec3>() / 3.0;
        let part = parts.entry(Region::of(middle)).or_default();
        let first = part.vertices.len() as u32;
        part.vertices.extend(corners);
        part.indices.extend([first, first + 1, first + 2]);
    }
    parts.into_iter().map(|(region, part)| (region, part.welded())).collect()
}
