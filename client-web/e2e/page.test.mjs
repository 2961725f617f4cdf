// The page itself: by keyboard alone, by screen reader, on a phone, over plain HTTP, and how heavy it is.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Node, until } from './support/node.mjs';
import { writeBlocks } from './support/scene.mjs';
import { GENTLE, launch, PATIENT, Tab } from './support/tab.mjs';

/** Bytes of the whole page, compressed. */
const BUDGET = 150_000;
const ELSEWHERE = '192.0.2.1';

let blocks, node, browser, title;
before(async () => {
  blocks = writeBlocks();
  // Forbidden, the best encoder is not in use on any machine, and the statistics have a reason to show.
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]), 'video.forbid_encoders': '["nvenc-h264"]' });
  const { entries } = await (await node.fetch('api/v1/catalogue')).json();
  ({ title } = entries.find(({ id }) => id === blocks.id));
  // An address that is nobody's (RFC 5737): for a browser, a page of another machine.
  browser = await launch([`--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`]);
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

/** The button of the scene that moves only when somebody does something. */
const playStill = (page) => page.getByRole('button', { name: `Play ${title}`, exact: true });

/** Roles that somebody can do something with; each needs a name. */
const USABLE = new Set(['button', 'link', 'textbox', 'checkbox', 'application', 'toolbar', 'complementary', 'region', 'table']);

/** What assistive technology finds: role and name of everything that is not ignored. */
async function tree(tab) {
  const cdp = await tab.context.newCDPSession(tab.page);
  const { nodes } = await cdp.send('Accessibility.getFullAXTree');
  await cdp.detach();
  return nodes.filter(({ ignored }) => !ignored).map(({ role, name }) => ({ role: role?.value, name: (name?.value ?? '').trim() }));
}

async function allNamed(tab, ...expected) {
  const found = await tree(tab);
  const nameless = found.filter(({ role, name }) => USABLE.has(role) && name === '');
  assert.deepEqual(nameless, []);
  for (const [role, name] of expected) {
    assert.ok(found.some((each) => each.role === role && name.test(each.name)), `no ${role} called ${name} among ${JSON.stringify(found.filter((each) => each.role === role))}`);
  }
}

test('the keyboard alone chooses, plays, opens the menu and leaves', () =>
  Tab.with({ browser, node, query: `?${GENTLE}&${PATIENT}` }, async (tab) => {
    const { page } = tab;
    await playStill(page).waitFor();
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
    let name;
    for (let presses = 0; presses < 10; presses += 1) {
      await page.keyboard.press('Tab');
      name = await focused();
      if (name === `Play ${title}`) break;
    }
    assert.equal(name, `Play ${title}`);
    assert.ok(await page.evaluate(() => document.activeElement.matches(':focus-visible')), 'the focus can be seen');
    await page.keyboard.press('Enter');
    await tab.playing();
    assert.match(await focused(), /^Picture of /);
    const before = await tab.picture();
    await page.keyboard.down('ArrowUp');
    await tab.shown();
    await tab.pictureChanges(before, 0.05, 'ArrowUp');
    await page.keyboard.up('ArrowUp');
    assert.ok(await page.evaluate(() => document.activeElement.matches(':focus-visible')), 'the focus on the picture can be seen');
    assert.match(await page.locator('.hint').innerText(), /Ctrl\+Alt\+Shift\+M opens the menu/, 'the way out can be seen');
    await page.keyboard.press('Control+Alt+Shift+KeyM');
    const row = () => page.evaluate(() => document.activeElement.textContent);
    assert.equal(await row(), 'Back to the picture');
    await page.keyboard.press('Escape');
    assert.match(await focused(), /^Picture of /);
    await page.keyboard.press('Control+Alt+Shift+KeyM');
    // Up and down go through what there is, left and right through what one may be.
    await page.keyboard.press('ArrowDown');
    assert.equal(await row(), 'PictureAs large as the window');
    await page.keyboard.press('ArrowRight');
    assert.equal(await row(), 'PicturePixel by pixel');
    const scale = () => page.evaluate(() => document.querySelector('.surface canvas').getBoundingClientRect().width / window.nearlight.size.width);
    assert.equal(await scale(), 1);
    await page.keyboard.press('ArrowLeft');
    assert.ok((await scale()) > 1);
    await until('the row of the bit rate', async () => {
      if ((await row()).startsWith('Bit rate')) return true;
      await page.keyboard.press('ArrowDown');
      return undefined;
    });
    assert.equal(await row(), 'Bit rateNo limit');
    const limited = (kbps) => until(`a limit of ${kbps} kbit/s`, () => (node.records('quality').at(-1)?.fields.kbps === kbps ? true : undefined));
    await page.keyboard.press('ArrowLeft');
    assert.equal(await row(), 'Bit rate2 Mbit/s');
    await limited(2_000);
    await tab.until(() => window.nearlight.stats?.target_kbps <= 2_000);
    await page.keyboard.press('Enter');
    assert.equal(await row(), 'Bit rateNo limit');
    // How much more is sent then is the path's matter: a busy machine's may seem to take no more than that.
    await limited(await page.evaluate(() => window.nearlight.hello.video.max_kbps));
    await page.keyboard.press('End');
    assert.equal(await row(), 'Leave');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Play', exact: true }).waitFor();
    await node.sessionsToBe(0);
  }));

test('full screen gives every key to the session, and says how to leave', () =>
  Tab.with({ browser, node, query: `?play=demo&${GENTLE}&${PATIENT}` }, async (tab) => {
    const { page } = tab;
    const full = () => page.evaluate(() => document.fullscreenElement?.className ?? 'none');
    await tab.playing();
    await page.keyboard.press('Control+Alt+Shift+KeyF');
    await page.getByText('Hold Esc to leave full screen. Ctrl+Alt+Shift+M opens the menu').waitFor();
    assert.match(await full(), /player/);
    assert.equal(await page.getByRole('button', { name: 'Full screen' }).getAttribute('aria-pressed'), 'true');
    await tab.inputs();
    // Together: an Esc that is held while a machine stands still leaves full screen.
    const cdp = await tab.context.newCDPSession(page);
    for (const [key, number] of [['Escape', 27], ['Tab', 9]]) {
      await Promise.all(['rawKeyDown', 'keyUp'].map((type) => cdp.send('Input.dispatchKeyEvent', { type, code: key, key, windowsVirtualKeyCode: number })));
    }
    await tab.shown();
    assert.deepEqual(await tab.inputs(), ['key', 'key', 'key', 'key']);
    assert.match(await full(), /player/);
    await page.mouse.click(...(await tab.at(0.02, 0.9)));
    await page.getByText('Ctrl+Alt+Shift+M frees the mouse').waitFor();
    await page.keyboard.press('Control+Alt+Shift+KeyM');
    await tab.until(() => document.pointerLockElement === null);
    await tab.press(page.getByRole('button', { name: 'Full screen' }));
    await page.getByRole('button', { name: 'Full screen', pressed: false }).waitFor();
    assert.equal(await full(), 'none');
  }));

test('a browser that keeps some keys to itself in full screen is not said to hand them on', () => {
  const prepare = (context) => context.addInitScript(() => {
    window.navigator.keyboard.lock = () => Promise.reject(new window.DOMException('not here', 'InvalidAccessError'));
  });
  return Tab.with({ browser, node, query: `?play=${blocks.id}&${GENTLE}&${PATIENT}`, prepare }, async (tab) => {
    await tab.playing();
    await tab.page.keyboard.press('Control+Alt+Shift+KeyF');
    await tab.page.getByText('Press Esc to leave full screen.').waitFor();
    await tab.page.mouse.click(...(await tab.at(0.02, 0.9)));
    await tab.page.getByText('Press Esc to free the mouse').waitFor();
  });
});

test('everything that can be used has a name, in the catalogue, in play and at the end', () =>
  Tab.with({ browser, node, query: `?${GENTLE}&${PATIENT}` }, async (tab) => {
    const { page } = tab;
    await page.getByRole('button', { name: /^Play Nearlight/ }).waitFor();
    await allNamed(tab, ['button', /^Play Nearlight/], ['heading', /^Play$/], ['link', /Nearlight/]);
    await page.getByRole('button', { name: /^Play Nearlight/ }).click();
    await tab.playing();
    await page.keyboard.press('Control+Alt+Shift+KeyS');
    await tab.until(() => document.querySelectorAll('.legend tbody tr').length > 0);
    await allNamed(tab, ['application', /^Picture of /], ['toolbar', /^Session$/], ['button', /^Leave$/], ['button', /^Statistics$/], ['button', /^Capture mouse$/], ['button', /^Type text$/], ['complementary', /^Statistics$/]);
    assert.equal(await page.getByRole('status').innerText(), await page.evaluate(() => `Playing ${document.title.split(' – ')[0]}`));
    const [session] = await node.sessionsToBe(1);
    await node.end(session);
    await tab.state('ended');
    await allNamed(tab, ['button', /^Play again$/], ['button', /^Back to the catalogue$/], ['heading', /^The session has ended$/]);
  }));

test('statistics show every stage, the encoder and why it was chosen', () =>
  Tab.with({ browser, node, query: `?play=demo&${GENTLE}&${PATIENT}` }, async (tab) => {
    await tab.playing();
    await tab.page.keyboard.press('Control+Alt+Shift+KeyS');
    const stages = ['Capture', 'Draw', 'Convert', 'Encode', 'Queue', 'Packetise', 'Send', 'Network + jitter + decode', 'Present'];
    await tab.until((wanted) => {
      const shown = [...document.querySelectorAll('.legend tbody th')].map((cell) => cell.textContent);
      return wanted.every((stage) => shown.includes(stage));
    }, stages);
    // Clock and round trip are known once pings came back; averages once the browser was asked.
    await tab.until(() => /± [\d.]+ ms/.test(document.querySelector('.facts').textContent) && /decode [\d.]+ ms/.test(document.querySelector('.facts').textContent));
    const declined = tab.page.locator('.declined');
    const reasons = declined.getByRole('list', { name: 'Encoders not in use, and why' });
    // In a few words, and all of them when they are asked for; the keyboard does as well.
    assert.match(await declined.innerText(), /^Not in use: /);
    assert.equal(await reasons.isVisible(), false);
    await declined.locator('summary').press('Enter');
    assert.equal(await reasons.isVisible(), true);
    assert.match(await reasons.innerText(), /^nvenc-h264: forbidden by configuration: video\.forbid_encoders names it$/m);
    // Of a second in which nothing was shown there is no whole.
    const seen = await until('a whole', () => tab.page.evaluate(() => {
      const { stats, hello } = window.nearlight;
      return stats.total === undefined ? undefined : { stats, hello, text: document.querySelector('.hud').innerText };
    }));
    for (const part of [seen.hello.encoder, seen.hello.device, '640 × 360', ...seen.hello.declined]) assert.ok(seen.text.includes(part), `${part} in ${seen.text}`);
    const { stages: measured, total } = seen.stats;
    assert.ok(measured.every(({ ms }) => ms.p50 >= 0 && ms.p50 <= ms.p95 && ms.p95 <= ms.p99), JSON.stringify(measured));
    assert.ok(total.p50 > 0);
    // One frame that waited for long makes the scale of half a minute, on which the others are thin: not so in a tall graph.
    await tab.page.evaluate(() => { document.querySelector('canvas.graph').style.height = '2000px'; });
    // Stages that are a few pixels high; thinner ones have blurred edges only.
    const look = () => tab.page.evaluate(() => {
      const canvas = document.querySelector('canvas.graph');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const drawn = new Set(new Uint32Array(data.buffer));
      const whole = window.nearlight.stats.stages.reduce((sum, { ms }) => sum + ms.p50, 0);
      const swatches = [...document.querySelectorAll('.legend .swatch')];
      return window.nearlight.stats.stages.flatMap(({ stage, ms }, index) => {
        const colour = window.getComputedStyle(swatches[index]).backgroundColor;
        const [red, green, blue] = colour.match(/\d+/g).map(Number);
        return ms.p50 < whole / 5 ? [] : [{ stage, colour, drawn: drawn.has((0xff << 24 | blue << 16 | green << 8 | red) >>> 0) }];
      });
    });
    // It is drawn some time after the figures came that it shows.
    let graph;
    await until('every stage in the graph', async () => {
      graph = await look();
      return graph.length > 0 && graph.every(({ drawn }) => drawn) ? true : undefined;
    }).catch((error) => { throw new Error(`${error.message}; it has ${JSON.stringify(graph)}`, { cause: error }); });
    await tab.page.keyboard.press('Control+Alt+Shift+KeyS');
    assert.equal(await tab.page.getByRole('complementary', { name: 'Statistics' }).isVisible(), false);
  }));

/** What is seen and reaches over an edge of the window: sideways, and in the player, which does not scroll, up and down. */
function stickingOut() {
  const [width, height] = [window.innerWidth, document.querySelector('.player') === null ? Infinity : window.innerHeight];
  return [...document.querySelectorAll('#app *')].flatMap((element) => {
    const { left, top, right, bottom } = element.getBoundingClientRect();
    const seen = element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && right > left && bottom > top;
    // What scrolls in a box of its own may reach over the box.
    if (!seen || element.closest('svg, .hud > *') !== null) return [];
    const out = left < -0.5 || right > width + 0.5 || bottom > height + 0.5 || (height < Infinity && top < -0.5);
    return out ? [`${element.tagName} .${element.className}: ${[left, top, right, bottom].map(Math.round)}`] : [];
  });
}

test('a phone plays: nothing sticks out, a thumb walks, the other looks', () => {
  const options = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
  return Tab.with({ browser, node, query: `?${GENTLE}&${PATIENT}`, options }, async (tab) => {
    const { page } = tab;
    await playStill(page).waitFor();
    assert.deepEqual(await page.evaluate(stickingOut), [], 'the catalogue fits');
    await playStill(page).tap();
    await tab.playing();
    assert.deepEqual(await page.evaluate(stickingOut), [], 'the player fits');
    await tab.press(page.getByRole('button', { name: 'Statistics' }), 'tap');
    await tab.until(() => document.querySelectorAll('.legend tbody tr').length > 0);
    assert.deepEqual(await page.evaluate(stickingOut), [], 'the statistics fit');
    await tab.press(page.getByRole('button', { name: 'Statistics' }), 'tap');
    const before = await tab.picture();
    const cdp = await tab.context.newCDPSession(page);
    const touch = (type, ...points) => cdp.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([id, x, y]) => ({ id, x, y })) });
    await touch('touchStart', [1, 80, 600]);
    await touch('touchMove', [1, 80, 530]);
    await tab.shown(async () => { for (const y of [531, 530]) await touch('touchMove', [1, 80, y]); });
    await tab.pictureChanges(before, 0.05);
    await touch('touchEnd');
    await tab.shown();
    await tab.rests();
    const walked = await tab.picture();
    await tab.inputs();
    await touch('touchStart', [2, 300, 500]);
    // The node counts motion from the first message after a release.
    for (const x of [295, 270, 245]) {
      const sent = await tab.lastInput();
      await touch('touchMove', [2, x, 500]);
      await tab.until((number) => window.nearlight.lastInput > number, sent);
    }
    await tab.shown(async () => { for (const x of [246, 245]) await touch('touchMove', [2, x, 500]); });
    await tab.pictureChanges(walked, 0.05);
    await touch('touchEnd');
    assert.deepEqual([...new Set(await tab.inputs())], ['relative']);
    // A tap is a click at that place. It is short, however long a busy browser takes for its two events.
    const settled = await tab.lastInput();
    const timestamp = Date.now() / 1000;
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ id: 3, x: 300, y: 500 }], timestamp });
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [], timestamp });
    await tab.until((number) => window.nearlight.lastInput >= number + 3, settled);
    assert.deepEqual(await tab.inputs(), ['absolute', 'button', 'button']);
  });
});

test('a page on plain HTTP from another machine says what is missing, and plays', async () => {
  const address = new URL(node.url);
  address.hostname = ELSEWHERE;
  await Tab.with({ browser, node: { url: address.href, log: () => node.log() }, query: `?${GENTLE}&${PATIENT}` }, async (tab) => {
    assert.equal(await tab.page.evaluate(() => window.isSecureContext), false);
    const notice = tab.page.getByRole('region', { name: 'This page came over plain HTTP' });
    await notice.waitFor();
    const secure = await notice.getByRole('link').getAttribute('href');
    assert.equal(new URL(secure).protocol, 'https:');
    assert.equal(new URL(secure).hostname, ELSEWHERE);
    await playStill(tab.page).click();
    await tab.playing();
    const before = await tab.picture();
    await tab.page.keyboard.down('w');
    await tab.shown();
    await tab.pictureChanges(before, 0.05, 'w');
    await tab.page.keyboard.up('w');
  });
  // On the machine itself nothing is missing, and nothing is said.
  await Tab.with({ browser, node, query: '' }, async (tab) => {
    await tab.page.getByRole('button', { name: /^Play Nearlight/ }).waitFor();
    assert.equal(await tab.page.getByText('This page came over plain HTTP').count(), 0);
  });
});

test('the whole page weighs at most 150 kB compressed, and asks nobody else', () =>
  Tab.with({ browser, node }, async (tab) => {
    const files = new Set();
    const foreign = [];
    tab.context.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol === 'blob:' || url.protocol === 'data:') return;
      if (url.origin !== new URL(node.url).origin) foreign.push(url.href);
      else if (!url.pathname.startsWith('/api/')) files.add(url.pathname);
    });
    await tab.page.goto(`${node.url}?play=demo&${GENTLE}&${PATIENT}&fresh`);
    await tab.playing();
    // The worker's script comes only when something is played.
    await tab.until(() => window.nearlight.framesPresented > 0);
    // Asked for again: the browser forgets bodies of pages that it has left.
    const weigh = async (path) => {
      const body = await (await fetch(new URL(path, node.url))).arrayBuffer();
      return [path, gzipSync(body, { level: 9 }).length];
    };
    const weights = await Promise.all([...files].map(weigh));
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    assert.ok(weights.some(([path]) => path === '/') && weights.some(([path]) => path.endsWith('.js')), JSON.stringify(weights));
    assert.ok(total <= BUDGET, `${total} bytes: ${JSON.stringify(weights)}`);
    assert.deepEqual(foreign, []);
  }));
