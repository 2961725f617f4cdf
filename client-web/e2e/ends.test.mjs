// Games that end by themselves, in a real browser and a real sandbox: the page says how, and plays again. Left out, with the reason,
// where there are no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Node, UNDRAWN_MS, until } from './support/node.mjs';
import { launch, PATIENT, Tab } from './support/tab.mjs';

const GAMES = {
  fails: 'exit 3',
  // Draws what is typed until that ends, and then uses memory that is not its own.
  crashes: 'xterm -maximized -bg white -e cat; kill -SEGV $$',
  // Comes to its end as it should.
  leaves: 'exec xterm -maximized -bg white -e cat',
};

let run, games, node, browser, entries;
before(async () => {
  // Users that games run as pass through both.
  [run, games] = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  for (const folder of [run, games]) chmodSync(folder, 0o755);
  for (const [id, script] of Object.entries(GAMES)) {
    mkdirSync(join(games, id), { mode: 0o755 });
    const entry = { title: id, summary: '-', genre: 'puzzle', licence: '-', command: '/bin/sh', arguments: ['-c', script] };
    const requires = '[[requires]]\ncommand = "xterm"\npackage = "xterm"\n';
    writeFileSync(join(games, id, 'game.toml'), Object.entries(entry).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join('') + requires);
  }
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'catalogue.demo': 'false' });
  browser = await launch();
  ({ entries } = await (await node.fetch('api/v1/catalogue')).json());
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, games]) rmSync(folder, { recursive: true, force: true });
});

/** Plays this game, unless it cannot be had here. */
const game = (id, name, use) => test(name, async (t) => {
  const entry = entries.find((each) => each.id === id);
  assert.equal(entry?.kind, 'game', node.log());
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  for (const transport of ['webrtc', 'webtransport', 'websocket']) {
    await Tab.with({ browser, node, query: `?play=${id}&width=640&height=360&fps=15&transport=${transport}&${PATIENT}` }, use);
    await node.sessionsToBe(0);
  }
});

/** What the page says once the game is over, under which title and mark. */
async function told({ page }, title, mark) {
  const panel = page.locator('.panel');
  await panel.getByRole('heading', { name: title, exact: true }).waitFor();
  assert.equal(await panel.locator('.mark').getAttribute('data-mark'), mark);
  return panel.locator('.detail').textContent();
}

/** Ends what is typed, again where the window that is seen did not have the focus yet. */
const finish = ({ page }) => until('the end of what is typed', async () => {
  await page.keyboard.press('Control+d');
  return (await page.evaluate(() => window.nearlight.state.name)) === 'ended' ? true : undefined;
});

const again = ({ page }) => page.getByRole('button', { name: 'Play again' });

game('fails', 'a game that ends at once is told with its exit status, as often as it is tried', async (tab) => {
  for (let tries = 0; tries < 2; tries += 1) {
    const detail = await told(tab, 'The game ended by itself', 'exited');
    const took = await tab.page.evaluate(() => performance.timeOrigin + performance.now() - window.nearlight.times.askedUs / 1_000);
    // One whose end is seen later is taken to have drawn before it.
    assert.match(detail, took < UNDRAWN_MS ? /^The game ended at once \(exit status 3\)\.$/ : /^The game ended (at once|by itself) \(exit status 3\)\.$/);
    if (tries === 0) {
      const before = node.records('session ended').length;
      await again(tab).click();
      await until('the end of another session', () => (node.records('session ended').length > before ? true : undefined));
    }
  }
  await tab.page.getByRole('button', { name: 'Back to the catalogue' }).click();
  await tab.page.getByRole('article', { name: 'fails' }).waitFor();
});

game('crashes', 'a game that crashes is told with its signal, and can be played again', async (tab) => {
  for (let tries = 0; tries < 2; tries += 1) {
    await tab.state('live');
    await until('a game that is seen', async () => (Math.max(...(await tab.picture())) > 200 ? true : undefined));
    await finish(tab);
    assert.equal(await told(tab, 'The game crashed', 'crashed'), 'The game crashed (signal 11: memory that is not its own).');
    if (tries === 0) await again(tab).click();
  }
});

game('leaves', 'a game that is left ends as a session does', async (tab) => {
  await tab.state('live');
  await until('a game that is seen', async () => (Math.max(...(await tab.picture())) > 200 ? true : undefined));
  await finish(tab);
  assert.equal(await told(tab, 'The session has ended', 'done'), 'The programme came to its end.');
});
