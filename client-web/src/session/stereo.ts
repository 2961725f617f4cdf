// What a browser's description says of Opus. Browsers decode one channel unless it says that they want two (RFC 7587 §6.1).

/**
 * The offer with Opus in stereo; Firefox says so by itself. Whoever decodes by WebCodecs makes nothing of Opus's own error
 * correction: such an offer says that it is not `corrected`, and the node repeats packets instead.
 */
export function asHeard(offer: RTCSessionDescriptionInit, corrected: boolean): RTCSessionDescriptionInit {
  const { sdp } = offer;
  if (sdp === undefined) return offer;
  const numbers = [...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000\/2/gim)].map(([, number]) => number);
  const lines = sdp.split('\r\n').map((line) => {
    const number = /^a=fmtp:(\d+) /.exec(line)?.[1];
    if (number === undefined || !numbers.includes(number)) return line;
    const said = corrected ? line : line.replace(/;?useinbandfec=1/, '');
    return /[ ;]stereo=/.test(said) ? said : `${said};stereo=1`;
  });
  return { ...offer, sdp: lines.join('\r\n') };
}
