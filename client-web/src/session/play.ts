// A session from the click to its end: makes it, connects, reconnects, and says how it stands. State
// machine: state.ts.
import { ApiProblem, type Api } from '../api.ts';
import { InputSender } from '../input/sender.ts';
import type { Settings, TicketLink } from '../settings.ts';
import { clientNow, ms, type Micros } from '../units.ts';
import type { Progress } from '../video/messages.ts';
import { parseServerMessage } from '../wire/control.ts';
import type { ClientMessage, Hello, Session, Stats } from '../wire/index.ts';
import { pause, pauseBefore } from './backoff.ts';
import { Connection, type ConnectionEvents, type SessionConnection } from './connection.ts';
import { ConnectionLost, refusal, type Lost } from './refusal.ts';
import { isFinal, type ConnectingStep, type EndedReason, type PlayState } from './state.ts';

export interface PlayEvents {
  readonly onState: (state: PlayState) => void;
  /** Show this track from now on. */
  readonly onTrack: (track: MediaStreamTrack) => void;
  readonly onHello: (hello: Hello) => void;
  readonly onStats: (stats: Stats) => void;
  /** The session ends in `inMs` for `reason`. */
  readonly onWarning: (reason: string, inMs: number) => void;
  /** Input works again; whatever was held before is not held now. */
  readonly onInputReady: () => void;
}

/** Moments of the start, for benches; client time. */
export interface StartTimes {
  /** When the user asked for it: the click, where there was one. */
  readonly askedUs: Micros;
  sessionUs?: Micros;
  answeredUs?: Micros;
  trackUs?: Micros;
  firstDecodedUs?: Micros;
  firstPresentedUs?: Micros;
}

/** A path that is silent this long is replaced; ICE mends shorter breaks itself. */
const SILENCE_MS = 1_500;
/** An answered offer must bring a picture within this time, while the page is seen. */
export const PICTURE_MS = 12_000;
/**
 * Without success for this long, the session counts as lost. A node keeps its place for 30 s unless it is
 * configured otherwise, counted from when the node notices; who comes too late is told so by the node.
 */
export const GIVE_UP_MS = 45_000;
/** A node's wish for a pause before the next attempt is followed up to here. */
const MOST_RETRY_AFTER_S = 5;

export class PlaySession {
  readonly input = new InputSender();
  readonly times: StartTimes;
  private current: PlayState = { name: 'idle' };
  private session: Session | undefined;
  private connection: SessionConnection | undefined;
  /** The one before, which the node has not replaced yet. */
  private former: SessionConnection | undefined;
  /** Everything can be said on the connection. */
  private ready = false;
  /** When it was last known that the connection is good. */
  private goodAt = 0;
  private readonly abort = new AbortController();
  /** Settles once the node knows that the session is over here. */
  private farewell: Promise<void> = Promise.resolve();
  /** When the newest track came; no frame of it is older. */
  private trackAt = Number.POSITIVE_INFINITY as Micros;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private pictureDue: ReturnType<typeof setTimeout> | undefined;
  /** Settles the wait of the attempt that is under way. */
  private attempt: { readonly pictured: () => void; readonly lost: (why: Lost) => void; awaitsPicture: boolean } | undefined;

  constructor(
    private readonly api: Api,
    /** Catalogue id of a new session, or the link to one that exists. */
    private readonly what: string | TicketLink,
    private readonly settings: Pick<Settings, 'video' | 'barcode'>,
    private readonly events: PlayEvents,
    askedAt: Micros,
    private readonly makeConnection: (events: ConnectionEvents) => SessionConnection = (of) => new Connection(of),
  ) {
    this.times = { askedUs: askedAt };
    const { signal } = this.abort;
    document.addEventListener('visibilitychange', () => { this.visibilityChanged(); }, { signal });
    window.addEventListener('pagehide', () => { this.leave(); }, { signal });
  }

  get state(): PlayState {
    return this.current;
  }

  /** Runs the session to its end. Never rejects: what goes wrong becomes a state. */
  async run(): Promise<void> {
    try {
      const connection = await this.begin();
      await this.keep(connection);
    } catch (error) {
      if (!isFinal(this.current)) this.fail(error);
    } finally {
      this.free();
    }
  }

  /** The presenter showed frames. */
  progressed(progress: Progress): void {
    this.times.firstDecodedUs ??= progress.decodedAt;
    this.times.firstPresentedUs ??= progress.presentedAt;
    // What an earlier connection showed last may be told only now.
    if (progress.decodedAt >= this.trackAt) this.attempt?.pictured();
    if (progress.reports.length > 0) this.say({ type: 'frames', frames: [...progress.reports] });
  }

  /** The presenter can show no more. */
  presenterStopped(failure: string | undefined): void {
    // A track that merely ended belongs to a connection that is being replaced.
    if (failure !== undefined) this.end('presenter', failure);
  }

  /** Ends the session at the user's wish, also while the page goes away. */
  leave(): void {
    this.end('left', undefined);
  }

  /** The browser's own figures; undefined without a connection. */
  rtcStats(): Promise<RTCStatsReport | undefined> {
    return this.connection?.stats() ?? Promise.resolve(undefined);
  }

  private async begin(): Promise<SessionConnection> {
    this.become({ name: 'connecting', step: 'session' });
    // The offer is made while the node makes the session.
    const connection = this.open();
    const { video, barcode } = this.settings;
    // Not aborted when the user leaves: a session that was made unseen could not be ended.
    const session = await (typeof this.what === 'string'
      ? this.api.createSession({ app: this.what, video, barcode })
      : this.api.redeem(this.what));
    this.session = session;
    this.times.sessionUs = clientNow();
    if (isFinal(this.current)) this.endAtNode();
    this.abort.signal.throwIfAborted();
    await this.establish(connection, session);
    return connection;
  }

  /** Waits for each connection to break and makes the next one. */
  private async keep(first: SessionConnection): Promise<void> {
    let connection: SessionConnection | undefined = first;
    while (connection !== undefined) {
      await this.broken(connection);
      connection = await this.reconnect();
    }
  }

  private async reconnect(): Promise<SessionConnection | undefined> {
    const { session } = this;
    if (session === undefined) return undefined;
    this.goodAt = performance.now();
    for (let attempt = 1; performance.now() - this.goodAt < GIVE_UP_MS; attempt += 1) {
      this.become({ name: 'reconnecting', attempt });
      await pause(pauseBefore(attempt, Math.random()), this.abort.signal, window);
      try {
        const connection = this.open();
        await this.establish(connection, session);
        return connection;
      } catch (error) {
        if (isFinal(this.current)) throw error;
        if (error instanceof ApiProblem && !error.isTemporary) {
          this.end(error.reason === 'ended-session' ? 'by-node' : 'lost', error.detail ?? error.title);
          return undefined;
        }
        const retry = error instanceof ApiProblem ? Math.min(error.retryAfter ?? 0, MOST_RETRY_AFTER_S) : 0;
        if (retry > 0) await pause(ms(retry * 1000), this.abort.signal, window);
      }
    }
    this.end('lost', undefined);
    return undefined;
  }

  private open(): SessionConnection {
    if (this.connection !== undefined) this.retire(this.connection);
    this.ready = false;
    const connection = this.makeConnection({
      onTrack: (track) => {
        this.trackAt = clientNow();
        this.times.trackUs ??= this.trackAt;
        this.events.onTrack(track);
      },
      onControl: (text) => { this.heard(text); },
      onInputReady: (input, motion) => {
        this.ready = true;
        this.input.attach(input, motion);
        this.sayVisibility();
        this.events.onInputReady();
      },
      onSilent: (silent) => { this.silent(silent, connection); },
      onBroken: () => { this.lose(connection); },
    });
    this.connection = connection;
    return connection;
  }

  /** Connects and waits for the first picture. */
  private async establish(connection: SessionConnection, session: Session): Promise<void> {
    this.step('connection');
    this.trackAt = Number.POSITIVE_INFINITY as Micros;
    const pictured = new Promise<void>((resolve, reject) => {
      this.attempt = {
        pictured: resolve,
        lost: (why) => { reject(new ConnectionLost(why)); },
        awaitsPicture: false,
      };
    });
    // Until it is waited for, a rejection is nobody's.
    pictured.catch(() => undefined);
    await connection.connect(
      session,
      async (sdp) => {
        const answer = await this.api.offer(session, sdp, this.abort.signal);
        this.times.answeredUs ??= clientNow();
        // Not before: a node that hears the old one close takes it for the user leaving.
        this.former?.close();
        this.former = undefined;
        return answer;
      },
      (answer, text) => this.api.trickle(session, answer, text),
    );
    this.step('picture');
    if (this.attempt !== undefined) this.attempt.awaitsPicture = true;
    this.limitWait();
    try {
      await pictured;
    } finally {
      clearTimeout(this.pictureDue);
    }
    this.become({ name: 'live' });
  }

  /** Limits the wait for a picture. To a hidden page the node sends none, so there is no limit then. */
  private limitWait(): void {
    clearTimeout(this.pictureDue);
    if (this.attempt?.awaitsPicture !== true || isHidden()) return;
    this.pictureDue = setTimeout(() => { this.attempt?.lost('no-picture'); }, PICTURE_MS);
  }

  private visibilityChanged(): void {
    // An open connection was good all the while that no picture was due on it.
    if (!isHidden() && this.ready) this.goodAt = performance.now();
    this.sayVisibility();
    this.limitWait();
  }

  private broken(connection: SessionConnection): Promise<void> {
    return new Promise((resolve, reject) => {
      this.abort.signal.throwIfAborted();
      // It may have broken while its first picture was on its way here.
      if (this.connection !== connection) resolve();
      this.attempt = { pictured: () => undefined, lost: () => { resolve(); }, awaitsPicture: false };
      this.abort.signal.addEventListener('abort', () => { reject(this.abort.signal.reason as Error); });
    });
  }

  private silent(silent: boolean, connection: SessionConnection): void {
    clearTimeout(this.silence);
    if (silent) this.silence = setTimeout(() => { this.lose(connection); }, SILENCE_MS);
  }

  private lose(connection: SessionConnection): void {
    clearTimeout(this.silence);
    if (this.connection !== connection) return;
    if (isHidden() && this.ready) this.goodAt = performance.now();
    this.connection = undefined;
    this.ready = false;
    this.input.detach();
    this.retire(connection);
    this.attempt?.lost('broken');
  }

  /** At most one waits to be replaced: an answer closes it. */
  private retire(connection: SessionConnection): void {
    if (connection.answered) {
      connection.retire();
      this.former?.close();
      this.former = connection;
    } else {
      connection.close();
    }
  }

  private heard(text: string): void {
    const message = parseServerMessage(text);
    switch (message?.type) {
      case 'ping':
        this.say({ type: 'pong', id: message.id, client_us: clientNow() });
        return;
      case 'hello':
        this.events.onHello(message);
        return;
      case 'stats':
        this.events.onStats(message);
        return;
      case 'warning':
        this.events.onWarning(message.reason, message.in_ms);
        return;
      case 'ended':
        this.end('by-node', message.reason);
        return;
      case undefined:
    }
  }

  private say(message: ClientMessage): void {
    this.connection?.say(JSON.stringify(message));
  }

  private sayVisibility(): void {
    this.say({ type: 'visibility', visible: !isHidden() });
  }

  private step(step: ConnectingStep): void {
    if (this.current.name === 'connecting') this.become({ name: 'connecting', step });
  }

  private become(state: PlayState): void {
    if (isFinal(this.current)) return;
    this.current = state;
    this.events.onState(state);
  }

  private end(reason: EndedReason, detail: string | undefined): void {
    if (isFinal(this.current)) return;
    // The node would keep the place for whoever reconnects.
    if (reason !== 'by-node') {
      this.say({ type: 'bye' });
      this.endAtNode();
    }
    this.become({ name: 'ended', reason, detail });
    // After the state: what waits is woken by this and finds the session over.
    this.abort.abort(new ConnectionLost('broken'));
    this.free();
  }

  private fail(error: unknown): void {
    if (error instanceof ApiProblem && error.reason === 'ended-session') {
      this.end('by-node', error.detail);
      return;
    }
    const byLink = typeof this.what !== 'string' && this.session === undefined;
    const reason = refusal(error, byLink);
    // The page has its own words for the known reasons; what happened this time is the node's to say.
    const own = error instanceof Error && reason === 'failed' ? error.message : undefined;
    const detail = error instanceof ApiProblem && reason !== 'link-used' ? (error.detail ?? own) : own;
    if (this.current.name === 'connecting') {
      this.endAtNode();
      this.become({ name: 'refused', reason, detail });
    } else {
      this.end('lost', detail);
    }
  }

  private endAtNode(): void {
    // The node ends it by itself when this does not arrive.
    if (this.session !== undefined) this.farewell = this.api.endSession(this.session).catch(() => undefined);
  }

  private free(): void {
    clearTimeout(this.silence);
    clearTimeout(this.pictureDue);
    this.input.detach();
    this.attempt?.lost('broken');
    const open = [this.connection, this.former].filter((connection) => connection !== undefined);
    for (const connection of open) connection.retire();
    // The node hears first that the session is to end: a close alone may also mean that the browser died.
    this.farewell.then(() => { for (const connection of open) connection.close(); }, () => undefined);
    this.connection = undefined;
    this.former = undefined;
    this.ready = false;
    if (!this.abort.signal.aborted) this.abort.abort(new ConnectionLost('broken'));
  }
}

function isHidden(): boolean {
  return document.visibilityState === 'hidden';
}
