// Every example of docs/api.md, in each of its languages, against a real node.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
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

let node;
before(async () => { node = await Node.start({ 'access.open': 'false' }); });
after(() => node?.stop());

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

test('no example is left out', () => {
  assert.ok(examples.size > 10);
  assert.deepEqual([...tried].sort(), [...examples.keys()].sort());
});
