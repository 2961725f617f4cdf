//! What light must do whatever the pictures look like: checks against closed forms, in linear values.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "golden/support.rs"]
mod support;

use std::f32::consts::PI;

use glam::Vec3;
use media::{Rect, Size};
use nearlight_render::draw::{
    DrawError, DrawList, RenderSettings, Renderer, SceneGpu, SessionTargets,
};
use nearlight_render::scene::{LightKind, Material};
use support::{Builder, Pose, SIZE, draw, draw_pose, gpu, matte, uniform, used, view};

const NO_SHADOW: RenderSettings = RenderSettings {
    samples: 1,
    shadow_size: 0,
    moving_casters: true,
    tone_map: nearlight_render::draw::ToneMap::Neutral,
    exposure: 1.0,
};

/// Linear radiance in the middle of a picture that looks straight down on a square.
fn plane_from_above(material: Material, build: impl FnOnce(&mut Builder)) -> Vec3 {
    let mut b = Builder::new();
    b.scene.environment = uniform(Vec3::ZERO);
    let material = b.material(material);
    let square = b.square(material);
    b.at(square, Vec3::ZERO, 10.0);
    build(&mut b);
    // Not quite above, where "up" would be undefined; the middle pixel still looks at the origin.
    let eye = Vec3::new(0.0, 5.0, 0.001);
    draw(&b.finish(), &[view(eye, Vec3::ZERO, Rect::whole(SIZE))], NO_SHADOW).linear_at(128, 72)
}

/// The material model in 64 bit for a dielectric seen along its normal, per unit of irradiance perpendicular to the
/// light; glTF 2.0 appendix B with Smith's height-correlated visibility.
fn brdf(albedo: f64, roughness: f64, cos_light: f64) -> f64 {
    let a2 = roughness.powi(4);
    let cos_half_2 = (1.0 + cos_light) / 2.0;
    let fresnel = 0.04 + 0.96 * (1.0 - cos_half_2.sqrt()).powi(5);
    let smith = (a2 + (1.0 - a2) * cos_light * cos_light).sqrt();
    let visibility = 0.5 / (cos_light + smith);
    let distribution = a2 / (std::f64::consts::PI * (cos_half_2 * (a2 - 1.0) + 1.0).powi(2));
    let specular = fresnel * visibility * distribution;
    ((1.0 - fresnel) * albedo / std::f64::consts::PI + specular) * cos_light
}

#[test]
fn a_white_sphere_disappears_in_a_white_furnace() {
    for (metallic, roughness) in [(0.0, 1.0), (0.0, 0.3), (1.0, 1.0), (1.0, 0.2)] {
        let mut b = Builder::new();
        b.scene.environment = uniform(Vec3::splat(0.5));
        let material = b.material(Material { metallic, roughness, ..matte(Vec3::ONE) });
        let sphere = b.sphere(material, 48);
        b.at(sphere, Vec3::ZERO, 1.0);
        let shot =
            draw(&b.finish(), &[view(Vec3::Z * 4.0, Vec3::ZERO, Rect::whole(SIZE))], NO_SHADOW);
        for texel in &shot.linear {
            for value in &texel[..3] {
                assert!((value / 0.5 - 1.0).abs() < 0.02, "{metallic} {roughness}: {texel:?}");
            }
        }
    }
}

#[test]
fn a_plane_gives_back_what_its_brdf_says_of_a_suns_light() {
    let lux = 3.0;
    // Rough ones take the shader's shorter ways.
    for roughness in [0.3_f32, 0.5, 0.75, 0.9, 1.0] {
        for (albedo, angle) in [(0.8_f32, 0.0_f32), (0.8, 0.7), (0.18, 1.0)] {
            let towards = Vec3::new(angle.sin(), angle.cos(), 0.0);
            let material = Material { roughness, ..matte(Vec3::splat(albedo)) };
            let seen = plane_from_above(material, |b| b.sun(towards, lux));
            let expected = brdf(albedo.into(), roughness.into(), towards.y.into()) as f32 * lux;
            // The shorter way makes the reflection a constant; of a dark surface it is a larger part.
            let allowed = match (roughness < 0.7, albedo > 0.5) {
                (true, _) => 0.01,
                (false, true) => 0.03,
                (false, false) => 0.12,
            };
            let off = seen.x / expected - 1.0;
            assert!(off.abs() < allowed, "{roughness} {albedo} {angle}: {seen} {expected} {off}");
        }
    }
}

#[test]
fn diffuse_light_alone_is_albedo_over_pi_times_irradiance() {
    // The difference of two albedos takes the surface's reflection out.
    let seen =
        |albedo: f32| plane_from_above(matte(Vec3::splat(albedo)), |b| b.sun(Vec3::Y, 2.0)).x;
    let diffuse = (seen(0.9) - seen(0.1)) / 0.8;
    // F0 = 4% is reflected before it can scatter.
    assert!((diffuse / (2.0 / PI * 0.96) - 1.0).abs() < 0.01, "{diffuse}");
}

#[test]
fn a_points_light_falls_with_the_square_of_distance_and_ends_at_its_range() {
    let seen = |height: f32, range: f32| {
        plane_from_above(matte(Vec3::splat(0.5)), |b| {
            b.light(LightKind::Point, Vec3::ONE, 10.0, range, Vec3::Y * height, Vec3::ZERO);
        })
        .x
    };
    let near = seen(1.0, f32::INFINITY);
    assert!((near / seen(2.0, f32::INFINITY) - 4.0).abs() < 0.04);
    // KHR_lights_punctual: 1 − (d / range)⁴.
    assert!((seen(1.0, 2.0) / near - (1.0 - 1.0 / 16.0)).abs() < 0.01);
    assert_eq!(seen(2.5, 2.0), 0.0);
}

#[test]
fn a_spot_ends_at_its_outer_cone() {
    let seen = |aim: Vec3| {
        plane_from_above(matte(Vec3::splat(0.5)), |b| {
            let kind = LightKind::Spot { inner: 0.2, outer: 0.4 };
            b.light(kind, Vec3::ONE, 10.0, f32::INFINITY, Vec3::Y * 2.0, aim);
        })
        .x
    };
    let middle = seen(Vec3::ZERO);
    let half_way = seen(Vec3::X * 2.0 * 0.3_f32.tan());
    assert!(middle > 0.1);
    assert!(half_way > 0.1 * middle && half_way < 0.5 * middle, "{half_way} of {middle}");
    assert_eq!(seen(Vec3::X * 2.0 * 0.45_f32.tan()), 0.0);
}

#[test]
fn unlit_colours_reach_the_display_as_they_are() {
    // sRGB code 188 is 0.5029 in linear light; 255 is 1.
    for (linear, code) in
        [(Vec3::splat(0.5029), [188; 3]), (Vec3::new(1.0, 0.5029, 0.0), [255, 188, 0])]
    {
        let mut b = Builder::new();
        let material =
            Material { base_color: linear.extend(1.0), unlit: true, ..Material::default() };
        let material = b.material(material);
        let square = b.square(material);
        b.at(square, Vec3::ZERO, 10.0);
        b.sun(Vec3::Y, 5.0);
        let eye = Vec3::new(0.0, 5.0, 0.001);
        let settings = RenderSettings { exposure: 3.0, ..NO_SHADOW };
        let shot = draw(&b.finish(), &[view(eye, Vec3::ZERO, Rect::whole(SIZE))], settings);
        for y in 70..74 {
            for (seen, wanted) in shot.rgb_at(128, y).into_iter().zip(code) {
                assert!(i16::from(seen).abs_diff(wanted) <= 1, "{seen} {wanted}");
            }
        }
    }
}

#[test]
fn the_tone_map_is_khronos_neutral_with_srgb_encoding() {
    // Below 0.08 − the toe, in the middle, and compressed; from the specification's formula.
    for (radiance, expected) in
        [(0.05_f64, 0.05 - 0.034375), (0.5, 0.46), (4.0, 1.0 - 0.0576 / 3.44)]
    {
        let mut b = Builder::new();
        b.scene.environment = uniform(Vec3::splat(radiance as f32));
        let shot = draw(&b.finish(), &[view(Vec3::Z, Vec3::ZERO, Rect::whole(SIZE))], NO_SHADOW);
        let linear: f64 = if radiance > 0.8 { expected } else { expected.max(0.0) };
        let code = if linear <= 0.0031308 {
            linear * 12.92
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        } * 255.0;
        let mean: f64 =
            shot.rgba.chunks(4).map(|p| f64::from(p[0])).sum::<f64>() / SIZE.pixels() as f64;
        assert!((mean - code).abs() < 0.5, "{radiance}: {mean} {code}");
    }
}

/// With the constants that stand in the shader.
#[test]
fn the_power_of_srgb_by_roots_is_within_a_quarter_of_a_code_value() {
    let shader = include_str!("../../shaders/tonemap.wgsl");
    let line = shader.lines().find(|line| line.contains("let power =")).expect("the polynomial");
    let numbers = line.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let numbers: Vec<f64> =
        numbers.filter(|text| text.contains('.')).map(|text| text.parse().unwrap()).collect();
    let [root2, root4, root8, linear] = numbers[..] else { panic!("{line}") };
    for step in 0..=100_000 {
        let c: f64 = 0.003_130_8 + (1.0 - 0.003_130_8) * f64::from(step) / 100_000.0;
        let exact = 1.055 * c.powf(1.0 / 2.4) - 0.055;
        let by_roots = root2 * c.sqrt() + root4 * c.powf(0.25) - root8 * c.powf(0.125) - linear * c;
        assert!((by_roots - exact).abs() * 255.0 <= 0.25, "{c}: {by_roots}, not {exact}");
    }
}

#[test]
fn a_shadow_takes_the_suns_light_and_nothing_else() {
    let scene = |blocked: bool| {
        let mut b = Builder::new();
        let material = b.material(matte(Vec3::splat(0.5)));
        let square = b.square(material);
        let sphere = b.sphere(material, 24);
        b.at(square, Vec3::ZERO, 10.0);
        if blocked {
            b.at(sphere, Vec3::new(0.0, 6.0, 0.0), 1.0);
        }
        b.sun(Vec3::Y, 3.0);
        b.finish()
    };
    let eye = Vec3::new(3.0, 3.0, 0.0);
    let views = [view(eye, Vec3::ZERO, Rect::whole(SIZE))];
    let shadows = RenderSettings { shadow_size: 512, ..NO_SHADOW };
    let lit = draw(&scene(false), &views, shadows).linear_at(128, 72);
    let unshadowed = draw(&scene(true), &views, NO_SHADOW).linear_at(128, 72);
    let shadowed = draw(&scene(true), &views, shadows).linear_at(128, 72);
    let mut dark = scene(false);
    dark.lights.clear();
    dark.nodes.retain(|node| node.light.is_none());
    let without_sun = draw(&dark, &views, shadows).linear_at(128, 72);
    assert!((lit - unshadowed).length() < 1e-3);
    assert!((shadowed - without_sun).length() < 1e-3, "{shadowed} {without_sun}");
    assert!(lit.x > 2.0 * shadowed.x);
}

#[test]
fn emitted_light_and_the_flash_add_up() {
    let mut b = Builder::new();
    b.scene.environment = uniform(Vec3::ZERO);
    // Shiny, dull, and with a map of one white texel.
    let white = b.image(1, 1, |_, _| [255; 4]);
    let emissive = Vec3::new(0.5, 1.0, 2.0);
    for (roughness, map) in [(0.3, None), (0.9, None), (0.9, Some(used(white)))] {
        let material = Material { emissive, roughness, emissive_texture: map, ..matte(Vec3::ZERO) };
        let material = b.material(material);
        let square = b.square(material);
        b.at(square, Vec3::X * (b.scene.nodes.len() as f32 * 2.5 - 2.5), 1.0);
    }
    let scene = b.finish();
    let mut pose = Pose::rest(&scene);
    let eye = Vec3::new(0.0, 8.0, 0.001);
    let views = [view(eye, Vec3::ZERO, Rect::whole(SIZE))];
    let at = [74, 128, 182];
    let plain = draw_pose(&scene, &pose, &views, NO_SHADOW, SIZE);
    pose.highlights = vec![1.0; 3];
    let flash = draw_pose(&scene, &pose, &views, NO_SHADOW, SIZE);
    let added = flash.linear_at(at[0], 72) - plain.linear_at(at[0], 72);
    assert!(added.min_element() > 0.1, "{added}");
    for x in at {
        assert!((plain.linear_at(x, 72) - emissive).length() < 0.01, "{}", plain.linear_at(x, 72));
        let again = flash.linear_at(x, 72) - plain.linear_at(x, 72);
        assert!((again - added).length() < 0.01, "{again} {added}");
    }
}

#[test]
fn bad_regions_sizes_and_settings_are_errors() {
    let gpu = gpu();
    let bad = |settings| Renderer::new(&gpu, settings).err();
    assert_eq!(bad(RenderSettings { samples: 3, ..NO_SHADOW }), Some(DrawError::Samples(3)));
    assert!(matches!(
        bad(RenderSettings { shadow_size: 1 << 20, ..NO_SHADOW }),
        Some(DrawError::Size(_))
    ));
    // Two are drawn where the device can, and refused where not, but never attempted in vain.
    let before = gpu.errors();
    match Renderer::new(&gpu, RenderSettings { samples: 2, ..NO_SHADOW }) {
        Ok(renderer) => {
            let uploaded = SceneGpu::upload(&gpu, &Builder::new().finish()).unwrap();
            renderer.prepare(&gpu, &uploaded).unwrap();
        }
        Err(error) => assert_eq!(error, DrawError::Samples(2)),
    }
    assert_eq!(gpu.errors(), before);
    let scene = Builder::new().finish();
    let uploaded = SceneGpu::upload(&gpu, &scene).unwrap();
    let renderer = Renderer::new(&gpu, NO_SHADOW).unwrap();
    let mut targets = SessionTargets::new();
    let mut list = DrawList::new();
    let region = Rect { x: 200, y: 0, width: 100, height: 100 };
    list.build(&uploaded, Pose::rest(&scene).as_ref(), &[view(Vec3::Z, Vec3::ZERO, region)]);
    let mut encoder =
        gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut result = |size| renderer.draw(&mut encoder, &uploaded, &mut targets, &list, size).err();
    assert_eq!(result(SIZE), Some(DrawError::Region { region, size: SIZE }));
    let empty = Size::new(0, 100);
    assert_eq!(result(empty), Some(DrawError::Size(empty)));
}
