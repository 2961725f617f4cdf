// What the browser says of the video it receives. WebRTC gives sums; two readings give averages between.

export interface RtcAverages {
  /** Average wait in the jitter buffer since the reading before. */
  readonly jitterBufferMs: number | undefined;
  readonly decodeMs: number | undefined;
  /** In all. */
  readonly packetsLost: number;
}

interface Reading {
  readonly jitterBufferDelay: number;
  readonly jitterBufferEmittedCount: number;
  readonly totalDecodeTime: number;
  readonly framesDecoded: number;
}

const SUMS = ['jitterBufferDelay', 'jitterBufferEmittedCount', 'totalDecodeTime', 'framesDecoded'] as const;

export class RtcStatsReader {
  private before: Reading | undefined;

  /** Averages since the reading before; undefined when no video comes in. */
  read(report: Iterable<readonly [string, unknown]>): RtcAverages | undefined {
    for (const [, value] of report) {
      const entry = value as Readonly<Record<string, unknown>>;
      if (entry['type'] !== 'inbound-rtp' || entry['kind'] !== 'video') continue;
      const [jitterBufferDelay, jitterBufferEmittedCount, totalDecodeTime, framesDecoded] = SUMS.map((name) =>
        typeof entry[name] === 'number' ? entry[name] : 0,
      ) as [number, number, number, number];
      const now: Reading = { jitterBufferDelay, jitterBufferEmittedCount, totalDecodeTime, framesDecoded };
      const before = this.before;
      this.before = now;
      return {
        jitterBufferMs: averageMs(now.jitterBufferDelay, before?.jitterBufferDelay, now.jitterBufferEmittedCount, before?.jitterBufferEmittedCount),
        decodeMs: averageMs(now.totalDecodeTime, before?.totalDecodeTime, now.framesDecoded, before?.framesDecoded),
        packetsLost: typeof entry['packetsLost'] === 'number' ? entry['packetsLost'] : 0,
      };
    }
    return undefined;
  }
}

/** Milliseconds an item, from seconds and counts. A new connection starts at zero again. */
function averageMs(seconds: number, secondsBefore = 0, count: number, countBefore = 0): number | undefined {
  const fresh = count < countBefore;
  const items = fresh ? count : count - countBefore;
  if (items <= 0) return undefined;
  return ((fresh ? seconds : seconds - secondsBefore) * 1000) / items;
}
