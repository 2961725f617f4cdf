// The page in Firefox: WebRTC into a video element, which is all that it needs of a browser.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { networkInterfaces } from 'node:os';
import { Firefox, noFirefox } from './support/firefox.mjs';
import { Node, until } from './support/node.mjs';
import { writeBlocks } from './support/scene.mjs';
import { gentle, PATIENT, reached } from './support/tab.mjs';

/** An address that is not the loopback interface's: Firefox has no candidate there, and the node does not look for one. */
function ownAddress() {
  const all = Object.values(networkInterfaces()).flat();
  return (all.find(({ family, internal }) => family === 'IPv4' && !internal) ?? all[0]).address;
}

describe('Firefox', { skip: noFirefox }, () => {
  let blocks, node, firefox;
  before(async () => {
    blocks = writeBlocks();
    node = await Node.start({ 'catalogue.scenes': JSON.stringify([blocks.folder]), 'webrtc.listen': JSON.stringify([ownAddress()]) });
    firefox = await Firefox.launch();
  });
  after(async () => {
    await firefox?.close();
    await node?.stop();
    blocks?.remove();
  });

  const strip = () => firefox.evaluate('window.nearlight.readStrip()');
  const playing = async (query) => {
    await firefox.goto(`${node.url}?${query}`);
    const state = await until('the session to play or to be refused', async () => {
      const { name, ...more } = await firefox.evaluate('window.nearlight.state');
      return ['live', 'refused', 'ended'].includes(name) ? { name, ...more } : undefined;
    });
    assert.equal(state.name, 'live', `${JSON.stringify(state)}\n${node.log().split('\n').slice(-20).join('\n')}`);
    return until('a strip', async () => (await strip()) ?? undefined);
  };
  const leave = async () => {
    await firefox.goto('about:blank');
    await node.sessionsToBe(0);
  };

  test('plays by WebRTC, in a video element, and says why by nothing better', async (t) => {
    const first = await playing(`play=demo&${gentle('auto')}&${PATIENT}`);
    await until('more frames', async () => {
      const now = await strip();
      return reached(now.frame, (first.frame + 20) & 0xffff) ? now : undefined;
    });
    const seen = await firefox.evaluate('({ presenter: nearlight.presenter, size: nearlight.size, hello: nearlight.hello, transport: nearlight.transport, rtp: nearlight.lastRtp })');
    t.diagnostic(`Firefox ${firefox.version}: ${seen.hello.codec} by ${seen.hello.encoder}; ${seen.transport.kind}: ${seen.transport.reason}`);
    assert.deepEqual([seen.presenter, seen.size], ['video-element', { width: 640, height: 360 }]);
    assert.equal(seen.transport.kind, 'webrtc');
    assert.match(seen.transport.reason, /the default/);
    const { transport } = await until('the API', async () => (await node.sessions()).find((session) => session.transport != null));
    assert.deepEqual(transport, { kind: 'webrtc', reason: seen.transport.reason }, 'the API says the same');
    await leave();
  });

  test('a click reaches the scene, and the picture shows it', async () => {
    await playing(`play=${blocks.id}&${gentle('auto')}&${PATIENT}`);
    await firefox.act({
      type: 'pointer', id: 'mouse', parameters: { pointerType: 'mouse' },
      actions: [
        { type: 'pointerMove', x: 400, y: 300 }, { type: 'pointerDown', button: 0 }, { type: 'pointerUp', button: 0 },
      ],
    });
    const newest = await firefox.until('input to be sent', 'nearlight.lastInput');
    await until('the input in the picture', async () => {
      const now = await strip();
      return reached(now.input, newest & 0xffff) ? now : undefined;
    });
    await leave();
  });
});
