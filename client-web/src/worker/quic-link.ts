// One WebTransport connection in a worker of its own: frames in, acknowledgements, control and input out.
// Its other end is quic/connection.ts; what lies in streams and datagrams stands in media/src/webtransport.rs.
import { FrameAssembler } from '../quic/assembler.ts';
import { ControlReader, datagram, DATAGRAM, frameControl, frameInput, STREAM } from '../quic/framing.ts';
import type { FromLink, LinkAddress, Picture, PipeName, ToLink } from '../quic/messages.ts';
import { clientNow } from '../units.ts';
import { messageOf } from '../video/pipeline.ts';
import { AckWriter } from '../wire/acks.ts';
import { ChunkDecoder } from './chunk-decoder.ts';
import { SoundDecoder } from './sound-decoder.ts';

/** In the standard since 2025; earlier browsers have one writable for all datagrams. */
interface WithCreateWritable {
  createWritable?: () => WritableStream<Uint8Array>;
}

type Writer = WritableStreamDefaultWriter<Uint8Array>;

/** Datagrams that may wait in the browser; of more, the newest are worth nothing any more when they leave. */
const MOST_DATAGRAMS = 64;
const FIGURES_EVERY_MS = 1_000;

export class QuicLink {
  private readonly decoder: ChunkDecoder;
  private readonly acks = new AckWriter((message) => { this.send(DATAGRAM.acks, message); });
  private transport: WebTransport | undefined;
  private control: Writer | undefined;
  private input: Writer | undefined;
  private datagrams: Writer | undefined;
  private waiting = 0;
  private pictures: MessagePort | undefined;
  private sound: SoundDecoder | undefined;
  private connected = false;
  private over = false;
  private figures: ReturnType<typeof setInterval> | undefined;

  /** `post` tells the page; `onOver` is told once nothing more is said. */
  constructor(private readonly post: (message: FromLink) => void, private readonly onOver: () => void) {
    this.decoder = new ChunkDecoder({
      onAck: (ack, queued) => { this.acks.note(ack, queued); },
      onPicture: (picture) => { this.show(picture); },
      onKeyframeNeeded: () => { this.say(JSON.stringify({ type: 'keyframe' })); },
      onFailed: (reason) => { this.end(`cannot be decoded here: ${reason}`, true); },
    });
  }

  take(message: ToLink): void {
    switch (message.type) {
      case 'open':
        this.pictures = message.pictures;
        this.sound = new SoundDecoder(message.sound);
        this.open(message.address, message.limitMs).catch((error: unknown) => { this.failed(error); });
        return;
      case 'control':
        this.say(message.text);
        return;
      case 'input':
        if (this.input !== undefined) this.write(this.input, frameInput(message.bytes), 'input', message.bytes.length);
        return;
      case 'motion':
        this.send(DATAGRAM.motion, message.bytes, 'motion');
        return;
      case 'probe':
        this.acks.repeat();
        return;
      case 'close':
        this.end('was closed here');
    }
  }

  private async open({ url, hashes }: LinkAddress, limitMs: number): Promise<void> {
    const begun = performance.now();
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
    const connectMs = performance.now() - begun;
    this.connected = true;
    const { datagrams } = transport;
    this.datagrams = ((datagrams as WithCreateWritable).createWritable?.() ?? datagrams.writable).getWriter();
    const [control, input] = await Promise.all([transport.createBidirectionalStream(), transport.createUnidirectionalStream()]);
    if (this.over) return;
    this.control = control.writable.getWriter();
    this.input = input.getWriter();
    this.write(this.control, Uint8Array.of(STREAM.control));
    this.write(this.input, Uint8Array.of(STREAM.input));
    const at = clientNow();
    this.readAll(transport, control.readable as ReadableStream<Uint8Array>);
    this.post({ type: 'ready', connectMs, at });
    this.figures = setInterval(() => { this.tellFigures(); }, FIGURES_EVERY_MS);
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
      for (const text of messages.push(piece)) this.post({ type: 'control', text });
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
        this.decoder.received(frame);
      }
      const frame = assembler.end();
      if (frame !== undefined) {
        whole = true;
        this.decoder.received(frame);
      }
    } finally {
      // The node gave it up: its time had passed.
      const { header } = assembler;
      if (!whole && header !== undefined && !this.over) this.decoder.lost(header, firstAt);
    }
  }

  private async readDatagrams(stream: ReadableStream<Uint8Array>): Promise<void> {
    // What is no sound is padding that probes the path: to be taken, and worth nothing.
    for await (const datagram of pieces(stream)) this.sound?.take(datagram);
  }

  private tellFigures(): void {
    const sound = this.sound?.figures ?? { expected: 0, lost: 0, recovered: 0 };
    this.post({ type: 'figures', figures: { ...this.decoder.figures(), sound } });
  }

  private say(text: string): void {
    const message = frameControl(text);
    if (this.control !== undefined && message !== undefined) this.write(this.control, message, 'control', text.length);
  }

  private send(kind: number, body: Uint8Array<ArrayBuffer>, pipe?: PipeName): void {
    const done = (): void => {
      if (pipe !== undefined) this.post({ type: 'sent', pipe, bytes: body.length });
    };
    if (this.datagrams === undefined || this.waiting >= MOST_DATAGRAMS) {
      done();
      return;
    }
    this.waiting += 1;
    const sent = (): void => {
      this.waiting -= 1;
      done();
    };
    this.datagrams.write(datagram(kind, body)).then(sent, sent);
  }

  private write(writer: Writer, bytes: Uint8Array<ArrayBuffer>, pipe?: PipeName, length = 0): void {
    const done = (): void => {
      if (pipe !== undefined) this.post({ type: 'sent', pipe, bytes: length });
    };
    writer.write(bytes).then(done, done);
  }

  private failed(error: unknown): void {
    // Browsers say no more than that a handshake failed, and have a limit of their own (4 s in Chromium 156).
    this.end(this.connected ? `failed: ${messageOf(error)}` : `did not connect, UDP to its port may be blocked: ${messageOf(error)}`);
  }

  private end(reason: string, cannotDecode = false): void {
    if (this.over) return;
    this.over = true;
    clearInterval(this.figures);
    this.post({ type: 'closed', reason, cannotDecode });
    this.decoder.close();
    this.pictures?.close();
    this.sound?.close();
    try {
      this.transport?.close();
    } catch {
      // It never got so far that it could be closed.
    }
    this.onOver();
  }

  private show(picture: Picture): void {
    if (this.pictures === undefined) picture.image.close();
    else this.pictures.postMessage(picture, [picture.image]);
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
