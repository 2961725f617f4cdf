// Reads the machine-readable strip from a video element, by way of a canvas.
import type { WhichStrips } from './messages.ts';
import type { DecodedFrame } from './seam.ts';
import { CELL, CELLS, readStrip, StripLog, type StripReader, type StripSample } from './strip.ts';

export class ElementStripReader implements StripReader<HTMLVideoElement> {
  private readonly kept = new StripLog();
  private readonly context: CanvasRenderingContext2D | undefined;

  constructor() {
    const canvas = document.createElement('canvas');
    canvas.width = CELLS;
    canvas.height = 1;
    this.context = canvas.getContext('2d', { alpha: false, willReadFrequently: true }) ?? undefined;
  }

  read({ image, metadata }: DecodedFrame<HTMLVideoElement>): void {
    const { context } = this;
    if (context === undefined || metadata.size.width < CELL * CELLS) return;
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, CELL / 2, CELL * CELLS, 1, 0, 0, CELLS, 1);
    const { data } = context.getImageData(0, 0, CELLS, 1);
    const strip = readStrip((cell) => data[cell * 4 + 1]);
    if (strip !== undefined) this.kept.add({ ...strip, decodedAtUs: metadata.decodedAt });
  }

  take(which: WhichStrips): readonly StripSample[] {
    return this.kept.take(which);
  }
}
