// A track of sound that the browser plays: how far it is from the picture, and held back where the picture takes
// longer. Both tracks are of streams of their own: of one stream Chromium would see to this itself, but counts a
// picture as shown later than it is, and delays the sound until it is further behind than without.
import { PlayoutReader } from '../stats/rtc.ts';
import { Hold, skewMs, type Moment } from './skew.ts';

/** Time between two looks: the browser takes about as long to follow. */
const LOOK_MS = 500;

export class TrackWatch {
  /** Milliseconds by which the sound is later than the picture; without the device's time where the browser hides that. */
  skewMs: number | undefined;
  private readonly playout = new PlayoutReader();
  private readonly hold = new Hold();
  private readonly timer = setInterval(() => { this.look().catch(() => undefined); }, LOOK_MS);

  constructor(
    private readonly receiver: RTCRtpReceiver,
    /** What was shown lately. */
    private readonly picture: () => Moment | undefined,
  ) {}

  close(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    const outputMs = this.playout.read(await this.receiver.getStats()) ?? 0;
    const [source] = this.receiver.getSynchronizationSources();
    const picture = this.picture();
    this.skewMs = undefined;
    if (source === undefined || picture === undefined) return;
    // The browser says when it gave the sound to the device, which plays it later.
    const heardAt = source.timestamp - performance.timeOrigin + outputMs;
    this.skewMs = skewMs({ samples: source.rtpTimestamp, at: heardAt }, picture);
    if (!('jitterBufferTarget' in this.receiver)) return;
    const hold = Math.round(this.hold.follow(this.skewMs));
    const target = hold > 0 ? hold : null;
    if (this.receiver.jitterBufferTarget !== target) this.receiver.jitterBufferTarget = target;
  }
}
