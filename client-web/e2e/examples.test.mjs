// Every example of docs/api.md, in each of its languages, against a real node.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes, sign as signRaw } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { secretFromSeed, sign } from '@scure/sr25519';
import ts from 'typescript';
import { DevelopmentChain, SEEDS } from './support/chain.mjs';
import { Exchange } from './support/exchange.mjs';
import { Node, OPERATOR, until } from './support/node.mjs';
import { GENTLE, launch, Tab } from './support/tab.mjs';

const run = promisify(execFile);
const HOW = {
  sh: (text) => ['sh', ['-c', text]],
  ts: (text) => {
    const { outputText } = ts.transpileModule(text, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } });
    return [process.execPath, ['--input-type=module', '--eval', outputText]];
  },
  python: (text) => ['python3', ['-c', text]],
};

/** Name of an operation → language → text. */
const examples = new Map();
for (const [, name, blocks] of readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8').matchAll(/^## (\w+)\n(.*?)(?=^## |$(?![^]))/gms)) {
  examples.set(name, new Map([...blocks.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text]) => [language, text])));
}

/** A game that keeps one file, and has one for its player. */
const DIARY = `
title = "Diary"
summary = "Keeps one file, and has one for its player."
genre = "puzzle"
licence = "none"
command = "/bin/sh"
arguments = ["{entry}/play.sh"]
saves = ["diary"]
[sharing]
files = "both"
`;

let node, sandboxes, games, state, own;
before(async () => {
  [sandboxes, games, state, own] = ['nl-', 'nearlight-games-', 'nearlight-state-', 'nearlight-own-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  mkdirSync(join(games, 'diary'));
  // Users that games run as pass through all of them, wherever this lies.
  for (const folder of [sandboxes, games, join(games, 'diary')]) chmodSync(folder, 0o755);
  writeFileSync(join(games, 'diary', 'game.toml'), DIARY);
  writeFileSync(join(games, 'diary', 'play.sh'), 'echo kept > diary\necho note > Nearlight/note\nexec sleep 1000\n');
  // The game's user reads it, whatever files are made as here.
  chmodSync(join(games, 'diary', 'play.sh'), 0o644);
  // Nobody connects to its sessions, and each example is a process of its own, which takes its time on a machine that is busy.
  node = await Node.start({ 'access.open': 'false', 'sessions.connect': '10m', 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': sandboxes, 'server.state_dir': state });
});
after(async () => {
  await node?.stop();
  for (const folder of [sandboxes, games, state, own]) rmSync(folder, { recursive: true, force: true });
});

const tried = new Set();
/** Runs an example; what it prints. */
async function printed(language, name, environment) {
  tried.add(name);
  const text = examples.get(name)?.get(language);
  assert.ok(text !== undefined, `no example of ${name} in ${language}`);
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, NEARLIGHT: node.url.replace(/\/$/, ''), TOKEN: OPERATOR, ...environment };
  return (await run(...HOW[language](text), { env })).stdout;
}

/** The same of one that prints JSON, or nothing. */
async function call(language, name, environment) {
  const text = await printed(language, name, environment);
  return text.trim() === '' ? undefined : JSON.parse(text);
}

/** Runs an example that writes to a file; what is in it then. */
async function written(language, name, environment) {
  const FILE = join(own, `${name}.${language}`);
  assert.equal(await printed(language, name, { ...environment, FILE }), '');
  return readFileSync(FILE);
}

/** What a link carries behind its `#`. */
const fragment = (url) => new URL(`?${new URL(url).hash.slice(1)}`, url).searchParams;

for (const language of Object.keys(HOW)) {
  test(`a session from its beginning to its end in ${language}`, async () => {
    const see = (name, environment) => call(language, name, environment);
    assert.ok((await see('catalogue')).entries.some((entry) => entry.id === 'demo'));
    assert.equal((await written(language, 'poster', { APP: 'demo' })).toString('hex', 0, 3), 'ffd8ff', 'a JPEG');
    assert.ok((await see('node')).version.length > 0);
    const { id: ID, token, play_url: link, app } = await see('create');
    assert.equal(app, 'demo');
    const player = { ID, TOKEN: token };
    assert.equal((await see('show', player)).id, ID);
    assert.ok((await see('list')).some((session) => session.id === ID));
    assert.match((await see('webtransport', player)).url, /^https:/);
    assert.match((await see('socket', player)).url, /^wss?:/);

    const { id: invitation, url } = await see('invite', player);
    assert.deepEqual((await see('list_invitations', player)).map((each) => each.id), [invitation]);
    const joined = await see('join', { INVITATION: fragment(url).get('join') });
    const viewer = { ID: joined.id, TOKEN: joined.token };
    await see('show_viewer', viewer);
    await see('viewers', player);
    await see('viewer_webtransport', viewer);
    await see('viewer_socket', viewer);
    await see('leave', viewer);
    await see('revoke', { ...player, INVITATION: String(invitation) });

    const redeemed = await see('redeem', { ID, TICKET: fragment(link).get('ticket') });
    await see('end', { ID, TOKEN: redeemed.token });
    await until('the session to be over', async () => ((await see('list')).some((session) => session.id === ID) ? undefined : true));
  });
}

/** Examples that need a sandbox. */
const OF_GAMES = ['list_saves', 'list_saved_games', 'download_save', 'restore_save', 'pin_save', 'unpin_save', 'delete_save', 'save_session', 'list_files', 'download_file', 'upload_file', 'delete_file', 'list_transfers'];

for (const language of Object.keys(HOW)) {
  test(`what a player keeps of a game, and shares with it, in ${language}`, async (t) => {
    const { entries } = await (await node.fetch('api/v1/catalogue')).json();
    const { unavailable } = entries.find(({ id }) => id === 'diary');
    if (unavailable !== undefined) {
      assert.ok(process.env.NEARLIGHT_HOST === undefined, unavailable);
      for (const name of OF_GAMES) tried.add(name);
      t.skip(unavailable);
      return;
    }
    const NEARLIGHT_PLAYER = `anne-${language}`;
    const see = (name, environment) => call(language, name, { APP: 'diary', NEARLIGHT_PLAYER, ...environment });
    const made = await node.fetch('api/v1/sessions', {
      method: 'POST',
      headers: { authorization: `Bearer ${OPERATOR}`, 'content-type': 'application/json' },
      body: JSON.stringify({ app: 'diary', player: NEARLIGHT_PLAYER, video: { width: 320, height: 240, fps: 10 } }),
    });
    assert.equal(made.status, 201);
    const session = await made.json();
    await until('the game', async () => {
      const { saves } = await (await node.fetch(`api/v1/sessions/${session.id}`, { headers: { authorization: `Bearer ${session.token}` } })).json();
      return saves;
    });
    const SAVE = await until('a save', async () => (await see('save_session', { ID: session.id, TOKEN: session.token })).save);
    const player = { ID: session.id, TOKEN: session.token };
    const files = async () => (await see('list_files', player)).files.map(({ name }) => name);
    await until('a file of the game', async () => ((await files()).includes('note') ? true : undefined));
    await see('delete_file', { ...player, NAME: 'note' });
    assert.deepEqual(await files(), []);
    assert.deepEqual(await see('list_transfers', player), []);
    const [bytes, FILE] = [randomBytes(100_000), join(own, `brought.${language}`)];
    writeFileSync(FILE, bytes);
    await see('upload_file', { ...player, NAME: 'brought', FILE });
    assert.deepEqual(await files(), ['brought']);
    assert.deepEqual(await written(language, 'download_file', { ...player, NAME: 'brought' }), bytes);
    await node.end(session);
    const list = await until('the last state', async () => {
      const found = await see('list_saves');
      return found.playing ? undefined : found.saves;
    });
    assert.ok(list.some(({ id }) => id === SAVE));
    assert.ok((await written(language, 'download_save', { APP: 'diary', NEARLIGHT_PLAYER, SAVE })).includes('diary'), 'an archive with its file');
    assert.equal(typeof (await see('restore_save', { SAVE })).save, 'string');
    assert.ok((await see('list_saved_games')).games.some(({ app }) => app === 'diary'));
    const isPinned = async () => (await see('list_saves')).saves.find(({ id }) => id === SAVE).pinned;
    await see('pin_save', { SAVE });
    assert.equal(await isPinned(), true);
    await see('unpin_save', { SAVE });
    assert.equal(await isPinned(), false);
    await see('delete_save', { SAVE });
    assert.ok(!(await see('list_saves')).saves.some(({ id }) => id === SAVE));
  });
}

/** Examples that need a game with a clipboard. */
const OF_CLIPBOARDS = ['read_clipboard', 'write_clipboard'];

test('text is brought to a game and had from it, in every language', async (t) => {
  const exchange = await Exchange.start();
  try {
    if (exchange.entry.unavailable !== undefined) for (const name of OF_CLIPBOARDS) tried.add(name);
    await exchange.play(t, async (tab) => {
      const [{ id: ID }] = await exchange.node.sessions();
      const player = { NEARLIGHT: exchange.node.url.replace(/\/$/, ''), ID };
      for (const language of Object.keys(HOW)) {
        const words = `@Grüße, ${language}\nzwei Zeilen`;
        await call(language, 'write_clipboard', { ...player, BODY: words });
        await tab.page.keyboard.press('Control+KeyV');
        await until('what the game copied', async () => {
          const answer = await exchange.ask('clipboard');
          return answer.status === 200 && (await answer.text()) === `got ${words}` ? true : undefined;
        });
        assert.equal((await written(language, 'read_clipboard', player)).toString(), `got ${words}`);
      }
    });
  } finally {
    await exchange.stop();
  }
});

/** In a browser: an offer to see. */
async function offer() {
  const peer = new window.RTCPeerConnection();
  peer.addTransceiver('video', { direction: 'recvonly' });
  await peer.setLocalDescription();
  const { sdp } = peer.localDescription;
  peer.close();
  return sdp;
}

/** Says of an offer that its client has no more candidates (RFC 8840). */
function noMore(sdp) {
  const lines = [/^a=ice-ufrag:.*$/m, /^a=ice-pwd:.*$/m, /^m=.*$/m, /^a=mid:.*$/m].map((line) => line.exec(sdp)[0]);
  return [...lines, 'a=end-of-candidates', ''].join('\r\n');
}

test('who plays and who watches negotiates by WHEP, and hangs up, in every language', async () => {
  const browser = await launch();
  try {
    // Who watches sees what is coded for somebody who plays.
    const played = await node.make('demo');
    await Tab.with({ browser, node, query: `?${GENTLE}${new URL(played.play_url).hash}` }, async (tab) => {
      await tab.state('live');
      for (const language of Object.keys(HOW)) {
        const negotiates = async (prefix, who) => {
          const sdp = await tab.page.evaluate(offer);
          const answer = await printed(language, `${prefix}offer`, { ...who, BODY: sdp });
          assert.match(answer, /^m=video [1-9]/m);
          const [, CONNECTION] = /\/whep\/(\S+)/.exec(answer);
          await call(language, `${prefix}trickle`, { ...who, CONNECTION, BODY: noMore(sdp) });
          await call(language, `${prefix}close`, { ...who, CONNECTION });
        };
        const other = await node.make('demo');
        await negotiates('', { ID: other.id, TOKEN: other.token });
        const { url } = await call(language, 'invite', { ID: played.id });
        const joined = await call(language, 'join', { INVITATION: fragment(url).get('join') });
        await negotiates('viewer_', { ID: joined.id, TOKEN: joined.token });
        // One that hung up has ended, and the one that was watched goes on.
        await until('the session to be over', async () => ((await node.sessions()).some(({ id }) => id === other.id) ? undefined : true));
        assert.equal(await tab.page.evaluate(() => window.nearlight.state.name), 'live');
      }
    });
  } finally {
    await browser.close();
  }
});

/** What a renter's page has beside the node: a wallet, and a key for its session. */
const ALICE = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY';
const wallet = secretFromSeed(Buffer.from(SEEDS.alice, 'hex'));
const signedBy = (text) => ({
  NEARLIGHT_PROOF: Buffer.from(text).toString('base64'),
  // The scheme, 1 for sr25519, stands before the signature.
  NEARLIGHT_SIGNATURE: `01${Buffer.from(sign(wallet, Buffer.from(text))).toString('hex')}`,
});

test('a renter proves himself, lets a guest in and out, and acknowledges receipts, in every language', async () => {
  const chain = await DevelopmentChain.start();
  const ledger = mkdtempSync(join(tmpdir(), 'nearlight-examples-'));
  // A session is made before its page is opened, for which a busy machine takes its time.
  const rented = await Node.start({ ...chain.settings, 'chain.ledger': ledger, 'sessions.connect': '10m' });
  const browser = await launch();
  try {
    const ORDER = String((await chain.nearlight('alice', 'rent', '--cards', '1', '--blocks', '300', '--ceiling', '500000 DBC')).order);
    await chain.nearlight('alice', 'confirm', ORDER);
    const NEARLIGHT = rented.url.replace(/\/$/, '');
    const see = (language, name, environment) => call(language, name, { NEARLIGHT, ...environment });
    /** In this language; yields the renter's bearer. */
    const prove = async (language) => {
      const { text, body } = await see(language, 'challenge_renter', { ORDER, ACCOUNT: ALICE });
      return (await see(language, 'prove_renter', { ...signedBy(text), BODY: body })).token;
    };
    await until('the confirmed order', async () => (await see('sh', 'show_lease')).orders.find(({ order, confirmed }) => order === ORDER && confirmed));
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const key = Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url').toString('hex');
    const made = await rented.fetch('api/v1/sessions', {
      method: 'POST',
      headers: { authorization: `Bearer ${await prove('sh')}`, 'content-type': 'application/json' },
      body: JSON.stringify({ app: 'demo', video: { width: 640, height: 360, fps: 15 }, player_key: { kind: 'ed25519', key } }),
    });
    assert.equal(made.status, 201);
    const { id: ID, play_url: link, receipts_token: READER } = await made.json();
    const query = `?${GENTLE}${new URL(link).hash}`;
    await Tab.with({ browser, node: rented, query }, async (tab) => {
      await tab.state('live');
      const { receipts: RECEIPTS } = await until('a slice', async () => {
        const [of] = await see('sh', 'list_receipts', { TOKEN: READER });
        return of?.records > 1 ? of : undefined;
      });
      for (const language of Object.keys(HOW)) {
        assert.ok((await see(language, 'show_lease')).orders.some(({ order }) => order === ORDER));
        const TOKEN = await prove(language);
        const { ticket, signature, secret } = JSON.parse(Buffer.from(await ticketOf(chain, ORDER, NEARLIGHT), 'base64url').toString());
        assert.match(signature, /^01/);
        const guest = await see(language, 'redeem_ticket', { NEARLIGHT_PROOF: Buffer.from(ticket).toString('base64'), NEARLIGHT_SIGNATURE: signature, BODY: secret });
        assert.deepEqual([guest.role, guest.scopes], ['guest', ['view']]);
        const [used] = (await see(language, 'list_tickets', { TOKEN })).filter(({ revoked }) => !revoked);
        assert.equal(used.uses, 1);
        await see(language, 'revoke_ticket', { TOKEN, TICKET: used.ticket });
        assert.ok((await see(language, 'list_tickets', { TOKEN })).every(({ revoked }) => revoked));

        const [of] = await see(language, 'list_receipts', { TOKEN });
        assert.equal(of.receipts, RECEIPTS);
        const { records } = await see(language, 'export_receipts', { TOKEN, RECEIPTS });
        const number = Buffer.alloc(4);
        number.writeUInt32BE(1);
        const digest = createHash('sha256').update(Buffer.from(records[1].record, 'hex')).digest();
        const text = Buffer.concat([Buffer.from('nearlight-ack/1\n'), Buffer.from(RECEIPTS, 'hex'), number, digest]);
        await see(language, 'acknowledge_receipt', { RECEIPTS, SEQUENCE: '1', SIGNATURE: signRaw(null, text, privateKey).toString('hex') });
        assert.ok((await see(language, 'export_receipts', { TOKEN: READER, RECEIPTS })).records[1].acknowledged);
        // Nothing is used of it before receipts close.
        const [entry, ...others] = await see(language, 'list_entries');
        assert.deepEqual([entry.kind, others], ['paid', []]);
        const [account] = await see(language, 'list_accounts');
        const paid = entry.lines[0].planck;
        assert.deepEqual([account.order, account.paid_planck, account.used_planck, account.left_planck, account.unproven_blocks], [ORDER, paid, '0', paid, 0]);
        // Whoever plays it goes on in this place.
        const [session] = await see(language, 'list_leased_sessions', { TOKEN });
        assert.equal(session?.id, ID);
        assert.equal((await see(language, 'enter_leased_session', { TOKEN, ID })).role, 'player');
      }
    });
  } finally {
    await browser.close();
    await rented.stop();
    await chain.stop();
    rmSync(ledger, { recursive: true, force: true });
  }
});

/** What a ticket's link carries: for watching, once. */
async function ticketOf(chain, order, node) {
  const { link } = await chain.nearlight('alice', 'ticket', order, '--node', node, '--allow', 'view');
  return new URL(link).hash.replace('#lease=', '');
}

test('no example is left out', () => {
  assert.ok(examples.size > 10);
  assert.deepEqual([...tried].sort(), [...examples.keys()].sort());
});
