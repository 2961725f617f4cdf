// Reading what the server says on the control channel. Unknown kinds are passed over, so that a newer
// server can say more; known kinds with a wrong shape are refused as a whole.
import type { ServerMessage } from './index.ts';

type Check = (value: unknown) => boolean;
type Shape = Readonly<Record<string, Check>>;

const text: Check = (value) => typeof value === 'string';
const number: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const oneOf = (...words: readonly string[]): Check => (value) => words.some((word) => word === value);
const truth: Check = (value) => typeof value === 'boolean';
const maybe = (check: Check): Check => (value) => value === undefined || value === null || check(value);
const whole = (least: number, most: number): Check => (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
const pairOf = (check: Check): Check => (value) => Array.isArray(value) && value.length === 2 && value.every(check);
const listOf = (check: Check): Check => (value) => Array.isArray(value) && value.every(check);
const object = (shape: Shape): Check => (value) =>
  isRecord(value) && Object.entries(shape).every(([key, check]) => check(value[key]));

/** Of at most 24 kB; it goes into a style, so nothing else may be in it. */
const base64: Check = (value) => typeof value === 'string' && value.length <= 32_768 && /^[A-Za-z0-9+/]+={0,2}$/.test(value);

const bytes = (count: number): Check => (value) => Array.isArray(value) && value.length === count && value.every(whole(0, 255));
const taken = oneOf('itself', 'with_pressure', 'pointer', 'nothing');

/** An amount: below 2^128, which has 39 digits. */
const planck: Check = (value) => typeof value === 'string' && /^\d{1,39}$/.test(value);

const percentiles = object({ p50: number, p95: number, p99: number });
const shapes: Readonly<Record<ServerMessage['type'], Check>> = {
  hello: object({
    session: text,
    role: text,
    video: object({ width: number, height: number, fps: number, max_kbps: number, hdr: truth }),
    encoder: text,
    codec: text,
    encoder_caveat: maybe(text),
    declined: listOf(text),
    hdr_declined: maybe(text),
    screen_refused: maybe(text),
    device: text,
    input: maybe(object({ touch: taken, pen: taken, pad_extras: truth, text: truth, prefers_text: truth, prefers_absolute: truth, pads: oneOf('devices', 'library', 'nothing'), no_devices: maybe(text) })),
    microphone: oneOf('allowed', 'not_by_game', 'not_by_node', 'not_by_role'),
  }),
  ping: object({ id: number }),
  stats: object({
    fps: number,
    kbps: number,
    target_kbps: number,
    coded: listOf(number),
    internal: listOf(number),
    rtt_ms: maybe(number),
    clock_error_ms: maybe(number),
    unchanged: number,
    dropped: number,
    keyframes: number,
    input_dropped: number,
    viewers: object({ co_players: number, spectators: number }),
    rate: object({ path: text, limited_by: text, queue_ms: number, arrives_kbps: number, frame_rate: number, size: number, size_changes: number }),
    microphone: maybe(object({ on: truth, recorded: truth, kbps: number, packets: number, lost: number, recovered: number, refused: number, buffer_ms: number, dropped_ms: number, failed: maybe(text) })),
    stages: listOf(object({ stage: text, ms: percentiles, mean: maybe(number) })),
    mean_total: maybe(number),
    total: maybe(percentiles),
  }),
  pad_effects: object({ pad: whole(0, 3), light: maybe(bytes(3)), players: maybe(whole(0, 255)), left: maybe(bytes(11)), right: maybe(bytes(11)) }),
  rumble: object({ pad: number, strong: number, weak: number, ms: number }),
  cursor: object({
    look: maybe(object({ png: base64, size: pairOf(whole(1, 128)), scale: whole(1, 128), hotspot: pairOf(whole(0, 127)) })),
  }),
  pointer: object({ x: number, y: number }),
  clipboard: object({ number: whole(1, Number.MAX_SAFE_INTEGER) }),
  starting: object({ step: oneOf('sandbox', 'display', 'game', 'picture') }),
  lease: object({ order: text, trial: truth, left_ms: whole(0, Number.MAX_SAFE_INTEGER), over_block: number, metered_ms: whole(0, Number.MAX_SAFE_INTEGER), charged_planck: planck, receipts: text }),
  receipt: object({ chain: text, sequence: whole(0, 0xffff_ffff), record: text, signature: text }),
  warning: object({ reason: text, in_ms: number }),
  ended: object({ reason: text, code: maybe(text) }),
};

/** The message, or undefined when it is not one that this client understands. */
export function parseServerMessage(data: string): ServerMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || typeof value['type'] !== 'string' || !Object.hasOwn(shapes, value['type'])) return undefined;
  const kind = value['type'] as ServerMessage['type'];
  return shapes[kind](value) ? (value as ServerMessage) : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
