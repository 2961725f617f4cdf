// The DualSenses that the page was given, as gamepads beside the browser's own: those say the same buttons and sticks, and give way
// to them. What they say besides goes to the session where it takes that.
import type { PadEffects } from '../../wire/index.ts';
import type { PadTouch } from '../encode.ts';
import type { PadLike } from '../gamepad.ts';
import type { InputSender } from '../sender.ts';
import { ask, DualSense, hid, known, type Hid, type HidDevice } from './device.ts';
import { PRODUCTS, type DualSenseEffects, type DualSenseState } from './report.ts';

/** Numbers beyond those of the browser's gamepads, and of the one on the screen. */
const FIRST = 200;
/** Time between two messages of motion: a controller reports up to 1000 times a second. */
const MOTION_MS = 4;
const UNTOUCHED: PadTouch = { pressed: false, fingers: [null, null] };

export interface DualSensesOptions {
  /** The session's number of a gamepad, while it is the session's. */
  readonly padOf: (index: number) => number | undefined;
  /** The session takes motion and touchpads. */
  readonly taken: () => boolean;
  readonly now?: () => number;
}

interface Entry {
  readonly index: number;
  readonly device: HidDevice;
  pad: DualSense | undefined;
  state: DualSenseState | undefined;
  told: PadTouch;
  movedAt: number;
  stop: ReturnType<typeof setTimeout> | undefined;
}

export class DualSenses {
  private entries: readonly Entry[] = [];
  private readonly abort = new AbortController();
  private readonly from: Hid | undefined = hid();
  private readonly now: () => number;

  constructor(private readonly sender: InputSender, private readonly options: DualSensesOptions) {
    this.now = options.now ?? (() => performance.now());
    this.from?.addEventListener('disconnect', (event) => { this.drop((event as Event & { readonly device: unknown }).device); }, { signal: this.abort.signal });
    if (this.from !== undefined) this.openKnown(this.from).catch(() => undefined);
  }

  /** The browser can give the page a controller. */
  get canAsk(): boolean {
    return this.from !== undefined;
  }

  /** Asks the user for one, and opens it; its name, or nothing where they gave none. */
  async ask(): Promise<string | undefined> {
    const device = this.from && (await ask(this.from));
    return device && (await this.open(device)).name;
  }

  /** As gamepads of the standard mapping. */
  get pads(): readonly PadLike[] {
    return this.entries.flatMap((entry) => (entry.state === undefined ? [] : [this.padLike(entry, entry.state)]));
  }

  /** Gamepads without those that are here already. */
  without(pads: readonly (PadLike | null)[]): readonly (PadLike | null)[] {
    let here = this.pads.length;
    return pads.filter((pad) => {
      const same = pad !== null && here > 0 && isDualSense(pad.id);
      if (same) here -= 1;
      return !same;
    });
  }

  /** What one of them says, by its number as a gamepad. */
  stateOf(index: number): DualSenseState | undefined {
    return this.entries.find((entry) => entry.index === index)?.state;
  }

  /** Tells what the node says to the one that has its number in the session. */
  tell({ pad, light, players, left, right }: PadEffects): void {
    const effects = { light: (light ?? undefined) as DualSenseEffects['light'], players: players ?? undefined, left: left ?? undefined, right: right ?? undefined };
    for (const entry of this.entries) if (this.options.padOf(entry.index) === pad) entry.pad?.tell(effects);
  }

  /** Tells one by its number as a gamepad, whether it plays or not. */
  test(index: number, effects: DualSenseEffects): void {
    this.entries.find((entry) => entry.index === index)?.pad?.tell(effects);
  }

  /** The session takes all for untouched now. */
  forget(): void {
    for (const entry of this.entries) entry.told = UNTOUCHED;
  }

  close(): void {
    this.abort.abort();
    for (const { device } of this.entries) this.drop(device);
  }

  private async openKnown(from: Hid): Promise<void> {
    for (const device of await known(from)) await this.open(device);
  }

  private async open(device: HidDevice): Promise<DualSense> {
    const there = this.entries.find((entry) => entry.device === device)?.pad;
    if (there !== undefined) return there;
    const taken = new Set(this.entries.map(({ index }) => index));
    let index = FIRST;
    while (taken.has(index)) index += 1;
    const entry: Entry = { index, device, pad: undefined, state: undefined, told: UNTOUCHED, movedAt: Number.NEGATIVE_INFINITY, stop: undefined };
    const pad = await DualSense.open(device, { onState: (state) => { this.take(entry, state); } });
    entry.pad = pad;
    if (this.abort.signal.aborted) pad.close();
    else this.entries = [...this.entries, entry];
    return pad;
  }

  private drop(device: unknown): void {
    const gone = this.entries.filter((entry) => entry.device === device);
    this.entries = this.entries.filter((entry) => entry.device !== device);
    for (const { pad, stop } of gone) {
      clearTimeout(stop);
      pad?.close();
    }
  }

  private take(entry: Entry, state: DualSenseState): void {
    entry.state = state;
    const pad = this.options.taken() ? this.options.padOf(entry.index) : undefined;
    if (pad === undefined) return;
    if (state.fingers !== undefined) this.touched(entry, pad, { pressed: state.touchpad, fingers: state.fingers });
    if (state.motion === undefined || this.now() - entry.movedAt < MOTION_MS) return;
    if (this.sender.sendMotion({ kind: 'pad-motion', pad, ...state.motion })) entry.movedAt = this.now();
  }

  private touched(entry: Entry, pad: number, touch: PadTouch): void {
    if (JSON.stringify(touch) === JSON.stringify(entry.told)) return;
    if (this.sender.send({ kind: 'pad-touch', pad, ...touch })) entry.told = touch;
  }

  private padLike(entry: Entry, { pad }: DualSenseState): PadLike {
    const buttons = Array.from({ length: 17 }, (_, button) => {
      const pressed = (pad.buttons & (1 << button)) !== 0;
      const trigger = button === 6 ? pad.triggers[0] : button === 7 ? pad.triggers[1] : undefined;
      return { pressed, touched: pressed, value: trigger === undefined ? Number(pressed) : trigger / 255 };
    });
    return {
      index: entry.index,
      id: `${entry.pad?.name ?? 'DualSense'} (WebHID)`,
      connected: true,
      dualSense: true,
      mapping: 'standard',
      axes: pad.axes.map((axis) => axis / 32_767),
      buttons,
      vibrationActuator: {
        playEffect: (_, effect) => {
          const { strongMagnitude = 0, weakMagnitude = 0, duration = 0 } = effect ?? {};
          clearTimeout(entry.stop);
          entry.pad?.tell({ rumble: [Math.round(strongMagnitude * 255), Math.round(weakMagnitude * 255)] });
          entry.stop = setTimeout(() => { entry.pad?.tell({ rumble: [0, 0] }); }, duration);
          return Promise.resolve('complete');
        },
        reset: () => {
          // It is asked to be still whenever the page loses the focus: one that is says nothing.
          if (entry.stop !== undefined) entry.pad?.tell({ rumble: [0, 0] });
          clearTimeout(entry.stop);
          entry.stop = undefined;
          return Promise.resolve('complete');
        },
      },
    };
  }
}

/** Browsers name a gamepad with the numbers of its maker and model. */
function isDualSense(id: string): boolean {
  return /054c/i.test(id) && PRODUCTS.some((product) => id.toLowerCase().includes(product.toString(16).padStart(4, '0')));
}
