// The whole way between a browser and a node, HTTP and media, which can be cut. The page is loaded through it, and its ports take the place
// of the node's in what the page learns from the node.
import dgram from 'node:dgram';
import net from 'node:net';

const HOST = '127.0.0.1';
/** TCP tries again after so long, then after twice as long, and so on: what was said into a cut, and the opening of a connection. */
const RESEND_MS = 200;
const REOPEN_MS = 1_000;

const listening = (socket, event) => new Promise((resolve) => { socket.once(event, resolve); });

/** When TCP sends next what it first sent at `from`, not before `now`. */
function nextTry(from, now, first) {
  let [at, gap] = [from, first];
  while (at < now) [at, gap] = [at + gap, gap * 2];
  return at;
}

/** One direction of a TCP connection: what comes while the way is cut is held until TCP would send it again. */
class Stream {
  #held = [];
  #since;

  constructor(from, to) {
    this.from = from;
    this.to = to;
  }

  /** Passes on, or keeps. */
  take(bytes, cut) {
    if (!cut && this.#held.length === 0) {
      this.to.write(bytes);
      return;
    }
    this.#since ??= performance.now();
    this.#held.push(bytes);
  }

  mend(now) {
    if (this.#since === undefined) return;
    setTimeout(() => {
      for (const bytes of this.#held.splice(0)) if (this.to.writable) this.to.write(bytes);
      this.#since = undefined;
    }, nextTry(this.#since, now, RESEND_MS) - now);
  }
}

/** UDP to one port of the node's. What is sent while the way is cut is lost. */
class Datagrams {
  front = dgram.createSocket('udp4');
  #backs = new Map();

  static async to(port, way) {
    const datagrams = new Datagrams();
    datagrams.front.bind(0, HOST);
    await listening(datagrams.front, 'listening');
    datagrams.front.on('message', (bytes, from) => {
      if (!way.isCut) datagrams.#back(from.port, way).send(bytes, port, HOST);
    });
    return datagrams;
  }

  #back(client, way) {
    let back = this.#backs.get(client);
    if (back === undefined) {
      back = dgram.createSocket('udp4');
      back.on('message', (bytes) => { if (!way.isCut) this.front.send(bytes, client, HOST); });
      this.#backs.set(client, back);
    }
    return back;
  }

  /** The node sees other addresses from now on. */
  move() {
    for (const back of this.#backs.values()) back.close();
    this.#backs.clear();
  }

  close() {
    this.move();
    this.front.close();
  }
}

export class Way {
  isCut = false;
  url;
  #server;
  #connections = new Set();
  #datagrams = new Map();

  /** A way to the node whose page is at `url`. */
  static async to(url) {
    const way = new Way();
    const target = new URL(url);
    const node = Number(target.port);
    way.#server = net.createServer((client) => { way.#connected(client, node); });
    way.#server.listen(0, HOST);
    await listening(way.#server, 'listening');
    target.port = String(way.#server.address().port);
    way.url = target.href;
    return way;
  }

  /** Leads media of the pages in this context by the way, too. */
  async prepare(context) {
    await context.exposeBinding('portOfWay', (_, port) => this.#portOf(port));
    await context.addInitScript(() => {
      const { json } = window.Response.prototype;
      const move = async (address) => {
        const url = new window.URL(address.url);
        url.port = String(await window.portOfWay(Number(url.port)));
        address.url = url.href;
      };
      window.Response.prototype.json = async function () {
        const body = await json.call(this);
        if (typeof body?.url === 'string' && 'certificate_hashes' in body) await move(body);
        if (body?.webtransport != null) await move(body.webtransport);
        return body;
      };
      const set = window.RTCPeerConnection.prototype.setRemoteDescription;
      window.RTCPeerConnection.prototype.setRemoteDescription = async function (answer) {
        const lines = await Promise.all(answer.sdp.split('\r\n').map(async (line) => {
          const words = line.split(' ');
          if (!line.startsWith('a=candidate:')) return line;
          if (words[2] !== 'udp' || words[4] !== '127.0.0.1') return undefined;
          words[5] = await window.portOfWay(Number(words[5]));
          return words.join(' ');
        }));
        return set.call(this, { type: answer.type, sdp: lines.filter((line) => line !== undefined).join('\r\n') });
      };
    });
  }

  /** Nothing passes any more, and nobody is told. */
  cut() {
    this.isCut = true;
  }

  /** Everything passes again; `elsewhere`: by another network, whose addresses are others. */
  mend({ elsewhere = false } = {}) {
    this.isCut = false;
    const now = performance.now();
    for (const connection of this.#connections) connection.mend(now, elsewhere);
    if (elsewhere) for (const datagrams of this.#datagrams.values()) datagrams.move();
  }

  close() {
    this.#server.close();
    for (const connection of this.#connections) connection.close();
    for (const datagrams of this.#datagrams.values()) datagrams.close();
  }

  async #portOf(port) {
    if (!this.#datagrams.has(port)) this.#datagrams.set(port, await Datagrams.to(port, this));
    return this.#datagrams.get(port).front.address().port;
  }

  #connected(client, port) {
    const opened = performance.now();
    const node = net.connect(port, HOST);
    const [up, down] = [new Stream(client, node), new Stream(node, client)];
    // A connection that is opened into a cut comes about when its opening is sent again.
    let opens = !this.isCut;
    const waiting = [];
    const close = () => {
      client.destroy();
      node.destroy();
      this.#connections.delete(connection);
    };
    const connection = {
      close,
      mend: (now, elsewhere) => {
        if (elsewhere) {
          close();
        } else if (opens) {
          for (const stream of [up, down]) stream.mend(now);
        } else {
          setTimeout(() => {
            opens = true;
            for (const bytes of waiting.splice(0)) up.take(bytes, this.isCut);
          }, nextTry(opened, now, REOPEN_MS) - now);
        }
      },
    };
    this.#connections.add(connection);
    client.on('data', (bytes) => { if (opens) up.take(bytes, this.isCut); else waiting.push(bytes); });
    node.on('data', (bytes) => { down.take(bytes, this.isCut); });
    for (const socket of [client, node]) {
      socket.on('error', close);
      socket.on('close', close);
    }
  }
}
