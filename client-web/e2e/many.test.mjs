// A hundred sessions in a row, each played in the browser until its first picture, leave nothing on the node: no thread,
// no descriptor, no buffer or texture on the graphics device.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { writeBlocks } from './support/scene.mjs';
import { GENTLE, launch, Tab } from './support/tab.mjs';

const SESSIONS = 100;
/** Sessions that fill what stays for good: pools of threads, the encoder's plugin, the device's blocks. */
const WARMING = 4;

let blocks, node, browser;
before(async () => {
  blocks = writeBlocks();
  // One place: a session that did not give its place back would refuse the next.
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]), 'sessions.max': '1' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

async function play(number) {
  await Tab.with({ browser, node, query: `?play=${blocks.id}&${GENTLE}` }, async (tab) => {
    await tab.playing();
    // Every other one is left by its button, the others by closing the tab.
    if (number % 2 === 0) {
      await tab.page.keyboard.press('Control+Alt+Shift+KeyQ');
      await node.sessionsToBe(0);
    }
  });
  await node.sessionsToBe(0);
}

async function held() {
  // Asked first, so that the descriptor of its own connection counts both times.
  const allocations = await node.metric('nearlight_gpu_allocations');
  const bytes = await node.metric('nearlight_gpu_memory_bytes');
  return { ...node.footprint(), allocations, bytes };
}

test('a hundred sessions in a row leave no thread, descriptor or graphics memory', async () => {
  for (let number = 0; number < WARMING; number += 1) await play(number);
  // The runtime's idle threads go after ten seconds; what is still there is there for good.
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  const first = await held();
  assert.ok(first.allocations > 0, 'the device tells what it holds');
  for (let number = 0; number < SESSIONS; number += 1) await play(number);
  let last;
  const settled = async () => {
    last = await held();
    return Object.keys(first).every((what) => last[what] <= first[what]) ? true : undefined;
  };
  await until('everything to be given back', settled).catch((error) => {
    throw new Error(`${error.message}: first ${JSON.stringify(first)}, now ${JSON.stringify(last)}`, { cause: error });
  });
  assert.equal(await node.metric('nearlight_sessions_started_total'), SESSIONS + WARMING);
});
