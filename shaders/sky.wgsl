// What lies behind everything: a gradient with a sun, or a picture. Drawn last, at depth 0 (infinity).

struct Frame {
    clip_from_world: mat4x4f,
    shadow_from_world: mat4x4f,
    eye: vec4f,
    sky_base: vec4f,
    sky_dx: vec4f,
    sky_dy: vec4f,
    sun_direction: vec4f,
    sun_color: vec4f,
    zenith: vec4f,
    horizon: vec4f,
    ground: vec4f,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(1) @binding(0) var picture: texture_2d<f32>;
@group(1) @binding(1) var picture_sampler: sampler;

// The share of the picture inside its border; as in environment.rs.
const PICTURE_INNER: f32 = 0.875;

override EXPOSURE: f32 = 1.0;

struct Varyings {
    @builtin(position) clip: vec4f,
    @location(0) direction: vec3f,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Varyings {
    let x = f32(index & 1u) * 4.0 - 1.0;
    let y = f32(index >> 1u) * 4.0 - 1.0;
    var out: Varyings;
    out.clip = vec4f(x, y, 0.0, 1.0);
    out.direction = frame.sky_base.xyz + frame.sky_dx.xyz * x + frame.sky_dy.xyz * y;
    return out;
}

// As in environment.rs, which lights the scene with it.
fn gradient(y: f32) -> vec3f {
    let k = 1.0 - abs(y);
    let k2 = k * k;
    let k4 = k2 * k2;
    let above = mix(frame.zenith.rgb, frame.horizon.rgb, k4);
    let below = mix(frame.ground.rgb, frame.horizon.rgb, k4 * k4 * k4);
    return select(below, above, y >= 0.0);
}

@fragment
fn gradient_fragment(in: Varyings) -> @location(0) vec4f {
    let d = normalize(in.direction);
    var color = gradient(d.y);
    let c = max(dot(d, frame.sun_direction.xyz), 0.0);
    let c2 = c * c;
    let c4 = c2 * c2;
    let c8 = c4 * c4;
    let c64 = c8 * c8 * c8 * c8 * c8 * c8 * c8 * c8;
    let c256 = c64 * c64 * c64 * c64;
    // Half degree across is a dot of two pixels at 640x360; three times that reads as a sun.
    let disc = smoothstep(0.99966, 0.99986, c);
    color += frame.sun_color.rgb * (0.015 * c8 + 0.06 * c64 + 0.25 * c256 * c256 + 20.0 * disc);
    return vec4f(color * EXPOSURE, 1.0);
}

fn octahedral(d: vec3f) -> vec2f {
    let p = d.xz / (abs(d.x) + abs(d.y) + abs(d.z));
    let folded = (1.0 - abs(p.yx)) * select(vec2f(-1.0), vec2f(1.0), p >= vec2f(0.0));
    return select(folded, p, d.y >= 0.0);
}

@fragment
fn picture_fragment(in: Varyings) -> @location(0) vec4f {
    let uv = octahedral(in.direction) * (0.5 * PICTURE_INNER) + 0.5;
    return vec4f(textureSampleLevel(picture, picture_sampler, uv, 0.0).rgb * EXPOSURE, 1.0);
}
