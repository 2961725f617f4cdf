// The ways that media takes to a real browser: the one port, TCP to the same number, and a TURN server.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Node, until } from './support/node.mjs';
import { Relay } from './support/relay.mjs';
import { GENTLE, launch, Tab } from './support/tab.mjs';
import { missing, Turn } from './support/turn.mjs';

const SECRET = 'a secret of the tests';
let turn, node, browser;
before(async () => {
  if (!missing) turn = await Turn.start(SECRET);
  const ice = turn === undefined ? {} : { 'ice.turn_urls': JSON.stringify([turn.url]), 'ice.turn_secret': SECRET };
  node = await Node.start(ice);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  await turn?.stop();
});

/** Keeps the page's connections where a test finds them. */
const watch = () => {
  window.peers = [];
  const Original = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...given) {
      super(...given);
      window.peers.push(this);
    }
  };
};

/** Plays the demo in a page that `changes` has been run in first. */
const play = (changes, use) => Tab.with({
  browser,
  node,
  query: `?play=demo&${GENTLE}`,
  prepare: async (context) => {
    await context.addInitScript(watch);
    await context.addInitScript(changes);
  },
}, async (tab) => {
  await tab.playing();
  await tab.frames(10);
  await use(tab);
});

/** Both ends of the pair that carries the media. */
const pair = (tab) => until('a pair', () => tab.page.evaluate(async () => {
  for (const peer of window.peers) {
    const stats = await peer.getStats();
    for (const { type, selectedCandidatePairId } of stats.values()) {
      if (type !== 'transport' || selectedCandidatePairId === undefined) continue;
      const { localCandidateId, remoteCandidateId } = stats.get(selectedCandidatePairId);
      const [local, remote] = [stats.get(localCandidateId), stats.get(remoteCandidateId)];
      return {
        local: { kind: local.candidateType, protocol: local.protocol },
        remote: { kind: remote.candidateType, protocol: remote.protocol, port: remote.port },
      };
    }
  }
  return undefined;
}));

const port = () => node.records('media of all sessions')[0].fields.port;

test('two tabs play by one port', () =>
  play(() => undefined, (one) =>
    play(() => undefined, async (two) => {
      for (const tab of [one, two]) {
        const { remote } = await pair(tab);
        assert.deepEqual(remote, { kind: 'host', protocol: 'udp', port: port() });
      }
      await one.frames(5);
      const metrics = await (await fetch(new URL('metrics', node.ops))).text();
      assert.match(metrics, /nearlight_media_port_events_total\{event="forged"\} 0\n/);
    })));

test('where UDP is blocked the page plays by TCP to the same number', () =>
  play(() => {
    const set = window.RTCPeerConnection.prototype.setRemoteDescription;
    window.RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
      const sdp = answer.sdp.replace(/^a=candidate:\S+ \d udp .*\r\n/gim, '');
      return set.call(this, { type: answer.type, sdp });
    };
  }, async (tab) => {
    const { local, remote } = await pair(tab);
    assert.equal(local.protocol, 'tcp');
    assert.deepEqual(remote, { kind: 'host', protocol: 'tcp', port: port() });
  }));

test('a page that may only use a relay plays by the TURN server', { skip: missing }, () =>
  play(() => {
    const set = window.RTCPeerConnection.prototype.setConfiguration;
    window.RTCPeerConnection.prototype.setConfiguration = function (configuration) {
      return set.call(this, { ...configuration, iceTransportPolicy: 'relay' });
    };
  }, async (tab) => {
    const { local, remote } = await pair(tab);
    assert.equal(local.kind, 'relay');
    assert.deepEqual(remote, { kind: 'host', protocol: 'udp', port: port() });
    assert.match(turn.log(), /ALLOCATE processed, success/);
  }));

test('a hidden page is sent nothing also after its path was silent for a moment', async () => {
  const relay = await Relay.start();
  const sent = () => node.metric('nearlight_frames_sent_total');
  const silence = () => until('silence', async () => {
    const before = await sent();
    // Long enough for twenty frames.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    return (await sent()) === before ? before : undefined;
  });
  const becomes = (state) => until(state, async () => ((await node.sessions()).some((session) => session.state === state) ? true : undefined));
  try {
    await Tab.with({ browser, node, query: `?play=demo&${GENTLE}`, prepare: (context) => relay.prepare(context) }, async (tab) => {
      await tab.playing();
      await tab.see('hidden');
      await silence();
      relay.blocked = true;
      await becomes('suspended');
      relay.blocked = false;
      await becomes('live');
      const before = await silence();
      await tab.see('visible');
      await until('frames', async () => ((await sent()) > before + 3 ? true : undefined));
      await tab.frames(3);
    });
  } finally {
    relay.close();
  }
});

test('credentials of TURN servers are each session\'s own, and expire', { skip: missing }, async () => {
  const sessions = [await node.make('demo'), await node.make('demo')];
  const names = sessions.map(({ ice_servers }) => {
    assert.equal(ice_servers.length, 1);
    assert.deepEqual(ice_servers[0].urls, [turn.url]);
    return ice_servers[0].username;
  });
  assert.notEqual(names[0], names[1]);
  for (const [index, name] of names.entries()) {
    const [expires, who] = name.split(':');
    const left = Number(expires) - Date.now() / 1000;
    assert.ok(left > 0 && left <= 12 * 3600 + 1, `${left} s`);
    assert.ok(!sessions[index].id.includes(who), 'it does not tell the session');
  }
  for (const session of sessions) await node.end(session);
});

test('a TURN server refuses credentials that have expired', { skip: missing }, async () => {
  const page = await browser.newPage();
  /** What comes of asking it for a relayed address until `expires`, in seconds since 1970. */
  const asks = (expires) => {
    const username = `${Math.round(expires)}:somebody`;
    const credential = createHmac('sha1', SECRET).update(username).digest('base64');
    return page.evaluate(async (server) => {
      const peer = new window.RTCPeerConnection({ iceServers: [server], iceTransportPolicy: 'relay' });
      const seen = { relayed: 0, errors: [] };
      peer.onicecandidateerror = ({ errorCode }) => { seen.errors.push(errorCode); };
      peer.onicecandidate = ({ candidate }) => { if (candidate?.type === 'relay') seen.relayed += 1; };
      const gathered = new Promise((resolve) => {
        peer.onicegatheringstatechange = () => { if (peer.iceGatheringState === 'complete') resolve(); };
      });
      peer.createDataChannel('none');
      await peer.setLocalDescription();
      await gathered;
      peer.close();
      return seen;
    }, { urls: [turn.url], username, credential });
  };
  try {
    const now = Date.now() / 1000;
    assert.deepEqual(await asks(now + 3600), { relayed: 1, errors: [] });
    assert.deepEqual(await asks(now - 60), { relayed: 0, errors: [401] });
  } finally {
    await page.close();
  }
});
