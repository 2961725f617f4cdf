//! The outer layers of a file: the binary container (glTF 2.0 §4.4), the JSON, and what it declares.

use std::borrow::Cow;

use gltf::json::validation::{Error as Fault, Validate};
use gltf::json::{Path as JsonPath, Root, Value, deserialize};

use super::super::SceneError;
use super::super::error::shorten;
use super::super::limits::{Budget, check};

/// JSON and binary chunk of a file.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) json: &'a [u8],
    pub(super) binary: Option<&'a [u8]>,
}

/// Splits a `.glb`; anything without its magic number is taken for JSON.
pub(super) fn split(bytes: &[u8]) -> Result<Container<'_>, SceneError> {
    const JSON: u32 = 0x4e4f_534a;
    const BINARY: u32 = 0x004e_4942;
    let broken = |why: &str| SceneError::Container(why.to_owned());
    if !bytes.starts_with(b"glTF") {
        return Ok(Container { json: bytes, binary: None });
    }
    let version = word(bytes, 4).ok_or_else(|| broken("the header is cut short"))?;
    if version != 2 {
        return Err(SceneError::Container(format!("the container has version {version}")));
    }
    let length = word(bytes, 8).ok_or_else(|| broken("the header is cut short"))? as usize;
    let mut rest =
        bytes.get(12..length).ok_or_else(|| broken("the file is shorter than its header says"))?;
    let mut chunks = [None, None];
    for (index, slot) in chunks.iter_mut().enumerate() {
        if rest.is_empty() {
            break;
        }
        let cut = || broken("a chunk is cut short");
        let size = word(rest, 0).ok_or_else(cut)? as usize;
        let kind = word(rest, 4).ok_or_else(cut)?;
        let (body, after) = rest[8..].split_at_checked(size).ok_or_else(cut)?;
        if kind != [JSON, BINARY][index] {
            // Unknown chunks after the JSON are to be ignored.
            if index == 0 {
                return Err(broken("the first chunk is not JSON"));
            }
            break;
        }
        *slot = Some(body);
        rest = after;
    }
    let json = chunks[0].ok_or_else(|| broken("there is no JSON chunk"))?;
    Ok(Container { json, binary: chunks[1] })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Parses and validates the JSON. `warn` takes what is ignored.
pub(super) fn parse(
    json: &[u8],
    budget: &Budget,
    mut warn: impl FnMut(String),
) -> Result<Root, SceneError> {
    let limits = budget.limits();
    check(|| "the JSON".to_owned(), json.len() as u64, limits.json_bytes)?;
    // What a parsed document can take: the largest type of the parser is below 1 KiB and begins with a
    // brace; a number in a free-form array takes 32 bytes for two of JSON.
    budget.memory("the JSON", count_objects(json), 1024)?;
    budget.memory("the JSON", json.len() as u64, 16)?;
    let json = strip_byte_order_mark(json);
    let root: Root = deserialize::from_slice(json).map_err(|error| refuse_json(json, &error))?;
    check_version(Some(&root.asset.version), root.asset.min_version.as_deref())?;
    check_extensions(&root, &mut warn)?;
    check_counts(&root, budget)?;
    check_document(&root)?;
    Ok(root)
}

/// How many objects the JSON opens.
fn count_objects(json: &[u8]) -> u64 {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

fn strip_byte_order_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

/// The version is asked first: glTF 1.0 fails everywhere else with errors that help nobody.
fn refuse_json(json: &[u8], error: &gltf::json::Error) -> SceneError {
    if let Ok(Value::Object(document)) = deserialize::from_slice::<Value>(json) {
        let asset = document.get("asset");
        let text = |key: &str| asset.and_then(|asset| asset.get(key)).and_then(Value::as_str);
        if let Err(refusal) = check_version(text("version"), text("minVersion")) {
            return refusal;
        }
    }
    SceneError::Json(shorten_message(&error.to_string()))
}

fn check_version(version: Option<&str>, least: Option<&str>) -> Result<(), SceneError> {
    let refuse =
        |key, value: &str| Err(SceneError::Container(format!("asset.{key} is {}", shorten(value))));
    match (version, least) {
        (None, _) => refuse("version", "missing"),
        (Some(version), _) if version.split('.').next() != Some("2") => refuse("version", version),
        (_, Some(least)) if least != "2.0" => refuse("minVersion", least),
        _ => Ok(()),
    }
}

/// The parser quotes what it found, however long that is.
fn shorten_message(message: &str) -> String {
    if message.len() <= 300 { message.to_owned() } else { shorten(message) }
}

/// Extensions whose meaning is fully kept.
const SUPPORTED: [&str; 7] = [
    super::draco::NAME,
    "KHR_lights_punctual",
    "KHR_materials_emissive_strength",
    "KHR_materials_unlit",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "EXT_texture_webp",
];

fn check_extensions(root: &Root, warn: &mut impl FnMut(String)) -> Result<(), SceneError> {
    let unsupported = |name: &&String| !SUPPORTED.contains(&name.as_str());
    let required: Vec<_> = root
        .extensions_required
        .iter()
        .filter(unsupported)
        .take(16)
        .map(|name| match name.as_str() {
            "EXT_meshopt_compression" | "KHR_meshopt_compression" => {
                format!("{name} (meshopt buffers)")
            }
            "KHR_texture_basisu" => "KHR_texture_basisu (Basis Universal textures)".into(),
            _ => shorten(name),
        })
        .collect();
    if !required.is_empty() {
        return Err(SceneError::Extensions(required.join(", ")));
    }
    for name in root.extensions_used.iter().filter(unsupported).take(32) {
        warn(format!("the extension {} is ignored", shorten(name)));
    }
    Ok(())
}

fn check_counts(root: &Root, budget: &Budget) -> Result<(), SceneError> {
    let limits = budget.limits();
    let primitives: usize = root.meshes.iter().map(|mesh| mesh.primitives.len()).sum();
    for (what, found, limit) in [
        ("the number of nodes", root.nodes.len(), limits.nodes),
        ("the number of meshes", root.meshes.len(), limits.primitives),
        ("the number of primitives", primitives, limits.primitives),
        ("the number of materials", root.materials.len(), limits.materials),
        ("the number of textures", root.textures.len(), limits.textures),
        ("the number of images", root.images.len(), limits.textures),
    ] {
        check(|| what.to_owned(), found as u64, limit)?;
    }
    Ok(())
}

/// The `gltf` crate's validation, which checks indices and enumerations, and what it omits.
fn check_document(root: &Root) -> Result<(), SceneError> {
    // Its check of a primitive indexes accessors by POSITION without looking.
    for (index, mesh) in root.meshes.iter().enumerate() {
        for accessor in mesh.primitives.iter().flat_map(|primitive| primitive.attributes.values()) {
            if accessor.value() >= root.accessors.len() {
                return Err(SceneError::invalid(
                    super::mesh_name(root, index),
                    format!("uses accessor {accessor}, which does not exist"),
                ));
            }
        }
    }
    let mut first: Option<(JsonPath, Fault)> = None;
    root.validate(root, JsonPath::new, &mut |path, fault| {
        if first.is_some() {
            return;
        }
        let path = path();
        // Extensions are judged above. Bounds of positions are computed here, so a missing or mistyped
        // claim about them harms nobody.
        let bounds = path.0.ends_with(".min") || path.0.ends_with(".max");
        // glTF 2.0 §3.6.2.1: without a view the elements are zero, or an extension brings them.
        let no_view = path.0.starts_with("accessors[") && path.0.ends_with("].bufferView");
        if matches!(fault, Fault::Unsupported) || bounds || no_view && fault == Fault::Missing {
            return;
        }
        first = Some((path, fault));
    });
    match first {
        Some((path, fault)) => {
            let why: Cow<'_, str> = match fault {
                Fault::IndexOutOfBounds => "is an index out of range".into(),
                Fault::Missing => "is missing".into(),
                Fault::Invalid => "has a value that it cannot have".into(),
                other => other.to_string().into(),
            };
            Err(SceneError::invalid(shorten(path.as_str()), why))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_within_strings_are_no_objects() {
        assert_eq!(count_objects(br#"{"a{\"{":{},"b":[{}]}"#), 3);
    }

    #[test]
    fn broken_containers_are_named() {
        let refuse = |bytes: &[u8]| split(bytes).expect_err("refused").to_string();
        assert_eq!(refuse(b"glTF\x02"), "not a glTF 2.0 file: the header is cut short");
        assert!(refuse(b"glTF\x01\0\0\0\x0c\0\0\0").contains("version 1"));
        assert!(refuse(b"glTF\x02\0\0\0\x00\0\0\0").contains("shorter"));
        assert!(refuse(b"glTF\x02\0\0\0\xff\xff\xff\xff").contains("shorter"));
        assert!(refuse(b"glTF\x02\0\0\0\x0c\0\0\0").contains("no JSON chunk"));
        assert!(refuse(b"glTF\x02\0\0\0\x14\0\0\0\xff\xff\xff\xffJSON").contains("cut short"));
        assert!(refuse(b"glTF\x02\0\0\0\x14\0\0\0\0\0\0\0BIN\0").contains("not JSON"));
    }
}
