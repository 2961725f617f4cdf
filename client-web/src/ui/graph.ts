// The stacked graph of latency stages over time. It is decoration for the table beside it, which says the
// same in numbers.
import { niceCeiling, STAGES, WINDOW_MS, type Sample } from '../stats/history.ts';
import { h } from './dom.ts';

/** One colour a stage, in the order of the frame's way (STAGES). Legible on the dark panel in both schemes. */
const COLOURS = [
  '#5b8def',
  '#4aa8e8',
  '#3cc4c9',
  '#52cf96',
  '#a9d65a',
  '#e9d74a',
  '#f5bb45',
  '#f2974d',
  '#ea7561',
  '#e0608f',
  '#cf6fd0',
  '#b57bf0',
  '#8a86f7',
] as const;

export function stageColour(stage: string): string {
  return COLOURS[Math.max(0, STAGES.indexOf(stage)) % COLOURS.length] ?? COLOURS[0];
}

/** Least height of the scale in milliseconds, so that a fast path does not look like a slow one. */
const LEAST_SCALE = 10;

export class LatencyGraph {
  readonly element = h('canvas', { class: 'graph', role: 'img', 'aria-label': 'Latency by stage over 30 seconds' });

  /** Draws the samples as they stand `now`, on the scale of `performance.now()`. */
  draw(samples: readonly Sample[], now: number): void {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width === 0) return;
    const ratio = Math.min(window.devicePixelRatio, 2);
    this.element.width = Math.round(width * ratio);
    this.element.height = Math.round(height * ratio);
    const context = this.element.getContext('2d');
    if (context === null) return;
    context.scale(ratio, ratio);
    const tops = samples.map((sample) => Math.max(sample.stages.reduce((sum, { ms }) => sum + ms, 0), sample.totalP95 ?? 0));
    const top = niceCeiling(Math.max(LEAST_SCALE, ...tops));
    const x = (at: number): number => width * (1 - (now - at) / WINDOW_MS);
    const y = (value: number): number => height - (value / top) * height;
    this.bands(context, samples, x, y, now);
    this.ceiling(context, samples, x, y, now);
    this.scale(context, top, width, y);
  }

  private bands(
    context: CanvasRenderingContext2D,
    samples: readonly Sample[],
    x: (at: number) => number,
    y: (value: number) => number,
    now: number,
  ): void {
    samples.forEach((sample, index) => {
      const left = x(sample.at);
      const right = x(samples[index + 1]?.at ?? now);
      let sum = 0;
      sample.stages.forEach(({ stage, ms }) => {
        const next = sum + ms;
        context.fillStyle = stageColour(stage);
        // Half a pixel of overlap hides the seams between columns.
        context.fillRect(left, y(next), right - left + 0.5, y(sum) - y(next));
        sum = next;
      });
    });
  }

  private ceiling(
    context: CanvasRenderingContext2D,
    samples: readonly Sample[],
    x: (at: number) => number,
    y: (value: number) => number,
    now: number,
  ): void {
    context.beginPath();
    samples.forEach((sample, index) => {
      if (sample.totalP95 === undefined) return;
      context.lineTo(x(sample.at), y(sample.totalP95));
      context.lineTo(x(samples[index + 1]?.at ?? now), y(sample.totalP95));
    });
    context.strokeStyle = 'rgb(255 255 255 / 0.75)';
    context.lineWidth = 1;
    context.stroke();
  }

  private scale(context: CanvasRenderingContext2D, top: number, width: number, y: (value: number) => number): void {
    context.font = '10px system-ui, sans-serif';
    context.textBaseline = 'top';
    for (const value of [top, top / 2]) {
      const line = Math.round(y(value)) + 0.5;
      context.strokeStyle = 'rgb(255 255 255 / 0.16)';
      context.beginPath();
      context.moveTo(0, line);
      context.lineTo(width, line);
      context.stroke();
      context.fillStyle = 'rgb(255 255 255 / 0.7)';
      context.fillText(`${value} ms`, 4, line + 3);
    }
  }
}
