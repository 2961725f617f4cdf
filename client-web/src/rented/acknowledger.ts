// Acknowledges what a session used, as its receipts come.
import type { Api } from '../api.ts';
import { isRecord } from '../wire/control.ts';
import type { ClientMessage, NewSession, Session, SliceReceipt } from '../wire/index.ts';
import { forgetKey, keepKey, keptSigner } from './kept-keys.ts';
import { ReceiptSigner } from './receipts.ts';
import { SessionKey } from './session-key.ts';
import { hexOf } from './wallet.ts';

type Acknowledge = Extract<ClientMessage, { type: 'acknowledge' }>;

export class Acknowledger {
  private key: SessionKey | undefined;
  private signer: ReceiptSigner | undefined;
  private session: string | undefined;
  /** Receipts are signed one after the other. */
  private turn: Promise<void> = Promise.resolve();
  private chain: string | undefined;

  constructor(private readonly api: Api) {}

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
  async begin({ id }: Session): Promise<void> {
    this.session = id;
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

  /** A slice is durable. `say` tells the node on the session's connection, if it can. */
  receipt(receipt: SliceReceipt, say: (message: Acknowledge) => boolean): void {
    this.chain = receipt.chain;
    this.turn = this.turn.then(() => this.sign(receipt, say)).catch(() => undefined);
  }

  /** The session is over: signs what became durable since, where its receipts may be read, and forgets the key. */
  async end(): Promise<void> {
    const { chain, signer, session } = this;
    await this.turn;
    if (chain !== undefined && signer !== undefined) {
      const file: unknown = JSON.parse(await (await this.api.downloadReceipts(chain, 'json')).text());
      const records: unknown = isRecord(file) ? file['records'] : undefined;
      const after = signer.signed.last?.sequence ?? 0;
      for (const [sequence, each] of (Array.isArray(records) ? (records as unknown[]) : []).entries()) {
        if (sequence <= after || !isRecord(each) || typeof each['record'] !== 'string') continue;
        // The last record closes the chain, and is no slice: it is not signed.
        await this.sign({ chain, sequence, record: each['record'], signature: '' }, () => false);
      }
    }
    if (session !== undefined) await forgetKey(session);
  }

  private async sign(receipt: SliceReceipt, say: (message: Acknowledge) => boolean): Promise<void> {
    const { key, signer, session } = this;
    const message = await signer?.sign(receipt);
    if (message === undefined || key === undefined || signer === undefined) return;
    if (session !== undefined) await keepKey(session, key, signer.signed);
    if (!say(message)) await this.api.acknowledge(message);
  }
}
