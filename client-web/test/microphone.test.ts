import { describe, expect, it, vi } from 'vitest';
import { parseAudio } from '../src/audio/datagram.ts';
import { levelOf, Microphone, type MicrophoneState, reasonOf } from '../src/audio/microphone.ts';
import { VoiceWriter } from '../src/audio/voice.ts';
import { microphoneOf } from '../src/stats/microphone.ts';
import { rtp } from '../src/units.ts';
import type { MicrophoneStats } from '../src/wire/index.ts';

describe('datagrams of the player’s voice', () => {
  const packet = (byte: number): Uint8Array => Uint8Array.of(byte, byte, byte);
  const written = (writer: VoiceWriter, data: Uint8Array, ms: number) => {
    const datagram = writer.write(data, ms * 1000);
    return datagram === undefined ? undefined : parseAudio(datagram);
  };

  it('have each packet, and the one before it once more', () => {
    const writer = new VoiceWriter();
    const [first] = written(writer, packet(1), 0) ?? [];
    expect(first).toMatchObject({ rtp: rtp(0), channels: 2, data: packet(1) });
    const sequence = ((first?.sequence ?? 0) + 1) & 0xffff;
    expect(written(writer, packet(2), 20)).toEqual([
      { sequence, rtp: rtp(1800), channels: 2, data: packet(2) },
      { sequence: first?.sequence, rtp: rtp(0), channels: 2, data: packet(1) },
    ]);
  });

  it('leave silence out, and count on after it', () => {
    const writer = new VoiceWriter();
    const [first] = written(writer, packet(1), 0) ?? [];
    expect(written(writer, Uint8Array.of(8), 20)).toBeUndefined();
    expect(written(writer, packet(2), 40)).toEqual([{ sequence: ((first?.sequence ?? 0) + 1) & 0xffff, rtp: rtp(3600), channels: 2, data: packet(2) }]);
    // The next time that it is on, an encoder counts its time anew; one that was long silent is too far away.
    expect(written(writer, packet(3), 0)).toHaveLength(1);
    expect(written(writer, packet(4), 5_000)).toHaveLength(1);
  });
});

describe('the microphone', () => {
  it('shows how loud it is evenly in decibels', () => {
    const tone = (level: number): Float32Array => new Float32Array(100).map((_, at) => (at % 2 === 0 ? level : -level));
    expect(levelOf(tone(1))).toBe(1);
    expect(levelOf(tone(0.0316))).toBeCloseTo(0.5, 2);
    expect(levelOf(tone(0))).toBe(0);
    expect(levelOf(new Float32Array(0))).toBe(0);
  });

  it.each([
    ['NotAllowedError', /does not let this page/],
    ['NotFoundError', /No microphone was found/],
    ['NotReadableError', /another program may have it/],
    ['OddError', /gave no microphone: odd/],
  ])('says in words why there is none: %s', (name, words) => {
    expect(reasonOf(new DOMException('odd', name))).toMatch(words);
  });

  it('stays off and says why where the browser has none', async () => {
    vi.stubGlobal('navigator', {});
    const states: MicrophoneState[] = [];
    const microphone = new Microphone({ onState: (state) => { states.push(state); }, onLevel: () => undefined });
    await microphone.turnOn();
    expect(states).toEqual([{ name: 'asking' }, { name: 'off', why: 'The browser gives its microphone to pages over HTTPS only' }]);
    // Who changes their mind while the browser asks is not heard.
    const asked = microphone.turnOn();
    microphone.turnOff();
    await asked;
    expect(states.slice(2)).toEqual([{ name: 'asking' }, { name: 'off' }]);
    vi.unstubAllGlobals();
  });

  it('is told in words', () => {
    const stats: MicrophoneStats = { on: true, recorded: true, kbps: 31, packets: 98, lost: 2, recovered: 1, refused: 0, buffer_ms: 40, dropped_ms: 0 };
    expect(microphoneOf(undefined)).toBe('not used here');
    expect(microphoneOf({ ...stats, on: false, recorded: false })).toBe('off, the game does not listen');
    expect(microphoneOf(stats)).toBe('31 kbit/s, the game listens, 2 of 100 packets lost, 1 made up for, buffer 40 ms');
    expect(microphoneOf({ ...stats, dropped_ms: 7 })).toMatch(/, 7 ms left out$/);
    expect(microphoneOf({ ...stats, failed: 'no libopus' })).toBe('not heard: no libopus');
  });
});
