// Converts a picture with sRGB-encoded values to NV12 (BT.709, limited range) and scales it to the
// coded size in the same pass. One invocation makes a block of 8x2 luma samples and the four chroma
// pairs under them.

struct Params {
    // Largest texel coordinates of the picture's used part, which begins at the upper left.
    last_texel: vec2<i32>,
    // Largest pixel coordinates of the coded picture.
    last_pixel: vec2<i32>,
    // Picture texels per coded pixel.
    scale: vec2<f32>,
    // 32 bit words in a row; luma and chroma rows are equally long.
    row_words: u32,
    // Luma rows, which is where chroma begins.
    luma_rows: u32,
    // The debug strip (media's barcode): its 32 bits, then bit 0: shown, bit 1: the parity cell.
    strip_bits: u32,
    strip_flags: u32,
}

// How the used part of the picture relates to the coded picture: the same size, smaller or the same
// each way, anything.
const SAME = 0u;
const MAGNIFY = 1u;
const ANY = 2u;
override RELATION: u32 = ANY;
override GROUP: u32 = 64;

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<storage, read_write> nv12: array<u32>;
var<immediate> params: Params;

// ITU-R BT.709-6 item 3.2 (luma) and 3.3 (colour differences), quantised as in item 3.4 and
// H.273 equations 20 to 22 at 8 bits; values come in as 0..1.
const LUMA = vec3<f32>(0.2126, 0.7152, 0.0722);
const CB = vec3<f32>(-0.2126, -0.7152, 0.9278) / 1.8556;
const CR = vec3<f32>(0.7874, -0.7152, -0.0722) / 1.5748;

const CELL = 16u;
const CELLS = 33u;

fn texel(at: vec2<i32>) -> vec3<f32> {
    return textureLoad(picture, at, 0).rgb;
}

struct Column {
    upper: vec3<f32>,
    lower: vec3<f32>,
}

// What the blocks before and after (`at` may lie outside) see of one column: the edge is repeated.
fn same_size(at: vec2<i32>) -> Column {
    let x = clamp(at.x, 0, params.last_pixel.x);
    return Column(texel(vec2<i32>(x, at.y)), texel(vec2<i32>(x, at.y + 1)));
}

// The place of a pixel in texels: whole texels, and the part of the next one.
struct Place {
    base: vec2<i32>,
    part: vec2<f32>,
}

fn place(at: vec2<i32>) -> Place {
    let inside = clamp(at, vec2<i32>(0), params.last_pixel);
    let source = (vec2<f32>(inside) + 0.5) * params.scale - 0.5;
    let base = floor(source);
    return Place(vec2<i32>(base), source - base);
}

fn inside(at: vec2<i32>) -> vec2<i32> {
    return clamp(at, vec2<i32>(0), params.last_texel);
}

fn bilinear(at: vec2<i32>) -> vec3<f32> {
    let here = place(at);
    let near = inside(here.base);
    let far = inside(here.base + 1);
    let upper = mix(texel(near), texel(vec2<i32>(far.x, near.y)), here.part.x);
    let lower = mix(texel(vec2<i32>(near.x, far.y)), texel(far), here.part.x);
    return mix(upper, lower, here.part.y);
}

// The texels of one column in the three rows that two neighbouring pixel rows touch at most.
struct Texels {
    first: vec3<f32>,
    second: vec3<f32>,
    third: vec3<f32>,
}

fn texels(x: i32, rows: vec3<i32>) -> Texels {
    return Texels(
        texel(vec2<i32>(x, rows.x)), texel(vec2<i32>(x, rows.y)), texel(vec2<i32>(x, rows.z)));
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
    var columns: array<Column, 9>;
    if RELATION == SAME {
        for (var i = 0; i < 9; i++) {
            columns[i] = same_size(vec2<i32>(x + i - 1, y));
        }
    } else if RELATION == MAGNIFY {
        // Neighbouring pixels are at most a texel apart, so each texel is loaded once, where
        // `bilinear` loads it up to four times: from the right, a column's far texels are the near
        // or the far ones of the column before.
        let above = place(vec2<i32>(x, y));
        let below = place(vec2<i32>(x, y + 1));
        let rows = vec3<i32>(
            inside(above.base).y, inside(above.base + 1).y, inside(below.base + 1).y);
        let same_row = above.base.y == below.base.y;
        var base = place(vec2<i32>(x + 7, y)).base.x;
        var near = texels(clamp(base + 1, 0, params.last_texel.x), rows);
        var far = near;
        // The first column's far texels are the ones just loaded.
        base += 1;
        for (var i = 8; i >= 0; i--) {
            let here = place(vec2<i32>(x + i - 1, y));
            if here.base.x != base {
                far = near;
            }
            base = here.base.x;
            near = texels(clamp(base, 0, params.last_texel.x), rows);
            let first = mix(near.first, far.first, here.part.x);
            let second = mix(near.second, far.second, here.part.x);
            let third = mix(near.third, far.third, here.part.x);
            columns[i] = Column(
                mix(first, second, above.part.y),
                mix(select(second, first, same_row), third, below.part.y),
            );
        }
    } else {
        for (var i = 0; i < 9; i++) {
            let at = vec2<i32>(x + i - 1, y);
            columns[i] = Column(bilinear(at), bilinear(at + vec2<i32>(0, 1)));
        }
    }
    var sum: array<vec3<f32>, 9>;
    var upper: array<u32, 9>;
    var lower: array<u32, 9>;
    for (var i = 0; i < 9; i++) {
        let column = columns[i];
        sum[i] = column.upper + column.lower;
        upper[i] = luma(column.upper);
        lower[i] = luma(column.lower);
    }
    var upper_words = vec2<u32>(
        word(upper[1], upper[2], upper[3], upper[4]), word(upper[5], upper[6], upper[7], upper[8]));
    var lower_words = vec2<u32>(
        word(lower[1], lower[2], lower[3], lower[4]), word(lower[5], lower[6], lower[7], lower[8]));
    var chroma_words = vec2<u32>(
        chroma(sum[0] + 2.0 * sum[1] + sum[2], sum[2] + 2.0 * sum[3] + sum[4]),
        chroma(sum[4] + 2.0 * sum[5] + sum[6], sum[6] + 2.0 * sum[7] + sum[8]),
    );

    let cell = u32(x) / CELL;
    if (params.strip_flags & 1u) != 0u && row < CELL && cell < CELLS {
        let bit = select((params.strip_flags >> 1u) & 1u, (params.strip_bits >> (31u - min(cell, 31u))) & 1u, cell < 32u);
        upper_words = vec2<u32>(select(0x10101010u, 0xebebebebu, bit != 0u));
        lower_words = upper_words;
        chroma_words = vec2<u32>(0x80808080u);
    }

    let at = row * params.row_words + column;
    nv12[at] = upper_words.x;
    nv12[at + 1u] = upper_words.y;
    nv12[at + params.row_words] = lower_words.x;
    nv12[at + params.row_words + 1u] = lower_words.y;
    let under = (params.luma_rows + id.y) * params.row_words + column;
    nv12[under] = chroma_words.x;
    nv12[under + 1u] = chroma_words.y;
}
