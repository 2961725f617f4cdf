//! Decodes images within limits. What a picture is follows from its bytes, never from its name.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::super::error::{describe, shorten};
use super::super::limits::{Budget, check};
use super::super::{Environment, Image, LoadLimits, SceneError};
use super::accessors::Accessors;
use super::files::{Files, read_file};

/// The environment may be this large at most, in pixels.
const ENVIRONMENT_SIZE: (u32, u32) = (4096, 2048);

/// Decodes image `index` of the file.
pub(super) fn load(
    accessors: &Accessors<'_>,
    files: &Files,
    index: usize,
) -> Result<Image, SceneError> {
    let Some(source) = accessors.root.images.get(index) else {
        return Err(SceneError::invalid(format!("image {index}"), "does not exist"));
    };
    let budget = accessors.budget;
    let name = source.name.as_deref().or(source.uri.as_deref().filter(|u| !u.starts_with("data:")));
    let what = describe("image", index, name);
    let owned;
    let bytes = match (source.buffer_view, &source.uri) {
        (Some(view), None) => accessors.view(view)?,
        (None, Some(uri)) => {
            owned = files.read_uri(&what, uri, budget.limits())?;
            budget.memory(&what, owned.len() as u64, 1)?;
            &owned
        }
        _ => return Err(SceneError::invalid(what, "needs either a buffer view or a URI")),
    };
    let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];
    let side = budget.limits().image_side;
    let decoded = decode(&what, bytes, &formats, (side, side), budget)?.into_rgba8();
    Ok(Image { width: decoded.width(), height: decoded.height(), rgba: decoded.into_raw() })
}

/// The picture `environment.hdr` or `environment.exr` beside the scene.
pub(super) fn environment(
    files: &Files,
    budget: &Budget,
) -> Result<Option<Environment>, SceneError> {
    for (name, format) in
        [("environment.hdr", ImageFormat::Hdr), ("environment.exr", ImageFormat::OpenExr)]
    {
        let Some(path) = files.find(name) else { continue };
        let LoadLimits { file_bytes, .. } = *budget.limits();
        let bytes = read_file(&path, file_bytes)?;
        budget.memory(name, bytes.len() as u64, 1)?;
        return decode_environment(name, &bytes, format, budget).map(Some);
    }
    Ok(None)
}

fn decode_environment(
    name: &str,
    bytes: &[u8],
    format: ImageFormat,
    budget: &Budget,
) -> Result<Environment, SceneError> {
    let decoded = decode(name, bytes, &[format], ENVIRONMENT_SIZE, budget)?.into_rgb32f();
    let (width, height) = decoded.dimensions();
    let mut radiance = Vec::with_capacity(width as usize * height as usize);
    for (x, y, pixel) in decoded.enumerate_pixels() {
        if pixel.0.iter().any(|value| !value.is_finite()) {
            let what = format!("pixel {x}, {y} of {name}");
            return Err(SceneError::NotFinite { what });
        }
        // Filters that sharpen leave negative light behind.
        radiance.push(pixel.0.map(|value| value.max(0.0)));
    }
    Ok(Environment::Picture { width, height, radiance })
}

fn decode(
    what: &str,
    bytes: &[u8],
    formats: &[ImageFormat],
    (max_width, max_height): (u32, u32),
    budget: &Budget,
) -> Result<DynamicImage, SceneError> {
    let fail = |why: String| SceneError::Image { what: what.to_owned(), why: shorten(&why) };
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| fail(error.to_string()))?;
    match reader.format() {
        Some(format) if formats.contains(&format) => {}
        Some(format) => return Err(fail(format!("{format:?} is not read here"))),
        None => return Err(fail("its format is unknown".into())),
    }
    let mut decoder = reader.into_decoder().map_err(|error| fail(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    check(|| format!("the width of {what}"), width.into(), max_width.into())?;
    check(|| format!("the height of {what}"), height.into(), max_height.into())?;
    if width == 0 || height == 0 {
        return Err(fail("it is empty".into()));
    }
    let pixels = u64::from(width) * u64::from(height);
    budget.pixels(what, pixels)?;
    // Decoded, converted, and what the decoder needs on the way.
    let bytes_per_pixel = usize::from(decoder.color_type().bytes_per_pixel()) + 12;
    budget.memory(what, pixels, bytes_per_pixel)?;
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(max_width);
    limits.max_image_height = Some(max_height);
    limits.max_alloc = Some((pixels * bytes_per_pixel as u64 * 2).max(16 << 20));
    decoder.set_limits(limits).map_err(|error| fail(error.to_string()))?;
    DynamicImage::from_decoder(decoder).map_err(|error| fail(error.to_string()))
}
