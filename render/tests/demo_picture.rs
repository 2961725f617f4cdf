//! What the demo scene looks like and how long it takes to draw. Prints and writes; asserts nothing about
//! time, which is the machine's.
//!
//! `NEARLIGHT_SHOTS=<folder> cargo test -p nearlight-render --test demo_picture -- --ignored --nocapture`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for people, run by name")]

#[path = "golden/support.rs"]
mod support;

use std::time::Instant;

use media::{Rect, Size};
use nearlight_render::draw::{
    DrawList, PoseRef, RenderSettings, Renderer, SceneGpu, SessionTargets, ViewParams,
    camera_projection,
};
use nearlight_render::scene::{Clicks, LoadLimits, LoadedScene, Pose, load_scene_bytes};
use support::gpu;

/// Milliseconds of processor time that this process has taken; on a shared machine they mean more than
/// wall time.
fn processor_ms() -> f64 {
    let nanos = |task: std::fs::DirEntry| -> Option<f64> {
        // A thread may have ended since.
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks.filter_map(nanos).sum::<f64>() / 1e6
}

/// Draws `frames` of the camera named `camera` at 30 a second and saves the last.
fn shoot(loaded: &LoadedScene, camera: &str, size: Size, settings: RenderSettings, frames: u32) {
    let scene = &loaded.scene;
    let gpu = gpu();
    let renderer = Renderer::new(&gpu, settings).unwrap();
    let uploaded = SceneGpu::upload(&gpu, scene).unwrap();
    renderer.prepare(&gpu, &uploaded).unwrap();
    let (mut list, mut targets) = (DrawList::new(), SessionTargets::new());
    let (mut pose, clicks) = (Pose::new(scene), Clicks::new());
    let node = scene.nodes.iter().position(|node| node.name == camera).unwrap();
    let lens = &scene.cameras[scene.nodes[node].camera.unwrap()];
    let mut times = Vec::new();
    let processor = processor_ms();
    for frame in 0..frames {
        let started = Instant::now();
        pose.evaluate(scene, f64::from(frame) / 30.0, &clicks);
        let view = ViewParams {
            clip_from_view: camera_projection(lens, size.width as f32 / size.height as f32),
            view_from_world: pose.world[node].inverse(),
            region: Rect::whole(size),
        };
        let posed = PoseRef {
            world: &pose.world,
            joints: &pose.joint_matrices,
            highlights: &pose.highlight,
        };
        list.build(&uploaded, posed, &[view]);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        renderer.draw(&mut encoder, &uploaded, &mut targets, &list, size).unwrap();
        let submission = gpu.queue().submit([encoder.finish()]);
        let done = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        gpu.device().poll(done).unwrap();
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let processor = (processor_ms() - processor) / f64::from(frames);
    times.sort_by(f64::total_cmp);
    let stats = list.stats();
    println!(
        "{camera} {size} samples {}: p50 {:.1} ms, processor {processor:.1} ms a frame, {} draws, {} casters, {} triangles",
        settings.samples,
        times[times.len() / 2],
        stats.draws,
        stats.casters,
        stats.triangles
    );
    if let Ok(folder) = std::env::var("NEARLIGHT_SHOTS") {
        let rgba = support::read(&gpu, targets.output().unwrap(), 4);
        let image = image::RgbaImage::from_raw(size.width, size.height, rgba).unwrap();
        image.save(format!("{folder}/{camera}-{size}-{}.png", settings.samples)).unwrap();
    }
}

#[test]
#[ignore = "prints timings and writes pictures; run it by name"]
fn pictures_and_frame_times() {
    let started = Instant::now();
    let file = nearlight_render::demo::glb();
    println!("{} bytes made in {} ms", file.len(), started.elapsed().as_millis());
    let loaded = load_scene_bytes("demo", &file, &LoadLimits::default()).unwrap();
    println!("loaded after {} ms", started.elapsed().as_millis());
    let plain = RenderSettings::default();
    let smooth = RenderSettings { samples: 4, shadow_size: 2048, ..plain };
    for camera in ["walk", "orbit"] {
        shoot(&loaded, camera, Size::new(960, 540), smooth, 40);
        shoot(&loaded, camera, Size::new(640, 360), plain, 40);
        shoot(&loaded, camera, Size::new(1280, 720), plain, 40);
    }
}
