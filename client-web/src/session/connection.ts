// One WebRTC connection: a video track to receive and three data channels that both sides know by their
// numbers (media/src/transport.rs). A session has one at a time and gets a new one when it breaks.
import type { Answer } from '../api.ts';
import type { Session } from '../wire/index.ts';
import { fragment, fragmentHead } from './trickle.ts';

export interface ConnectionEvents {
  readonly onTrack: (track: MediaStreamTrack) => void;
  readonly onControl: (text: string) => void;
  /** Input can be sent from now on. */
  readonly onInputReady: (input: RTCDataChannel, motion: RTCDataChannel) => void;
  /** The path is silent and may come back by itself, or no more than that: it did. */
  readonly onSilent: (silent: boolean) => void;
  /** The connection is over, and neither `retire` nor `close` ended it. */
  readonly onBroken: () => void;
}

/** What a session needs of a connection. */
export type SessionConnection = Pick<Connection, 'answered' | 'connect' | 'say' | 'stats' | 'retire' | 'close'>;

/** Candidates that come within this time of one another travel together. */
const GATHER_MS = 40;

export class Connection {
  private readonly peer: RTCPeerConnection;
  private readonly control: RTCDataChannel;
  private readonly offer: Promise<RTCSessionDescriptionInit>;
  private candidates: string[] = [];
  private gathered = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private retired = false;
  private taken = false;

  /** Prepares an offer at once: it can be made while the node is still being asked for a session. */
  constructor(private readonly events: ConnectionEvents) {
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.peer = peer;
    const { receiver } = peer.addTransceiver('video', { direction: 'recvonly' });
    // The node asks for no delay by the playout-delay extension; this is for browsers without it.
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
    if ('playoutDelayHint' in receiver) receiver.playoutDelayHint = 0;
    this.control = peer.createDataChannel('control', { negotiated: true, id: 0 });
    const input = peer.createDataChannel('input', { negotiated: true, id: 1 });
    const motion = peer.createDataChannel('motion', { negotiated: true, id: 2, ordered: false, maxRetransmits: 0 });
    this.control.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (typeof data === 'string') events.onControl(data);
    };
    // A node that goes away in order closes the channels long before ICE notices.
    this.control.onclose = () => { this.broken(); };
    const ready = (): void => {
      if (!this.retired && input.readyState === 'open' && motion.readyState === 'open') events.onInputReady(input, motion);
    };
    input.onopen = ready;
    motion.onopen = ready;
    peer.ontrack = ({ track }) => { events.onTrack(track); };
    peer.onconnectionstatechange = () => { this.stateChanged(); };
    this.offer = peer.createOffer();
    // Whoever connects sees the failure; nobody may.
    this.offer.catch(() => undefined);
  }

  /** The node answered the offer: it knows this connection. */
  get answered(): boolean {
    return this.taken;
  }

  /**
   * Offers and takes the answer. The offer goes out without candidates, as the node learns the client's
   * address from its checks; candidates follow for nodes that must open their own firewall first.
   */
  async connect(
    session: Session,
    exchange: (sdp: string) => Promise<Answer>,
    trickle: (answer: Answer, fragment: string) => Promise<void>,
  ): Promise<void> {
    if (session.ice_servers.length > 0) {
      this.peer.setConfiguration({ bundlePolicy: 'max-bundle', iceServers: session.ice_servers.map(iceServer) });
    }
    const offer = await this.offer;
    this.peer.onicecandidate = ({ candidate }) => {
      if (candidate === null || candidate.candidate === '') this.gathered = true;
      else this.candidates.push(candidate.candidate);
    };
    await this.peer.setLocalDescription(offer);
    const sdp = offer.sdp ?? '';
    const answer = await exchange(sdp);
    this.taken = true;
    if (this.retired) return;
    await this.peer.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    this.trickleTo(sdp, (text) => trickle(answer, text));
  }

  /** Says something on the control channel; what cannot be said now is dropped. */
  say(text: string): boolean {
    if (this.control.readyState !== 'open') return false;
    try {
      this.control.send(text);
      return true;
    } catch {
      return false;
    }
  }

  stats(): Promise<RTCStatsReport> {
    return this.peer.getStats();
  }

  /**
   * Takes no part any more, and leaves the peer open: closing it tells a node that still hears it that the
   * client left.
   */
  retire(): void {
    this.retired = true;
    clearTimeout(this.timer);
    this.control.onmessage = null;
    this.control.onclose = null;
    this.peer.ontrack = null;
    this.peer.onconnectionstatechange = null;
  }

  close(): void {
    this.retire();
    this.peer.close();
  }

  private stateChanged(): void {
    switch (this.peer.connectionState) {
      case 'connected':
        this.events.onSilent(false);
        return;
      case 'disconnected':
        this.events.onSilent(true);
        return;
      case 'failed':
      case 'closed':
        this.broken();
        return;
      case 'new':
      case 'connecting':
    }
  }

  private broken(): void {
    if (this.retired) return;
    this.retire();
    this.events.onBroken();
  }

  private trickleTo(sdp: string, send: (fragment: string) => Promise<void>): void {
    const head = fragmentHead(sdp);
    if (head === undefined) return;
    const flush = (): void => {
      if (this.retired || this.peer.connectionState === 'connected') return;
      const batch = this.candidates.splice(0);
      if (batch.length > 0 || this.gathered) {
        // Candidates only help; checks from this side go on without them.
        send(fragment(head, batch, this.gathered)).catch(() => undefined);
      }
      if (!this.gathered) this.timer = setTimeout(flush, GATHER_MS);
    };
    this.timer = setTimeout(flush, GATHER_MS);
  }
}

function iceServer(server: Session['ice_servers'][number]): RTCIceServer {
  return {
    urls: server.urls,
    ...(server.username == null ? {} : { username: server.username }),
    ...(server.credential == null ? {} : { credential: server.credential }),
  };
}
