// One connection by WebTransport or WebSocket as the page sees it. The connection itself is in a worker of its own, which
// neither the page nor drawing holds up: when frames came and were decoded is what the node's rate control
// and its encoder go by. Pictures go from there to the worker that shows them.
import type { ConnectionEvents, PathAverages, SessionConnection, Signalling } from '../session/connection.ts';
import { TransportFailed, type FrameTransport } from '../session/choice.ts';
import type { Pipe } from '../input/sender.ts';
import { VoiceTap } from '../audio/voice-tap.ts';
import type { Micros } from '../units.ts';
import type { VideoCodec } from './codec.ts';
import type { AllFigures, FromLink, LinkAddress, PipeName, ToLink } from './messages.ts';

/** Control messages that wait beyond this are dropped: nobody has read for long. */
const CONTROL_LIMIT = 256 * 1024;

/** A worker that was started for the next connection. */
let ahead: Worker | undefined;

const newWorker = (): Worker => new Worker(new URL('../worker/quic.ts', import.meta.url), { type: 'module' });

/** Loads what the next connection runs in, while the node is still being asked for the session. */
export function startAhead(): void {
  if (ahead !== undefined) return;
  const worker = newWorker();
  // It is no help then, and the one that the connection starts itself says why.
  worker.onerror = () => { if (ahead === worker) ahead = undefined; };
  ahead = worker;
}

function takeWorker(): Worker {
  const worker = ahead ?? newWorker();
  ahead = undefined;
  return worker;
}

export class FrameConnection implements SessionConnection {
  /** How long the handshakes took. */
  connectMs: number | undefined;
  private readonly worker: Worker;
  private pictures: MessagePort | undefined;
  private sound: MessagePort | undefined;
  private readonly pipes: Readonly<Record<PipeName, PortPipe>>;
  private retired = false;
  private taken = false;
  private figures: AllFigures | undefined;
  private voice: VoiceTap | undefined;
  private settle: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  /** `show` and `play` take the ports that pictures and blocks of sound come on, once they do. */
  constructor(
    readonly kind: FrameTransport,
    private readonly events: ConnectionEvents,
    private readonly decodes: readonly VideoCodec[],
    private readonly limitMs: number,
    private readonly show: (pictures: MessagePort) => void,
    private readonly play: (sound: MessagePort) => void,
  ) {
    this.worker = takeWorker();
    const pipe = (name: 'input' | 'motion'): PortPipe =>
      new PortPipe((bytes) => { this.post({ type: name, bytes }, [bytes.buffer]); });
    this.pipes = { control: new PortPipe(() => undefined), input: pipe('input'), motion: pipe('motion') };
    this.worker.onmessage = ({ data }: MessageEvent<FromLink>) => { this.heard(data); };
    this.worker.onerror = (event) => { this.over(`has no worker: ${event.message === '' ? 'it did not start' : event.message}`, true); };
  }

  get answered(): boolean {
    return this.taken;
  }

  async connect(node: Signalling): Promise<void> {
    const address = await this.address(node);
    if (this.retired) return;
    const ready = new Promise<void>((resolve, reject) => { this.settle = { resolve, reject }; });
    const [pictures, sound] = [new MessageChannel(), new MessageChannel()];
    this.pictures = pictures.port2;
    this.sound = sound.port2;
    this.post({ type: 'open', address, limitMs: this.limitMs, pictures: pictures.port1, sound: sound.port1 }, [pictures.port1, sound.port1]);
    await ready;
  }

  private async address(node: Signalling): Promise<LinkAddress> {
    const asking = (url: string): string => `${url}&decodes=${this.decodes.join(',')}`;
    if (this.kind === 'websocket') {
      const { url } = await node.webSocket();
      return { kind: this.kind, url: asking(url) };
    }
    const { url, certificate_hashes: hashes } = await node.webTransport();
    return { kind: this.kind, url: asking(url), hashes: hashes.map(fromBase64) };
  }

  say(text: string): boolean {
    const { control } = this.pipes;
    if (control.readyState !== 'open' || control.bufferedAmount > CONTROL_LIMIT) return false;
    // The bytes of UTF-8 are counted where they are made; most messages have no others.
    control.bufferedAmount += text.length;
    this.post({ type: 'control', text });
    return true;
  }

  averages(): Promise<PathAverages | undefined> {
    const { figures } = this;
    if (figures === undefined) return Promise.resolve(undefined);
    return Promise.resolve({ bufferMs: undefined, decodeMs: figures.decodeMs, lost: `${figures.dropped} of ${figures.received + figures.dropped} frames lost`, sound: { ...figures.sound } });
  }

  probe(): void {
    this.post({ type: 'probe' });
  }

  async speak(track: MediaStreamTrack | undefined): Promise<void> {
    this.voice?.close();
    this.voice = undefined;
    if (track === undefined || this.retired) {
      this.post({ type: 'voice', blocks: undefined });
      return;
    }
    const voice = new VoiceTap();
    this.voice = voice;
    const { port1, port2 } = new MessageChannel();
    this.post({ type: 'voice', blocks: port1 }, [port1]);
    await voice.open(track, port2);
  }

  stats(): Promise<RTCStatsReport | undefined> {
    return Promise.resolve(undefined);
  }

  retire(): void {
    this.retired = true;
    this.voice?.close();
    this.voice = undefined;
    this.settle?.reject(new TransportFailed(this.kind, 'was given up'));
    this.settle = undefined;
  }

  close(): void {
    this.retire();
    this.closePipes();
    // It ends itself once the node has been told.
    this.post({ type: 'close' });
    this.worker.onmessage = null;
    this.worker.onerror = null;
  }

  private closePipes(): void {
    for (const pipe of Object.values(this.pipes)) pipe.readyState = 'closed';
  }

  private heard(message: FromLink): void {
    // What was said before it retired still leaves.
    if (message.type === 'sent') this.pipes[message.pipe].sent(message.bytes);
    if (this.retired) return;
    switch (message.type) {
      case 'ready':
        this.ready(message.connectMs, message.at);
        return;
      case 'control':
        this.events.onControl(message.text);
        return;
      case 'sent':
        return;
      case 'figures':
        this.figures = message.figures;
        return;
      case 'voice-failed':
        this.events.onSpeechFailed(message.reason);
        return;
      case 'closed':
        this.over(message.reason, message.cannotDecode);
    }
  }

  private ready(connectMs: number, at: Micros): void {
    this.connectMs = connectMs;
    this.taken = true;
    for (const pipe of Object.values(this.pipes)) pipe.readyState = 'open';
    if (this.pictures !== undefined) this.show(this.pictures);
    if (this.sound !== undefined) this.play(this.sound);
    this.events.onStream(at);
    this.events.onInputReady(this.pipes.input, this.pipes.motion);
    this.settle?.resolve();
    this.settle = undefined;
  }

  private over(reason: string, cannotDecode: boolean): void {
    const { settle } = this;
    this.settle = undefined;
    this.retire();
    this.closePipes();
    if (settle !== undefined) settle.reject(new TransportFailed(this.kind, reason));
    else this.events.onBroken(cannotDecode ? new TransportFailed(this.kind, reason) : undefined);
  }

  private post(message: ToLink, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }
}

/** A data channel's like, by way of the worker. */
class PortPipe implements Pipe {
  readyState: RTCDataChannelState = 'connecting';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  onbufferedamountlow: Pipe['onbufferedamountlow'] = null;

  constructor(private readonly post: (bytes: Uint8Array<ArrayBuffer>) => void) {}

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.bufferedAmount += bytes.length;
    this.post(bytes);
  }

  /** These bytes do not wait any more. */
  sent(bytes: number): void {
    const before = this.bufferedAmount;
    this.bufferedAmount = Math.max(0, before - bytes);
    if (before > this.bufferedAmountLowThreshold && this.bufferedAmount <= this.bufferedAmountLowThreshold) {
      this.onbufferedamountlow?.call(this as unknown as RTCDataChannel, new Event('bufferedamountlow'));
    }
  }
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
