// Converts a picture to luma and chroma in limited range and scales it to the coded size in the same
// pass. One invocation makes a block of 8x2 luma samples and the chroma samples under them.

struct Params {
    // Centre of the last texel of the picture's used part, which begins at the upper left.
    last_texel: vec2<f32>,
    // Largest pixel coordinates of the coded picture.
    last_pixel: vec2<i32>,
    // Picture texels per coded pixel.
    scale: vec2<f32>,
    // 32 bit words in a row; rows of all planes are equally long.
    row_words: u32,
    // Luma rows, which is where chroma begins.
    luma_rows: u32,
}

// Whether the used part of the picture has another size than the coded picture.
override SCALED: bool = false;
// 10 bits a sample, in the upper ones of 16, instead of 8.
override TEN: bool = false;
// The picture holds linear light of BT.709's primaries, 1 being 203 cd/m² (ITU-R BT.2408), and becomes
// BT.2020 with PQ; else it holds encoded values, which stay as they are (BT.709).
override PQ: bool = false;
override GROUP: u32 = 32;

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var bilinear: sampler;
@group(0) @binding(2) var<storage, read_write> samples: array<u32>;
var<immediate> params: Params;

// ITU-R BT.709-6 item 3.2 (luma) and 3.3 (colour differences), and BT.2020-2 table 4.
const LUMA_709 = vec3<f32>(0.2126, 0.7152, 0.0722);
const CB_709 = vec3<f32>(-0.2126, -0.7152, 0.9278) / 1.8556;
const CR_709 = vec3<f32>(0.7874, -0.7152, -0.0722) / 1.5748;
const LUMA_2020 = vec3<f32>(0.2627, 0.6780, 0.0593);
const CB_2020 = vec3<f32>(-0.2627, -0.6780, 0.9407) / 1.8814;
const CR_2020 = vec3<f32>(0.7373, -0.6780, -0.0593) / 1.4746;

// ITU-R BT.2087-0 annex 1: linear BT.709 to linear BT.2020.
const TO_2020 = mat3x3<f32>(
    0.6274, 0.0691, 0.0164,
    0.3293, 0.9195, 0.0880,
    0.0433, 0.0114, 0.8956,
);
// 1.0 in the 10000 cd/m² that PQ spans.
const WHITE = 203.0 / 10000.0;

// Inverse EOTF of SMPTE ST 2084 (ITU-R BT.2100-2 table 4).
fn pq(light: vec3<f32>) -> vec3<f32> {
    let power = pow(clamp(light, vec3<f32>(0.0), vec3<f32>(1.0)), vec3<f32>(0.1593017578125));
    let ratio = (0.8359375 + 18.8515625 * power) / (1.0 + 18.6875 * power);
    return pow(ratio, vec3<f32>(78.84375));
}

// What the picture holds at a coded pixel; outside the picture, at the edge.
fn texel(at: vec2<i32>) -> vec3<f32> {
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

// The encoded colour of a coded pixel.
fn pixel(at: vec2<i32>) -> vec3<f32> {
    let color = texel(at);
    if PQ {
        return pq(TO_2020 * color * WHITE);
    }
    return color;
}

// H.273 equations 20 to 22, for 8 or 10 bits; `part` is that of the range of 8 bits.
fn quantised(value: f32, part: f32, zero: f32) -> u32 {
    let step = select(1.0, 4.0, TEN);
    return u32(value * (part * step) + (zero * step + 0.5));
}

fn luma(color: vec3<f32>) -> u32 {
    return quantised(dot(color, select(LUMA_709, LUMA_2020, PQ)), 219.0, 16.0);
}

// From colours summed with weights that add up to `weights`.
fn cb(color: vec3<f32>, weights: f32) -> u32 {
    return quantised(dot(color, select(CB_709, CB_2020, PQ)), 224.0 / weights, 128.0);
}

fn cr(color: vec3<f32>, weights: f32) -> u32 {
    return quantised(dot(color, select(CR_709, CR_2020, PQ)), 224.0 / weights, 128.0);
}

fn bytes(v: vec4<u32>) -> u32 {
    return v.x | (v.y << 8u) | (v.z << 16u) | (v.w << 24u);
}

// Eight samples of a row from a word on.
fn store(at: u32, left: vec4<u32>, right: vec4<u32>) {
    if TEN {
        samples[at] = (left.x << 6u) | (left.y << 22u);
        samples[at + 1u] = (left.z << 6u) | (left.w << 22u);
        samples[at + 2u] = (right.x << 6u) | (right.y << 22u);
        samples[at + 3u] = (right.z << 6u) | (right.w << 22u);
    } else {
        samples[at] = bytes(left);
        samples[at + 1u] = bytes(right);
    }
}

// Two chroma pairs from colours summed with weights that add up to 8.
fn pairs(left: vec3<f32>, right: vec3<f32>) -> vec4<u32> {
    return vec4<u32>(cb(left, 8.0), cr(left, 8.0), cb(right, 8.0), cr(right, 8.0));
}

// 4:2:0: a plane of luma, and one of chroma pairs at half the size each way.
@compute @workgroup_size(GROUP)
fn convert_420(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x * select(2u, 4u, TEN);
    let row = id.y * 2u;
    if column >= params.row_words || row >= params.luma_rows {
        return;
    }
    let x = i32(id.x) * 8;
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
    let at = row * params.row_words + column;
    store(at, vec4<u32>(upper[1], upper[2], upper[3], upper[4]),
        vec4<u32>(upper[5], upper[6], upper[7], upper[8]));
    store(at + params.row_words, vec4<u32>(lower[1], lower[2], lower[3], lower[4]),
        vec4<u32>(lower[5], lower[6], lower[7], lower[8]));
    let under = (params.luma_rows + id.y) * params.row_words + column;
    store(under, pairs(sum[0] + 2.0 * sum[1] + sum[2], sum[2] + 2.0 * sum[3] + sum[4]),
        pairs(sum[4] + 2.0 * sum[5] + sum[6], sum[6] + 2.0 * sum[7] + sum[8]));
}

// 4:4:4: three planes of the full size.
@compute @workgroup_size(GROUP)
fn convert_444(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x * select(2u, 4u, TEN);
    if column >= params.row_words {
        return;
    }
    for (var y = id.y * 2u; y < min(id.y * 2u + 2u, params.luma_rows); y++) {
        var luma_codes: array<u32, 8>;
        var cb_codes: array<u32, 8>;
        var cr_codes: array<u32, 8>;
        for (var i = 0; i < 8; i++) {
            let color = pixel(vec2<i32>(i32(id.x) * 8 + i, i32(y)));
            luma_codes[i] = luma(color);
            cb_codes[i] = cb(color, 1.0);
            cr_codes[i] = cr(color, 1.0);
        }
        let plane = params.luma_rows * params.row_words;
        let at = y * params.row_words + column;
        store(at, vec4<u32>(luma_codes[0], luma_codes[1], luma_codes[2], luma_codes[3]),
            vec4<u32>(luma_codes[4], luma_codes[5], luma_codes[6], luma_codes[7]));
        store(at + plane, vec4<u32>(cb_codes[0], cb_codes[1], cb_codes[2], cb_codes[3]),
            vec4<u32>(cb_codes[4], cb_codes[5], cb_codes[6], cb_codes[7]));
        store(at + 2u * plane, vec4<u32>(cr_codes[0], cr_codes[1], cr_codes[2], cr_codes[3]),
            vec4<u32>(cr_codes[4], cr_codes[5], cr_codes[6], cr_codes[7]));
    }
}
