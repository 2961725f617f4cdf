// WebDriver BiDi (W3C) without a driver in between: Firefox speaks it itself. JSON over a WebSocket, of
// which Node 20 has no client; this one takes what a browser on this machine sends, and no more.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';

const [CONTINUATION, TEXT, CLOSE, PING, PONG] = [0, 1, 8, 9, 10];

export class Bidi {
  #socket;
  #rest = Buffer.alloc(0);
  #parts = [];
  #asked = 0;
  #waiting = new Map();

  /** Connects to a browser's address, such as `ws://127.0.0.1:1234/session`. */
  static connect(address) {
    const url = new URL(address);
    return new Promise((resolve, reject) => {
      const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': randomBytes(16).toString('base64') };
      const asked = request({ host: url.hostname, port: url.port, path: url.pathname, headers });
      asked.once('error', reject);
      asked.once('response', ({ statusCode }) => { reject(new Error(`the browser answered with status ${statusCode}`)); });
      asked.once('upgrade', (_, socket, head) => {
        const bidi = new Bidi();
        bidi.#socket = socket;
        socket.on('data', (bytes) => { bidi.#take(bytes); });
        socket.on('close', () => { bidi.#over(); });
        socket.on('error', () => undefined);
        bidi.#take(head);
        resolve(bidi);
      });
      asked.end();
    });
  }

  /** Runs a command; yields its result. */
  send(method, params = {}) {
    const id = (this.#asked += 1);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#write(TEXT, Buffer.from(JSON.stringify({ id, method, params })));
    });
  }

  close() {
    this.#socket.destroy();
  }

  #take(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) this.#frame(frame);
  }

  /** A frame that is whole (RFC 6455 §5.2). */
  #next() {
    const { length } = this.#rest;
    if (length < 2) return undefined;
    const short = this.#rest[1] & 0x7f;
    const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    if (length < head) return undefined;
    const size = short === 126 ? this.#rest.readUInt16BE(2) : short === 127 ? Number(this.#rest.readBigUInt64BE(2)) : short;
    if (length < head + size) return undefined;
    const frame = { kind: this.#rest[0] & 0xf, last: this.#rest[0] >= 0x80, body: this.#rest.subarray(head, head + size) };
    this.#rest = this.#rest.subarray(head + size);
    return frame;
  }

  #frame({ kind, last, body }) {
    if (kind === PING) this.#write(PONG, body);
    if (kind === CLOSE) this.#socket.end();
    if (kind !== TEXT && kind !== CONTINUATION) return;
    this.#parts.push(body);
    if (!last) return;
    const message = JSON.parse(Buffer.concat(this.#parts).toString());
    this.#parts = [];
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === 'success') waiting?.resolve(message.result);
    else waiting?.reject(new Error(`${message.error}: ${message.message}`));
  }

  /** Clients mask what they send. */
  #write(kind, body) {
    assert.ok(body.length < 0x10000);
    const mask = randomBytes(4);
    const length = body.length < 126 ? [0x80 | body.length] : [0x80 | 126, body.length >> 8, body.length & 0xff];
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | kind, ...length]), mask, body.map((byte, at) => byte ^ mask[at % 4])]));
  }

  #over() {
    for (const { reject } of this.#waiting.values()) reject(new Error('the browser went away'));
    this.#waiting.clear();
  }
}
