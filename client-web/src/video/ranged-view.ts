// Shows pictures by the view that suits their range. A session's range is known once its connection greets,
// and a session may come back in another one; until the other view has a picture, the one before stays.
import type { Progress, WhichStrips } from './messages.ts';
import type { StripSample } from './strip.ts';
import type { VideoView, ViewEvents } from './view.ts';

type Kind = VideoView['kind'];

export class RangedView implements VideoView {
  private current: VideoView;
  /** Takes the place of `current` with its first picture. */
  private next: VideoView | undefined;
  private track: MediaStreamTrack | undefined;
  /** Frames shown in all, and those of earlier views. */
  private presented = 0;
  private earlier = 0;

  /** `hdr` is what to expect before anything is known. */
  constructor(
    hdr: boolean,
    private readonly kindFor: (hdr: boolean) => Kind,
    private readonly make: (kind: Kind, events: ViewEvents) => VideoView,
    private readonly events: ViewEvents,
  ) {
    this.current = this.open(kindFor(hdr));
  }

  get kind(): Kind {
    return this.current.kind;
  }

  get element(): HTMLElement {
    return this.current.element;
  }

  attach(track: MediaStreamTrack): void {
    this.track = track;
    this.current.attach(track);
    this.next?.attach(track);
  }

  attachPictures(pictures: MessagePort): void {
    this.track = undefined;
    this.current.attachPictures(pictures);
  }

  /** The pictures have this range from now on. */
  setRange(hdr: boolean): void {
    const kind = this.kindFor(hdr);
    if (kind === (this.next ?? this.current).kind) return;
    this.next?.close();
    this.next = undefined;
    if (kind === this.current.kind) return;
    this.next = this.open(kind);
    if (this.track !== undefined) this.next.attach(this.track);
  }

  strips(which: WhichStrips): Promise<readonly StripSample[]> {
    return this.current.strips(which);
  }

  close(): void {
    this.next?.close();
    this.next = undefined;
    this.current.close();
  }

  private open(kind: Kind): VideoView {
    const view: VideoView = this.make(kind, {
      onDecoded: this.events.onDecoded,
      onProgress: (progress) => { this.progressed(view, progress); },
      onStopped: this.events.onStopped,
    });
    return view;
  }

  private progressed(view: VideoView, progress: Progress): void {
    if (view === this.next) this.replace(view);
    // What a view that was closed showed last may be told only now.
    if (view !== this.current) return;
    this.presented = this.earlier + progress.presented;
    this.events.onProgress({ ...progress, presented: this.presented });
  }

  private replace(view: VideoView): void {
    const before = this.current;
    this.current = view;
    this.next = undefined;
    this.earlier = this.presented;
    before.element.replaceWith(view.element);
    before.close();
  }
}
