// One connection whose frames are decoded here, in a worker of its own: frames in, acknowledgements, control and
// input out. Its other end is quic/connection.ts.
import type { FromLink, LinkAddress, Picture, ToLink } from '../quic/messages.ts';
import { parseAudio } from '../audio/datagram.ts';
import { VoiceWriter } from '../audio/voice.ts';
import { messageOf } from '../video/pipeline.ts';
import { AckWriter } from '../wire/acks.ts';
import { clientNow } from '../units.ts';
import { ChunkDecoder } from './chunk-decoder.ts';
import { QuicWire } from './quic-wire.ts';
import { SocketWire } from './socket-wire.ts';
import { SoundDecoder } from './sound-decoder.ts';
import { VoiceEncoder } from './voice-encoder.ts';
import type { Wire, WireEvents } from './wire.ts';

const FIGURES_EVERY_MS = 1_000;

export class FrameLink {
  private readonly decoder: ChunkDecoder;
  private readonly acks = new AckWriter((message) => { this.wire?.acks(message); });
  private wire: Wire | undefined;
  private pictures: MessagePort | undefined;
  private sound: SoundDecoder | undefined;
  private readonly spoken = new VoiceWriter();
  private voice: VoiceEncoder | undefined;
  private over = false;
  private figures: ReturnType<typeof setInterval> | undefined;

  /** `post` tells the page; `onOver` is told once nothing more is said. */
  constructor(private readonly post: (message: FromLink) => void, private readonly onOver: () => void) {
    this.decoder = new ChunkDecoder({
      onAck: (ack, queued) => { this.acks.note(ack, queued); },
      onPicture: (picture) => { this.show(picture); },
      onKeyframeNeeded: () => { this.wire?.control(JSON.stringify({ type: 'keyframe' })); },
      onFailed: (reason) => { this.end(`cannot be decoded here: ${reason}`, true); },
    });
  }

  take(message: ToLink): void {
    switch (message.type) {
      case 'open':
        this.pictures = message.pictures;
        this.sound = new SoundDecoder(message.sound, 90_000);
        this.open(message.address, message.limitMs);
        return;
      case 'control':
        this.wire?.control(message.text);
        return;
      case 'input':
        this.wire?.input(message.bytes);
        return;
      case 'motion':
        this.wire?.motion(message.bytes);
        return;
      case 'voice':
        this.speak(message.blocks);
        return;
      case 'probe':
        this.acks.repeat();
        return;
      case 'close':
        this.end('was closed here');
    }
  }

  private open(address: LinkAddress, limitMs: number): void {
    const begun = performance.now();
    const events: WireEvents = {
      onControl: (text) => { this.post({ type: 'control', text }); },
      onFrame: (frame) => { this.decoder.received(frame); },
      onLost: (header, firstAt) => { if (!this.over) this.decoder.lost(header, firstAt); },
      onDatagram: (bytes) => { this.sound?.take(parseAudio(bytes) ?? []); },
      onSent: (pipe, bytes) => { this.post({ type: 'sent', pipe, bytes }); },
      onOver: (reason) => { this.end(reason); },
    };
    const wire = address.kind === 'webtransport' ? new QuicWire(address, events) : new SocketWire(address.url, events);
    this.wire = wire;
    wire.open(limitMs).then(() => {
      if (this.over) return;
      this.post({ type: 'ready', connectMs: performance.now() - begun, at: clientNow() });
      this.figures = setInterval(() => { this.tellFigures(); }, FIGURES_EVERY_MS);
    }, () => undefined);
  }

  private speak(blocks: MessagePort | undefined): void {
    this.voice?.close();
    this.voice = undefined;
    if (blocks === undefined || this.over) return;
    const failed = (reason: string): void => { this.post({ type: 'voice-failed', reason }); };
    try {
      this.voice = new VoiceEncoder(blocks, this.spoken, (datagram) => { this.wire?.voice(datagram); }, failed);
    } catch (error) {
      failed(messageOf(error));
    }
  }

  private tellFigures(): void {
    const sound = this.sound?.figures ?? { expected: 0, lost: 0, recovered: 0 };
    this.post({ type: 'figures', figures: { ...this.decoder.figures(), sound } });
  }

  private end(reason: string, cannotDecode = false): void {
    if (this.over) return;
    this.over = true;
    clearInterval(this.figures);
    this.post({ type: 'closed', reason, cannotDecode });
    this.decoder.close();
    this.pictures?.close();
    this.sound?.close();
    this.voice?.close();
    this.wire?.close();
    this.onOver();
  }

  private show(picture: Picture): void {
    if (this.pictures === undefined) picture.image.close();
    else this.pictures.postMessage(picture, [picture.image]);
  }
}
