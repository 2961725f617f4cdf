// What both sides say beside the frames: control messages and input on streams of their own, datagrams
// (transport/src/webtransport/). Big endian.

/** First bytes of the streams that the client opens. */
export const STREAM = { control: 0x00, input: 0x01 } as const;
/** First bytes of datagrams from the client. */
export const DATAGRAM = { motion: 0x02, acks: 0x03 } as const;

/** Most bytes of a control message. */
export const MOST_CONTROL = 64 * 1024;
const LENGTH_BYTES = 4;
const utf8 = new TextEncoder();

/** A control message as it travels; undefined when it is too long. */
export function frameControl(text: string): Uint8Array<ArrayBuffer> | undefined {
  const body = utf8.encode(text);
  if (body.length > MOST_CONTROL) return undefined;
  const message = new Uint8Array(LENGTH_BYTES + body.length);
  new DataView(message.buffer).setUint32(0, body.length);
  message.set(body, LENGTH_BYTES);
  return message;
}

/** An input event as it travels on its stream. */
export function frameInput(event: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(2 + event.length);
  new DataView(message.buffer).setUint16(0, event.length);
  message.set(event, 2);
  return message;
}

/** A datagram of this kind. */
export function datagram(kind: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(1 + body.length);
  message[0] = kind;
  message.set(body, 1);
  return message;
}

/** Control messages out of the bytes of their stream, in whichever pieces these come. */
export class ControlReader {
  private kept = new Uint8Array(0);
  private readonly utf8 = new TextDecoder();

  /** The messages that are whole now. Throws a `RangeError` at one that is too long. */
  push(piece: Uint8Array): readonly string[] {
    const bytes = new Uint8Array(this.kept.length + piece.length);
    bytes.set(this.kept);
    bytes.set(piece, this.kept.length);
    const view = new DataView(bytes.buffer);
    const messages: string[] = [];
    let at = 0;
    while (bytes.length - at >= LENGTH_BYTES) {
      const length = view.getUint32(at);
      if (length > MOST_CONTROL) throw new RangeError(`a control message of ${length} bytes`);
      const end = at + LENGTH_BYTES + length;
      if (end > bytes.length) break;
      messages.push(this.utf8.decode(bytes.subarray(at + LENGTH_BYTES, end)));
      at = end;
    }
    this.kept = bytes.slice(at);
    return messages;
  }
}
