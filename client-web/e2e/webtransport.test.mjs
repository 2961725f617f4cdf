// The page by WebTransport: the worker's own decoder, the change between transports, and what happens where
// QUIC is blocked, breaks, loses frames or cannot be decoded.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, Node, until } from './support/node.mjs';
import { Relay } from './support/relay.mjs';
import { writeBlocks } from './support/scene.mjs';
import { alone, gentle, launch, PATIENT, Tab } from './support/tab.mjs';

/** Datagrams of the node's that one test loses. */
const LOSSES = 15;
/** Pictures that x264 goes back by: of what a slow machine tells it later, only a keyframe helps. */
const REACH = 15;
/** A link that decodes nothing for so long asks for a keyframe (src/quic/watch.ts). */
const STUCK_US = 400_000;
/** Longer than a frame may take, at the rate of these tests: 2.5 intervals are 167 ms. */
const OUTAGE_MS = 200;
const OUTAGES = 4;

let blocks, node, browser;
before(async () => {
  blocks = writeBlocks();
  // A slow machine gives up no picture.
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]), 'webtransport.frame_deadline': '5s' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

const play = (use, { what = 'demo', transport = 'webtransport', patience = PATIENT, ...more } = {}) =>
  Tab.with({ browser, node, query: `?play=${what}&${gentle(transport)}&${patience}`, ...more }, use);

/** Sends what the browser asks of the node's QUIC port to another one. */
const through = (port) => async (context) => {
  const moved = (address) => {
    const url = new URL(address.url);
    url.port = String(port());
    return { ...address, url: url.href };
  };
  await context.route(/\/api\/v1\/sessions(\/[^/]+\/webtransport)?$/, async (route) => {
    const answer = await route.fetch({ timeout: DEADLINE_MS });
    const body = await answer.json();
    if (typeof body.url === 'string' && 'certificate_hashes' in body) await route.fulfill({ response: answer, json: moved(body) });
    else await route.fulfill({ response: answer, json: body.webtransport == null ? body : { ...body, webtransport: moved(body.webtransport) } });
  });
};

/** The port that a node answers QUIC on. */
async function quicPort(of = node) {
  const session = await of.make('demo');
  await of.end(session);
  return Number(new URL(session.webtransport.url).port);
}

/** A page whose visits before measured so many milliseconds by each transport. */
const remembering = (webrtc, webtransport) => (context) => {
  const at = Date.now() - 60_000;
  const kept = Object.entries({ webrtc, webtransport }).map(([kind, ms]) => [kind, Array(3).fill({ ms, pixels: 1280 * 720, at })]);
  return context.addInitScript(({ origin, figures }) => {
    if (window.location.origin === origin) window.localStorage.setItem(`nearlight-measured-transports ${origin}/`, figures);
  }, { origin: new URL(node.url).origin, figures: JSON.stringify(Object.fromEntries(kept)) });
};

/** Opens the HUD of a page that plays by WebTransport: where a busy machine had another one sooner, after a change. */
async function begins(tab) {
  await tab.openHud();
  if ((await tab.transport()).kind !== 'webtransport') await tab.page.getByRole('button', { name: 'Use WebTransport' }).click();
  await tab.takes('webtransport');
}

/** Has the page change to another transport by a button of the HUD, without a break. */
async function changesTo(tab, button, kind) {
  // A busy machine may break the path at other times.
  await tab.state('live');
  await tab.page.evaluate(() => {
    window.states = [];
    const look = () => { window.states.push(window.nearlight.state.name); window.watching = window.requestAnimationFrame(look); };
    window.cancelAnimationFrame(window.watching);
    look();
  });
  await tab.page.getByRole('button', { name: button }).click();
  await tab.takes(kind);
  assert.deepEqual(await tab.page.evaluate(() => [...new Set(window.states)]), ['live']);
}

test('it plays, and page, HUD and API say by what and why', () => play(async (tab) => {
  await tab.playing();
  await tab.frames(30);
  const strips = await tab.page.evaluate(() => window.nearlight.takeStrips());
  for (const [index, { frame }] of strips.entries()) {
    if (index > 0) assert.ok(frame > strips[index - 1].frame, `frame ${frame} after ${strips[index - 1].frame}`);
  }
  const { kind, reason, connectMs } = await tab.transport();
  assert.equal(kind, 'webtransport', reason);
  assert.ok(connectMs > 0);
  await tab.openHud();
  assert.equal(await tab.fact('Transport'), `WebTransport, connected in ${connectMs.toFixed(0)} ms: ${reason}`);
  const { transport } = await until('the API', async () => (await node.sessions()).find((session) => session.transport != null));
  assert.deepEqual(transport, { kind, reason });
  await tab.until(() => window.nearlight.stats?.stages.some(({ stage }) => stage === 'decode'));
  assert.ok((await tab.page.locator('.legend').textContent()).includes('Decode'));
  await tab.until(() => document.querySelector('.facts')?.textContent?.includes('frames lost'));
}, { prepare: alone('webtransport') }));

test('a click reaches the scene, and the picture shows it', () => play(async (tab) => {
  await tab.playing();
  const before = await tab.picture();
  await tab.page.mouse.click(...(await tab.at(0.5, 0.5)));
  await tab.shown();
  await tab.pictureChanges(before, 0.05);
}, { what: blocks.id }));

test('it changes to WebRTC and back while the session plays on', () => play(async (tab) => {
  await tab.playing();
  const small = await tab.picture();
  await tab.page.mouse.click(...(await tab.at(0.5, 0.5)));
  await tab.shown();
  await tab.pictureChanges(small, 0.05);
  await tab.freeMouse();
  const [{ id }] = await node.sessions();
  await begins(tab);
  for (const [button, kind] of [['Use WebRTC', 'webrtc'], ['Use WebTransport', 'webtransport'], ['Use WebRTC', 'webrtc']]) {
    const shown = await tab.presented();
    await changesTo(tab, button, kind);
    assert.match((await tab.transport()).reason, /^chosen here/);
    await until(`pictures by ${kind}`, async () => ((await tab.presented()) > shown ? true : undefined));
    // The scene was not begun anew: the block is still large.
    const now = await tab.picture();
    assert.ok(small.filter((value, at) => Math.abs(value - now[at]) > 10).length / small.length > 0.05);
    await until('the API to say so', async () => ((await node.sessions())[0].transport?.kind === kind ? true : undefined));
    await tab.page.mouse.move(...(await tab.at(0.4, 0.4)));
    await tab.page.mouse.move(...(await tab.at(0.6, 0.4)));
  }
  assert.deepEqual((await node.sessions()).map((session) => session.id), [id]);
}, { what: blocks.id }));

test('who changes their mind before the next picture sees no break either', () => play(async (tab) => {
  await tab.playing();
  await begins(tab);
  for (const [button, kind] of [['Use WebRTC', 'webrtc'], ['Use WebTransport', 'webtransport'], ['Use WebRTC', 'webrtc'], ['Use WebTransport', 'webtransport']]) {
    await changesTo(tab, button, kind);
  }
  const shown = await tab.presented();
  await until('more pictures', async () => ((await tab.presented()) > shown + 30 ? true : undefined));
  assert.equal((await tab.transport()).kind, 'webtransport');
}));

test('a browser without WebRTC plays, and says by what', () => {
  const prepare = (context) => context.addInitScript(() => { delete window.RTCPeerConnection; });
  return Tab.with({ browser, node, query: `?play=demo&${gentle('auto')}&${PATIENT}`, prepare }, async (tab) => {
    await tab.playing();
    const { kind, reason } = await tab.transport();
    assert.notEqual(kind, 'webrtc');
    assert.match(reason, /^this browser has no WebRTC/);
    await tab.shown();
  });
});

for (const [better, webrtc, webtransport, wanted, why] of [
  ['WebTransport', 21, 14, 'webtransport', /^measured here: coded pictures are on the screen after 14 ms, by WebRTC after 21; decodes /],
  ['WebRTC', 14, 21, 'webrtc', /^the default$/],
]) {
  test(`what was measured better in visits before is wanted first: ${better}`, () => play(async (tab) => {
    await tab.playing();
    const { kind, reason } = await tab.transport();
    // Where a busy machine had another one sooner, its reason begins with what kept the wanted one.
    assert.match(reason, kind === wanted ? why : new RegExp(`^${better} `));
    await tab.openHud();
    assert.ok((await tab.fact('Transport')).endsWith(`: ${reason}`));
    await until('the API to say so', async () => (await node.sessions()).find(({ transport }) => transport?.reason === reason.slice(0, 200)));
  }, { transport: 'auto', prepare: remembering(webrtc, webtransport) }));
}

test('where QUIC is blocked it plays by WebRTC, soon, and the HUD says why', async () => {
  // Nothing listens there, and nothing says so.
  const relay = await Relay.to(await quicPort());
  relay.blocked = true;
  try {
    await play(async (tab) => {
      await tab.playing();
      const { kind, reason } = await tab.transport();
      assert.equal(kind, 'webrtc');
      assert.match(reason, /^WebTransport did not connect within \d+\.\d s$/);
      await tab.openHud();
      assert.equal(await tab.fact('Transport'), `WebRTC: ${reason}`);
    }, {
      prepare: async (context) => {
        await through(() => relay.port)(context);
        // On a busy machine it may be there before WebRTC is.
        await context.route('**/socket', () => undefined);
      },
    });
  } finally {
    relay.close();
  }
});

test('it is chosen by the address of the page', () => play(async (tab) => {
  await tab.playing();
  const { kind, reason } = await tab.transport();
  assert.deepEqual([kind, reason], ['webrtc', 'the page’s address asks for it']);
}, { transport: 'webrtc' }));

test('a connection that breaks is made again, with the same session', async () => {
  const relay = await Relay.to(await quicPort());
  try {
    await play(async (tab) => {
      await tab.playing();
      await begins(tab);
      const [{ id }] = await node.sessions();
      relay.blocked = true;
      await tab.state('reconnecting');
      relay.blocked = false;
      await tab.state('live');
      const { frame } = await tab.strip();
      await until('pictures again', async () => ((await tab.strip()).frame === frame ? undefined : true));
      assert.deepEqual((await node.sessions()).map((session) => session.id), [id]);
    }, { patience: '', prepare: through(() => relay.port) });
  } finally {
    relay.close();
  }
});

test('what the decoder refuses costs a keyframe, and the picture goes on', async () => {
  // When the test says so, the worker's decoder gets one frame whose inside is noise, and refuses another one outright.
  const spoil = (context) => context.addInitScript(() => {
    const Native = window.Worker;
    const spoilt = `
      const Chunk = self.EncodedVideoChunk;
      const spoils = new BroadcastChannel('spoils');
      let how;
      spoils.onmessage = ({ data }) => { how = data; };
      self.EncodedVideoChunk = function (init) {
        const now = how;
        how = undefined;
        if (now === 'refusal') throw new TypeError('spoilt by the test');
        return new Chunk(now === 'noise' ? { ...init, data: new Uint8Array(init.data.length).fill(0xff) } : init);
      };
    `;
    window.spoils = new window.BroadcastChannel('spoils');
    window.Worker = class extends Native {
      constructor(url, options) {
        const wrapped = new window.Blob([`import ${JSON.stringify(String(url))};\n${spoilt}`], { type: 'text/javascript' });
        super(/\/quic-[^/]*$/.test(String(url)) ? window.URL.createObjectURL(wrapped) : url, options);
      }
    };
  });
  await play(async (tab) => {
    await tab.playing();
    const keyframes = () => tab.page.evaluate(() => window.nearlight.stats?.keyframes ?? 0);
    const first = await until('figures', async () => (await keyframes()) || undefined);
    for (const how of ['noise', 'refusal']) {
      const shown = await tab.presented();
      await tab.page.evaluate((one) => { window.spoils.postMessage(one); }, how);
      await tab.until((count) => window.nearlight.framesPresented > count + 20, shown);
    }
    await until('a keyframe that was asked for', async () => ((await keyframes()) > first ? true : undefined));
    await tab.frames(60);
    const { kind, reason } = await tab.transport();
    assert.equal(kind, 'webtransport', reason);
    assert.equal(await tab.page.evaluate(() => window.nearlight.state.name), 'live');
  }, {
    prepare: async (context) => {
      await alone('webtransport')(context);
      await spoil(context);
    },
  });
});

test('frames that are lost on the way are made good without a keyframe, and none is shown out of order', async () => {
  const relay = await Relay.to(await quicPort());
  try {
    await play(async (tab) => {
      await tab.playing();
      const keyframes = () => tab.page.evaluate(() => window.nearlight.stats?.keyframes ?? 0);
      const joined = await until('figures', async () => (await keyframes()) || undefined);
      await tab.openHud();
      // What the link lost, as it says once a second: numbers of frames are missing where the machine was too slow for some, too.
      const lost = () => until('what the link lost', async () => {
        const told = /(\d+) of \d+ frames lost/.exec(await tab.fact('Averages'));
        return told === null ? undefined : Number(told[1]);
      });
      const before = await lost();
      // The picture moves.
      await tab.page.keyboard.down('d');
      // Not the handshake's.
      relay.thinsBy = 10;
      await tab.page.evaluate(() => window.nearlight.takeStrips());
      await until('losses', () => (relay.thinned >= LOSSES ? true : undefined));
      relay.thinsBy = 0;
      // Figures are of what came until now.
      await tab.frames(30);
      const strips = await tab.page.evaluate(() => window.nearlight.takeStrips());
      let late = 0;
      let stalled = 0;
      for (const [index, { frame, decodedAtUs }] of strips.entries()) {
        if (index === 0) continue;
        const step = frame - strips[index - 1].frame;
        assert.ok(step > 0, `frame ${frame} after ${strips[index - 1].frame}`);
        if (step >= REACH) late += 1;
        else if (decodedAtUs - strips[index - 1].decodedAtUs >= STUCK_US) stalled += 1;
      }
      const missed = (await lost()) - before;
      const told = `${missed} of ${strips.length + missed} frames lost, ${relay.thinned} datagrams lost, ${late} gaps beyond the encoder's reach, ${stalled} times without time`;
      // Each datagram is a frame's or most of one: without repair each costs a frame at least.
      assert.ok(missed <= relay.thinned / 4 + late * 2 * REACH, told);
      // One may be the join's, that was asked for again; a few, those of a worker without time. Without repair each datagram costs one.
      assert.ok((await keyframes()) - joined <= late + 1 + Math.min(stalled, relay.thinned / 4), told);
      assert.equal((await tab.transport()).kind, 'webtransport');
    }, {
      prepare: async (context) => {
        await alone('webtransport')(context);
        await through(() => relay.port)(context);
      },
    });
  } finally {
    relay.close();
  }
});

test('200 ms in which nothing passes, either way, cost no keyframe', async () => {
  // Frames have their usual time here, so that what was sent then is given up.
  const prompt = await Node.start();
  const relay = await Relay.to(await quicPort(prompt));
  const prepare = async (context) => {
    await alone('webtransport')(context);
    await through(() => relay.port)(context);
  };
  try {
    await Tab.with({ browser, node: prompt, query: `?play=demo&${gentle('webtransport')}&${PATIENT}`, prepare }, async (tab) => {
      await tab.playing();
      const keyframes = async () => {
        await tab.hears();
        return tab.page.evaluate(() => window.nearlight.stats.keyframes);
      };
      // The picture moves.
      await tab.page.keyboard.down('d');
      await tab.frames(30);
      const joined = await keyframes();
      await tab.page.evaluate(() => window.nearlight.takeStrips());
      let lost = 0;
      for (let outage = 0; outage < OUTAGES; outage += 1) {
        // Back and forth, or a wall would end it.
        const [back, forth] = outage % 2 === 0 ? ['d', 'a'] : ['a', 'd'];
        await tab.page.keyboard.up(back);
        await tab.page.keyboard.down(forth);
        // From the node's next datagram on.
        let end;
        relay.losesOther = (datagram, isOfNode) => {
          if (isOfNode) end ??= performance.now() + OUTAGE_MS;
          const loses = performance.now() < end;
          if (loses && isOfNode) lost += 1;
          return loses;
        };
        await until('the end of an outage', () => (performance.now() >= end ? true : undefined));
        await tab.frames(30);
      }
      const strips = await tab.page.evaluate(() => window.nearlight.takeStrips());
      const gaps = strips.slice(1).map(({ frame, decodedAtUs }, at) => ({ step: (frame - strips[at].frame) & 0xffff, us: decodedAtUs - strips[at].decodedAtUs }));
      // A page asks when it has waited in vain after an outage; an encoder goes back no further than its reach.
      const slow = gaps.filter(({ step, us }) => step >= REACH || us >= OUTAGE_MS * 1000 + STUCK_US).length;
      const asked = (await keyframes()) - joined;
      const told = `${asked} keyframes, ${lost} datagrams lost, ${gaps.filter(({ step }) => step > 1).length} gaps, ${slow} of a slow machine`;
      assert.ok(lost >= OUTAGES && asked <= slow, told);
      assert.equal((await tab.transport()).kind, 'webtransport');
    });
  } finally {
    relay.close();
    assert.equal(await prompt.stop(), 0);
  }
});
