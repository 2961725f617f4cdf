// Frames that are lost for good: what a browser makes of the frame that the encoder codes from one before them. It asks for no
// keyframe where the encoder can do without, whatever the codec; where that cannot, the node sends one by itself.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { Relay } from './support/relay.mjs';
import { ScenarioRelay } from './support/scenario.mjs';
import { Starvation } from './support/starve.mjs';
import { PATIENT, Tab, launch } from './support/tab.mjs';

const QUERY = `?play=demo&barcode=1&width=640&height=360&fps=30&transport=webrtc&${PATIENT}`;
/** Longer than a packet is sent again, and no longer than an encoder that refers to its buffer waits for acknowledgements. */
const OUTAGE_MS = 200;
/**
 * Pictures that x264 holds here beside the newest one: of what a slow machine tells it later than so many, only a keyframe
 * helps.
 */
const REACH = 15;
const OUTAGES = 4;
/** Chromium asks for a keyframe where no picture came for three seconds; what is decoded after them may have come before. */
const ASKS_US = 2_500_000;
/** RTP's payload types of sound, of one stream or more, which goes on where no picture is sent. */
const isSound = ({ payloadType }) => [111, 63].includes(payloadType);
/** One way, where what is sent again comes late. */
const DELAY_MS = 65;
/** Longer than the buffer of 16 pictures lasts and an acknowledgement is waited for. */
const SILENCE_MS = 800;
/** From one outage to the next: by then all buffers hold what came after the one before. */
const FRAMES_BETWEEN = 45;
/** In ten bits, whatever the display. */
const HDR = `${QUERY}&hdr=force`;

let browser, states;
before(async () => {
  states = mkdtempSync(join(tmpdir(), 'nearlight-loss-'));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(states, { recursive: true, force: true });
});

/** Keeps the page's connections, and which frames it says that it decoded, by their timestamps. */
const keepConnections = (context) => context.addInitScript(() => {
  window.decoded = new Set();
  const { send } = window.RTCDataChannel.prototype;
  window.RTCDataChannel.prototype.send = function (message) {
    // As media/src/acks.rs has it.
    const view = this.label === 'acks' ? new DataView(message.buffer) : undefined;
    for (let at = 2; at < (view?.byteLength ?? 0); at += 21) {
      if (view.getUint8(at + 4) === 1) window.decoded.add(view.getUint32(at));
    }
    send.call(this, message);
  };
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

/**
 * What a slow machine did since this was last asked: `late`, how often so many pictures in a row were missing that an encoder may
 * have been told of it too late; `asks`, how often none came for so long that a browser asks for a keyframe by itself.
 */
async function slowness(tab) {
  const strips = await tab.page.evaluate(() => window.nearlight.takeStrips());
  const count = (is) => strips.filter((strip, at) => at > 0 && is(strip, strips[at - 1])).length;
  return {
    late: count(({ frame }, before) => ((frame - before.frame) & 0xffff) >= REACH),
    asks: count(({ decodedAtUs }, before) => decodedAtUs - before.decodedAtUs >= ASKS_US),
  };
}

/** Plays a scene that moves behind a relay, lets `lose` do its work, and yields what the browser counted before and after. */
async function played(encoder, settings, lose, { query = QUERY, relay = undefined } = {}) {
  const all = { 'video.encoder': encoder, 'server.state_dir': mkdtempSync(join(states, 'state-')), ...settings };
  const node = await Node.start(all);
  relay ??= await Relay.start();
  const prepare = async (context) => {
    await keepConnections(context);
    await relay.prepare(context);
  };
  try {
    let counted;
    await Tab.with({ browser, node, query, prepare }, async (tab) => {
      await tab.playing();
      // A path takes its time.
      assert.equal(await until('the greeting', () => tab.page.evaluate(() => window.nearlight.hello?.encoder)), encoder);
      assert.equal(await tab.page.evaluate(() => window.nearlight.hello.video.hdr), query === HDR);
      await tab.page.keyboard.down('d');
      await tab.frames(20);
      await slowness(tab);
      const before = await incoming(tab);
      await lose(tab, relay);
      const after = await incoming(tab);
      await tab.page.keyboard.up('d');
      counted = { before, after, lost: relay.lost, ...(await slowness(tab)) };
    });
    return counted;
  } finally {
    relay.close();
    assert.equal(await node.stop(), 0);
  }
}

/**
 * No keyframe is asked for nor sent, but where the machine was too slow: `late`, for an encoder that goes back in its buffer (others
 * need none, however late they are told); `asks`, for the browser to wait any longer.
 */
function assertNoKeyframe({ before, after, late, asks }, told) {
  assert.ok(after.pliCount - before.pliCount <= late + asks, told);
  assert.ok(after.keyFramesDecoded - before.keyFramesDecoded <= late + asks, told);
}

/** All packets of the node are lost for a while, again and again. */
async function outages(tab, relay) {
  for (let outage = 0; outage < OUTAGES; outage += 1) {
    // From the first packet of a picture that is lost, which then comes too late however seldom packets are sent.
    let end;
    relay.loses = (packet) => (end !== undefined || !isSound(packet)) && performance.now() < (end ??= performance.now() + OUTAGE_MS);
    await until('the end of an outage', () => (performance.now() >= end ? true : undefined));
    await tab.frames(FRAMES_BETWEEN);
  }
}

const REFERENCES = {};
const WAVES = { 'video.resilience': 'intra-refresh' };
/** Waves that are over long before as many pictures were coded as a loss takes to be told. */
const SHORT_WAVES = { ...WAVES, 'video.intra_refresh_frames': 5 };

for (const [name, encoder, settings, query] of [
  ['H.264 of x264, by references', 'x264', REFERENCES],
  ['H.264 of x264, by waves', 'x264', WAVES],
  ['H.264 of x264, by short waves', 'x264', SHORT_WAVES],
  ['H.264 of x264enc, by waves', 'gst-x264enc', WAVES],
  ['H.264 of x264enc, by short waves', 'gst-x264enc', SHORT_WAVES],
  ['H.264 of OpenH264, by a long-term reference', 'openh264', {}],
  ['VP8 of libvpx, by a long-term reference', 'vpx-vp8', {}],
  ['VP9 of libvpx, by a long-term reference', 'vpx-vp9', {}],
  ['VP9 of libvpx in ten bits, by a long-term reference', 'vpx-vp9', {}, HDR],
  ['AV1 of libaom, by a long-term reference', 'aom-av1', {}],
]) {
  test(`${name}: no keyframe is asked for nor sent after lost frames`, async () => {
    const counted = await played(encoder, settings, outages, { query });
    const told = JSON.stringify(counted);
    assert.ok(counted.lost >= OUTAGES, told);
    const goesBack = settings === REFERENCES;
    assertNoKeyframe(goesBack ? counted : { ...counted, late: 0 }, told);
  });
}

for (const [name, encoder] of [['VP9 of vp9enc', 'gst-vp9enc'], ['AV1 of av1enc', 'gst-av1enc']]) {
  test(`${name}, which has no other means: a keyframe comes before the browser asks`, async () => {
    const counted = await played(encoder, {}, outages);
    const { before, after, lost, late, asks } = counted;
    const told = JSON.stringify(counted);
    assert.ok(lost >= OUTAGES, told);
    assert.ok(after.pliCount - before.pliCount <= late + asks, told);
    // What is lost while a keyframe is on its way may be part of it.
    const keyframes = after.keyFramesDecoded - before.keyFramesDecoded;
    assert.ok(keyframes >= 1 && keyframes <= OUTAGES + late + asks, told);
  });
}

for (const [name, encoder] of [['VP9 of vp9enc', 'gst-vp9enc'], ['AV1 of av1enc', 'gst-av1enc']]) {
  test(`${name}: 200 ms in which nothing passes, either way, cost exactly one keyframe`, async () => {
    const { before, after, late, asks } = await played(encoder, {}, async (tab, relay) => {
      // From the first packet of a picture on, without which nothing would be lost.
      let since;
      relay.loses = (packet) => {
        if (!isSound(packet)) since ??= performance.now();
        return true;
      };
      relay.losesUp = relay.losesOther = () => true;
      await until('an outage', () => (performance.now() - since >= OUTAGE_MS ? true : undefined));
      relay.loses = relay.losesUp = relay.losesOther = () => false;
      await tab.frames(FRAMES_BETWEEN);
    });
    const keyframes = after.keyFramesDecoded - before.keyFramesDecoded;
    // A browser that the machine is too slow for asks for another one.
    assert.ok(keyframes >= 1 && keyframes <= 1 + late + asks, JSON.stringify({ before, after, late, asks }));
  });
}

const SECONDS = 8;
/** What of the networks below loses nothing: copies, disorder, and packets that are too long, of which there are none. */
const LOSSLESS = ['mixed', 'mtu-1280'];
for (const name of ['loss-1', 'loss-3', 'loss-5', 'mixed', 'mtu-1280', 'outage-200']) {
  test(`over the network ${name} the page plays on without keyframes`, async (t) => {
    let network;
    const counted = await played('x264', {}, async (tab, relay) => {
      const before = await relay.counts();
      await relay.begin();
      await tab.frames(SECONDS * 30);
      const { sent, overflowed, lost } = await relay.counts();
      network = { sent: sent - before.sent, lost: lost - before.lost, overflowed };
    }, { relay: new ScenarioRelay(name, SECONDS) });
    const told = JSON.stringify({ ...counted, ...network });
    t.diagnostic(told);
    assert.ok(network.sent > 100 && (network.lost > 0) !== LOSSLESS.includes(name), told);
    assertNoKeyframe(counted, told);
  });
}

/** The browser stands still, again and again, for longer than an encoder that refers to its buffer waits for acknowledgements. */
async function silences(tab) {
  for (let silence = 0; silence < OUTAGES; silence += 1) {
    const starvation = new Starvation({ stands: SILENCE_MS, runs: 0 });
    await starvation.end();
    await tab.frames(FRAMES_BETWEEN);
  }
}

test('a browser without time for a moment costs no keyframe: nothing is lost, and what comes then refers to what it had', async () => {
  const counted = await played('x264', REFERENCES, silences);
  const told = JSON.stringify(counted);
  assert.equal(counted.lost, 0, told);
  assertNoKeyframe({ ...counted, late: 0 }, told);
});

test('one packet lost in twenty costs no keyframe: packets are sent again', async () => {
  // Retransmissions are lost too.
  let seen = 0;
  const counted = await played('x264', {}, async (tab, relay) => {
    relay.delay = 15;
    relay.loses = () => (seen += 1) % 20 === 7;
    await until('packets sent again', async () => (relay.lost >= 20 && (await incoming(tab)).retransmittedPacketsReceived >= 20 ? true : undefined));
    await tab.frames(30);
  });
  assertNoKeyframe(counted, JSON.stringify(counted));
});

test('what is lost is repaired on a long way, where nothing that is sent again arrives', async () => {
  // A rate that does not depend on what the machine can do, nor on how simple the picture is: a dozen packets a frame.
  const rate = Object.fromEntries(['min', 'start', 'max'].map((which) => [`video.${which}_rate`, '4 Mbit/s']));
  rate['video.min_qp'] = '0';
  let seen = 0;
  /** By their timestamps, in the order in which they were sent: whether a packet of them was lost. */
  const frames = new Map();
  /** What is sent within this of a lost packet, in ticks of 90 kHz, was coded before the node could know of it. */
  const unaware = 2 * DELAY_MS * 90;
  let sent, decoded;
  /**
   * Frames that lost a packet and whose frame before them was decoded, by their places in `sent`: those after a gap of any other
   * kind are not to be had.
   */
  const hurt = (tab) => async () => {
    decoded = new Set(await tab.page.evaluate(() => [...window.decoded]));
    sent = [...frames];
    const newest = sent.findLastIndex(([timestamp]) => decoded.has(timestamp));
    const known = sent.findLastIndex(([timestamp]) => ((sent[newest]?.[0] - timestamp) | 0) > unaware);
    const all = sent.flatMap(([, lost], at) => (lost && at > 0 && at <= known && decoded.has(sent[at - 1][0]) ? [at] : []));
    return all.length >= 20 ? all : undefined;
  };
  let found;
  const counted = await played('x264', rate, async (tab, relay) => {
    const sdp = await tab.page.evaluate(() => window.connections.at(-1).remoteDescription.sdp);
    const number = (name) => Number(new RegExp(`a=rtpmap:(\\d+) ${name}/90000`).exec(sdp)[1]);
    const [media, again] = [number('H264'), number('rtx')];
    const one = ({ payloadType }, of) => payloadType === media && (seen += 1) % of === 7;
    // A way on which what is sent again comes late, so that repair is worth its bytes.
    relay.delay = DELAY_MS;
    // The node sees what the path loses, and repairs more and more of it.
    relay.loses = (packet) => one(packet, 12);
    await tab.frames(60);
    // A prime: of packets whose numbers differ by it no repair packet protects two, whichever it takes turns with.
    relay.loses = (packet) => {
      const lost = one(packet, 31);
      if (packet.payloadType === media) frames.set(packet.timestamp, frames.get(packet.timestamp) === true || lost);
      return lost || packet.payloadType === again;
    };
    found = await until('frames that lost a packet', hurt(tab));
  });
  // A page that is busy may miss a picture that its decoder gave; what was coded from it shows that it was decoded.
  const decodes = (at) => sent.slice(at).some(([timestamp]) => ((timestamp - sent[at][0]) | 0) < unaware && decoded.has(timestamp));
  const repaired = found.filter(decodes);
  const told = JSON.stringify({ ...counted, frames: sent.length, hurt: found.length, repaired: repaired.length });
  // Without repair none of them could be decoded.
  assert.ok(repaired.length >= 0.8 * found.length, told);
});
