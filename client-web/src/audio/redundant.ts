// The payloads by which WebRTC brings sound where the path loses packets: a packet of Opus with those before it once more
// (RFC 2198, transport/src/webrtc/red.rs). The node numbers packets without a gap, so that each one's number is known.
import { rtp, type RtpTimestamp } from '../units.ts';
import type { SoundPacket } from './datagram.ts';

/** What the browser calls such a payload. */
export const REDUNDANT = 'audio/red';
const [HEADER_BYTES, LAST_BYTES] = [4, 1];
/** The highest bit of a header: another one comes. */
const MORE = 0x80;

/** The packets of a payload, the newest first; undefined for what is none. */
export function parseRedundant(bytes: Uint8Array, sequence: number, timestamp: RtpTimestamp): readonly SoundPacket[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headers: { readonly before: number; readonly length: number }[] = [];
  let at = 0;
  while (at < bytes.length && (view.getUint8(at) & MORE) !== 0) {
    if (at + HEADER_BYTES > bytes.length) return undefined;
    const word = view.getUint32(at) & 0xff_ffff;
    headers.push({ before: word >> 10, length: word & 0x3ff });
    at += HEADER_BYTES;
  }
  at += LAST_BYTES;
  const packets: SoundPacket[] = [];
  for (const [place, { before, length }] of headers.entries()) {
    if (length === 0 || at + length > bytes.length) return undefined;
    packets.push({ sequence: (sequence - (headers.length - place)) & 0xffff, rtp: rtp(timestamp - before), data: bytes.subarray(at, at + length) });
    at += length;
  }
  if (at >= bytes.length) return undefined;
  packets.push({ sequence, rtp: timestamp, data: bytes.subarray(at) });
  return packets.reverse();
}
