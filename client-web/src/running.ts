// How long a page, or a worker, itself ran while it waited for something. While it stands still it hears nothing, and what comes meanwhile
// lies in its queues: so that time is nobody's silence. It is told the time, in milliseconds.

export class RunningTime {
  private ran = 0;
  private lookedAt = 0;

  /** Of a longer time than `most` between two looks no more counts, and that from the next look on: by then the queues were read. */
  constructor(private readonly most: number) {}

  /** It waits from now on. */
  begin(now: number): void {
    this.ran = 0;
    this.lookedAt = now;
  }

  /** How long it ran since it began. */
  look(now: number): number {
    const passed = now - this.lookedAt;
    const before = this.ran;
    this.lookedAt = now;
    this.ran += Math.min(passed, this.most);
    return passed > this.most ? before : this.ran;
  }
}
