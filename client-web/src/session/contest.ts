// The connections of a race (race.ts), until one of them is connected.
import type { TransportKind } from './choice.ts';
import type { SessionConnection, Signalling } from './connection.ts';
import type { Race } from './race.ts';

export interface ContestHooks {
  /** Makes a connection of this kind. */
  readonly make: (kind: TransportKind) => SessionConnection;
  /** One cannot be had; it is closed. Whether that says nothing of the others. */
  readonly onFailed: (connection: SessionConnection, error: unknown) => boolean;
  /** One is connected; the others are closed. */
  readonly onWon: (connection: SessionConnection) => void;
}

export class Contest {
  private readonly running = new Set<SessionConnection>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private settle: { readonly resolve: (winner: SessionConnection) => void; readonly reject: (error: unknown) => void } | undefined;

  constructor(
    private readonly race: Race,
    private readonly node: Signalling,
    private readonly hooks: ContestHooks,
    private readonly now: () => number,
  ) {}

  /** Those that are on their way. */
  get members(): readonly SessionConnection[] {
    return [...this.running];
  }

  /**
   * Begins with this one. Yields the first that is connected, or the last that is left once the node has answered it.
   * Rejects with the last one's error.
   */
  run(first: SessionConnection): Promise<SessionConnection> {
    const outcome = new Promise<SessionConnection>((resolve, reject) => { this.settle = { resolve, reject }; });
    this.begin(first);
    this.look();
    return outcome;
  }

  /** A connection can be used. Whether it is one of this race. */
  ready(connection: SessionConnection): boolean {
    if (this.settle === undefined || !this.running.has(connection)) return false;
    this.end(connection);
    return true;
  }

  /** A connection broke. Whether it was one of this race. */
  broke(connection: SessionConnection, error: unknown): boolean {
    if (this.settle === undefined || !this.running.has(connection)) return false;
    this.fail(connection, error);
    return true;
  }

  /** There is nothing to be won any more. Who is on the way is left as it is. */
  stop(error: unknown): void {
    const { settle } = this;
    this.over();
    settle?.reject(error);
  }

  private begin(connection: SessionConnection): void {
    this.running.add(connection);
    const { kind } = connection;
    this.race.begin(kind, this.now());
    connection.connect(this.node).then(
      () => {
        if (this.settle === undefined || !this.running.has(connection)) return;
        this.race.answered(kind, this.now());
        this.look();
      },
      (error: unknown) => { if (this.settle !== undefined) this.fail(connection, error); },
    );
  }

  /** Begins what is due, and looks again when the next one is. */
  private look(): void {
    clearTimeout(this.timer);
    for (let next = this.race.next(); this.settle !== undefined && next !== undefined; next = this.race.next()) {
      const wait = next.at - this.now();
      if (wait > 0) {
        this.timer = setTimeout(() => { this.look(); }, wait);
        return;
      }
      this.begin(this.hooks.make(next.kind));
    }
    const [left] = this.running;
    if (left?.answered === true && this.running.size === 1 && this.race.isLast(left.kind)) this.end(left);
  }

  private fail(connection: SessionConnection, error: unknown): void {
    if (!this.running.delete(connection)) return;
    connection.close();
    this.race.fail(connection.kind);
    const goesOn = this.hooks.onFailed(connection, error);
    if (goesOn && !this.race.isOver) {
      this.look();
      return;
    }
    for (const member of this.members) member.close();
    this.stop(error);
  }

  private end(winner: SessionConnection): void {
    const { settle } = this;
    const others = this.members.filter((member) => member !== winner);
    this.over();
    // The node has let go of them: it took the winner in their place.
    for (const other of others) other.close();
    this.hooks.onWon(winner);
    settle?.resolve(winner);
  }

  private over(): void {
    clearTimeout(this.timer);
    this.settle = undefined;
    this.running.clear();
  }
}
