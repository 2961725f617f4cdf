// One WebRTC connection: tracks of video and sound to receive, and four data channels that both sides know by their
// numbers (media/src/transport.rs). A session has one at a time and gets a new one when it breaks.
import type { Answer, WebSocketAddress, WebTransportAddress } from '../api.ts';
import { TrackBlocks } from '../audio/track-blocks.ts';
import type { Pipe } from '../input/sender.ts';
import { RtcStatsReader } from '../stats/rtc.ts';
import type { Micros } from '../units.ts';
import type { Decoded } from '../video/reports.ts';
import { AckWriter } from '../wire/acks.ts';
import type { Session } from '../wire/index.ts';
import { TransportFailed, type TransportKind } from './choice.ts';
import { offerDescriptor, type WithExtensions } from './extensions.ts';
import { asHeard } from './stereo.ts';
import { fragment, fragmentHead } from './trickle.ts';

export interface ConnectionEvents {
  /** What `bring` tells of is there: it is told at once, or once the connection has taken the place of one that plays. */
  readonly onBrings: (bring: () => void) => void;
  readonly onTrack: (track: MediaStreamTrack) => void;
  /** Sound is on this track from now on. */
  readonly onSound: (track: MediaStreamTrack, receiver: RTCRtpReceiver) => void;
  /** Pictures, which come since `at`, are shown by whom the connection gave them to itself. */
  readonly onStream: (at: Micros) => void;
  readonly onControl: (text: string) => void;
  /** Input can be sent from now on. */
  readonly onInputReady: (input: Pipe, motion: Pipe) => void;
  /** The microphone's sound cannot be sent. */
  readonly onSpeechFailed: (reason: string) => void;
  /** The node was heard. */
  readonly onAlive: () => void;
  /** The connection is over, and neither `retire` nor `close` ended it. `cannot`: another would end the same way. */
  readonly onBroken: (cannot?: TransportFailed) => void;
}

/** What a connection asks of the node. */
export interface Signalling {
  readonly iceServers: Session['ice_servers'];
  offer(sdp: string): Promise<Answer>;
  trickle(answer: Answer, fragment: string): Promise<void>;
  /** An address that works once. */
  webTransport(): Promise<WebTransportAddress>;
  /** The same. */
  webSocket(): Promise<WebSocketAddress>;
}

/** What the browser knows of the way to the picture. */
export interface PathAverages {
  readonly bufferMs: number | undefined;
  readonly decodeMs: number | undefined;
  /** In words. */
  readonly lost: string;
  /** Undefined while there is none. */
  readonly sound?: SoundPath | undefined;
}

/** What is known of the way of the sound. */
export interface SoundPath {
  /** Packets that were to come, and those of them that did not. */
  readonly expected: number;
  readonly lost: number;
  /** Of those that did not come, made up for by others. */
  readonly recovered: number;
  /** Times, or milliseconds of sound, that had to be made up. */
  readonly concealed?: string;
  readonly bufferMs?: number | undefined;
}

/** What a session needs of a connection. */
export interface SessionConnection {
  readonly kind: TransportKind;
  /** How long the handshakes took, where that is known. */
  readonly connectMs: number | undefined;
  /** The node answered: it knows this connection. */
  readonly answered: boolean;
  connect(node: Signalling): Promise<void>;
  /** Says something on the control channel; what cannot be said now is dropped. */
  say(text: string): boolean;
  /** Sends something, so that the node hears at once that the path is back, and where the client is now. */
  probe(): void;
  /** Sends the sound of this track from now on; of none: no more. Rejects where that cannot be done. */
  speak(track: MediaStreamTrack | undefined): Promise<void>;
  /** Tells that a frame is decoded; absent where whoever decodes tells it. */
  acknowledge?(frame: Decoded): void;
  averages(): Promise<PathAverages | undefined>;
  /** WebRTC's own statistics. */
  stats(): Promise<RTCStatsReport | undefined>;
  /**
   * Takes no part any more, but for acknowledging what still comes by it, and leaves the connection open: closing it
   * tells a node that still hears it that the client left.
   */
  retire(): void;
  close(): void;
}

/** Bytes that may wait to be sent: behind so many the next message says more than this one. */
const MOST_ACKS = 1024;
/** Candidates that come within this time of one another travel together. */
const GATHER_MS = 40;

export class Connection implements SessionConnection {
  readonly kind = 'webrtc';
  readonly connectMs = undefined;
  private readonly peer: RTCPeerConnection;
  private readonly control: RTCDataChannel;
  private readonly acks: RTCDataChannel;
  private readonly acknowledged = new AckWriter((message) => { this.sendAcks(message); });
  private readonly voice: RTCRtpSender;
  private sound: TrackBlocks | undefined;
  /** What sound comes on, once some does. */
  private heard: { readonly track: MediaStreamTrack; readonly receiver: RTCRtpReceiver } | undefined;
  private readonly offer: Promise<RTCSessionDescriptionInit>;
  private candidates: string[] = [];
  private gathered = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private retired = false;
  private taken = false;
  private connected = false;
  private readonly reader = new RtcStatsReader();

  /**
   * Prepares an offer at once: it can be made while the node is still being asked for a session. `play` takes the port that
   * blocks of sound come on; without it the browser plays the track.
   */
  constructor(private readonly events: ConnectionEvents, private readonly play?: (sound: MessagePort) => void) {
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.peer = peer;
    const transceiver = peer.addTransceiver('video', { direction: 'recvonly' });
    offerDescriptor(transceiver as WithExtensions);
    // Both ways from the start, so that a microphone needs no other description: without a track nothing is sent.
    const { sender, receiver: ear } = peer.addTransceiver('audio', { direction: 'sendrecv' });
    this.voice = sender;
    // At once: of a receiver that has begun to receive, Chromium hands nothing out any more.
    if (play !== undefined) this.sound = new TrackBlocks(ear, () => { this.heardByBrowser(); });
    const { receiver } = transceiver;
    // The node asks for no delay by the playout-delay extension; this is for browsers without it.
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
    if ('playoutDelayHint' in receiver) receiver.playoutDelayHint = 0;
    this.control = peer.createDataChannel('control', { negotiated: true, id: 0 });
    const input = peer.createDataChannel('input', { negotiated: true, id: 1 });
    const motion = peer.createDataChannel('motion', { negotiated: true, id: 2, ordered: false, maxRetransmits: 0 });
    this.acks = peer.createDataChannel('acks', { negotiated: true, id: 3, ordered: false, maxRetransmits: 0 });
    this.control.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (typeof data === 'string') events.onControl(data);
    };
    // A node that goes away in order closes the channels long before ICE notices.
    this.control.onclose = () => { this.broken(); };
    // With the control channel, as whether the page is seen is said at once, and once only.
    const needed = [this.control, input, motion];
    const ready = (): void => {
      if (!this.retired && needed.every(({ readyState }) => readyState === 'open')) events.onInputReady(input, motion);
    };
    for (const channel of needed) channel.onopen = ready;
    peer.ontrack = ({ track, receiver: of }) => {
      events.onBrings(() => {
        if (this.retired) return;
        if (track.kind === 'audio') this.hear(track, of);
        else events.onTrack(track);
      });
    };
    peer.onconnectionstatechange = () => { this.stateChanged(); };
    this.offer = peer.createOffer().then((offer) => asHeard(offer, play === undefined));
    // Whoever connects sees the failure; nobody may.
    this.offer.catch(() => undefined);
  }

  get answered(): boolean {
    return this.taken;
  }

  /**
   * Offers and takes the answer. The offer goes out without candidates, as the node learns the client's
   * address from its checks; candidates follow for nodes that must open their own firewall first.
   */
  async connect(node: Signalling): Promise<void> {
    if (node.iceServers.length > 0) {
      this.peer.setConfiguration({ bundlePolicy: 'max-bundle', iceServers: node.iceServers.map(iceServer) });
    }
    const offer = await this.offer;
    this.peer.onicecandidate = ({ candidate }) => {
      if (candidate === null || candidate.candidate === '') this.gathered = true;
      else this.candidates.push(candidate.candidate);
    };
    await this.peer.setLocalDescription(offer);
    const sdp = offer.sdp ?? '';
    const answer = await node.offer(sdp);
    this.taken = true;
    if (this.retired) return;
    await this.peer.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    this.trickleTo(sdp, (text) => node.trickle(answer, text));
  }

  say(text: string): boolean {
    if (this.control.readyState !== 'open') return false;
    try {
      this.control.send(text);
      return true;
    } catch {
      return false;
    }
  }

  async averages(): Promise<PathAverages | undefined> {
    // What the page takes from the browser goes through no jitter buffer of its own, and is concealed elsewhere.
    const taken = this.heard === undefined ? undefined : this.sound?.figures;
    const read = this.reader.read(await this.peer.getStats());
    return read === undefined ? undefined : { bufferMs: read.jitterBufferMs, decodeMs: read.decodeMs, lost: `${read.packetsLost} packets lost`, sound: this.sound === undefined ? read.sound : taken };
  }

  acknowledge({ rtp, decodedAt }: Decoded): void {
    // When its bytes came is not known here: both times are that of decoding.
    this.acknowledged.note({ rtp, state: 'decoded', firstAt: decodedAt, lastAt: decodedAt }, undefined);
  }

  probe(): void {
    this.acknowledged.repeat();
  }

  speak(track: MediaStreamTrack | undefined): Promise<void> {
    return this.voice.replaceTrack(track ?? null);
  }

  /** What cannot be said now is in the next message. */
  private sendAcks(message: Uint8Array<ArrayBuffer>): void {
    if (this.acks.readyState !== 'open' || this.acks.bufferedAmount > MOST_ACKS) return;
    try {
      this.acks.send(message);
    } catch {
      // It closes.
    }
  }

  stats(): Promise<RTCStatsReport> {
    return this.peer.getStats();
  }

  retire(): void {
    this.retired = true;
    // What is said goes by the next one.
    this.voice.replaceTrack(null).catch(() => undefined);
    clearTimeout(this.timer);
    this.control.onmessage = null;
    this.control.onclose = null;
    this.peer.ontrack = null;
    this.peer.onconnectionstatechange = null;
  }

  close(): void {
    this.retire();
    this.peer.close();
    this.sound?.close();
  }

  /** Sound is on this track from now on. */
  private hear(track: MediaStreamTrack, receiver: RTCRtpReceiver): void {
    this.heard = { track, receiver };
    if (this.sound === undefined) this.events.onSound(track, receiver);
    else this.play?.(this.sound.blocks);
  }

  /** Sound cannot be taken from the browser, which plays it then. */
  private heardByBrowser(): void {
    this.sound?.close();
    this.sound = undefined;
    if (this.heard !== undefined && !this.retired) this.events.onSound(this.heard.track, this.heard.receiver);
  }

  private stateChanged(): void {
    switch (this.peer.connectionState) {
      case 'connected':
        this.connected = true;
        this.events.onAlive();
        return;
      case 'failed':
      case 'closed':
        this.broken();
        return;
      // The browser notices late that the node is silent, and that it is back: who hears nothing finds out otherwise.
      case 'disconnected':
      case 'new':
      case 'connecting':
    }
  }

  private broken(): void {
    if (this.retired) return;
    this.retire();
    this.events.onBroken(this.connected ? undefined : new TransportFailed(this.kind, 'did not connect'));
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
