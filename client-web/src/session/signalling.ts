// What connections of a session ask its node.
import type { Answer, Api, WebSocketAddress, WebTransportAddress } from '../api.ts';
import type { Session } from '../wire/index.ts';
import type { Signalling } from './connection.ts';

export class NodeSignalling implements Signalling {
  /** The address that came with the session is good once. */
  private unused: WebTransportAddress | undefined;

  /** `onAnswered` is told that an offer was answered before who offered is. */
  constructor(private readonly api: Api, private readonly session: Session, private readonly signal: AbortSignal, private readonly onAnswered: () => void) {
    this.unused = session.webtransport ?? undefined;
  }

  get iceServers(): Session['ice_servers'] {
    return this.session.ice_servers;
  }

  offer(sdp: string): Promise<Answer> {
    return this.offerIn(sdp, undefined);
  }

  trickle(answer: Answer, fragment: string): Promise<void> {
    return this.api.trickle(this.session, answer, fragment);
  }

  webTransport(): Promise<WebTransportAddress> {
    const { unused } = this;
    this.unused = undefined;
    return unused === undefined ? this.api.webTransport(this.session, this.signal) : Promise.resolve(unused);
  }

  webSocket(): Promise<WebSocketAddress> {
    return this.api.webSocket(this.session, this.signal);
  }

  /**
   * The same for connections that race: the node keeps the first that is connected and refuses the rest. `race` is 32 bits
   * that no other race has.
   */
  inRace(race: number): Signalling {
    const asRacing = <Address extends { url: string }>(address: Address): Address => ({ ...address, url: `${address.url}&race=${race}` });
    return {
      iceServers: this.iceServers,
      offer: (sdp) => this.offerIn(sdp, race),
      trickle: (answer, fragment) => this.trickle(answer, fragment),
      webTransport: async () => asRacing(await this.webTransport()),
      webSocket: async () => asRacing(await this.webSocket()),
    };
  }

  private async offerIn(sdp: string, race: number | undefined): Promise<Answer> {
    const answer = await this.api.offer(this.session, sdp, this.signal, race);
    this.onAnswered();
    return answer;
  }
}
