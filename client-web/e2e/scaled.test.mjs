// Where a link carries too few bits for a game its pictures are smaller than its screen, in whose pixels the node tells where the pointer
// is: who watches sees it where the player points all the same. Left out, with the reason, where there is no terminal or this machine
// gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { invite, SPECTATOR } from './support/invite.mjs';
import { Node, until } from './support/node.mjs';
import { pointedAt } from './support/pointer.mjs';
import { launch, PATIENT, Tab } from './support/tab.mjs';

const GAMES = fileURLToPath(new URL('../../games', import.meta.url));
/** Fewer bits a pixel than a picture of the whole size is worth (session/src/rate/ladder.rs). */
const FEW = `width=640&height=360&fps=15&kbps=100&${PATIENT}`;

let run, node, browser, entry;
before(async () => {
  run = mkdtempSync(join(tmpdir(), 'nl-'));
  // Users that games run as pass through.
  chmodSync(run, 0o755);
  node = await Node.start({ 'games.max_cpus': '64.0', 'games.folders': JSON.stringify([GAMES]), 'games.run': run, 'catalogue.demo': 'false', 'video.min_rate': '100 kbit/s' });
  browser = await launch();
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  entry = entries.find(({ id }) => id === 'terminal');
});
after(async () => {
  await browser?.close();
  await node?.stop();
  rmSync(run, { recursive: true, force: true });
});

/** Edges across of the picture, and of the screen. */
const widths = (tab) => tab.page.evaluate(() => [window.nearlight.size.width, window.nearlight.hello.video.width]);

for (const transport of ['webrtc', 'webtransport']) {
  test(`a pointer is where it is on the screen by ${transport} where pictures are smaller`, async (t) => {
    if (entry.unavailable !== undefined) {
      assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
      t.skip(entry.unavailable);
      return;
    }
    await Tab.with({ browser, node, query: `?play=terminal&${FEW}&transport=${transport}` }, async (player) => {
      await player.state('live');
      await until('pictures', async () => ((await player.presented()) > 0 ? true : undefined));
      await until('smaller pictures', async () => {
        // Only what changes is sent.
        await player.page.keyboard.press('KeyA');
        const [picture, screen] = await widths(player);
        return picture < screen ? true : undefined;
      });
      const link = await invite(player, SPECTATOR);
      await Tab.with({ browser, node, query: `?${FEW}&transport=${transport}${link.slice(link.indexOf('#'))}` }, async (viewer) => {
        await viewer.state('live');
        await pointedAt(viewer, player, 0.3, 0.6);
        await pointedAt(viewer, player, 0.2, 0.25);
        const [picture, screen] = await widths(viewer);
        assert.ok(picture < screen, `a picture of ${picture} across for a screen of ${screen}`);
      });
    });
    await node.sessionsToBe(0);
  });
}
