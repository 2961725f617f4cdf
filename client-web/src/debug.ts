// `window.nearlight`: what tests and benches read. It only looks; nothing in it changes the session.
import type { MicrophoneState } from './audio/microphone.ts';
import type { SpeakerFigures, SpeakerState } from './audio/speaker.ts';
import type { Tone } from './audio/tones.ts';
import type { SentInput } from './input/sender.ts';
import type { SoundPath } from './session/connection.ts';
import type { StartTimes, Taken } from './session/events.ts';
import type { PlayState } from './session/state.ts';
import type { Player } from './ui/player.ts';
import type { Size } from './units.ts';
import type { StripSample } from './video/strip.ts';
import type { Hello, Stats } from './wire/index.ts';

export interface NearlightDebug {
  readonly state: PlayState;
  readonly presenter: 'track-processor' | 'video-element' | undefined;
  /** What the session came by. */
  readonly transport: Taken | undefined;
  readonly hello: Hello | undefined;
  /** Newest from the server. */
  readonly stats: Stats | undefined;
  /** Frames shown in all; told about ten times a second. */
  readonly framesPresented: number;
  readonly lastRtp: number | undefined;
  readonly size: Size | undefined;
  /** Whether input can be sent: a connection may show a picture before that. */
  readonly takesInput: boolean;
  /** Number of the newest input event that was sent. */
  readonly lastInput: number;
  /** Moments of the start, microseconds of the client's clock. */
  readonly times: Readonly<StartTimes> | undefined;
  /** Strip of the newest decoded frame; undefined without `?barcode=1` or before the first. */
  readStrip(): Promise<StripSample | undefined>;
  /** Strips read since the last call, oldest first; at most 4096 are kept. */
  takeStrips(): Promise<readonly StripSample[]>;
  /** Input events sent since the last call, oldest first; at most 512 are kept. */
  takeInputs(): readonly SentInput[];
  /** What is known of the sound: its way, and what this page plays itself. */
  sound(): Promise<SoundDebug>;
  /** The loudest tone in each channel that this page plays, before the device has them. */
  tones(): Promise<readonly Tone[]>;
  /** Whether the microphone is on, and how loud it is, 0 to 1. */
  readonly microphone: { readonly name: MicrophoneState['name']; readonly level: number } | undefined;
  /** The browser's statistics as plain objects. */
  rtcStats(): Promise<readonly unknown[]>;
}

/** See `sound`. */
export interface SoundDebug {
  readonly state: SpeakerState | undefined;
  readonly path: SoundPath | undefined;
  readonly played: SpeakerFigures | undefined;
  readonly skewMs: number | undefined;
}

declare global {
  interface Window {
    readonly nearlight: NearlightDebug;
  }
}

/** Puts the object on the window; `current` is the player that is open. */
export function exposeDebug(current: () => Player | undefined): void {
  const debug: NearlightDebug = {
    get state() {
      return current()?.session.state ?? { name: 'idle' };
    },
    get presenter() {
      return current()?.view.kind;
    },
    get transport() {
      return current()?.taken;
    },
    get hello() {
      return current()?.hello;
    },
    get stats() {
      return current()?.stats;
    },
    get framesPresented() {
      return current()?.progress?.presented ?? 0;
    },
    get lastRtp() {
      return current()?.progress?.rtp;
    },
    get size() {
      return current()?.progress?.size;
    },
    get takesInput() {
      return current()?.session.takesInput ?? false;
    },
    get lastInput() {
      return current()?.session.input.newest ?? 0;
    },
    get times() {
      return current()?.session.times;
    },
    async readStrip() {
      return (await current()?.view.strips('newest'))?.[0];
    },
    async takeStrips() {
      return (await current()?.view.strips('all')) ?? [];
    },
    takeInputs() {
      return current()?.session.input.take() ?? [];
    },
    async sound() {
      const path = (await current()?.session.averages())?.sound;
      return { state: current()?.speaker.state, path, played: current()?.speaker.figures, skewMs: current()?.speaker.skewMs };
    },
    tones() {
      return current()?.speaker.tones() ?? Promise.resolve([]);
    },
    get microphone() {
      const voice = current()?.voice;
      return voice === undefined ? undefined : { name: voice.microphone.state.name, level: voice.level };
    },
    async rtcStats() {
      const report = await current()?.session.rtcStats();
      const entries: unknown[] = [];
      report?.forEach((entry: unknown) => entries.push(entry));
      return entries;
    },
  };
  Object.defineProperty(window, 'nearlight', { value: Object.freeze(debug), writable: false });
}
