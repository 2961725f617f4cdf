// The payloads by which WebRTC brings sound where the path loses packets: a packet of Opus with those before it once more
// (RFC 2198, transport/src/webrtc/red.rs). The node numbers packets without a gap, so that each one's number is known. Packets of
// more than two channels always come so: their type says how many.
import { rtp, type RtpTimestamp } from '../units.ts';
import type { SoundPacket } from './datagram.ts';
import { within, type Channels } from './layout.ts';

/** What the browser calls such a payload. */
export const REDUNDANT = 'audio/red';
const [HEADER_BYTES, LAST_BYTES] = [4, 1];
/** The highest bit of a header: another one comes. */
const MORE = 0x80;

/** Opus' own number, of two channels, is never below 35 (RFC 3551 §6). */
const channelsOf = (type: number): Channels => (type < 35 ? within(type) : 2);

/** The packets of a payload, the newest first; undefined for what is none. */
export function parseRedundant(bytes: Uint8Array, sequence: number, timestamp: RtpTimestamp): readonly SoundPacket[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headers: { readonly before: number; readonly length: number; readonly channels: Channels }[] = [];
  let at = 0;
  while (at < bytes.length && (view.getUint8(at) & MORE) !== 0) {
    if (at + HEADER_BYTES > bytes.length) return undefined;
    const word = view.getUint32(at) & 0xff_ffff;
    headers.push({ before: word >> 10, length: word & 0x3ff, channels: channelsOf(view.getUint8(at) & ~MORE) });
    at += HEADER_BYTES;
  }
  if (at >= bytes.length) return undefined;
  const channels = channelsOf(view.getUint8(at));
  at += LAST_BYTES;
  const packets: SoundPacket[] = [];
  for (const [place, { before, length, channels: of }] of headers.entries()) {
    if (length === 0 || at + length > bytes.length) return undefined;
    packets.push({ sequence: (sequence - (headers.length - place)) & 0xffff, rtp: rtp(timestamp - before), channels: of, data: bytes.subarray(at, at + length) });
    at += length;
  }
  if (at >= bytes.length) return undefined;
  packets.push({ sequence, rtp: timestamp, channels, data: bytes.subarray(at) });
  return packets.reverse();
}
