// On the browser's audio thread: plays what the connection's worker decodes.
import type { FromPlayout, PlayoutReport, SoundBlock, ToPlayout } from '../audio/messages.ts';
import { Playout } from '../audio/playout.ts';

// The scope of worklets, of which TypeScript's library knows nothing.
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare const currentTime: number;
interface NodeOptions {
  readonly outputChannelCount?: readonly number[];
}
declare function registerProcessor(name: string, processor: new (options: NodeOptions) => AudioWorkletProcessor): void;

/** Seconds between two reports. */
const REPORT_EVERY = 0.25;

class PlayoutProcessor extends AudioWorkletProcessor {
  private readonly playout: Playout;
  private blocks: MessagePort | undefined;
  private reportedAt = 0;

  constructor({ outputChannelCount }: NodeOptions) {
    super();
    this.playout = new Playout(outputChannelCount?.[0]);
    this.port.onmessage = ({ data }: MessageEvent<ToPlayout>) => {
      if (data.type === 'hold') {
        this.playout.setHold(data.samples);
        return;
      }
      if (data.type === 'leave') {
        const port = this.blocks;
        this.blocks = undefined;
        if (port !== undefined) this.say({ type: 'left', port }, [port]);
        return;
      }
      this.blocks?.close();
      this.blocks = data.port;
      data.port.onmessage = ({ data: { at, channels } }: MessageEvent<SoundBlock>) => { this.playout.push(at, channels); };
    };
  }

  process(_inputs: unknown, [output]: readonly [Float32Array[]]): boolean {
    const { at } = this.playout;
    this.playout.render(output);
    if (currentTime - this.reportedAt >= REPORT_EVERY) {
      this.reportedAt = currentTime;
      const report: PlayoutReport = { at, contextTime: currentTime, ...this.playout.figures };
      this.say({ type: 'report', report });
    }
    return true;
  }

  private say(message: FromPlayout, transfer: Transferable[] = []): void {
    this.port.postMessage(message, transfer);
  }
}

registerProcessor('nearlight-playout', PlayoutProcessor);
