// The page by WebSocket: asked for, fallen back to where no UDP reaches the node, changed to and from while the session
// plays, and made again where it was cut.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DEADLINE_MS, Node, until } from './support/node.mjs';
import { Relay } from './support/relay.mjs';
import { writeBlocks } from './support/scene.mjs';
import { alone, gentle, launch, PATIENT, Tab } from './support/tab.mjs';
import { Way } from './support/way.mjs';

/** Longer than any head start (src/session/race.ts), and no longer than any transport is given to connect. */
const AHEAD_MS = 2_000;

let blocks, node, browser;
before(async () => {
  blocks = writeBlocks();
  // Else WebRTC would do without UDP, too.
  node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]), 'webrtc.tcp': 'false' });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  blocks?.remove();
});

const play = (use, { what = 'demo', transport = 'websocket', ...more } = {}) =>
  Tab.with({ browser, node, query: `?play=${what}&${gentle(transport)}&${PATIENT}`, ...more }, use);
/** Connections that the node has served so far, less those before this was first asked. */
const counted = {};
const counts = async () => {
  const kinds = ['webrtc', 'webtransport', 'websocket'];
  const now = await Promise.all(kinds.map((kind) => node.metric(`nearlight_connections_total{transport="${kind}"}`)));
  const since = Object.fromEntries(kinds.map((kind, at) => [kind, now[at] - (counted[kind] ?? 0)]));
  for (const [at, kind] of kinds.entries()) counted[kind] = now[at];
  return since;
};
const inOrder = async (tab) => {
  const strips = await tab.page.evaluate(() => window.nearlight.takeStrips());
  for (const [index, { frame }] of strips.entries()) {
    if (index > 0) assert.ok(frame > strips[index - 1].frame, `frame ${frame} after ${strips[index - 1].frame}`);
  }
};

test('it plays, every frame in order, and page, HUD and API say by what and why', () => play(async (tab) => {
  await tab.playing();
  await tab.frames(30);
  await inOrder(tab);
  const { kind, reason, connectMs } = await tab.transport();
  assert.deepEqual([kind, reason.split(';')[0]], ['websocket', 'the page’s address asks for it']);
  assert.ok(connectMs > 0);
  await tab.openHud();
  assert.equal(await tab.fact('Transport'), `WebSocket, connected in ${connectMs.toFixed(0)} ms: ${reason}`);
  const { transport } = await until('the API', async () => (await node.sessions()).find((session) => session.transport != null));
  assert.deepEqual(transport, { kind, reason });
  await tab.until(() => window.nearlight.stats?.stages.some(({ stage }) => stage === 'decode'));
  await tab.until(() => /(^|\D)0 of \d+ frames lost/.test(document.querySelector('.facts')?.textContent ?? ''));
}, { prepare: alone('websocket') }));

test('a click reaches the scene, and the picture shows it', () => play(async (tab) => {
  await tab.playing();
  const before = await tab.picture();
  await tab.page.mouse.click(...(await tab.at(0.5, 0.5)));
  await tab.shown();
  await tab.pictureChanges(before, 0.05);
}, { what: blocks.id }));

test('where no UDP reaches the node the page comes to it by itself, soon, and HUD and API say why', async (t) => {
  // Nobody answers there, and nobody says so.
  const [media, quic] = [await Relay.start(), await Relay.start()];
  media.blocked = true;
  quic.blocked = true;
  const moved = (address) => {
    const url = new URL(address.url);
    url.port = String(quic.port);
    return { ...address, url: url.href };
  };
  const block = async (context) => {
    await media.prepare(context);
    // However late the node answers WebRTC's offer, a WebSocket is there after WebRTC's head start.
    await context.addInitScript((ahead) => {
      const ask = window.fetch;
      let told;
      const answered = new Promise((resolve) => { told = resolve; });
      window.fetch = async (url, init) => {
        if (String(url).endsWith('/socket')) await answered;
        const answer = await ask(url, init);
        if (String(url).endsWith('/whep')) setTimeout(told, ahead);
        return answer;
      };
    }, AHEAD_MS);
    await context.route(/\/api\/v1\/sessions(\/[^/]+\/(webtransport|redeem))?$/, async (route) => {
      const answer = await route.fetch({ timeout: DEADLINE_MS });
      const body = await answer.json();
      if ('certificate_hashes' in body) await route.fulfill({ response: answer, json: moved(body) });
      else await route.fulfill({ response: answer, json: body.webtransport == null ? body : { ...body, webtransport: moved(body.webtransport) } });
    });
  };
  try {
    await counts();
    const began = performance.now();
    await play(async (tab) => {
      await tab.playing();
      t.diagnostic(`a picture after ${(performance.now() - began).toFixed(0)} ms, page and session included`);
      await tab.frames(10);
      const { kind, reason } = await tab.transport();
      assert.equal(kind, 'websocket', reason);
      // Each had its head start, and no more: nothing waited for either to be given up.
      assert.match(reason, /^WebRTC did not connect within \d+\.\d s, WebTransport did not connect/);
      assert.deepEqual(await counts(), { webrtc: 1, webtransport: 0, websocket: 1 });
      const doubts = await tab.page.evaluate(() => Object.keys(JSON.parse(window.localStorage.getItem('nearlight-slow-transports'))));
      assert.ok(doubts.includes('webrtc'), doubts.join());
      await tab.openHud();
      assert.ok((await tab.fact('Transport')).endsWith(reason));
      const { transport } = await until('the API', async () => (await node.sessions()).find((session) => session.transport?.kind === kind));
      // The node keeps so much of it.
      assert.equal(transport.reason, reason.slice(0, 200));
      // The next visit waits for neither.
      await tab.page.reload();
      await tab.playing();
      const again = await tab.transport();
      assert.equal(again.kind, 'websocket');
      assert.match(again.reason, /^WebRTC did not connect in time here before, WebTransport did not connect/);
    }, { transport: 'auto', prepare: block });
  } finally {
    media.close();
    quic.close();
  }
});

test('it changes from WebRTC and back while the session plays on', () => play(async (tab) => {
  await tab.playing();
  const small = await tab.picture();
  await tab.page.mouse.click(...(await tab.at(0.5, 0.5)));
  await tab.shown();
  await tab.pictureChanges(small, 0.05);
  await tab.freeMouse();
  const [{ id }] = await node.sessions();
  await tab.openHud();
  await tab.page.evaluate(() => {
    window.states = [];
    const look = () => { window.states.push(window.nearlight.state.name); window.requestAnimationFrame(look); };
    look();
  });
  for (const [button, kind] of [['Use WebSocket', 'websocket'], ['Use WebRTC', 'webrtc'], ['Use WebSocket', 'websocket'], ['Use WebTransport', 'webtransport']]) {
    const shown = await tab.presented();
    // A busy machine may break the path at other times.
    await tab.state('live');
    await tab.page.evaluate(() => { window.states = [window.nearlight.state.name]; });
    await tab.page.getByRole('button', { name: button }).click();
    await tab.takes(kind);
    assert.deepEqual([...new Set(await tab.page.evaluate(() => window.states))], ['live']);
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
}, { what: blocks.id, transport: 'webrtc' }));

test('a connection that is cut is made again, with the same session', async () => {
  const way = await Way.to(node.url);
  try {
    await Tab.with({ browser, node: { url: way.url, log: () => node.log() }, query: `?play=demo&${gentle('websocket')}`, prepare: alone('websocket') }, async (tab) => {
      await tab.playing();
      const [{ id }] = await node.sessions();
      for (const elsewhere of [false, true]) {
        way.cut();
        await tab.state('reconnecting');
        way.mend({ elsewhere });
        await tab.state('live');
        const { frame } = await tab.strip();
        await until('pictures again', async () => ((await tab.strip()).frame === frame ? undefined : true));
        assert.equal((await tab.transport()).kind, 'websocket');
      }
      assert.deepEqual((await node.sessions()).map((session) => session.id), [id]);
    });
  } finally {
    way.close();
  }
});
