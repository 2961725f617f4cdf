// Meshes: lit or unlit surfaces into linear HDR colour, and casters into the shadow map.
// Lines between //#if and //#endif depend on features, see README.md.

// A software device pays for every uniform that a fragment reads about what it pays for an addition, so
// what varies slowly is worked out per vertex, and what is constant is a constant.

struct Light {
    // Relative to the eye. Directional lights are far away.
    position: vec3f,
    // 1 / range², 0 for an infinite range.
    inverse_range_2: f32,
    // Candela.
    color: vec3f,
    // The cone is saturate(dot(direction away from the light, spot) + offset)²; spots only.
    spot_offset: f32,
    spot: vec3f,
}

struct Frame {
    clip_from_world: mat4x4f,
    // To texture coordinates and depth of the shadow map.
    shadow_from_world: mat4x4f,
    // Its position; w: metres along the normal by which shadow lookups are moved.
    eye: vec4f,
    // Direction of the ray through normalised device coordinates x, y: base + x * dx + y * dy.
    sky_base: vec4f,
    sky_dx: vec4f,
    sky_dy: vec4f,
    // Towards the sun.
    sun_direction: vec4f,
    // Lux.
    sun_color: vec4f,
    zenith: vec4f,
    horizon: vec4f,
    ground: vec4f,
    // Irradiance / pi as spherical harmonics, constants folded in.
    irradiance: array<vec4f, 9>,
    // The last one is black.
    lights: array<Light, 9>,
}

struct Object {
    // Rows of the affine matrix from mesh to world space.
    world: array<vec4f, 3>,
    // Rows of its cofactor matrix, which takes normals along.
    normal: array<vec4f, 3>,
    // Radiance of the flash, and the material's own where no map scales it.
    emitted: vec4f,
    // Number of lights, their indices in 4 bits each, first joint matrix.
    lights: vec4u,
}

struct Material {
    base_color: vec4f,
    // w: alpha cut-off.
    emissive: vec4f,
    // Metallic, roughness, normal scale, occlusion strength.
    factors: vec4f,
    // x: bit per map, set where it uses the second texture coordinates.
    uv_sets: vec4u,
    // Per map: 2x2 matrix by columns, then offset.
    uv_transforms: array<vec4f, 10>,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var environment_map: texture_2d<f32>;
@group(0) @binding(2) var environment_sampler: sampler;
@group(0) @binding(3) var shadow_map: texture_depth_2d;
@group(0) @binding(4) var shadow_sampler: sampler_comparison;

@group(1) @binding(0) var<uniform> material: Material;
@group(1) @binding(1) var base_map: texture_2d<f32>;
@group(1) @binding(2) var base_sampler: sampler;
@group(1) @binding(3) var surface_map: texture_2d<f32>;
@group(1) @binding(4) var surface_sampler: sampler;
@group(1) @binding(5) var normal_map: texture_2d<f32>;
@group(1) @binding(6) var normal_sampler: sampler;
@group(1) @binding(7) var occlusion_map: texture_2d<f32>;
@group(1) @binding(8) var occlusion_sampler: sampler;
@group(1) @binding(9) var emissive_map: texture_2d<f32>;
@group(1) @binding(10) var emissive_sampler: sampler;

@group(2) @binding(0) var<uniform> object: Object;
// Three rows a joint.
@group(2) @binding(1) var<storage, read> joints: array<vec4f>;

override EXPOSURE: f32 = 1.0;

const PI: f32 = 3.14159265;
// Level of the environment map for roughness 1 and the share of the map inside its border; as in environment.rs.
const ENVIRONMENT_MAX_LEVEL: f32 = 4.0;
const ENVIRONMENT_INNER: f32 = 0.875;

struct Input {
    @location(0) position: vec3f,
//#if LIT
    @location(1) normal: vec3f,
//#endif
//#if NORMAL_MAP
    @location(2) tangent: vec4f,
//#endif
//#if UV0
    @location(3) uv0: vec2f,
//#endif
//#if UV1
    @location(4) uv1: vec2f,
//#endif
//#if COLOR
    @location(5) color: vec4f,
//#endif
//#if SKIN
    @location(6) joints: vec4u,
    @location(7) weights: vec4f,
//#endif
}

struct Varyings {
    @builtin(position) clip: vec4f,
//#if LIT
    @location(6) irradiance: vec3f,
//#endif
//#if NORMAL
    // From the surface to the eye.
    @location(0) view: vec3f,
    @location(1) normal: vec3f,
//#endif
//#if SLOPE
    // The sun's irradiance, negative where it shines on the back.
    @location(8) sunlight: vec3f,
//#endif
//#if NORMAL_MAP
    @location(2) tangent: vec4f,
//#endif
//#if UV0
    @location(3) uv0: vec2f,
//#endif
//#if UV1
    @location(4) uv1: vec2f,
//#endif
//#if COLOR
    @location(5) color: vec4f,
//#endif
//#if SHADOW
    @location(7) shadow: vec3f,
//#endif
}

fn row(index: u32, in: Input) -> vec4f {
    var result = object.world[index];
//#if SKIN
    let at = object.lights.z * 3u + index;
    result = joints[at + in.joints.x * 3u] * in.weights.x
        + joints[at + in.joints.y * 3u] * in.weights.y
        + joints[at + in.joints.z * 3u] * in.weights.z
        + joints[at + in.joints.w * 3u] * in.weights.w;
//#endif
    return result;
}

//#if LIT
// Irradiance / pi on a surface that faces `n`.
fn irradiance(n: vec3f) -> vec3f {
    return frame.irradiance[0].xyz
        + linear_irradiance(n)
        + frame.irradiance[4].xyz * (n.x * n.y)
        + frame.irradiance[5].xyz * (n.y * n.z)
        + frame.irradiance[6].xyz * (3.0 * n.z * n.z - 1.0)
        + frame.irradiance[7].xyz * (n.x * n.z)
        + frame.irradiance[8].xyz * (n.x * n.x - n.y * n.y);
}

// Its part that is linear in the direction, which alone is worth a fragment's while.
fn linear_irradiance(d: vec3f) -> vec3f {
    return frame.irradiance[1].xyz * d.y + frame.irradiance[2].xyz * d.z + frame.irradiance[3].xyz * d.x;
}
//#endif

@vertex
fn vertex(in: Input) -> Varyings {
    var out: Varyings;
    let x = row(0u, in);
    let y = row(1u, in);
    let z = row(2u, in);
    let position = vec4f(in.position, 1.0);
    let world = vec3f(dot(x, position), dot(y, position), dot(z, position));
    out.clip = frame.clip_from_world * vec4f(world, 1.0);
//#if LIT
    var nx = object.normal[0].xyz;
    var ny = object.normal[1].xyz;
    var nz = object.normal[2].xyz;
//#if SKIN
    nx = cross(y.xyz, z.xyz);
    ny = cross(z.xyz, x.xyz);
    nz = cross(x.xyz, y.xyz);
//#endif
    let n = normalize(vec3f(dot(nx, in.normal), dot(ny, in.normal), dot(nz, in.normal)));
//#if NORMAL
    out.view = frame.eye.xyz - world;
    out.normal = n;
//#endif
//#if SLOPE
    out.sunlight = frame.sun_color.rgb * dot(n, frame.sun_direction.xyz);
//#endif
    out.irradiance = irradiance(n);
//#if SHADOW
    // Towards the lit side, which of a double-sided surface may be the back.
    let aside = n * select(-frame.eye.w, frame.eye.w, dot(n, frame.sun_direction.xyz) >= 0.0);
    out.shadow = (frame.shadow_from_world * vec4f(world + aside, 1.0)).xyz;
//#endif
//#endif
//#if NORMAL_MAP
    let t = in.tangent.xyz;
    out.tangent = vec4f(dot(x.xyz, t), dot(y.xyz, t), dot(z.xyz, t), in.tangent.w * object.normal[0].w);
//#endif
//#if UV0
    out.uv0 = in.uv0;
//#endif
//#if UV1
    out.uv1 = in.uv1;
//#endif
//#if COLOR
    out.color = in.color * material.base_color;
//#endif
    return out;
}

//#if UV0
// Texture coordinates of map `index`.
fn map_uv(index: u32, in: Varyings) -> vec2f {
    var uv = in.uv0;
//#if UV1
    if (material.uv_sets.x & (1u << index)) != 0u {
        uv = in.uv1;
    }
//#endif
//#if UV_TRANSFORM
    let m = material.uv_transforms[index * 2u];
    uv = m.xy * uv.x + m.zw * uv.y + material.uv_transforms[index * 2u + 1u].xy;
//#endif
    return uv;
}
//#endif

fn base_color(in: Varyings) -> vec4f {
    var base = material.base_color;
//#if COLOR
    base = in.color;
//#endif
//#if BASE_MAP
    base *= textureSample(base_map, base_sampler, map_uv(0u, in));
//#endif
    return base;
}

//#if GLOSSY
// Octahedral coordinates, -1 to 1, of a direction of any length.
fn octahedral(d: vec3f) -> vec2f {
    let p = d.xz / (abs(d.x) + abs(d.y) + abs(d.z));
    let folded = (1.0 - abs(p.yx)) * select(vec2f(-1.0), vec2f(1.0), p >= vec2f(0.0));
    return select(folded, p, d.y >= 0.0);
}

// Directional albedo of GGX with F0 = 0 and 1, split sum: reflectance is f0 * x + y.
// Fit by B. Karis, "Physically Based Shading on Mobile" (2014).
fn environment_brdf(roughness: f32, n_dot_v: f32) -> vec2f {
    let r = roughness * vec4f(-1.0, -0.0275, -0.572, 0.022) + vec4f(1.0, 0.0425, 1.04, -0.04);
    let a = min(r.x * r.x, exp2(-9.28 * n_dot_v)) * r.x + r.y;
    return vec2f(-1.04, 1.04) * a + r.zw;
}

struct Surface {
    normal: vec3f,
    view: vec3f,
    n_dot_v: f32,
    // Over pi.
    diffuse: vec3f,
    f0: vec3f,
    // What single scattering loses, given back to the specular lobe.
    compensation: vec3f,
    // roughness², and its square.
    alpha: f32,
    alpha_2: f32,
}

// Radiance towards the eye per unit of irradiance.
fn reflect_light(s: Surface, l: vec3f) -> vec3f {
    let n_dot_l = saturate(dot(s.normal, l));
    let l_dot_v = dot(l, s.view);
    // Without the half vector h itself: (n·h)² = (n·l + n·v)² / q and (v·h)² = q / 4 where q = |l + v|².
    let q = max(2.0 + 2.0 * l_dot_v, 1e-4);
    let n_dot_lv = n_dot_l + s.n_dot_v;
    let f = 1.0 - 0.5 * sqrt(q);
    let f2 = f * f;
    let fresnel = s.f0 + (vec3f(1.0) - s.f0) * (f2 * f2 * f);
    // GGX over the visibility of Hammon (2017), which stays within 1% of Smith's at these roughnesses.
    let d = min(n_dot_lv * n_dot_lv, q) * (s.alpha_2 - 1.0) + q;
    let v = mix(2.0 * n_dot_l * s.n_dot_v, n_dot_lv, s.alpha);
    let specular = (0.5 / PI) * s.alpha_2 * q * q / (d * d * v + 1e-7);
    return (vec3f(1.0) - fresnel) * s.diffuse + fresnel * s.compensation * specular;
}
//#endif

@fragment
fn fragment(in: Varyings, @builtin(front_facing) front: bool) -> @location(0) vec4f {
    let base = base_color(in);
//#if MASK
    if base.a < material.emissive.w {
        discard;
    }
//#endif
    // Alpha tells the tone map how much of the pixel it may touch: nothing of unlit colours.
    var alpha = 0.0;
    var color = base.rgb;
//#if EXTRA
    color += object.emitted.rgb;
//#endif
//#if LIT
    alpha = 1.0;
    var ambient = in.irradiance;
    var sunlight = vec3f(0.0);
//#if SLOPE
    sunlight = max(in.sunlight, vec3f(0.0));
//#endif
//#if NORMAL
    var n = normalize(in.normal);
//#if DOUBLE_SIDED
    n = select(-n, n, front);
    ambient += select(linear_irradiance(n * 2.0), vec3f(0.0), front);
//#endif
//#if NORMAL_MAP
    let smooth_n = n;
    let t = normalize(in.tangent.xyz - n * dot(n, in.tangent.xyz));
    let b = cross(n, t) * in.tangent.w;
    let mapped = textureSample(normal_map, normal_sampler, map_uv(2u, in)).xyz * 2.0 - 1.0;
    n = normalize(t * (mapped.x * material.factors.z) + b * (mapped.y * material.factors.z) + n * mapped.z);
    ambient += linear_irradiance(n - smooth_n);
//#endif
//#if SUN
    sunlight = frame.sun_color.rgb * saturate(dot(n, frame.sun_direction.xyz));
//#endif
//#endif
//#if SHADOW
    sunlight *= textureSampleCompareLevel(shadow_map, shadow_sampler, in.shadow.xy, min(in.shadow.z, 1.0));
//#endif
    ambient = max(ambient, vec3f(0.0));
    var occlusion = 1.0;
//#if OCCLUSION_MAP
    occlusion = 1.0 + material.factors.w * (textureSample(occlusion_map, occlusion_sampler, map_uv(3u, in)).r - 1.0);
//#endif

    // Rough dielectrics: their reflection as a constant, from the model below at roughness 0.9, averaged over
    // directions for ambient light and from above for the sun's.
    var diffuse = base.rgb * (1.0 / PI);
    var from_around = ambient * (base.rgb * 0.955 + 0.045);
    var from_sun = diffuse * 0.96 + 0.0125 / PI;

//#if GLOSSY
    var metallic = material.factors.x;
    var roughness = material.factors.y;
//#if SURFACE_MAP
    let surface_texel = textureSample(surface_map, surface_sampler, map_uv(1u, in));
    metallic *= surface_texel.b;
    roughness *= surface_texel.g;
//#endif
    roughness = clamp(roughness, 0.045, 1.0);
//#if DIELECTRIC
    metallic = 0.0;
//#endif
    var s: Surface;
    s.normal = n;
    s.view = normalize(in.view);
    let n_dot_v_signed = dot(n, s.view);
    s.n_dot_v = clamp(n_dot_v_signed, 1e-3, 1.0);
    let albedo = base.rgb * (1.0 - metallic);
    diffuse = albedo * (1.0 / PI);
    s.diffuse = diffuse;
    s.f0 = mix(vec3f(0.04), base.rgb, metallic);
    s.alpha = roughness * roughness;
    s.alpha_2 = s.alpha * s.alpha;
    let brdf = environment_brdf(roughness, s.n_dot_v);
    s.compensation = 1.0 + s.f0 * (1.0 / (brdf.x + brdf.y) - 1.0);

    // Light from all around. What is not reflected at the surface is left for the diffuse part.
    let reflectance = (s.f0 * brdf.x + brdf.y) * s.compensation;
    let mirror = n * (2.0 * n_dot_v_signed) - s.view;
    let environment_uv = octahedral(mirror) * (0.5 * ENVIRONMENT_INNER) + 0.5;
    let around = textureSampleLevel(environment_map, environment_sampler, environment_uv, roughness * ENVIRONMENT_MAX_LEVEL).rgb;
    from_around = (vec3f(1.0) - reflectance) * albedo * ambient + reflectance * around;
//#if SUN
    from_sun = reflect_light(s, frame.sun_direction.xyz);
//#endif
//#endif

    color = from_around * occlusion + from_sun * sunlight;

//#if EXTRA
    // A loop that tests first would, on a software device, run its body once more with every lane masked.
    var packed = object.lights.y;
    var left = object.lights.x;
    loop {
        let light = frame.lights[packed & 15u];
        packed >>= 4u;
        let to_light = light.position + in.view;
        let distance_2 = max(dot(to_light, to_light), 1e-4);
        let inverse_distance = inverseSqrt(distance_2);
        let l = to_light * inverse_distance;
        let reach = distance_2 * light.inverse_range_2;
        let window = saturate(1.0 - reach * reach);
        let cone = saturate(light.spot_offset - dot(l, light.spot));
        let fading = inverse_distance * cone;
        var reflected = diffuse;
//#if GLOSSY
        reflected = reflect_light(s, l);
//#endif
        color += reflected * light.color * (saturate(dot(n, l)) * window * fading * fading);
        // Ends whatever the count is.
        left = max(left, 1u) - 1u;
        continuing {
            break if left == 0u;
        }
    }
//#endif

//#if EMISSIVE_MAP
    color += material.emissive.rgb * textureSample(emissive_map, emissive_sampler, map_uv(4u, in)).rgb;
//#endif
//#if EXTRA
    color += object.emitted.rgb;
//#endif
    color *= EXPOSURE;
//#endif
//#if BLEND
    alpha = base.a;
//#endif
    return vec4f(color, alpha);
}

struct ShadowVaryings {
    @builtin(position) clip: vec4f,
//#if UV0
    @location(3) uv0: vec2f,
//#endif
//#if UV1
    @location(4) uv1: vec2f,
//#endif
//#if COLOR
    @location(5) color: vec4f,
//#endif
}

// In the shadow pass clip_from_world is the sun's.
@vertex
fn shadow_vertex(in: Input) -> ShadowVaryings {
    var out: ShadowVaryings;
    let position = vec4f(in.position, 1.0);
    let world = vec3f(dot(row(0u, in), position), dot(row(1u, in), position), dot(row(2u, in), position));
    out.clip = frame.clip_from_world * vec4f(world, 1.0);
//#if UV0
    out.uv0 = in.uv0;
//#endif
//#if UV1
    out.uv1 = in.uv1;
//#endif
//#if COLOR
    out.color = in.color * material.base_color;
//#endif
    return out;
}

@fragment
fn shadow_fragment(in: ShadowVaryings) {
    var surface: Varyings;
//#if UV0
    surface.uv0 = in.uv0;
//#endif
//#if UV1
    surface.uv1 = in.uv1;
//#endif
//#if COLOR
    surface.color = in.color;
//#endif
    if base_color(surface).a < material.emissive.w {
        discard;
    }
}
