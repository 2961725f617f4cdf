//! Real scenes as pictures: what npm packages and Debian's `assimp-testmodels` hold, loaded, uploaded, drawn as a player
//! first sees them, and compared with committed pictures. `make setup` installs them; without them these tests fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "scenes_support/files.rs"]
mod files;
mod scenes_support;
#[path = "golden/support.rs"]
mod support;

use std::path::Path;

use glam::{Mat4, Vec3};
use media::{Fov, MediaTime, Rect, Size};
use nearlight_render::camera::CameraRig;
use nearlight_render::draw::{RenderSettings, ViewParams, perspective};
use nearlight_render::scene::{
    Clicks, LoadLimits, Pose as ScenePose, Scene, load_scene, load_scene_bytes,
};
use scenes_support::Glb;
use serde_json::json;
use support::{Pose, Shot, compare, draw_pose};

const PICTURE: Size = Size::new(320, 180);

fn load(path: &Path) -> Scene {
    load_scene(path, &LoadLimits::default()).unwrap().scene
}

/// What a player sees who opens the scene and waits `seconds`.
fn first_view(scene: &Scene, seconds: f64) -> Shot {
    let mut at = ScenePose::new(scene);
    at.evaluate(scene, seconds, &Clicks::new());
    let pose = Pose { world: at.world, joints: at.joint_matrices, highlights: at.highlight };
    let camera = CameraRig::new(scene).advance(MediaTime::ZERO);
    let up = (camera.fov_y * 0.5).tan();
    let side = up * PICTURE.width as f32 / PICTURE.height as f32;
    let view = ViewParams {
        clip_from_view: perspective(Fov { left: side, right: side, up, down: up }, camera.near),
        view_from_world: Mat4::from_rotation_translation(camera.orientation, camera.position)
            .inverse(),
        region: Rect::whole(PICTURE),
    };
    draw_pose(scene, &pose, &[view], RenderSettings::default(), PICTURE)
}

fn pmndrs_model(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let assets = files::package("@pmndrs/assets");
    let model = files::pmndrs(&assets.join(format!("models/{name}.glb.js")));
    std::fs::write(folder.path().join("scene.glb"), model).unwrap();
    let studio = files::pmndrs(&assets.join("hdri/apartment.exr.js"));
    std::fs::write(folder.path().join("environment.exr"), studio).unwrap();
    compare(&format!("scene-{name}"), &first_view(&load(folder.path()), 0.0));
}

#[test]
fn a_draco_bunny_under_a_picture_of_a_room() {
    pmndrs_model("bunny");
}

#[test]
fn a_draco_logo_under_a_picture_of_a_room() {
    pmndrs_model("pmndrs");
}

#[test]
fn a_draco_monkey_under_a_picture_of_a_room() {
    pmndrs_model("suzi");
}

fn controller(file: &str) {
    let profiles = files::package("@webxr-input-profiles/assets").join("dist/profiles");
    let name = file.trim_end_matches(".glb").replace('/', "-");
    compare(&format!("scene-{name}"), &first_view(&load(&profiles.join(file)), 0.0));
}

#[test]
fn controllers_with_textures() {
    for file in [
        "meta-quest-touch-pro/left.glb",
        "valve-index/right.glb",
        "htc-vive/none.glb",
        "microsoft-mixed-reality/left.glb",
    ] {
        controller(file);
    }
}

#[test]
fn a_controller_of_plain_shapes() {
    controller("generic-trigger-squeeze-touchpad-thumbstick/right.glb");
}

#[test]
fn skinned_hands() {
    controller("generic-hand/left.glb");
    controller("generic-hand/right.glb");
}

fn assimp(name: &str, file: &str, seconds: f64) {
    let scene = load(&files::assimp().join("glTF2").join(file));
    compare(&format!("scene-{name}"), &first_view(&scene, seconds));
}

#[test]
fn an_engine_of_many_parts() {
    assimp("engine", "2CylinderEngine-glTF-Binary/2CylinderEngine.glb", 0.0);
}

/// The same picture from a Draco stream as from plain accessors, but for its quantisation.
#[test]
fn the_engine_again_from_draco() {
    let scene = load(&files::assimp().join("glTF2/draco/2CylinderEngine.gltf"));
    compare("scene-engine", &first_view(&scene, 0.0));
}

#[test]
fn a_skin_that_bends() {
    assimp("simple-skin", "simple_skin/simple_skin.gltf", 1.2);
}

#[test]
fn textures_moved_turned_and_scaled() {
    assimp("texture-transform", "textureTransform/TextureTransformTest.gltf", 0.0);
}

/// Clear coats are not drawn; what lies under them is.
#[test]
fn normal_maps_and_roughness_under_clear_coats() {
    assimp("clear-coat", "ClearCoat-glTF/ClearCoatTest.gltf", 0.0);
}

/// Morph targets are not drawn; the cube is.
#[test]
fn a_cube_whose_morph_targets_are_ignored() {
    let file = "glTF-Sample-Models/AnimatedMorphCube-glTF/AnimatedMorphCube.gltf";
    assimp("morph-cube", file, 0.5);
}

/// A normal map on a surface that faces along x and has no usable texture coordinates: the default tangent would lie
/// along the normal. A map without bumps then changes nothing.
#[test]
fn a_flat_normal_map_changes_nothing_whatever_the_tangents_are() {
    let mut glb = Glb::new();
    let positions = glb.floats("VEC3", &[0., -1., 1., 0., -1., -1., 0., 1., 0.]);
    let normals = glb.floats("VEC3", &[1., 0., 0.].repeat(3));
    let uvs = glb.floats("VEC2", &[0.5; 6]);
    let tangents = glb.floats("VEC4", &[1., 0., 0., 1.].repeat(3));
    let mut png = std::io::Cursor::new(Vec::new());
    let flat = image::RgbImage::from_pixel(2, 2, image::Rgb([128, 128, 255]));
    flat.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let view = glb.view(&png.into_inner());
    glb.json["images"] = json!([{"bufferView": view, "mimeType": "image/png"}]);
    glb.json["textures"] = json!([{"source": 0}]);
    glb.json["nodes"][0]["mesh"] = 0.into();
    let mut seen = |tangents: Option<usize>, mapped: bool| {
        let mut attributes = json!({"POSITION": positions, "NORMAL": normals, "TEXCOORD_0": uvs});
        if let Some(tangents) = tangents {
            attributes["TANGENT"] = tangents.into();
        }
        let mut material = json!({"pbrMetallicRoughness": {"metallicFactor": 0}});
        if mapped {
            material["normalTexture"] = json!({"index": 0});
        }
        glb.json["materials"] = json!([material]);
        glb.json["meshes"] = json!([{"primitives": [{"attributes": attributes, "material": 0}]}]);
        let loaded = load_scene_bytes("facing x", &glb.bytes(), &LoadLimits::default()).unwrap();
        let size = Size::new(64, 64);
        let view = support::view(Vec3::X * 4.0, Vec3::ZERO, Rect::whole(size));
        let pose = Pose::rest(&loaded.scene);
        let shot = draw_pose(&loaded.scene, &pose, &[view], RenderSettings::default(), size);
        assert!(shot.linear.iter().flatten().all(|value| value.is_finite()));
        shot.linear_at(32, 32)
    };
    let plain = seen(None, false);
    for tangents in [None, Some(tangents)] {
        let mapped = seen(tangents, true);
        assert!(mapped.distance(plain) < 0.02 * plain.length(), "{mapped} {plain}");
    }
}
