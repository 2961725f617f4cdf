// A game that a program asked for by its name alone, and handed on: its link, as it stands, plays in a browser. Left out, with the
// reason, where the terminal is not installed or this machine gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Node, until } from './support/node.mjs';
import { launch, Tab } from './support/tab.mjs';

const GAMES = fileURLToPath(new URL('../../games', import.meta.url));

let run, node, browser;
before(async () => {
  run = mkdtempSync(join(tmpdir(), 'nl-'));
  // Users that games run as pass through it.
  chmodSync(run, 0o755);
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([GAMES]), 'games.run': run });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  rmSync(run, { recursive: true, force: true });
});

test('the link of a game that was asked for by its name alone plays it', async (t) => {
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  const { unavailable } = entries.find(({ id }) => id === 'terminal');
  if (unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, unavailable);
    t.skip(unavailable);
    return;
  }
  const headers = { 'content-type': 'application/json' };
  const answer = await node.fetch('api/v1/sessions', { method: 'POST', headers, body: JSON.stringify({ app: 'terminal' }) });
  assert.equal(answer.status, 201);
  const session = await answer.json();
  await Tab.with({ browser, node: { url: session.play_url, log: () => node.log() } }, async (tab) => {
    await tab.state('live');
    assert.equal(await tab.page.evaluate(() => window.nearlight.hello.session), session.id);
    await until('prompts', async () => {
      await tab.page.keyboard.press('Enter');
      return new Set((await tab.picture()).map((value) => Math.round(value / 8))).size > 1 ? true : undefined;
    });
    // A page that stands still for a moment connects anew, and keys of that moment are lost.
    await until('the end', async () => {
      if (await tab.page.evaluate(() => window.nearlight.state.name) === 'ended') return true;
      await tab.page.keyboard.type('exit');
      await tab.page.keyboard.press('Enter');
      return undefined;
    });
  });
});
