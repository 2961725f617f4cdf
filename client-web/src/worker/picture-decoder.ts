// Pictures that another worker decodes: the newest waits for whoever shows it, and takes the place of one that
// was not taken in time.
import type { Picture } from '../quic/messages.ts';
import type { DecodedFrame, Decoder } from '../video/seam.ts';

export class PictureDecoder implements Decoder<VideoFrame> {
  private newest: Picture | undefined;
  private wake: (() => void) | undefined;
  private closed = false;

  constructor(private readonly pictures: MessagePort) {
    pictures.onmessage = ({ data }: MessageEvent<Picture>) => { this.put(data); };
  }

  async run(take: (frame: DecodedFrame<VideoFrame>) => Promise<void>): Promise<void> {
    for (let picture = await this.next(); picture !== undefined; picture = await this.next()) {
      const { image, ...metadata } = picture;
      try {
        await take({ image, metadata });
      } finally {
        image.close();
      }
    }
  }

  close(): void {
    this.closed = true;
    this.pictures.close();
    this.put(undefined);
  }

  private put(picture: Picture | undefined): void {
    this.newest?.image.close();
    if (this.closed) picture?.image.close();
    this.newest = this.closed ? undefined : picture;
    this.wake?.();
  }

  private async next(): Promise<Picture | undefined> {
    while (this.newest === undefined && !this.closed) {
      await new Promise<void>((resolve) => { this.wake = resolve; });
    }
    const { newest } = this;
    this.newest = undefined;
    return newest;
  }
}
