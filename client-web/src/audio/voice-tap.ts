// Takes the samples of a microphone's track to the worker of a connection, by way of the browser's audio thread. Browsers
// without a processor of audio tracks have that, too.
import workletUrl from '../worker/voice-worklet.ts?worker&url';
import { SAMPLE_RATE } from './playout.ts';

export class VoiceTap {
  private readonly context = new AudioContext({ latencyHint: 'interactive', sampleRate: SAMPLE_RATE });
  private closed = false;

  /** Sends blocks of samples to `blocks`. Rejects where the browser has no worklets. */
  async open(track: MediaStreamTrack, blocks: MessagePort): Promise<void> {
    const { context } = this;
    await context.audioWorklet.addModule(workletUrl);
    if (this.closed) return;
    const options = { numberOfInputs: 1, numberOfOutputs: 1, channelCount: 1, channelCountMode: 'explicit' } as const;
    const node = new AudioWorkletNode(context, 'nearlight-voice', options);
    node.port.postMessage(blocks, [blocks]);
    // What it puts out is silence: it is asked for that, and so is called.
    context.createMediaStreamSource(new MediaStream([track])).connect(node).connect(context.destination);
    await context.resume();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.context.close().catch(() => undefined);
  }
}
