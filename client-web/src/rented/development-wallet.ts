// A wallet for chains of development alone: the keys that everybody knows, by Substrate's development phrase. A node
// takes them on no other chain. Loaded where a node says that its chain is one.
import { blake2b } from '@noble/hashes/blake2.js';
import { getPublicKey, secretFromSeed, sign } from '@scure/sr25519';
import { hexOf } from './hex.ts';
import type { Wallet, WalletAccount } from './wallet.ts';

/** The seeds of `//Alice` and so on, as `subkey inspect` prints them. */
const SEEDS: Readonly<Record<string, string>> = {
  Alice: 'e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a',
  Bob: '398f0c28f98885e046333d4a41c19cee4c37368a9832c6502f6cfd182e2aef89',
};
/** Addresses of any Substrate chain. */
const PREFIX = 42;

export const developmentWallet: Wallet = {
  name: 'development keys',
  accounts: () => Promise.resolve(Object.entries(SEEDS).map(([name, seed]) => accountOf(name, unhex(seed)))),
};

function accountOf(name: string, seed: Uint8Array): WalletAccount {
  const secret = secretFromSeed(seed);
  const address = ss58(getPublicKey(secret));
  return {
    address,
    name,
    // As extensions do: what is signed can never be a transaction.
    sign: (text) => Promise.resolve(hexOf(new Uint8Array([1, ...sign(secret, new TextEncoder().encode(`<Bytes>${text}</Bytes>`))]))),
  };
}

/** https://docs.substrate.io/reference/address-formats/, of a prefix below 64. */
function ss58(account: Uint8Array): string {
  const body = new Uint8Array([PREFIX, ...account]);
  const checksum = blake2b(new Uint8Array([...new TextEncoder().encode('SS58PRE'), ...body])).subarray(0, 2);
  return base58(new Uint8Array([...body, ...checksum]));
}

function base58(bytes: Uint8Array): string {
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
  let [rest, text] = [BigInt(hexOf(bytes)), ''];
  for (; rest > 0n; rest /= 58n) text = digits.charAt(Number(rest % 58n)) + text;
  // The prefix is not zero, so no digit is lost at the front.
  return text;
}

function unhex(digits: string): Uint8Array {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
