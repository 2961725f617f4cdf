// Real games in a real browser: each in a sandbox with a display and sound of its own. Left out, with the reason, where one is not
// installed or this machine gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Node, until } from './support/node.mjs';
import { gesture, heard } from './support/sound.mjs';
import { changed, launch, Tab } from './support/tab.mjs';

const GAMES = fileURLToPath(new URL('../../games', import.meta.url));
const SMALL = 'width=640&height=360&fps=15';

let run, node, browser, entries;
before(async () => {
  // Users that games run as pass through it.
  run = mkdtempSync(join(tmpdir(), 'nl-'));
  chmodSync(run, 0o755);
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([GAMES]), 'games.run': run, 'sessions.away': '5m' });
  browser = await launch();
  ({ entries } = await (await node.fetch('api/v1/catalogue')).json());
});
after(async () => {
  await browser?.close();
  await node?.stop();
  rmSync(run, { recursive: true, force: true });
});

/** Plays this game, unless it cannot be had here. */
const game = (id, name, use) => test(name, async (t) => {
  const entry = entries.find((each) => each.id === id);
  assert.equal(entry?.kind, 'game');
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  for (const transport of ['webrtc', 'webtransport']) {
    await Tab.with({ browser, node, query: `?play=${id}&${SMALL}&transport=${transport}` }, async (tab) => {
      await tab.state('live');
      await until('pictures', async () => ((await tab.presented()) > 0 ? true : undefined));
      await use(tab);
    });
    await node.sessionsToBe(0);
    await until('the sandbox to be gone', () => (sandboxes().length === 0 ? true : undefined));
  }
});

/** Folders of sandboxes that are there, one below the node's own. */
const sandboxes = () => readdirSync(run).flatMap((mark) => readdirSync(join(run, mark)));

/** Looks in a row, a tenth of a second apart, that find the same picture where it stands still. */
const LOOKS = 10;

/** The picture once it stands still. */
async function still(tab) {
  let [last, same] = [await tab.picture(), 0];
  return until('a picture that stands still', async () => {
    const now = await tab.picture();
    same = changed(last, now) === 0 ? same + 1 : 0;
    last = now;
    return same === LOOKS ? now : undefined;
  });
}

game('terminal', 'a terminal shows what is typed, and is the same one after a reload', async (tab) => {
  await until('prompts', async () => {
    await tab.page.keyboard.press('Enter');
    return new Set((await tab.picture()).map((value) => Math.round(value / 8))).size > 1 ? true : undefined;
  });
  const prompt = await still(tab);
  // Keys go by their place, so nothing here needs Shift; and far more is written than typed.
  await tab.page.keyboard.type('seq 1111111111111111 1111111111111150');
  await tab.page.keyboard.press('Enter');
  await tab.pictureChanges(prompt, 0.05);
  const written = await still(tab);
  await tab.page.reload();
  await tab.state('live');
  await until('the same picture', async () => (changed(written, await tab.picture()) < 0.02 ? true : undefined));
  assert.equal(sandboxes().length, 1);
  await tab.page.keyboard.type('exit');
  await tab.page.keyboard.press('Enter');
  await tab.state('ended');
});

game('freedoom', 'Freedoom plays, is heard, and shows its help for a key', async (tab) => {
  await gesture(tab);
  await heard(tab);
  // Its demonstration plays by itself, some time after its title.
  const shown = await tab.presented();
  await until('a game that moves', async () => ((await tab.presented()) > shown + 30 ? true : undefined));
  await tab.page.keyboard.press('F1');
  await still(tab);
});
