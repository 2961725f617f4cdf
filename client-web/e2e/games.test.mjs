// Real games in a real browser: each in a sandbox with a display and sound of its own. Left out, with the reason, where one is not
// installed or this machine gives no sandboxes; NEARLIGHT_HOST=1 makes that a failure.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { choose } from './support/exchange.mjs';
import { Node, until } from './support/node.mjs';
import { invite, SPECTATOR } from './support/invite.mjs';
import { drawn, drawnAt, point, pointedAt } from './support/pointer.mjs';
import { gesture, heard, inStep } from './support/sound.mjs';
import { changed, launch, PATIENT, Tab } from './support/tab.mjs';

const GAMES = fileURLToPath(new URL('../../games', import.meta.url));
const [GROWS, FINGERS] = ['grows', 'fingers'].map((name) => fileURLToPath(new URL(`support/${name}`, import.meta.url)));
const SMALL = `width=640&height=360&fps=15&${PATIENT}`;

let run, own, node, browser, entries;
before(async () => {
  // Users that games run as pass through both.
  [run, own] = ['nl-', 'nearlight-games-'].map((name) => mkdtempSync(join(tmpdir(), name)));
  for (const folder of [run, own]) chmodSync(folder, 0o755);
  cpSync(GROWS, join(own, 'grows'), { recursive: true });
  cpSync(FINGERS, join(own, 'fingers'), { recursive: true });
  node = await Node.start({
    'games.max_cpus': '64.0',
    'games.folders': JSON.stringify([GAMES, own]),
    'games.run': run,
    'sessions.away': '5m',
    'video.min_rate': '2 Mbit/s',
    // A slow machine gives up no picture, for which the browser would ask for a keyframe.
    'webtransport.frame_deadline': '5s',
  });
  browser = await launch();
  ({ entries } = await (await node.fetch('api/v1/catalogue')).json());
});
after(async () => {
  await browser?.close();
  await node?.stop();
  for (const folder of [run, own]) rmSync(folder, { recursive: true, force: true });
});

/**
 * Plays this game, unless it cannot be had here; at the size of the window where the address says none. `use` is told how to say
 * what it measured.
 */
const game = (id, name, use, size = SMALL, prepare = undefined) => test(name, async (t) => {
  const entry = entries.find((each) => each.id === id);
  assert.equal(entry?.kind, 'game');
  if (entry.unavailable !== undefined) {
    assert.ok(process.env.NEARLIGHT_HOST === undefined, entry.unavailable);
    t.skip(entry.unavailable);
    return;
  }
  for (const transport of ['webrtc', 'webtransport']) {
    await Tab.with({ browser, node, query: `?play=${id}&${size}&transport=${transport}`, prepare }, async (tab) => {
      await tab.state('live');
      await until('pictures', async () => ((await tab.presented()) > 0 ? true : undefined));
      await use(tab, (measured) => { t.diagnostic(`${name}, over ${transport}: ${measured}`); });
    });
    await node.sessionsToBe(0);
    await until('the sandbox to be gone', () => (sandboxes().length === 0 ? true : undefined));
  }
});

/** Folders of sandboxes that are there, one below the node's own. */
const sandboxes = () => readdirSync(run).flatMap((mark) => readdirSync(join(run, mark)));

/** Looks in a row, a tenth of a second apart, that find the same picture where it stands still. */
const LOOKS = 10;

/** The picture once it stands still. */
async function still(tab) {
  let [last, same] = [await tab.picture(), 0];
  return until('a picture that stands still', async () => {
    const now = await tab.picture();
    // Games that draw the same again are coded again, a little differently.
    same = changed(last, now) < 0.01 ? same + 1 : 0;
    last = now;
    return same === LOOKS ? now : undefined;
  });
}

/** Waits until the shell has written its prompts. */
const prompts = (tab) => until('prompts', async () => {
  await tab.page.keyboard.press('Enter');
  return new Set((await tab.picture()).map((value) => Math.round(value / 8))).size > 1 ? true : undefined;
});

game('terminal', 'a terminal shows what is typed, and is the same one after a reload', async (tab) => {
  await prompts(tab);
  const prompt = await still(tab);
  // Keys go by their place, so nothing here needs Shift; and far more is written than typed.
  await tab.page.keyboard.type('seq 1111111111111111 1111111111111150');
  await tab.page.keyboard.press('Enter');
  await tab.pictureChanges(prompt, 0.05);
  // What was typed may not all have been written yet where the machine stands still: then once more.
  await until('the same picture', async () => {
    const written = await still(tab);
    await tab.page.reload();
    await tab.state('live');
    const again = await still(tab);
    return changed(written, again) < 0.02 && changed(prompt, again) > 0.05 ? true : undefined;
  });
  assert.equal(sandboxes().length, 1);
  await tab.page.keyboard.type('exit');
  await tab.page.keyboard.press('Enter');
  await tab.state('ended');
});

/** Where characters are that need Shift; keys go by their place. */
const SHIFTED = { $: 'Digit4', '(': 'Digit9', ')': 'Digit0' };

/** Types a line into the shell. */
async function shell(tab, line) {
  for (const character of line) {
    if (character in SHIFTED) await tab.page.keyboard.press(`Shift+${SHIFTED[character]}`);
    else await tab.page.keyboard.type(character);
  }
  await tab.page.keyboard.press('Enter');
}

/** What the page shows where the user points. */
const cursor = (tab) => tab.page.evaluate(() => window.getComputedStyle(document.querySelector('.surface')).cursor);

game('terminal', 'the pointer is the one that the game shows, and is hidden when the game hides it', async (tab) => {
  const other = (than, again = async () => undefined) => until('another pointer', async () => {
    const now = await cursor(tab);
    if (now.startsWith('image-set(') && now !== than) return now;
    await again();
    return undefined;
  });
  await tab.page.mouse.move(...(await tab.at(0.5, 0.5)));
  const text = await other(undefined);
  // xterm's way to ask for another one.
  await tab.page.keyboard.type("printf '\\033]22;crosshair\\007'");
  // It hides the pointer while somebody types, until it is moved.
  await until('no pointer', async () => ((await cursor(tab)) === 'none' ? true : undefined));
  await tab.page.keyboard.press('Enter');
  await tab.page.mouse.move(...(await tab.at(0.4, 0.4)));
  // It may have come before the key, or not at all.
  await other(text, () => point(tab, 0.4, 0.4));
  // Whoever comes anew is told, too.
  await tab.page.reload();
  await tab.state('live');
  await other(undefined);
});

game('terminal', 'the mouse selects and pastes, and is not captured', async (tab) => {
  const { page } = tab;
  await page.evaluate(() => {
    window.locks = 0;
    document.querySelector('.surface').requestPointerLock = async () => { window.locks += 1; };
  });
  // A word that is most of a line, and clears the screen when it is a command.
  const word = 'a'.repeat(40);
  await prompts(tab);
  const empty = await still(tab);
  await shell(tab, `alias ${word}=clear; for a in $(seq 99); do echo ${word}; done`);
  await tab.pictureChanges(empty, 0.15);
  await tab.inputs();
  // The shell may not have written all of it at first: then once more.
  await until('a screen that is cleared', async () => {
    await page.mouse.move(...(await tab.at(0.002, 0.4)));
    await page.mouse.down();
    await page.mouse.move(...(await tab.at(0.95, 0.4)), { steps: 4 });
    await page.mouse.up();
    await page.mouse.click(...(await tab.at(0.5, 0.6)), { button: 'middle' });
    await page.keyboard.press('Enter');
    return changed(empty, await still(tab)) < 0.08 ? true : undefined;
  });
  const kinds = new Set(await tab.inputs());
  assert.ok(kinds.has('button') && kinds.has('absolute') && !kinds.has('relative'), [...kinds].join());
  assert.equal(await page.evaluate(() => document.pointerLockElement), null);
  assert.equal(await page.evaluate(() => window.locks), 0, 'it was not asked for either');
  // Who asks for it has it captured nevertheless.
  await page.evaluate(() => { delete document.querySelector('.surface').requestPointerLock; });
  await tab.press(page.getByRole('button', { name: 'Capture mouse' }));
  await tab.freeMouse();
  await page.getByText('Click the picture to look around').waitFor({ state: 'attached' });
  // That is chosen for this game: on another page a click does it by itself, until the menu takes it back.
  await page.reload();
  await tab.state('live');
  await page.mouse.click(...(await tab.at(0.5, 0.6)));
  await tab.freeMouse();
  await choose(tab, 'Mouse', 'Free over the picture');
  await page.reload();
  await tab.state('live');
  await page.evaluate(() => {
    window.locks = 0;
    document.querySelector('.surface').requestPointerLock = async () => { window.locks += 1; };
  });
  await tab.inputs();
  await page.mouse.click(...(await tab.at(0.5, 0.6)));
  assert.ok((await tab.inputs()).includes('button'));
  assert.equal(await page.evaluate(() => window.locks), 0, 'it is free again');
});

game('terminal', 'who watches sees the pointer where the player points', async (player) => {
  await player.page.mouse.move(...(await player.at(0.3, 0.6)));
  assert.equal(await drawn(player), undefined, 'the player has one of its own');
  const link = await invite(player, SPECTATOR);
  await Tab.with({ browser, node, query: `?${SMALL}${link.slice(link.indexOf('#'))}` }, async (viewer) => {
    await viewer.state('live');
    await pointedAt(viewer, player, 0.3, 0.6);
    await pointedAt(viewer, player, 0.2, 0.25);
    // It is as it was for whoever comes anew, though it does not move.
    const again = await invite(player, SPECTATOR);
    // Where it was on the way to a link, it was for all.
    await pointedAt(viewer, player, 0.25, 0.75);
    await Tab.with({ browser, node, query: `?${SMALL}${again.slice(again.indexOf('#'))}` }, async (other) => {
      await other.state('live');
      await drawnAt(other, 0.25, 0.75);
    });
  });
});

game('terminal', 'fingers move a pointer that is seen', async (tab) => {
  const cdp = await tab.context.newCDPSession(tab.page);
  const finger = async (type, x, y) => {
    const [left, top] = await tab.at(x, y);
    await cdp.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x: left, y: top }] });
  };
  assert.equal(await drawn(tab), undefined);
  // Nobody chose: what is pointed at has fingers as they are.
  assert.equal(await tab.page.evaluate(() => [...document.querySelectorAll('.bar button')].find((each) => each.textContent.includes('Touch')).textContent), 'Touch: direct');
  await finger('touchStart', 0.4, 0.4);
  const moves = async () => { for (const x of [0.31, 0.3]) await finger('touchMove', x, 0.7); };
  await moves();
  await drawnAt(tab, 0.3, 0.7, moves);
  await finger('touchEnd');
  await finger('touchStart', 0.6, 0.2);
  await finger('touchEnd');
  await drawnAt(tab, 0.6, 0.2);
  // Who takes the mouse sees that one alone.
  await tab.page.mouse.move(...(await tab.at(0.5, 0.5)));
  await until('no other pointer', async () => ((await drawn(tab)) === undefined ? true : undefined));
});

/** How many squares of the game are lit, of which one is at each of these places of the picture. */
function lit(picture, places) {
  // Cells are 8 pixels wide and 8.2 high, below the strip of 32; a square has 64 pixels each way.
  const cell = ([x, y]) => Math.floor((y * 360 - 32) / 8.2) * 80 + Math.floor(x * 80);
  const all = places.every((place) => picture[cell(place)] > 128);
  return all ? Math.round(picture.filter((value) => value > 128).length / 62.5) : undefined;
}

game('fingers', 'fingers are as many as they are, where they are, and none stays down', async (tab) => {
  await tab.until(() => window.nearlight.hello?.input !== undefined);
  const { touch, pen } = await tab.page.evaluate(() => window.nearlight.hello.input);
  assert.deepEqual([touch, pen], ['itself', 'with_pressure']);
  const cdp = await tab.context.newCDPSession(tab.page);
  const fingers = async (type, ...points) => {
    const touchPoints = await Promise.all(points.map(async ([x, y], id) => {
      const [left, top] = await tab.at(x, y);
      return { id, x: left, y: top };
    }));
    await cdp.send('Input.dispatchTouchEvent', { type, touchPoints });
  };
  const shows = (count, ...places) => until(`${count} fingers at ${JSON.stringify(places)}`, async () => (lit(await tab.picture(), places) === count ? true : undefined));
  const [one, other, there] = [[0.25, 0.4], [0.75, 0.7], [0.5, 0.3]];
  // Nobody chose: what is played with fingers has them as they are.
  await fingers('touchStart', one);
  await shows(1, one);
  await fingers('touchStart', one, other);
  await shows(2, one, other);
  await fingers('touchMove', there, other);
  await shows(2, there, other);
  // The one is lifted, and the other stays. Chromium lifts the points that an end has, by which Puppeteer lifts one of several, too, and
  // none that a move lacks; the protocol’s text, by which an end has none, says nothing of that.
  await fingers('touchEnd', there);
  await shows(1, other);
  await fingers('touchEnd');
  await shows(0);
  // The browser takes them away; the page loses the focus; it goes.
  await fingers('touchStart', one, other);
  await shows(2, one, other);
  await fingers('touchCancel');
  await shows(0);
  await fingers('touchStart', one, other);
  await shows(2, one, other);
  await tab.page.evaluate(() => { window.dispatchEvent(new window.Event('blur')); });
  await shows(0);
  await fingers('touchEnd');
  await fingers('touchStart', one, other);
  await shows(2, one, other);
  await tab.page.reload();
  await tab.state('live');
  await shows(0);
});

game('terminal', 'a pen draws as the mouse’s button does, and what is lost in it is said', async (tab) => {
  await tab.until(() => window.nearlight.hello?.input !== undefined);
  assert.deepEqual(await tab.page.evaluate(() => window.nearlight.hello.input), { touch: 'pointer', pen: 'pointer', pad_extras: false, text: true, prefers_text: true, prefers_absolute: true, pads: 'nothing' });
  await tab.page.keyboard.type('seq 1111111111111111 1111111111111150');
  await tab.page.keyboard.press('Enter');
  const written = await still(tab);
  await tab.inputs();
  const cdp = await tab.context.newCDPSession(tab.page);
  const draws = async (type, x, y, buttons) => {
    const [left, top] = await tab.at(x, y);
    await cdp.send('Input.dispatchMouseEvent', { type, x: left, y: top, buttons, button: type === 'mouseMoved' ? 'none' : 'left', pointerType: 'pen', force: 0.5, tiltX: 20 });
  };
  await draws('mouseMoved', 0.05, 0.2, 0);
  await draws('mousePressed', 0.05, 0.2, 1);
  await draws('mouseMoved', 0.2, 0.7, 1);
  // The terminal shows what is selected otherwise.
  await tab.pictureChanges(written, 0.02);
  await draws('mouseReleased', 0.2, 0.7, 0);
  const kinds = new Set(await tab.inputs());
  assert.ok(kinds.has('pen') && !kinds.has('button') && !kinds.has('absolute'), [...kinds].join());
});

game('terminal', 'the screen is as large as its place in the window, live', async (tab) => {
  const coded = (width, height) =>
    until(`pictures of ${width}x${height}`, async () => {
      const { size, stats, hello } = await tab.page.evaluate(() => {
        const { size, stats, hello } = window.nearlight;
        return { size, stats, hello };
      });
      const all = [[size.width, size.height], stats?.coded ?? [], [hello.video.width, hello.video.height]];
      return all.every((each) => each.join() === `${width},${height}`) ? stats.keyframes : undefined;
    });
  /** How often the browser asked for a keyframe, which by WebRTC one without time does by itself. */
  const asked = () => tab.page.evaluate(async () => (await window.nearlight.rtcStats()).find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')?.pliCount ?? 0);
  // It begins with the size of the window. A browser may ask for a keyframe more at first.
  await still(tab);
  const [before, first] = [await coded(960, 600), await asked()];
  await tab.page.setViewportSize({ width: 1200, height: 700 });
  await coded(1200, 700);
  // Statistics tell of the size before its first picture is coded.
  await still(tab);
  const keyframes = (await coded(1200, 700)) - before;
  const more = (await asked()) - first;
  assert.ok(keyframes >= 1 && keyframes <= 1 + more, `a size costs one keyframe, not ${keyframes}; ${more} were asked for`);
  const [session] = await node.sessions();
  assert.deepEqual([session.video.width, session.video.height], [1200, 700]);
  // No smaller than what is of use.
  await tab.page.setViewportSize({ width: 300, height: 150 });
  await coded(320, 200);
  // The terminal knows its size: it ends when it has more columns than when it began to write.
  await tab.page.setViewportSize({ width: 640, height: 480 });
  await coded(640, 480);
  const empty = await still(tab);
  // It knows its size once it writes, which fills the screen; what is typed does not.
  await shell(tab, 'set $(stty size); a=$2; seq -s. 1111111111111111 1111111111111999; until set $(stty size); [ $2 -gt $a ]; do sleep 0.1; done; exit');
  await tab.pictureChanges(empty, 0.15);
  await tab.page.setViewportSize({ width: 900, height: 600 });
  await tab.state('ended');
}, PATIENT);

game('grows', 'an SDL game draws in the size that the window has become', async (tab) => {
  /** What the game paints: see its file. */
  const painted = async () => {
    const picture = await tab.picture();
    return [20, 60].map((column) => picture[20 * 80 + column] * 10);
  };
  let last;
  const draws = (...size) => until(`a game that draws ${size.join('x')}`, async () => {
    last = await painted();
    return last.every((edge, at) => Math.abs(edge - size[at]) < 40) ? true : undefined;
  }).catch((error) => { throw new Error(`${error.message}; it draws ${last}`, { cause: error }); });
  // It begins with the size of the window.
  await draws(960, 600);
  for (const [width, height] of [[1200, 700], [640, 480], [1000, 520]]) {
    await tab.page.setViewportSize({ width, height });
    await draws(width, height);
  }
}, PATIENT);

test('games have posters and kinds, and are found by them', async () => {
  for (const { id, poster_url: url } of entries.filter(({ id, kind }) => kind === 'game' && !['grows', 'fingers'].includes(id))) {
    const poster = await fetch(url);
    assert.deepEqual([poster.status, poster.headers.get('content-type')], [200, 'image/png'], id);
    const again = await fetch(url, { headers: { 'if-none-match': poster.headers.get('etag') } });
    assert.equal(again.status, 304);
  }
  await Tab.with({ browser, node }, async ({ page }) => {
    const titles = () => page.locator('.card h2').allInnerTexts();
    await page.locator('.card h2').first().waitFor();
    const all = await titles();
    const freedoom = page.getByRole('article', { name: 'Freedoom: Phase 1' });
    assert.match(await freedoom.locator('.licence').innerText(), /GPL-2 or later/);
    await page.getByRole('searchbox', { name: 'Search the library' }).fill('SHOOT');
    assert.deepEqual(await titles(), ['Freedoom: Phase 1']);
    await page.getByRole('searchbox').fill('chess');
    await page.getByText('Nothing here is called “chess”').waitFor();
    await page.getByRole('searchbox').fill('');
    assert.deepEqual(await titles(), all);
  });
});

game('freedoom', 'Freedoom plays and is heard', async (tab, say) => {
  await gesture(tab);
  await heard(tab);
  // Its demonstration plays by itself, some time after its title.
  const shown = await tab.presented();
  await until('a game that moves', async () => ((await tab.presented()) > shown + 30 ? true : undefined));
  say(`its sound is ${(await inStep(tab)).toFixed(0)} ms after its picture in the median`);
});
