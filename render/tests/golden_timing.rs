//! How long a frame takes, by setting and size. Prints; asserts nothing about time, which is the machine's.
//!
//! `cargo test -p nearlight-render --test golden_timing -- --ignored --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and this one prints"
)]

#[path = "golden/support.rs"]
mod support;

use std::time::Instant;

use glam::{Mat4, Quat, Vec3};
use media::{Rect, Size};
use nearlight_render::draw::{
    DrawList, PoseRef, RenderSettings, Renderer, SceneGpu, SessionTargets, ToneMap, ViewParams,
    camera_projection,
};
use nearlight_render::scene::{
    Animation, Channel, Clicks, Environment, Interpolation, LightKind, LoadLimits, Material, Scene,
    Transform, Values, load_scene_bytes,
};
use support::{Builder, Pose, gpu, matte, used, view};

/// A square of 40 m with textures and normal map, 18 spheres of 2,304 triangles in six materials, one of them
/// moving, a sun and three lamps: 41 k triangles.
fn scene(textures: bool, lamps: bool) -> Scene {
    let mut b = Builder::new();
    b.scene.environment = Environment::default();
    let checker = b.image(512, 512, |x, y| {
        let c = if (x / 32 + y / 32) % 2 == 0 { 200 } else { 120 } + (x * 7 + y * 13) as u8 % 24;
        [c, c, c.saturating_sub(16), 255]
    });
    let bumps = b.image(512, 512, |x, y| {
        let bump = |t: u32| (128.0 + 40.0 * (t as f32 * 0.2).sin()) as u8;
        [bump(x), bump(y), 240, 255]
    });
    let mut ground = Material { roughness: 0.8, ..matte(Vec3::splat(0.8)) };
    if textures {
        ground.base_color_texture = Some(used(checker));
        ground.normal_texture = Some(used(bumps));
    }
    let ground = b.material(ground);
    let square = b.square(ground);
    b.at(square, Vec3::ZERO, 20.0);
    let mut spheres = Vec::new();
    for index in 0..6 {
        let hue = Vec3::new(index as f32 / 5.0, 0.5, 1.0 - index as f32 / 5.0) * 0.8 + 0.1;
        let mut material = Material {
            metallic: (index % 2) as f32,
            roughness: 0.15 + index as f32 * 0.15,
            ..matte(hue)
        };
        if textures && index >= 3 {
            material.base_color_texture = Some(used(checker));
        }
        let material = b.material(material);
        spheres.push(b.sphere(material, 24));
    }
    for index in 0..18 {
        let at = Vec3::new((index % 6) as f32 * 2.5 - 6.25, 1.0, (index / 6) as f32 * -3.0);
        b.at(spheres[index % 6], at, 1.0);
    }
    b.sun(Vec3::new(0.5, 0.8, 0.4), 3.0);
    if lamps {
        for x in [-4.0, 0.0, 4.0] {
            b.light(
                LightKind::Point,
                Vec3::new(1.0, 0.6, 0.3),
                8.0,
                5.0,
                Vec3::new(x, 2.5, 1.0),
                Vec3::ZERO,
            );
        }
    }
    b.scene.animations.push(Animation {
        name: "up and down".to_owned(),
        channels: vec![Channel {
            node: 1,
            interpolation: Interpolation::Linear,
            times: vec![0.0],
            values: Values::Translation(vec![Vec3::ZERO]),
        }],
        duration: 1.0,
        looped: true,
    });
    b.finish()
}

/// Milliseconds of processor time so far: rasteriser threads, and everything else. On a shared machine these mean
/// more than wall time.
fn processor_ms() -> (f64, f64) {
    let (mut raster, mut rest) = (0.0, 0.0);
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may have ended since.
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos: f64 =
            read("schedstat").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
        if read("comm").starts_with("llvmpipe") {
            raster += nanos / 1e6;
        } else {
            rest += nanos / 1e6;
        }
    }
    (raster, rest)
}

/// Over a walk around the origin, with one sphere moving.
fn time(name: &str, scene: &Scene, settings: RenderSettings, size: Size) {
    let mut pose = Pose::rest(scene);
    let build = |frame: usize, list: &mut DrawList, uploaded: &SceneGpu| {
        let angle = frame as f32 * 0.01;
        let eye = Quat::from_rotation_y(angle) * Vec3::new(0.0, 4.0, 9.0);
        let at = Vec3::new(-6.25, 1.0 + angle, 0.0);
        let rest = Transform { translation: at, ..Default::default() };
        // The empty scene has no second node to move.
        if let Some(world) = pose.world.get_mut(1) {
            *world = rest.matrix();
        }
        list.build(uploaded, pose.as_ref(), &[view(eye, Vec3::Y, Rect::whole(size))]);
    };
    run(name, scene, settings, size, build);
}

/// From one of the demo's cameras, turning.
fn time_demo(name: &str, scene: &Scene, camera: &str, settings: RenderSettings, size: Size) {
    let mut pose = nearlight_render::scene::Pose::new(scene);
    let node = scene.nodes.iter().position(|node| node.name == camera && node.camera.is_some());
    let node = node.expect("the demo has the camera");
    let projection = scene.cameras[scene.nodes[node].camera.unwrap()];
    let aspect = size.width as f32 / size.height as f32;
    let build = |frame: usize, list: &mut DrawList, uploaded: &SceneGpu| {
        pose.evaluate(scene, frame as f64 / 30.0, &Clicks::default());
        let eye = pose.world[node] * Mat4::from_rotation_y(frame as f32 * 0.01);
        let view = ViewParams {
            clip_from_view: camera_projection(&projection, aspect),
            view_from_world: eye.inverse(),
            region: Rect::whole(size),
        };
        let pose = PoseRef {
            world: &pose.world,
            joints: &pose.joint_matrices,
            highlights: &pose.highlight,
        };
        list.build(uploaded, pose, &[view]);
    };
    run(name, scene, settings, size, build);
}

fn run(
    name: &str,
    scene: &Scene,
    settings: RenderSettings,
    size: Size,
    mut build: impl FnMut(usize, &mut DrawList, &SceneGpu),
) {
    let gpu = gpu();
    let renderer = Renderer::new(&gpu, settings).unwrap();
    let started = Instant::now();
    let uploaded = SceneGpu::upload(&gpu, scene).unwrap();
    let upload = started.elapsed();
    renderer.prepare(&gpu, &uploaded).unwrap();
    let prepare = started.elapsed() - upload;
    let (mut list, mut targets) = (DrawList::new(), SessionTargets::new());
    let (mut total, mut record) = (Vec::new(), Vec::new());
    let processor = processor_ms();
    for frame in 0..60 {
        let started = Instant::now();
        build(frame, &mut list, &uploaded);
        let mut encoder =
            gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        renderer.draw(&mut encoder, &uploaded, &mut targets, &list, size).unwrap();
        let submission = gpu.queue().submit([encoder.finish()]);
        record.push(started.elapsed().as_secs_f64() * 1e3);
        gpu.device()
            .poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None })
            .unwrap();
        total.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let (raster, rest) = processor_ms();
    let (raster, rest) = ((raster - processor.0) / 60.0, (rest - processor.1) / 60.0);
    let quantile = |times: &mut Vec<f64>, q: f64| {
        times.sort_by(f64::total_cmp);
        times[(times.len() as f64 * q) as usize]
    };
    println!(
        "{name:28} {size:>9} samples {} shadow {:4}: p50 {:5.1} p95 {:5.1} ms, CPU raster {raster:5.1} rest {rest:5.1}, record {:4.2} ms, {} draws, {} triangles, upload {} prepare {} ms",
        settings.samples,
        settings.shadow_size,
        quantile(&mut total, 0.5),
        quantile(&mut total, 0.95),
        quantile(&mut record, 0.5),
        list.stats().draws,
        list.stats().triangles,
        upload.as_millis(),
        prepare.as_millis(),
    );
    if let Ok(folder) = std::env::var("NEARLIGHT_SHOTS") {
        let rgba = support::read(&gpu, targets.output().unwrap(), 4);
        let image = image::RgbaImage::from_raw(size.width, size.height, rgba).unwrap();
        image.save(format!("{folder}/{}.png", name.replace(' ', "-"))).unwrap();
    }
}

#[test]
#[ignore = "prints timings; run it by name"]
fn frame_times() {
    let plain = RenderSettings { samples: 1, shadow_size: 0, ..RenderSettings::default() };
    let small = Size::new(640, 360);
    let full = scene(true, true);
    time("empty", &Builder::new().finish(), plain, small);
    time("bare", &scene(false, false), plain, small);
    time("textures", &scene(true, false), plain, small);
    time("lamps", &scene(false, true), plain, small);
    time("textures lamps", &full, plain, small);
    time("shadow", &full, RenderSettings::default(), small);
    time(
        "shadow 2048",
        &full,
        RenderSettings { shadow_size: 2048, ..RenderSettings::default() },
        small,
    );
    time(
        "agx",
        &full,
        RenderSettings { tone_map: ToneMap::AgX, ..RenderSettings::default() },
        small,
    );
    time("msaa", &full, RenderSettings { samples: 4, ..RenderSettings::default() }, small);
    let demo = load_scene_bytes("demo", &nearlight_render::demo::glb(), &LoadLimits::default());
    let demo = demo.expect("the demo loads").scene;
    for size in [small, Size::new(960, 540), Size::new(1280, 720)] {
        time("shadow", &full, RenderSettings::default(), size);
        time_demo("demo walk", &demo, "walk", RenderSettings::default(), size);
        time_demo("demo orbit", &demo, "orbit", RenderSettings::default(), size);
    }
}
