// Candidates as trickle-ice-sdpfrag (RFC 8840 §9), the body of WHEP's PATCH.

/** Credentials and first medium of an SDP offer, which fragments name the connection by. */
export interface FragmentHead {
  readonly ufrag: string;
  readonly pwd: string;
  readonly mid: string;
  /** The `m=` line. */
  readonly medium: string;
}

export function fragmentHead(sdp: string): FragmentHead | undefined {
  const ufrag = /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1];
  const pwd = /^a=ice-pwd:(\S+)/m.exec(sdp)?.[1];
  const mid = /^a=mid:(\S+)/m.exec(sdp)?.[1];
  const medium = /^m=[^\r\n]+/m.exec(sdp)?.[0];
  if (ufrag === undefined || pwd === undefined || mid === undefined || medium === undefined) return undefined;
  return { ufrag, pwd, mid, medium };
}

/** A fragment with these candidates, each as `candidate:…`. */
export function fragment(head: FragmentHead, candidates: readonly string[], last: boolean): string {
  const lines = [
    `a=ice-ufrag:${head.ufrag}`,
    `a=ice-pwd:${head.pwd}`,
    head.medium,
    `a=mid:${head.mid}`,
    ...candidates.map((candidate) => `a=${candidate}`),
    ...(last ? ['a=end-of-candidates'] : []),
  ];
  return `${lines.join('\r\n')}\r\n`;
}
