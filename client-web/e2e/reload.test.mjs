// The folders of games are looked at again at SIGHUP, in a real browser. Nothing is played, so it needs no sandboxes.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { launch, Tab } from './support/tab.mjs';

let games, node, browser;
/** Writes an entry, with these lines beside its head. */
function write(id, title, more = '') {
  mkdirSync(join(games, id), { recursive: true });
  writeFileSync(join(games, id, 'game.toml'), `title = "${title}"\nsummary = "-"\ngenre = "puzzle"\nlicence = "-"\ncommand = "/bin/true"\n${more}`);
}

before(async () => {
  games = mkdtempSync(join(tmpdir(), 'nearlight-games-'));
  write('one', 'The first');
  write('two', 'The second');
  node = await Node.start({ 'games.folders': JSON.stringify([games]), 'catalogue.demo': 'false', 'catalogue.sync_test': 'false' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  rmSync(games, { recursive: true, force: true });
});

test('a node that is told to looks at its games again, and lists what is broken with the reason', async () => {
  await Tab.with({ browser, node }, async ({ page }) => {
    const titles = () => page.locator('.card h2').allInnerTexts();
    await page.getByRole('article', { name: 'The second' }).waitFor();
    assert.deepEqual(await titles(), ['The first', 'The second']);
    write('one', 'The first', 'colour = "red"\n');
    rmSync(join(games, 'two'), { recursive: true });
    write('three', 'The third');
    process.kill(node.pid, 'SIGHUP');
    const [{ fields }] = await until('a look', () => {
      const looks = node.records('games looked at again');
      return looks.length > 0 ? looks : undefined;
    });
    const { listed, added, changed, removed, broken } = fields;
    assert.deepEqual({ listed, added, changed, removed, broken }, { listed: 2, added: 1, changed: 1, removed: 1, broken: 1 });
    await page.reload();
    await page.getByRole('article', { name: 'The third' }).waitFor();
    assert.deepEqual(await titles(), ['The third', 'The first']);
    const first = page.getByRole('article', { name: 'The first' });
    await first.getByText('its entry cannot be used: colour: ').waitFor();
    assert.ok(await first.getByRole('button', { name: 'Play The first' }).isDisabled());
  });
});

test('an entry that is not installed says what is missing and how to install it', async () => {
  const data = join(games, 'absent', 'data');
  const requires = [`file = "${data}"\npackage = "some-data"`, 'command = "nearlight-no-such-game"\npackage = "some-game"'];
  write('absent', 'The absent', requires.map((what) => `[[requires]]\n${what}\n`).join(''));
  const before = node.records('games looked at again').length;
  process.kill(node.pid, 'SIGHUP');
  await until('a look', () => (node.records('games looked at again').length > before ? true : undefined));
  await Tab.with({ browser, node }, async ({ page }) => {
    const card = page.getByRole('article', { name: 'The absent' });
    await card.getByText(`Not installed: ${data}, nearlight-no-such-game (apt install some-data some-game).`, { exact: true }).waitFor();
    assert.ok(await card.getByRole('button', { name: 'Play The absent' }).isDisabled());
    // It is looked at anew whenever somebody asks what there is.
    writeFileSync(data, '');
    await page.reload();
    await card.getByText('Not installed: nearlight-no-such-game (apt install some-game).', { exact: true }).waitFor();
  });
});
