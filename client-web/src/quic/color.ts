// The colours of a stream as WebCodecs names them (WebCodecs §"VideoColorSpace"), from the numbers of
// ITU-T H.273. VP8 has no place for them in the stream; the frame's header has.
import type { CodedColor } from './header.ts';

const PRIMARIES: Readonly<Record<number, VideoColorPrimaries>> = { 1: 'bt709', 5: 'bt470bg', 6: 'smpte170m' };
const TRANSFER: Readonly<Record<number, VideoTransferCharacteristics>> = { 1: 'bt709', 6: 'smpte170m', 13: 'iec61966-2-1' };
const MATRIX: Readonly<Record<number, VideoMatrixCoefficients>> = { 0: 'rgb', 1: 'bt709', 5: 'bt470bg', 6: 'smpte170m' };

/** Undefined where a browser has no word for one of them: it then reads the stream. */
export function colorSpace({ primaries, transfer, matrix, fullRange }: CodedColor): VideoColorSpaceInit | undefined {
  const known = { primaries: PRIMARIES[primaries], transfer: TRANSFER[transfer], matrix: MATRIX[matrix] };
  if (known.primaries === undefined || known.transfer === undefined || known.matrix === undefined) return undefined;
  return { primaries: known.primaries, transfer: known.transfer, matrix: known.matrix, fullRange };
}
