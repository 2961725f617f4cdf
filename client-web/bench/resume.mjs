// How soon there is a picture again after the network is, or after the page is loaded again.
import { HAPPENS } from '../e2e/support/happens.mjs';
import { Way } from '../e2e/support/way.mjs';

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** When the first picture after `since` was decoded; both in milliseconds of the system's clock, which the page shares. */
const decodedAfter = (page, since) => page.evaluate(async (micros) => {
  for (;;) {
    const strips = (await window.nearlight?.takeStrips()) ?? [];
    const found = strips.find(({ decodedAtUs }) => decodedAtUs > micros);
    if (found !== undefined) return found.decodedAtUs / 1000;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}, since * 1000);

/** Lets `what` happen `count` times to the page at `url`, which shows the strip; yields milliseconds until the picture. */
export async function resumes({ newPage, waitUntilLive }, { url, what, count, down }) {
  const way = await Way.to(url);
  const page = await newPage();
  try {
    await way.prepare(page.context());
    await page.goto(way.url);
    await waitUntilLive(page);
    const taken = [];
    for (let i = 0; i < count; i += 1) {
      // The rate controller and both ends' timers come to rest.
      await pause(1_500 + Math.random() * 500);
      const mended = await HAPPENS[what]({ way, page }, down);
      taken.push((await decodedAfter(page, mended)) - mended);
      await waitUntilLive(page);
    }
    const { kind } = await page.evaluate(() => window.nearlight.transport);
    return { taken, kind };
  } finally {
    await page.keyboard.press('Control+Alt+Shift+KeyQ').catch(() => undefined);
    await page.context().close();
    way.close();
  }
}
