// A path that loses packets: a UDP relay between a browser and a node. The page's answer names the relay in place of the node,
// which finds the browser behind it by its checks. What is encrypted stays so; RTP's headers are in the clear.
import dgram from 'node:dgram';
import { DEADLINE_MS } from './node.mjs';

/** What a busy machine leaves here for long is not to be lost beside what a test loses. */
const WAITING_BYTES = 1 << 20;

const socket = () => dgram.createSocket({ type: 'udp4', recvBufferSize: WAITING_BYTES });
const bind = (unbound) => new Promise((resolve) => { unbound.bind(0, '127.0.0.1', resolve); });

/**
 * Puts a relay in place of the node in answers that pages get from now on: `front` yields the port that leads to one of the
 * node's.
 */
export async function putBetween(context, front) {
  await context.route('**/whep', async (route) => {
    const answer = await route.fetch({ timeout: DEADLINE_MS });
    const lines = [];
    for (const line of (await answer.text()).split('\r\n')) {
      const words = line.split(' ');
      if (!line.startsWith('a=candidate:')) lines.push(line);
      else if (words[4] === '127.0.0.1') {
        words[5] = await front(Number(words[5]));
        lines.push(words.join(' '));
      }
    }
    await route.fulfill({ response: answer, body: lines.join('\r\n') });
  });
  // The node is to know no address of the browser but the relay's.
  await context.route('**/whep/**', (route) => (route.request().method() === 'PATCH' ? route.fulfill({ status: 204 }) : route.continue()));
}

/** What of RTP's header a test may lose packets by; undefined where it is no RTP (RFC 7983, RFC 5761). */
function rtp(datagram) {
  const [first, second] = datagram;
  if (datagram.length < 12 || first >> 6 !== 2 || (second >= 192 && second <= 223)) return undefined;
  return { payloadType: second & 0x7f, timestamp: datagram.readUInt32BE(4), ssrc: datagram.readUInt32BE(8) };
}

export class Relay {
  #front = socket();
  #backs = new Map();
  #node;
  #closed = false;
  /** Whether a packet of the node's is lost, by its header: `(packet) => boolean`. */
  loses = () => false;
  /** The same of the browser's. */
  losesUp = () => false;
  /** Whether a datagram that is no RTP packet is lost: `(datagram, isOfNode) => boolean`. */
  losesOther = () => false;
  /** How long a packet is on its way, in milliseconds, either way. */
  delay = 0;
  /** RTP packets that came from the node, and those of them that were lost. */
  passed = 0;
  lost = 0;
  /** Nothing goes through, either way. */
  blocked = false;
  /** Of every so many datagrams of the node's, whatever they are, one is lost; 0 for none. */
  thinsBy = 0;
  /** Those that were lost so. */
  thinned = 0;
  #seen = 0;

  static async start() {
    const relay = new Relay();
    await bind(relay.#front);
    relay.#front.on('message', (datagram, from) => { relay.#toNode(datagram, from); });
    return relay;
  }

  /** In front of one port of the node's, for whoever is told the relay's own in its place. */
  static async to(port) {
    const relay = await Relay.start();
    relay.#node = port;
    return relay;
  }

  get port() {
    return this.#front.address().port;
  }

  /** Puts the relay in place of the node in answers that pages get from now on. */
  prepare(context) {
    return putBetween(context, (port) => {
      this.#node = port;
      return this.port;
    });
  }

  close() {
    this.#closed = true;
    this.#front.close();
    for (const back of this.#backs.values()) back.close();
  }

  #later(send) {
    if (this.delay === 0) send();
    else setTimeout(() => { if (!this.#closed) send(); }, this.delay);
  }

  #toNode(datagram, { address, port }) {
    const packet = rtp(datagram);
    if (this.blocked || (packet === undefined ? this.losesOther(datagram, false) : this.losesUp(packet))) return;
    // A browser that may use a microphone sends from each address of the machine.
    const from = `${address} ${port}`;
    let back = this.#backs.get(from);
    if (back === undefined) {
      back = socket();
      back.on('message', (answer) => { this.#toBrowser(answer, address, port); });
      this.#backs.set(from, back);
    }
    this.#later(() => { back.send(datagram, this.#node, '127.0.0.1'); });
  }

  #toBrowser(datagram, address, port) {
    this.#seen += 1;
    if (this.blocked) return;
    if (this.thinsBy > 0 && this.#seen % this.thinsBy === 0) {
      this.thinned += 1;
      return;
    }
    const packet = rtp(datagram);
    if (packet !== undefined) {
      this.passed += 1;
      if (this.loses(packet)) {
        this.lost += 1;
        return;
      }
    } else if (this.losesOther(datagram, true)) {
      return;
    }
    this.#later(() => { this.#front.send(datagram, port, address); });
  }
}
