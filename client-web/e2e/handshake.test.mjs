// The handshake of a connection by WebRTC, whichever datagram of it is lost.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Node } from './support/node.mjs';
import { Relay } from './support/relay.mjs';
import { GENTLE, Tab, launch } from './support/tab.mjs';

let node, browser;
before(async () => {
  node = await Node.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

/** Content types of DTLS, and its messages (RFC 6347). */
const [CHANGE_CIPHER_SPEC, HANDSHAKE] = [20, 22];
const [CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY_REQUEST, CERTIFICATE] = [1, 2, 3, 11];
const begins = (message) => (datagram) => datagram[0] === HANDSHAKE && datagram[13] === message;

for (const [name, byNode, is] of [
  ['ClientHello', false, begins(CLIENT_HELLO)],
  ['HelloVerifyRequest', true, begins(HELLO_VERIFY_REQUEST)],
  ['ServerHello', true, begins(SERVER_HELLO)],
  ['the certificate of the browser', false, begins(CERTIFICATE)],
  ['the last of the node', true, (datagram) => datagram[0] === CHANGE_CIPHER_SPEC],
]) {
  test(`the page connects where ${name} is lost twice`, async () => {
    const relay = await Relay.start();
    try {
      let lost = 0;
      relay.losesOther = (datagram, isOfNode) => {
        if (isOfNode !== byNode || lost === 2 || !is(datagram)) return false;
        lost += 1;
        return true;
      };
      await Tab.with({ browser, node, query: `?play=demo&${GENTLE}`, prepare: (context) => relay.prepare(context) }, async (tab) => {
        await tab.playing();
        assert.equal(lost, 2);
        assert.equal((await tab.transport()).kind, 'webrtc');
        assert.ok(relay.passed > 0);
      });
      await node.sessionsToBe(0);
    } finally {
      relay.close();
    }
  });
}
