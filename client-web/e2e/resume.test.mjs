// A page whose way to the node is cut, or that is loaded again, plays on: the same session, the same picture, by the same transport. How
// soon is for `make bench` to say. NEARLIGHT_RESUMES asks for more rounds than one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { HAPPENS } from './support/happens.mjs';
import { Node, until } from './support/node.mjs';
import { writeBlocks } from './support/scene.mjs';
import { alone, changed, gentle, launch, reached, Tab } from './support/tab.mjs';
import { Way } from './support/way.mjs';

const ROUNDS = Number(process.env.NEARLIGHT_RESUMES ?? 1);
/** Longer than either side takes for a pause, shorter than either waits; so short that nobody notices. */
const DOWN_MS = [4_000, 400];

let blocks, node, browser;
before(async () => {
  blocks = writeBlocks();
  // What is tested is that everybody comes back, and not how fast.
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]), 'sessions.reconnect': '5m', 'sessions.away': '5m' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

const names = { silence: 'nothing comes for a while', change: 'the network becomes another one', sleep: 'the machine sleeps', reload: 'it is loaded again' };
for (const transport of ['webrtc', 'webtransport', 'websocket']) {
  for (const [what, name] of Object.entries(names)) {
    test(`a page plays on by ${transport} after ${name}`, async () => {
      const way = await Way.to(node.url);
      const there = { url: way.url, log: () => node.log() };
      const prepare = async (context) => {
        await way.prepare(context);
        await alone(transport)(context);
      };
      try {
        await Tab.with({ browser, node: there, query: `?play=${blocks.id}&${gentle(transport)}`, prepare }, async (tab) => {
          await tab.playing();
          const small = await tab.picture();
          await tab.page.mouse.click(...(await tab.at(0.5, 0.5)));
          await tab.shown();
          await tab.pictureChanges(small, 0.05);
          const [{ id }] = await node.sessionsToBe(1);
          for (let round = 0; round < ROUNDS; round += 1) {
            const { frame } = await tab.strip();
            const down = DOWN_MS[round % DOWN_MS.length];
            await HAPPENS[what]({ way, page: tab.page }, down);
            await tab.hears();
            await tab.playing();
            await until('a picture', async () => (reached((await tab.strip())?.frame ?? frame, (frame + 1) & 0xffff) ? true : undefined));
            assert.ok(changed(small, await tab.picture()) > 0.05, 'the scene was not begun anew');
            assert.deepEqual((await node.sessions()).map((session) => session.id), [id]);
            assert.equal((await tab.page.evaluate(() => window.nearlight.transport)).kind, transport);
            // And it can be played.
            await tab.page.evaluate(() => { document.exitPointerLock(); });
            const sent = await tab.lastInput();
            // Again where the machine stood still for so long meanwhile that the path broke once more.
            await until('a key in the picture', async () => {
              await tab.page.keyboard.press(round % 2 === 0 ? 'KeyD' : 'KeyA');
              const strip = await tab.strip();
              return strip !== undefined && reached(strip.input, (sent + 1) & 0xffff) ? true : undefined;
            });
          }
          await tab.page.keyboard.press('Control+Alt+Shift+KeyQ');
          await node.sessionsToBe(0);
        });
      } finally {
        way.close();
      }
    });
  }
}
