//! Solids and surfaces to model with. All are closed or face outward, stand on or around the origin,
//! and have y up.

use super::mesh::{Mesh, Vertex};
use glam::{Quat, Vec2, Vec3};
use std::collections::HashMap;
use std::f32::consts::{PI, TAU};

/// The point on a circle in the ground plane; angle 0 is +z, growing towards +x.
pub(super) fn polar(radius: f32, angle: f32, y: f32) -> Vec3 {
    Vec3::new(radius * angle.sin(), y, radius * angle.cos())
}

/// A surface of `columns` × `rows` quads over `at(u, v)`, u and v in `0..=1`, smooth.
/// The front is the side where v is up when u goes right. A `ring` joins u = 1 to u = 0.
pub(super) fn grid(columns: u32, rows: u32, ring: bool, at: impl Fn(f32, f32) -> Vec3) -> Mesh {
    let across = if ring { columns } else { columns + 1 };
    let mut mesh = Mesh::default();
    for row in 0..=rows {
        for column in 0..across {
            let uv = Vec2::new(column as f32 / columns as f32, row as f32 / rows as f32);
            mesh.vertices.push(Vertex { position: at(uv.x, uv.y), uv, ..Vertex::default() });
        }
    }
    for row in 0..rows {
        for column in 0..columns {
            let next = (column + 1) % across;
            let (a, b) = (row * across + column, row * across + next);
            let (c, d) = (a + across, b + across);
            mesh.indices.extend([a, b, d, a, d, c]);
        }
    }
    mesh.smooth_normals();
    mesh
}

/// A profile of (radius, height) turned about y, from the bottom up: smooth around, each step of the
/// profile with its own edge.
pub(super) fn lathe(profile: &[(f32, f32)], segments: u32) -> Mesh {
    let mut mesh = Mesh::default();
    for pair in profile.windows(2) {
        let ((r0, y0), (r1, y1)) = (pair[0], pair[1]);
        mesh.add(&grid(segments, 1, true, |u, v| {
            polar(r0 + (r1 - r0) * v, u * TAU, y0 + (y1 - y0) * v)
        }));
    }
    drop_slivers(mesh)
}

/// As [`lathe`], smooth along the profile too.
pub(super) fn lathe_smooth(profile: &[(f32, f32)], segments: u32) -> Mesh {
    let rows = profile.len() as u32 - 1;
    drop_slivers(grid(segments, rows, true, |u, v| {
        let (r, y) = profile[((v * rows as f32).round() as usize).min(profile.len() - 1)];
        polar(r, u * TAU, y)
    }))
}

/// Triangles that a pole squeezes to nothing are taken out.
fn drop_slivers(mut mesh: Mesh) -> Mesh {
    let area = |t: &[u32]| {
        let [a, b, c] = [t[0], t[1], t[2]].map(|i| mesh.vertices[i as usize].position);
        (b - a).cross(c - a).length()
    };
    mesh.indices =
        mesh.indices.chunks_exact(3).filter(|t| area(t) > 1e-7).flatten().copied().collect();
    mesh
}

/// A block of a size, standing on y = 0, its edges cut by `bevel` (0 leaves them sharp).
pub(super) fn block(x: f32, y: f32, z: f32, bevel: f32) -> Mesh {
    let half = Vec3::new(x, y, z) * 0.5;
    let mut mesh = Mesh::default();
    let inner = half - Vec3::splat(bevel);
    // A corner of the face along `axis`; the other two axes stay within the cut edges.
    let corner = |axis: usize, signs: Vec3| {
        let mut p = inner * signs;
        p[axis] = half[axis] * signs[axis];
        p
    };
    let sign = |axis: usize, a: f32, b: f32, c: f32| {
        let mut s = Vec3::ZERO;
        s[axis] = a;
        s[(axis + 1) % 3] = b;
        s[(axis + 2) % 3] = c;
        s
    };
    for axis in 0..3 {
        for side in [-1.0, 1.0] {
            let around = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];
            outward(&mut mesh, &around.map(|(b, c)| corner(axis, sign(axis, side, b, c))));
            if bevel > 0.0 {
                let (n, m) = ((axis + 1) % 3, axis);
                let edge = |c: f32, on: usize, other: f32| corner(on, sign(m, side, other, c));
                for other in [-1.0, 1.0] {
                    let quad = [
                        edge(-1.0, m, other),
                        edge(1.0, m, other),
                        edge(1.0, n, other),
                        edge(-1.0, n, other),
                    ];
                    outward(&mut mesh, &quad);
                }
            }
        }
    }
    if bevel > 0.0 {
        for k in 0..8 {
            let s = Vec3::new((k & 1) as f32, (k >> 1 & 1) as f32, (k >> 2) as f32) * 2.0 - 1.0;
            outward(&mut mesh, &[corner(0, s), corner(1, s), corner(2, s)]);
        }
    }
    mesh.at(0.0, half.y, 0.0)
}

/// Adds a polygon of a convex solid around the origin with its front outside.
fn outward(mesh: &mut Mesh, corners: &[Vec3]) {
    let normal = (corners[1] - corners[0]).cross(corners[2] - corners[0]);
    if normal.dot(corners[0] + corners[2]) < 0.0 {
        let back: Vec<Vec3> = corners.iter().rev().copied().collect();
        mesh.polygon(&back);
    } else {
        mesh.polygon(corners);
    }
}

/// A ball of radius 1: an icosahedron with each side cut in four `level` times, smooth.
pub(super) fn ball(level: u32) -> Mesh {
    let g = (1.0 + 5f32.sqrt()) / 2.0;
    let base = [(-1.0, g), (1.0, g), (-1.0, -g), (1.0, -g)];
    let mut points: Vec<Vec3> = base.iter().map(|&(a, b)| Vec3::new(a, b, 0.0)).collect();
    points.extend(base.iter().map(|&(a, b)| Vec3::new(0.0, a, b)));
    points.extend(base.iter().map(|&(a, b)| Vec3::new(b, 0.0, a)));
    let mut faces: Vec<[u32; 3]> = vec![
        [0, 11, 5],
        [0, 5, 1],
        [0, 1, 7],
        [0, 7, 10],
        [0, 10, 11],
        [1, 5, 9],
        [5, 11, 4],
        [11, 10, 2],
        [10, 7, 6],
        [7, 1, 8],
        [3, 9, 4],
        [3, 4, 2],
        [3, 2, 6],
        [3, 6, 8],
        [3, 8, 9],
        [4, 9, 5],
        [2, 4, 11],
        [6, 2, 10],
        [8, 6, 7],
        [9, 8, 1],
    ];
    for _ in 0..level {
        let mut middles = HashMap::new();
        let mut finer = Vec::with_capacity(faces.len() * 4);
        for [a, b, c] in faces {
            let [ab, bc, ca] = [(a, b), (b, c), (c, a)].map(|(i, j)| {
                *middles.entry((i.min(j), i.max(j))).or_insert_with(|| {
                    points.push(
                        (points[i as usize].normalize() + points[j as usize].normalize()) * 0.5,
                    );
                    points.len() as u32 - 1
                })
            });
            finer.extend([[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]);
        }
        faces = finer;
    }
    let vertex =
        |p: &Vec3| Vertex { position: p.normalize(), normal: p.normalize(), ..Vertex::default() };
    Mesh {
        vertices: points.iter().map(vertex).collect(),
        indices: faces.into_iter().flatten().collect(),
    }
}

/// A closed outline (counter-clockwise, x right and y up as seen from the path's end looking back)
/// carried along a path, each side of the outline with its own edge; open ends are capped.
pub(super) fn sweep(outline: &[Vec2], path: &[Vec3], up: Vec3, closed: bool) -> Mesh {
    let frames = frames(path, up, closed);
    let rows = path.len() as u32 - u32::from(!closed);
    let mut mesh = Mesh::default();
    let point = |k: usize, o: Vec2| {
        let k = k % path.len();
        path[k] + frames[k] * Vec3::new(o.x, o.y, 0.0)
    };
    for side in 0..outline.len() {
        let (a, b) = (outline[side], outline[(side + 1) % outline.len()]);
        let strip = grid(1, rows, false, |u, v| {
            point((v * rows as f32).round() as usize, if u < 0.5 { a } else { b })
        });
        mesh.add(&strip);
    }
    if !closed {
        let end: Vec<Vec3> = outline.iter().map(|&o| point(path.len() - 1, o)).collect();
        let start: Vec<Vec3> = outline.iter().rev().map(|&o| point(0, o)).collect();
        mesh.polygon(&start);
        mesh.polygon(&end);
    }
    mesh
}

/// A frame at each point of a path: x right, y up, z along the path.
fn frames(path: &[Vec3], up: Vec3, closed: bool) -> Vec<Quat> {
    let last = path.len() - 1;
    (0..path.len())
        .map(|k| {
            let before = if k == 0 { if closed { last } else { 0 } } else { k - 1 };
            let after = if k == last { if closed { 0 } else { last } } else { k + 1 };
            let z = (path[after] - path[before]).normalize_or(Vec3::Z);
            let x = up.cross(z).normalize_or(Vec3::X);
            Quat::from_mat3(&glam::Mat3::from_cols(x, z.cross(x), z))
        })
        .collect()
}

/// A round bar along a path, its radius by place (0 at the start, 1 at the end), smooth.
pub(super) fn tube(path: &[Vec3], sides: u32, up: Vec3, radius: impl Fn(f32) -> f32) -> Mesh {
    let frames = frames(path, up, false);
    let rows = path.len() as u32 - 1;
    grid(sides, rows, true, |u, v| {
        let k = (v * rows as f32).round() as usize;
        let ring = Vec2::from_angle(u * TAU) * radius(v);
        path[k] + frames[k] * Vec3::new(ring.x, ring.y, 0.0)
    })
}

/// A flat hoop about y with cut edges: `radius` to the middle of its section.
pub(super) fn hoop(radius: f32, width: f32, thickness: f32, segments: u32) -> Mesh {
    let (x, y) = (thickness * 0.5, width * 0.5);
    let cut = x.min(y) * 0.45;
    let outline = [
        (x, -y + cut),
        (x, y - cut),
        (x - cut, y),
        (-x + cut, y),
        (-x, y - cut),
        (-x, -y + cut),
        (-x + cut, -y),
        (x - cut, -y),
    ]
    .map(|(a, b)| Vec2::new(a, b));
    let path: Vec<Vec3> =
        (0..segments).map(|k| polar(radius, k as f32 / segments as f32 * TAU, 0.0)).collect();
    sweep(&outline, &path, Vec3::Y, true)
}

/// As [`hoop`], with sharp edges.
pub(super) fn band(radius: f32, width: f32, thickness: f32, segments: u32) -> Mesh {
    let (x, y) = (thickness * 0.5, width * 0.5);
    let outline = [(x, -y), (x, y), (-x, y), (-x, -y)].map(|(a, b)| Vec2::new(a, b));
    let path: Vec<Vec3> =
        (0..segments).map(|k| polar(radius, k as f32 / segments as f32 * TAU, 0.0)).collect();
    sweep(&outline, &path, Vec3::Y, true)
}

/// A flat ring that faces up.
pub(super) fn annulus(inner: f32, outer: f32, y: f32, segments: u32) -> Mesh {
    grid(segments, 1, true, |u, v| polar(outer + (inner - outer) * v, u * TAU, y))
}

/// The top of a slab between two radii and two angles with its edges cut; sides and bottom are not seen.
pub(super) fn paving(
    radii: (f32, f32),
    angles: (f32, f32),
    top: f32,
    cut: f32,
    steps: u32,
) -> Mesh {
    let ((r0, r1), (a0, a1)) = (radii, angles);
    let rim = |inset: f32, y: f32| -> Vec<Vec3> {
        let (r0, r1) = (r0 + inset, r1 - inset);
        let (i0, i1) = (inset / r0.max(0.2), inset / r1);
        let arc = |r: f32, from: f32, to: f32| {
            (0..=steps).map(move |k| polar(r, from + (to - from) * k as f32 / steps as f32, y))
        };
        arc(r1, a0 + i1, a1 - i1).chain(arc(r0, a1 - i0, a0 + i0)).collect()
    };
    let (edge, top) = (rim(0.0, top - 2.0 * cut), rim(cut, top));
    let mut mesh = Mesh::default();
    let half = steps as usize + 1;
    for k in 0..steps as usize {
        let n = top.len() - 1;
        mesh.polygon(&[top[k], top[k + 1], top[n - k - 1], top[n - k]]);
    }
    // Far from where people start, a dark joint is all that is seen of an edge.
    for k in 0..if cut > 0.0 { 2 * half } else { 0 } {
        let n = (k + 1) % (2 * half);
        mesh.polygon(&[edge[k], edge[n], top[n], top[k]]);
    }
    mesh
}

/// Points of an arc that stands upright between two points and rises by `rise` in its middle.
pub(super) fn arch_path(
    from: Vec3,
    to: Vec3,
    rise: f32,
    steps: u32,
    part: (f32, f32),
) -> Vec<Vec3> {
    let (middle, half) = ((from + to) * 0.5, (to - from) * 0.5);
    (0..=steps)
        .map(|k| {
            let angle = PI * (part.0 + (part.1 - part.0) * k as f32 / steps as f32);
            middle - half * angle.cos() + Vec3::Y * rise * angle.sin()
        })
        .collect()
}
