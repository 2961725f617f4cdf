// Packets of sound in their order, each once. Nothing waits: what is not there when the one after it comes
// is taken from the copies that came with that, or is lost.
import type { SoundPacket } from './datagram.ts';

/** A step of this many packets is no loss but another stream. */
const MOST_MISSING = 500;

export interface SoundCounts {
  /** Packets that were to come: those that came, and those that were missed. */
  readonly expected: number;
  readonly lost: number;
  /** Of those that did not come, made up for by copies. */
  readonly recovered: number;
}

export class PacketOrder {
  private next: number | undefined;
  private counts = { expected: 0, lost: 0, recovered: 0 };

  /** Takes what a datagram holds, the newest first; yields what is to be decoded, the oldest first. */
  push(packets: readonly SoundPacket[]): readonly SoundPacket[] {
    const [newest] = packets;
    if (newest === undefined) return [];
    const missing = this.next === undefined ? 0 : (newest.sequence - this.next) & 0xffff;
    // Half the numbers lie behind: those came before, late or twice.
    if (missing >= 0x8000) return [];
    this.next = (newest.sequence + 1) & 0xffff;
    if (missing > MOST_MISSING) {
      this.counts.expected += 1;
      return [newest];
    }
    const due = packets.slice(0, 1 + missing).reverse();
    const recovered = due.length - 1;
    this.counts.expected += 1 + missing;
    this.counts.lost += missing - recovered;
    this.counts.recovered += recovered;
    return due;
  }

  get figures(): SoundCounts {
    return { ...this.counts };
  }
}
