import { describe, expect, it } from 'vitest';
import { FORGIVE_MS, TransportChoice, type Abilities, type Chosen, type TransportWish } from '../src/session/choice.ts';

const able: Abilities = { lacks: undefined, decodes: ['H264', 'AV1'] };
const node = { offered: true, hdr: false };
const of = (choice: TransportChoice, now = 0): Chosen => choice.choose(able, node, now);
const made = (wish: TransportWish = 'auto', lacks?: string): TransportChoice => new TransportChoice(wish, lacks);

describe('the choice of a transport', () => {
  it('is settled before the node is asked only where the node cannot change it', () => {
    expect(made('webrtc').isSettled).toBe(true);
    expect(made('auto', 'this browser has no WebTransport').isSettled).toBe(true);
    expect(made('auto').isSettled).toBe(false);
    expect(made('webtransport').isSettled).toBe(false);
  });

  it('says why it is what it is', () => {
    expect(of(made()).kind).toBe('webtransport');
    expect(of(made()).reason).toBe('no jitter buffer between network and decoder; decodes H264, AV1');
    expect(of(made('webtransport')).reason).toMatch(/address asks/);
    expect(of(made('webrtc'))).toEqual({ kind: 'webrtc', reason: 'the page’s address asks for it' });
    expect(of(made('webtransport', 'no such thing'))).toEqual({ kind: 'webrtc', reason: 'no such thing' });
    expect(made().choose(able, { offered: false, hdr: false }, 0)).toEqual({ kind: 'webrtc', reason: 'the node offers no WebTransport' });
    expect(made().choose({ lacks: 'decodes nothing', decodes: [] }, node, 0)).toEqual({ kind: 'webrtc', reason: 'decodes nothing' });
    expect(made().choose(able, { offered: true, hdr: true }, 0).kind).toBe('webrtc');
  });

  it('remembers what failed, and not for ever', () => {
    const choice = made();
    choice.failed('webtransport', 'did not connect', 10);
    expect(of(choice, 10 + FORGIVE_MS - 1)).toEqual({ kind: 'webrtc', reason: 'WebTransport did not connect' });
    expect(of(choice, 10 + FORGIVE_MS).kind).toBe('webtransport');
    choice.failed('webrtc', 'whatever', 20 + FORGIVE_MS);
    expect(of(choice, 21 + FORGIVE_MS).kind).toBe('webtransport');
  });

  it('takes a break for chance, and two within a minute for none', () => {
    const choice = made();
    choice.broke('webtransport', 0);
    choice.broke('webrtc', 1);
    choice.broke('webtransport', 60_000);
    expect(of(choice, 60_000).kind).toBe('webtransport');
    choice.broke('webtransport', 119_999);
    expect(of(choice, 120_000)).toEqual({ kind: 'webrtc', reason: 'WebTransport broke 2 times within a minute' });
  });

  it('is whoever plays’ own, whatever failed before', () => {
    const choice = made();
    choice.failed('webtransport', 'did not connect', 0);
    choice.prefer('webtransport');
    expect(of(choice, 1)).toMatchObject({ kind: 'webtransport', reason: expect.stringContaining('chosen here') as string });
    choice.prefer('webrtc');
    expect(of(choice, 1)).toEqual({ kind: 'webrtc', reason: 'chosen here' });
    expect(choice.isSettled).toBe(true);
  });
});
