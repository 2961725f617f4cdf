// Every example of docs/api.md, in each of its languages, against a real node.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import ts from 'typescript';
import { Node, OPERATOR, until } from './support/node.mjs';

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

let node, sandboxes, games, state;
before(async () => {
  [sandboxes, games, state] = ['nl-', 'nearlight-games-', 'nearlight-state-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  mkdirSync(join(games, 'diary'));
  // Users that games run as pass through all of them, wherever this lies.
  for (const folder of [sandboxes, games, join(games, 'diary')]) chmodSync(folder, 0o755);
  writeFileSync(join(games, 'diary', 'game.toml'), DIARY);
  writeFileSync(join(games, 'diary', 'play.sh'), 'echo kept > diary\necho note > Nearlight/note\nexec sleep 1000\n');
  node = await Node.start({ 'access.open': 'false', 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': sandboxes, 'server.state_dir': state });
});
after(async () => {
  await node?.stop();
  for (const folder of [sandboxes, games, state]) rmSync(folder, { recursive: true, force: true });
});

const tried = new Set();
/** Runs an example; what it prints as JSON. */
async function call(language, name, environment) {
  tried.add(name);
  const text = examples.get(name)?.get(language);
  assert.ok(text !== undefined, `no example of ${name} in ${language}`);
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, NEARLIGHT: node.url.replace(/\/$/, ''), TOKEN: OPERATOR, ...environment };
  const { stdout } = await run(...HOW[language](text), { env });
  return stdout.trim() === '' ? undefined : JSON.parse(stdout);
}

/** What a link carries behind its `#`. */
const fragment = (url) => new URL(`?${new URL(url).hash.slice(1)}`, url).searchParams;

for (const language of Object.keys(HOW)) {
  test(`a session from its beginning to its end in ${language}`, async () => {
    const see = (name, environment) => call(language, name, environment);
    assert.ok((await see('catalogue')).entries.some((entry) => entry.id === 'demo'));
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
const OF_GAMES = ['list_saves', 'restore_save', 'pin_save', 'unpin_save', 'delete_save', 'save_session', 'list_files', 'delete_file', 'list_transfers'];

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
    await node.end(session);
    const list = await until('the last state', async () => {
      const found = await see('list_saves');
      return found.playing ? undefined : found.saves;
    });
    assert.ok(list.some(({ id }) => id === SAVE));
    assert.equal(typeof (await see('restore_save', { SAVE })).save, 'string');
    const isPinned = async () => (await see('list_saves')).saves.find(({ id }) => id === SAVE).pinned;
    await see('pin_save', { SAVE });
    assert.equal(await isPinned(), true);
    await see('unpin_save', { SAVE });
    assert.equal(await isPinned(), false);
    await see('delete_save', { SAVE });
    assert.ok(!(await see('list_saves')).saves.some(({ id }) => id === SAVE));
  });
}

test('no example is left out', () => {
  assert.ok(examples.size > 10);
  assert.deepEqual([...tried].sort(), [...examples.keys()].sort());
});
