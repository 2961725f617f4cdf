// The node's HTTP interface. It never guesses an address: it starts at one base and follows the absolute
// addresses in answers.
import type { LeaseTicket } from './rented/lease-link.ts';
import type { JoinLink, LeasedLink, PlaceLink, TicketLink } from './settings.ts';
import { isRecord } from './wire/control.ts';
import type { Bearer, Catalogue, Challenge, ClientMessage, Invitation, InvitedRole, Lease, NewSession, NodeReport, Problem, Receipts, SavedGame, SaveResult, Saves, Session, SessionFiles } from './wire/index.ts';

/** Kinds of problem that the page treats differently; every other one is `other`. */
const PROBLEMS = [
  'unauthorized',
  'rented',
  'refused',
  'unknown-app',
  'unknown-session',
  'ended-session',
  'unusable-offer',
  'foreign-origin',
  'conflict',
  'invitation',
] as const;
export type ProblemReason = (typeof PROBLEMS)[number] | 'other';

/** The node said no (RFC 9457). */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  constructor(
    readonly reason: ProblemReason,
    readonly status: number,
    /** The kind in words. */
    readonly title: string,
    /** This occurrence in words. */
    readonly detail: string | undefined,
    /** Seconds after which the node invites another try. */
    readonly retryAfter: number | undefined,
    /** Why a session is over: a code that never changes. */
    readonly code?: string,
  ) {
    super(detail === undefined ? title : `${title}: ${detail}`);
  }

  /** The same request may do better later. */
  get isTemporary(): boolean {
    return this.retryAfter !== undefined || this.reason === 'conflict' || this.status >= 500;
  }
}

/** The node could not be asked, or its answer is not one. */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure';
  constructor(
    readonly reason: 'unreachable' | 'timeout' | 'malformed',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface Answer {
  readonly sdp: string;
  /** Absolute address of the connection, for candidates; absent where the node takes none. */
  readonly location: string | undefined;
  readonly etag: string | undefined;
}

/** Where a session can be had by WebTransport; the address works once. */
export interface WebTransportAddress {
  readonly url: string;
  /** SHA-256 of the certificates that the node may show, in base64; none where a browser knows their issuer. */
  readonly certificate_hashes: readonly string[];
}

/** Where a session can be had by WebSocket; the address works once. */
export interface WebSocketAddress {
  readonly url: string;
}

/** Names the player to the node: not in the address, which others log. */
const PLAYER = 'nearlight-player';
/** The header by which the node knows connections of one race. */
const RACE = 'nearlight-race';

/** A request that takes longer than this has failed. */
const TIMEOUT_MS = 10_000;
/** One that carries contents of any size. */
const CARRY_MS = 3_600_000;

export class Api {
  constructor(
    private readonly base: URL,
    private token: string | undefined,
    private readonly fetcher: typeof fetch = (input, init) => fetch(input, init),
  ) {}

  /** Another operator's token from here on. */
  setToken(token: string): void {
    this.token = token;
  }

  async catalogue(): Promise<Catalogue> {
    const body = await this.json(await this.request(this.at('catalogue'), {}));
    if (!isRecord(body) || !Array.isArray(body['entries'])) throw malformed('a catalogue');
    return body as Catalogue;
  }

  async node(): Promise<NodeReport> {
    const body = await this.json(await this.request(this.at('node'), {}));
    if (!isRecord(body) || !Array.isArray(body['encoders'])) throw malformed('a description of the node');
    return body as NodeReport;
  }

  async createSession(wish: NewSession): Promise<Session> {
    const response = await this.request(this.at('sessions'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(wish),
    });
    return this.session(response);
  }

  /** Takes over a session that somebody handed on. A ticket works once. */
  async redeem(link: TicketLink): Promise<Session> {
    const response = await this.request(this.at(`sessions/${encodeURIComponent(link.session)}/redeem`), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ticket: link.ticket }),
    });
    return this.session(response);
  }

  /** Joins a session that somebody else plays. */
  async join({ invitation }: JoinLink): Promise<Session> {
    const response = await this.request(this.at('join'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ invitation }),
    });
    return this.session(response);
  }

  /** What a viewer was given when it joined, as it is now. */
  async place({ place, token }: PlaceLink): Promise<Session> {
    const response = await this.request(place, { headers: { authorization: `Bearer ${token}` } });
    return { ...(await this.session(response)), token };
  }

  /** Makes a link by which others join a session. */
  async invite(session: Session, role: InvitedRole): Promise<Invitation> {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ role }) };
    const body = await this.json(await this.request(`${session.url}/invitations`, init, session));
    if (!isRecord(body) || typeof body['id'] !== 'number') throw malformed('an invitation');
    return body as Invitation;
  }

  /** The invitations of a session that let somebody in. */
  async invitations(session: Session): Promise<readonly Invitation[]> {
    const body = await this.json(await this.request(`${session.url}/invitations`, {}, session));
    if (!Array.isArray(body)) throw malformed('a list of invitations');
    return body as Invitation[];
  }

  /** Takes an invitation back; who came by it is sent away. */
  async revoke(session: Session, id: number): Promise<void> {
    await this.request(`${session.url}/invitations/${id}`, { method: 'DELETE' }, session);
  }

  /** How a rented machine's orders stand. */
  async lease(): Promise<Lease> {
    const body = await this.json(await this.request(this.at('lease'), {}));
    if (!isRecord(body) || !Array.isArray(body['orders'])) throw malformed('a lease');
    return body as Lease;
  }

  /** A text for an order's renter to sign; `account` is his address. */
  async challenge(order: string, account: string): Promise<Challenge> {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ order, account }) };
    const body = await this.json(await this.request(this.at('lease/challenges'), init));
    if (!isRecord(body) || typeof body['text'] !== 'string' || typeof body['body'] !== 'string') throw malformed('a challenge');
    return body as Challenge;
  }

  /** Proves who rents the machine; `signature` is of the challenge's text. */
  async prove({ text, body }: Challenge, signature: string): Promise<Bearer> {
    return this.bearer('lease/bearers', text, signature, body, 'application/json');
  }

  /** Takes a renter's ticket. */
  async redeemLease({ text, signature, secret }: LeaseTicket): Promise<Bearer> {
    return this.bearer('lease/tickets/redeem', text, signature, secret, 'text/plain');
  }

  /** The sessions of the bearer's order. */
  async leasedSessions(): Promise<readonly Session[]> {
    const body = await this.json(await this.request(this.at('lease/sessions'), {}));
    if (!Array.isArray(body)) throw malformed('a list of sessions');
    return body as Session[];
  }

  /** Enters a session of the bearer's order. */
  async enterLeased({ leased }: LeasedLink): Promise<Session> {
    return this.session(await this.request(this.at(`lease/sessions/${encodeURIComponent(leased)}/enter`), { method: 'POST' }));
  }

  /** The receipts that a token reads; without one those of the bearer's order. */
  async receipts(token?: string): Promise<readonly Receipts[]> {
    const body = await this.json(await this.request(this.at('lease/receipts'), bearing(token)));
    if (!Array.isArray(body)) throw malformed('a list of receipts');
    return body as Receipts[];
  }

  async downloadReceipts(receipts: string, format: 'json' | 'csv', token?: string): Promise<Blob> {
    return (await this.request(this.at(`lease/receipts/${receipts}?format=${format}`), bearing(token), undefined, CARRY_MS)).blob();
  }

  /** Acknowledges a slice whose session's connection is gone. */
  async acknowledge({ chain, sequence, signature }: Extract<ClientMessage, { type: 'acknowledge' }>): Promise<void> {
    const init = { method: 'POST', keepalive: true, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ sequence, signature }) };
    await this.request(this.at(`lease/receipts/${chain}/acknowledgements`), init);
  }

  private async bearer(path: string, text: string, signature: string, body: string, kind: string): Promise<Bearer> {
    const headers = { 'content-type': kind, 'nearlight-proof': base64(text), 'nearlight-signature': signature.replace(/^0x/, '') };
    const answer = await this.json(await this.request(this.at(path), { method: 'POST', headers, body }));
    if (!isRecord(answer) || typeof answer['token'] !== 'string' || !Array.isArray(answer['scopes'])) throw malformed('a bearer');
    return answer as Bearer;
  }

  /** What a player keeps of a game. */
  async saves(app: string, player: string): Promise<Saves> {
    const body = await this.json(await this.request(this.at(`catalogue/${encodeURIComponent(app)}/saves`), { headers: { [PLAYER]: player } }));
    if (!isRecord(body) || !Array.isArray(body['saves'])) throw malformed('a list of saves');
    return body as Saves;
  }

  /** The games that a player keeps something of, on offer or not. */
  async savedGames(player: string): Promise<readonly SavedGame[]> {
    const body = await this.json(await this.request(this.at('saves'), { headers: { [PLAYER]: player } }));
    if (!isRecord(body) || !Array.isArray(body['games'])) throw malformed('a list of games');
    return body['games'] as SavedGame[];
  }

  /** The files of a version, as a tar archive. */
  async downloadSave(app: string, player: string, id: string): Promise<Blob> {
    const path = `catalogue/${encodeURIComponent(app)}/saves/${encodeURIComponent(id)}`;
    return (await this.request(this.at(path), { headers: { [PLAYER]: player } })).blob();
  }

  /** Keeps a version however many newer ones come, or no longer. */
  async pinSave(app: string, player: string, id: string, pinned: boolean): Promise<void> {
    const path = `catalogue/${encodeURIComponent(app)}/saves/${encodeURIComponent(id)}/pin`;
    await this.request(this.at(path), { method: pinned ? 'PUT' : 'DELETE', headers: { [PLAYER]: player } });
  }

  /** Deletes a version of what a player keeps of a game. */
  async deleteSave(app: string, player: string, id: string): Promise<void> {
    const path = `catalogue/${encodeURIComponent(app)}/saves/${encodeURIComponent(id)}`;
    await this.request(this.at(path), { method: 'DELETE', headers: { [PLAYER]: player } });
  }

  /** Saves the game of a session as it is now. */
  async save(session: Session): Promise<SaveResult> {
    const body = await this.json(await this.request(`${session.url}/save`, { method: 'POST' }, session));
    if (!isRecord(body) || typeof body['made'] !== 'boolean') throw malformed('what was saved');
    return body as SaveResult;
  }

  /** What was copied in the game of a session. */
  async readClipboard(session: Session): Promise<Blob> {
    return (await this.request(`${session.url}/clipboard`, {}, session, CARRY_MS)).blob();
  }

  /** Puts text or an image into the clipboard of a session's game. */
  async writeClipboard(session: Session, clip: Blob): Promise<void> {
    await this.request(`${session.url}/clipboard`, { method: 'PUT', headers: { 'content-type': clip.type }, body: clip }, session, CARRY_MS);
  }

  /** The files of a session. */
  async files(session: Session): Promise<SessionFiles> {
    const body = await this.json(await this.request(`${session.url}/files`, {}, session));
    if (!isRecord(body) || !Array.isArray(body['files'])) throw malformed('a list of files');
    return body as SessionFiles;
  }

  async downloadFile(session: Session, name: string): Promise<Blob> {
    return (await this.request(fileAt(session, name), {}, session, CARRY_MS)).blob();
  }

  async deleteFile(session: Session, name: string): Promise<void> {
    await this.request(fileAt(session, name), { method: 'DELETE' }, session);
  }

  /** Brings a file; `onProgress` is told the part that has gone, which `fetch` does not tell. */
  uploadFile(session: Session, file: File, onProgress: (part: number) => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open('PUT', fileAt(session, file.name));
      const token = session.token ?? this.token;
      if (token !== undefined) request.setRequestHeader('authorization', `Bearer ${token}`);
      request.setRequestHeader('content-type', 'application/octet-stream');
      request.upload.addEventListener('progress', ({ loaded, total }) => { if (total > 0) onProgress(loaded / total); });
      const end = (): void => { request.abort(); };
      signal.addEventListener('abort', end);
      request.addEventListener('loadend', () => {
        signal.removeEventListener('abort', end);
        const { status } = request;
        if (status >= 200 && status < 300) resolve();
        else if (status === 0) reject(new ApiFailure('unreachable', signal.aborted ? 'It was stopped' : 'The node cannot be reached'));
        else problemOf(new Response(request.responseText, { status })).then(reject, reject);
      });
      request.send(file);
    });
  }

  private async session(response: Response): Promise<Session> {
    const body = await this.json(response);
    if (!isRecord(body) || typeof body['url'] !== 'string' || typeof body['whep_url'] !== 'string') {
      throw malformed('a session');
    }
    return body as Session;
  }

  /** Ends a session. Survives the page when it is asked for while the page goes. */
  async endSession(session: Session): Promise<void> {
    await this.request(session.url, { method: 'DELETE', keepalive: true }, session);
  }

  /** Whether the node can be reached: resolves with any answer, which is not read. */
  async knock(signal: AbortSignal): Promise<void> {
    await this.fetcher(new URL('icon.svg', this.base).href, { method: 'HEAD', mode: 'no-cors', credentials: 'omit', cache: 'no-store', signal });
  }

  /** Offers a connection (WHEP), which may take part in a race. */
  async offer(session: Session, sdp: string, signal: AbortSignal, race?: number): Promise<Answer> {
    const headers = { 'content-type': 'application/sdp', ...(race === undefined ? {} : { [RACE]: String(race) }) };
    const response = await this.request(session.whep_url, { method: 'POST', headers, body: sdp, signal }, session);
    const location = response.headers.get('location');
    return {
      sdp: await response.text(),
      location: location === null ? undefined : new URL(location, session.whep_url).href,
      etag: response.headers.get('etag') ?? undefined,
    };
  }

  /** Adds candidates to a connection (RFC 8840). */
  async trickle(session: Session, answer: Answer, fragment: string): Promise<void> {
    if (answer.location === undefined) return;
    const headers: Record<string, string> = { 'content-type': 'application/trickle-ice-sdpfrag' };
    if (answer.etag !== undefined) headers['if-match'] = answer.etag;
    await this.request(answer.location, { method: 'PATCH', headers, body: fragment }, session);
  }

  /** A fresh address for WebTransport. */
  async webTransport(session: Session, signal: AbortSignal): Promise<WebTransportAddress> {
    const body = await this.json(await this.request(`${session.url}/webtransport`, { method: 'POST', signal }, session));
    if (!isWebTransportAddress(body)) throw malformed('an address for WebTransport');
    return body;
  }

  /** An address for a WebSocket. */
  async webSocket(session: Session, signal: AbortSignal): Promise<WebSocketAddress> {
    const { socket_url: url } = session;
    if (url == null) throw new ApiFailure('malformed', 'The node offers no WebSocket');
    const body = await this.json(await this.request(url, { method: 'POST', signal }, session));
    if (!isRecord(body) || typeof body['url'] !== 'string') throw malformed('an address for a WebSocket');
    return { url: body['url'] };
  }

  private at(path: string): string {
    return new URL(`api/v1/${path}`, this.base).href;
  }

  private async request(url: string, init: RequestInit, session?: Session, limitMs = TIMEOUT_MS): Promise<Response> {
    const headers = new Headers(init.headers);
    const token = session?.token ?? this.token;
    if (token !== undefined && !headers.has('authorization')) headers.set('authorization', `Bearer ${token}`);
    const timeout = AbortSignal.timeout(limitMs);
    const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
    let response: Response;
    try {
      response = await this.fetcher(url, { ...init, headers, signal, credentials: 'omit', cache: 'no-store' });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      if (timeout.aborted) throw new ApiFailure('timeout', 'The node did not answer in time', { cause: error });
      throw new ApiFailure('unreachable', 'The node cannot be reached', { cause: error });
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  private async json(response: Response): Promise<unknown> {
    try {
      return (await response.json()) as unknown;
    } catch (error) {
      throw new ApiFailure('malformed', 'The node answered with something that is not JSON', { cause: error });
    }
  }
}

/** A request with this token in place of the page's. */
function bearing(token: string | undefined): RequestInit {
  return token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } };
}

function fileAt(session: Session, name: string): string {
  return `${session.url}/files/${encodeURIComponent(name)}`;
}

async function problemOf(response: Response): Promise<ApiProblem> {
  let body: Partial<Problem> = {};
  try {
    const parsed: unknown = await response.json();
    if (isRecord(parsed)) body = parsed;
  } catch {
    // A proxy in between speaks no problem+json; the status says enough.
  }
  const kind = typeof body.type === 'string' ? body.type.slice(body.type.lastIndexOf('/') + 1) : '';
  const known = PROBLEMS.find((name) => name === kind);
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new ApiProblem(
    known ?? (response.status === 401 ? 'unauthorized' : 'other'),
    response.status,
    typeof body.title === 'string' ? body.title : `The node answered with status ${response.status}`,
    typeof body.detail === 'string' ? body.detail : undefined,
    Number.isFinite(retryAfter) ? retryAfter : undefined,
    typeof body.code === 'string' ? body.code : undefined,
  );
}

export function isWebTransportAddress(value: unknown): value is WebTransportAddress {
  return isRecord(value) && typeof value['url'] === 'string' && Array.isArray(value['certificate_hashes']) &&
    value['certificate_hashes'].every((hash) => typeof hash === 'string');
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function malformed(what: string): ApiFailure {
  return new ApiFailure('malformed', `The node's answer is not ${what}`);
}
