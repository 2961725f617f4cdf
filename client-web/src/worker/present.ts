// The presenting worker: takes decoded frames, draws each at once, and tells the page a few times a
// second what it did. The page's main thread never touches a frame.
import { clientNow } from '../units.ts';
import type { FromWorker, ToWorker } from '../video/messages.ts';
import { ProgressBatch } from '../video/reports.ts';
import { forEachFrame, type DecodedFrame } from './frames.ts';
import { Painter } from './painter.ts';
import { StripReader } from './strips.ts';

declare const self: DedicatedWorkerGlobalScope;

const batch = new ProgressBatch((progress) => {
  say({ type: 'progress', progress });
});
let painter: Painter | undefined;
let strips: StripReader | undefined;
let reader: ReadableStreamDefaultReader<VideoFrame> | undefined;

function say(message: FromWorker): void {
  self.postMessage(message);
}

async function present(decoded: DecodedFrame): Promise<void> {
  if (painter === undefined) return;
  // Started before drawing so that both go on together; drawing does not wait for it.
  const reading = strips?.read(decoded.frame, decoded.decodedAt);
  const size = painter.paint(decoded.frame);
  batch.note({ size, rtp: decoded.rtp, decodedAt: decoded.decodedAt, presentedAt: clientNow() });
  await reading;
}

async function play(frames: ReadableStream<VideoFrame>): Promise<void> {
  const mine = frames.getReader();
  const before = reader;
  reader = mine;
  batch.restart();
  await before?.cancel();
  let failure: string | undefined;
  try {
    await forEachFrame(mine, present);
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  }
  if (reader === mine) say({ type: 'stopped', failure });
}

self.onmessage = async ({ data }: MessageEvent<ToWorker>): Promise<void> => {
  switch (data.type) {
    case 'canvas':
      painter = new Painter(data.canvas);
      strips = data.strips ? new StripReader() : undefined;
      return;
    case 'frames':
      await play(data.frames);
      return;
    case 'strips':
      say({ type: 'strips', id: data.id, strips: strips?.take(data.which) ?? [] });
      return;
    case 'close':
      batch.close();
      await reader?.cancel();
      self.close();
  }
};
