// Frames by MediaStreamTrackProcessor, drawn in a worker. In Chromium 156 the processor exists on the
// page only and tracks cannot be transferred, but its stream of frames can, and frames then go to the
// worker directly.
import type { FromWorker, ToWorker, WhichStrips } from './messages.ts';
import type { StripSample } from './strip.ts';
import type { VideoView, ViewEvents } from './view.ts';

export class WorkerView implements VideoView {
  readonly kind = 'track-processor';
  readonly element: HTMLCanvasElement;
  private readonly worker: Worker;
  private readonly waiting = new Map<number, (strips: readonly StripSample[]) => void>();
  private asked = 0;

  constructor(strips: boolean, private readonly events: ViewEvents) {
    this.element = document.createElement('canvas');
    this.worker = new Worker(new URL('../worker/present.ts', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      this.take(data);
    };
    this.worker.onerror = (event) => {
      events.onStopped(event.message === '' ? 'the presenting worker did not start' : event.message);
    };
    const canvas = this.element.transferControlToOffscreen();
    this.say({ type: 'canvas', canvas, strips }, [canvas]);
  }

  attach(track: MediaStreamTrack): void {
    const Processor = globalThis.MediaStreamTrackProcessor;
    if (Processor === undefined) throw new TypeError('this browser has no track processor');
    // One frame: a newer one takes the place of one that was not drawn in time.
    const { readable } = new Processor({ track, maxBufferSize: 1 });
    this.say({ type: 'frames', frames: readable }, [readable]);
  }

  attachPictures(pictures: MessagePort): void {
    this.say({ type: 'pictures', port: pictures }, [pictures]);
  }

  strips(which: WhichStrips): Promise<readonly StripSample[]> {
    const id = (this.asked += 1);
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.say({ type: 'strips', id, which });
    });
  }

  close(): void {
    this.worker.onmessage = null;
    this.worker.onerror = null;
    this.say({ type: 'close' });
    for (const resolve of this.waiting.values()) resolve([]);
    this.waiting.clear();
    this.element.remove();
  }

  private take(message: FromWorker): void {
    switch (message.type) {
      case 'decoded':
        this.events.onDecoded(message.frame);
        return;
      case 'progress':
        this.events.onProgress(message.progress);
        return;
      case 'stopped':
        this.events.onStopped(message.failure);
        return;
      case 'strips':
        this.waiting.get(message.id)?.(message.strips);
        this.waiting.delete(message.id);
    }
  }

  private say(message: ToWorker, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }
}
