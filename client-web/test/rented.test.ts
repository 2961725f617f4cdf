import { beforeEach, describe, expect, test, vi } from 'vitest';
import { verify as verifySr25519 } from '@scure/sr25519';
import { developmentWallet } from '../src/rented/development-wallet.ts';
import { inDbc, planck } from '../src/rented/amount.ts';
import { costOf, words, wordsFor } from '../src/rented/notice.ts';
import { readTicket } from '../src/rented/lease-link.ts';
import { Acknowledger } from '../src/rented/acknowledger.ts';
import { isClose, ReceiptSigner } from '../src/rented/receipts.ts';
import { acknowledgement, SessionKey } from '../src/rented/session-key.ts';
import { hexOf } from '../src/rented/hex.ts';
import { wallets } from '../src/rented/wallet.ts';
import type { Api } from '../src/api.ts';
import type { Session } from '../src/wire/index.ts';

describe('amounts', () => {
  test.each([
    ['0', '0 DBC'],
    ['1', '0.000000000000001 DBC'],
    ['1000000000000000', '1 DBC'],
    ['9223372036854775808', '9223.372036854775808 DBC'],
    ['1500000000000000', '1.5 DBC'],
    ['340282366920938463463374607431768211455', '340282366920938463463374.607431768211455 DBC'],
  ])('%s planck are %s', (digits, text) => {
    expect(inDbc(planck(digits) ?? -1n)).toBe(text);
  });

  test.each(['', '-1', '01', '1.5', '1e3', ' 1', '0x10', '340282366920938463463374607431768211456', '1'.repeat(40)])(
    '%j is no amount',
    (digits) => { expect(planck(digits)).toBeUndefined(); },
  );
});

describe('what a rented machine says of itself', () => {
  const price = { blocks: 300, lasts_ms: 1_800_000, rent_planck: '5017000000000000', fixed_planck: '10000000000000001' };
  const order = { order: '7', confirmed: true, over_block: 900, left_ms: 600_000, cards: [0], sessions: 0 };

  test('is its price in full, with units, and what is free', () => {
    const text = words({ block: 12, cards: { all: 4, free: 3 }, price, orders: [order] }).lines.join(' ');
    expect(text).toContain('A card costs 5.017 DBC for 300 blocks (30 min 0 s), and each order 10.000000000000001 DBC beside');
    expect(text).toContain('3 of 4 cards are free; there is 1 order.');
    expect(costOf({ ...price, lasts_ms: null })).toContain('for 300 blocks, and');
  });

  test('is what is not known', () => {
    expect(words({ orders: [] }).lines.join(' ')).toContain('has not heard of the chain yet');
    const young = words({ block: 12, cards: { all: 1, free: 1 }, orders: [] }).lines.join(' ');
    expect(young).toContain('The chain names no price now. 1 of 1 card is free; there are no orders.');
    expect(words({ block: 12, orders: [] }).lines.join(' ')).toContain('The chain does not have this machine now');
  });

  test('is what is left to whoever is in', () => {
    expect(wordsFor({ orders: [order] }, { order: '7', role: 'renter' })).toEqual({ title: 'You are in by order 7', lines: ['It lasts 10 min 0 s more, to block 900.'] });
    const waits = wordsFor({ orders: [{ ...order, confirmed: false }] }, { order: '7', role: 'guest' });
    expect([waits.title, waits.lines[0]]).toEqual(['You are a guest of order 7', expect.stringContaining('lapses in 10 min 0 s, in block 900')]);
    expect(wordsFor({ orders: [] }, { order: '7', role: 'renter' }).title).toContain('is over');
  });
});

describe('the key of a session', () => {
  beforeEach(() => { vi.stubGlobal('isSecureContext', true); });
  const chain = new Uint8Array(32).fill(7);
  const record = new Uint8Array(32).fill(9);

  test('what it signs is what docs/receipts.md says', () => {
    const text = acknowledgement(chain, 0x01020304, record);
    expect(text.length).toBe(84);
    expect(new TextDecoder().decode(text.subarray(0, 16))).toBe('nearlight-ack/1\n');
    expect([...text.subarray(16, 48)]).toEqual([...chain]);
    expect([...text.subarray(48, 52)]).toEqual([1, 2, 3, 4]);
    expect([...text.subarray(52)]).toEqual([...record]);
    expect(() => acknowledgement(chain.subarray(1), 0, record)).toThrow(RangeError);
  });

  test('its signature is checked by the point that it tells', async () => {
    // Both parities come up, or one of sixteen keys has the wrong one.
    for (let turn = 0; turn < 16; turn += 1) {
      const key = await SessionKey.make();
      if (key === undefined) throw new Error('no key');
      expect(key.point.length).toBe(33);
      const signature = await key.acknowledge(chain, turn, record);
      expect(signature.length).toBe(64);
      const jwk = { kty: 'EC', crv: 'P-256', ...coordinates(key.point) };
      const checks = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
      const verify = (text: Uint8Array<ArrayBuffer>): Promise<boolean> => crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, checks, signature, text);
      expect(await verify(acknowledgement(chain, turn, record))).toBe(true);
      expect(await verify(acknowledgement(chain, turn + 1, record))).toBe(false);
    }
  });

  test('a page that is not secure has none', async () => {
    vi.stubGlobal('isSecureContext', false);
    expect(await SessionKey.make()).toBeUndefined();
  });
});

describe('wallets', () => {
  const text = 'nearlight-challenge/1\n…';
  function extension(signRaw?: (raw: unknown) => Promise<{ signature: string }>): { readonly page: object; readonly origins: string[] } {
    const origins: string[] = [];
    const enable = (origin: string): Promise<object> => {
      origins.push(origin);
      return Promise.resolve({ accounts: { get: () => Promise.resolve([{ address: '5Grw', name: 'Alice' }]) }, signer: { signRaw } });
    };
    return { page: { injectedWeb3: { talisman: {}, 'polkadot-js': { version: '1', enable } } }, origins };
  }

  test('are those that can be asked, and asked for texts as bytes', async () => {
    const asked: unknown[] = [];
    const { page, origins } = extension((raw) => {
      asked.push(raw);
      return Promise.resolve({ signature: '0x01' });
    });
    const [wallet, ...others] = wallets(page);
    expect([wallet?.name, others]).toEqual(['polkadot-js', []]);
    expect(origins).toEqual([]);
    const [account] = (await wallet?.accounts()) ?? [];
    expect([account?.address, account?.name, origins]).toEqual(['5Grw', 'Alice', ['Nearlight']]);
    expect(await account?.sign(text)).toBe('0x01');
    expect(asked).toEqual([{ address: '5Grw', data: hexOf(new TextEncoder().encode(text)), type: 'bytes' }]);
  });

  test('that sign no texts say so', async () => {
    await expect(wallets(extension().page)[0]?.accounts()).rejects.toThrow('signs no texts');
  });

  test('that decline reject', async () => {
    const [account] = (await wallets(extension(() => Promise.reject(new Error('Cancelled'))).page)[0]?.accounts()) ?? [];
    await expect(account?.sign(text)).rejects.toThrow('Cancelled');
  });

  test.each([{}, { injectedWeb3: null }, { injectedWeb3: 3 }])('%j has none', (page) => {
    expect(wallets(page)).toEqual([]);
  });
});

describe('what is signed of receipts', () => {
  beforeEach(() => { vi.stubGlobal('isSecureContext', true); });
  const chain = new Uint8Array(32).fill(3);

  /** A slice as docs/receipts.md says; only what the page reads is filled. */
  function slice(sequence: number, before: Uint8Array, lengthMs: number, of = chain): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(174);
    bytes.set(new TextEncoder().encode('nearlight-receipt/1\n'));
    bytes[20] = 2;
    bytes.set(of, 21);
    const view = new DataView(bytes.buffer);
    view.setUint32(53, sequence);
    bytes.set(before, 57);
    view.setUint32(105, lengthMs);
    return bytes;
  }
  const digest = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const receipt = (bytes: Uint8Array, sequence: number, of = chain): { chain: string; sequence: number; record: string; signature: string } =>
    ({ chain: hexOf(of).slice(2), sequence, record: hexOf(bytes).slice(2), signature: '' });

  async function signer(clock: { now: number }): Promise<ReceiptSigner> {
    const key = await SessionKey.make();
    if (key === undefined) throw new Error('no key');
    return ReceiptSigner.begin(key, () => clock.now);
  }

  test('is each slice once, in order, as it follows the one before', async () => {
    const clock = { now: 1_000_000 };
    const signs = await signer(clock);
    clock.now += 20_000;
    const first = slice(1, new Uint8Array(32).fill(1), 8_000);
    const signed = await signs.sign(receipt(first, 1));
    expect(signed).toMatchObject({ type: 'acknowledge', sequence: 1, chain: hexOf(chain).slice(2) });
    expect(signed?.signature).toMatch(/^[0-9a-f]{128}$/);
    // Said again after a connection broke: signed again, counted once.
    expect(await signs.sign(receipt(first, 1))).toBeDefined();
    expect(signs.signed.count).toBe(1);
    const other = slice(1, new Uint8Array(32).fill(2), 8_000);
    expect(await signs.sign(receipt(other, 1))).toBeUndefined();
    expect(await signs.sign(receipt(slice(2, new Uint8Array(32).fill(9), 8_000), 2))).toBeUndefined();
    expect(await signs.sign(receipt(slice(3, await digest(first), 8_000), 3))).toBeUndefined();
    expect(await signs.sign(receipt(slice(2, await digest(first), 8_000), 2))).toBeDefined();
    expect(signs.signed.count).toBe(2);
  });

  test('is no more time than has passed', async () => {
    const clock = { now: 5_000 };
    const signs = await signer(clock);
    clock.now += 8_000;
    const first = slice(1, new Uint8Array(32), 8_000);
    expect(await signs.sign(receipt(first, 1))).toBeDefined();
    const second = slice(2, await digest(first), 8_000);
    clock.now += 5_000;
    expect(await signs.sign(receipt(second, 2))).toBeUndefined();
    clock.now += 1_000;
    expect(await signs.sign(receipt(second, 2))).toBeDefined();
    // Another chain of the same session claims beside it.
    const others = new Uint8Array(32).fill(4);
    expect(await signs.sign(receipt(slice(1, new Uint8Array(32), 8_000, others), 1, others))).toBeUndefined();
  });

  test('is nothing else', async () => {
    const signs = await signer({ now: 0 });
    const good = slice(1, new Uint8Array(32), 1_000);
    const close = Uint8Array.from(good);
    close[20] = 3;
    expect(await signs.sign(receipt(close, 1))).toBeUndefined();
    expect([close, good, new Uint8Array()].map((bytes) => isClose(hexOf(bytes).slice(2)))).toEqual([true, false, false]);
    expect(await signs.sign(receipt(good.subarray(1), 1))).toBeUndefined();
    expect(await signs.sign(receipt(good, 2))).toBeUndefined();
    expect(await signs.sign({ ...receipt(good, 1), chain: '00'.repeat(32) })).toBeUndefined();
    expect(await signs.sign({ ...receipt(good, 1), record: 'zz' })).toBeUndefined();
    expect(await signs.sign(receipt(good, 1))).toBeDefined();
  });
});

describe('at the end of a session', () => {
  beforeEach(() => { vi.stubGlobal('isSecureContext', true); });

  function record(kind: number, of: string, sequence: number, before: string): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(174);
    bytes[20] = kind;
    bytes.set(bytesOf(of), 21);
    const view = new DataView(bytes.buffer);
    view.setUint32(53, sequence);
    bytes.set(bytesOf(before), 57);
    view.setUint32(105, 100);
    return bytes;
  }
  const bytesOf = (digits: string): Uint8Array => Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const text = (bytes: Uint8Array): string => hexOf(bytes).slice(2);
  const digest = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> => text(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
  const none = '00'.repeat(32);

  /** Three slices of a chain, and its ends. */
  async function slicesOf(chain: string): Promise<readonly string[]> {
    const first = record(2, chain, 1, none);
    const second = record(2, chain, 2, await digest(first));
    const third = record(2, chain, 3, await digest(second));
    return [record(1, chain, 0, none), first, second, third, record(3, chain, 4, none)].map(text);
  }

  test('what was said and did not arrive is said again, and what fails for one chain fails for it alone', async () => {
    const [whole, gone] = ['03'.repeat(32), '04'.repeat(32)];
    const records = new Map([[whole, await slicesOf(whole)], [gone, await slicesOf(gone)]]);
    const arrived = new Set<string>();
    const told: string[] = [];
    const api = {
      downloadReceipts: (chain: string) => {
        if (chain === gone) return Promise.reject(new Error('gone'));
        const file = { records: records.get(chain)?.map((each, sequence) => ({ record: each, ...(arrived.has(`${chain}/${sequence}`) ? { acknowledged: '00' } : {}) })) };
        return Promise.resolve(new Blob([JSON.stringify(file)]));
      },
      acknowledge: ({ chain, sequence, signature }: { chain: string; sequence: number; signature: string }) => {
        told.push(`${chain}/${sequence}/${signature.length}`);
        return Promise.resolve();
      },
    };
    const acknowledger = new Acknowledger(api as unknown as Api, false);
    await acknowledger.wish();
    await acknowledger.begin({ id: 'session', receipts_token: 'token' } as Session);
    for (const chain of [gone, whole]) {
      acknowledger.named(chain);
      for (const sequence of [1, 2]) {
        const said = { chain, sequence, record: records.get(chain)?.[sequence] ?? '', signature: '' };
        // The second one of each is on its way when the connection ends.
        acknowledger.receipt(said, (message) => {
          if (sequence === 1) arrived.add(`${message.chain}/${message.sequence}`);
          return true;
        });
      }
    }
    await expect(acknowledger.end()).rejects.toThrow('gone');
    expect(told).toEqual([`${whole}/2/128`, `${whole}/3/128`]);
  });
});

describe('a link with a ticket', () => {
  const link = (value: unknown): string => btoa(JSON.stringify(value)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  test('is read', () => {
    expect(readTicket(link({ ticket: 'nearlight-ticket/1\n', signature: '01', secret: 'ff' }))).toEqual({ text: 'nearlight-ticket/1\n', signature: '01', secret: 'ff' });
  });
  test.each(['', '%%%', link(3), link({}), link({ ticket: 't', signature: 's' })])('%j is none', (fragment) => {
    expect(readTicket(fragment)).toBeUndefined();
  });
});

describe('the development wallet', () => {
  // As keys/src/development.rs has them, and subkey prints them.
  const known = {
    Alice: ['5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY', 'd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d'],
    Bob: ['5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty', '8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48'],
  } as const;

  test('has the accounts that everybody knows, and signs as a wallet does', async () => {
    const accounts = await developmentWallet.accounts();
    expect(accounts.map(({ name, address }) => [name, address])).toEqual(Object.entries(known).map(([name, [address]]) => [name, address]));
    for (const { name, sign } of accounts) {
      const signature = bytesOf((await sign('a text')).slice(2));
      expect([signature.length, signature[0]]).toEqual([65, 1]);
      const key = bytesOf(known[name as keyof typeof known][1]);
      const checks = (text: string): boolean => verifySr25519(new TextEncoder().encode(text), signature.subarray(1), key);
      expect([checks('<Bytes>a text</Bytes>'), checks('a text')]).toEqual([true, false]);
    }
  });
});

function bytesOf(digits: string): Uint8Array {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** The numbers of a compressed point: y² = x³ − 3x + b. */
function coordinates(point: Uint8Array): { readonly x: string; readonly y: string } {
  const p = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
  const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
  const x = BigInt(hexOf(point.subarray(1)));
  let y = power((x * x * x - 3n * x + b) % p, (p + 1n) / 4n, p);
  if (Number(y & 1n) !== (point[0] ?? 0) - 2) y = p - y;
  return { x: base64url(x), y: base64url(y) };
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [1n, ((base % modulus) + modulus) % modulus];
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

function base64url(value: bigint): string {
  const bytes = Array.from({ length: 32 }, (_, at) => Number((value >> BigInt(8 * (31 - at))) & 255n));
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
}
