// Every codec that the browser decodes, by a node that may code nothing else: pictures arrive and are decoded, and what the
// browser does not decode is refused with the reason.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, Node, until } from './support/node.mjs';
import { GENTLE, gentle, PATIENT, Tab, launch } from './support/tab.mjs';

let browser, decoded, states;
/** What WebCodecs is asked for. */
const STRINGS = { H264: 'avc1.42e01f', VP8: 'vp8', VP9: 'vp09.00.31.08', AV1: 'av01.0.05M.08', H265: 'hev1.1.6.L93.B0' };
before(async () => {
  states = mkdtempSync(join(tmpdir(), 'nearlight-codecs-'));
  browser = await launch();
  const page = await browser.newPage();
  decoded = await page.evaluate(() => window.RTCRtpReceiver.getCapabilities('video').codecs.map(({ mimeType }) => mimeType));
  await page.close();
});
after(async () => {
  await browser?.close();
  rmSync(states, { recursive: true, force: true });
});

/** A node that codes nothing but `codec`. */
const only = (codec) => Node.start({ 'video.codecs': `["${codec.toLowerCase()}"]`, 'server.state_dir': mkdtempSync(join(states, 'state-')) });

/** Keeps the page's connections in `window.connections`. */
const keepConnections = (context) => context.addInitScript(() => {
  window.connections = [];
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...options) {
      super(...options);
      window.connections.push(this);
    }
  };
});

/** What the browser says of the stream that comes in: its codec and how many pictures it decoded. */
async function incoming(tab) {
  return tab.page.evaluate(async () => {
    const report = await window.connections.at(-1).getStats();
    const stream = [...report.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
    const { framesDecoded, keyFramesDecoded, frameWidth, frameHeight, codecId } = stream;
    return { framesDecoded, keyFramesDecoded, frameWidth, frameHeight, codec: report.get(codecId)?.mimeType };
  });
}

async function plays(node, codec) {
  const query = `?play=demo&${GENTLE}&${PATIENT}`;
  await Tab.with({ browser, node, query, prepare: keepConnections }, async (tab) => {
    await tab.playing();
    await tab.until(() => window.nearlight.hello !== undefined);
    const before = await incoming(tab);
    await tab.page.keyboard.down('d');
    await tab.frames(10);
    await tab.page.keyboard.up('d');
    const now = await until('ten more pictures', async () => {
      const seen = await incoming(tab);
      return seen.framesDecoded >= before.framesDecoded + 10 ? seen : undefined;
    });
    assert.equal(now.codec, `video/${codec}`);
    assert.deepEqual([now.frameWidth, now.frameHeight], [640, 360]);
    assert.ok(now.keyFramesDecoded >= 1 && now.keyFramesDecoded < now.framesDecoded, JSON.stringify(now));
    const { codec: told, encoder } = await tab.page.evaluate(() => window.nearlight.hello);
    assert.equal(told, codec);
    await tab.page.keyboard.press('Control+Alt+Shift+KeyS');
    const facts = await tab.page.locator('.facts').textContent();
    assert.ok(facts.includes(`Encoder${codec} by ${encoder}`), facts);
  });
}

/** By one of the transports that the page decodes for. */
async function playsBy(transport, node, codec) {
  await Tab.with({ browser, node, query: `?play=demo&${gentle(transport)}&${PATIENT}` }, async (tab) => {
    await tab.playing();
    await tab.until(() => window.nearlight.hello !== undefined);
    await tab.page.keyboard.down('d');
    await tab.frames(20);
    await tab.page.keyboard.up('d');
    const { codec: told, encoder } = await tab.page.evaluate(() => window.nearlight.hello);
    assert.equal(told, codec);
    await tab.page.keyboard.press('Control+Alt+Shift+KeyS');
    const facts = await tab.page.locator('.facts').textContent();
    assert.ok(facts.includes(`Encoder${codec} by ${encoder}`), facts);
  });
}

async function isRefused(node, codec, query = GENTLE) {
  await Tab.with({ browser, node, query: `?play=demo&${query}` }, async (tab) => {
    await tab.state('refused');
    const { reason, detail } = await tab.page.evaluate(() => window.nearlight.state);
    assert.equal(reason, 'no-codec');
    assert.match(detail, new RegExp(`^this node can code ${codec}; the client decodes `));
  });
}

for (const codec of ['H264', 'VP8', 'VP9', 'AV1', 'H265']) {
  test(`a browser gets ${codec} where the node codes nothing else, or is told why not`, async () => {
    const known = decoded.includes(`video/${codec}`);
    assert.ok(known || codec === 'H265', `the browser decodes ${decoded.join(', ')}`);
    const node = await only(codec);
    try {
      await (known ? plays : isRefused)(node, codec);
    } finally {
      assert.equal(await node.stop(), 0);
    }
  });
}

// Behind both is the same decoder.
for (const [transport, codecs] of [['webtransport', ['H264', 'VP8', 'VP9', 'AV1', 'H265']], ['websocket', ['VP9']]]) {
  for (const codec of codecs) {
    test(`by ${transport} a browser gets ${codec} where the node codes nothing else, or is told why not`, async () => {
      const node = await only(codec);
      const page = await browser.newPage();
      try {
        await page.goto(node.url, { timeout: DEADLINE_MS });
        const known = await page.evaluate(async (name) => (await window.VideoDecoder.isConfigSupported({ codec: name })).supported, STRINGS[codec]);
        assert.ok(known || codec === 'H265', codec);
        await (known ? playsBy(transport, node, codec) : isRefused(node, codec, gentle(transport)));
      } finally {
        await page.close();
        assert.equal(await node.stop(), 0);
      }
    });
  }
}

test('a browser that decodes none of ours is refused with what it offers', async () => {
  const node = await Node.start();
  const prepare = (context) => context.addInitScript(() => {
    const ask = window.fetch;
    window.fetch = (url, init) => {
      if (!String(url).endsWith('/whep')) return ask(url, init);
      return ask(url, { ...init, body: init.body.replace(/a=rtpmap:(\d+) (VP8|VP9|AV1|H264|H265)\//g, 'a=rtpmap:$1 X-$2/') });
    };
  });
  try {
    await Tab.with({ browser, node, query: `?play=demo&${GENTLE}`, prepare }, async (tab) => {
      await tab.state('refused');
      const { reason, detail } = await tab.page.evaluate(() => window.nearlight.state);
      assert.equal(reason, 'no-codec');
      assert.match(detail, /no usable video codec.+offered: .*X-VP8/);
    });
  } finally {
    assert.equal(await node.stop(), 0);
  }
});
