// Wallets in the browser, by the interface of the polkadot.js extension (`@polkadot/extension-inject`), which Talisman,
// SubWallet and others have too. They sign texts that they show; this page never asks for a transaction.
import { hexOf } from './hex.ts';

/** Somebody who can be asked to sign. */
export interface WalletAccount {
  /** SS58, as the wallet writes it. */
  readonly address: string;
  /** What its owner calls it. */
  readonly name: string | undefined;
  /** Asks the owner. The signature as hexadecimal digits after 0x; rejects where the owner declines. */
  readonly sign: (text: string) => Promise<string>;
}

export interface Wallet {
  readonly name: string;
  /** Asks the owner to let this page in; rejects where that is declined. */
  readonly accounts: () => Promise<readonly WalletAccount[]>;
}

interface Injected {
  readonly enable: (origin: string) => Promise<InjectedWallet>;
}

interface InjectedWallet {
  readonly accounts: { readonly get: () => Promise<readonly { readonly address: string; readonly name?: string }[]> };
  readonly signer: {
    readonly signRaw?: (raw: { address: string; data: string; type: 'bytes' }) => Promise<{ readonly signature: string }>;
  };
}

/** What the wallets are told that asks them. */
const PAGE = 'Nearlight';

/** The wallets of this browser, by name. */
export function wallets(page: object = window): readonly Wallet[] {
  const injected: unknown = Reflect.get(page, 'injectedWeb3');
  if (typeof injected !== 'object' || injected === null) return [];
  return Object.entries(injected as Record<string, unknown>)
    .filter((entry): entry is [string, Injected] => isInjected(entry[1]))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, wallet]) => ({ name, accounts: async () => accountsOf(await wallet.enable(PAGE)) }));
}

async function accountsOf(wallet: InjectedWallet): Promise<readonly WalletAccount[]> {
  const { signer } = wallet;
  if (signer.signRaw === undefined) throw new Error('This wallet signs no texts');
  const signRaw = signer.signRaw.bind(signer);
  const accounts = await wallet.accounts.get();
  return accounts.map(({ address, name }) => ({
    address,
    name,
    sign: async (text) => (await signRaw({ address, data: hexOf(new TextEncoder().encode(text)), type: 'bytes' })).signature,
  }));
}

function isInjected(value: unknown): value is Injected {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'enable') === 'function';
}
