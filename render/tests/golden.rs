//! Pictures of small scenes against committed ones.
//!
//! Thresholds leave room for another driver's rounding, not for another picture. After a change that is meant, look
//! at the new pictures and commit them: `NEARLIGHT_BLESS=1 cargo test -p nearlight-render --test golden`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "golden/support.rs"]
mod support;

use std::f32::consts::PI;

use glam::{Mat4, Quat, Vec2, Vec3, Vec4};
use media::{Rect, Size};
use nearlight_render::draw::{RenderSettings, ToneMap};
use nearlight_render::scene::{
    AlphaMode, Environment, Influence, LightKind, Material, Node, Sampler, Scene, Skin, TextureUse,
    Transform, Wrap,
};
use support::{
    Builder, Pose, SAMPLER, SIZE, blend, compare, draw, draw_pose, matte, square, used, vertex,
    view,
};

fn whole(eye: Vec3, target: Vec3) -> [nearlight_render::draw::ViewParams; 1] {
    [view(eye, target, Rect::whole(SIZE))]
}

/// A panorama with a bright window, a dark floor and coloured sides.
fn studio() -> Environment {
    let (width, height) = (256_u32, 128_u32);
    let radiance = (0..width * height)
        .map(|at| {
            let (u, v) = ((at % width) as f32 / width as f32, (at / width) as f32 / height as f32);
            let window = (u - 0.35).abs() < 0.06 && (v - 0.35).abs() < 0.12;
            let base = if v > 0.5 { Vec3::new(0.16, 0.13, 0.11) } else { Vec3::new(0.3, 0.4, 0.6) };
            let side = Vec3::new(0.5, 0.1, 0.05) * (1.0 - ((u - 0.75) * 8.0).abs()).max(0.0);
            (base + side + if window { Vec3::splat(12.0) } else { Vec3::ZERO }).to_array()
        })
        .collect();
    Environment::Picture { width, height, radiance }
}

fn material_grid() -> Scene {
    let mut b = Builder::new();
    b.scene.environment = studio();
    for row in 0..3 {
        for column in 0..6 {
            let material = Material {
                metallic: row as f32 / 2.0,
                roughness: column as f32 / 5.0,
                ..matte(Vec3::new(0.95, 0.64, 0.3))
            };
            let material = b.material(material);
            let sphere = b.sphere(material, 24);
            b.at(sphere, Vec3::new(column as f32 - 2.5, 1.0 - row as f32, 0.0), 0.45);
        }
    }
    b.sun(Vec3::new(-0.4, 0.8, 0.6), 2.0);
    b.finish()
}

#[test]
fn spheres_from_smooth_to_rough_and_glass_to_metal() {
    let shot = draw(&material_grid(), &whole(Vec3::Z * 5.5, Vec3::ZERO), RenderSettings::default());
    compare("materials", &shot);
}

#[test]
fn multisampling_and_the_other_tone_maps() {
    let settings =
        RenderSettings { samples: 4, tone_map: ToneMap::AgX, exposure: 1.3, ..Default::default() };
    compare(
        "multisampled-agx",
        &draw(&material_grid(), &whole(Vec3::Z * 5.5, Vec3::ZERO), settings),
    );
    let settings = RenderSettings { tone_map: ToneMap::Aces, ..Default::default() };
    compare("aces", &draw(&material_grid(), &whole(Vec3::Z * 5.5, Vec3::ZERO), settings));
}

#[test]
fn opaque_masked_and_blended_surfaces_with_shadows() {
    let mut b = Builder::new();
    b.scene.environment = Environment::default();
    let dots = b.image(64, 64, |x, y| {
        let d = Vec2::new((x % 16) as f32 - 7.5, (y % 16) as f32 - 7.5).length();
        [230, 180, 60, if d < 5.5 { 255 } else { 0 }]
    });
    let ground = b.material(matte(Vec3::splat(0.6)));
    let masked = Material {
        base_color_texture: Some(used(dots)),
        alpha: AlphaMode::Mask(0.5),
        double_sided: true,
        ..matte(Vec3::ONE)
    };
    let masked = b.material(masked);
    let red = b.material(blend(matte(Vec3::new(0.9, 0.1, 0.1)), 0.5));
    let green = b.material(blend(matte(Vec3::new(0.1, 0.9, 0.1)), 0.5));
    let unlit = Material { unlit: true, ..blend(matte(Vec3::new(0.2, 0.4, 1.0)), 0.6) };
    let unlit = b.material(unlit);
    let floor = b.square(ground);
    b.at(floor, Vec3::ZERO, 6.0);
    let up = Quat::from_rotation_x(PI / 2.0);
    // Drawn in the wrong order on purpose: the list sorts.
    for (material, at) in [
        (masked, Vec3::new(-2.2, 1.0, 0.0)),
        (green, Vec3::new(1.2, 1.0, 0.6)),
        (red, Vec3::new(0.6, 1.2, -0.4)),
        (unlit, Vec3::new(2.6, 0.9, 0.2)),
    ] {
        let panel = b.square(material);
        b.place(panel, Transform { translation: at, rotation: up, scale: Vec3::splat(0.9) });
    }
    b.sun(Vec3::new(0.3, 0.7, 0.6), 3.0);
    compare(
        "alpha",
        &draw(
            &b.finish(),
            &whole(Vec3::new(0.0, 2.6, 6.0), Vec3::Y * 0.7),
            RenderSettings::default(),
        ),
    );
}

/// A strip along y of 12 segments on two joints.
fn strip() -> (Scene, Pose) {
    let mut b = Builder::new();
    b.scene.environment = Environment::default();
    let material = Material { double_sided: true, ..matte(Vec3::new(0.2, 0.6, 0.9)) };
    let material = b.material(material);
    let (mut vertices, mut influences, mut indices) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..=12_u16 {
        let t = f32::from(step) / 12.0;
        for x in [-0.4, 0.4] {
            vertices.push(vertex(Vec3::new(x, t * 3.0, 0.0), Vec3::Z, Vec3::X, Vec2::new(x, t)));
            influences.push(Influence { joints: [0, 1, 0, 0], weights: [1.0 - t, t, 0.0, 0.0] });
        }
    }
    for step in 0..12 {
        let a = step * 2;
        indices.extend([a, a + 1, a + 2, a + 2, a + 1, a + 3]);
    }
    let mesh = b.mesh(vertices, indices, material);
    b.scene.meshes[mesh].primitives[0].influences = Some(influences);
    let ground = b.material(matte(Vec3::splat(0.5)));
    let floor = b.square(ground);
    b.at(floor, Vec3::ZERO, 6.0);
    let root = b.scene.nodes.len();
    b.scene.nodes.push(Node::default());
    b.scene.nodes.push(Node { parent: Some(root), ..Node::default() });
    let bind = vec![Mat4::IDENTITY, Mat4::IDENTITY];
    b.scene.skins.push(Skin { joints: vec![root, root + 1], inverse_bind: bind });
    // Its own matrix must not matter.
    let rest = Transform { translation: Vec3::X * 50.0, ..Default::default() };
    b.scene.nodes.push(Node { mesh: Some(mesh), skin: Some(0), rest, ..Node::default() });
    b.sun(Vec3::new(0.5, 0.8, 0.5), 3.0);
    let scene = b.finish();
    let mut pose = Pose::rest(&scene);
    pose.world[root + 1] = Mat4::from_rotation_translation(
        Quat::from_rotation_z(-0.9) * Quat::from_rotation_y(0.15),
        Vec3::new(0.3, 0.0, 0.2),
    );
    pose.joints = pose.joints(&scene);
    (scene, pose)
}

#[test]
fn a_strip_bends_with_its_joints_and_so_does_its_shadow() {
    let (scene, pose) = strip();
    let views = whole(Vec3::new(0.5, 2.2, 6.0), Vec3::new(0.6, 1.1, 0.0));
    compare("skin", &draw_pose(&scene, &pose, &views, RenderSettings::default(), SIZE));
}

#[test]
fn point_spot_and_second_directional_lights_and_a_flash() {
    let mut b = Builder::new();
    b.scene.environment = support::uniform(Vec3::splat(0.03));
    let ground = b.material(Material { roughness: 0.4, ..matte(Vec3::splat(0.6)) });
    let white = b.material(matte(Vec3::splat(0.8)));
    let floor = b.square(ground);
    let sphere = b.sphere(white, 24);
    b.at(floor, Vec3::ZERO, 6.0);
    let mut flashing = 0;
    for x in [-2.0, 0.0, 2.0] {
        flashing = b.at(sphere, Vec3::new(x, 0.7, 0.0), 0.7);
    }
    let warm = Vec3::new(1.0, 0.6, 0.3);
    let far = f32::INFINITY;
    b.light(
        LightKind::Directional,
        Vec3::new(0.5, 0.6, 1.0),
        0.6,
        far,
        Vec3::new(-1.0, 1.0, 1.0),
        Vec3::ZERO,
    );
    b.light(
        LightKind::Directional,
        Vec3::new(0.2, 1.0, 0.4),
        0.3,
        far,
        Vec3::new(1.0, 0.5, -1.0),
        Vec3::ZERO,
    );
    b.light(LightKind::Point, warm, 6.0, 4.0, Vec3::new(-1.0, 1.6, 1.2), Vec3::ZERO);
    let cone = LightKind::Spot { inner: 0.2, outer: 0.35 };
    b.light(cone, Vec3::ONE, 40.0, far, Vec3::new(1.0, 4.0, 2.0), Vec3::new(1.0, 0.0, 1.0));
    let scene = b.finish();
    let mut pose = Pose::rest(&scene);
    pose.highlights[flashing] = 0.7;
    let views = whole(Vec3::new(0.0, 2.6, 6.0), Vec3::Y * 0.6);
    compare("lights", &draw_pose(&scene, &pose, &views, RenderSettings::default(), SIZE));
}

#[test]
fn textures_with_transforms_second_coordinates_and_wrapping() {
    let mut b = Builder::new();
    b.scene.environment = Environment::default();
    // Red to the right, green down, white upper left corner.
    let colors = b.image(64, 64, |x, y| {
        if x < 16 && y < 16 { [255; 4] } else { [x as u8 * 4, y as u8 * 4, 40, 255] }
    });
    let bumps = b.image(64, 64, |x, y| {
        let d = Vec2::new((x % 32) as f32 - 15.5, (y % 32) as f32 - 15.5) / 16.0;
        let n = if d.length() < 0.8 { Vec3::new(d.x, -d.y, 1.0).normalize() } else { Vec3::Z };
        let n = (n * 0.5 + 0.5) * 255.0;
        [n.x as u8, n.y as u8, n.z as u8, 255]
    });
    let data = b.image(64, 64, |x, y| {
        [if (x / 16) % 2 == 0 { 255 } else { 90 }, (y * 4) as u8, if x > 31 { 255 } else { 0 }, 255]
    });
    let clamped = Sampler { wrap_u: Wrap::Clamp, wrap_v: Wrap::Mirror, ..SAMPLER };
    b.scene.textures.push(nearlight_render::scene::Texture { image: 0, sampler: clamped });
    let transformed = TextureUse {
        offset: Vec2::new(0.5, 0.0),
        rotation: 0.5,
        scale: Vec2::splat(2.0),
        ..used(colors)
    };
    let second =
        TextureUse { uv_set: 1, scale: Vec2::splat(2.0), offset: Vec2::splat(-0.5), ..used(3) };
    let base = matte(Vec3::ONE);
    let panels = [
        Material { base_color_texture: Some(used(colors)), ..base.clone() },
        Material { base_color_texture: Some(transformed), ..base.clone() },
        Material { base_color_texture: Some(second), ..base.clone() },
        Material { normal_texture: Some(used(bumps)), roughness: 0.4, ..base.clone() },
        Material {
            metallic: 1.0,
            metallic_roughness_texture: Some(used(data)),
            occlusion_texture: Some(used(data)),
            ..base.clone()
        },
        Material {
            emissive: Vec3::splat(1.5),
            emissive_texture: Some(used(colors)),
            ..matte(Vec3::ZERO)
        },
    ];
    for (index, material) in panels.into_iter().enumerate() {
        let material = b.material(material);
        let (mut vertices, indices) = square();
        if index == 0 {
            // Vertex colours multiply: darker towards the lower right.
            vertices[2].color = [80, 80, 80, 255].map(|code| code * 257);
        }
        let panel = b.mesh(vertices, indices, material);
        let at = Vec3::new((index % 3) as f32 * 2.1 - 2.1, 1.05 - (index / 3) as f32 * 2.1, 0.0);
        let rest = Transform {
            translation: at,
            rotation: Quat::from_rotation_x(PI / 2.0),
            scale: Vec3::ONE,
        };
        b.place(panel, rest);
    }
    b.sun(Vec3::new(-0.5, 0.6, 0.8), 2.5);
    compare(
        "textures",
        &draw(&b.finish(), &whole(Vec3::Z * 5.4, Vec3::ZERO), RenderSettings::default()),
    );
}

#[test]
fn two_eyes_share_a_picture() {
    let mut b = Builder::new();
    b.scene.environment = Environment::default();
    let ground = b.material(matte(Vec3::splat(0.5)));
    let red = b.material(Material {
        base_color: Vec4::new(0.8, 0.1, 0.1, 1.0),
        roughness: 0.3,
        ..matte(Vec3::ONE)
    });
    let floor = b.square(ground);
    let ball = b.sphere(red, 24);
    b.at(floor, Vec3::ZERO, 6.0);
    b.at(ball, Vec3::new(0.0, 0.8, 0.0), 0.8);
    // A mirrored node must not turn inside out.
    let rest = Transform {
        translation: Vec3::new(1.2, 0.5, -2.0),
        scale: Vec3::new(-0.5, 0.5, 0.5),
        ..Default::default()
    };
    b.place(ball, rest);
    b.sun(Vec3::new(0.5, 0.8, 0.4), 3.0);
    let scene = b.finish();
    let eyes = |size: Size| {
        let half = |x| Rect { x, y: 0, width: size.width / 2, height: size.height };
        let eye = |x| Vec3::new(x, 1.6, 4.0);
        [
            view(eye(-0.3), Vec3::new(-0.3, 0.8, 0.0), half(0)),
            view(eye(0.3), Vec3::new(0.3, 0.8, 0.0), half(size.width / 2)),
        ]
    };
    let both = draw(&scene, &eyes(SIZE), RenderSettings::default());
    compare("stereo", &both);

    // Each half is what its eye sees alone.
    let mut alone = eyes(SIZE)[1];
    alone.region = Rect { x: 0, ..alone.region };
    let size = Size::new(SIZE.width / 2, SIZE.height);
    let right = draw_pose(&scene, &Pose::rest(&scene), &[alone], RenderSettings::default(), size);
    for y in 0..SIZE.height {
        for x in 0..size.width {
            let difference = (both.linear_at(x + size.width, y) - right.linear_at(x, y)).abs();
            assert!(difference.max_element() < 2e-3, "{x} {y}: {difference}");
        }
    }
}
