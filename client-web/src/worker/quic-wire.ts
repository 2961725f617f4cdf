// Frames by WebTransport: a stream each, control and input on streams of the client's, datagrams for the rest. What
// lies in them stands in media/src/webtransport.rs.
import { FrameAssembler } from '../quic/assembler.ts';
import { ControlReader, datagram, DATAGRAM, frameControl, frameInput, STREAM } from '../quic/framing.ts';
import type { LinkAddress, PipeName } from '../quic/messages.ts';
import { clientNow } from '../units.ts';
import { messageOf } from '../video/pipeline.ts';
import type { Wire, WireEvents } from './wire.ts';

/** In the standard since 2025; earlier browsers have one writable for all datagrams. */
interface WithCreateWritable {
  createWritable?: () => WritableStream<Uint8Array>;
}

type Writer = WritableStreamDefaultWriter<Uint8Array>;

/** Datagrams that may wait in the browser; of more, the newest are worth nothing any more when they leave. */
const MOST_DATAGRAMS = 64;

export class QuicWire implements Wire {
  private transport: WebTransport | undefined;
  private controls: Writer | undefined;
  private inputs: Writer | undefined;
  private datagrams: Writer | undefined;
  private waiting = 0;
  private connected = false;
  private over = false;

  constructor(private readonly address: Extract<LinkAddress, { kind: 'webtransport' }>, private readonly events: WireEvents) {}

  async open(limitMs: number): Promise<void> {
    try {
      await this.connect(limitMs);
    } catch (error) {
      this.failed(error);
      throw error;
    }
  }

  control(text: string): void {
    const message = frameControl(text);
    if (this.controls !== undefined && message !== undefined) this.write(this.controls, message, 'control', text.length);
  }

  input(event: Uint8Array<ArrayBuffer>): void {
    if (this.inputs !== undefined) this.write(this.inputs, frameInput(event), 'input', event.length);
  }

  motion(event: Uint8Array<ArrayBuffer>): void {
    this.send(DATAGRAM.motion, event, 'motion');
  }

  acks(message: Uint8Array<ArrayBuffer>): void {
    this.send(DATAGRAM.acks, message);
  }

  voice(message: Uint8Array<ArrayBuffer>): void {
    this.leave(message, () => undefined);
  }

  close(): void {
    this.over = true;
    try {
      this.transport?.close();
    } catch {
      // It never got so far that it could be closed.
    }
  }

  private async connect(limitMs: number): Promise<void> {
    const { url, hashes } = this.address;
    const transport = new WebTransport(url, {
      requireUnreliable: true,
      congestionControl: 'low-latency',
      ...(hashes.length === 0 ? {} : { serverCertificateHashes: hashes.map((value) => ({ algorithm: 'sha-256', value })) }),
    });
    this.transport = transport;
    transport.closed.then(
      ({ reason }) => { this.end(reason === undefined || reason === '' ? 'was closed by the node' : `was closed by the node: ${reason}`); },
      (error: unknown) => { this.failed(error); },
    );
    const late = setTimeout(() => { this.end(`did not connect, UDP to its port may be blocked: not within ${limitMs} ms`); }, limitMs);
    try {
      await transport.ready;
    } finally {
      clearTimeout(late);
    }
    this.connected = true;
    const { datagrams } = transport;
    this.datagrams = ((datagrams as WithCreateWritable).createWritable?.() ?? datagrams.writable).getWriter();
    const [control, input] = await Promise.all([transport.createBidirectionalStream(), transport.createUnidirectionalStream()]);
    this.controls = control.writable.getWriter();
    this.inputs = input.getWriter();
    this.write(this.controls, Uint8Array.of(STREAM.control));
    this.write(this.inputs, Uint8Array.of(STREAM.input));
    this.readAll(transport, control.readable as ReadableStream<Uint8Array>);
  }

  private readAll(transport: WebTransport, control: ReadableStream<Uint8Array>): void {
    // How the connection ends is told by `closed`; what a reader says of it adds nothing.
    const failed = (): void => undefined;
    this.readControl(control).catch((error: unknown) => {
      if (error instanceof RangeError) this.end(`failed: ${error.message}`);
    });
    this.readFrames(transport).catch(failed);
    this.readDatagrams(transport.datagrams.readable as ReadableStream<Uint8Array>).catch(failed);
  }

  private async readControl(stream: ReadableStream<Uint8Array>): Promise<void> {
    const messages = new ControlReader();
    for await (const piece of pieces(stream)) {
      for (const text of messages.push(piece)) this.events.onControl(text);
    }
    // A node that goes away in order ends this stream first.
    this.end('was closed by the node');
  }

  private async readFrames(transport: WebTransport): Promise<void> {
    // Each stream is a frame: they come as they come.
    for await (const stream of pieces(transport.incomingUnidirectionalStreams as ReadableStream<ReadableStream<Uint8Array>>)) {
      this.readFrame(stream).catch(() => undefined);
    }
  }

  private async readFrame(stream: ReadableStream<Uint8Array>): Promise<void> {
    const assembler = new FrameAssembler();
    const firstAt = clientNow();
    let whole = false;
    try {
      for await (const piece of pieces(stream)) {
        const frame = assembler.push(piece, clientNow());
        if (frame === undefined) continue;
        whole = true;
        this.events.onFrame(frame);
      }
      const frame = assembler.end();
      if (frame !== undefined) {
        whole = true;
        this.events.onFrame(frame);
      }
    } finally {
      // The node gave it up: its time had passed.
      const { header } = assembler;
      if (!whole && header !== undefined) this.events.onLost(header, firstAt);
    }
  }

  private async readDatagrams(stream: ReadableStream<Uint8Array>): Promise<void> {
    // What is no sound is padding that probes the path: to be taken, and worth nothing.
    for await (const bytes of pieces(stream)) this.events.onDatagram(bytes);
  }

  private send(kind: number, body: Uint8Array<ArrayBuffer>, pipe?: PipeName): void {
    const done = (): void => {
      if (pipe !== undefined) this.events.onSent(pipe, body.length);
    };
    this.leave(datagram(kind, body), done);
  }

  private leave(message: Uint8Array<ArrayBuffer>, done: () => void): void {
    if (this.datagrams === undefined || this.waiting >= MOST_DATAGRAMS) {
      done();
      return;
    }
    this.waiting += 1;
    const sent = (): void => {
      this.waiting -= 1;
      done();
    };
    this.datagrams.write(message).then(sent, sent);
  }

  private write(writer: Writer, bytes: Uint8Array<ArrayBuffer>, pipe?: PipeName, length = 0): void {
    const done = (): void => {
      if (pipe !== undefined) this.events.onSent(pipe, length);
    };
    writer.write(bytes).then(done, done);
  }

  private failed(error: unknown): void {
    // Browsers say no more than that a handshake failed, and have a limit of their own (4 s in Chromium 156).
    this.end(this.connected ? `failed: ${messageOf(error)}` : `did not connect, UDP to its port may be blocked: ${messageOf(error)}`);
  }

  private end(reason: string): void {
    if (!this.over) this.events.onOver(reason);
    this.over = true;
  }
}

/** What a stream gives, also where streams cannot be iterated over; leaving early cancels it. */
async function* pieces<Piece>(stream: ReadableStream<Piece>): AsyncGenerator<Piece, void> {
  const reader = stream.getReader();
  let ended = false;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) {
        ended = true;
        return;
      }
      yield value;
    }
  } catch (error) {
    ended = true;
    throw error;
  } finally {
    // What is left of it is not wanted.
    if (!ended) reader.cancel().catch(() => undefined);
  }
}
