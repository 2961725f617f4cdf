// The key with which this browser acknowledges what a session used: made for one session, never stored, unable to do
// anything else, and not to be read by this page itself. What is signed is in docs/receipts.md.

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const DOMAIN = new TextEncoder().encode('nearlight-ack/1\n');
const DIGEST_BYTES = 32;

export class SessionKey {
  private constructor(
    /** Cannot be read, but kept where browsers keep keys. */
    readonly key: CryptoKey,
    /** The point, compressed: 33 bytes. */
    readonly point: Uint8Array<ArrayBuffer>,
  ) {}

  /** One that was kept. */
  static of({ key, point }: Pick<SessionKey, 'key' | 'point'>): SessionKey {
    return new SessionKey(key, point);
  }

  /** Undefined on pages that the browser gives no cryptography: those on plain HTTP from another machine. */
  static async make(): Promise<SessionKey | undefined> {
    if (!isSecureContext) return undefined;
    const { privateKey, publicKey } = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify']);
    return new SessionKey(privateKey, compressed(new Uint8Array(await crypto.subtle.exportKey('raw', publicKey))));
  }

  /** That this browser agrees with a record; 64 bytes. `chain` and `record` are digests of 32 bytes. */
  async acknowledge(chain: Uint8Array, sequence: number, record: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const signed = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, this.key, acknowledgement(chain, sequence, record));
    return new Uint8Array(signed);
  }
}

/** What is signed: 84 bytes. */
export function acknowledgement(chain: Uint8Array, sequence: number, record: Uint8Array): Uint8Array<ArrayBuffer> {
  if (chain.length !== DIGEST_BYTES || record.length !== DIGEST_BYTES) throw new RangeError('a digest has 32 bytes');
  const text = new Uint8Array(DOMAIN.length + DIGEST_BYTES + 4 + DIGEST_BYTES);
  text.set(DOMAIN, 0);
  text.set(chain, DOMAIN.length);
  new DataView(text.buffer).setUint32(DOMAIN.length + DIGEST_BYTES, sequence);
  text.set(record, DOMAIN.length + DIGEST_BYTES + 4);
  return text;
}

/** SEC 1, 2.3.3: of 4, x and y, the x, after a 2 where y is even and a 3 where it is odd. */
function compressed(point: Uint8Array): Uint8Array<ArrayBuffer> {
  const [x, y] = [point.subarray(1, 33), point.subarray(33, 65)];
  const odd = (y.at(-1) ?? 0) & 1;
  return new Uint8Array([2 + odd, ...x]);
}
