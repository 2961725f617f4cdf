// The built page in a real Chromium against a mock node whose media a second page sends: WebRTC, the
// worker, input, reconnecting and the states are all real. Needs `npm run build` first.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { startMock } from './mock-server.mjs';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const DEADLINE_MS = 30_000;

const mock = await startMock();
const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ['--headless=new', '--no-sandbox'] });
let failed = 0;

/** A page under test with its own mock peer; fails when the page breaks its content policy or throws. */
async function withPage(options, path, run) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, ...options });
  const peer = await context.newPage();
  await peer.goto(`${mock.url}mock-peer.html`);
  mock.hooks.answer = (sdp) => peer.evaluate((offer) => window.mock.answer(offer), sdp);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (/content security policy|violat/i.test(message.text())) complaints.push(message.text());
  });
  await page.goto(mock.url + path);
  const inputs = () => peer.evaluate(() => window.mock.inputs.splice(0));
  const until = (predicate, argument) => page.waitForFunction(predicate, argument, { timeout: DEADLINE_MS, polling: 50 });
  const state = (name) => until((wanted) => window.nearlight.state.name === wanted, name);
  try {
    await run({ page, peer, inputs, until, state });
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
    mock.seen.length = 0;
    Object.assign(mock.hooks, { answer: undefined, token: undefined, delay: 0, catalogueFails: false });
  }
}

async function test(name, run) {
  if (process.argv[2] !== undefined && !name.includes(process.argv[2])) return;
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}

/** Waits until the mock heard an input that `match` accepts, and returns all it heard until then. */
async function heardInput(inputs, match) {
  const all = [];
  const end = performance.now() + DEADLINE_MS;
  while (performance.now() < end) {
    all.push(...(await inputs()));
    if (all.some(match)) return all;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  assert.fail(`no such input; heard ${JSON.stringify(all.slice(-5))}`);
}

await test('one click plays, frames are reported by their RTP time, pings are answered', () =>
  withPage({}, '?barcode=1', async ({ page, peer, until, state }) => {
    await page.getByRole('button', { name: 'Play Courtyard' }).click();
    await state('live');
    await until(() => window.nearlight.framesPresented > 30);
    const seen = await page.evaluate(async () => ({
      presenter: window.nearlight.presenter, rtp: window.nearlight.lastRtp, size: window.nearlight.size,
      hello: window.nearlight.hello, times: window.nearlight.times, strips: await window.nearlight.takeStrips(), newest: await window.nearlight.readStrip(),
    }));
    assert.equal(seen.presenter, 'track-processor');
    assert.equal(typeof seen.rtp, 'number');
    assert.deepEqual(seen.size, { width: 1280, height: 720 });
    assert.equal(seen.hello.encoder, 'H.264 by x264enc');
    assert.ok(seen.strips.length > 20, `${seen.strips.length} strips`);
    const frames = seen.strips.map((strip) => strip.frame);
    assert.deepEqual(frames, [...frames].sort((a, b) => a - b));
    assert.ok(seen.newest.frame >= frames.at(-1));
    assert.ok(seen.times.askedUs < seen.times.sessionUs && seen.times.sessionUs < seen.times.answeredUs);
    assert.ok(seen.times.answeredUs < seen.times.firstDecodedUs && seen.times.firstDecodedUs <= seen.times.firstPresentedUs);
    const heard = await peer.evaluate(() => window.mock.heard);
    const reports = heard.filter((message) => message.type === 'frames').flatMap((message) => message.frames);
    assert.ok(reports.length > 20);
    for (const report of reports) assert.ok(report.decoded_us <= report.presented_us && Number.isInteger(report.presented_us));
    assert.ok(heard.some((message) => message.type === 'pong' && Number.isInteger(message.client_us)));
    assert.ok(heard.some((message) => message.type === 'visibility' && message.visible));
    console.log(`        click to first decoded frame ${((seen.times.firstDecodedUs - seen.times.askedUs) / 1000).toFixed(0)} ms (mock)`);
  }));

await test('keys, buttons and the wheel arrive, and everything is let go of', () =>
  withPage({}, '?play=demo&barcode=1', async ({ page, inputs, until, state }) => {
    await state('live');
    await page.keyboard.down('w');
    await page.keyboard.down('w');
    const pressed = await heardInput(inputs, ({ kind, bytes }) => kind === 1 && bytes[5] === 0x1a && bytes[7] === 1);
    const { seq } = pressed.find(({ kind }) => kind === 1);
    // The picture shows which input it is of.
    await until((number) => window.nearlight.readStrip().then((strip) => strip !== undefined && strip.input >= number), seq);
    await page.keyboard.up('w');
    const released = await heardInput(inputs, ({ kind, bytes }) => kind === 1 && bytes[7] === 0);
    assert.equal(released.filter(({ kind }) => kind === 1).length, 1, 'a repeat is not an event');

    await page.mouse.move(640, 360);
    await page.mouse.wheel(0, 100);
    const turned = await heardInput(inputs, ({ kind }) => kind === 5);
    const wheel = turned.find(({ kind }) => kind === 5);
    assert.deepEqual(wheel.bytes.slice(5), [0, 0, 120, 0]);
    const place = turned.filter(({ kind, channel }) => kind === 3 && channel === 'motion').at(-1);
    assert.deepEqual(place.bytes.slice(5), [0x00, 0x80, 0x00, 0x80]);

    await page.keyboard.down('a');
    await page.keyboard.press('Control+Alt+Shift+KeyM');
    const all = await heardInput(inputs, ({ kind }) => kind === 8);
    assert.equal(all.at(-1).kind, 8, 'nothing follows the release');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Leave');
  }));

await test('a click locks the pointer and motion comes as totals', () =>
  withPage({}, '?play=demo', async ({ page, inputs, until, state }) => {
    await state('live');
    await page.mouse.move(600, 300);
    await page.mouse.down();
    await page.mouse.up();
    await until(() => document.pointerLockElement !== null);
    await heardInput(inputs, ({ kind, bytes }) => kind === 2 && bytes[6] === 0);
    for (let step = 1; step <= 20; step += 1) await page.mouse.move(600 + step * 5, 300 - step * 2);
    // 100 pixels right and 40 up, in 1/16 pixel.
    const total = ({ bytes }) => [0, 4].map((at) => new DataView(new Uint8Array(bytes).buffer).getInt32(5 + at, true));
    await heardInput(inputs, (input) => input.kind === 4 && total(input)[0] === 1600 && total(input)[1] === -640);
    await page.evaluate(() => document.exitPointerLock());
    await heardInput(inputs, ({ kind }) => kind === 8);
  }));

await test('statistics open by shortcut and name every stage', () =>
  withPage({}, '?play=demo', async ({ page, until, state }) => {
    await state('live');
    await page.keyboard.press('Control+Alt+Shift+KeyS');
    const hud = page.getByRole('complementary', { name: 'Statistics' });
    await until(() => document.querySelectorAll('.legend tbody tr').length === 12);
    const text = await hud.innerText();
    for (const part of ['Network + jitter + decode', 'H.264 by x264enc', 'libnvidia-encode', '1120 × 630', '± 0.31 ms']) assert.ok(text.includes(part), part);
    await until(() => /buffer [\d.]+ ms, decode [\d.]+ ms, 0 lost/.test(document.querySelector('.facts').textContent));
    await page.keyboard.press('Control+Alt+Shift+KeyS');
    assert.equal(await hud.isVisible(), false);
  }));

await test('a broken connection is replaced within the same session', () =>
  withPage({}, '?play=demo', async ({ page, peer, inputs, until, state }) => {
    await state('live');
    await peer.evaluate(() => window.mock.drop());
    await state('reconnecting');
    await state('live');
    const before = await page.evaluate(() => window.nearlight.framesPresented);
    await until((count) => window.nearlight.framesPresented > count + 10, before);
    const posts = mock.seen.filter(({ method }) => method === 'POST').map(({ path }) => path);
    assert.deepEqual(posts, ['/api/v1/sessions', '/api/v1/sessions/mock-1/whep', '/api/v1/sessions/mock-1/whep'].map((path) => path.replace('mock-1', posts[1].split('/')[4])));
    await inputs();
    await page.keyboard.press('KeyD');
    await heardInput(inputs, ({ kind, bytes }) => kind === 1 && bytes[5] === 7);
  }));

await test('a session that is gone at the node ends with the node’s reason', () =>
  withPage({}, '?play=demo', async ({ page, peer, state }) => {
    await state('live');
    mock.hooks.answer = () => Promise.resolve(undefined);
    await peer.evaluate(() => window.mock.drop());
    await state('ended');
    assert.match(await page.locator('.panel').innerText(), /The session has ended[\s\S]*Nobody was there for 15 minutes\./);
  }));

await test('the node warns, ends the session, and it can be played again', () =>
  withPage({}, '?play=demo', async ({ page, peer, state }) => {
    await state('live');
    await peer.evaluate(() => window.mock.say({ type: 'warning', reason: 'Nobody is playing. The session ends in', in_ms: 60000 }));
    await page.getByRole('alert').filter({ hasText: 'Nobody is playing' }).waitFor();
    await peer.evaluate(() => window.mock.say({ type: 'ended', reason: 'no input for 15 minutes' }));
    await state('ended');
    await page.getByRole('button', { name: 'Play again' }).click();
    await state('live');
  }));

await test('leaving ends the session at the node; Back does too', () =>
  withPage({}, '', async ({ page, peer, state }) => {
    await page.getByRole('button', { name: 'Play Courtyard' }).click();
    await state('live');
    await page.keyboard.press('Control+Alt+Shift+KeyQ');
    await page.getByRole('heading', { name: 'Courtyard' }).waitFor();
    await peer.waitForFunction(() => window.mock.heard.some((message) => message.type === 'bye'));
    const first = mock.seen.find(({ method }) => method === 'DELETE');
    assert.match(first.authorization, /^Bearer token-\d+$/);
    await page.getByRole('button', { name: 'Play Courtyard' }).click();
    await state('live');
    await page.goBack();
    await page.getByRole('heading', { name: 'Courtyard' }).waitFor();
    assert.equal(mock.seen.filter(({ method }) => method === 'DELETE').length, 2);
  }));

await test('closing the tab ends the session', () =>
  withPage({}, '?play=demo', async ({ page, state }) => {
    await state('live');
    await page.goto('about:blank');
    const end = performance.now() + DEADLINE_MS;
    while (!mock.seen.some(({ method }) => method === 'DELETE')) {
      assert.ok(performance.now() < end, 'the session was not ended');
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }));

await test('a refusal says why', () =>
  withPage({}, '?play=full', async ({ page, state }) => {
    await state('refused');
    assert.match(await page.locator('.panel').innerText(), /No room right now[\s\S]*4 of 4 sessions are in use\./);
  }));

await test('a token comes by the fragment, leaves the address bar, or is asked for', async () => {
  await withPage({}, 'mock-peer.html', async ({ page, state }) => {
    mock.hooks.token = 's3cret';
    await page.goto(`${mock.url}?play=demo#token=s3cret`);
    await state('live');
    assert.equal(page.url(), `${mock.url}?play=demo`);
    await page.goto(`${mock.url}?play=demo&again`);
    await state('refused');
    await page.getByLabel('Access token').fill('s3cret');
    await page.getByRole('button', { name: 'Continue' }).click();
    await state('live');
  });
});

await test('where there is no track processor, a video element plays', () =>
  withPage({}, '?play=demo&barcode=1&presenter=video', async ({ page, until, state }) => {
    await state('live');
    await until(() => window.nearlight.framesPresented > 20);
    assert.equal(await page.evaluate(() => window.nearlight.presenter), 'video-element');
    assert.equal(typeof (await page.evaluate(() => window.nearlight.lastRtp)), 'number');
    assert.ok((await page.evaluate(() => window.nearlight.takeStrips())).length > 5);
  }));

await test('fingers move and look', () =>
  withPage({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, '?play=demo', async ({ page, inputs, state }) => {
    await state('live');
    const client = await page.context().newCDPSession(page);
    const touch = (type, ...points) => client.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([id, x, y]) => ({ id, x, y })) });
    await touch('touchStart', [1, 80, 600]);
    await touch('touchMove', [1, 80, 540]);
    await heardInput(inputs, ({ kind, bytes }) => kind === 1 && bytes[5] === 0x1a && bytes[7] === 1);
    await touch('touchEnd');
    await heardInput(inputs, ({ kind, bytes }) => kind === 1 && bytes[5] === 0x1a && bytes[7] === 0);
    await touch('touchStart', [2, 300, 400]);
    await touch('touchMove', [2, 320, 400]);
    await heardInput(inputs, ({ kind, bytes }) => kind === 4 && bytes[5] + bytes[6] * 256 === 20 * 2.5 * 16);
    await touch('touchEnd');
    await touch('touchStart', [3, 300, 400]);
    await touch('touchEnd');
    await heardInput(inputs, ({ kind, bytes }) => kind === 2 && bytes[6] === 0);
  }));

await browser.close();
mock.close();
if (failed > 0) process.exitCode = 1;
