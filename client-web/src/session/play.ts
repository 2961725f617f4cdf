// A session from the click to its end: makes it, connects, reconnects, and says how it stands. State
// machine: state.ts.
import { ApiProblem, type Api } from '../api.ts';
import { InputSender } from '../input/sender.ts';
import type { Acknowledger } from '../rented/acknowledger.ts';
import type { Link, Settings, TicketLink } from '../settings.ts';
import { clientNow, ms, type Micros } from '../units.ts';
import type { Progress } from '../video/messages.ts';
import type { Decoded } from '../video/reports.ts';
import { parseServerMessage } from '../wire/control.ts';
import type { ClientMessage, Quality, Session, View } from '../wire/index.ts';
import { pause, pauseBefore } from './backoff.ts';
import { TransportFailed, type TransportKind } from './choice.ts';
import type { ConnectionEvents, PathAverages, SessionConnection } from './connection.ts';
import { Contest } from './contest.ts';
import type { PlayEvents, StartTimes } from './events.ts';
import { CONNECT_MS, ConnectionLost, refusal, type Lost } from './refusal.ts';
import { leaveBehind, wayBack } from './kept.ts';
import { reached } from './knock.ts';
import { PathWatch } from './path-watch.ts';
import { NodeSignalling } from './signalling.ts';
import { isFinal, type ConnectingStep, type EndedReason, type PlayState } from './state.ts';
import type { Transports } from './transports.ts';

/** An answered offer must bring a picture, or word of what its start waits for, within this time, while the page is seen. */
export const PICTURE_MS = 12_000;
/**
 * Without success for this long, the session counts as lost. A node keeps its place for 30 s unless it is
 * configured otherwise, counted from when the node notices; who comes too late is told so by the node.
 */
export const GIVE_UP_MS = 45_000;
/** A node that can be reached has said by then what became of a session, unless its machine stood still for longer. */
const TOLD_MS = 5_000;
/** A node's wish for a pause before the next attempt is followed up to here. */
const MOST_RETRY_AFTER_S = 5;

/** Who plays, and from which save. */
export interface Seat {
  readonly player?: string;
  readonly save?: string;
}

export class PlaySession {
  readonly input = new InputSender();
  readonly times: StartTimes;
  private current: PlayState = { name: 'idle' };
  private session: Session | undefined;
  private signalling: NodeSignalling | undefined;
  private connection: SessionConnection | undefined;
  /** The one before, which the node has not replaced yet; `plays`: it shows pictures and takes input until it is. */
  private former: { readonly connection: SessionConnection; readonly plays: boolean } | undefined;
  /** What came by the newest one while the one before plays. */
  private brought: (() => void)[] = [];
  /** Those of which one is to become the connection. */
  private contest: Contest | undefined;
  /** Where the picture is shown, if the session may follow that. */
  private view: View | undefined;
  /** What the user wants at most; kept for the connections to come. */
  private wanted: Quality = {};
  /** Channels that the page plays. */
  private channels = 2;
  /** Wants to know where the pointer is. */
  private follows = false;
  /** The microphone's, while it is on; kept for the connections to come. */
  private voice: MediaStreamTrack | undefined;
  /** Whose outcome the newest attempt is. */
  private tried: SessionConnection | undefined;
  /** Everything can be said on the connection. */
  private ready = false;
  /** When it was last known that the connection is good. */
  private goodAt = 0;
  private readonly abort = new AbortController();
  /** Settles once receipts can be signed. */
  private begun: Promise<void> | undefined;
  /** Settles once the node knows that the session is over here. */
  private farewell: Promise<void> = Promise.resolve();
  /** When the newest track came; no frame of it is older. */
  private trackAt = Number.POSITIVE_INFINITY as Micros;
  /** Of a connection that showed a picture. */
  private watch: PathWatch | undefined;
  private pictureDue: ReturnType<typeof setTimeout> | undefined;
  private connectionDue: ReturnType<typeof setTimeout> | undefined;
  /** Settles the wait of the attempt that is under way. */
  private attempt: { readonly pictured: () => void; readonly lost: (why: Lost) => void; awaitsPicture: boolean } | undefined;

  constructor(
    private readonly api: Api,
    /** Catalogue id of a new session, or the link to one that exists. */
    private readonly what: string | Link,
    /** The session of this entry that the page before left. */
    private readonly left: TicketLink | undefined,
    /** `receipts`: where the machine is rented. */
    private readonly settings: Pick<Settings, 'video' | 'barcode' | 'patient'> & { readonly seat?: Seat; readonly receipts?: Acknowledger | undefined },
    private readonly events: PlayEvents,
    askedAt: Micros,
    private readonly transports: Transports,
  ) {
    this.times = { askedUs: askedAt };
    const { signal } = this.abort;
    document.addEventListener('visibilitychange', () => { this.visibilityChanged(); }, { signal });
    window.addEventListener('pagehide', () => { this.goAway(); }, { signal });
    window.addEventListener('online', () => { this.watch?.doubt(); }, { signal });
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
      if (!isFinal(this.current)) this.fail(await this.why(error));
    } finally {
      this.free();
    }
  }

  /** A frame is decoded. */
  decoded(frame: Decoded): void {
    // What is decoded before the newest connection brings pictures came by the one before it, which the node sends on
    // until it knows the new one.
    const from = (frame.decodedAt < this.trackAt ? this.former?.connection : undefined) ?? this.connection;
    if (from === this.connection) this.heardNode();
    from?.acknowledge?.(frame);
  }

  /** The presenter showed frames. */
  progressed(progress: Progress): void {
    this.times.firstDecodedUs ??= progress.decodedAt;
    this.times.firstPresentedUs ??= progress.presentedAt;
    // What an earlier connection showed last may be told only now.
    if (this.isNew(progress)) {
      this.heardNode();
      this.attempt?.pictured();
    }
    if (progress.reports.length > 0) this.say({ type: 'frames', frames: [...progress.reports] });
  }

  /** The presenter can show no more. */
  presenterStopped(failure: string | undefined): void {
    // A track that merely ended belongs to a connection that is being replaced.
    if (failure !== undefined) this.end('presenter', failure);
  }

  /** Sends the sound of this track from now on, by whatever connection there is; of none: no more. */
  speak(track: MediaStreamTrack | undefined): void {
    this.voice = track;
    if (this.playing !== undefined) this.speakBy(this.playing);
  }

  /** Ends the session at the user's wish. */
  leave(): void {
    this.end('left', undefined);
  }

  /**
   * The page goes away. It may be loading again: the node keeps the session for some seconds, and the page after this
   * one finds it.
   */
  private goAway(): void {
    if (isFinal(this.current)) return;
    const back = this.session === undefined ? undefined : wayBack(this.session);
    if (back === undefined) {
      this.leave();
      return;
    }
    leaveBehind(typeof this.what === 'string' ? this.what : '', back);
    this.settings.receipts?.leaveBehind();
    const { all } = this;
    this.become({ name: 'ended', reason: 'left', detail: undefined });
    this.abort.abort(new ConnectionLost('broken'));
    // At once: there may be no later.
    for (const connection of all) connection.close();
    this.free();
  }

  /** WebRTC's own figures; undefined without it. */
  rtcStats(): Promise<RTCStatsReport | undefined> {
    return this.playing?.stats() ?? Promise.resolve(undefined);
  }

  averages(): Promise<PathAverages | undefined> {
    return this.playing?.averages() ?? Promise.resolve(undefined);
  }

  /** The picture is shown in a place of this size. */
  showIn(view: View): void {
    this.view = view;
    if (this.ready) this.sayView();
  }

  /** The page plays sound in so many channels from now on. */
  plays(channels: number): void {
    if (this.channels === channels) return;
    this.channels = channels;
    if (this.ready) this.say({ type: 'sound', channels });
  }

  /** No more than this from now on. */
  limit(quality: Quality): void {
    this.wanted = quality;
    if (this.ready) this.say({ type: 'quality', ...quality });
  }

  /** Wants to know where the pointer is from now on, or not. */
  followPointer(follows: boolean): void {
    if (this.follows === follows) return;
    this.follows = follows;
    if (this.ready) this.say({ type: 'follow', pointer: follows });
  }

  get limits(): Quality {
    return this.wanted;
  }

  /** Changes to another transport while the session plays on. */
  switchTransport(kind: TransportKind): void {
    if (this.current.name !== 'live' || this.connection?.kind === kind) return;
    this.transports.prefer(kind);
    this.attempt?.lost('broken');
  }

  /** Whether it plays by the connection of now, and somebody looks. */
  private get isSeen(): boolean {
    return this.ready && this.current.name === 'live' && !isHidden();
  }

  /** Whether what the user does is sent now, by those who may. */
  get takesInput(): boolean {
    return this.ready;
  }

  /** The session, once there is one. */
  get given(): Session | undefined {
    return this.session;
  }

  /** By which pictures come, and what is done and said goes: the newest, or the one before it while that plays. */
  private get playing(): SessionConnection | undefined {
    return this.former?.plays === true ? this.former.connection : this.connection;
  }

  /** The connection, and those that may become it. */
  private get all(): readonly SessionConnection[] {
    return [...new Set([...(this.connection === undefined ? [] : [this.connection]), ...(this.contest?.members ?? [])])];
  }

  private async begin(): Promise<SessionConnection> {
    this.become({ name: 'connecting', step: 'session' });
    // An offer is made while the node makes the session.
    const early = this.transports.isSettled ? this.open() : undefined;
    // The node is asked first; what is needed here is looked for meanwhile.
    const asked = this.ask();
    const ready = this.transports.ready();
    const session = await asked;
    this.session = session;
    this.begun = this.settings.receipts?.begin(session);
    this.events.onSession(session);
    this.times.sessionUs = clientNow();
    if (isFinal(this.current)) this.endAtNode();
    const signalling = new NodeSignalling(this.api, session, this.abort.signal, () => { this.answered(clientNow()); });
    this.signalling = signalling;
    await ready;
    this.abort.signal.throwIfAborted();
    return this.any(early ?? this.open(), signalling);
  }

  /** Not aborted when the user leaves: a session that was made unseen could not be ended. */
  private async ask(): Promise<Session> {
    const { what, settings: { video, barcode, seat, receipts } } = this;
    const view = this.view === undefined ? {} : { view: this.view };
    const sound = this.channels === 2 ? {} : { channels: this.channels };
    if (typeof what === 'string') return (await this.resume()) ?? this.api.createSession({ app: what, video, barcode, ...seat, ...view, ...sound, ...(await receipts?.wish()) });
    if ('place' in what) return this.api.place(what);
    if ('leased' in what) return this.api.enterLeased(what);
    return 'invitation' in what ? this.api.join(what) : this.api.redeem(what);
  }

  /** The session that the page before left, if it is still there. */
  private async resume(): Promise<Session | undefined> {
    if (this.left === undefined) return undefined;
    try {
      return await this.api.redeem(this.left);
    } catch (error) {
      if (error instanceof ApiProblem) return undefined;
      throw error;
    }
  }

  /** A connection with its first picture: this one, or one of another transport where this one cannot be had. */
  private async any(first: SessionConnection, signalling: NodeSignalling, alone = false): Promise<SessionConnection> {
    this.tried = first;
    try {
      await this.establish(first, signalling, alone);
      return this.tried;
    } catch (error) {
      if (isFinal(this.current) || !this.transports.failed(this.tried, error, this.session)) throw error;
      return this.any(this.open(), signalling, alone);
    }
  }

  /** Connects this one, and others beside it while it is not; yields the one that is to bring pictures. */
  private async connect(first: SessionConnection, signalling: NodeSignalling): Promise<SessionConnection> {
    const race = this.transports.race(first, this.session);
    const node = race.hasOthers ? signalling.inRace(raceNumber()) : signalling;
    const contest = new Contest(race, node, {
      make: (kind) => this.making((events) => this.transports.open(kind, events)),
      onFailed: (connection, error) => {
        this.tried = connection;
        this.transports.failed(connection, error, this.session);
        return error instanceof TransportFailed || error instanceof ConnectionLost || (error instanceof ApiProblem && error.reason === 'conflict');
      },
      onWon: (connection) => {
        this.tried = connection;
        this.connection = connection;
        this.transports.won(connection, race, this.session);
      },
    }, () => performance.now());
    this.contest = contest;
    try {
      return await contest.run(first);
    } finally {
      this.contest = undefined;
    }
  }

  /** Waits for each connection to break and makes the next one. */
  private async keep(first: SessionConnection): Promise<void> {
    let connection: SessionConnection | undefined = first;
    while (connection !== undefined) {
      await this.broken(connection);
      // What broke is gone; what is still there is to be replaced by another transport.
      connection = (this.connection === connection ? await this.replace() : undefined) ?? (await this.reconnect());
    }
  }

  /** Connects anew while the old connection plays on; undefined when that failed, however it was tried. */
  private async replace(): Promise<SessionConnection | undefined> {
    const { signalling } = this;
    if (signalling === undefined) return undefined;
    // Before a transport is asked for that was not in question, nobody has looked for what it needs.
    await this.transports.ready();
    try {
      // What plays on costs nothing: there is no haste.
      return await this.any(this.open(), signalling, true);
    } catch (error) {
      if (isFinal(this.current)) throw error;
      return undefined;
    }
  }

  private async reconnect(): Promise<SessionConnection | undefined> {
    const { signalling } = this;
    if (signalling === undefined) return undefined;
    this.goodAt = performance.now();
    for (let attempt = 1; performance.now() - this.goodAt < GIVE_UP_MS; attempt += 1) {
      this.become({ name: 'reconnecting', attempt });
      // Prepared before the node can be reached.
      const connection = this.open();
      try {
        await pause(pauseBefore(attempt, Math.random()), this.abort.signal, window);
        await reached((within) => this.api.knock(within), AbortSignal.any([this.abort.signal, AbortSignal.timeout(GIVE_UP_MS)]), window);
        return await this.any(connection, signalling);
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
    if (this.connection !== undefined) this.retire(this.connection, this.ready);
    this.brought = [];
    this.unready();
    const connection = this.making((events) => this.transports.make(this.session, events));
    this.connection = connection;
    return connection;
  }

  /** Makes a connection whose events are this session's. */
  private making(make: (events: ConnectionEvents) => SessionConnection): SessionConnection {
    const connection: SessionConnection = make({
      onBrings: (bring) => {
        if (this.former?.plays === true) this.brought.push(() => { if (this.connection === connection) bring(); });
        else bring();
      },
      onTrack: (track) => {
        this.picturesCome(clientNow());
        this.events.onTrack(track);
      },
      onSound: (track, receiver) => { this.events.onSound(track, receiver); },
      onStream: (at) => {
        this.contest?.ready(connection);
        this.replaced(at);
        this.picturesCome(at);
      },
      onControl: (text) => { this.heard(text); },
      onInputReady: (input, motion) => {
        this.contest?.ready(connection);
        this.replaced(clientNow());
        this.ready = true;
        // Whoever only watches sends nothing: the node would refuse it.
        if (this.session?.role !== 'spectator') this.input.attach(input, motion);
        this.sayVisibility();
        this.sayView();
        // To each connection anew: a node forgets the wishes of the one before.
        if (Object.keys(this.wanted).length > 0) this.limit(this.wanted);
        if (this.channels !== 2) this.say({ type: 'sound', channels: this.channels });
        if (this.follows) this.say({ type: 'follow', pointer: true });
        if (this.voice !== undefined) this.speakBy(connection);
        const { kind, reason } = this.transports.chosen;
        this.say({ type: 'transport', kind, reason });
        this.events.onTransport({ kind, reason, connectMs: connection.connectMs });
        this.events.onInputReady();
      },
      onSpeechFailed: (reason) => { if (this.playing === connection) this.events.onSpeechFailed(reason); },
      onAlive: () => {
        if (this.connection !== connection) return;
        this.replaced(clientNow());
        this.heardNode();
      },
      onBroken: (cannot) => {
        // The node may be connected with the newest one before that is heard of here.
        if (this.former?.connection === connection) this.replaced(clientNow());
        else if (this.contest?.broke(connection, cannot ?? new ConnectionLost('broken')) !== true) this.lose(connection, cannot);
      },
    });
    return connection;
  }

  private speakBy(connection: SessionConnection): void {
    connection.speak(this.voice).catch((error: unknown) => {
      // Of one that is being replaced nothing is wanted.
      if (this.playing === connection) this.events.onSpeechFailed(error instanceof Error ? error.message : 'it cannot be sent');
    });
  }

  private picturesCome(at: Micros): void {
    this.trackAt = at;
    this.times.trackUs ??= at;
  }

  /** Whether a picture came by the newest connection. */
  private isNew({ receivedAt, decodedAt }: Progress): boolean {
    // A worker decodes frames that come whole, perhaps before this page hears that it is connected, and while it
    // still shows what came before. Each such picture says when it was received; those of a track do not.
    const at = this.connection?.kind === 'webrtc' ? decodedAt : receivedAt;
    return at !== undefined && at >= this.trackAt;
  }

  /** The node knows the newest connection. One that plays goes on until the node is connected with that, if it ever is. */
  private answered(at: Micros): void {
    this.times.answeredUs ??= at;
    if (this.former?.plays !== true) this.replaced(at);
  }

  /** The newest connection takes over. Not before the node knows it: one that hears the old one close takes it for the user leaving. */
  private replaced(at: Micros): void {
    this.times.answeredUs ??= at;
    this.former?.connection.close();
    this.former = undefined;
    for (const bring of this.brought.splice(0)) bring();
  }

  /** Connects and waits for the first picture. */
  private async establish(first: SessionConnection, signalling: NodeSignalling, alone: boolean): Promise<void> {
    this.step('connection');
    this.trackAt = Number.POSITIVE_INFINITY as Micros;
    const pictured = new Promise<void>((resolve, reject) => {
      this.attempt = {
        pictured: resolve,
        lost: (why) => {
          const error = new ConnectionLost(why);
          reject(error);
          this.contest?.stop(error);
        },
        awaitsPicture: false,
      };
    });
    // Until it is waited for, a rejection is nobody's.
    pictured.catch(() => undefined);
    let connection = first;
    if (alone) await first.connect(signalling);
    else connection = await this.connect(first, signalling);
    this.limitConnecting(connection);
    this.step('picture');
    if (this.attempt !== undefined) this.attempt.awaitsPicture = true;
    this.limitWait();
    try {
      await pictured;
    } finally {
      clearTimeout(this.pictureDue);
      clearTimeout(this.connectionDue);
    }
    this.become({ name: 'live' });
    this.watchPath(connection);
  }

  /** Limits the wait for a connection that was answered, where there is another way to try. */
  private limitConnecting(connection: SessionConnection): void {
    clearTimeout(this.connectionDue);
    if (this.ready || !this.transports.hasOther(connection, this.session)) return;
    this.connectionDue = setTimeout(() => { if (!this.ready) this.attempt?.lost('no-connection'); }, CONNECT_MS);
  }

  /** Limits the wait for a picture, from now on. To a hidden page the node sends none, so there is no limit then. */
  private limitWait(): void {
    clearTimeout(this.pictureDue);
    if (this.attempt?.awaitsPicture !== true || isHidden()) return;
    this.pictureDue = setTimeout(() => { this.attempt?.lost('no-picture'); }, PICTURE_MS);
  }

  private visibilityChanged(): void {
    // An open connection was good all the while that no picture was due on it. Whether it still is shows now.
    if (!isHidden() && this.ready) {
      this.goodAt = performance.now();
      this.watch?.doubt();
    }
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

  /** The node was heard on the connection of now. */
  private heardNode(): void {
    this.watch?.heard();
  }

  /** From its first picture on. */
  private watchPath(connection: SessionConnection): void {
    this.watch?.stop();
    this.watch = new PathWatch((signal) => this.api.knock(signal), {
      onQuiet: () => { connection.probe(); },
      onSilent: (silent) => { this.silent(silent); },
      onGone: (alone) => { this.lose(connection, alone ? 'alone' : 'network'); },
    }, this.settings.patient);
  }

  /** The state of a connection that may come back. */
  private silent(silent: boolean): void {
    if (silent && this.current.name === 'live') this.become({ name: 'reconnecting', attempt: 1 });
    else if (!silent && this.current.name === 'reconnecting') this.become({ name: 'live' });
  }

  private unready(): void {
    this.ready = false;
    this.watch?.stop();
    this.watch = undefined;
  }

  /** The connection is over: by itself, because another would end the same way, or with the network. */
  private lose(connection: SessionConnection, why: TransportFailed | 'alone' | 'network' = 'alone'): void {
    if (this.connection !== connection) return;
    if (why !== 'network') this.transports.broke(connection, why === 'alone' ? undefined : why);
    if (isHidden() && this.ready) this.goodAt = performance.now();
    this.connection = undefined;
    this.unready();
    // What the user does goes by the one before while that plays.
    if (this.former?.plays !== true) this.input.detach();
    this.retire(connection, false);
    this.attempt?.lost('broken');
  }

  /** At most one waits to be replaced. One that plays does so until another is connected, however many are tried meanwhile. */
  private retire(connection: SessionConnection, plays: boolean): void {
    if (connection.answered && this.former?.plays !== true) {
      if (!plays) connection.retire();
      this.former?.connection.close();
      this.former = { connection, plays };
    } else {
      connection.close();
    }
  }

  private heard(text: string): void {
    this.heardNode();
    const message = parseServerMessage(text);
    switch (message?.type) {
      case 'ping':
        this.say({ type: 'pong', id: message.id, client_us: clientNow() });
        return;
      case 'hello':
        this.events.onHello(message);
        return;
      case 'stats':
        this.transports.told(message, this.isSeen ? this.connection : undefined, this.session);
        this.events.onStats(message);
        return;
      case 'rumble':
        this.events.onRumble(message);
        return;
      case 'pad_effects':
        this.events.onPadEffects(message);
        return;
      case 'starting':
        this.limitWait();
        this.events.onStarting(message.step);
        return;
      case 'cursor':
        this.events.onCursor(message);
        return;
      case 'pointer':
        this.events.onPointer(message);
        return;
      case 'clipboard':
        this.events.onCopied(message.number);
        return;
      case 'lease':
        this.settings.receipts?.named(message.receipts);
        this.events.onLease(message);
        return;
      case 'receipt':
        this.begun?.then(() => {
          this.settings.receipts?.receipt(message, (answer) => this.playing?.say(JSON.stringify(answer)) ?? false);
        }, () => undefined);
        return;
      case 'warning':
        this.events.onWarning(message.reason, message.in_ms);
        return;
      case 'ended':
        this.end('by-node', message.reason, message.code ?? undefined);
        return;
      case undefined:
    }
  }

  private say(message: ClientMessage): void {
    this.playing?.say(JSON.stringify(message));
  }

  private sayVisibility(): void {
    this.say({ type: 'visibility', visible: !isHidden() });
  }

  private sayView(): void {
    if (this.view !== undefined) this.say({ type: 'view', ...this.view });
  }

  private step(step: ConnectingStep): void {
    if (this.current.name === 'connecting') this.become({ name: 'connecting', step });
  }

  private become(state: PlayState): void {
    if (isFinal(this.current)) return;
    this.current = state;
    this.events.onState(state);
  }

  private end(reason: EndedReason, detail: string | undefined, code?: string): void {
    if (isFinal(this.current)) return;
    // The node would keep the place for whoever reconnects.
    if (reason !== 'by-node') {
      this.say({ type: 'bye' });
      this.endAtNode();
    }
    this.become({ name: 'ended', reason, detail, ...(code === undefined ? {} : { code }) });
    // After the state: what waits is woken by this and finds the session over.
    this.abort.abort(new ConnectionLost('broken'));
    this.free();
  }

  /** What the node says of a session that it had ended before there was a connection to tell it by; else the error itself. */
  private async why(error: unknown): Promise<unknown> {
    if (!(error instanceof ConnectionLost) || this.current.name !== 'connecting' || this.session === undefined) return error;
    const told = this.api.endSession(this.session).then(() => error, (problem: unknown) => (problem instanceof ApiProblem && problem.reason === 'ended-session' ? problem : error));
    return Promise.race([told, new Promise((resolve) => { setTimeout(resolve, TOLD_MS, error); })]);
  }

  private fail(error: unknown): void {
    if (error instanceof ApiProblem && error.reason === 'ended-session') {
      this.end('by-node', error.detail, error.code);
      return;
    }
    const byLink = typeof this.what !== 'string' && 'ticket' in this.what && this.session === undefined;
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
    clearTimeout(this.pictureDue);
    clearTimeout(this.connectionDue);
    this.input.detach();
    const all = [...this.all, ...(this.former === undefined ? [] : [this.former.connection])];
    this.attempt?.lost('broken');
    for (const connection of all) connection.retire();
    // The node hears first that the session is to end: a close alone may also mean that the browser died.
    this.farewell.then(() => { for (const connection of all) connection.close(); }, () => undefined);
    this.connection = undefined;
    this.former = undefined;
    this.unready();
    if (!this.abort.signal.aborted) this.abort.abort(new ConnectionLost('broken'));
  }
}

/** What no other race of this session has. */
function raceNumber(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

function isHidden(): boolean {
  return document.visibilityState === 'hidden';
}
