// The datagrams that bring sound over WebTransport (media/src/webtransport/audio.rs): one packet of Opus,
// and where the path loses datagrams the packets before it once more. Big endian.
import { rtp, type RtpTimestamp } from '../units.ts';
import { LAYOUTS, type Channels } from './layout.ts';

/** First byte of a datagram of sound. */
export const AUDIO = 0x11;
const VERSION = 1;
const [HEADER_BYTES, ENTRY_BYTES] = [9, 4];
const MOST_EARLIER = 2;
/** A packet covers at most 120 ms. Above its length stands its layout. */
const LONGEST = 48;
const LENGTH_BITS = 6;

/** A packet of Opus with its time. */
export interface SoundPacket {
  /** Wraps at 2^16. */
  readonly sequence: number;
  /** Of its first sample. */
  readonly rtp: RtpTimestamp;
  readonly channels: Channels;
  readonly data: Uint8Array;
}

/** The packets of a datagram, the newest first, on the clock of the frames' timestamps; undefined for what is none of sound. */
export function parseAudio(bytes: Uint8Array): readonly SoundPacket[] | undefined {
  if (bytes.length <= HEADER_BYTES || bytes[0] !== AUDIO) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const kind = view.getUint8(1);
  const count = kind & 0x0f;
  const length = view.getUint8(8) & ((1 << LENGTH_BITS) - 1);
  const channels = LAYOUTS[view.getUint8(8) >> LENGTH_BITS];
  if (kind >> 4 !== VERSION || count > MOST_EARLIER || length === 0 || length > LONGEST || channels === undefined) return undefined;
  let at = HEADER_BYTES + count * ENTRY_BYTES;
  if (at > bytes.length) return undefined;
  const newest = { sequence: view.getUint16(2), rtp: rtp(view.getUint32(4)), channels };
  let before = newest;
  const earlier: SoundPacket[] = [];
  for (let entry = 0; entry < count; entry += 1) {
    const place = HEADER_BYTES + entry * ENTRY_BYTES;
    const [ticks, size] = [view.getUint16(place), view.getUint16(place + 2)];
    if (size === 0 || at + size > bytes.length) return undefined;
    before = { sequence: (before.sequence - 1) & 0xffff, rtp: rtp(before.rtp - ticks), channels };
    earlier.push({ ...before, data: bytes.subarray(at, at + size) });
    at += size;
  }
  if (at === bytes.length) return undefined;
  return [{ ...newest, data: bytes.subarray(at) }, ...earlier];
}

/** A packet that is sent once more. */
export interface EarlierPacket {
  /** Ticks of 90 kHz from its first sample to that of the packet after it. */
  readonly before: number;
  readonly data: Uint8Array;
}

/** A datagram of one packet, whose first sample is at these ticks of 90 kHz, and `length` units of 2.5 ms long. */
export function writeAudio(packet: {
  readonly sequence: number;
  readonly ticks: number;
  readonly length: number;
  readonly data: Uint8Array;
  readonly earlier: readonly EarlierPacket[];
}): Uint8Array<ArrayBuffer> {
  const { sequence, ticks, length, data, earlier } = packet;
  const head = HEADER_BYTES + earlier.length * ENTRY_BYTES;
  const datagram = new Uint8Array(earlier.reduce((bytes, each) => bytes + each.data.length, head + data.length));
  const view = new DataView(datagram.buffer);
  view.setUint8(0, AUDIO);
  view.setUint8(1, (VERSION << 4) | earlier.length);
  view.setUint16(2, sequence);
  view.setUint32(4, ticks >>> 0);
  view.setUint8(8, length);
  let at = head;
  for (const [entry, { before, data: repeated }] of earlier.entries()) {
    view.setUint16(HEADER_BYTES + entry * ENTRY_BYTES, before);
    view.setUint16(HEADER_BYTES + entry * ENTRY_BYTES + 2, repeated.length);
    datagram.set(repeated, at);
    at += repeated.length;
  }
  datagram.set(data, at);
  return datagram;
}
