//! Loads real files: what Debian's `assimp-testmodels` holds, hostile ones among them, and the GLBs and
//! pictures of two npm packages. `make setup` installs all three; without them these tests fail.

#[path = "scenes_support/files.rs"]
mod installed;

use std::path::{Path, PathBuf};

use installed::{assimp, package, pmndrs};
use nearlight_render::scene::{
    Clicks, Environment, LoadLimits, LoadedScene, PickIndex, Pose, SceneError, load_scene,
    load_scene_bytes,
};

fn limits() -> LoadLimits {
    LoadLimits::default()
}

/// Files below `folder` whose name ends in one of `endings`, in order.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What every loaded scene promises: the renderer indexes by these without looking.
fn check(loaded: &LoadedScene, name: &str) {
    let scene = &loaded.scene;
    for (index, node) in scene.nodes.iter().enumerate() {
        assert!(node.parent.is_none_or(|parent| parent < index), "{name}: parents first");
        assert!(node.mesh.is_none_or(|mesh| mesh < scene.meshes.len()), "{name}");
        assert!(node.skin.is_none_or(|skin| skin < scene.skins.len()), "{name}");
        assert!(node.light.is_none_or(|light| light < scene.lights.len()), "{name}");
        assert!(node.camera.is_none_or(|camera| camera < scene.cameras.len()), "{name}");
        assert!(node.rest.rotation.is_normalized(), "{name}");
    }
    assert!(!scene.materials.is_empty(), "{name}");
    for primitive in scene.meshes.iter().flat_map(|mesh| &mesh.primitives) {
        assert_eq!(primitive.indices.len() % 3, 0, "{name}");
        assert!(primitive.material < scene.materials.len(), "{name}");
        let vertices = primitive.vertices.len();
        assert!(primitive.indices.iter().all(|&index| (index as usize) < vertices), "{name}");
        if let Some(influences) = &primitive.influences {
            assert_eq!(influences.len(), vertices, "{name}");
            for influence in influences {
                let sum: f32 = influence.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-3, "{name}: weights sum to {sum}");
            }
        }
        for vertex in &primitive.vertices {
            let square = |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>();
            assert!((square(&vertex.normal) - 1.0).abs() < 1e-2, "{name}: {:?}", vertex.normal);
            assert!((square(&vertex.tangent[..3]) - 1.0).abs() < 1e-2, "{name}");
            assert_eq!(vertex.tangent[3].abs(), 1.0, "{name}");
        }
    }
    for texture in &scene.textures {
        assert!(texture.image < scene.images.len(), "{name}");
    }
    for image in &scene.images {
        assert_eq!(image.rgba.len(), image.width as usize * image.height as usize * 4, "{name}");
    }
    let mut pose = Pose::new(scene);
    for step in 0..4 {
        pose.evaluate(scene, f64::from(step) * 0.7, &Clicks::new());
        assert!(pose.world.iter().all(glam::Mat4::is_finite), "{name}");
    }
    PickIndex::new(scene);
}

/// What becomes of a file.
#[derive(Clone, Copy)]
enum Outcome {
    /// It loads, with this many triangles in its meshes.
    Loads(usize),
    /// It is refused, and the message says this.
    Refused(&'static str),
}
use Outcome::{Loads, Refused};

/// Every glTF of the package below `models/`; a file that is not listed fails the test.
const ASSIMP: &[(&str, Outcome)] = &[
    ("glTF/BoxTextured-glTF/BoxTextured.gltf", Refused("asset.version is 1.0")),
    ("glTF/BoxTextured-glTF-Binary/BoxTextured.glb", Refused("the container has version 1")),
    ("glTF/BoxTextured-glTF-Embedded/BoxTextured.gltf", Refused("asset.version is 1.0")),
    ("glTF/BoxTextured-glTF-MaterialsCommon/BoxTextured.gltf", Refused("asset.version is 1.0")),
    ("glTF/CesiumMilkTruck/CesiumMilkTruck.gltf", Refused("asset.version is missing")),
    ("glTF/IncorrectVertexArrays/Cube_v1.gltf", Refused("asset.version is 1.0")),
    ("glTF/TwoBoxes/TwoBoxes.gltf", Refused("asset.version is 1.0")),
    ("glTF2/2CylinderEngine-glTF-Binary/2CylinderEngine.glb", Loads(75_730)),
    // Normals of length zero become those of the faces.
    ("glTF2/BoxBadNormals-glTF-Binary/BoxBadNormals.glb", Loads(12)),
    ("glTF2/BoxTexcoords-glTF/boxTexcoords.gltf", Loads(12)),
    ("glTF2/BoxTextured-glTF/BoxTextured.gltf", Loads(12)),
    ("glTF2/BoxTextured-glTF-Binary/BoxTextured.glb", Loads(12)),
    ("glTF2/BoxTextured-glTF-Embedded/BoxTextured.gltf", Loads(12)),
    ("glTF2/BoxTextured-glTF-pbrSpecularGlossiness/BoxTextured.gltf", Loads(12)),
    (
        "glTF2/BoxTextured-glTF-techniqueWebGL/BoxTextured.gltf",
        Refused("requires unsupported extensions: KHR_technique_webgl"),
    ),
    (
        "glTF2/BoxWithInfinites-glTF-Binary/BoxWithInfinites.glb",
        Refused(
            "element 0 of accessor 2 (POSITION of primitive 0 of mesh 0 \"Mesh\") is not finite",
        ),
    ),
    ("glTF2/ClearCoat-glTF/ClearCoatTest.gltf", Loads(37_116)),
    // Triangle lists with a vertex too few lose their last triangle.
    ("glTF2/IncorrectVertexArrays/Cube.gltf", Loads(46)),
    (
        "glTF2/IndexOutOfRange/AllIndicesOutOfRange.gltf",
        Refused("name vertex 65535 at 0, but there are 24 vertices"),
    ),
    (
        "glTF2/IndexOutOfRange/IndexOutOfRange.gltf",
        Refused("name vertex 255 at 0, but there are 24 vertices"),
    ),
    ("glTF2/MissingBin/BoxTextured.gltf", Refused("BoxTextured0.bin: No such file")),
    ("glTF2/RecursiveNodes/RecursiveNodes.gltf", Refused("node 0 is its own ancestor")),
    (
        "glTF2/SchemaFailures/sceneWrongType.gltf",
        Refused("invalid type: string \"hello\", expected index into child of root"),
    ),
    ("glTF2/TestNoRootNode/NoScene.gltf", Refused("scene is an index out of range")),
    ("glTF2/TestNoRootNode/SceneWithoutNodes.gltf", Refused("missing field `nodes`")),
    ("glTF2/cameras/Cameras.gltf", Loads(2)),
    // The stream lacks the triangles of no area.
    ("glTF2/draco/2CylinderEngine.gltf", Loads(65_311)),
    // Points and lines, then strips, fans and lists; from 07 on with indices.
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_00.gltf", Loads(0)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_01.gltf", Loads(0)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_02.gltf", Loads(0)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_03.gltf", Loads(0)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_04.gltf", Loads(2)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_05.gltf", Loads(2)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_06.gltf", Loads(2)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_07.gltf", Loads(0)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_08.gltf", Loads(0)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_09.gltf", Loads(0)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_10.gltf", Loads(0)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_11.gltf", Loads(2)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_12.gltf", Loads(2)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_13.gltf", Loads(2)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_14.gltf", Loads(2)),
    ("glTF2/glTF-Asset-Generator/Mesh_PrimitiveMode/Mesh_PrimitiveMode_15.gltf", Loads(2)),
    ("glTF2/glTF-Sample-Models/AnimatedMorphCube-glTF/AnimatedMorphCube.gltf", Loads(12)),
    ("glTF2/issue_3269/texcoord_crash.gltf", Loads(10)),
    ("glTF2/simple_skin/simple_skin.gltf", Loads(8)),
    ("glTF2/textureTransform/TextureTransformTest.gltf", Loads(18)),
    ("glTF2/wrongTypes/badArray.gltf", Refused("invalid type: map, expected a sequence")),
    ("glTF2/wrongTypes/badExtension.gltf", Refused("expected struct TextureTransform")),
    ("glTF2/wrongTypes/badNumber.gltf", Refused("string \"not a number\", expected f32")),
    (
        "glTF2/wrongTypes/badObject.gltf",
        Refused("\"not an object\", expected an array of length 4"),
    ),
    ("glTF2/wrongTypes/badString.gltf", Refused("integer `42`, expected a string")),
    ("glTF2/wrongTypes/badUint.gltf", Refused("integer `-1`, expected index into child of root")),
];

#[test]
fn assimp_models_load_or_are_refused_for_their_reason() {
    let folder = assimp();
    let mut unlisted = Vec::new();
    let found = files(folder, &[".gltf", ".glb"]);
    for path in &found {
        let name = path.strip_prefix(folder).expect("below it").to_string_lossy().into_owned();
        let result = load_scene(path, &limits());
        let Some((_, outcome)) = ASSIMP.iter().find(|(listed, _)| *listed == name) else {
            let said = match &result {
                Ok(loaded) => format!("Loads({})", triangles(loaded)),
                Err(error) => format!("Refused({:?})", error.to_string()),
            };
            unlisted.push(format!("(\"{name}\", {said}),"));
            continue;
        };
        match (result, *outcome) {
            (Ok(loaded), Loads(expected)) => {
                check(&loaded, &name);
                assert_eq!(triangles(&loaded), expected, "{name}");
            }
            (Err(error), Refused(why)) => {
                assert!(error.to_string().contains(why), "{name}: {error}");
            }
            (Ok(_), Refused(why)) => panic!("{name} loads, though {why}"),
            (Err(error), Loads(_)) => panic!("{name} does not load: {error}"),
        }
    }
    assert!(unlisted.is_empty(), "not listed:\n{}", unlisted.join("\n"));
    for (name, _) in ASSIMP {
        assert!(found.iter().any(|path| path.ends_with(name)), "{name} is gone");
    }
}

fn triangles(loaded: &LoadedScene) -> usize {
    let primitives = loaded.scene.meshes.iter().flat_map(|mesh| &mesh.primitives);
    primitives.map(|primitive| primitive.indices.len() / 3).sum()
}

#[test]
fn every_webxr_controller_loads() {
    let paths = files(&package("@webxr-input-profiles/assets"), &[".glb"]);
    assert_eq!(paths.len(), 82);
    let mut skins = 0;
    for path in paths {
        let name = path.to_string_lossy();
        let loaded = load_scene(&path, &limits()).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(&loaded, &name);
        assert!(triangles(&loaded) > 100, "{name}");
        assert!(loaded.scene.bounds.radius() < 10.0, "{name}: {:?}", loaded.scene.bounds);
        skins += loaded.scene.skins.len();
    }
    assert_eq!(skins, 2, "the two generic hands");
}

/// All three are compressed with Draco and require it.
#[test]
fn pmndrs_models_load() {
    let paths = files(&package("@pmndrs/assets/models"), &[".glb.js"]);
    let found: Vec<_> = paths
        .iter()
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let loaded = load_scene_bytes(&name, &pmndrs(path), &limits())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            check(&loaded, &name);
            assert!(loaded.scene.bounds.radius() > 0.1, "{name}: {:?}", loaded.scene.bounds);
            (name, triangles(&loaded))
        })
        .collect();
    let found: Vec<_> = found.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(found, [("bunny.glb.js", 5_648), ("pmndrs.glb.js", 1_552), ("suzi.glb.js", 14_842)]);
}

/// The same engine twice: a Draco stream keeps the shape within its quantisation.
#[test]
fn a_draco_model_has_the_shape_of_the_plain_one() {
    let load = |name: &str| load_scene(&assimp().join(name), &limits()).expect("loads").scene;
    let plain = load("glTF2/2CylinderEngine-glTF-Binary/2CylinderEngine.glb");
    let packed = load("glTF2/draco/2CylinderEngine.gltf");
    let size = plain.bounds.radius();
    assert!((plain.bounds.min - packed.bounds.min).length() < size * 0.01);
    assert!((plain.bounds.max - packed.bounds.max).length() < size * 0.01);
    let area = |scene: &nearlight_render::scene::Scene| -> f64 {
        let at = |index: &u32, vertices: &[nearlight_render::scene::Vertex]| {
            glam::Vec3::from(vertices[*index as usize].position).as_dvec3()
        };
        let primitives = scene.meshes.iter().flat_map(|mesh| &mesh.primitives);
        let triangles =
            primitives.flat_map(|p| p.indices.chunks_exact(3).map(|t| (t, &p.vertices)));
        triangles
            .map(|(t, vertices)| {
                let [a, b, c] = [at(&t[0], vertices), at(&t[1], vertices), at(&t[2], vertices)];
                (b - a).cross(c - a).length() / 2.0
            })
            .sum()
    };
    let (plain, packed) = (area(&plain), area(&packed));
    assert!((plain - packed).abs() < plain * 0.01, "{plain} and {packed}");
}

/// Whatever is done to a stream, the scene loads or is refused; a panic fails this test.
#[test]
fn a_damaged_draco_stream_harms_nobody() {
    let path = files(&package("@pmndrs/assets/models"), &["suzi.glb.js"]).remove(0);
    let whole = pmndrs(&path);
    let limits = LoadLimits { memory: 64 << 20, ..limits() };
    // Past the JSON, which other tests damage.
    let json = u32::from_le_bytes([whole[12], whole[13], whole[14], whole[15]]) as usize;
    let (mut seed, mut refused) = (1_u64, 0);
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for round in 0..400 {
        let mut bytes = whole.clone();
        // The head holds the counts.
        let reach = if round % 2 == 0 { 200 } else { bytes.len() - json - 28 };
        for _ in 0..=random(4) {
            let at = json + 28 + random(reach);
            bytes[at] = random(256) as u8;
        }
        refused += usize::from(load_scene_bytes("damaged", &bytes, &limits).is_err());
    }
    assert!(refused > 100, "{refused} of 400 were refused");
}

/// A scene in a folder of its own, with a picture beside it.
fn with_environment(name: &str, picture: &[u8]) -> Result<LoadedScene, SceneError> {
    let folder = tempfile::tempdir().expect("a folder");
    let scene = r#"{"asset":{"version":"2.0"},"scenes":[{"nodes":[]}]}"#;
    std::fs::write(folder.path().join("scene.gltf"), scene).expect("written");
    std::fs::write(folder.path().join(name), picture).expect("written");
    load_scene(folder.path(), &limits())
}

#[test]
fn pmndrs_pictures_light_a_scene() {
    let paths = files(&package("@pmndrs/assets/hdri"), &[".exr.js"]);
    assert_eq!(paths.len(), 18);
    for path in paths {
        let name = path.to_string_lossy();
        let loaded = with_environment("environment.exr", &pmndrs(&path));
        let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
        let Environment::Picture { width, height, radiance } = loaded.scene.environment else {
            panic!("{name}: no picture");
        };
        assert_eq!(width, height * 2, "{name}");
        assert_eq!(radiance.len(), (width * height) as usize, "{name}");
        assert!(radiance.iter().flatten().all(|value| (0.0..1e6).contains(value)), "{name}");
        assert!(radiance.iter().flatten().any(|&value| value > 0.1), "{name} is black");
    }
}

#[test]
fn pictures_that_are_none_are_refused() {
    let error = with_environment("environment.exr", b"no picture").expect_err("refused");
    assert!(error.to_string().starts_with("environment.exr cannot be decoded"), "{error}");
    let mut hdr = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 4096 +X 8192\n".to_vec();
    hdr.extend([0; 64]);
    let error = with_environment("environment.hdr", &hdr).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "too large: the width of environment.hdr is 8192, the limit is 4096"
    );
}
