// Makes polkadot-js.json, the vectors that keys/tests/vectors.rs reads: what the wallets' own library computes.
//
//   npm install @polkadot/util-crypto@13 @polkadot/keyring@13
//   node make.mjs > polkadot-js.json
//
// Signatures of sr25519 and the salts of keystores are random, so another run makes other ones.
import { Keyring } from '@polkadot/keyring';
import { stringToU8a, u8aToHex, u8aWrapBytes } from '@polkadot/util';
import { cryptoWaitReady, createKeyMulti, encodeAddress, sortAddresses } from '@polkadot/util-crypto';

await cryptoWaitReady();
const seeds = { alice: '//Alice', bob: '//Bob', phrase: 'bottom drive obey lake curtain smoke basket hold race lonely fit walk' };
const messages = ['', 'a', 'nearlight-challenge/1\nmethod: POST\n', '\u00e9\u{1f600}', 'x'.repeat(300)];
const out = { signatures: [], accounts: [], multisigs: [], keystores: [] };
for (const type of ['sr25519', 'ed25519', 'ecdsa']) {
  const ring = new Keyring({ type, ss58Format: 42 });
  for (const [name, uri] of Object.entries(seeds)) {
    const pair = ring.addFromUri(uri, { name });
    out.accounts.push({
      name, type, public: u8aToHex(pair.publicKey), account: u8aToHex(pair.addressRaw),
      ss58: Object.fromEntries([0, 2, 42, 63, 64, 252, 255, 1284, 16383].map((p) => [p, encodeAddress(pair.addressRaw, p)])),
    });
    for (const text of messages) {
      for (const wrapped of [false, true]) {
        const bytes = wrapped ? u8aWrapBytes(stringToU8a(text)) : stringToU8a(text);
        out.signatures.push({
          type, account: u8aToHex(pair.addressRaw), message: u8aToHex(stringToU8a(text)), wrapped,
          signature: u8aToHex(pair.sign(bytes)), tagged: u8aToHex(pair.sign(bytes, { withType: true })),
        });
      }
    }
  }
  const pair = ring.addFromUri(seeds.phrase, { name: 'a node' });
  for (const password of ['correct horse', '']) {
    const json = pair.toJson(password);
    out.keystores.push({ password, public: u8aToHex(pair.publicKey), type, json });
  }
}
const ring = new Keyring({ type: 'sr25519', ss58Format: 42 });
const all = ['//Alice', '//Bob', '//Charlie', '//Dave'].map((uri) => ring.addFromUri(uri).address);
for (const [count, threshold] of [[2, 1], [2, 2], [3, 2], [4, 3]]) {
  const members = all.slice(0, count);
  out.multisigs.push({ members, sorted: sortAddresses(members, 42), threshold, account: u8aToHex(createKeyMulti(members, threshold)) });
}
console.log(JSON.stringify(out, null, 1));
