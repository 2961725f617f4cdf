// What this browser can do, and what browsers have that TypeScript's library does not know yet.

import { REDUNDANT } from './audio/redundant.ts';
import { CODECS, TYPICAL, type VideoCodec } from './quic/codec.ts';
import type { Lacks } from './session/choice.ts';

declare global {
  interface RTCRtpReceiver {
    /** Seconds; Chromium's name before `jitterBufferTarget`. */
    playoutDelayHint?: number | null;
  }
  interface Navigator {
    /** Keyboard Lock API (Chromium). */
    readonly keyboard?: { lock?: (codes?: readonly string[]) => Promise<void>; unlock?: () => void };
  }
  /** MediaStreamTrack Insertable Streams (Chromium: on the page; the standard: in workers only). */
  var MediaStreamTrackProcessor:
    | (new (init: { track: MediaStreamTrack; maxBufferSize?: number }) => { readonly readable: ReadableStream<VideoFrame> })
    | undefined;
}

/** Why this page cannot play at all. */
export type Unsupported = 'no-webrtc';

export function unsupported(): Unsupported | undefined {
  return 'RTCPeerConnection' in globalThis && 'addTransceiver' in RTCPeerConnection.prototype ? undefined : 'no-webrtc';
}

/** Frames can be taken one by one and drawn off the main thread. */
export function hasTrackProcessor(): boolean {
  return (
    typeof globalThis.MediaStreamTrackProcessor === 'function' &&
    typeof Worker === 'function' &&
    'transferControlToOffscreen' in HTMLCanvasElement.prototype
  );
}

/** Sound that WebRTC receives can be taken, decoded and played by the page; packets that are lost are repeated then. */
export function takesSound(): boolean {
  // Not on pages that came over plain HTTP from elsewhere than this machine.
  const has = [globalThis.RTCRtpScriptTransform, globalThis.AudioDecoder, globalThis.AudioWorkletNode].every((it) => typeof it === 'function');
  return has && RTCRtpReceiver.getCapabilities('audio')?.codecs.some(({ mimeType }) => mimeType.toLowerCase() === REDUNDANT) === true;
}

/** What is missing for connections that bring frames whole, in words. */
export function lacksForFrames(): Lacks {
  // Absent on pages that came over plain HTTP from elsewhere than this machine.
  const lacks = (name: string, it: unknown): string | undefined => {
    if (typeof it === 'function') return undefined;
    return globalThis.isSecureContext ? `this browser has no ${name}` : `${name} needs a page that came over HTTPS`;
  };
  const codecs = lacks('WebCodecs', globalThis.VideoDecoder);
  return { webtransport: lacks('WebTransport', globalThis.WebTransport) ?? codecs, websocket: codecs };
}

/** The codecs that WebCodecs decodes here, 8 bits a sample. */
export async function decodableCodecs(): Promise<readonly VideoCodec[]> {
  const asked = CODECS.map(async (codec) => {
    try {
      return (await VideoDecoder.isConfigSupported({ codec: TYPICAL[codec], optimizeForLatency: true })).supported === true ? codec : undefined;
    } catch {
      // A string that the browser does not know.
      return undefined;
    }
  });
  return (await Promise.all(asked)).filter((codec) => codec !== undefined);
}

/** Option makes characters, as AltGr does elsewhere. */
export function isApple(): boolean {
  return /Mac|iPhone|iPad/.test(navigator.userAgent);
}

export function hasTouch(): boolean {
  return navigator.maxTouchPoints > 0;
}

/** The same page over HTTPS. */
export function secureAddress(address: URL): string {
  const secure = new URL(address);
  secure.protocol = 'https:';
  return secure.href;
}
