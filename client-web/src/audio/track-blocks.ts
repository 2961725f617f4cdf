// A track of sound that the page decodes and plays itself, as it does what comes by WebTransport. Browsers keep some
// 30 ms in their jitter buffer, and play by a way that takes as long again.
import type { SoundCounts } from './order.ts';
import type { TrackFigures, TrackTransform } from './messages.ts';

export class TrackBlocks {
  /** Decoded blocks come here. */
  readonly blocks: MessagePort;
  /** Once they are known. */
  figures: SoundCounts | undefined;
  private readonly worker: Worker;

  /** `onFailed`: there is no worker, and the browser plays the track. */
  constructor(receiver: RTCRtpReceiver, onFailed: () => void) {
    const { port1, port2 } = new MessageChannel();
    this.blocks = port2;
    this.worker = new Worker(new URL('../worker/track-sound.ts', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }: MessageEvent<TrackFigures>) => { this.figures = data; };
    this.worker.onerror = () => {
      receiver.transform = null;
      onFailed();
    };
    const options: TrackTransform = { blocks: port1 };
    receiver.transform = new RTCRtpScriptTransform(this.worker, options, [port1]);
  }

  close(): void {
    this.worker.terminate();
    this.blocks.close();
  }
}
