// A page that says far more than any has to say loses its session and is told why, whatever carries it; who plays beside it
// plays on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { alone, GENTLE, gentle, launch, Tab } from './support/tab.mjs';

/** What the node takes at once, and ten times what it would take besides while a slow machine sends them. */
const MESSAGES = 10_000;
const WHY = "The player's client sent far more than a session takes.";

let node, browser;
before(async () => {
  node = await Node.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

/** The page is hidden and seen again, over and over, and says so each time. */
const flood = (count) => {
  let visibility = 'visible';
  Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => visibility });
  for (let said = 0; said < count; said += 1) {
    visibility = said % 2 === 0 ? 'hidden' : 'visible';
    document.dispatchEvent(new window.Event('visibilitychange'));
  }
};

const floods = () => node.metric('nearlight_floods_total');

for (const transport of ['webrtc', 'webtransport', 'websocket']) {
  test(`whoever floods by ${transport} is told why it is over, and nobody else notices`, () =>
    Tab.with({ browser, node, query: `?play=demo&${GENTLE}` }, async (witness) => {
      await witness.playing();
      const before = await floods();
      await Tab.with({ browser, node, query: `?play=demo&${gentle(transport)}`, prepare: alone(transport) }, async (tab) => {
        await tab.playing();
        assert.equal((await tab.transport()).kind, transport);
        await tab.page.evaluate(flood, MESSAGES);
        await tab.state('ended');
        assert.deepEqual(await tab.page.evaluate(() => window.nearlight.state), { name: 'ended', reason: 'by-node', detail: WHY });
        await tab.page.getByText(WHY, { exact: true }).waitFor();
        await until('it to be counted', async () => ((await floods()) === before + 1 ? true : undefined));
      });
      await witness.frames(5);
      await node.sessionsToBe(1);
    }));
}
