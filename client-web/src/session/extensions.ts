// Header extensions that a browser offers only when it is asked to.

/** What each frame needs: with it a frame is decoded that does without one that was lost. */
const DESCRIPTOR = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

/** WebRTC extensions, §7; in Chromium, not yet in TypeScript's library. */
export interface HeaderExtension {
  direction?: RTCRtpTransceiverDirection;
  readonly uri: string;
}

export interface WithExtensions {
  getHeaderExtensionsToNegotiate?: () => HeaderExtension[];
  setHeaderExtensionsToNegotiate?: (extensions: HeaderExtension[]) => void;
}

/** Has the next offer of a transceiver name the dependency descriptor, in a browser that knows it. */
export function offerDescriptor(transceiver: WithExtensions): void {
  const extensions = transceiver.getHeaderExtensionsToNegotiate?.() ?? [];
  const descriptor = extensions.find(({ uri }) => uri === DESCRIPTOR);
  if (descriptor === undefined) return;
  descriptor.direction = 'sendrecv';
  transceiver.setHeaderExtensionsToNegotiate?.(extensions);
}
