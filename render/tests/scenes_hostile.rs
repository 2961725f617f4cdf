//! Files that are wrong in one way each are refused with a message that names the object; files that
//! are wrong in any way at all never panic and never take long, neither loaded nor shown.

mod common;
mod scenes_support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use media::input::PointerButton;
use media::{
    FrameId, FrameRequest, FrameSource as _, InputEvent, InputSeq, InputSink as _, KeyCode,
    MediaTime, SequencedInput, Size, SourceError, SourceEvent, StageTimes,
};
use nearlight_render::camera::CameraRig;
use nearlight_render::device::{GpuOptions, GpuPool};
use nearlight_render::draw::RenderSettings;
use nearlight_render::scene::{
    Clicks, LoadLimits, LoadedScene, PickIndex, Pose, Scene, SceneError, load_scene,
    load_scene_bytes,
};
use nearlight_render::source::{SceneHost, Stage};
use proptest::prelude::*;
use scenes_support::{F32, Glb, U8, U16, push};
use serde_json::{Value, json};

fn load(glb: &Glb) -> Result<LoadedScene, SceneError> {
    load_scene_bytes("test", &glb.bytes(), &LoadLimits::default())
}

#[track_caller]
fn refused(glb: &Glb, why: &str) {
    let error = load(glb).expect_err("refused").to_string();
    assert!(error.contains(why), "{error:?} does not say {why:?}");
}

/// Sets a value by JSON pointer in a file that otherwise loads.
#[track_caller]
fn with(mut glb: Glb, pointer: &str, value: Value, why: &str) {
    load(&glb).expect("right before the change");
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = glb.json.pointer_mut(parent).expect("a parent");
    match parent {
        Value::Array(list) => list[key.parse::<usize>().expect("an index")] = value,
        other => other[key] = value,
    }
    refused(&glb, why);
}

#[test]
fn graphs_that_are_no_forest_are_refused() {
    let mut glb = Glb::new();
    glb.json["nodes"] = json!([{}, {"name": "Cart", "children": [2]}, {"children": [1]}]);
    refused(&glb, "node 1 \"Cart\" is its own ancestor");
    glb.json["nodes"] = json!([{"children": [0]}]);
    refused(&glb, "node 0 is its own ancestor");
    glb.json["nodes"] = json!([{"children": [2]}, {"children": [2]}, {"name": "Shared"}]);
    refused(&glb, "node 2 \"Shared\" has two parents, nodes 0 and 1");
    glb.json["nodes"] = json!([{"children": [1, 1]}, {}]);
    refused(&glb, "node 1 has two parents");
    glb.json["nodes"] = json!([{"children": [9]}]);
    refused(&glb, "nodes[0].children[0] is an index out of range");
}

#[test]
fn a_deep_graph_is_no_recursion() {
    let mut glb = Glb::new();
    let depth = 90_000;
    let node =
        |index: usize| if index + 1 < depth { json!({"children": [index + 1]}) } else { json!({}) };
    glb.json["nodes"] = (0..depth).map(node).collect();
    let scene = load(&glb).expect("a chain is a tree").scene;
    let mut pose = Pose::new(&scene);
    let mut clicks = Clicks::new();
    clicks.push(depth - 1, 0.0);
    pose.evaluate(&scene, 0.1, &clicks);
    assert!(pose.highlight[depth - 1] > 0.0);
}

#[test]
fn indices_out_of_range_are_refused() {
    let t = Glb::triangle;
    // The validation of the gltf crate would panic on this one.
    with(t(), "/meshes/0/primitives/0/attributes/POSITION", 7.into(), "mesh 0 uses accessor 7");
    with(t(), "/meshes/0/primitives/0/material", 7.into(), "material is an index out of range");
    with(t(), "/meshes/0/primitives/0/indices", 7.into(), "indices is an index out of range");
    with(t(), "/nodes/0/mesh", 7.into(), "nodes[0].mesh is an index out of range");
    with(t(), "/nodes/0/skin", 7.into(), "nodes[0].skin is an index out of range");
    with(t(), "/nodes/0/camera", 7.into(), "nodes[0].camera is an index out of range");
    with(t(), "/accessors/0/bufferView", 7.into(), "accessors[0].bufferView is an index out");
    with(t(), "/bufferViews/0/buffer", 7.into(), "bufferViews[0].buffer is an index out");
    with(t(), "/scene", 7.into(), "scene is an index out of range");
    with(t(), "/scenes/0/nodes", json!([7]), "scenes[0].nodes[0] is an index out of range");
}

#[test]
fn claims_beyond_the_bytes_are_refused_before_memory_is_taken() {
    let t = Glb::triangle;
    with(t(), "/accessors/0/count", 4.into(), "has 4 elements of 12 bytes");
    with(t(), "/accessors/0/count", 4_000_000_000_u64.into(), "too large: the number of vertices");
    with(t(), "/accessors/0/count", u64::MAX.into(), "too large");
    with(t(), "/accessors/0/count", 0.into(), "is empty");
    with(t(), "/accessors/0/byteOffset", 4.into(), "has 3 elements of 12 bytes");
    with(t(), "/accessors/0/byteOffset", u64::MAX.into(), "has 3 elements");
    with(t(), "/bufferViews/0/byteOffset", u64::MAX.into(), "buffer view 0 covers 36 bytes");
    with(t(), "/bufferViews/0/byteLength", 37.into(), "buffer view 0 covers 37 bytes");
    with(t(), "/bufferViews/0/byteStride", 8.into(), "a stride of 8, below its 12 bytes");
    with(t(), "/bufferViews/0/byteStride", 252.into(), "stride 252");
    // Without a view there are no bytes to count: zeros, as many as are claimed.
    let mut glb = t();
    glb.json["accessors"][0] = json!({
        "componentType": F32, "type": "VEC3", "count": 3_000_000_000_u64,
        "sparse": {"count": 1, "indices": {"bufferView": 0, "componentType": U8},
                   "values": {"bufferView": 0}},
    });
    refused(&glb, "too large: the number of vertices");
}

#[test]
fn types_that_do_not_fit_are_refused() {
    let t = Glb::triangle;
    with(
        t(),
        "/accessors/0/type",
        "VEC2".into(),
        "accessor 0 (POSITION of primitive 0 of mesh 0) is Vec2",
    );
    with(t(), "/accessors/0/type", "MAT9".into(), "accessors[0].type has a value");
    with(t(), "/accessors/0/componentType", 5125.into(), "holds 32 bit integers");
    with(t(), "/accessors/0/componentType", 1.into(), "accessors[0].componentType has a value");
    with(t(), "/meshes/0/primitives/0/indices", 0.into(), "is Vec3 where Scalar is needed");
    with(t(), "/meshes/0/primitives/0/mode", 9.into(), "mode has a value");
    let mut glb = t();
    let uvs = glb.floats("VEC2", &[0.0; 4]);
    glb.json["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"] = uvs.into();
    refused(
        &glb,
        "(TEXCOORD_0 of primitive 0 of mesh 0) has 2 elements where the positions have 3",
    );
}

#[test]
fn numbers_that_are_none_are_refused_by_name() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut glb = Glb::triangle();
        glb.binary[12..16].copy_from_slice(&bad.to_le_bytes());
        refused(&glb, "element 1 of accessor 0 (POSITION of primitive 0 of mesh 0) is not finite");
    }
    let t = Glb::triangle;
    // JSON has no infinity, but numbers that single precision has not.
    let huge = json!(1e39);
    with(
        t(),
        "/nodes/0/translation",
        json!([0, huge, 0]),
        "the translation of node 0 \"Root\" is not",
    );
    with(t(), "/nodes/0/scale", json!([0, huge, 0]), "the scale of node 0 \"Root\" is not finite");
    with(t(), "/nodes/0/rotation", json!([0, 0, 0, 0]), "the unit rotation of node 0 \"Root\"");
    let mut matrix = [0.0; 16];
    matrix[5] = 1e39;
    with(t(), "/nodes/0/matrix", json!(matrix), "the matrix of node 0 \"Root\" is not finite");
    let material = |pbr: Value| json!([{"name": "Skin", "pbrMetallicRoughness": pbr}]);
    let pbr = material(json!({"metallicFactor": huge}));
    with(t(), "/materials", pbr, "a factor of material 0 \"Skin\" is not finite");
    let camera = json!([{"type": "perspective", "perspective": {"yfov": 1.0, "znear": huge}}]);
    with(t(), "/cameras", camera, "a property of camera 0 is not finite");
    let camera = json!([{"type": "perspective", "perspective": {"yfov": 4.0, "znear": 0.1}}]);
    with(t(), "/cameras", camera, "camera 0 has an impossible view");
    let lights = json!({"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": huge}]}});
    with(t(), "/extensions", lights, "a property of light 0 is not finite");
    // Finite, but not once they are multiplied.
    let mut glb = t();
    glb.json["nodes"] = json!([{"children": [1], "scale": [1e30, 1e30, 1e30]},
                               {"name": "Child", "scale": [1e30, 1e30, 1e30], "mesh": 0}]);
    refused(&glb, "the world matrix of node 1 \"Child\" is not finite");
    let mut glb = t();
    glb.binary[12..16].copy_from_slice(&3e38_f32.to_le_bytes());
    glb.json["nodes"][0]["scale"] = json!([1e6, 1, 1]);
    refused(&glb, "the size of the scene is not finite");
}

/// A triangle whose node turns.
fn animated() -> Glb {
    let mut glb = Glb::triangle();
    let times = glb.floats("SCALAR", &[0.0, 1.0, 2.0]);
    let values = glb.floats("VEC4", &[0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0]);
    glb.json["animations"] = json!([{
        "name": "Turn",
        "samplers": [{"input": times, "output": values}],
        "channels": [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}],
    }]);
    glb
}

#[test]
fn broken_animations_are_refused() {
    let what = "channel 0 of animation 0 \"Turn\"";
    let sampler = "/animations/0/samplers/0";
    with(animated(), "/animations/0/channels/0/sampler", 9.into(), "is an index out of range");
    with(
        animated(),
        "/animations/0/channels/0/target/node",
        9.into(),
        &format!("{what} has no such node"),
    );
    with(
        animated(),
        "/animations/0/channels/0/target/path",
        "color".into(),
        &format!("{what} has an unknown path"),
    );
    with(
        animated(),
        "/animations/0/channels/0/target/path",
        "scale".into(),
        "is Vec4 where Vec3 is needed",
    );
    with(
        animated(),
        &format!("{sampler}/interpolation"),
        "BEZIER".into(),
        "interpolation has a value",
    );
    with(
        animated(),
        &format!("{sampler}/interpolation"),
        "CUBICSPLINE".into(),
        "has 3 times and 3 values, 3 of them a key",
    );
    let mut glb = animated();
    let at = glb.json["bufferViews"][1]["byteOffset"].as_u64().expect("a number") as usize;
    glb.binary[at + 8..at + 12].copy_from_slice(&0.5_f32.to_le_bytes());
    refused(&glb, &format!("{what} has times that do not ascend at key 2"));
    glb.binary[at + 8..at + 12].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&glb, &format!("element 2 of accessor 1 ({what}) is not finite"));
    glb.binary[at..at + 4].copy_from_slice(&(-1.0_f32).to_le_bytes());
    glb.binary[at + 8..at + 12].copy_from_slice(&2.0_f32.to_le_bytes());
    refused(&glb, &format!("{what} begins before time 0"));
    let mut glb = animated();
    let at = glb.json["bufferViews"][2]["byteOffset"].as_u64().expect("a number") as usize;
    glb.binary[at..at + 16].fill(0);
    refused(&glb, &format!("{what} has a rotation without direction at key 0"));
}

/// A triangle on one joint.
fn skinned() -> Glb {
    let mut glb = Glb::triangle();
    let joints = glb.accessor(U8, "VEC4", 3, &[0; 12]);
    let weights = glb.floats("VEC4", &[1.0, 0.0, 0.0, 0.0].repeat(3));
    let attributes = &mut glb.json["meshes"][0]["primitives"][0]["attributes"];
    attributes["JOINTS_0"] = joints.into();
    attributes["WEIGHTS_0"] = weights.into();
    let identity = glam::Mat4::IDENTITY.to_cols_array();
    let matrices = glb.floats("MAT4", &identity);
    glb.json["skins"] = json!([{"joints": [1], "inverseBindMatrices": matrices}]);
    glb.json["nodes"][0]["skin"] = 0.into();
    glb.json["nodes"][0]["children"] = json!([1]);
    push(&mut glb.json["nodes"], json!({"name": "Bone"}));
    glb
}

#[test]
fn broken_skins_are_refused() {
    let mut glb = skinned();
    let at = glb.json["bufferViews"][1]["byteOffset"].as_u64().expect("a number") as usize;
    glb.binary[at + 4] = 1;
    refused(&glb, "node 0 \"Root\" uses joint 1 of skin 0, which has 1");
    glb.binary[at + 4] = 0;
    glb.binary[at + 5] = 200;
    load(&glb).expect("a joint without weight may be anything");
    with(skinned(), "/skins/0/joints", json!([1, 0]), "has 2 joints and 1 matrices");
    with(skinned(), "/skins/0/joints", json!([]), "skin 0 has no joints");
    with(skinned(), "/skins/0/joints", json!([9]), "skins[0].joints[0] is an index out of range");
    let mut glb = skinned();
    glb.json["meshes"][0]["primitives"][0]["attributes"]
        .as_object_mut()
        .expect("an object")
        .remove("WEIGHTS_0");
    refused(&glb, "primitive 0 of mesh 0 has joints without weights");
}

#[test]
fn sparse_accessors_are_checked() {
    let make = |indices: &[u8], count: u64| {
        let mut glb = Glb::triangle();
        let indices = glb.view(indices);
        let values = glb.view(&[0; 24]);
        glb.json["accessors"][0]["sparse"] = json!({
            "count": count, "indices": {"bufferView": indices, "componentType": U8},
            "values": {"bufferView": values},
        });
        glb
    };
    load(&make(&[0, 2], 2)).expect("two replaced");
    refused(&make(&[2, 0], 2), "sparse indices that do not ascend");
    refused(&make(&[1, 1], 2), "sparse indices that do not ascend");
    refused(&make(&[0, 3], 2), "a sparse index 3 out of range");
    refused(&make(&[0, 1], 3), "sparse parts that do not fit");
    refused(&make(&[0, 1], u64::MAX), "sparse parts that do not fit");
}

#[test]
fn required_extensions_are_refused_by_name() {
    let with_required = |names: Value| {
        let mut glb = Glb::triangle();
        glb.json["extensionsRequired"] = names;
        glb
    };
    refused(&with_required(json!(["EXT_meshopt_compression"])), "(meshopt buffers)");
    refused(&with_required(json!(["KHR_texture_basisu"])), "(Basis Universal textures)");
    refused(
        &with_required(json!(["KHR_texture_transform", "ACME_portal"])),
        "extensions: ACME_portal",
    );
    load(&with_required(json!(["KHR_mesh_quantization", "KHR_materials_unlit"])))
        .expect("supported");
}

#[test]
fn draco_streams_that_are_none_are_refused() {
    let with_stream = |said: Value| {
        let mut glb = Glb::triangle();
        glb.json["meshes"][0]["primitives"][0]["extensions"] =
            json!({"KHR_draco_mesh_compression": said});
        glb
    };
    refused(&with_stream(json!({"attributes": {}})), "missing field `bufferView`");
    refused(&with_stream(json!([])), "the Draco stream of primitive 0 of mesh 0");
    let stream = |view: u64| json!({"bufferView": view, "attributes": {"POSITION": 0}});
    refused(&with_stream(stream(99)), "buffer view 99 does not exist");
    // Positions are no stream.
    refused(&with_stream(stream(0)), "the Draco stream of primitive 0 of mesh 0");
    let mut points = with_stream(stream(0));
    points.json["meshes"][0]["primitives"][0]["mode"] = json!(0);
    refused(&points, "neither triangles nor strips");
}

#[test]
fn limits_hold() {
    let bytes = animated().bytes();
    let all = LoadLimits::default();
    load_scene_bytes("test", &bytes, &all).expect("within the defaults");
    for (limits, what) in [
        (LoadLimits { json_bytes: 64, ..all }, "the JSON"),
        (LoadLimits { nodes: 0, ..all }, "the number of nodes"),
        (LoadLimits { primitives: 0, ..all }, "the number of meshes"),
        (LoadLimits { draws: 0, ..all }, "the number of primitives shown"),
        (LoadLimits { triangles: 0, ..all }, "the number of triangles shown"),
        (LoadLimits { vertices: 2, ..all }, "the number of vertices"),
        (LoadLimits { indices: 2, ..all }, "the number of indices"),
        (LoadLimits { animation_keys: 2, ..all }, "the number of animation keys"),
        (LoadLimits { memory: 1_000, ..all }, "the memory for"),
    ] {
        let error = load_scene_bytes("test", &bytes, &limits).expect_err("refused").to_string();
        assert!(error.starts_with(&format!("too large: {what}")), "{error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scene.glb");
    std::fs::write(&path, &bytes).expect("written");
    let error = load_scene(&path, &LoadLimits { file_bytes: 99, ..all }).expect_err("refused");
    assert!(error.to_string().contains("the limit is 99"), "{error}");
}

#[test]
fn a_mesh_shown_a_great_many_times_is_refused() {
    let mut glb = Glb::triangle();
    let primitive = glb.json["meshes"][0]["primitives"][0].clone();
    glb.json["meshes"][0]["primitives"] = vec![primitive; 1_000].into();
    glb.json["nodes"] = vec![json!({"mesh": 0}); 1_000].into();
    glb.json["scenes"][0]["nodes"] = (0..1_000).collect();
    refused(&glb, "too large: the number of primitives shown is 1000000");
}

#[test]
fn images_are_limited_and_named() {
    let make = |bytes: &[u8]| {
        let mut glb = Glb::triangle();
        let view = glb.view(bytes);
        glb.json["images"] = json!([{"name": "Wood", "bufferView": view, "mimeType": "image/png"}]);
        glb.json["textures"] = json!([{"source": 0}]);
        glb.json["materials"] =
            json!([{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]);
        glb
    };
    refused(&make(b"no picture"), "image 0 \"Wood\" cannot be decoded: its format is unknown");
    refused(&make(b"GIF89a\x01\0\x01\0\0\0\0"), "is not read here");
    refused(&make(b"\x89PNG\r\n\x1a\n"), "image 0 \"Wood\" cannot be decoded");
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(300, 200).write_to(&mut png, image::ImageFormat::Png).expect("a PNG");
    let png = png.into_inner();
    let glb = make(&png);
    assert_eq!(load(&glb).expect("a texture").scene.images[0].rgba.len(), 300 * 200 * 4);
    refused(&make(&png[..png.len() - 20]), "image 0 \"Wood\" cannot be decoded");
    for (limits, what) in [
        (
            LoadLimits { image_side: 299, ..LoadLimits::default() },
            "the width of image 0 \"Wood\" is 300",
        ),
        (LoadLimits { image_pixels: 59_999, ..LoadLimits::default() }, "is 60000"),
        (LoadLimits { textures: 0, ..LoadLimits::default() }, "the number of textures"),
    ] {
        let error = load_scene_bytes("test", &glb.bytes(), &limits).expect_err("refused");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_hostile_fan_gets_arbitrary_tangents() {
    // The tangent algorithm recurses around a vertex: half a million triangles would end the process.
    let count = 500_000;
    let mut glb = Glb::new();
    let mut positions = vec![0.0; 3];
    let (mut normals, mut uvs) = (vec![0.0, 0.0, 1.0], vec![0.0, 0.0]);
    for step in 0..=count {
        let (y, x) = (step as f32 * 1e-5).sin_cos();
        positions.extend([x, y, 0.0]);
        normals.extend([0.0, 0.0, 1.0]);
        uvs.extend([x, y]);
    }
    let positions = glb.floats("VEC3", &positions);
    let normals = glb.floats("VEC3", &normals);
    let uvs = glb.floats("VEC2", &uvs);
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(1, 1).write_to(&mut png, image::ImageFormat::Png).expect("a PNG");
    let view = glb.view(&png.into_inner());
    glb.json["images"] = json!([{"bufferView": view}]);
    glb.json["textures"] = json!([{"source": 0}]);
    glb.json["materials"] = json!([{"normalTexture": {"index": 0}}]);
    glb.json["meshes"] = json!([{"primitives": [{
        "attributes": {"POSITION": positions, "NORMAL": normals, "TEXCOORD_0": uvs},
        "mode": 6, "material": 0,
    }]}]);
    glb.json["nodes"][0]["mesh"] = 0.into();
    let loaded = load(&glb).expect("loads");
    assert!(loaded.warnings.iter().any(|warning| warning.contains("too many triangles")));
}

/// Everything at once: what the mutations below spoil.
fn rich() -> Vec<u8> {
    let mut glb = skinned();
    let times = glb.floats("SCALAR", &[0.0, 1.0]);
    let values = glb.floats("VEC3", &[0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
    glb.json["animations"] = json!([{"name": "Open",
        "samplers": [{"input": times, "output": values, "interpolation": "STEP"}],
        "channels": [{"sampler": 0, "target": {"node": 1, "path": "translation"}}]}]);
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbaImage::new(4, 4).write_to(&mut png, image::ImageFormat::Png).expect("a PNG");
    let view = glb.view(&png.into_inner());
    glb.json["images"] = json!([{"bufferView": view, "mimeType": "image/png"}]);
    glb.json["samplers"] = json!([{"wrapS": 33071}]);
    glb.json["textures"] = json!([{"source": 0, "sampler": 0}]);
    glb.json["materials"] = json!([{"normalTexture": {"index": 0}, "alphaMode": "MASK"}]);
    let indices = glb.accessor(U16, "SCALAR", 4, &[0, 0, 1, 0, 2, 0, 0, 0]);
    let uvs = glb.floats("VEC2", &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    let sparse = glb.view(&[1, 0, 0, 0]);
    let part = glb.view(&[0; 8]);
    glb.json["accessors"][uvs]["sparse"] = json!({"count": 1,
        "indices": {"bufferView": sparse, "componentType": U8}, "values": {"bufferView": part}});
    let primitive = &mut glb.json["meshes"][0]["primitives"][0];
    primitive["indices"] = indices.into();
    primitive["material"] = 0.into();
    primitive["mode"] = 5.into();
    primitive["attributes"]["TEXCOORD_0"] = uvs.into();
    glb.json["cameras"] =
        json!([{"type": "perspective", "perspective": {"yfov": 1.0, "znear": 0.1}}]);
    glb.json["extensions"] =
        json!({"KHR_lights_punctual": {"lights": [{"type": "spot", "spot": {}}]}});
    let node = &mut glb.json["nodes"][1];
    node["camera"] = 0.into();
    node["extensions"] = json!({"KHR_lights_punctual": {"light": 0}});
    node["extras"] = json!({"nearlight": {"onClick": "Open"}});
    glb.bytes()
}

/// Loads within small limits, and uses what loaded as a session would.
fn survive(bytes: &[u8]) {
    static LOADED: AtomicU32 = AtomicU32::new(0);
    let limits = LoadLimits {
        vertices: 100_000,
        indices: 100_000,
        animation_keys: 100_000,
        image_pixels: 1 << 20,
        memory: 64 << 20,
        ..LoadLimits::default()
    };
    let Ok(loaded) = load_scene_bytes("mutant", bytes, &limits) else { return };
    let scene = loaded.scene;
    let index = PickIndex::new(&scene);
    let mut pose = Pose::new(&scene);
    let mut clicks = Clicks::new();
    clicks.push(1, 0.25);
    for seconds in [0.0, 0.5, 3.0] {
        pose.evaluate(&scene, seconds, &clicks);
        let mut rig = CameraRig::new(&scene);
        for (event, at) in hands().into_iter().zip(0..) {
            rig.handle(&event, MediaTime::from_millis(at));
        }
        let view = rig.advance(MediaTime::from_millis(500));
        index.pick(&scene, &pose, view.ray(glam::Vec2::ZERO, 1.5));
    }
    // A picture takes as long as many of the above.
    if LOADED.fetch_add(1, Ordering::Relaxed).is_multiple_of(8) {
        show(scene).expect("drawn");
    }
}

/// Wheel both ways and in both modes, a click, a step.
fn hands() -> Vec<InputEvent> {
    let button = PointerButton::Left;
    let key = |code| InputEvent::Key { code, pressed: true };
    let wheel = |y| InputEvent::Wheel { x: 0, y };
    vec![
        wheel(i16::MIN),
        wheel(i16::MAX),
        InputEvent::PointerAbsolute { x: 32_768, y: 32_768 },
        InputEvent::Button { button, pressed: true },
        InputEvent::Button { button, pressed: false },
        key(KeyCode::W),
        // V changes between walking and the orbit.
        key(KeyCode(0x19)),
        wheel(120),
        wheel(i16::MIN),
    ]
}

/// Uploads a scene, opens it, and draws it once with hands on the controls. Whatever the scene is, the device is in
/// order afterwards.
fn show(scene: Scene) -> Result<(), SourceError> {
    static STAGE: OnceLock<(Arc<GpuPool>, Arc<Stage>)> = OnceLock::new();
    let (pool, stage) = STAGE.get_or_init(|| {
        let pool = GpuPool::open(GpuOptions::default()).expect("tests need a Vulkan device");
        let pool = Arc::new(pool);
        let settings = RenderSettings { shadow_size: 64, ..RenderSettings::default() };
        (pool.clone(), Stage::new(pool, settings, false))
    });
    let host = SceneHost::new(stage.clone(), scene);
    let clock = Arc::new(common::TestClock::new());
    let (mut source, mut input) = host.open(Size::new(64, 36), clock.clone())?;
    for (event, seq) in hands().into_iter().zip(0..) {
        let at = MediaTime::from_millis(u64::from(seq));
        input.inject(&SequencedInput { seq: InputSeq(seq), event }, at);
    }
    let request = FrameRequest {
        id: FrameId(0),
        at: MediaTime::from_millis(100),
        within: Duration::from_millis(33),
        views: &[],
        refresh: true,
        share: false,
        kind: media::PictureKind::NV12,
    };
    let SourceEvent::Frame(mut frame) = source.next(&request)? else { unreachable!("it is due") };
    frame.image.finish(&*clock, &mut StageTimes::default()).expect("the picture is drawn");
    assert_eq!(pool.current().errors(), (0, None));
    Ok(())
}

/// A triangle with its corners at zero but for one, and as many further vertices as `count` says: three numbers of a
/// sparse accessor in the file.
fn sparse_triangle(count: usize) -> Glb {
    let mut glb = Glb::triangle();
    let at = glb.view(&[1, 0, 2, 0]);
    let values = glb.view(bytemuck::cast_slice(&[1.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0]));
    let sparse = json!({"count": 2, "indices": {"bufferView": at, "componentType": U16},
        "values": {"bufferView": values}});
    let vectors = json!({"componentType": F32, "type": "VEC3", "count": count});
    let mut positions = vectors.clone();
    positions["sparse"] = sparse;
    let positions = push(&mut glb.json["accessors"], positions);
    let normals = push(&mut glb.json["accessors"], vectors);
    let indices = glb.accessor(U16, "SCALAR", 3, bytemuck::cast_slice(&[0_u16, 1, 2]));
    glb.json["meshes"][0]["primitives"] = json!([{
        "attributes": {"POSITION": positions, "NORMAL": normals}, "indices": indices}]);
    glb
}

#[test]
fn a_large_mesh_that_a_great_many_nodes_show_is_drawn() {
    let mut glb = sparse_triangle(1_000_000);
    glb.json["nodes"] = vec![json!({"mesh": 0}); 10_000].into();
    glb.json["scenes"][0]["nodes"] = (0..10_000).collect();
    show(load(&glb).expect("within the limits").scene).expect("drawn");
}

#[test]
fn what_an_upload_holds_counts_too() {
    let bytes = sparse_triangle(100_000).bytes();
    let within = |memory: u64| {
        load_scene_bytes("test", &bytes, &LoadLimits { memory, ..LoadLimits::default() })
    };
    within(24 << 20).expect("room for all of it");
    let error = within(16 << 20).expect_err("refused").to_string();
    assert!(error.contains("the memory for the scene and its upload"), "{error}");
}

#[test]
fn joints_are_counted_for_every_node_that_shows_them() {
    let mut glb = Glb::triangle();
    let vertices = 300_u16;
    let all: Vec<u16> = (0..vertices * 4).collect();
    let positions = glb.floats("VEC3", &vec![0.5; usize::from(vertices) * 3]);
    let joints = glb.accessor(U16, "VEC4", vertices.into(), bytemuck::cast_slice(&all));
    let weights = glb.floats("VEC4", &vec![0.25; usize::from(vertices) * 4]);
    glb.json["meshes"][0]["primitives"][0]["attributes"] =
        json!({"POSITION": positions, "JOINTS_0": joints, "WEIGHTS_0": weights});
    glb.json["skins"] = json!([{"joints": vec![0; all.len()]}]);
    let shown = |nodes: usize| {
        let mut glb = Glb { json: glb.json.clone(), binary: glb.binary.clone() };
        glb.json["nodes"] = vec![json!({"mesh": 0, "skin": 0}); nodes].into();
        glb.json["scenes"][0]["nodes"] = (0..nodes).collect();
        glb
    };
    load(&shown(800)).expect("within the limit");
    refused(&shown(1_000), "the number of joints that move parts of the scene is 1200000");
}

#[test]
fn more_kinds_of_surfaces_than_shaders_are_compiled_for_are_refused() {
    let mut glb = Glb::triangle();
    let uvs = glb.floats("VEC2", &[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(1, 1).write_to(&mut png, image::ImageFormat::Png).expect("a PNG");
    let view = glb.view(&png.into_inner());
    glb.json["images"] = json!([{"bufferView": view}]);
    glb.json["textures"] = json!([{"source": 0}]);
    let map = |bit: usize, kind: usize| {
        if kind >> bit & 1 == 1 { json!({"index": 0}) } else { Value::Null }
    };
    let modes = ["OPAQUE", "MASK", "BLEND"];
    let material = |kind: usize| {
        let mut material = json!({
            "pbrMetallicRoughness": {
                "baseColorFactor": [1, 1, 1, 0.5],
                "baseColorTexture": map(0, kind),
                "metallicRoughnessTexture": map(1, kind),
            },
            "normalTexture": map(2, kind),
            "occlusionTexture": map(3, kind),
            "emissiveTexture": map(4, kind),
            "emissiveFactor": [1, 1, 1],
            "doubleSided": kind >> 5 & 1 == 1,
            "alphaMode": modes[kind >> 6],
        });
        let maps = material["pbrMetallicRoughness"].as_object_mut().expect("an object");
        maps.retain(|_, map| !map.is_null());
        material.as_object_mut().expect("an object").retain(|_, map| !map.is_null());
        material
    };
    glb.json["materials"] = (0..192).map(material).collect();
    let part =
        |kind: usize| json!({"attributes": {"POSITION": 0, "TEXCOORD_0": uvs}, "material": kind});
    glb.json["meshes"][0]["primitives"] = (0..192).map(part).collect();
    let error = show(load(&glb).expect("it loads").scene).expect_err("refused");
    assert!(matches!(error, SourceError::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("192 kinds of surfaces"), "{error}");
}

#[test]
fn scenes_of_any_size_are_shown() {
    for size in [1e-12_f32, 1e-7, 1e-5, 1.0, 1e6, 1e18] {
        let mut glb = Glb::triangle();
        glb.json["nodes"][0]["scale"] = json!([size, size, size]);
        show(load(&glb).expect("it loads").scene).expect("drawn");
    }
}

#[test]
fn the_rich_file_loads() {
    let loaded = load_scene_bytes("rich", &rich(), &LoadLimits::default()).expect("loads");
    let said = "an animation moves the first camera; the view only starts there";
    assert_eq!(loaded.warnings, [said]);
    assert!(!loaded.scene.animations[0].looped);
    show(loaded.scene).expect("drawn");
}

#[test]
fn every_truncation_is_survived() {
    let bytes = rich();
    for length in 0..bytes.len() {
        survive(&bytes[..length]);
        // With a header that agrees, the cut is met further inside.
        if length >= 12 {
            let mut cut = bytes[..length].to_vec();
            cut[8..12].copy_from_slice(&u32::try_from(length).expect("small").to_le_bytes());
            survive(&cut);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_are_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = rich();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        survive(&bytes);
    }

    /// Digits become other digits, so that the JSON stays JSON and the numbers lie.
    #[test]
    fn changed_numbers_are_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), b'0'..=b'9'), 1..8)) {
        let mut bytes = rich();
        let digits: Vec<usize> =
            (20..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
        for (at, digit) in changes {
            bytes[digits[at.index(digits.len())]] = digit;
        }
        survive(&bytes);
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..256), with_magic: bool) {
        if with_magic {
            bytes.splice(0..0, *b"glTF\x02\0\0\0");
        }
        survive(&bytes);
    }
}
