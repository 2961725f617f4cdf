// The user's microphone: off until somebody turns it on, which asks the browser, which asks the user. It never comes on
// by itself, and what ends the session or the device turns it off.

export type MicrophoneState =
  /** `why`: what turned it off, or kept it off, where that was not the user. */
  | { readonly name: 'off'; readonly why?: string }
  /** The browser asks its user. */
  | { readonly name: 'asking' }
  | { readonly name: 'on'; readonly track: MediaStreamTrack };

export interface MicrophoneEvents {
  readonly onState: (state: MicrophoneState) => void;
  /** How loud it is, 0 to 1, a few times a second while it is on. */
  readonly onLevel: (level: number) => void;
}

/** Speech from loudspeakers must not come back as the player's. */
const WANTED: MediaStreamConstraints = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
};
const LEVEL_MS = 100;
/** What is quieter than this, in decibels below the loudest, is shown as silence. */
const QUIET_DB = -60;

/** Why the browser gives no microphone, in words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'The browser gave no microphone';
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'The browser does not let this page use the microphone';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'No microphone was found';
    case 'NotReadableError':
    case 'AbortError':
      return 'The microphone cannot be opened: another program may have it';
    default:
      return `The browser gave no microphone: ${error.message}`;
  }
}

/** How loud these samples are, 0 to 1, evenly in decibels. */
export function levelOf(samples: Float32Array): number {
  const energy = samples.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(samples.length, 1);
  const decibels = 10 * Math.log10(energy);
  return Math.min(Math.max(1 - decibels / QUIET_DB, 0), 1);
}

export class Microphone {
  private current: MicrophoneState = { name: 'off' };
  /** Counts askings: what comes of an earlier one is not wanted any more. */
  private asked = 0;
  private meter: { readonly context: AudioContext; readonly timer: ReturnType<typeof setInterval> } | undefined;

  constructor(private readonly events: MicrophoneEvents) {}

  get state(): MicrophoneState {
    return this.current;
  }

  toggle(): void {
    if (this.current.name === 'off') this.turnOn().catch(() => undefined);
    else this.turnOff();
  }

  /** Asks for it, and turns it on where the user lets it. */
  async turnOn(): Promise<void> {
    if (this.current.name !== 'off') return;
    this.asked += 1;
    const { asked } = this;
    this.become({ name: 'asking' });
    const [track, why] = await ask();
    if (asked !== this.asked || this.state.name !== 'asking') {
      track?.stop();
      return;
    }
    if (track === undefined) {
      this.become({ name: 'off', why });
      return;
    }
    // Told where the device goes, or the browser's user takes it back; not where `stop` ends it.
    track.onended = () => { this.turnOff('The microphone is gone'); };
    this.become({ name: 'on', track });
    this.measure(track);
  }

  turnOff(why?: string): void {
    if (this.current.name === 'off') return;
    const { current } = this;
    this.asked += 1;
    if (this.meter !== undefined) {
      clearInterval(this.meter.timer);
      this.meter.context.close().catch(() => undefined);
      this.meter = undefined;
    }
    this.become(why === undefined ? { name: 'off' } : { name: 'off', why });
    if (current.name === 'on') {
      current.track.onended = null;
      current.track.stop();
    }
  }

  private measure(track: MediaStreamTrack): void {
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 2048 });
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      this.events.onLevel(levelOf(samples));
    }, LEVEL_MS);
    this.meter = { context, timer };
    context.resume().catch(() => undefined);
  }

  private become(state: MicrophoneState): void {
    this.current = state;
    this.events.onState(state);
  }
}

/** A track, or why there is none. */
async function ask(): Promise<readonly [MediaStreamTrack | undefined, string]> {
  // Absent, whatever its type says, where the page did not come over HTTPS.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices === undefined) return [undefined, 'The browser gives its microphone to pages over HTTPS only'];
  try {
    const stream = await devices.getUserMedia(WANTED);
    const [track] = stream.getAudioTracks();
    return [track, 'No microphone was found'];
  } catch (error) {
    return [undefined, reasonOf(error)];
  }
}
