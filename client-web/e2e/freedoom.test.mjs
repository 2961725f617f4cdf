// Freedoom on a fixed level where nothing else moves, in a real browser. Left out, with the reason, where it is not installed or this
// machine gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Node, until } from './support/node.mjs';
import { changed, launch, Tab } from './support/tab.mjs';

const FREEDOOM = fileURLToPath(new URL('../../games/freedoom', import.meta.url));

let run, games, node, browser, entry;
before(async () => {
  // Users that games run as pass through both.
  [run, games] = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  for (const folder of [run, games]) chmodSync(folder, 0o755);
  cpSync(FREEDOOM, join(games, 'level'), { recursive: true });
  const toml = join(games, 'level/game.toml');
  writeFileSync(toml, readFileSync(toml, 'utf8').replace('"-nogui",', '"-nogui", "-warp", "1", "1", "-nomonsters",'));
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([games]), 'games.run': run, 'sessions.away': '5m' });
  browser = await launch();
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  entry = entries.find(({ id }) => id === 'level');
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, games]) rmSync(folder, { recursive: true, force: true });
});

/** A level that is there, and where nothing moves. */
const stands = (tab) => until('a picture that stands still', async () => {
  const before = await tab.picture();
  const bright = before.filter((value) => value > 30).length / before.length;
  for (let look = 0; look < 5; look += 1) {
    await new Promise((resolve) => { setTimeout(resolve, 100); });
    if (bright < 0.3 || changed(before, await tab.picture()) > 0.02) return undefined;
  }
  return before;
});

for (const transport of ['webrtc', 'webtransport']) {
  test(`a key walks and a captured mouse turns in Freedoom, which is the same after a reload, by ${transport}`, async (t) => {
    assert.equal(entry?.kind, 'game', node.log());
    if (entry.unavailable !== undefined) {
      assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
      t.skip(entry.unavailable);
      return;
    }
    const query = `?play=level&width=640&height=360&fps=15&transport=${transport}`;
    await Tab.with({ browser, node, query }, async (tab) => {
      const { page } = tab;
      await tab.state('live');
      const start = await stands(tab);
      await page.keyboard.down('w');
      await tab.pictureChanges(start, 0.3);
      await page.keyboard.up('w');
      const there = await stands(tab);
      assert.ok(changed(start, there) > 0.2, 'it is elsewhere');

      // A click fires, too: what comes of that passes.
      const [x, y] = await tab.at(0.5, 0.5);
      await page.mouse.click(x, y);
      await tab.until(() => document.pointerLockElement !== null);
      const captured = await stands(tab);
      for (let step = 1; step <= 20; step += 1) await page.mouse.move(x + step * 20, y);
      await tab.pictureChanges(captured, 0.3);
      const turned = await stands(tab);
      assert.ok((await tab.inputs()).includes('relative'));

      await page.reload();
      await tab.state('live');
      await until('the same picture', async () => (changed(turned, await tab.picture()) < 0.05 ? true : undefined));
    });
    await node.sessionsToBe(0);
  });
}
