//! What valid files mean once they are loaded.

mod scenes_support;

use glam::{Vec2, Vec3};
use nearlight_render::scene::{
    AlphaMode, Environment, LightKind, LoadLimits, LoadedScene, Mipmaps, OnClick, Vertex, Wrap,
    load_scene, load_scene_bytes,
};
use scenes_support::{F32, Glb, U8, U16};
use serde_json::json;

fn load(glb: &Glb) -> LoadedScene {
    load_scene_bytes("test", &glb.bytes(), &LoadLimits::default()).expect("loads")
}

fn vertices(loaded: &LoadedScene) -> &[Vertex] {
    &loaded.scene.meshes[0].primitives[0].vertices
}

fn attribute(glb: &mut Glb, name: &str, accessor: usize) {
    glb.json["meshes"][0]["primitives"][0]["attributes"][name] = accessor.into();
}

fn png() -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_pixel(2, 1, image::Rgb([10, 20, 30]));
    pixels.write_to(&mut png, image::ImageFormat::Png).expect("a PNG");
    png.into_inner()
}

#[test]
fn missing_normals_are_flat() {
    let loaded = load(&Glb::triangle());
    assert_eq!(vertices(&loaded).len(), 3);
    for vertex in vertices(&loaded) {
        assert_eq!(vertex.normal, [0.0, 0.0, 1.0]);
        assert_eq!(vertex.color, [u16::MAX; 4]);
    }
    let bounds = loaded.scene.bounds;
    assert_eq!((bounds.min, bounds.max), (Vec3::ZERO, Vec3::new(1.0, 1.0, 0.0)));
}

#[test]
fn missing_normals_split_shared_vertices() {
    let mut glb = Glb::triangle();
    glb.floats("VEC3", &[0., 0., 0., 1., 0., 0., 0., 1., 0., 0., 0., 1.]);
    attribute(&mut glb, "POSITION", 1);
    let indices = glb.accessor(U8, "SCALAR", 6, &[0, 1, 2, 0, 3, 1]);
    glb.json["meshes"][0]["primitives"][0]["indices"] = indices.into();
    let loaded = load(&glb);
    let normals: Vec<_> = vertices(&loaded).iter().map(|vertex| vertex.normal).collect();
    assert_eq!(normals[..3], [[0.0, 0.0, 1.0]; 3]);
    assert_eq!(normals[3..], [[0.0, 1.0, 0.0]; 3]);
}

#[test]
fn strips_and_fans_keep_their_winding() {
    for (mode, order) in [(5, [0_u8, 1, 3, 2]), (6, [0, 1, 2, 3])] {
        let mut glb = Glb::triangle();
        // A square, counter-clockwise seen from +z.
        glb.floats("VEC3", &[0., 0., 0., 1., 0., 0., 1., 1., 0., 0., 1., 0.]);
        attribute(&mut glb, "POSITION", 1);
        let indices = glb.accessor(U8, "SCALAR", 4, &order);
        glb.json["meshes"][0]["primitives"][0]["indices"] = indices.into();
        glb.json["meshes"][0]["primitives"][0]["mode"] = mode.into();
        let loaded = load(&glb);
        assert_eq!(vertices(&loaded).len(), 6, "two triangles");
        assert!(vertices(&loaded).iter().all(|vertex| vertex.normal == [0.0, 0.0, 1.0]));
    }
}

#[test]
fn integers_are_normalised_as_the_specification_says() {
    let mut glb = Glb::triangle();
    let uv = glb.accessor(U16, "VEC2", 3, bytemuck::cast_slice(&[0_u16, 65_535, 32_768, 0, 0, 0]));
    glb.json["accessors"][uv]["normalized"] = true.into();
    attribute(&mut glb, "TEXCOORD_0", uv);
    attribute(&mut glb, "TEXCOORD_1", uv);
    let color = glb.accessor(U8, "VEC3", 3, &[255, 128, 0, 0, 0, 0, 9, 9, 9]);
    attribute(&mut glb, "COLOR_0", color);
    let normal =
        glb.accessor(5120, "VEC3", 3, bytemuck::cast_slice(&[-128_i8, 0, 0, 0, 127, 0, 0, 0, 1]));
    glb.json["accessors"][normal]["normalized"] = true.into();
    attribute(&mut glb, "NORMAL", normal);
    let loaded = load(&glb);
    let v = vertices(&loaded);
    assert_eq!(v[0].uv0, [0.0, 1.0]);
    assert!((v[1].uv0[0] - 32_768.0 / 65_535.0).abs() < 1e-6);
    assert_eq!((v[0].uv1, v[1].uv1), (v[0].uv0, v[1].uv0));
    assert_eq!(v[0].color, [255, 128, 0, 255].map(|code| code * 257));
    assert_eq!(v[2].color, [9, 9, 9, 255].map(|code| code * 257));
    assert_eq!([v[0].normal, v[1].normal], [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
}

#[test]
fn quantized_positions_are_read() {
    let mut glb = Glb::triangle();
    let positions =
        glb.accessor(5122, "VEC3", 3, bytemuck::cast_slice(&[-5_i16, 0, 0, 7, 0, 0, 0, 9, 0]));
    attribute(&mut glb, "POSITION", positions);
    assert_eq!(vertices(&load(&glb))[0].position, [-5.0, 0.0, 0.0]);
}

#[test]
fn interleaved_and_sparse_elements_are_found() {
    let mut glb = Glb::triangle();
    // Position and UV side by side, 20 bytes a vertex.
    let floats: Vec<f32> = (0..15).map(|value| value as f32).collect();
    let view = glb.view(bytemuck::cast_slice(&floats));
    glb.json["bufferViews"][view]["byteStride"] = 20.into();
    let list = glb.json["accessors"].as_array_mut().expect("an array");
    list.push(json!({"bufferView": view, "componentType": F32, "type": "VEC3", "count": 3}));
    list.push(json!({"bufferView": view, "byteOffset": 12, "componentType": F32, "type": "VEC2", "count": 3}));
    attribute(&mut glb, "POSITION", 1);
    attribute(&mut glb, "TEXCOORD_0", 2);
    let indices = glb.view(&[1, 0]);
    let values = glb.view(bytemuck::cast_slice(&[70.0_f32, 80.0, 90.0]));
    glb.json["accessors"][1]["sparse"] = json!({"count": 1,
        "indices": {"bufferView": indices, "componentType": U16}, "values": {"bufferView": values}});
    let loaded = load(&glb);
    let v = vertices(&loaded);
    assert_eq!(
        v.iter().map(|v| v.position).collect::<Vec<_>>(),
        [[0.0, 1.0, 2.0], [70.0, 80.0, 90.0], [10.0, 11.0, 12.0]]
    );
    assert_eq!(v.iter().map(|v| v.uv0).collect::<Vec<_>>(), [[3.0, 4.0], [8.0, 9.0], [13.0, 14.0]]);
}

#[test]
fn tangents_follow_the_texture_coordinates() {
    let mut glb = Glb::triangle();
    let normals = glb.floats("VEC3", &[0.0, 0.0, 1.0].repeat(3));
    attribute(&mut glb, "NORMAL", normals);
    let view = glb.view(&png());
    glb.json["images"] = json!([{"bufferView": view}]);
    glb.json["textures"] = json!([{"source": 0}]);
    glb.json["materials"] = json!([{"normalTexture": {"index": 0, "scale": 0.5}}]);
    glb.json["meshes"][0]["primitives"][0]["material"] = 0.into();
    // u to the right and v down: the bitangent, cross(normal, tangent) * w, points up the picture.
    let uv = glb.floats("VEC2", &[0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    attribute(&mut glb, "TEXCOORD_0", uv);
    for vertex in vertices(&load(&glb)) {
        assert_eq!(vertex.tangent, [1.0, 0.0, 0.0, 1.0]);
    }
    // Mirrored.
    let uv = glb.floats("VEC2", &[1.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    attribute(&mut glb, "TEXCOORD_0", uv);
    let loaded = load(&glb);
    for vertex in vertices(&loaded) {
        assert_eq!(vertex.tangent, [-1.0, 0.0, 0.0, -1.0]);
    }
    assert_eq!(loaded.scene.materials[0].normal_scale, 0.5);
}

#[test]
fn materials_keep_what_the_file_says() {
    let mut glb = Glb::triangle();
    let view = glb.view(&png());
    glb.json["images"] = json!([{"bufferView": view}, {"uri": "never-read.png"}]);
    glb.json["samplers"] =
        json!([{"magFilter": 9728, "minFilter": 9729, "wrapS": 33071, "wrapT": 33648}]);
    glb.json["textures"] = json!([{"source": 0, "sampler": 0}, {"source": 1}, {"source": 0}]);
    let transform = json!({"KHR_texture_transform": {"offset": [0.25, 0.5], "rotation": 1.5, "scale": [2, 3], "texCoord": 1}});
    glb.json["materials"] = json!([{
        "name": "Lamp",
        "pbrMetallicRoughness": {"baseColorFactor": [0.1, 0.2, 0.3, 0.4], "metallicFactor": 0.5,
            "roughnessFactor": 0.25, "baseColorTexture": {"index": 0, "extensions": transform}},
        "occlusionTexture": {"index": 2, "strength": 0.75, "extensions": transform},
        "emissiveFactor": [1, 0.5, 0], "alphaMode": "MASK", "alphaCutoff": 0.3, "doubleSided": true,
        "extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": 8}, "KHR_materials_unlit": {}},
    }]);
    let scene = load(&glb).scene;
    let material = &scene.materials[0];
    assert_eq!(material.name, "Lamp");
    assert_eq!(material.base_color.to_array(), [0.1, 0.2, 0.3, 0.4]);
    assert_eq!((material.metallic, material.roughness), (0.5, 0.25));
    assert_eq!(material.emissive, Vec3::new(8.0, 4.0, 0.0));
    assert_eq!(material.alpha, AlphaMode::Mask(0.3));
    assert!(material.double_sided && material.unlit);
    for used in [material.base_color_texture, material.occlusion_texture] {
        let used = used.expect("a texture");
        assert_eq!(
            (used.uv_set, used.offset, used.rotation, used.scale),
            (1, Vec2::new(0.25, 0.5), 1.5, Vec2::new(2.0, 3.0))
        );
    }
    assert_eq!(material.occlusion_strength, 0.75);
    assert_eq!(scene.images.len(), 1, "one image for two textures; the unused one is not read");
    assert_eq!(scene.images[0].rgba, [10, 20, 30, 255, 10, 20, 30, 255]);
    let sampler = scene.textures[0].sampler;
    assert!(!sampler.mag_linear && sampler.min_linear && sampler.mipmaps == Mipmaps::None);
    assert_eq!((sampler.wrap_u, sampler.wrap_v), (Wrap::Clamp, Wrap::Mirror));
    assert_eq!(scene.textures[1].sampler.mipmaps, Mipmaps::Linear);
    // The primitive names no material: it has the default one, the last.
    assert_eq!(scene.meshes[0].primitives[0].material, 1);
}

#[test]
fn parents_come_first_and_other_scenes_show_nothing() {
    let mut glb = Glb::triangle();
    glb.json["nodes"] = json!([
        {"name": "Leaf", "mesh": 0}, {"name": "Other", "mesh": 0},
        {"name": "Trunk", "children": [3]}, {"name": "Branch", "children": [0]},
    ]);
    glb.json["scenes"] = json!([{"nodes": [1]}, {"nodes": [2]}]);
    glb.json["scene"] = 1.into();
    let scene = load(&glb).scene;
    let names: Vec<_> = scene.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["Other", "Trunk", "Branch", "Leaf"]);
    let parents: Vec<_> = scene.nodes.iter().map(|node| node.parent).collect();
    assert_eq!(parents, [None, None, Some(1), Some(2)]);
    assert_eq!(scene.nodes[0].mesh, None, "not in the scene that is shown");
    assert_eq!(scene.nodes[3].mesh, Some(0));
}

#[test]
fn matrices_become_transforms() {
    let mut glb = Glb::triangle();
    let matrix = glam::Mat4::from_scale_rotation_translation(
        Vec3::new(-2.0, 3.0, 4.0),
        glam::Quat::from_rotation_y(0.5),
        Vec3::new(5.0, 6.0, 7.0),
    );
    glb.json["nodes"][0]["matrix"] = json!(matrix.to_cols_array());
    let loaded = load(&glb);
    assert!(loaded.scene.nodes[0].rest.matrix().abs_diff_eq(matrix, 1e-4));
    assert!(loaded.warnings.is_empty());
    glb.json["nodes"][0]["matrix"] = json!([1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    assert!(load(&glb).warnings[0].contains("more than translation, rotation and scale"));
}

#[test]
fn lights_and_their_defaults() {
    let mut glb = Glb::triangle();
    glb.json["extensions"] = json!({"KHR_lights_punctual": {"lights": [
        {"type": "spot", "intensity": 5, "color": [1, 0, 0], "spot": {"innerConeAngle": 0.1, "outerConeAngle": 0.4}},
        {"type": "point", "range": 9}, {"type": "directional"},
    ]}});
    glb.json["nodes"][0]["extensions"] = json!({"KHR_lights_punctual": {"light": 1}});
    let scene = load(&glb).scene;
    assert_eq!(scene.nodes[0].light, Some(1));
    assert_eq!(scene.lights[0].kind, LightKind::Spot { inner: 0.1, outer: 0.4 });
    assert_eq!((scene.lights[0].color, scene.lights[0].intensity), (Vec3::X, 5.0));
    assert_eq!((scene.lights[1].kind, scene.lights[1].range), (LightKind::Point, 9.0));
    assert_eq!(
        (scene.lights[2].kind, scene.lights[2].range),
        (LightKind::Directional, f32::INFINITY)
    );
}

#[test]
fn what_a_player_does_not_get_of_lights_and_cameras_is_said() {
    let mut glb = Glb::triangle();
    let types = [json!({"type": "directional"}), json!({"type": "point"})];
    glb.json["extensions"] = json!({"KHR_lights_punctual": {"lights": types}});
    let lamp = |light: usize| json!({"extensions": {"KHR_lights_punctual": {"light": light}}});
    let mut nodes = vec![lamp(0)];
    nodes.extend(vec![lamp(1); 8]);
    let with = |glb: &mut Glb, nodes: &[serde_json::Value]| {
        glb.json["nodes"] = nodes.into();
        glb.json["scenes"][0]["nodes"] = (0..nodes.len()).collect();
        load(glb).warnings
    };
    assert_eq!(with(&mut glb, &nodes), Vec::<String>::new());
    nodes.push(lamp(0));
    assert!(with(&mut glb, &nodes)[0].contains("there are 9 lights, of which a picture has the 8"));

    glb.json["cameras"] = json!([{"type": "orthographic",
        "orthographic": {"xmag": 1, "ymag": 1, "znear": 0, "zfar": 9}}]);
    let times = glb.floats("SCALAR", &[0.0, 2.5]);
    let values = glb.floats("VEC3", &[0.0; 6]);
    glb.json["animations"] = json!([{"samplers": [{"input": times, "output": values}],
        "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}]}]);
    glb.json["nodes"] = json!([{"children": [1]}, {"camera": 0}]);
    glb.json["scenes"][0]["nodes"] = json!([0]);
    let said = load(&glb).warnings;
    assert!(said[0].contains("orthographic") && said[1].contains("moves the first camera"));
}

#[test]
fn extras_say_what_clicks_do_and_what_surrounds_the_scene() {
    let mut glb = Glb::triangle();
    let times = glb.floats("SCALAR", &[0.0, 2.5]);
    let values = glb.floats("VEC3", &[0.0; 6]);
    let animation = |name: &str| {
        json!({"name": name, "samplers": [{"input": times, "output": values}],
               "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}]})
    };
    glb.json["animations"] = json!([animation("Idle"), animation("Open")]);
    glb.json["nodes"][0]["extras"] = json!({"nearlight": {"onClick": "Open"}, "other": 1});
    glb.json["scenes"][0]["extras"] = json!({"nearlight": {"environment":
        {"zenith": [0, 0, 1], "horizon": [1, 1, 1], "ground": [0.5, 0.25, 0]}}});
    let loaded = load(&glb);
    let scene = &loaded.scene;
    assert_eq!(scene.nodes[0].on_click, Some(OnClick::Play(1)));
    assert_eq!([scene.animations[0].looped, scene.animations[1].looped], [true, false]);
    assert_eq!(scene.animations[1].duration, 2.5);
    let Environment::Sky { zenith, horizon, ground } = scene.environment else { panic!("a sky") };
    assert_eq!((zenith, horizon, ground), (Vec3::Z, Vec3::ONE, Vec3::new(0.5, 0.25, 0.0)));
    assert!(loaded.warnings.is_empty());

    glb.json["nodes"][0]["extras"] = json!({"nearlight": {"onClick": "Close"}});
    glb.json["scenes"][0]["extras"] = json!({"nearlight": {"environment": {"zenith": "blue"}}});
    let warnings = load(&glb).warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("would play \"Close\"")),
        "{warnings:?}"
    );
    assert!(
        warnings.iter().any(|warning| warning.contains("nearlight.environment")),
        "{warnings:?}"
    );
}

#[test]
fn what_is_not_shown_is_said() {
    let mut glb = Glb::triangle();
    glb.json["extensionsUsed"] = json!(["KHR_materials_clearcoat"]);
    let primitive = glb.json["meshes"][0]["primitives"][0].clone();
    let mut points = primitive.clone();
    points["mode"] = 0.into();
    let mut morph = primitive;
    morph["targets"] = json!([{"POSITION": 0}]);
    glb.json["meshes"][0]["primitives"] = json!([points, morph]);
    let loaded = load(&glb);
    assert_eq!(loaded.scene.meshes[0].primitives.len(), 1);
    assert_eq!(
        loaded.warnings,
        [
            "the extension KHR_materials_clearcoat is ignored",
            "primitive 0 of mesh 0 holds Points, which are not drawn",
            "morph targets of primitive 1 of mesh 0 are ignored",
        ]
    );
}

#[test]
fn webp_and_missing_textures() {
    let mut webp = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbaImage::from_pixel(3, 3, image::Rgba([1, 2, 3, 255]));
    pixels.write_to(&mut webp, image::ImageFormat::WebP).expect("a WebP");
    let mut glb = Glb::triangle();
    let view = glb.view(&webp.into_inner());
    glb.json["extensionsRequired"] = json!(["EXT_texture_webp"]);
    glb.json["images"] = json!([{"bufferView": view, "mimeType": "image/webp"}]);
    glb.json["textures"] = json!([{"extensions": {"EXT_texture_webp": {"source": 0}}}, {}]);
    glb.json["materials"] = json!([{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0},
        "metallicRoughnessTexture": {"index": 1}}}]);
    let loaded = load(&glb);
    assert_eq!(loaded.scene.images[0].rgba[..4], [1, 2, 3, 255]);
    assert_eq!(loaded.scene.materials[0].metallic_roughness_texture, None);
    assert_eq!(loaded.warnings, ["texture 1 has no image that can be read; it is left out"]);
}

/// A folder with a scene whose buffer is at `uri`.
fn folder_with(uri: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let glb = Glb::triangle();
    let mut json = glb.json.clone();
    json["buffers"] = json!([{"byteLength": glb.binary.len(), "uri": uri}]);
    std::fs::write(folder.path().join("scene.gltf"), json.to_string()).expect("written");
    std::fs::create_dir(folder.path().join("parts")).expect("a folder");
    std::fs::write(folder.path().join("parts/the mesh.bin"), &glb.binary).expect("written");
    folder
}

#[test]
fn files_beside_the_scene_are_read() {
    for uri in ["parts/the%20mesh.bin", "parts/the mesh.bin", "./parts/the%20mesh.bin"] {
        let folder = folder_with(uri);
        load_scene(folder.path(), &LoadLimits::default()).expect("the only scene of the folder");
    }
}

#[test]
fn files_elsewhere_are_not() {
    let outside = tempfile::tempdir().expect("a folder");
    let secret = outside.path().join("secret.bin");
    std::fs::write(&secret, Glb::triangle().binary).expect("written");
    for (uri, why) in [
        (secret.to_string_lossy().into_owned(), "absolute path"),
        (format!("file://{}", secret.display()), "only data URIs"),
        ("https://example.org/a.bin".into(), "only data URIs"),
        ("parts/../../a.bin".into(), "`..`"),
        ("parts/%2e%2e/%2e%2e/a.bin".into(), "`..`"),
        ("link.bin".into(), "leads out of the scene's folder"),
        ("linked/secret.bin".into(), "leads out of the scene's folder"),
        ("parts".into(), "is not a regular file"),
        ("pipe".into(), "is not a regular file"),
        ("absent.bin".into(), "cannot read"),
        ("data:application/octet-stream;base64,AAAA".into(), "has 3 bytes where 36 are declared"),
        ("data:,x".into(), "only base64"),
    ] {
        let folder = folder_with(&uri);
        std::os::unix::fs::symlink(&secret, folder.path().join("link.bin")).expect("a link");
        std::os::unix::fs::symlink(outside.path(), folder.path().join("linked")).expect("a link");
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
        assert!(made.expect("mkfifo").success());
        let error = load_scene(folder.path(), &LoadLimits::default()).expect_err("refused");
        assert!(error.to_string().contains(why), "{uri}: {error}");
    }
}

#[test]
fn a_scene_of_bytes_has_no_folder() {
    let folder = folder_with("parts/the%20mesh.bin");
    let bytes = std::fs::read(folder.path().join("scene.gltf")).expect("the scene");
    let error = load_scene_bytes("test", &bytes, &LoadLimits::default()).expect_err("refused");
    assert!(error.to_string().contains("this scene has no folder"), "{error}");
}

#[test]
fn a_folder_needs_exactly_one_scene() {
    let folder = folder_with("parts/the%20mesh.bin");
    std::fs::write(folder.path().join("second.GLB"), Glb::triangle().bytes()).expect("written");
    let error = load_scene(folder.path(), &LoadLimits::default()).expect_err("refused");
    assert!(error.to_string().contains("holds 2 .gltf and .glb files"), "{error}");
    load_scene(&folder.path().join("second.GLB"), &LoadLimits::default()).expect("named");
    let empty = tempfile::tempdir().expect("a folder");
    let error = load_scene(empty.path(), &LoadLimits::default()).expect_err("refused");
    assert!(error.to_string().contains("holds 0 .gltf and .glb files"), "{error}");
}
