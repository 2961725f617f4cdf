// On the browser's audio thread: passes on what the microphone hears, in blocks that are packets of Opus.
import { BLOCK } from '../audio/voice.ts';

// The scope of worklets, of which TypeScript's library knows nothing.
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;

class VoiceProcessor extends AudioWorkletProcessor {
  private blocks: MessagePort | undefined;
  private block = new Float32Array(BLOCK);
  private filled = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<MessagePort>) => { this.blocks = data; };
  }

  process([input]: readonly (readonly Float32Array[])[]): boolean {
    // Without a channel there is nothing connected any more.
    for (const sample of input?.[0] ?? []) {
      this.block[this.filled] = sample;
      this.filled += 1;
      if (this.filled === BLOCK) this.pass();
    }
    return true;
  }

  private pass(): void {
    this.blocks?.postMessage(this.block, [this.block.buffer]);
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
  }
}

registerProcessor('nearlight-voice', VoiceProcessor);
