// The header of a frame's stream: 32 bytes, big endian, then the frame (transport/src/webtransport/).
import { rtp, type RtpTimestamp } from '../units.ts';
import { CODECS, type VideoCodec } from './codec.ts';

export const HEADER_BYTES = 32;
const VERSION = 1;
/** Largest frame that is taken, well above any keyframe; a header that says more is a broken one. */
export const MOST_BYTES = 16 * 1024 * 1024;
const [KEY, RECOVERY] = [1, 2];
const [FULL_RANGE, TEN_BITS] = [1, 2];

/** How the numbers of a picture stand for light, as ITU-T H.273 numbers it; 2 is "not said". */
export interface CodedColor {
  readonly primaries: number;
  readonly transfer: number;
  readonly matrix: number;
  readonly fullRange: boolean;
  readonly tenBits: boolean;
}

export interface FrameHeader {
  readonly key: boolean;
  /** The encoder went back to an older picture, which the client has. */
  readonly recovery: boolean;
  readonly track: number;
  readonly codec: VideoCodec;
  readonly rtp: RtpTimestamp;
  /** Grows from frame to frame, not always by one. */
  readonly id: number;
  /** The newest frame that it needs. */
  readonly refersTo: number | undefined;
  /** Length of the frame; undefined for one that ends with its stream. */
  readonly bytes: number | undefined;
  readonly color: CodedColor;
}

/** A stream that carries no frame. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  constructor(readonly reason: 'version' | 'codec' | 'id' | 'length') {
    super(`a frame whose ${reason} cannot be`);
  }
}

/** Reads the first `HEADER_BYTES` of a stream; throws a `FrameError` at what is none. */
export function parseHeader(bytes: Uint8Array): FrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint8(0) !== VERSION) throw new FrameError('version');
  const codec = CODECS[view.getUint8(3)];
  if (codec === undefined) throw new FrameError('codec');
  const id = frameId(view, 8);
  const refersTo = frameId(view, 16);
  if (id === undefined || (refersTo !== undefined && refersTo >= id)) throw new FrameError('id');
  const length = view.getUint32(24);
  if (length > MOST_BYTES) throw new FrameError('length');
  const flags = view.getUint8(1);
  const color = view.getUint8(31);
  return {
    key: (flags & KEY) !== 0,
    recovery: (flags & RECOVERY) !== 0,
    track: view.getUint8(2),
    codec,
    rtp: rtp(view.getUint32(4)),
    id,
    refersTo,
    bytes: length === 0 ? undefined : length,
    color: {
      primaries: view.getUint8(28),
      transfer: view.getUint8(29),
      matrix: view.getUint8(30),
      fullRange: (color & FULL_RANGE) !== 0,
      tenBits: (color & TEN_BITS) !== 0,
    },
  };
}

/** A frame's number; undefined for none, which is all ones. */
function frameId(view: DataView, at: number): number | undefined {
  const [high, low] = [view.getUint32(at), view.getUint32(at + 4)];
  if (high === 0xffff_ffff && low === 0xffff_ffff) return undefined;
  const id = high * 2 ** 32 + low;
  if (!Number.isSafeInteger(id)) throw new FrameError('id');
  return id;
}
