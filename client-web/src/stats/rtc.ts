// What the browser says of the video and sound it receives. WebRTC gives sums; two readings give averages between.
import type { SoundPath } from '../session/connection.ts';

export interface RtcAverages {
  /** Average wait in the jitter buffer since the reading before. */
  readonly jitterBufferMs: number | undefined;
  readonly decodeMs: number | undefined;
  /** In all. */
  readonly packetsLost: number;
  readonly sound: SoundPath | undefined;
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
  private soundBefore: { readonly delay: number; readonly count: number } | undefined;

  /** Averages since the reading before; undefined when no video comes in. */
  read(report: Iterable<readonly [string, unknown]>): RtcAverages | undefined {
    const inbound = [...report].map(([, value]) => value as Entry).filter((entry) => entry['type'] === 'inbound-rtp');
    const sound = inbound.find(({ kind }) => kind === 'audio');
    for (const entry of inbound) {
      if (entry['kind'] !== 'video') continue;
      const [jitterBufferDelay, jitterBufferEmittedCount, totalDecodeTime, framesDecoded] = SUMS.map((name) =>
        typeof entry[name] === 'number' ? entry[name] : 0,
      ) as [number, number, number, number];
      const now: Reading = { jitterBufferDelay, jitterBufferEmittedCount, totalDecodeTime, framesDecoded };
      const before = this.before;
      this.before = now;
      return {
        jitterBufferMs: averageMs(now.jitterBufferDelay, before?.jitterBufferDelay, now.jitterBufferEmittedCount, before?.jitterBufferEmittedCount),
        decodeMs: averageMs(now.totalDecodeTime, before?.totalDecodeTime, now.framesDecoded, before?.framesDecoded),
        packetsLost: number(entry, 'packetsLost') ?? 0,
        sound: sound === undefined ? undefined : this.readSound(sound),
      };
    }
    return undefined;
  }

  private readSound(sound: Entry): SoundPath {
    const delay = number(sound, 'jitterBufferDelay') ?? 0;
    const count = number(sound, 'jitterBufferEmittedCount') ?? 0;
    const before = this.soundBefore;
    this.soundBefore = { delay, count };
    const lost = Math.max(0, number(sound, 'packetsLost') ?? 0);
    // Samples that were made up, without those that made up silence.
    const concealed = (number(sound, 'concealedSamples') ?? 0) - (number(sound, 'silentConcealedSamples') ?? 0);
    return {
      expected: lost + (number(sound, 'packetsReceived') ?? 0),
      lost,
      recovered: (number(sound, 'fecPacketsReceived') ?? 0) - (number(sound, 'fecPacketsDiscarded') ?? 0),
      concealed: `${Math.round(concealed / 48)} ms`,
      bufferMs: averageMs(delay, before?.delay, count, before?.count),
    };
  }
}

/** How long the device takes for what it is given to play, which the browser tells as a sum over all samples. */
export class PlayoutReader {
  private before: { readonly delay: number; readonly count: number } | undefined;

  /** Average in milliseconds since the reading before; undefined where it is not told, or nothing was played. */
  read(report: { forEach(each: (entry: unknown) => void): void }): number | undefined {
    let found: Entry | undefined;
    report.forEach((value) => {
      const entry = value as Entry;
      if (entry['type'] === 'media-playout') found = entry;
    });
    if (found === undefined) return undefined;
    const delay = number(found, 'totalPlayoutDelay') ?? 0;
    const count = number(found, 'totalSamplesCount') ?? 0;
    const { before } = this;
    this.before = { delay, count };
    return averageMs(delay, before?.delay, count, before?.count);
  }
}

type Entry = Readonly<Record<string, unknown>>;

function number(entry: Entry, name: string): number | undefined {
  const value = entry[name];
  return typeof value === 'number' ? value : undefined;
}

/** Milliseconds an item, from seconds and counts. A new connection starts at zero again. */
function averageMs(seconds: number, secondsBefore = 0, count: number, countBefore = 0): number | undefined {
  const fresh = count < countBefore;
  const items = fresh ? count : count - countBefore;
  if (items <= 0) return undefined;
  return ((fresh ? seconds : seconds - secondsBefore) * 1000) / items;
}
