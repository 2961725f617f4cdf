// What this browser signs of what the node says that a session used (docs/receipts.md): each slice once, in order, and
// none that claims more time than has passed here. What the node does not get as acknowledged it cannot pass off as agreed.
import type { ClientMessage, SliceReceipt } from '../wire/index.ts';
import type { SessionKey } from './session-key.ts';
import { hexOf } from './hex.ts';

const SLICE_BYTES = 174;
const SLICE = 2;
/** Places in a slice. */
const AT = { kind: 20, chain: 21, sequence: 53, before: 57, length: 105 } as const;
const DIGEST_BYTES = 32;
/** A node's clock and this one do not begin and end a slice at the same moment. Milliseconds. */
const SLACK_MS = 2_000;

/** What was signed so far; a page that is loaded again goes on from there. */
export interface Signed {
  /** When the session began here, by this browser's clock: milliseconds since 1970. */
  readonly since: number;
  readonly claimedMs: number;
  readonly count: number;
  /** The last slice of each chain: a session has one for its trial and one for what comes after it. */
  readonly last: Readonly<Record<string, { readonly sequence: number; readonly digest: string }>>;
}

export class ReceiptSigner {
  constructor(private readonly key: SessionKey, private state: Signed, private readonly now: () => number = () => Date.now()) {}

  /** Of a session that begins now. */
  static begin(key: SessionKey, now: () => number = () => Date.now()): ReceiptSigner {
    return new ReceiptSigner(key, { since: now(), claimedMs: 0, count: 0, last: {} }, now);
  }

  get signed(): Signed {
    return this.state;
  }

  /** What to answer a receipt with; undefined where it is not signed. */
  async sign(receipt: SliceReceipt): Promise<Extract<ClientMessage, { type: 'acknowledge' }> | undefined> {
    const record = unhex(receipt.record);
    if (record?.length !== SLICE_BYTES || record[AT.kind] !== SLICE) return undefined;
    const view = new DataView(record.buffer);
    const chain = record.slice(AT.chain, AT.chain + DIGEST_BYTES);
    const named = hexOf(chain).slice(2);
    const sequence = view.getUint32(AT.sequence);
    if (named !== receipt.chain || sequence !== receipt.sequence) return undefined;
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', record));
    const known = hexOf(digest);
    const length = view.getUint32(AT.length);
    const last = this.state.last[named];
    const follows = last === undefined || (sequence === last.sequence + 1 && hexOf(record.slice(AT.before, AT.before + DIGEST_BYTES)) === last.digest);
    const again = sequence === last?.sequence && known === last.digest;
    if (!again) {
      const claimedMs = this.state.claimedMs + length;
      if (!follows || claimedMs > this.now() - this.state.since + SLACK_MS) return undefined;
      this.state = { ...this.state, claimedMs, count: this.state.count + 1, last: { ...this.state.last, [named]: { sequence, digest: known } } };
    }
    const signature = hexOf(await this.key.acknowledge(chain, sequence, digest)).slice(2);
    return { type: 'acknowledge', chain: named, sequence, signature };
  }
}

/** Whether a record, in hexadecimal digits, is the one that closes its chain. */
export function isClose(record: string): boolean {
  return record.slice(2 * AT.kind, 2 * AT.kind + 2) === '03';
}

function unhex(digits: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^([0-9a-f]{2})*$/.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
