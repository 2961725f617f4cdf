// Figures of the last while, for the graph.
import type { StageStat, Stats } from '../wire/index.ts';

/** How far back the graph reaches. */
export const WINDOW_MS = 30_000;

/** A stage's part of the whole. */
export interface Span {
  readonly stage: string;
  readonly ms: number;
}

export interface Sample {
  /** When it came, on the scale of `performance.now()`. */
  readonly at: number;
  readonly stages: readonly Span[];
  /** 95th percentile of the whole, where it is known. */
  readonly totalP95: number | undefined;
}

export class StatsHistory {
  private kept: Sample[] = [];

  add(stats: Stats, at: number): void {
    const sample: Sample = { at, stages: spans(stats), totalP95: stats.total?.p95 };
    this.kept = [...this.kept.filter((old) => at - old.at < WINDOW_MS), sample];
  }

  get samples(): readonly Sample[] {
    return this.kept;
  }
}

/**
 * The stages of the whole, such that they add up to it: means over the frames whose whole way is known. Before
 * there are any, medians of what is known.
 */
export function spans({ stages, mean_total: total }: Pick<Stats, 'stages' | 'mean_total'>): readonly Span[] {
  if (total == null) return stages.map(({ stage, ms }) => ({ stage, ms: ms.p50 }));
  return stages.flatMap(({ stage, mean }) => (mean == null ? [] : [{ stage, ms: mean }]));
}

/** Names of stages for people; the server's name where it has a new one. */
const TITLES: Readonly<Record<string, string>> = {
  capture: 'Capture',
  draw: 'Draw',
  convert: 'Convert',
  mailbox: 'Mailbox',
  encode: 'Encode',
  queue: 'Queue',
  packetise: 'Packetise',
  pace: 'Pace',
  seal: 'Seal',
  send: 'Send',
  network: 'Network',
  decode: 'Decode',
  present: 'Present',
};

/** In the order of a frame's way. */
export const STAGES: readonly string[] = Object.keys(TITLES);

export function stageTitle(stage: string, all: readonly StageStat[]): string {
  // WebRTC does not tell these three apart.
  if (stage === 'network' && all.every((other) => other.stage !== 'decode')) return 'Network + jitter + decode';
  return TITLES[stage] ?? stage;
}

/** A round number that is at least `value`: 1, 2 or 5 times a power of ten. */
export function niceCeiling(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= value * (1 - 1e-9)) ?? 10;
  return step * power;
}
