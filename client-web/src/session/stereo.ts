// Browsers decode Opus in one channel unless their own description says that they want two (RFC 7587 §6.1).

/** The offer with Opus in stereo; Firefox says so by itself. */
export function inStereo(offer: RTCSessionDescriptionInit): RTCSessionDescriptionInit {
  const { sdp } = offer;
  if (sdp === undefined) return offer;
  const numbers = [...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000\/2/gim)].map(([, number]) => number);
  const lines = sdp.split('\r\n').map((line) => {
    const number = /^a=fmtp:(\d+) /.exec(line)?.[1];
    return number === undefined || !numbers.includes(number) || /[ ;]stereo=/.test(line) ? line : `${line};stereo=1`;
  });
  return { ...offer, sdp: lines.join('\r\n') };
}
