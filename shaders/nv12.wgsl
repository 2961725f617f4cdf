// Converts a picture with sRGB-encoded values to NV12 (BT.709, limited range) and scales it to the
// coded size in the same pass. One invocation makes a block of 8x2 luma samples and the four chroma
// pairs under them.

struct Params {
    // Centre of the last texel of the picture's used part, which begins at the upper left.
    last_texel: vec2<f32>,
    // Largest pixel coordinates of the coded picture.
    last_pixel: vec2<i32>,
    // Picture texels per coded pixel.
    scale: vec2<f32>,
    // 32 bit words in a row; luma and chroma rows are equally long.
    row_words: u32,
    // Luma rows, which is where chroma begins.
    luma_rows: u32,
}

// Whether the used part of the picture has another size than the coded picture.
override SCALED: bool = false;
override GROUP: u32 = 32;

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var bilinear: sampler;
@group(0) @binding(2) var<storage, read_write> nv12: array<u32>;
var<immediate> params: Params;

// ITU-R BT.709-6 item 3.2 (luma) and 3.3 (colour differences), quantised as in item 3.4 and
// H.273 equations 20 to 22 at 8 bits; values come in as 0..1.
const LUMA = vec3<f32>(0.2126, 0.7152, 0.0722);
const CB = vec3<f32>(-0.2126, -0.7152, 0.9278) / 1.8556;
const CR = vec3<f32>(0.7874, -0.7152, -0.0722) / 1.5748;

// The colour of a coded pixel; outside the picture, of the edge.
fn pixel(at: vec2<i32>) -> vec3<f32> {
    let inside = clamp(at, vec2<i32>(0), params.last_pixel);
    if !SCALED {
        return textureLoad(picture, inside, 0).rgb;
    }
    let source = (vec2<f32>(inside) + 0.5) * params.scale;
    // What lies beyond the used part must not take part.
    let place = clamp(source, vec2<f32>(0.5), params.last_texel);
    let whole = vec2<f32>(textureDimensions(picture));
    return textureSampleLevel(picture, bilinear, place / whole, 0.0).rgb;
}

fn luma(color: vec3<f32>) -> u32 {
    return u32(dot(color, LUMA) * 219.0 + 16.5);
}

fn word(a: u32, b: u32, c: u32, d: u32) -> u32 {
    return a | (b << 8u) | (c << 16u) | (d << 24u);
}

// Two chroma pairs from colours summed with weights that add up to 8.
fn chroma(left: vec3<f32>, right: vec3<f32>) -> u32 {
    let scale = 224.0 / 8.0;
    return word(
        u32(dot(left, CB) * scale + 128.5),
        u32(dot(left, CR) * scale + 128.5),
        u32(dot(right, CB) * scale + 128.5),
        u32(dot(right, CR) * scale + 128.5),
    );
}

@compute @workgroup_size(GROUP)
fn convert(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x * 2u;
    let row = id.y * 2u;
    if column >= params.row_words || row >= params.luma_rows {
        return;
    }
    let x = i32(column) * 4;
    let y = i32(row);

    // Chroma lies on even luma columns and between the rows, so it takes the neighbours on both
    // sides: weights 1 2 1 across, 1 1 down.
    var sum: array<vec3<f32>, 9>;
    var upper: array<u32, 9>;
    var lower: array<u32, 9>;
    for (var i = 0; i < 9; i++) {
        let a = pixel(vec2<i32>(x + i - 1, y));
        let b = pixel(vec2<i32>(x + i - 1, y + 1));
        sum[i] = a + b;
        upper[i] = luma(a);
        lower[i] = luma(b);
    }
    let upper_words = vec2<u32>(
        word(upper[1], upper[2], upper[3], upper[4]), word(upper[5], upper[6], upper[7], upper[8]));
    let lower_words = vec2<u32>(
        word(lower[1], lower[2], lower[3], lower[4]), word(lower[5], lower[6], lower[7], lower[8]));
    let chroma_words = vec2<u32>(
        chroma(sum[0] + 2.0 * sum[1] + sum[2], sum[2] + 2.0 * sum[3] + sum[4]),
        chroma(sum[4] + 2.0 * sum[5] + sum[6], sum[6] + 2.0 * sum[7] + sum[8]),
    );

    let at = row * params.row_words + column;
    nv12[at] = upper_words.x;
    nv12[at + 1u] = upper_words.y;
    nv12[at + params.row_words] = lower_words.x;
    nv12[at + params.row_words + 1u] = lower_words.y;
    let under = (params.luma_rows + id.y) * params.row_words + column;
    nv12[under] = chroma_words.x;
    nv12[under + 1u] = chroma_words.y;
}
