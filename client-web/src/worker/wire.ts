// What carries frames to a worker, and what the worker says back: WebTransport (quic-wire.ts) or a WebSocket
// (socket-wire.ts).
import type { ReceivedFrame } from '../quic/assembler.ts';
import type { FrameHeader } from '../quic/header.ts';
import type { PipeName } from '../quic/messages.ts';
import type { Micros } from '../units.ts';

export interface WireEvents {
  readonly onControl: (text: string) => void;
  readonly onFrame: (frame: ReceivedFrame) => void;
  /** A frame that began to come at this time will not come whole. */
  readonly onLost: (header: FrameHeader, firstAt: Micros) => void;
  /** Sound, or padding. */
  readonly onDatagram: (bytes: Uint8Array) => void;
  /** Bytes of a pipe do not wait any more. */
  readonly onSent: (pipe: PipeName, bytes: number) => void;
  /** It is over, and never says anything again. `reason` completes a sentence that begins with its name. */
  readonly onOver: (reason: string) => void;
}

export interface Wire {
  /** Resolves once everything can be said. What fails before is told by `onOver`; then it never resolves. */
  open(limitMs: number): Promise<void>;
  control(text: string): void;
  input(event: Uint8Array<ArrayBuffer>): void;
  motion(event: Uint8Array<ArrayBuffer>): void;
  /** What cannot leave soon is dropped. */
  acks(message: Uint8Array<ArrayBuffer>): void;
  /** A datagram of the player's voice; the same. */
  voice(datagram: Uint8Array<ArrayBuffer>): void;
  close(): void;
}
