// What is heard: what a worker decodes by an audio worklet, or a track of WebRTC's by an audio element, where the browser
// hands out nothing else or is to play it. One of them at a time. Browsers play nothing before somebody did something on the page:
// until then it is `blocked`, and goes on with the next key or click.
import workletUrl from '../worker/playout-worklet.ts?worker&url';
import type { Micros, RtpTimestamp } from '../units.ts';
import type { FromPlayout, PlayoutReport, ToPlayout } from './messages.ts';
import { Haste } from './haste.ts';
import { decodesChannels, within, type Channels } from './layout.ts';
import { SAMPLE_RATE } from './playout.ts';
import { Hold, skewMs, type Moment } from './skew.ts';
import { tonesOf, type Tone } from './tones.ts';
import { TrackWatch } from './track-watch.ts';
import { rememberedStereo, rememberedVolume, rememberStereo, rememberVolume, type Volume } from './volume.ts';

export interface SpeakerState extends Volume {
  /** The browser waits for a key or a click. */
  readonly blocked: boolean;
}

/** What the page knows of sound that it plays itself. */
export interface SpeakerFigures {
  readonly bufferMs: number;
  /** Times that sound was faded over, or came too late. */
  readonly concealed: number;
  /** Of what was played, since the beginning; of squares of samples. */
  readonly energy: number;
}

const GESTURES = ['pointerdown', 'keydown'] as const;

export class Speaker {
  private volume: Volume = rememberedVolume();
  private blocked = false;
  private element: HTMLAudioElement | undefined;
  private watch: TrackWatch | undefined;
  private context: AudioContext | undefined;
  private node: AudioWorkletNode | undefined;
  private gain: GainNode | undefined;
  private report: PlayoutReport | undefined;
  private picture: Moment | undefined;
  private skew: number | undefined;
  private hold = new Hold();
  private readonly haste = new Haste();
  private closed = false;
  /** Those that the device has and the browser decodes, once that was looked for. */
  private most: Channels = 2;
  private stereo = rememberedStereo();

  /** `pretends`: plays as if the device had so many channels. */
  constructor(private readonly onState: (state: SpeakerState) => void, private readonly pretends?: number) {}

  get state(): SpeakerState {
    return { ...this.volume, blocked: this.blocked };
  }

  /** How many channels it plays. */
  get channels(): Channels {
    return this.stereo ? 2 : this.most;
  }

  /** Whether the user has a choice, and which one was made. */
  get surround(): 'none' | 'all' | 'stereo' {
    if (this.most === 2) return 'none';
    return this.stereo ? 'stereo' : 'all';
  }

  /** Looks for what the device has. */
  async lookForChannels(): Promise<void> {
    try {
      this.context ??= this.newContext();
      const most = within(this.pretends ?? this.context.destination.maxChannelCount);
      if (most === 2 || (await decodesChannels(most))) this.most = most;
    } catch {
      // No audio device.
    }
  }

  /** The user wants two channels from now on, or all. */
  setStereo(stereo: boolean): void {
    if (stereo === this.stereo) return;
    this.stereo = stereo;
    rememberStereo(stereo);
    // Begins anew with another worklet.
    this.say({ type: 'leave' });
  }

  /** The loudest tone in each channel, where this page plays them. */
  tones(): Promise<readonly Tone[]> {
    return this.gain === undefined || this.node === undefined ? Promise.resolve([]) : tonesOf(this.gain, this.node.channelCount);
  }

  /** Sound played by the page itself; undefined where the browser plays a track. */
  get figures(): SpeakerFigures | undefined {
    const { report } = this;
    if (report === undefined) return undefined;
    const { buffered, late, starved, energy } = report;
    return { bufferMs: (buffered * 1000) / SAMPLE_RATE, concealed: late + starved, energy };
  }

  /** Milliseconds by which the sound is later than the picture, as far as that is known. */
  get skewMs(): number | undefined {
    return this.watch === undefined ? this.skew : this.watch.skewMs;
  }

  /** Plays this track of this receiver from now on. */
  attachTrack(track: MediaStreamTrack, receiver: RTCRtpReceiver): void {
    this.leaveElement();
    this.leaveWorklet();
    this.watch = new TrackWatch(receiver, () => this.shownLately());
    this.element ??= new Audio();
    this.element.srcObject = new MediaStream([track]);
    this.apply();
    this.start();
  }

  /** Plays the blocks that come on this port from now on. */
  attachBlocks(port: MessagePort): void {
    this.leaveElement();
    this.leaveWorklet();
    this.open(port).catch(() => {
      // No audio device, or no worklets: the picture goes on without sound.
      port.close();
    });
  }

  /** A picture was shown. */
  pictured(rtp: RtpTimestamp | undefined, presentedAt: Micros): void {
    if (rtp !== undefined) this.picture = { rtp, at: presentedAt / 1000 - performance.timeOrigin };
  }

  /** Sets how loud it is; what is heard again is not muted. */
  setLevel(level: number): void {
    this.change({ level: Math.min(Math.max(level, 0), 1), muted: false });
  }

  toggleMuted(): void {
    this.change({ ...this.volume, muted: !this.volume.muted });
  }

  /** The user did something that is no event: what the browser did not let be heard it may now. */
  unblock(): void {
    if (this.blocked) this.start();
  }

  close(): void {
    this.closed = true;
    this.waitForGesture(false);
    this.leaveElement();
    this.leaveWorklet();
    this.context?.close().catch(() => undefined);
  }

  private change(volume: Volume): void {
    this.volume = volume;
    rememberVolume(volume);
    this.apply();
    this.onState(this.state);
  }

  private apply(): void {
    const { level, muted } = this.volume;
    if (this.element !== undefined) {
      this.element.volume = level;
      this.element.muted = muted;
    }
    // A short way to the new value, or it would click.
    if (this.gain !== undefined) this.gain.gain.setTargetAtTime(muted ? 0 : level, this.gain.context.currentTime, 0.01);
  }

  private async open(port: MessagePort): Promise<void> {
    const context = (this.context ??= this.newContext());
    await context.audioWorklet.addModule(workletUrl);
    // Another way may have been taken meanwhile.
    if (this.closed || this.element?.srcObject != null) {
      port.close();
      return;
    }
    this.leaveWorklet();
    this.gain ??= new GainNode(context);
    this.gain.connect(context.destination);
    const { channels } = this;
    // Where the device has fewer the browser mixes them.
    context.destination.channelCount = Math.min(channels, context.destination.maxChannelCount);
    const node = new AudioWorkletNode(context, 'nearlight-playout', { numberOfInputs: 0, channelCount: channels, outputChannelCount: [channels] });
    node.port.onmessage = ({ data }: MessageEvent<FromPlayout>) => {
      if (data.type === 'report') this.reported(context, data.report);
      else this.reopen(data.port);
    };
    node.connect(this.gain);
    this.node = node;
    this.hold = new Hold();
    this.say({ type: 'blocks', port }, [port]);
    this.apply();
    this.start();
  }

  private newContext(): AudioContext {
    const context = new AudioContext({ latencyHint: this.haste.hint, sampleRate: SAMPLE_RATE });
    context.onstatechange = () => { if (this.node !== undefined) this.showBlocked(context.state === 'suspended'); };
    return context;
  }

  /** Begins anew with another context, for which these blocks come. */
  private reopen(port: MessagePort): void {
    this.leaveWorklet();
    this.gain = undefined;
    const { context } = this;
    this.context = undefined;
    this.haste.renew();
    if (context !== undefined) {
      context.onstatechange = null;
      context.close().catch(() => undefined);
    }
    this.attachBlocks(port);
  }

  private reported(context: AudioContext, report: PlayoutReport): void {
    const quiet = report.energy === this.report?.energy;
    this.report = report;
    const picture = this.shownLately();
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    if (contextTime === undefined || performanceTime === undefined || contextTime === 0) return;
    if (this.haste.wantsAnother(contextTime * 1000, performanceTime, quiet)) this.say({ type: 'leave' });
    if (picture === undefined || report.at === undefined) return;
    const heardAt = performanceTime + (report.contextTime - contextTime) * 1000;
    this.skew = skewMs({ samples: report.at, at: heardAt }, picture);
    this.say({ type: 'hold', samples: (this.hold.follow(this.skew) * SAMPLE_RATE) / 1000 });
  }

  /** Of a picture that stands still nothing new is shown, and nothing is to be in step with it. */
  private shownLately(): Moment | undefined {
    const { picture } = this;
    return picture === undefined || performance.now() - picture.at > 1_000 ? undefined : picture;
  }

  private say(message: ToPlayout, transfer: Transferable[] = []): void {
    this.node?.port.postMessage(message, transfer);
  }

  /** Plays, as soon as the browser lets it. */
  private start(): void {
    const { element, context, node } = this;
    if (element?.srcObject != null) {
      element.play().then(() => { this.showBlocked(false); }, (error: unknown) => {
        if (error instanceof DOMException && error.name === 'NotAllowedError') this.showBlocked(true);
      });
    } else if (node !== undefined && context?.state === 'suspended') {
      this.showBlocked(true);
      context.resume().catch(() => undefined);
    }
  }

  private showBlocked(blocked: boolean): void {
    if (this.closed) return;
    this.waitForGesture(blocked);
    if (blocked === this.blocked) return;
    this.blocked = blocked;
    this.onState(this.state);
  }

  private readonly onGesture = (): void => { this.start(); };

  private waitForGesture(wait: boolean): void {
    for (const gesture of GESTURES) {
      if (wait) window.addEventListener(gesture, this.onGesture, { capture: true });
      else window.removeEventListener(gesture, this.onGesture, { capture: true });
    }
  }

  private leaveElement(): void {
    if (this.element !== undefined) this.element.srcObject = null;
    this.watch?.close();
    this.watch = undefined;
  }

  private leaveWorklet(): void {
    this.node?.disconnect();
    if (this.node !== undefined) this.node.port.onmessage = null;
    this.node = undefined;
    this.report = undefined;
    this.skew = undefined;
  }
}
