// The presenting worker: takes decoded frames, draws each at once, and tells the page a few times a
// second what it did. The page's main thread never touches a frame.
import type { FromWorker, ToWorker } from '../video/messages.ts';
import { messageOf, Pipeline } from '../video/pipeline.ts';
import { ProgressBatch } from '../video/reports.ts';
import type { Decoder } from '../video/seam.ts';
import { CanvasPresenter } from './canvas-presenter.ts';
import { PictureDecoder } from './picture-decoder.ts';
import { FrameStripReader } from './strips.ts';
import { TrackDecoder } from './track-decoder.ts';

declare const self: DedicatedWorkerGlobalScope;

let pipeline: Pipeline<VideoFrame> | undefined;

function say(message: FromWorker): void {
  self.postMessage(message);
}

function stopped(failure: string | undefined): void {
  say({ type: 'stopped', failure });
}

function play(decoder: Decoder<VideoFrame>): void {
  if (pipeline === undefined) decoder.close();
  else pipeline.play(decoder);
}

function take(message: ToWorker): void {
  switch (message.type) {
    case 'canvas':
      pipeline = new Pipeline(
        new CanvasPresenter(message.canvas),
        message.strips ? new FrameStripReader() : undefined,
        new ProgressBatch(
          (progress) => { say({ type: 'progress', progress }); },
          (frame) => { say({ type: 'decoded', frame }); },
        ),
        stopped,
      );
      return;
    case 'frames':
      play(new TrackDecoder(message.frames));
      return;
    case 'pictures':
      play(new PictureDecoder(message.port));
      return;
    case 'strips':
      say({ type: 'strips', id: message.id, strips: pipeline?.takeStrips(message.which) ?? [] });
      return;
    case 'close':
      try {
        pipeline?.close();
      } finally {
        self.close();
      }
  }
}

self.onmessage = ({ data }: MessageEvent<ToWorker>): void => {
  try {
    take(data);
  } catch (error) {
    // Told in words: what a worker throws later on never reaches the page's `onerror`.
    stopped(messageOf(error));
  }
};
self.onmessageerror = () => {
  stopped('frames cannot be handed to a worker here');
};
