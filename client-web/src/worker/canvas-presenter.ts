// Draws frames on a canvas that the page shows.
//
// Measured in Chromium 156 without a GPU, a 1280x720 I420 frame, median: 2D `drawImage` 4.4 ms,
// `ImageBitmapRenderer` 6.8 ms, WebGL `texImage2D` 11.9 ms. So 2D it is; `desynchronized` asks for the
// way to the screen that skips the compositor's queue where there is one. It is sRGB of 8 bits a sample, so
// pictures of high dynamic range are not drawn here (view.ts).
import { clientNow, type Micros } from '../units.ts';
import type { DecodedFrame, Presenter } from '../video/seam.ts';

export class CanvasPresenter implements Presenter<VideoFrame> {
  private readonly context: OffscreenCanvasRenderingContext2D;

  constructor(private readonly canvas: OffscreenCanvas) {
    const context = canvas.getContext('2d', { alpha: false, desynchronized: true });
    if (context === null) throw new Error('this canvas has no 2D context');
    this.context = context;
  }

  /** Draws the whole frame; the canvas takes the frame's size. */
  present({ image, metadata }: DecodedFrame<VideoFrame>): Micros {
    const { width, height } = metadata.size;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.drawImage(image, 0, 0, width, height);
    return clientNow();
  }
}
