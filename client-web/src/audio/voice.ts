// The player's voice as datagrams (media/src/webtransport/audio.rs): each has a packet of Opus, and the one before it once
// more, since this side does not know what the path loses.
import { type EarlierPacket, writeAudio } from './datagram.ts';

/** Samples of a block, which is one packet: 20 ms at 48 kHz. */
export const BLOCK = 960;
/** Units of 2.5 ms of it. */
const UNITS = 8;
/** A packet of so few bytes says that there is silence (RFC 6716 §3.2.1), which is not sent. */
const SILENT = 2;
/** Ticks of 90 kHz that a datagram can tell of. */
const FURTHEST = 0xffff;

/** Goes on counting for as long as a connection lives, however often the microphone goes on and off. */
export class VoiceWriter {
  private sequence = Math.floor(Math.random() * 0x10000);
  private before: { readonly ticks: number; readonly data: Uint8Array } | undefined;

  /** The datagram for a packet that begins at these microseconds; undefined for one of silence. */
  write(data: Uint8Array, timestampUs: number): Uint8Array<ArrayBuffer> | undefined {
    if (data.length <= SILENT) {
      this.before = undefined;
      return undefined;
    }
    const ticks = Math.round(timestampUs * 0.09);
    const { before } = this;
    const earlier: EarlierPacket[] = [];
    if (before !== undefined && ticks > before.ticks && ticks - before.ticks <= FURTHEST) earlier.push({ before: ticks - before.ticks, data: before.data });
    const datagram = writeAudio({ sequence: this.sequence, ticks, length: UNITS, data, earlier });
    this.sequence = (this.sequence + 1) & 0xffff;
    this.before = { ticks, data };
    return datagram;
  }
}
