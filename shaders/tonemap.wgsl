// Linear HDR to display: tone map, sRGB encoding, dither. One fragment a pixel.

@group(0) @binding(0) var hdr: texture_2d<f32>;

// 0 Khronos PBR Neutral, 1 ACES fit, 2 AgX fit.
override OPERATOR: u32 = 0u;

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    return vec4f(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

// Khronos PBR Neutral tone mapper, specification 1.0.
fn neutral(c: vec3f) -> vec3f {
    const START: f32 = 0.8 - 0.04;
    const DESATURATION: f32 = 0.15;
    let least = min(c.r, min(c.g, c.b));
    let offset = select(0.04, least - 6.25 * least * least, least < 0.08);
    let color = c - offset;
    let peak = max(color.r, max(color.g, color.b));
    const D: f32 = 1.0 - START;
    let pressed = 1.0 - D * D / (max(peak, START) + D - START);
    let g = 1.0 - 1.0 / (DESATURATION * (peak - pressed) + 1.0);
    return select(mix(color * (pressed / max(peak, START)), vec3f(pressed), g), color, peak < START);
}

// Fit of the ACES RRT and sRGB ODT by S. Hill.
fn aces(c: vec3f) -> vec3f {
    const IN = mat3x3f(0.59719, 0.07600, 0.02840, 0.35458, 0.90834, 0.13383, 0.04823, 0.01566, 0.83777);
    const OUT = mat3x3f(1.60475, -0.10208, -0.00327, -0.53108, 1.10813, -0.07276, -0.07367, -0.00605, 1.07602);
    let v = IN * c;
    let a = v * (v + 0.0245786) - 0.000090537;
    let b = v * (0.983729 * v + 0.4329510) + 0.238081;
    return OUT * (a / b);
}

// AgX, base look: polynomial fit of its sigmoid by B. Wrensch. Yields linear values.
fn agx(c: vec3f) -> vec3f {
    const IN = mat3x3f(0.842479, 0.0423282, 0.0423756, 0.0784336, 0.878469, 0.0784336, 0.0792237, 0.0791661, 0.879143);
    const OUT = mat3x3f(1.19688, -0.0528969, -0.0529716, -0.0980209, 1.15190, -0.0980434, -0.0990297, -0.0989612, 1.15107);
    let v = (clamp(log2(max(IN * c, vec3f(1e-10))), vec3f(-12.47393), vec3f(4.026069)) + 12.47393) / 16.5;
    let v2 = v * v;
    let v4 = v2 * v2;
    let s = 15.5 * v4 * v2 - 40.14 * v4 * v + 31.96 * v4 - 6.868 * v2 * v + 0.4298 * v2 + 0.1191 * v - 0.00232;
    return pow(max(OUT * s, vec3f(0.0)), vec3f(2.2));
}

// IEC 61966-2-1, its power by roots: within a quarter of a code value, which golden_physics.rs asserts. On a software
// device a root is an instruction and a power is a logarithm and an exponential.
fn encode_srgb(c: vec3f) -> vec3f {
    let root2 = sqrt(c);
    let root4 = sqrt(root2);
    let root8 = sqrt(root4);
    let power = 0.6620027 * root2 + 0.6841221 * root4 - 0.3235836 * root8 - 0.0225411 * c;
    return select(power, 12.92 * c, c <= vec3f(0.0031308));
}

@fragment
fn fragment(@builtin(position) at: vec4f) -> @location(0) vec4f {
    let pixel = vec2u(at.xy);
    let texel = textureLoad(hdr, pixel, 0);
    // A half float overflows to infinity, which no operator survives.
    let color = clamp(texel.rgb, vec3f(0.0), vec3f(6e4));
    var mapped: vec3f;
    switch OPERATOR {
        case 1u: { mapped = aces(color); }
        case 2u: { mapped = agx(color); }
        default: { mapped = neutral(color); }
    }
    // Unlit colours are already meant for the display, see mesh.wgsl.
    let linear = saturate(mix(color, mapped, texel.a));
    // A 4x4 Bayer matrix, ±1/2 of a code value: gradients do not band, flat areas keep their mean.
    let q = vec2u(pixel.x ^ pixel.y, pixel.y);
    let bayer = ((q.x & 1u) << 3u) | ((q.y & 1u) << 2u) | (q.x & 2u) | ((q.y & 2u) >> 1u);
    let dither = (f32(bayer) - 7.5) / (16.0 * 255.0);
    return vec4f(encode_srgb(linear) + dither, 1.0);
}
