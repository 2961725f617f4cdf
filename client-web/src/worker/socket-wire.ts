// Frames by a WebSocket, where no UDP reaches the node: binary messages that say what they are with their first
// byte (media/src/websocket.rs).
import { datagram } from '../quic/framing.ts';
import { FrameError } from '../quic/header.ts';
import { MESSAGE, PieceReader } from '../quic/pieces.ts';
import type { PipeName } from '../quic/messages.ts';
import { clientNow } from '../units.ts';
import { messageOf } from '../video/pipeline.ts';
import type { Wire, WireEvents } from './wire.ts';

/** The node's code for a client that it does not serve (transport/src/websocket/). */
const REFUSED = 4_000;
/** Bytes that may wait in the browser: behind more, acknowledgements say too late what became of frames. */
const MOST_WAITING = 4 * 1024;
/** Browsers tell of nothing that it has left. */
const LOOK_MS = 5;

interface Waiting {
  readonly pipe: PipeName;
  readonly bytes: number;
  /** It has left when all up to here has. */
  readonly end: number;
}

export class SocketWire implements Wire {
  private readonly frames: PieceReader;
  private readonly utf8 = { to: new TextEncoder(), from: new TextDecoder() };
  private socket: WebSocket | undefined;
  private connected = false;
  private over = false;
  /** Bytes of all messages so far. */
  private written = 0;
  private waiting: Waiting[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly url: string, private readonly events: WireEvents) {
    this.frames = new PieceReader({ onFrame: events.onFrame, onLost: events.onLost });
  }

  open(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const late = setTimeout(() => { this.end(`did not connect within ${limitMs} ms`); }, limitMs);
      const socket = new WebSocket(this.url);
      this.socket = socket;
      socket.binaryType = 'arraybuffer';
      socket.onmessage = ({ data }: MessageEvent<unknown>) => {
        // A node that refuses closes it before it says anything.
        if (!this.connected) {
          this.connected = true;
          clearTimeout(late);
          resolve();
        }
        if (data instanceof ArrayBuffer) this.heard(new Uint8Array(data));
      };
      socket.onclose = ({ code, reason }) => {
        clearTimeout(late);
        this.end(this.words(code, reason));
      };
    });
  }

  control(text: string): void {
    // The pipe counts what it was given.
    this.send(MESSAGE.control, this.utf8.to.encode(text), 'control', text.length);
  }

  input(event: Uint8Array<ArrayBuffer>): void {
    this.send(MESSAGE.input, event, 'input');
  }

  motion(event: Uint8Array<ArrayBuffer>): void {
    this.send(MESSAGE.motion, event, 'motion');
  }

  acks(message: Uint8Array<ArrayBuffer>): void {
    if ((this.socket?.bufferedAmount ?? 0) <= MOST_WAITING) this.send(MESSAGE.acks, message);
  }

  voice(message: Uint8Array<ArrayBuffer>): void {
    const { socket } = this;
    if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > MOST_WAITING) return;
    socket.send(message);
    this.written += message.length;
  }

  close(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private words(code: number, reason: string): string {
    if (code === REFUSED) return `was refused: ${reason}`;
    if (!this.connected) return 'did not connect';
    return reason === '' ? 'was closed' : `was closed by the node: ${reason}`;
  }

  private heard(message: Uint8Array): void {
    try {
      switch (message[0]) {
        case MESSAGE.control:
          this.events.onControl(this.utf8.from.decode(message.subarray(1)));
          return;
        case MESSAGE.frame:
          this.frames.push(message, clientNow());
          return;
        default:
          this.events.onDatagram(message);
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.end(`failed: ${messageOf(error)}`);
    }
  }

  private send(kind: number, body: Uint8Array<ArrayBuffer>, pipe?: PipeName, bytes = body.length): void {
    const { socket } = this;
    if (socket?.readyState === WebSocket.OPEN) {
      const message = datagram(kind, body);
      socket.send(message);
      this.written += message.length;
    }
    if (pipe === undefined) return;
    this.waiting.push({ pipe, bytes, end: this.written });
    this.look();
  }

  /** Tells what has left, and looks again while something has not. */
  private look(): void {
    clearTimeout(this.timer);
    const left = this.written - (this.socket?.bufferedAmount ?? 0);
    const still = this.waiting.findIndex(({ end }) => end > left);
    for (const { pipe, bytes } of this.waiting.splice(0, still < 0 ? this.waiting.length : still)) this.events.onSent(pipe, bytes);
    if (this.waiting.length > 0 && !this.over) this.timer = setTimeout(() => { this.look(); }, LOOK_MS);
  }

  private end(reason: string): void {
    if (this.over) return;
    this.over = true;
    this.events.onOver(reason);
  }
}
