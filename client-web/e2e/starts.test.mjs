// The start of a game, in a real browser and a real sandbox: the page says what it waits for, and how it failed. The X server and the
// game wait for a file in the game's folder, which both see, so that a step lasts until it was looked at. Left out, with the reason,
// where there are no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { Node, UNDRAWN_MS, until } from './support/node.mjs';
import { launch, PATIENT, Tab } from './support/tab.mjs';

/** Where a sandbox has its game's folder (docs/games.md). */
const ENTRY = '/game';
/** In a shell: waits for this file of the game's folder. */
const awaits = (file) => `until [ -e ${ENTRY}/${file} ]; do sleep 0.05; done`;
const GAMES = {
  slow: `${awaits('window')}; exec xterm -maximized -bg white -e cat`,
  fails: `${awaits('window')}; exit 3`,
  dark: 'exit 0',
};
const LABELS = ['Sandbox', 'Display and sound', 'Game', 'First picture'];
const [DISPLAY, PICTURE] = [1, 3];

let folders, games, node, browser, entries;
before(async () => {
  // Users that games run as pass through all of them.
  folders = ['nl-', 'nearlight-games-', 'nearlight-display-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  for (const folder of folders) chmodSync(folder, 0o755);
  const [run, own, display] = folders;
  games = own;
  for (const [id, script] of Object.entries(GAMES)) {
    mkdirSync(join(games, id), { mode: 0o755 });
    const entry = { title: id, summary: '-', genre: 'puzzle', licence: '-', command: '/bin/sh', arguments: ['-c', script] };
    const requires = '[[requires]]\ncommand = "xterm"\npackage = "xterm"\n';
    writeFileSync(join(games, id, 'game.toml'), Object.entries(entry).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join('') + requires);
  }
  const settings = { 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'catalogue.demo': 'false' };
  node = await Node.start(settings, slowDisplay(display));
  browser = await launch();
  ({ entries } = await (await node.fetch('api/v1/catalogue')).json());
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The environment of a node whose X server is one in this folder, which waits, and fails where the game's folder says that it is broken. */
function slowDisplay(folder) {
  const real = process.env.PATH.split(delimiter).map((each) => join(each, 'Xvfb')).find((path) => existsSync(path));
  // Then the node says what is missing.
  if (real === undefined) return {};
  const path = join(folder, 'Xvfb');
  writeFileSync(path, `#!/bin/sh\n${awaits('display')}\n[ -e ${ENTRY}/broken ] && exit 1\nexec ${realpathSync(real)} "$@"\n`);
  chmodSync(path, 0o755);
  return { PATH: `${folder}${delimiter}${process.env.PATH}` };
}

/** Lets what waits for this file go on. */
const lets = (id, file) => writeFileSync(join(games, id, file), '');

/** Notes what the panel says of the start, whenever that changes: each step, and whether it is done or waited for. */
function note() {
  window.told = [];
  new window.MutationObserver(() => {
    const lines = [...document.querySelectorAll('.steps:not([hidden]) li')];
    const steps = JSON.stringify(lines.map((line) => [line.textContent, line.getAttribute('aria-current') === 'step' ? 'now' : line.className]));
    if (lines.length > 0 && window.told.at(-1) !== steps) window.told.push(steps);
  }).observe(document, { childList: true, subtree: true });
}

/** What it said by now, in order: the places of the steps that it waited for, all before which were done and none after. */
async function told(tab) {
  const all = (await tab.page.evaluate(() => window.told)).map((steps) => JSON.parse(steps));
  return all.map((steps) => {
    const now = steps.findIndex(([, how]) => how === 'now');
    assert.notEqual(now, -1, JSON.stringify(steps));
    assert.deepEqual(steps, LABELS.map((label, at) => [label, at < now ? 'done' : at === now ? 'now' : '']));
    return now;
  });
}

const isTold = (tab, step) => until(`“${LABELS[step]}” on the page`, async () => ((await told(tab)).at(-1) === step ? true : undefined));

/** How long ago the page was asked for the game, in milliseconds, and what state it is in. */
const since = (tab) => tab.page.evaluate(() => {
  const { state: { name }, times } = window.nearlight;
  return [performance.timeOrigin + performance.now() - times.askedUs / 1_000, name];
});

/** Starts this game from the library, unless it cannot be had here. */
const game = (id, name, use) => test(name, async (t) => {
  const entry = entries.find((each) => each.id === id);
  assert.equal(entry?.kind, 'game', node.log());
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  const prepare = (context) => context.addInitScript(note);
  for (const transport of ['webrtc', 'webtransport']) {
    for (const file of ['display', 'broken', 'window']) rmSync(join(games, id, file), { force: true });
    await Tab.with({ browser, node, query: `?width=640&height=360&fps=15&transport=${transport}&${PATIENT}`, prepare }, async (tab) => {
      await tab.page.getByRole('button', { name: `Play ${id}`, exact: true }).click();
      await use(tab);
    });
    await node.sessionsToBe(0);
  }
});

/** What the page says once the start has failed, under this title; from there it leads back to the library. */
async function failed({ page }, id, title) {
  const panel = page.locator('.panel');
  await panel.getByRole('heading', { name: title, exact: true }).waitFor();
  const detail = await panel.locator('.detail').textContent();
  assert.equal(await panel.locator('.steps').isVisible(), false);
  await panel.getByRole('button', { name: 'Back to the catalogue' }).click();
  const play = page.getByRole('button', { name: `Play ${id}`, exact: true });
  await play.waitFor();
  assert.equal(await play.isEnabled(), true);
  assert.equal(new URL(page.url()).searchParams.get('play'), null);
  return detail;
}

game('slow', 'a start says what it waits for, for as long as it does, and goes on in order', async (tab) => {
  const { page } = tab;
  await isTold(tab, DISPLAY);
  const starting = async () => (await node.sessions())[0]?.starting;
  await until('the same from the node', async () => ((await starting()) === 'display' ? true : undefined));
  // It does not go on by itself.
  await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 1_000); }));
  assert.deepEqual([await starting(), (await told(tab)).at(-1)], ['display', DISPLAY]);
  assert.equal(await page.locator('.panel').getByRole('heading').textContent(), 'Starting slow');
  lets('slow', 'display');
  await isTold(tab, PICTURE);
  // Of a game that has drawn nothing there is nothing to see, but for one that takes very long.
  const [ms, state] = await since(tab);
  if (ms < UNDRAWN_MS) assert.equal(state, 'connecting');
  lets('slow', 'window');
  await tab.state('live');
  await until('a game that is seen', async () => (Math.max(...(await tab.picture())) > 200 ? true : undefined));
  assert.equal(await page.locator('.steps').isVisible(), false);
  const steps = await told(tab);
  assert.deepEqual(steps, [...new Set(steps)].sort(), 'each once, in order');
  assert.ok(steps.includes(DISPLAY) && steps.includes(PICTURE), steps.join());
  assert.equal(await starting(), undefined);
});

game('fails', 'a game that ends at once is told with its exit status, and leads back to the library', async (tab) => {
  lets('fails', 'display');
  await isTold(tab, PICTURE);
  lets('fails', 'window');
  await tab.state('ended');
  // One whose end is seen later is taken to have drawn before it.
  const [ms] = await since(tab);
  const detail = await failed(tab, 'fails', 'The game ended by itself');
  assert.match(detail, ms < UNDRAWN_MS ? /^The game ended at once \(exit status 3\)\.$/ : /^The game ended (at once|by itself) \(exit status 3\)\.$/);
});

game('dark', 'a start without a display is told, and leads back to the library', async (tab) => {
  await isTold(tab, DISPLAY);
  for (const file of ['broken', 'display']) lets('dark', file);
  assert.equal(await failed(tab, 'dark', 'The session could not start'), 'The game or scene could not be started.');
});
