import { describe, expect, it } from 'vitest';
import { rtp, type Micros } from '../src/units.ts';
import { AckWriter, encodeAcks, MOST_ACKS, REPEATED, type AckState, type FrameAck } from '../src/wire/acks.ts';

const ack = (n: number, state: AckState = 'decoded'): FrameAck => ({ rtp: rtp(n), state, firstAt: (n * 1_000) as Micros, lastAt: (n * 1_000 + 300) as Micros });
/** Timestamp and state of each frame in a message. */
const told = (message: Uint8Array): readonly (readonly [number, number])[] => {
  const view = new DataView(message.buffer);
  return Array.from({ length: (message.length - 2) / 21 }, (_, at) => [view.getUint32(2 + 21 * at), view.getUint8(6 + 21 * at)] as const);
};

describe('acknowledgements', () => {
  it('have the bytes that the server reads', () => {
    const frame: FrameAck = { rtp: rtp(0x0102_0304), state: 'received', firstAt: 5 as Micros, lastAt: 0x0600 as Micros };
    // The same vector as in media/src/acks.rs.
    expect([...encodeAcks(7, [frame])]).toEqual([1, 7, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 6, 0]);
  });

  it('count time as far as a browser does', () => {
    const latest = Number.MAX_SAFE_INTEGER as Micros;
    expect([...encodeAcks(0, [{ rtp: rtp(-1), state: 'dropped', firstAt: latest, lastAt: latest }])]).toEqual(
      [1, 0, 255, 255, 255, 255, 2, 0, 31, 255, 255, 255, 255, 255, 255, 0, 31, 255, 255, 255, 255, 255, 255],
    );
  });

  it('tell a long queue from one that is not known', () => {
    expect(encodeAcks(undefined, [ack(1)])[1]).toBe(255);
    expect(encodeAcks(1_000, [ack(1)])[1]).toBe(254);
  });

  it('have at most as many frames as the server takes, the newest', () => {
    const message = encodeAcks(0, Array.from({ length: MOST_ACKS + 3 }, (_, n) => ack(n)));
    expect(told(message).map(([stamp]) => stamp)).toEqual(Array.from({ length: MOST_ACKS }, (_, n) => n + 3));
  });

  it('repeat the newest frames, each with what is known of it last', () => {
    const messages: Uint8Array[] = [];
    const writer = new AckWriter((message) => messages.push(message));
    for (let n = 0; n < REPEATED; n += 1) writer.note(ack(n), 0);
    writer.note(ack(REPEATED, 'received'), 0);
    writer.note(ack(2, 'dropped'), 0);
    writer.note(ack(REPEATED), 0);
    expect(told(messages[0] ?? new Uint8Array())).toEqual([[0, 1]]);
    expect(told(messages.at(-3) ?? new Uint8Array())).toEqual([[1, 1], [2, 1], [3, 1], [4, 0]]);
    expect(told(messages.at(-2) ?? new Uint8Array())).toEqual([[1, 1], [3, 1], [4, 0], [2, 2]]);
    expect(told(messages.at(-1) ?? new Uint8Array())).toEqual([[1, 1], [3, 1], [2, 2], [4, 1]]);
  });
});
