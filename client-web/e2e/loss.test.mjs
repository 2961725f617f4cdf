// Frames that are lost for good: what a browser makes of the frame that the encoder codes from one before them. It asks for no
// keyframe where the encoder can do without, whatever the codec; where that cannot, the node sends one by itself.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { Relay } from './support/relay.mjs';
import { Tab, launch } from './support/tab.mjs';

const QUERY = '?play=demo&barcode=1&width=640&height=360&fps=30';
/** Longer than a packet is sent again, and no longer than an encoder that refers to its buffer waits for acknowledgements. */
const OUTAGE_MS = 200;
const OUTAGES = 4;
/** From one outage to the next: x264 answers with a keyframe what follows so closely that its frame numbers come around. */
const FRAMES_BETWEEN = 45;

let browser, states;
before(async () => {
  states = mkdtempSync(join(tmpdir(), 'nearlight-loss-'));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(states, { recursive: true, force: true });
});

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

const incoming = (tab) => tab.page.evaluate(async () => {
  const report = await window.connections.at(-1).getStats();
  const { framesDecoded, keyFramesDecoded, pliCount, packetsLost, retransmittedPacketsReceived, fecPacketsReceived, freezeCount } =
    [...report.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
  return { framesDecoded, keyFramesDecoded, pliCount, packetsLost, retransmittedPacketsReceived, fecPacketsReceived, freezeCount };
});

/** Plays a scene that moves behind a relay, lets `lose` do its work, and yields what the browser counted before and after. */
async function played(encoder, settings, lose) {
  const all = { 'video.encoder': encoder, 'server.state_dir': mkdtempSync(join(states, 'state-')), ...settings };
  const node = await Node.start(all);
  const relay = await Relay.start();
  const prepare = async (context) => {
    await keepConnections(context);
    await relay.prepare(context);
  };
  try {
    let counted;
    await Tab.with({ browser, node, query: QUERY, prepare }, async (tab) => {
      await tab.playing();
      assert.equal(await tab.page.evaluate(() => window.nearlight.hello?.encoder), encoder);
      await tab.page.keyboard.down('d');
      await tab.frames(20);
      const before = await incoming(tab);
      await lose(tab, relay);
      const after = await incoming(tab);
      await tab.page.keyboard.up('d');
      counted = { before, after, lost: relay.lost };
    });
    return counted;
  } finally {
    relay.close();
    assert.equal(await node.stop(), 0);
  }
}

/** All packets of the node are lost for a while, again and again. */
async function outages(tab, relay) {
  for (let outage = 0; outage < OUTAGES; outage += 1) {
    const lost = relay.lost;
    const end = performance.now() + OUTAGE_MS;
    relay.loses = () => performance.now() < end;
    await until('the end of an outage', () => (relay.lost > lost && performance.now() >= end ? true : undefined));
    await tab.frames(FRAMES_BETWEEN);
  }
}

for (const [name, encoder, settings] of [
  ['H.264 of x264, by references', 'x264', {}],
  ['H.264 of x264, by waves', 'x264', { 'video.resilience': 'intra-refresh' }],
  ['H.264 of OpenH264, by a long-term reference', 'openh264', {}],
  ['VP8 of libvpx, by a long-term reference', 'vpx-vp8', {}],
]) {
  test(`${name}: no keyframe is asked for nor sent after lost frames`, async () => {
    const counted = await played(encoder, settings, outages);
    const { before, after, lost } = counted;
    const told = JSON.stringify(counted);
    assert.ok(lost > OUTAGES, told);
    assert.equal(after.pliCount, before.pliCount, told);
    assert.equal(after.keyFramesDecoded, before.keyFramesDecoded, told);
  });
}

for (const [name, encoder] of [['VP9 of libvpx', 'gst-vp9enc'], ['AV1 of libaom', 'gst-av1enc']]) {
  test(`${name}, which has no other means: a keyframe comes before the browser asks`, async () => {
    const counted = await played(encoder, {}, outages);
    const { before, after, lost } = counted;
    const told = JSON.stringify(counted);
    assert.ok(lost > OUTAGES, told);
    assert.equal(after.pliCount, before.pliCount, told);
    // An outage may be short enough for what was lost in it to be sent again.
    const keyframes = after.keyFramesDecoded - before.keyFramesDecoded;
    assert.ok(keyframes >= 1 && keyframes <= OUTAGES, told);
  });
}

test('one packet lost in twenty costs no keyframe: packets are sent again, and others repair what is lost', async () => {
  // Retransmissions and repair packets are lost too.
  let seen = 0;
  const counted = await played('x264', {}, async (tab, relay) => {
    relay.delay = 15;
    relay.loses = () => (seen += 1) % 20 === 7;
    await tab.frames(150);
  });
  const { before, after, lost } = counted;
  const told = JSON.stringify(counted);
  assert.ok(lost >= 20, told);
  assert.ok(after.retransmittedPacketsReceived >= 20, told);
  assert.ok((before.fecPacketsReceived ?? 0) === 0 && after.fecPacketsReceived >= 20, told);
  assert.equal(after.pliCount, before.pliCount, told);
  assert.equal(after.keyFramesDecoded, before.keyFramesDecoded, told);
});

test('what is lost is repaired where nothing that is sent again arrives', async () => {
  let seen = 0;
  let decoded, sent;
  const counted = await played('x264', {}, async (tab, relay) => {
    const sdp = await tab.page.evaluate(() => window.connections.at(-1).remoteDescription.sdp);
    const number = (name) => Number(new RegExp(`a=rtpmap:(\\d+) ${name}/90000`).exec(sdp)[1]);
    const [media, again] = [number('H264'), number('rtx')];
    const one = ({ payloadType }, of) => payloadType === media && (seen += 1) % of === 7;
    // The node sees what the path loses, and repairs more and more of it.
    relay.loses = (packet) => one(packet, 12);
    await tab.frames(60);
    relay.loses = (packet) => packet.payloadType === again || one(packet, 30);
    const [before, first] = [await incoming(tab), await tab.strip()];
    await tab.frames(90);
    const [after, last] = [await incoming(tab), await tab.strip()];
    assert.equal(after.retransmittedPacketsReceived, before.retransmittedPacketsReceived);
    decoded = after.framesDecoded - before.framesDecoded;
    sent = (last.frame - first.frame) & 0xffff;
  });
  const told = JSON.stringify({ ...counted, decoded, sent });
  // A frame in three loses a packet: without repair the picture would stand still most of the time.
  assert.ok(decoded >= 0.8 * sent, told);
  assert.equal(counted.after.pliCount, counted.before.pliCount, told);
  assert.equal(counted.after.keyFramesDecoded, counted.before.keyFramesDecoded, told);
});
