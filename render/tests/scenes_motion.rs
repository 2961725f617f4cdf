//! Poses against values computed by hand, and picking in posed scenes.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_PI_2, FRAC_PI_4, PI};

use glam::{Mat4, Quat, Vec3};
use nearlight_render::scene::{
    Aabb, Animation, Channel, Clicks, Influence, Interpolation, Mesh, Node, OnClick, PickIndex,
    Pose, Primitive, Ray, Scene, Skin, Transform, Values, Vertex,
};

fn node(parent: Option<usize>, translation: Vec3) -> Node {
    let rest = Transform { translation, ..Transform::default() };
    Node { parent, rest, ..Node::default() }
}

fn looped(node: usize, interpolation: Interpolation, times: &[f32], values: Values) -> Animation {
    let channel = Channel { node, interpolation, times: times.to_vec(), values };
    let duration = times.last().copied().unwrap_or_default();
    Animation { channels: vec![channel], duration, looped: true, ..Animation::default() }
}

fn scene(animations: Vec<Animation>) -> Scene {
    Scene { nodes: vec![node(None, Vec3::ZERO)], animations, ..Scene::default() }
}

/// The world matrix of node 0 at a time, without clicks.
fn world(scene: &Scene, seconds: f64) -> Mat4 {
    let mut pose = Pose::new(scene);
    pose.evaluate(scene, seconds, &Clicks::new());
    pose.world[0]
}

fn x_at(scene: &Scene, seconds: f64) -> f32 {
    world(scene, seconds).w_axis.x
}

fn translations(interpolation: Interpolation, times: &[f32], xs: &[f32]) -> Scene {
    let values = xs.iter().map(|&x| Vec3::new(x, 0.0, 0.0)).collect();
    scene(vec![looped(0, interpolation, times, Values::Translation(values))])
}

#[test]
fn steps_hold_the_key_before() {
    let scene = translations(Interpolation::Step, &[1.0, 2.0, 4.0], &[10.0, 20.0, 30.0]);
    for (seconds, x) in [(0.0, 10.0), (1.0, 10.0), (1.99, 10.0), (2.0, 20.0), (3.9, 20.0)] {
        assert_eq!(x_at(&scene, seconds), x, "at {seconds}");
    }
}

#[test]
fn lines_are_straight_and_loop() {
    let scene = translations(Interpolation::Linear, &[1.0, 2.0, 4.0], &[10.0, 20.0, 40.0]);
    for (seconds, x) in [
        (0.0, 10.0),
        (0.5, 10.0),
        (1.25, 12.5),
        (2.0, 20.0),
        (3.0, 30.0),
        (4.0 + 1.5, 15.0),
        (4.0 * 1e6 + 3.5, 35.0),
        (-1.0, 30.0),
    ] {
        assert!(
            (x_at(&scene, seconds) - x).abs() < 1e-3,
            "at {seconds}: {}",
            x_at(&scene, seconds)
        );
    }
}

#[test]
fn cubic_splines_follow_the_appendix() {
    // Two keys, two seconds apart: in-tangent, value, out-tangent each.
    let xs = [99.0, 1.0, 2.0, -3.0, 5.0, 99.0];
    let scene = translations(Interpolation::CubicSpline, &[0.0, 2.0], &xs);
    // t = 1/4: v0 (2t³−3t²+1) = 0.84375, td·b0 (t³−2t²+t) = 2·2·0.140625,
    // v1 (−2t³+3t²) = 5·0.15625, td·a1 (t³−t²) = 2·−3·−0.046875.
    let expected = 0.84375 + 0.5625 + 0.78125 + 0.28125;
    assert!((x_at(&scene, 0.5) - expected).abs() < 1e-5, "{}", x_at(&scene, 0.5));
    // t = 1/2: 0.5·1 + 2·0.125·2 + 0.5·5 + 2·−0.125·−3.
    assert!((x_at(&scene, 1.0) - 4.25).abs() < 1e-5);
    assert_eq!(x_at(&scene, 0.0), 1.0);
}

#[test]
fn rotations_take_the_shorter_way() {
    let turn = |angle: f32| Quat::from_rotation_y(angle);
    // The second key is the negated quaternion of the same rotation.
    let values = Values::Rotation(vec![turn(0.0), -turn(FRAC_PI_2)]);
    let scene = scene(vec![looped(0, Interpolation::Linear, &[0.0, 1.0], values)]);
    let turned = world(&scene, 0.5).transform_vector3(Vec3::Z);
    let expected = turn(FRAC_PI_4) * Vec3::Z;
    assert!(turned.abs_diff_eq(expected, 1e-5), "{turned} {expected}");
}

#[test]
fn cubic_rotations_are_normalised() {
    let zero = Quat::from_xyzw(0.0, 0.0, 0.0, 0.0);
    let values = vec![zero, Quat::IDENTITY, zero, zero, Quat::from_xyzw(0.0, 1.0, 0.0, 0.0), zero];
    let scene =
        scene(vec![looped(0, Interpolation::CubicSpline, &[0.0, 1.0], Values::Rotation(values))]);
    // Half-way with flat tangents: the mean of both keys, brought to length one: a quarter turn.
    let turned = world(&scene, 0.5);
    let expected = Mat4::from_quat(Quat::from_xyzw(0.0, FRAC_1_SQRT_2, 0.0, FRAC_1_SQRT_2));
    assert!(turned.abs_diff_eq(expected, 1e-5), "{turned}");
}

#[test]
fn keys_at_one_time_jump() {
    let scene = translations(Interpolation::Linear, &[0.0, 1.0, 1.0, 2.0], &[0.0, 1.0, 5.0, 6.0]);
    assert!((x_at(&scene, 0.999) - 0.999).abs() < 1e-5);
    assert_eq!(x_at(&scene, 1.0), 5.0);
}

#[test]
fn children_follow_their_parents() {
    let mut scene = scene(vec![]);
    scene.nodes[0].rest.rotation = Quat::from_rotation_z(FRAC_PI_2);
    scene.nodes[0].rest.scale = Vec3::splat(2.0);
    scene.nodes.push(node(Some(0), Vec3::X));
    let pose = Pose::new(&scene);
    assert!(pose.world[1].w_axis.truncate().abs_diff_eq(Vec3::new(0.0, 2.0, 0.0), 1e-6));
}

#[test]
fn joints_lead_from_the_mesh_to_the_world() {
    let mut scene = scene(vec![]);
    scene.nodes[0].rest.translation = Vec3::new(100.0, 0.0, 0.0);
    scene.nodes[0].skin = Some(1);
    scene.nodes[0].mesh = Some(0);
    scene.nodes.push(node(None, Vec3::new(0.0, 5.0, 0.0)));
    let skin = |joint| Skin {
        joints: vec![joint],
        inverse_bind: vec![Mat4::from_translation(Vec3::new(0.0, -1.0, 0.0))],
    };
    scene.skins = vec![skin(0), skin(1)];
    let pose = Pose::new(&scene);
    assert_eq!(pose.joint_offset(&scene, 0), Some(1));
    assert_eq!(pose.joint_offset(&scene, 1), None);
    assert_eq!(pose.joint_matrices[1].w_axis.truncate(), Vec3::new(0.0, 4.0, 0.0));
}

/// Node 1, below node 0, opens for two seconds when it is clicked.
fn clickable() -> Scene {
    let values = Values::Translation(vec![Vec3::ZERO, Vec3::new(0.0, 8.0, 0.0)]);
    let mut open = looped(1, Interpolation::Linear, &[0.0, 2.0], values);
    open.looped = false;
    let mut scene = scene(vec![open]);
    scene.nodes.push(node(Some(0), Vec3::ZERO));
    scene.nodes.push(node(Some(1), Vec3::ZERO));
    scene.nodes[1].on_click = Some(OnClick::Play(0));
    scene
}

#[test]
fn a_click_plays_once_and_flashes() {
    let scene = clickable();
    let mut pose = Pose::new(&scene);
    let mut clicks = Clicks::new();
    let mut at = |seconds: f64, clicks: &Clicks| {
        pose.evaluate(&scene, seconds, clicks);
        (pose.world[1].w_axis.y, pose.highlight.clone(), pose.moving)
    };
    assert!(at(0.0, &clicks).2, "the first picture is news");
    assert_eq!(at(1.0, &clicks), (0.0, vec![0.0; 3], false), "nothing moves by itself");
    // On the child: the nearest node upwards with an action answers, and its children flash with it.
    clicks.push(2, 10.0);
    assert_eq!(at(10.0, &clicks), (0.0, vec![0.0, 1.0, 1.0], true));
    let (y, highlight, moving) = at(10.3, &clicks);
    assert!((y - 1.2).abs() < 1e-4 && moving, "{y}");
    assert!((highlight[1] - 0.25).abs() < 1e-3 && highlight[0] == 0.0, "{highlight:?}");
    let (y, highlight, moving) = at(11.0, &clicks);
    assert!((y - 4.0).abs() < 1e-4 && moving && highlight == [0.0; 3]);
    assert_eq!(at(12.5, &clicks), (0.0, vec![0.0; 3], true), "back at rest, which is a change");
    assert_eq!(at(12.6, &clicks), (0.0, vec![0.0; 3], false), "and still again");
    // Again, while the first is remembered.
    clicks.push(1, 20.0);
    assert!((at(21.0, &clicks).0 - 4.0).abs() < 1e-4);
}

#[test]
fn clicks_are_bounded_and_checked() {
    let scene = clickable();
    let mut clicks = Clicks::new();
    for click in 0..1_000 {
        clicks.push(usize::MAX - click, 0.0);
    }
    assert_eq!(clicks.iter().count(), Clicks::CAPACITY);
    let mut pose = Pose::new(&scene);
    pose.evaluate(&scene, 0.1, &clicks);
    assert_eq!(pose.highlight, [0.0; 3]);
}

#[test]
fn a_click_wins_over_a_loop_and_the_first_loop_over_the_second() {
    let mut scene = clickable();
    let still = |y: f32| {
        let values = Values::Translation(vec![Vec3::new(0.0, y, 0.0); 2]);
        looped(1, Interpolation::Linear, &[0.0, 1.0], values)
    };
    scene.animations.extend([still(-1.0), still(-2.0)]);
    let mut pose = Pose::new(&scene);
    let mut clicks = Clicks::new();
    pose.evaluate(&scene, 0.5, &clicks);
    assert_eq!(pose.world[1].w_axis.y, -1.0);
    assert!(pose.moving, "a loop never rests");
    clicks.push(1, 1.0);
    pose.evaluate(&scene, 2.0, &clicks);
    assert_eq!(pose.world[1].w_axis.y, 4.0);
}

/// A square of `cells` by `cells` in the plane z = 0, from −1 to 1.
fn grid(cells: u32) -> Primitive {
    let step = 2.0 / cells as f32;
    let mut vertices = Vec::new();
    for y in 0..=cells {
        for x in 0..=cells {
            let position = [x as f32 * step - 1.0, y as f32 * step - 1.0, 0.0];
            vertices.push(Vertex { position, ..Vertex::default() });
        }
    }
    let mut indices = Vec::new();
    for y in 0..cells {
        for x in 0..cells {
            let a = y * (cells + 1) + x;
            let b = a + cells + 1;
            indices.extend([a, a + 1, b, b, a + 1, b + 1]);
        }
    }
    let bounds = Aabb { min: Vec3::new(-1.0, -1.0, 0.0), max: Vec3::new(1.0, 1.0, 0.0) };
    Primitive { vertices, influences: None, indices, material: 0, bounds }
}

fn down(x: f32, y: f32) -> Ray {
    Ray { origin: Vec3::new(x, y, 10.0), direction: Vec3::NEG_Z }
}

#[test]
fn the_nearest_node_is_picked() {
    // Small ones are searched in order, large ones by a tree: both must agree.
    for cells in [1, 7, 60] {
        let mut scene = Scene {
            nodes: vec![node(None, Vec3::ZERO), node(None, Vec3::new(0.5, 0.0, 2.0))],
            meshes: vec![Mesh { primitives: vec![grid(cells)] }],
            ..Scene::default()
        };
        scene.nodes.iter_mut().for_each(|node| node.mesh = Some(0));
        scene.nodes[1].rest.rotation = Quat::from_rotation_y(PI);
        let pose = Pose::new(&scene);
        let index = PickIndex::new(&scene);
        let pick = |ray| index.pick(&scene, &pose, ray).map(|hit| (hit.node, hit.distance));
        for (x, y, expected) in [
            (-0.9, 0.3, Some((0, 10.0))),
            (0.31, -0.77, Some((1, 8.0))),
            (1.4, 0.9, Some((1, 8.0))),
            (1.6, 0.0, None),
            (0.0, 1.01, None),
        ] {
            let found = pick(down(x, y));
            assert_eq!(found.map(|hit| hit.0), expected.map(|hit| hit.0), "{cells}: {x} {y}");
            if let (Some(found), Some(expected)) = (found, expected) {
                assert!((found.1 - expected.1).abs() < 1e-4, "{cells}: {found:?}");
            }
        }
        let away = Ray { origin: Vec3::new(0.0, 0.0, 10.0), direction: Vec3::Z };
        assert_eq!(pick(away), None, "behind the eye");
        let broken = Ray { origin: Vec3::NAN, direction: Vec3::Z };
        assert_eq!(pick(broken), None);
    }
}

#[test]
fn a_tree_finds_what_a_search_finds() {
    // Bent, so that triangles hide each other.
    let mut primitive = grid(40);
    for vertex in &mut primitive.vertices {
        vertex.position[2] = (vertex.position[0] * 9.0).sin() * (vertex.position[1] * 7.0).cos();
    }
    primitive.bounds = Aabb { min: Vec3::NEG_ONE, max: Vec3::ONE };
    let triangles: Vec<[u32; 3]> = primitive
        .indices
        .chunks_exact(3)
        .map(|triangle| [triangle[0], triangle[1], triangle[2]])
        .collect();
    let one = |primitive: Primitive| Scene {
        nodes: vec![Node { mesh: Some(0), ..Node::default() }],
        meshes: vec![Mesh { primitives: vec![primitive] }],
        ..Scene::default()
    };
    let whole = one(primitive.clone());
    // In parts below the size that gets a tree.
    let mut parts = one(primitive.clone());
    parts.meshes[0].primitives = triangles
        .chunks(900)
        .map(|part| Primitive { indices: part.concat(), ..primitive.clone() })
        .collect();
    let (tree, search) = (PickIndex::new(&whole), PickIndex::new(&parts));
    let pose = Pose::new(&whole);
    let mut hits = 0;
    for step in 0..2_000 {
        let (a, b) = (step as f32 * 0.37, step as f32 * 0.11);
        let origin = Vec3::new(a.sin() * 3.0, b.cos() * 3.0, a.cos() * 3.0);
        let target = Vec3::new(b.sin(), a.sin() * 0.8, 0.0);
        let ray = Ray { origin, direction: target - origin };
        let found = tree.pick(&whole, &pose, ray);
        assert_eq!(found, search.pick(&parts, &pose, ray), "{ray:?}");
        hits += usize::from(found.is_some());
    }
    assert!(hits > 500, "{hits}");
}

#[test]
fn skinned_meshes_are_picked_where_their_joints_are() {
    let mut primitive = grid(2);
    primitive.influences =
        Some(vec![Influence { joints: [0; 4], weights: [1.0, 0.0, 0.0, 0.0] }; 9]);
    let scene = Scene {
        nodes: vec![
            Node { mesh: Some(0), skin: Some(0), ..Node::default() },
            node(None, Vec3::new(50.0, 0.0, 0.0)),
        ],
        meshes: vec![Mesh { primitives: vec![primitive] }],
        skins: vec![Skin { joints: vec![1], inverse_bind: vec![Mat4::IDENTITY] }],
        ..Scene::default()
    };
    let pose = Pose::new(&scene);
    let index = PickIndex::new(&scene);
    assert_eq!(index.pick(&scene, &pose, down(50.5, 0.5)).map(|hit| hit.node), Some(0));
    assert_eq!(index.pick(&scene, &pose, down(0.0, 0.0)), None, "not where its node is");
}

#[test]
fn flattened_nodes_are_passed_over() {
    let mut flat = node(None, Vec3::ZERO);
    flat.rest.scale = Vec3::new(1.0, 0.0, 1.0);
    flat.mesh = Some(0);
    let scene = Scene {
        nodes: vec![flat],
        meshes: vec![Mesh { primitives: vec![grid(1)] }],
        ..Scene::default()
    };
    assert_eq!(PickIndex::new(&scene).pick(&scene, &Pose::new(&scene), down(0.0, 0.0)), None);
}
