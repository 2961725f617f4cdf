// The seam between what decodes and what shows. A decoder knows where pictures come from (a WebRTC track, a
// video element) and nothing of where they go; a presenter the other way round. `Pipeline` joins one of
// each, on whichever thread both are.
import type { Micros, RtpTimestamp, Size } from '../units.ts';

/** What is known of a decoded picture. */
export interface FrameMetadata {
  /** Names the picture to the server; undefined where the browser does not tell. */
  readonly rtp: RtpTimestamp | undefined;
  /** When it was whole in front of the decoder, where that is known. */
  readonly receivedAt?: Micros;
  /** When the decoder handed it over. */
  readonly decodedAt: Micros;
  readonly size: Size;
  /** When it is on the screen, where the decoder puts it there itself. */
  readonly displayedAt?: Micros;
}

export interface DecodedFrame<Image> {
  /** Lent: the decoder frees it once whoever took it is done. */
  readonly image: Image;
  readonly metadata: FrameMetadata;
}

export interface Decoder<Image> {
  /**
   * Gives each picture to `take`, one after the other, and ends with the stream or at `close`. While `take`
   * works, newer pictures replace one another: a slow presenter skips pictures and never falls behind.
   * Rejects when decoding or `take` fails.
   */
  run(take: (frame: DecodedFrame<Image>) => Promise<void>): Promise<void>;
  close(): void;
}

export interface Presenter<Image> {
  /**
   * Shows a picture and says when it was shown: at once where it draws itself, later where it has to wait
   * for its turn. It keeps nothing of the picture after that. Throws or rejects when it cannot show any.
   */
  present(frame: DecodedFrame<Image>): Micros | Promise<Micros>;
}
