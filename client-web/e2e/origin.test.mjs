// Pages of another origin: one that the node allows by name plays by WHEP with nothing but the web's own
// interfaces; others get nothing.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { Node } from './support/node.mjs';
import { launch, Tab } from './support/tab.mjs';

const PAGE = '<!doctype html><title>Elsewhere</title><video muted autoplay playsinline></video>';

let site, origin, node, browser;
before(async () => {
  site = http.createServer((_, answer) => { answer.writeHead(200, { 'content-type': 'text/html' }).end(PAGE); });
  await new Promise((resolve) => { site.listen(0, '127.0.0.1', resolve); });
  // Another port is another origin.
  origin = `http://127.0.0.1:${site.address().port}`;
  node = await Node.start({ 'server.allowed_origins': JSON.stringify([origin]) });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
  site?.close();
});

/** Plays the demo in the page that it runs in; yields what the page could see. */
async function play({ api, frames }) {
  const ask = async (url, method, headers, body) => {
    const answer = await window.fetch(url, { method, headers, body });
    if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  const wish = { app: 'demo', video: { width: 640, height: 360, fps: 15 } };
  const session = await (await ask(`${api}api/v1/sessions`, 'POST', { 'content-type': 'application/json' }, JSON.stringify(wish))).json();
  const authorization = `Bearer ${session.token}`;
  const peer = new window.RTCPeerConnection();
  peer.addTransceiver('video', { direction: 'recvonly' });
  const track = new Promise((resolve) => { peer.ontrack = (event) => { resolve(event.track); }; });
  await peer.setLocalDescription();
  const answer = await ask(session.whep_url, 'POST', { authorization, 'content-type': 'application/sdp' }, peer.localDescription.sdp);
  // A page of another origin sees only headers that the node lets it see.
  const { location, etag } = { location: answer.headers.get('location'), etag: answer.headers.get('etag') };
  await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  const fragment = `${peer.localDescription.sdp.match(/^a=(ice-ufrag|ice-pwd):.*$/gm).slice(0, 2).join('\r\n')}\r\na=end-of-candidates\r\n`;
  const trickled = await ask(location, 'PATCH', { authorization, 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': etag }, fragment);
  const video = document.querySelector('video');
  video.srcObject = new window.MediaStream([await track]);
  const times = [];
  await new Promise((resolve) => {
    const next = () => video.requestVideoFrameCallback((_, { rtpTimestamp }) => {
      times.push(rtpTimestamp);
      if (times.length < frames) next();
      else resolve();
    });
    next();
  });
  const size = [video.videoWidth, video.videoHeight];
  const ended = await ask(location, 'DELETE', { authorization });
  peer.close();
  return { session, size, times: new Set(times).size, trickled: trickled.status, ended: ended.status };
}

test('a page of an origin that is allowed plays by WHEP alone, and ends what it began', () =>
  Tab.with({ browser, node: { url: `${origin}/`, log: () => node.log() } }, async ({ page }) => {
    const seen = await page.evaluate(play, { api: node.url, frames: 15 });
    assert.deepEqual(seen.size, [640, 360]);
    assert.equal(seen.times, 15, 'fifteen pictures, each of its own time');
    assert.deepEqual([seen.trickled, seen.ended], [204, 204]);
    assert.equal(await node.reasonOf(seen.session), 'stopped_by_client');
  }));

test('a page of any other origin gets no session', async () => {
  const guarded = await Node.start({ 'server.allowed_origins': JSON.stringify(['http://127.0.0.1:1']) });
  try {
    await Tab.with({ browser, node: { url: `${origin}/`, log: () => guarded.log() } }, async ({ page }) => {
      await assert.rejects(page.evaluate(play, { api: guarded.url, frames: 1 }), /Failed to fetch/);
      // Without a preflight, as any page may: it is refused all the same.
      const blind = await page.evaluate(async (url) => {
        await window.fetch(url, { method: 'POST', mode: 'no-cors', body: '{"app":"demo"}' });
        return 'asked';
      }, `${guarded.url}api/v1/sessions`);
      assert.equal(blind, 'asked');
    });
    assert.deepEqual(await guarded.sessions(), []);
    assert.equal(guarded.records('session ended').length, 0);
  } finally {
    assert.equal(await guarded.stop(), 0);
  }
});
