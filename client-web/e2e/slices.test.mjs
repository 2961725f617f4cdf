// Slices that leave the node one by one while NVENC codes the rest of their picture, by doubles of NVIDIA's driver: the
// browser decodes what they make up, by either transport.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { fakeDriver } from './support/nvidia.mjs';
import { alone, gentle, launch, PATIENT, Tab } from './support/tab.mjs';

let state, driver, node, browser;
before(async () => {
  state = mkdtempSync(join(tmpdir(), 'nearlight-slices-'));
  driver = fakeDriver();
  node = await Node.start({
    'video.encoder': 'nvenc-h264',
    'video.nvenc_slices': '4',
    // A slow machine gives up no picture.
    'webtransport.frame_deadline': '5s',
    'server.state_dir': state,
    'log.filter': 'info,nearlight::frame=trace',
  }, driver.environment);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  driver?.remove();
  rmSync(state, { recursive: true, force: true });
});

/** Counters of the session, once so many frames were encoded. */
const counted = (least) => until(`${least} frames to be counted`, async () => {
  const [{ frames }] = await node.sessions();
  return frames.encoded >= least ? frames : undefined;
});

for (const transport of ['webrtc', 'webtransport']) {
  test(`pictures whose slices leave one by one are decoded, by ${transport}`, async () => {
    const before = node.traced('nearlight::frame').length;
    await Tab.with({ browser, node, query: `?play=demo&${gentle(transport)}&${PATIENT}`, prepare: alone(transport) }, async (tab) => {
      await tab.playing();
      await tab.frames(10);
      // A browser that waited long for the first picture may have asked for another.
      const { encoded, keyframes } = await counted(10);
      await tab.frames(30);
      const { kind, reason } = await tab.page.evaluate(() => window.nearlight.transport);
      assert.equal(kind, transport, reason);
      assert.equal(await tab.page.evaluate(() => window.nearlight.hello.encoder), 'nvenc-h264');
      const strips = await tab.page.evaluate(() => window.nearlight.takeStrips());
      for (const [index, { frame }] of strips.entries()) {
        if (index > 0) assert.ok(frame > strips[index - 1].frame, `frame ${frame} after ${strips[index - 1].frame}`);
      }
      // The first packet was under way before the picture was coded.
      await until('a frame that left before it was whole', async () =>
        node.traced('nearlight::frame').slice(before).find(({ first_sent_ns: first, encoded_ns: encoded }) => first < encoded));
      const later = await counted(encoded + 30);
      // Were what the slices make up not decodable, each picture would cost one. A browser that has no time for a while asks for one.
      assert.ok(later.keyframes - keyframes <= 3, `${later.keyframes - keyframes} keyframes: something had to be made good`);
    });
  });
}
