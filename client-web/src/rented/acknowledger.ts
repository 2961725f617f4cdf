// Acknowledges what a session used, as its receipts come.
import type { Api } from '../api.ts';
import { isRecord } from '../wire/control.ts';
import type { ClientMessage, NewSession, Receipts, Session, SliceReceipt } from '../wire/index.ts';
import { forgetKey, keepKey, keptSigner } from './kept-keys.ts';
import { isClose, ReceiptSigner } from './receipts.ts';
import { SessionKey } from './session-key.ts';
import { hexOf } from './hex.ts';

/** How often, and after how long each time, it is looked whether receipts are closed. */
const LOOKS = 20;
const LOOK_MS = 500;
/** What was said of so many slices may still be on its way: of more than ten minutes. */
const MOST_SAID = 64;

type Acknowledge = Extract<ClientMessage, { type: 'acknowledge' }>;

export class Acknowledger {
  private key: SessionKey | undefined;
  private signer: ReceiptSigner | undefined;
  private session: string | undefined;
  /** Reads the session's receipts, also when it is over. */
  private token: string | undefined;
  private isLeft = false;
  /** Receipts are signed one after the other. */
  private turn: Promise<void> = Promise.resolve();
  /** The session's receipts, by name. */
  private readonly chains = new Set<string>();
  /** What was said on the session's connection lately, by its receipts' name and sequence: with the connection its end may be lost. */
  private readonly said = new Map<string, Acknowledge>();

  /** `isRenter`: the page has proved it, and reads all receipts of the order. */
  constructor(private readonly api: Api, private readonly isRenter: boolean) {}

  /** The receipts that this page may read. */
  list(): Promise<readonly Receipts[]> {
    return this.api.receipts(this.reads);
  }

  download(receipts: string, format: 'json' | 'csv'): Promise<Blob> {
    return this.api.downloadReceipts(receipts, format, this.reads);
  }

  private get reads(): string | undefined {
    return this.isRenter ? undefined : this.token;
  }

  /** The page goes, and the next one may go on. */
  leaveBehind(): void {
    this.isLeft = true;
  }

  /** How many slices were signed; undefined where there is nothing to sign with. */
  get signed(): number | undefined {
    return this.signer?.signed.count;
  }

  /** What a new session is asked for with. */
  async wish(): Promise<Pick<NewSession, 'player_key'>> {
    this.key = await SessionKey.make();
    return this.key === undefined ? {} : { player_key: { kind: 'p256', key: hexOf(this.key.point).slice(2) } };
  }

  /** The session was given: a new one, or one that an earlier page began. */
  async begin({ id, receipts_token: token }: Session): Promise<void> {
    this.session = id;
    this.token = token ?? undefined;
    const { key } = this;
    if (key === undefined) {
      const kept = await keptSigner(id);
      this.key = kept?.key;
      this.signer = kept?.signer;
      return;
    }
    this.signer = ReceiptSigner.begin(key);
    await keepKey(id, key, this.signer.signed);
  }

  /** The session's use is written down under this name from now on. */
  named(chain: string): void {
    this.chains.add(chain);
  }

  /** A slice is durable. `say` tells the node on the session's connection, if it can. */
  receipt(receipt: SliceReceipt, say: (message: Acknowledge) => boolean): void {
    this.turn = this.turn.then(() => this.sign(receipt, say)).catch(() => undefined);
  }

  /** The session is over: signs what became durable since, where its receipts may be read, and forgets the key. */
  async end(): Promise<void> {
    const { session } = this;
    await this.turn;
    if (this.isLeft) return;
    try {
      await this.signRest();
    } finally {
      if (session !== undefined) await forgetKey(session);
    }
  }

  private async signRest(): Promise<void> {
    const { chains, signer } = this;
    if (signer === undefined) return;
    // Of each as much as can be: what fails for one fails by itself.
    const all = await Promise.allSettled(Array.from(chains, async (chain) => { await this.signRestOf(chain, signer); }));
    const failed = all.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  private async signRestOf(chain: string, signer: ReceiptSigner): Promise<void> {
    const records = await this.closed(chain);
    const after = signer.signed.last[chain]?.sequence ?? 0;
    for (const [sequence, { record, isAcknowledged }] of records.entries()) {
      const said = this.said.get(placeOf(chain, sequence));
      // The last record closes the chain, and is no slice: it is not signed.
      if (sequence > after) await this.sign({ chain, sequence, record, signature: '' }, () => false);
      else if (!isAcknowledged && said !== undefined) await this.api.acknowledge(said);
    }
  }

  /** The records of a chain, once it is closed: that is durable a moment after its session is over. */
  private async closed(chain: string): Promise<readonly Entry[]> {
    for (let look = 0; look < LOOKS; look += 1) {
      const file: unknown = JSON.parse(await (await this.api.downloadReceipts(chain, 'json', this.token)).text());
      const records: unknown = isRecord(file) ? file['records'] : undefined;
      const all = (Array.isArray(records) ? (records as unknown[]) : []).map(entry);
      if (isClose(all.at(-1)?.record ?? '')) return all;
      await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
    }
    return [];
  }

  private async sign(receipt: SliceReceipt, say: (message: Acknowledge) => boolean): Promise<void> {
    const { key, signer, session } = this;
    const message = await signer?.sign(receipt);
    if (message === undefined || key === undefined || signer === undefined) return;
    if (session !== undefined) await keepKey(session, key, signer.signed);
    if (!say(message)) {
      await this.api.acknowledge(message);
      return;
    }
    this.said.set(placeOf(message.chain, message.sequence), message);
    const [oldest] = this.said.keys();
    if (this.said.size > MOST_SAID && oldest !== undefined) this.said.delete(oldest);
  }
}

/** A record of a file of receipts, in hexadecimal digits. */
interface Entry {
  readonly record: string;
  readonly isAcknowledged: boolean;
}

function entry(each: unknown): Entry {
  const record = isRecord(each) ? each['record'] : undefined;
  return { record: typeof record === 'string' ? record : '', isAcknowledged: isRecord(each) && typeof each['acknowledged'] === 'string' };
}

function placeOf(chain: string, sequence: number): string {
  return `${chain}/${sequence}`;
}
