// Drives Chromium for the benches `latency` and `bench-games`: one JSON command a line on stdin, one JSON answer a line on
// stdout, in order. `{"op": …}` is answered by `{"ok": …}` or `{"error": "…"}`; nothing here ends the
// process but the end of stdin. It decides nothing and computes no figure: benches/ does.
import { readdir, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { resumes } from './resume.mjs';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const VIEWPORT = { width: 1280, height: 720 };
const DEADLINE_MS = 60_000;
/** Keys that undo each other, so that the camera stays where it is. */
const KEYS = [['down', 'KeyA'], ['up', 'KeyA'], ['down', 'KeyD'], ['up', 'KeyD']];

let browser;
let numbered = 0;
const pages = new Map();

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const pageOf = ({ page }) => {
  const found = pages.get(page);
  if (found === undefined) throw new Error(`no page ${page}`);
  return found;
};
const until = (page, predicate, argument) => page.waitForFunction(predicate, argument, { timeout: DEADLINE_MS, polling: 20 });

/** Waits until pictures are shown; a session that is refused or ends says why. */
async function waitUntilLive(page) {
  await until(page, () => {
    const { state, framesPresented } = window.nearlight;
    return state.name === 'refused' || state.name === 'ended' || (state.name === 'live' && framesPresented > 0);
  });
  const state = await page.evaluate(() => window.nearlight.state);
  if (state.name !== 'live') throw new Error(`the page says ${JSON.stringify(state)}`);
}

async function newPage() {
  const context = await browser.newContext({ viewport: VIEWPORT });
  return context.newPage();
}

/**
 * How the page's clock (`timeOrigin + now()`) stands to the system's: their difference at the moments at
 * which `Date.now()` steps to the next millisecond, and how coarse the page's clock is. Microseconds.
 */
function compareClocks() {
  const differences = [];
  for (let i = 0; i < 60; i += 1) {
    const before = Date.now();
    let date = before;
    while (date === before) date = Date.now();
    differences.push((performance.timeOrigin + performance.now() - date) * 1000);
  }
  differences.sort((a, b) => a - b);
  let step = Infinity;
  for (let i = 0, last = performance.now(); i < 20; ) {
    const now = performance.now();
    if (now === last) continue;
    step = Math.min(step, (now - last) * 1000);
    last = now;
    i += 1;
  }
  const at = (share) => differences[Math.floor((differences.length - 1) * share)];
  return { aheadUs: at(0.5), spreadUs: at(0.75) - at(0.25), stepUs: step };
}

/** Sums of the browser's own receiver statistics. */
function inbound(entries) {
  const video = entries.find((entry) => entry.type === 'inbound-rtp' && entry.kind === 'video') ?? {};
  const names = ['framesReceived', 'framesDecoded', 'framesDropped', 'keyFramesDecoded', 'totalDecodeTime', 'jitterBufferDelay', 'jitterBufferEmittedCount', 'packetsLost', 'nackCount', 'pliCount', 'freezeCount', 'decoderImplementation'];
  return Object.fromEntries(names.map((name) => [name, video[name] ?? null]));
}

/** The button of an entry on the first page. */
const playButton = (page, title) => page.getByRole('button', { name: `Play ${title}`, exact: true });

async function start(page, title) {
  await playButton(page, title).click();
  await waitUntilLive(page);
  await until(page, () => window.nearlight.times?.firstPresentedUs !== undefined);
  const times = await page.evaluate(() => ({ ...window.nearlight.times }));
  // Let the page settle as a player would; what comes next is another start, not a longer one.
  await pause(300);
  await page.keyboard.press('Control+Alt+Shift+KeyQ');
  await playButton(page, title).waitFor();
  await pause(300);
  return times;
}

const operations = {
  async launch() {
    browser = await chromium.launch({ executablePath: EXECUTABLE, args: ARGS });
    return { version: browser.version() };
  },

  /** Opens a session's page and waits until it shows pictures. */
  async open({ url }) {
    const page = await newPage();
    const id = (numbered += 1);
    pages.set(id, page);
    await page.goto(url);
    await waitUntilLive(page);
    const seen = await page.evaluate(() => ({
      presenter: window.nearlight.presenter, hello: window.nearlight.hello ?? null, times: { ...window.nearlight.times },
    }));
    return { page: id, ...seen };
  },

  async clock(command) {
    return pageOf(command).evaluate(compareClocks);
  },

  /** What the page knows of the session now. */
  async stats(command) {
    const { stats, state, frames, size, kind, rtc } = await pageOf(command).evaluate(async () => ({
      stats: window.nearlight.stats ?? null, state: window.nearlight.state, frames: window.nearlight.framesPresented,
      size: window.nearlight.size ?? null, kind: window.nearlight.transport.kind, rtc: await window.nearlight.rtcStats(),
    }));
    return { stats, state, framesPresented: frames, size, kind, inbound: inbound(rtc) };
  },

  /** Presses keys at random phases; yields what was sent and every strip that was decoded meanwhile. */
  async press(command) {
    const page = pageOf(command);
    const { events, least, most } = command;
    await page.evaluate(async () => {
      window.nearlight.takeInputs();
      await window.nearlight.takeStrips();
    });
    const strips = [];
    const inputs = [];
    const take = async () => {
      const taken = await page.evaluate(async () => ({ inputs: window.nearlight.takeInputs(), strips: await window.nearlight.takeStrips() }));
      inputs.push(...taken.inputs);
      strips.push(...taken.strips);
    };
    for (let i = 0; i < events; i += 1) {
      const [what, key] = KEYS[i % KEYS.length];
      await page.keyboard[what](key);
      await pause(least + Math.random() * (most - least));
      if (i % 20 === 19) await take();
    }
    // The last ones have as long as a slow picture takes.
    await pause(1_000);
    await take();
    return { inputs, strips };
  },

  /**
   * Presses a key again and again, each time for `down` and `least` to `most` before the next. Yields when the browser made the events
   * of those that went down, and what the page sent of all.
   */
  async keys(command) {
    const page = pageOf(command);
    const { count, down, least, most } = command;
    await until(page, () => window.nearlight.takesInput);
    await page.evaluate(() => {
      window.nearlight.takeInputs();
      window.keysDown = [];
      // Before the page has the event.
      window.addEventListener('keydown', ({ timeStamp }) => {
        window.keysDown.push(Math.round((performance.timeOrigin + timeStamp) * 1000));
      }, { capture: true });
    });
    const events = [];
    const inputs = [];
    const take = async () => {
      const taken = await page.evaluate(() => ({ events: window.keysDown.splice(0), inputs: window.nearlight.takeInputs() }));
      events.push(...taken.events);
      inputs.push(...taken.inputs);
    };
    for (let i = 0; i < count; i += 1) {
      await page.keyboard.down('KeyA');
      await pause(down);
      await page.keyboard.up('KeyA');
      await pause(least + Math.random() * (most - least));
      if (i % 20 === 19) await take();
    }
    // The last one has as long as a slow picture takes, and what is told of it.
    await pause(1_000);
    await take();
    const { kind } = await page.evaluate(() => window.nearlight.transport);
    return { events, inputs: inputs.filter((input) => input.kind === 'key'), kind };
  },

  async close(command) {
    const page = pageOf(command);
    pages.delete(command.page);
    // Of a page that merely goes the node waits for the next.
    await page.keyboard.press('Control+Alt+Shift+KeyQ');
    await page.goto('about:blank');
    await pause(100);
    await page.context().close();
    return {};
  },

  /** Closes what a section that failed left open. */
  async reset() {
    const left = [...pages.values()];
    pages.clear();
    for (const page of left) await page.context().close();
    return { closed: left.length };
  },

  /** Opens the first page and waits until it stands still: posters are drawn when they are first asked for. */
  async visit({ url }) {
    const page = await newPage();
    const id = (numbered += 1);
    pages.set(id, page);
    await page.goto(url);
    await page.waitForLoadState('networkidle');
    return { page: id };
  },

  /** Starts a session by a click, again and again in one page; the first start warms up. */
  async starts(command) {
    const page = pageOf(command);
    const { title, count } = command;
    const starts = [];
    for (let i = 0; i <= count; i += 1) {
      const times = await start(page, title);
      if (i > 0) starts.push(times);
    }
    return { starts };
  },

  /** See resume.mjs. */
  resumes: (command) => resumes({ newPage, waitUntilLive }, command),

  /** Plays, and looks again and again how far sound and picture are apart. */
  async sound({ url, after, window: length }) {
    const page = await newPage();
    try {
      await page.goto(url);
      await waitUntilLive(page);
      // The browser plays nothing before somebody does something.
      await page.mouse.click(VIEWPORT.width / 2, VIEWPORT.height / 2);
      await until(page, async () => (await window.nearlight.sound()).skewMs !== undefined);
      await pause(after);
      const heard = await page.evaluate(async (end) => {
        const [skew, buffer] = [[], []];
        for (const stop = performance.now() + end; performance.now() < stop; ) {
          const { skewMs, path, played } = await window.nearlight.sound();
          if (skewMs !== undefined) skew.push(skewMs);
          const bufferMs = played?.bufferMs ?? path?.bufferMs;
          if (bufferMs !== undefined) buffer.push(bufferMs);
          await new Promise((resolve) => { setTimeout(resolve, 250); });
        }
        return { skew, buffer };
      }, length);
      const { kind } = await page.evaluate(() => window.nearlight.transport);
      return { ...heard, kind };
    } finally {
      await page.keyboard.press('Control+Alt+Shift+KeyQ').catch(() => undefined);
      await page.context().close();
    }
  },

  /** Bytes of the built page when gzip packs each file, as scripts/weigh.mjs counts them. */
  async weigh() {
    const root = new URL('../dist/', import.meta.url);
    const files = {};
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) files[entry.name] = gzipSync(await readFile(`${entry.parentPath}/${entry.name}`), { level: 9 }).length;
    }
    return { files };
  },
};

async function answer(line) {
  try {
    const command = JSON.parse(line);
    const operation = operations[command.op];
    if (operation === undefined) throw new Error(`no operation ${command.op}`);
    return { ok: await operation(command) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
}
await browser?.close();
