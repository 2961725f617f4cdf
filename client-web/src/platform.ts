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

/** Whether this browser has WebRTC, which some are built without, and people switch off. */
function hasWebRtc(): boolean {
  return typeof globalThis.RTCPeerConnection === 'function' && 'addTransceiver' in RTCPeerConnection.prototype;
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

/** What this browser lacks for each transport, in words. */
export function lacks(): Lacks {
  // Absent on pages that came over plain HTTP from elsewhere than this machine.
  const lack = (name: string, it: unknown): string | undefined => {
    if (typeof it === 'function') return undefined;
    return globalThis.isSecureContext ? `this browser has no ${name}` : `${name} needs a page that came over HTTPS`;
  };
  const codecs = lack('WebCodecs', globalThis.VideoDecoder);
  return {
    webrtc: hasWebRtc() ? undefined : 'this browser has no WebRTC',
    webtransport: lack('WebTransport', globalThis.WebTransport) ?? codecs,
    websocket: codecs,
  };
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

/** Fingers rather than a mouse: then there is hardly a keyboard either. */
export function isCoarse(): boolean {
  return matchMedia('(pointer: coarse)').matches;
}

/** There is a mouse, or what is as fine, and the browser can capture it. */
export function canCapture(): boolean {
  return matchMedia('(any-pointer: fine)').matches && 'requestPointerLock' in Element.prototype;
}

/** Whether the browser gives all keys to the page; it does so in full screen only. */
export async function lockKeyboard(): Promise<boolean> {
  const { keyboard } = navigator;
  if (keyboard?.lock === undefined) return false;
  try {
    await keyboard.lock();
    return true;
  } catch {
    return false;
  }
}

/** The same page over HTTPS. */
export function secureAddress(address: URL): string {
  const secure = new URL(address);
  secure.protocol = 'https:';
  return secure.href;
}
