// What WebCodecs calls a stream, read from the headers of its keyframe: decoders are chosen by profile,
// level and depth, and of these only the stream itself knows.
import { BitReader, nalUnits, OutOfBits, withoutEmulation } from './bits.ts';

/** By their names in RTP and in the API. The order is that of the frame header's byte. */
export const CODECS = ['H264', 'H265', 'VP8', 'VP9', 'AV1'] as const;
export type VideoCodec = (typeof CODECS)[number];

/** One string of each codec as nodes send it, 8 bits a sample at 720p, to ask a browser what it decodes. */
export const TYPICAL: Readonly<Record<VideoCodec, string>> = {
  H264: 'avc1.42e01f',
  H265: 'hev1.1.6.L93.B0',
  VP8: 'vp8',
  VP9: 'vp09.00.31.08',
  AV1: 'av01.0.05M.08',
};

/** The codec string of a keyframe; undefined when it lacks the headers that a keyframe has. */
export function codecString(codec: VideoCodec, keyframe: Uint8Array): string | undefined {
  try {
    switch (codec) {
      case 'H264':
        return avc(keyframe);
      case 'H265':
        return hevc(keyframe);
      case 'VP8':
        return isVp8Key(keyframe) ? 'vp8' : undefined;
      case 'VP9':
        return vp9(keyframe);
      case 'AV1':
        return av1(keyframe);
    }
  } catch (error) {
    if (error instanceof OutOfBits) return undefined;
    throw error;
  }
}

/** `avc1.` and profile, constraints and level of the SPS (RFC 6381 §3.3). */
function avc(unit: Uint8Array): string | undefined {
  for (const nal of nalUnits(unit)) {
    // Profile and constraints cannot hold two zero bytes before a level, so nothing is escaped in them.
    if (((nal[0] ?? 0) & 0x1f) === 7 && nal.length >= 4) return `avc1.${hex(nal[1])}${hex(nal[2])}${hex(nal[3])}`;
  }
  return undefined;
}

const SPS_H265 = 33;
/** NAL header, the SPS's first byte, and `profile_tier_level` up to the level (H.265 §7.3.3). */
const HEVC_HEAD = 2 + 1 + 12;

/** `hev1.` (parameter sets in the stream), profile, compatibility, tier, level, constraints (ISO/IEC 14496-15 §E.3). */
function hevc(unit: Uint8Array): string | undefined {
  for (const nal of nalUnits(unit)) {
    if ((((nal[0] ?? 0) >> 1) & 0x3f) !== SPS_H265) continue;
    const bits = new BitReader(withoutEmulation(nal, HEVC_HEAD));
    // NAL header, sps_video_parameter_set_id, sps_max_sub_layers_minus1, nesting flag.
    bits.skip(16 + 8);
    const space = ['', 'A', 'B', 'C'][bits.read(2)] ?? '';
    const tier = bits.flag() ? 'H' : 'L';
    const profile = bits.read(5);
    let compatibility = 0;
    // The first flag is the string's least significant bit.
    for (let bit = 0; bit < 32; bit += 1) compatibility += bits.read(1) * 2 ** bit;
    const constraints = Array.from({ length: 6 }, () => bits.read(8));
    const level = bits.read(8);
    while (constraints.at(-1) === 0) constraints.pop();
    const parts = [`hev1.${space}${profile}`, compatibility.toString(16).toUpperCase(), `${tier}${level}`, ...constraints.map((byte) => byte.toString(16).toUpperCase())];
    return parts.join('.');
  }
  return undefined;
}

/** A keyframe's start code (RFC 6386 §9.1). */
function isVp8Key(frame: Uint8Array): boolean {
  return frame.length >= 10 && ((frame[0] ?? 1) & 1) === 0 && frame[3] === 0x9d && frame[4] === 0x01 && frame[5] === 0x2a;
}

/** Levels of VP9 by the most luma samples a second and a picture (VP9 bitstream overview, annex A). */
const VP9_LEVELS = [
  [10, 829_440, 36_864], [11, 2_764_800, 73_728], [20, 4_608_000, 122_880], [21, 9_216_000, 245_760],
  [30, 20_736_000, 552_960], [31, 36_864_000, 983_040], [40, 83_558_400, 2_228_224], [41, 160_432_128, 2_228_224],
  [50, 311_951_360, 8_912_896], [51, 588_251_136, 8_912_896], [52, 1_176_502_272, 8_912_896],
  [60, 1_176_502_272, 35_651_584], [61, 2_353_004_544, 35_651_584], [62, 4_706_009_088, 35_651_584],
] as const;
/** Frames a second that a level is taken for: the stream does not say how many it has. */
const VP9_RATE = 60;

/** `vp09.` profile, level, depth. The level is not in the stream; it is the least that takes the picture. */
function vp9(frame: Uint8Array): string | undefined {
  const bits = new BitReader(frame);
  if (bits.read(2) !== 2) return undefined;
  const profile = bits.read(1) + 2 * bits.read(1);
  if (profile === 3) bits.skip(1);
  // show_existing_frame, frame_type (0: key), then show_frame and error_resilient_mode.
  if (bits.flag() || bits.flag()) return undefined;
  bits.skip(2);
  if (bits.read(24) !== 0x498342) return undefined;
  const depth = profile < 2 ? 8 : bits.flag() ? 12 : 10;
  const rgb = bits.read(3) === 7;
  if (!rgb) {
    // color_range, and what is subsampled in profiles that say.
    bits.skip(1);
    if (profile % 2 === 1) bits.skip(3);
  } else if (profile % 2 === 1) {
    bits.skip(1);
  } else {
    return undefined;
  }
  const width = bits.read(16) + 1;
  const samples = width * (bits.read(16) + 1);
  const level = VP9_LEVELS.find(([, rate, size]) => samples <= size && samples * VP9_RATE <= rate)?.[0] ?? 62;
  return `vp09.${two(profile)}.${level}.${two(depth)}`;
}

const OBU_SEQUENCE_HEADER = 1;

/** `av01.` profile, level and tier, depth (AV1 codec ISO media file format binding §5). */
function av1(unit: Uint8Array): string | undefined {
  for (let at = 0; at < unit.length; ) {
    const head = unit[at] ?? 0;
    const type = (head >> 3) & 0xf;
    at += (head & 4) === 0 ? 1 : 2;
    let size = unit.length - at;
    if ((head & 2) !== 0) {
      const sized = leb128(unit, at);
      if (sized === undefined) return undefined;
      [size, at] = sized;
    }
    if (type === OBU_SEQUENCE_HEADER) return sequence(new BitReader(unit.subarray(at, at + size)));
    at += size;
  }
  return undefined;
}

/** Value and end of a number in AV1's `leb128`. */
function leb128(bytes: Uint8Array, at: number): [number, number] | undefined {
  let value = 0;
  for (let index = 0; index < 5; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return [value, at + index + 1];
  }
  return undefined;
}

/** A sequence header up to its depth (AV1 §5.5). */
function sequence(bits: BitReader): string {
  const profile = bits.read(3);
  // still_picture
  bits.skip(1);
  const reduced = bits.flag();
  const [level, tier] = reduced ? ([bits.read(5), 'M'] as const) : operatingPoints(bits);
  tools(bits, reduced);
  const depth = !bits.flag() ? 8 : profile === 2 && bits.flag() ? 12 : 10;
  return `av01.${profile}.${two(level)}${tier}.${two(depth)}`;
}

/** Level and tier of the first operating point, which is the whole stream. */
function operatingPoints(bits: BitReader): readonly [number, 'M' | 'H'] {
  const delays = timing(bits);
  const initialDelays = bits.flag();
  const points = bits.read(5) + 1;
  const levels: (readonly [number, 'M' | 'H'])[] = [];
  for (let point = 0; point < points; point += 1) {
    bits.skip(12);
    const level = bits.read(5);
    levels.push([level, level > 7 && bits.flag() ? 'H' : 'M']);
    if (delays !== undefined && bits.flag()) bits.skip(2 * delays + 1);
    if (initialDelays && bits.flag()) bits.skip(4);
  }
  return levels[0] ?? [0, 'M'];
}

/** Timing and decoder model; yields the length of the delays of an operating point, where there are any. */
function timing(bits: BitReader): number | undefined {
  if (!bits.flag()) return undefined;
  bits.skip(64);
  // equal_picture_interval, then a number in `uvlc`.
  if (bits.flag()) {
    let zeros = 0;
    while (!bits.flag()) zeros += 1;
    bits.skip(zeros);
  }
  if (!bits.flag()) return undefined;
  const length = bits.read(5) + 1;
  bits.skip(32 + 5 + 5);
  return length;
}

/** Sizes and tools, which stand before the depth. */
function tools(bits: BitReader, reduced: boolean): void {
  const [width, height] = [bits.read(4) + 1, bits.read(4) + 1];
  bits.skip(width + height);
  // frame_id_numbers_present_flag, and the lengths of such numbers.
  if (!reduced && bits.flag()) bits.skip(4 + 3);
  // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter.
  bits.skip(3);
  if (!reduced) {
    // Interintra and masked compound, warped motion, dual filter.
    bits.skip(4);
    const orderHint = bits.flag();
    if (orderHint) bits.skip(2);
    // seq_choose_screen_content_tools, else whether they are forced; likewise for whole motion vectors.
    const screen = bits.flag() || bits.flag();
    if (screen && !bits.flag()) bits.skip(1);
    if (orderHint) bits.skip(3);
  }
  // Superres, CDEF, restoration.
  bits.skip(3);
}

function hex(byte = 0): string {
  return byte.toString(16).padStart(2, '0');
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
