// Reads the fields of a codec's headers, most significant bit first.

/** The stream ends within a field. */
export class OutOfBits extends Error {
  override readonly name = 'OutOfBits';
}

export class BitReader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** An unsigned number of at most 32 bits. */
  read(bits: number): number {
    let value = 0;
    for (let left = bits; left > 0; left -= 1) {
      const byte = this.bytes[this.at >> 3];
      if (byte === undefined) throw new OutOfBits(`no ${bits} bits left`);
      value = value * 2 + ((byte >> (7 - (this.at & 7))) & 1);
      this.at += 1;
    }
    return value;
  }

  flag(): boolean {
    return this.read(1) === 1;
  }

  skip(bits: number): void {
    this.at += bits;
  }
}

/** NAL units of a byte stream (ITU-T H.264 and H.265, annex B), without their start codes. */
export function* nalUnits(unit: Uint8Array): Generator<Uint8Array> {
  let start: number | undefined;
  let zeros = 0;
  for (let at = 0; at < unit.length; at += 1) {
    const byte = unit[at];
    if (byte === 1 && zeros >= 2) {
      if (start !== undefined) yield unit.subarray(start, at - zeros);
      start = at + 1;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  if (start !== undefined) yield unit.subarray(start, unit.length - zeros);
}

/** The first bytes of a NAL unit without the bytes that keep start codes out of it (H.264 §7.4.1). */
export function withoutEmulation(nal: Uint8Array, length: number): Uint8Array {
  const raw: number[] = [];
  let zeros = 0;
  for (const byte of nal) {
    if (raw.length === length) break;
    if (byte === 3 && zeros >= 2) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    raw.push(byte);
  }
  return Uint8Array.from(raw);
}
