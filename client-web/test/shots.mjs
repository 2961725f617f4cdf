// Screenshots of every state, against the mock node, to look at: `npm run shots [folder]`. Sizes and
// colour schemes that people have.
import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { startMock } from './mock-server.mjs';

const folder = process.argv[2] ?? 'shots';
await mkdir(folder, { recursive: true });
const mock = await startMock();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  // Any name is this machine: a page from another machine is not a secure context.
  args: ['--headless=new', '--no-sandbox', '--host-resolver-rules=MAP node.example 127.0.0.1'],
});

const DEVICES = {
  wide: { viewport: { width: 1280, height: 720 } },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
};

for (const [device, options] of Object.entries(DEVICES)) {
  for (const colorScheme of ['light', 'dark']) {
    const context = await browser.newContext({ ...options, colorScheme });
    const peer = await context.newPage();
    await peer.goto(`${mock.url}mock-peer.html`);
    const answer = (sdp) => peer.evaluate((offer) => window.mock.answer(offer), sdp);
    const page = await context.newPage();
    const state = (name) => page.waitForFunction((wanted) => window.nearlight.state.name === wanted, name);
    const shot = async (name, fullPage = false) => {
      await page.screenshot({ path: `${folder}/${device}-${colorScheme}-${name}.png`, fullPage });
    };

    await page.goto(mock.url);
    await page.locator('.poster.loaded').first().waitFor();
    await page.waitForTimeout(300);
    await shot('catalogue');
    await shot('catalogue-whole', true);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await shot('catalogue-focus');

    mock.hooks.catalogueFails = true;
    await page.goto(mock.url);
    await page.getByRole('alert').waitFor();
    await shot('catalogue-failed');
    mock.hooks.catalogueFails = false;

    await page.goto(mock.url.replace('127.0.0.1', 'node.example'));
    await page.locator('.poster.loaded').first().waitFor();
    await page.waitForTimeout(300);
    await shot('insecure');

    mock.hooks.delay = 3_000;
    await page.goto(`${mock.url}?play=demo`);
    await state('connecting');
    await page.waitForTimeout(500);
    await shot('connecting');
    mock.hooks.delay = 0;

    await page.goto(`${mock.url}?play=full`);
    await state('refused');
    await page.waitForTimeout(200);
    await shot('refused');

    mock.hooks.token = 'x';
    await page.goto(`${mock.url}?play=demo`);
    await state('refused');
    await shot('token');
    mock.hooks.token = undefined;

    mock.hooks.answer = answer;
    await page.goto(`${mock.url}?play=demo`);
    await state('live');
    await page.waitForTimeout(1_200);
    await shot('live');
    await page.keyboard.press('Control+Alt+Shift+KeyS');
    await page.waitForTimeout(9_000);
    await shot('statistics');
    await peer.evaluate(() => window.mock.say({ type: 'warning', reason: 'Nobody is playing. The session ends in', in_ms: 60000 }));
    await page.waitForTimeout(300);
    await shot('warning');
    await page.keyboard.press('Control+Alt+Shift+KeyM');
    await page.waitForTimeout(300);
    await shot('menu');
    mock.hooks.answer = () => new Promise(() => undefined);
    await peer.evaluate(() => window.mock.drop());
    await state('reconnecting');
    await page.waitForTimeout(300);
    await shot('reconnecting');

    mock.hooks.answer = answer;
    await page.goto(`${mock.url}?play=demo`);
    await state('live');
    await page.waitForTimeout(500);
    await peer.evaluate(() => window.mock.say({ type: 'ended', reason: 'no input for 15 minutes' }));
    await state('ended');
    await page.waitForTimeout(200);
    await shot('ended');
    await context.close();
  }
}
await browser.close();
mock.close();
