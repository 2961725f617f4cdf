// Joins a decoder to a presenter: shows every picture, reports when, reads strips, and changes decoders
// when the connection does. Runs in the presenting worker and, for a video element, on the page.
import type { WhichStrips } from './messages.ts';
import type { ProgressBatch } from './reports.ts';
import type { DecodedFrame, Decoder, Presenter } from './seam.ts';
import type { StripReader, StripSample } from './strip.ts';

export class Pipeline<Image> {
  private decoder: Decoder<Image> | undefined;

  /** `onStopped` is told once for a decoder that ended or failed while it was in use. */
  constructor(
    private readonly presenter: Presenter<Image>,
    private readonly strips: StripReader<Image> | undefined,
    private readonly batch: ProgressBatch,
    private readonly onStopped: (failure: string | undefined) => void,
  ) {}

  /** Shows what this decoder gives from now on, instead of the one before. */
  play(decoder: Decoder<Image>): void {
    this.decoder?.close();
    this.decoder = decoder;
    this.batch.restart();
    decoder.run((frame) => this.show(decoder, frame)).then(
      () => { this.stopped(decoder, undefined); },
      (error: unknown) => { this.stopped(decoder, messageOf(error)); },
    );
  }

  takeStrips(which: WhichStrips): readonly StripSample[] {
    return this.strips?.take(which) ?? [];
  }

  close(): void {
    this.batch.close();
    const { decoder } = this;
    this.decoder = undefined;
    decoder?.close();
  }

  private async show(decoder: Decoder<Image>, frame: DecodedFrame<Image>): Promise<void> {
    // A last picture of the decoder before must not cover a newer one.
    if (this.decoder !== decoder) return;
    const { size, rtp, receivedAt, decodedAt } = frame.metadata;
    this.batch.decoded(rtp, decodedAt);
    // Started before drawing so that both go on together; drawing does not wait for it.
    const reading = this.strips?.read(frame);
    try {
      const presentedAt = await this.presenter.present(frame);
      this.batch.note({ size, rtp, decodedAt, presentedAt, ...(receivedAt === undefined ? {} : { receivedAt }) });
    } finally {
      await reading;
    }
  }

  private stopped(decoder: Decoder<Image>, failure: string | undefined): void {
    if (this.decoder !== decoder) return;
    this.decoder = undefined;
    decoder.close();
    this.onStopped(failure);
  }
}

/** What went wrong, in words. */
export function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : String(error);
}
