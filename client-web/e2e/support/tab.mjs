// A real browser, and a tab of it with the page of a node.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { DEADLINE_MS, until } from './node.mjs';

/** Small and slow on purpose: what is tested does not depend on it, and drawing is in software here. */
const PICTURE = 'barcode=1&width=640&height=360&fps=15';
/** Over this transport, or over what is chosen (`auto`). */
export const gentle = (transport) => `${PICTURE}&transport=${transport}`;
/** Over what every browser has. */
export const GENTLE = gentle('webrtc');
/** For tests of anything but paths: that a machine stands still for a while is no break, which takes the focus and lets go of what is held. */
export const PATIENT = 'patient=1';

const REQUESTS = { webrtc: '**/whep', webtransport: '**/webtransport', websocket: '**/socket' };

/**
 * Keeps the transports that would race with this one where it is slow to connect: what they ask of the node is never answered. As a
 * test's `prepare`, where nothing changes to another one.
 */
export const alone = (transport) => async (context) => {
  for (const [kind, path] of Object.entries(REQUESTS)) if (kind !== transport) await context.route(path, () => undefined);
  // WebTransport's address comes with the session the first time.
  if (transport !== 'webtransport') await context.route(/\/api\/v1\/sessions(\/[^/]+\/redeem)?$/, async (route) => {
    const answer = await route.fetch({ timeout: DEADLINE_MS });
    const body = await answer.json();
    await route.fulfill({ response: answer, json: body.webtransport == null ? body : { ...body, webtransport: null } });
  });
};

export function launch(extra = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    timeout: DEADLINE_MS,
    args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...extra],
  });
}

/** Whether strip number `a` is `b` or later; both count modulo 2^16. */
export function reached(a, b) {
  return ((a - b) & 0xffff) < 0x8000;
}

/** Share of the picture's cells whose brightness differs by more than coding noise. */
export function changed(a, b) {
  assert.equal(a.length, b.length);
  return a.filter((value, at) => Math.abs(value - b[at]) > 10).length / a.length;
}

export class Tab {
  complaints = [];

  constructor(context, page) {
    this.context = context;
    this.page = page;
    page.setDefaultTimeout(DEADLINE_MS);
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      if (/content security policy|violat/i.test(message.text())) this.complaints.push(message.text());
    });
  }

  /**
   * Opens `query` of the node's page, runs `use`, closes the tab, and fails when the page complained.
   * `prepare` gets the browser's context before anything is loaded.
   */
  static async with({ browser, node, query = '', options = {}, prepare }, use) {
    const context = await browser.newContext({ viewport: { width: 960, height: 600 }, ...options });
    await prepare?.(context);
    const tab = new Tab(context, await context.newPage());
    try {
      await tab.page.goto(node.url + query, { timeout: DEADLINE_MS });
      await use(tab);
      assert.deepEqual(tab.complaints, []);
    } catch (error) {
      const state = await tab.page.evaluate(() => window.nearlight?.state).catch(() => 'unknown');
      const log = node.log().split('\n').slice(-25).join('\n');
      error.message += `\npage: ${JSON.stringify(state)} ${tab.complaints.join(' ')}\nnode:\n${log}`;
      throw error;
    } finally {
      await tab.leave().catch(() => undefined);
      await context.close();
    }
  }

  /** Leaves the session: of a page that merely goes, the node waits for the next. When this is over the node knows it. */
  async leave() {
    if (this.page.isClosed()) return;
    const plays = await this.page.evaluate(() => {
      document.querySelector('.surface')?.focus();
      const ask = window.fetch;
      window.hasLeft = false;
      window.fetch = (url, init) => {
        const answer = ask(url, init);
        const told = () => { window.hasLeft = true; };
        if (init?.method === 'DELETE') answer.then(told, told);
        return answer;
      };
      return ['live', 'reconnecting'].includes(window.nearlight?.state.name);
    });
    await this.page.keyboard.press('Control+Alt+Shift+KeyQ');
    // A context that is closed takes along what its pages have not said yet.
    if (plays) await this.until(() => window.hasLeft !== false);
  }

  /** Presses a button of the bar, which hides where nothing moves, and is then not hit: not while something in it has the focus. */
  async press(button, how = 'click') {
    await button.waitFor();
    await button.focus();
    await button[how]();
  }

  /** Lets go of the mouse that a click captures, which takes it later where the browser has no time. */
  async freeMouse() {
    await this.until(() => document.pointerLockElement !== null);
    await this.page.evaluate(() => { document.exitPointerLock(); });
    await this.until(() => document.pointerLockElement === null);
  }

  until(predicate, argument) {
    return this.page.waitForFunction(predicate, argument, { timeout: DEADLINE_MS, polling: 50 });
  }

  /** Waits for a state; one who plays can give input then, and knows the node's greeting, neither of which a picture waits for. */
  state(name) {
    return this.until((wanted) => {
      const { state, takesInput, hello } = window.nearlight;
      return state.name === wanted && (wanted !== 'live' || (takesInput && hello !== undefined));
    }, name);
  }

  /** The transport that was chosen, and why. */
  transport() {
    return this.page.evaluate(() => window.nearlight.transport);
  }

  /** Waits until it plays over this transport. */
  takes(kind) {
    return this.until((wanted) => window.nearlight.transport?.kind === wanted && window.nearlight.state.name === 'live', kind);
  }

  /**
   * Waits until the node was heard after now. A page that slept plays on meanwhile by a connection that may be gone, and what it read
   * first lay there before: so it is figures twice.
   */
  async hears() {
    for (let times = 0; times < 2; times += 1) {
      const told = await this.page.evaluateHandle(() => window.nearlight.stats);
      await this.until((before) => window.nearlight.stats !== before, told);
    }
  }

  async openHud() {
    await this.page.keyboard.press('Control+Alt+Shift+KeyS');
    await this.page.locator('.hud').waitFor();
  }

  /** What the HUD says beside `name`. */
  fact(name) {
    const term = this.page.locator('dt', { hasText: new RegExp(`^${name}$`) });
    return this.page.locator('.facts div', { has: term }).locator('dd').textContent();
  }

  /** Kinds of the input events that were sent since the last call. */
  inputs() {
    return this.page.evaluate(() => window.nearlight.takeInputs().map(({ kind }) => kind));
  }

  /** The page is told that it is hidden, or seen: headless Chromium never hides one. */
  see(state) {
    return this.page.evaluate((visibility) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => visibility });
      document.dispatchEvent(new window.Event('visibilitychange'));
    }, state);
  }

  /** Waits until it plays: live, and frames with a readable strip came. */
  async playing() {
    await this.state('live');
    return until('a strip', () => this.strip());
  }

  /** Strip of the newest decoded frame. */
  strip() {
    return this.page.evaluate(() => window.nearlight.readStrip());
  }

  presented() {
    return this.page.evaluate(() => window.nearlight.framesPresented);
  }

  lastInput() {
    return this.page.evaluate(() => window.nearlight.lastInput);
  }

  /** Waits until `count` more frames were decoded. */
  async frames(count) {
    const { frame } = await this.strip();
    await until(`${count} frames more`, async () => {
      const now = await this.strip();
      return reached(now.frame, (frame + count) & 0xffff) ? now : undefined;
    });
  }

  /** Waits until the picture shows every input that was sent, or what came after it: motion that is lost is not sent again while the mouse is captured, but moved `again`. */
  async shown(again = async () => undefined) {
    const newest = await this.lastInput();
    await until(`input ${newest} in the picture`, async () => {
      const strip = await this.strip();
      if (strip !== undefined && reached(strip.input, newest & 0xffff)) return strip;
      await again();
      return undefined;
    });
    return newest;
  }

  /** Waits until the node found `count` times more that nothing had changed. */
  async unchanged(count) {
    const before = await this.page.evaluate(() => window.nearlight.stats?.unchanged ?? 0);
    await this.until((wanted) => (window.nearlight.stats?.unchanged ?? 0) > wanted, before + count);
  }

  /** Waits until a scene that stands still is not encoded any more; yields its last frame's number. */
  rests() {
    return until('a picture at rest', async () => {
      const { frame } = await this.strip();
      await this.unchanged(15);
      return (await this.strip()).frame === frame ? frame : undefined;
    });
  }

  /** Brightness of the picture that is on the screen, in cells of about 8 pixels, without the strip. */
  picture() {
    return this.page.evaluate(() => {
      const source = document.querySelector('.surface canvas, .surface video');
      const [width, height] = [source.videoWidth || source.width, source.videoHeight || source.height];
      const [columns, rows, strip] = [80, 40, 32];
      const canvas = document.createElement('canvas');
      Object.assign(canvas, { width: columns, height: rows });
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(source, 0, strip, width, height - strip, 0, 0, columns, rows);
      const { data } = context.getImageData(0, 0, columns, rows);
      return Array.from({ length: columns * rows }, (_, at) => (data[at * 4] + 2 * data[at * 4 + 1] + data[at * 4 + 2]) / 4);
    });
  }

  /**
   * Waits until more than `share` of the picture differs from `before`; yields the share. A key that is `held` repeats meanwhile, as
   * keyboards have it: where a busy machine looked like a path that broke, the page let go of it.
   */
  async pictureChanges(before, share, held = undefined) {
    let last;
    const look = async () => {
      if (held !== undefined) await this.page.keyboard.down(held);
      last = changed(before, await this.picture());
      return last > share ? last : undefined;
    };
    return until(`a picture that differs in ${share}`, look).catch((error) => {
      throw new Error(`${error.message}; it differs in ${last}`, { cause: error });
    });
  }

  /** A place in the picture, each way 0 to 1, as one in the page. */
  async at(x, y) {
    const box = await this.page.locator('.surface canvas, .surface video').boundingBox();
    const size = await this.page.evaluate(() => window.nearlight.size);
    const scale = Math.min(box.width / size.width, box.height / size.height);
    const [width, height] = [size.width * scale, size.height * scale];
    return [box.x + (box.width - width) / 2 + x * width, box.y + (box.height - height) / 2 + y * height];
  }
}
