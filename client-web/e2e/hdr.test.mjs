// High dynamic range where the display has it and the browser decodes it (VP9 profile 2), and standard range with the
// reason where one of them does not.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { GENTLE, PATIENT, Tab, launch } from './support/tab.mjs';

/** Asks where the display has high range, and on any. */
const [HDR, FORCED] = ['1', 'force'].map((hdr) => `?play=demo&hdr=${hdr}&${GENTLE}&${PATIENT}`);

let browser, node;
before(async () => {
  // Whatever display the machine has.
  browser = await launch(['--force-color-profile=srgb']);
  node = await Node.start({ 'video.codecs': '["h264","vp9"]' });
});
after(async () => {
  await browser?.close();
  if (node !== undefined) assert.equal(await node.stop(), 0);
});

/** Keeps the page's connections in `window.connections`, and replaces parts of its offers. */
const prepare = (...changes) => (context) => context.addInitScript((parts) => {
  window.connections = [];
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...options) {
      super(...options);
      window.connections.push(this);
    }
  };
  const ask = window.fetch;
  window.fetch = (url, init) => {
    if (!String(url).endsWith('/whep') || typeof init?.body !== 'string') return ask(url, init);
    return ask(url, { ...init, body: parts.reduce((sdp, [from, to]) => sdp.replaceAll(from, to), init.body) });
  };
}, changes);

/** What the browser says of the stream that comes in, and what it decodes. */
function incoming(tab) {
  return tab.page.evaluate(async () => {
    const connection = window.connections.at(-1);
    const report = await connection.getStats();
    const stream = [...report.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
    const codec = report.get(stream.codecId);
    return { framesDecoded: stream.framesDecoded, codec: codec?.mimeType, fmtp: codec?.sdpFmtpLine ?? '' };
  });
}

/** Plays until ten more pictures are decoded; says what was greeted with, what came and what the HUD shows. */
async function play(tab) {
  await tab.state('live');
  await tab.until(() => window.nearlight.hello !== undefined);
  const before = await until('a stream', async () => (await incoming(tab)).framesDecoded ?? undefined);
  await tab.page.keyboard.down('d');
  const stream = await until('ten more pictures', async () => {
    const seen = await incoming(tab);
    return seen.framesDecoded >= before + 10 ? seen : undefined;
  });
  await tab.page.keyboard.up('d');
  await tab.page.keyboard.press('Control+Alt+Shift+KeyS');
  const hello = await tab.page.evaluate(() => window.nearlight.hello);
  return { hello, stream, facts: await tab.page.locator('.facts').textContent() };
}

/** How the browser's decoder yields pictures. */
function picture(tab) {
  return tab.page.evaluate(async () => {
    const receiver = window.connections.at(-1).getReceivers().find(({ track }) => track.kind === 'video');
    const processor = new window.MediaStreamTrackProcessor({ track: receiver.track.clone() });
    const reader = processor.readable.getReader();
    const { value } = await reader.read();
    const seen = { format: value.format, color: value.colorSpace.toJSON() };
    value.close();
    await reader.cancel();
    return seen;
  });
}

/** Waits until pictures are shown by this. */
const shownBy = (tab, presenter) => tab.until((wanted) => window.nearlight.presenter === wanted, presenter);
/** What stands in the picture's place. */
const shown = (tab) => tab.page.evaluate(() => [...document.querySelector('.surface').children].map(({ tagName }) => tagName));
const displayIsHigh = (tab) => tab.page.evaluate(() => window.matchMedia('(dynamic-range: high)').matches);

test('a browser that decodes ten bits is shown high dynamic range', async () => {
  await Tab.with({ browser, node, query: FORCED, prepare: prepare() }, async (tab) => {
    const { hello, stream, facts } = await play(tab);
    assert.deepEqual([stream.codec, stream.fmtp], ['video/VP9', 'profile-id=2']);
    assert.equal(hello.video.hdr, true);
    assert.equal(hello.hdr_declined, undefined);
    // A canvas would show standard range.
    assert.equal(await tab.page.evaluate(() => window.nearlight.presenter), 'video-element');
    assert.deepEqual(await shown(tab), ['VIDEO']);
    assert.equal(await displayIsHigh(tab), false);
    assert.ok(facts.includes('RangeHDR10, shown in standard range: the display has no high range'), facts);
    await tab.page.keyboard.down('d');
    const { format, color } = await picture(tab);
    await tab.page.keyboard.up('d');
    assert.equal(format, 'I420P10');
    // VP9 itself has no word for PQ: it comes beside the stream.
    assert.deepEqual(color, { fullRange: false, matrix: 'bt2020-ncl', primaries: 'bt2020', transfer: 'pq' });
  });
});

test('a display of high range is not said to show less', async () => {
  const bright = await launch(['--force-color-profile=hdr10']);
  try {
    await Tab.with({ browser: bright, node, query: HDR, prepare: prepare() }, async (tab) => {
      const { hello, facts } = await play(tab);
      assert.equal(await displayIsHigh(tab), true);
      assert.equal(hello.video.hdr, true);
      assert.match(await tab.page.locator('.facts > div', { hasText: /^Range/ }).innerText(), /^Range\s+HDR10$/, facts);
      assert.deepEqual(await shown(tab), ['VIDEO']);
    });
  } finally {
    await bright.close();
  }
});

test('on a display of standard range none is asked for, and the page says so', async () => {
  await Tab.with({ browser, node, query: HDR, prepare: prepare() }, async (tab) => {
    const { hello, facts } = await play(tab);
    assert.equal(await displayIsHigh(tab), false);
    assert.deepEqual([hello.video.hdr, hello.hdr_declined], [false, undefined]);
    assert.ok(facts.includes('Rangestandard: the display had no high range when the session began'), facts);
    assert.equal(await tab.page.evaluate(() => window.nearlight.presenter), 'track-processor');
  });
});

test('a browser that decodes none is shown standard range, and told why', async () => {
  // Its AV1 counts for nothing: browsers decode 8 bits of it.
  const change = prepare(['profile-id=2', 'profile-id=9']);
  await Tab.with({ browser, node, query: FORCED, prepare: change }, async (tab) => {
    const { hello, stream, facts } = await play(tab);
    assert.equal(stream.codec, 'video/H264');
    assert.equal(hello.video.hdr, false);
    assert.equal(hello.hdr_declined, 'the client decodes no video of 10 bits a sample');
    assert.ok(facts.includes(`Rangestandard: ${hello.hdr_declined}`), facts);
    await tab.page.keyboard.down('d');
    await shownBy(tab, 'track-processor');
    await tab.page.keyboard.up('d');
  });
});

test('who asks for nothing is shown standard range without a word', async () => {
  await Tab.with({ browser, node, query: `?play=demo&${GENTLE}&${PATIENT}`, prepare: prepare() }, async (tab) => {
    const { hello, facts } = await play(tab);
    assert.deepEqual([hello.video.hdr, hello.hdr_declined], [false, undefined]);
    assert.ok(facts.includes('Rangestandard'), facts);
    assert.equal(await tab.page.evaluate(() => window.nearlight.presenter), 'track-processor');
  });
});

test('a link to a session in high dynamic range, which the page learns from its greeting, leads to a video element', async () => {
  const session = await node.make('demo', { width: 640, height: 360, fps: 15, hdr: true });
  const query = `?barcode=1&${PATIENT}${session.play_url.slice(session.play_url.indexOf('#'))}`;
  await Tab.with({ browser, node, query, prepare: prepare() }, async (tab) => {
    const { hello } = await play(tab);
    assert.equal(hello.video.hdr, true);
    await tab.page.keyboard.down('d');
    await shownBy(tab, 'video-element');
    const before = await tab.presented();
    await tab.until((count) => window.nearlight.framesPresented >= count + 5, before);
    await tab.page.keyboard.up('d');
    assert.deepEqual(await shown(tab), ['VIDEO']);
    const shades = new Set((await tab.picture()).map((value) => Math.round(value / 8)));
    assert.ok(shades.size > 8, 'the picture is not a flat field');
  });
});
