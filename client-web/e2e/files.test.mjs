// Files between a real browser and a real game, which sums up what it finds. Left out, with the reason, where this machine gives no
// sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { choose, Exchange, playing } from './support/exchange.mjs';
import { OPERATOR, until } from './support/node.mjs';

const MIB = 1 << 20;
let exchange, own;
before(async () => {
  own = mkdtempSync(join(tmpdir(), 'nearlight-own-'));
  exchange = await Exchange.start({ 'sharing.file_size': '4 MiB', 'sharing.files_size': '10 MiB', 'sharing.files_count': '12' });
});
after(async () => {
  await exchange?.stop();
  rmSync(own, { recursive: true, force: true });
});

const game = (name, use) => playing(() => exchange, name, use, { options: { acceptDownloads: true } });
const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');
/** A file of the player's own machine. */
const make = (name, bytes) => {
  const path = join(own, name);
  writeFileSync(path, bytes);
  return path;
};
const at = (name) => `files/${encodeURIComponent(name)}`;
const put = (name, body, headers = {}) => exchange.ask(at(name), { method: 'PUT', headers, body });
const list = async () => (await (await exchange.ask('files')).json()).files.map(({ name }) => name);
/** What the game says of a file. */
const summed = (name) => until(`the sum of ${name}`, async () => {
  const answer = await exchange.ask(at(`${name}.sum`));
  const text = answer.status === 200 ? await answer.text() : '';
  return text.length === 64 ? text : undefined;
});

game('a file is brought, the game sees the same bytes, and it is had back', async (tab) => {
  const name = 'Grüße 1+1 #2%.bin';
  const bytes = randomBytes(3 * MIB);
  await choose(tab, 'Files');
  const box = tab.page.getByRole('complementary', { name: 'Files' });
  await tab.page.getByLabel('Files to bring').setInputFiles(make(name, bytes));
  await box.getByRole('button', { name: `Download ${name}`, exact: true }).waitFor();
  assert.equal(await summed(name), sum(bytes));
  await box.getByRole('list', { name: 'Files that are being brought' }).locator('li').waitFor({ state: 'detached' });
  const [download] = await Promise.all([
    tab.page.waitForEvent('download'),
    box.getByRole('button', { name: `Download ${name}`, exact: true }).click(),
  ]);
  assert.equal(download.suggestedFilename(), name);
  assert.equal(sum(readFileSync(await download.path())), sum(bytes));
  await box.getByRole('button', { name: `Delete ${name}`, exact: true }).click();
  await until('it to be gone', async () => ((await list()).includes(name) ? undefined : true));
  // What went is noted once it has gone.
  const all = await until('the file to be noted', async () => {
    const noted = await exchange.transfers();
    return noted.at(-1)?.bytes === bytes.length && noted.length > 1 ? noted : undefined;
  });
  assert.deepEqual(all[0], { what: 'file', way: 'to_game', bytes: bytes.length, whole: true });
  assert.deepEqual(all.at(-1), { what: 'file', way: 'from_game', bytes: bytes.length, whole: true });
  assert.ok(!exchange.node.log().includes('Grüße'), 'names are nobody else’s matter');
});

game('what is dropped on the picture is brought, and what cannot be is told', async (tab) => {
  const files = [['dropped.txt', 'some words'], ['large.bin', randomBytes(5 * MIB)], ['.hidden', 'x']].map(([name, bytes]) => make(name, bytes));
  const tools = await tab.context.newCDPSession(tab.page);
  await choose(tab, 'Keys');
  const other = tab.page.getByRole('complementary', { name: 'Keys' });
  await other.waitFor();
  const [x, y] = await tab.at(0.5, 0.5);
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await tools.send('Input.dispatchDragEvent', { type, x, y, data: { items: [], files, dragOperationsMask: 1 } });
  }
  const box = tab.page.getByRole('complementary', { name: 'Files' });
  await box.getByRole('button', { name: 'Download dropped.txt', exact: true }).waitFor();
  assert.equal(await other.isVisible(), false, 'one box is open at a time');
  assert.equal(await summed('dropped.txt'), sum('some words'));
  const failed = box.getByRole('list', { name: 'Files that are being brought' });
  await failed.getByText('It has more than').waitFor();
  await failed.getByText('begins with a dot').waitFor();
  assert.deepEqual((await list()).sort(), ['dropped.txt', 'dropped.txt.sum']);
  assert.equal(await tab.page.evaluate(() => window.nearlight.state.name), 'live');
});

game('bounds hold, names cannot leave the folder, and others are refused', async () => {
  const status = async (answer) => (await answer).status;
  const type = async (answer) => (await (await answer).json()).type.split('/').at(-1);
  for (const name of ['..', '../x', '/etc/passwd', '.bashrc', 'a\\b', 'a\nb', 'a\u202eb', 'n'.repeat(201)]) {
    // Addresses have their own idea of two dots.
    const wanted = name === '..' ? [400, 403, 404, 405] : [400];
    for (const method of ['PUT', 'GET', 'DELETE']) {
      const init = method === 'PUT' ? { method, body: 'x' } : { method };
      assert.ok(wanted.includes(await status(exchange.ask(at(name), init))), `${method} ${JSON.stringify(name)}`);
    }
  }
  assert.deepEqual(await list(), []);
  assert.equal(await status(put('large', Buffer.alloc(4 * MIB + 1))), 413);
  assert.deepEqual(await Promise.all([1, 2].map((n) => status(put(`full-${n}`, Buffer.alloc(4 * MIB))))), [204, 204]);
  assert.equal(await type(put('full-3', Buffer.alloc(3 * MIB))), 'no-room');
  for (const n of [1, 2]) assert.equal(await status(exchange.ask(at(`full-${n}`), { method: 'DELETE' })), 204);
  assert.equal(await status(exchange.ask(at('full-1'))), 404);
  // Those that come at once do not together come to more.
  const answers = await Promise.all(Array.from({ length: 16 }, (_, n) => status(put(`many-${n}`, 'x'))));
  assert.ok(answers.every((each) => [204, 409, 507].includes(each)), answers.join());
  assert.ok((await list()).filter((name) => /^many-\d+$/.test(name)).length <= 12);
  assert.equal(await status(put('foreign', 'x', { origin: 'http://evil.test' })), 403);
  assert.equal(await status(put('foreign', 'x', { authorization: 'Bearer wrong' })), 401);
  assert.ok(!(await list()).includes('foreign'));
});

game('an upload that breaks off leaves nothing, and the next one is taken', async () => {
  const [{ url }] = await exchange.node.sessions();
  const before = (await exchange.transfers()).length;
  await new Promise((resolve) => {
    const upload = request(`${url}/files/half`, { method: 'PUT', headers: { authorization: `Bearer ${OPERATOR}`, 'content-length': 3 * MIB } });
    upload.on('error', resolve);
    upload.write(Buffer.alloc(MIB), () => {
      // What was sent is on its way; the rest never comes.
      setTimeout(() => { upload.destroy(); }, 200);
    });
  });
  const went = await until('it to be noted', async () => (await exchange.transfers())[before]);
  assert.deepEqual([went.what, went.whole], ['file', false]);
  assert.deepEqual(await list(), []);
  assert.equal((await put('half', 'whole')).status, 204);
  assert.equal(await summed('half'), sum('whole'));
  const answer = await exchange.ask('files/half');
  const header = (name) => answer.headers.get(name);
  assert.deepEqual(
    [header('content-disposition'), header('x-content-type-options'), header('content-type'), header('cache-control')],
    ["attachment; filename*=UTF-8''half", 'nosniff', 'application/octet-stream', 'no-store'],
  );
});

test('links that a game plants lead nowhere, and ways that are not asked for are closed', async (t) => {
  const planting = (toml) => toml
    .replace('command = "python3"', 'command = "/bin/sh"')
    .replace('arguments = ["{entry}/exchange.py"]', 'arguments = ["-c", "cd Exchange && ln -s /etc/passwd link && ln -s / root && mkfifo pipe && echo mine > file; exec sleep 1000"]')
    .replace('files = "both"', 'files = "download"');
  const planted = await Exchange.start({}, planting);
  try {
    await planted.play(t, async (tab) => {
      const names = async () => (await (await planted.ask('files')).json()).files.map(({ name }) => name);
      await until('the game', async () => ((await names()).includes('file') ? true : undefined));
      assert.deepEqual(await names(), ['file']);
      for (const name of ['link', 'root', 'pipe', encodeURIComponent('root/etc/passwd')]) {
        assert.ok([400, 404].includes((await planted.ask(`files/${name}`)).status), name);
      }
      assert.equal(await (await planted.ask('files/file')).text(), 'mine\n');
      for (const [method, body] of [['PUT', 'x'], ['DELETE', undefined]]) {
        assert.equal((await planted.ask('files/file', { method, body })).status, 403, method);
      }
      await choose(tab, 'Files');
      const box = tab.page.getByRole('complementary', { name: 'Files' });
      await box.getByRole('button', { name: 'Download file', exact: true }).waitFor();
      assert.equal(await box.getByRole('button', { name: 'Bring files' }).isVisible(), false);
      assert.equal(await box.getByRole('button', { name: 'Delete file' }).count(), 0);
    });
  } finally {
    await planted.stop();
  }
});
