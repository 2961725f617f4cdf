// What a player sees and does: choose, play, walk, look, click.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { point } from './support/pointer.mjs';
import { writeBlocks } from './support/scene.mjs';
import { alone, changed, gentle, GENTLE, launch, PATIENT, reached, Tab } from './support/tab.mjs';

let blocks, node, browser;
before(async () => {
  blocks = writeBlocks();
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]) });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

for (const transport of ['webrtc', 'webtransport', 'websocket']) describe(`over ${transport}`, () => {
  const demo = (use) => Tab.with({ browser, node, query: `?play=demo&${gentle(transport)}&${PATIENT}` }, use);
  const still = (use) => Tab.with({ browser, node, query: `?play=${blocks.id}&${gentle(transport)}&${PATIENT}` }, use);

  test('the catalogue shows what can be played, and one click plays it', () =>
    Tab.with({ browser, node, query: `?${gentle(transport)}&${PATIENT}`, prepare: alone(transport) }, async (tab) => {
      const { entries } = await (await node.fetch('api/v1/catalogue')).json();
      // The demo, the folder, the sync test.
      assert.equal(entries.length, 3);
      for (const { title } of entries) await tab.page.getByRole('heading', { name: title }).waitFor();
      await tab.until(() => [...document.querySelectorAll('.poster')].every((poster) => poster.classList.contains('loaded')));

      await tab.page.evaluate(() => {
        window.addEventListener('click', (event) => { window.clickedUs = (performance.timeOrigin + event.timeStamp) * 1000; }, { capture: true });
      });
      await tab.page.getByRole('button', { name: `Play ${entries[0].title}` }).click();
      await tab.playing();
      assert.match(tab.page.url(), /[?&]play=demo/);
      assert.deepEqual(await tab.page.evaluate(() => [window.nearlight.transport.kind, window.nearlight.presenter]), [transport, 'track-processor']);
      const first = await tab.presented();
      await tab.frames(10);
      await tab.until((count) => window.nearlight.framesPresented >= count + 5, first);
      // A busy machine shows fewer pictures than are sent.
      const strips = [];
      await until('ten pictures', async () => {
        strips.push(...(await tab.page.evaluate(() => window.nearlight.takeStrips())));
        return strips.length >= 10 ? true : undefined;
      });
      for (const [index, { frame }] of strips.entries()) {
        if (index > 0) assert.ok(frame > strips[index - 1].frame, `frame ${frame} after ${strips[index - 1].frame}`);
      }
      const seen = await tab.page.evaluate(() => ({ size: window.nearlight.size, hello: window.nearlight.hello, times: window.nearlight.times }));
      assert.deepEqual(seen.size, { width: 640, height: 360 });
      const { encoders, device } = await (await node.fetch('api/v1/node')).json();
      assert.equal(seen.hello.device, device);
      // The node's own choice is for a larger picture.
      const used = encoders.find(({ name }) => name === seen.hello.encoder);
      assert.equal(used?.codec, 'H264');
      assert.ok(used.us_per_megapixel > 0, 'it works, as the node found out');
      const clicked = await tab.page.evaluate(() => window.clickedUs);
      assert.ok(Math.abs(seen.times.askedUs - clicked) <= 1, `a start counts from the click: ${seen.times.askedUs}, not ${clicked}`);
      const order = ['askedUs', 'sessionUs', 'answeredUs', 'trackUs', 'firstDecodedUs', 'firstPresentedUs'].map((name) => seen.times[name]);
      assert.ok(order.every((at, index) => index === 0 || at >= order[index - 1]), `not in order: ${order}`);
      const [shades] = [new Set((await tab.picture()).map((value) => Math.round(value / 8)))];
      assert.ok(shades.size > 8, 'the picture is not a flat field');
    }));

  test('holding W walks, and the picture says which key press it shows', () =>
    still(async (tab) => {
      await tab.playing();
      const start = await tab.picture();
      await tab.page.keyboard.down('w');
      const pressed = await tab.shown();
      await tab.pictureChanges(start, 0.05, 'w');
      await tab.page.keyboard.up('w');
      assert.ok((await tab.shown()) > pressed, 'letting go is an event of its own');
      const kinds = await tab.inputs();
      assert.equal(kinds.filter((kind) => kind === 'key').length, 2, 'a held key is pressed once');
    }));

  test('the wheel arrives, a notch at a time', () =>
    demo(async (tab) => {
      await tab.playing();
      await tab.page.mouse.move(...(await tab.at(0.5, 0.5)));
      await tab.shown(() => point(tab, 0.5, 0.5));
      await tab.inputs();
      await tab.page.mouse.wheel(0, -100);
      const sent = [];
      await until('the wheel to be sent', async () => {
        sent.push(...await tab.inputs());
        return sent.includes('wheel') ? true : undefined;
      });
      await tab.shown();
      sent.push(...await tab.inputs());
      // Where the mouse rests is said once more.
      assert.deepEqual(sent.filter((kind) => kind !== 'absolute'), ['wheel']);
    }));

  test('a picture that does not change costs nothing, and a key press changes it', () =>
    still(async (tab) => {
      await tab.playing();
      const first = await tab.rests();
      const before = await tab.picture();
      await tab.unchanged(90);
      // Also none for the keyframes that Chromium asks for whenever no picture came for three seconds.
      assert.equal((await tab.strip()).frame, first, 'nothing was encoded meanwhile');
      assert.ok(changed(before, await tab.picture()) === 0, 'the picture stands still');
      await tab.page.keyboard.down('d');
      const pressed = await tab.shown();
      await tab.pictureChanges(before, 0.05, 'd');
      await tab.page.keyboard.up('d');
      await tab.shown();
      assert.ok(reached((await tab.strip()).input, pressed));
      // The camera glides a little, then nothing is encoded any more.
      await tab.rests();
    }));

  test('a click captures the mouse, and moving it turns the camera', () =>
    still(async (tab) => {
      await tab.playing();
      const [x, y] = await tab.at(0.02, 0.9);
      await tab.page.mouse.move(x, y);
      await tab.page.mouse.down();
      await tab.page.mouse.up();
      await tab.until(() => document.pointerLockElement !== null);
      await tab.shown();
      const before = await tab.picture();
      for (let step = 1; step <= 10; step += 1) await tab.page.mouse.move(x + step * 15, y);
      await tab.shown(async () => { for (const step of [9, 10]) await tab.page.mouse.move(x + step * 15, y); });
      await tab.pictureChanges(before, 0.05);
      const kinds = await tab.inputs();
      assert.ok(kinds.includes('relative'), `sent: ${kinds}`);
      await tab.page.evaluate(() => { document.exitPointerLock(); });
      await tab.until(() => window.nearlight.lastInput > 0 && document.pointerLockElement === null);
    }));

  test('a click starts what stands at that place, also while the mouse is being captured', () =>
    still(async (tab) => {
      await tab.playing();
      const before = await tab.picture();
      const [x, y] = await tab.at(0.5, 0.5);
      await tab.page.mouse.move(x, y);
      await tab.page.mouse.down();
      // A person holds the button for longer than the browser needs to lock the pointer.
      await tab.until(() => document.pointerLockElement !== null);
      await tab.page.mouse.up();
      await tab.shown();
      await tab.pictureChanges(before, 0.1);
    }));

  test('a click on the orrery makes it flash', (t) =>
    demo(async (tab) => {
      await tab.playing();
      // Brightness of the picture's middle, where the orrery hangs, looked at more often than frames come.
      await tab.page.evaluate(() => {
        const context = Object.assign(document.createElement('canvas'), { width: 22, height: 20 }).getContext('2d', { willReadFrequently: true });
        window.brightness = { most: 0, least: 255 };
        window.setInterval(() => {
          const source = document.querySelector('.surface canvas');
          context.drawImage(source, source.width * 0.35, source.height * 0.2, source.width * 0.27, source.height * 0.45, 0, 0, 22, 20);
          const { data } = context.getImageData(0, 0, 22, 20);
          const mean = data.filter((_, at) => at % 4 === 1).reduce((sum, value) => sum + value, 0) / 440;
          window.brightness.most = Math.max(window.brightness.most, mean);
          window.brightness.least = Math.min(window.brightness.least, mean);
        }, 20);
      });
      const watch = async () => {
        await tab.page.evaluate(() => { window.brightness = { most: 0, least: 255 }; });
        await tab.frames(12);
        return tab.page.evaluate(() => window.brightness);
      };
      const idle = await watch();
      const [x, y] = await tab.at(0.48, 0.42);
      // A flash lasts 0.6 s: on a machine that draws slower than that it may fall between two frames.
      const lit = await until('a flash', async () => {
        await tab.page.mouse.click(x, y);
        const { most } = await watch();
        await tab.page.evaluate(() => { document.exitPointerLock(); });
        return most > idle.most + Math.max(4, idle.most - idle.least) ? most : undefined;
      }).catch((error) => { throw new Error(`${error.message}; the idle range is ${JSON.stringify(idle)}`, { cause: error }); });
      t.diagnostic(`the brightest was ${lit.toFixed(1)}, after ${idle.most.toFixed(1)} without a click`);
    }));
});

test('a browser without a track processor plays in a video element', () =>
  Tab.with({ browser, node, query: `?play=${blocks.id}&presenter=video&${GENTLE}&${PATIENT}` }, async (tab) => {
    await tab.playing();
    assert.equal(await tab.page.evaluate(() => window.nearlight.presenter), 'video-element');
    const before = await tab.picture();
    await tab.page.keyboard.down('w');
    await tab.shown();
    await tab.pictureChanges(before, 0.05, 'w');
    await tab.page.keyboard.up('w');
  }));
