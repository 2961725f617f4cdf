// Gamepads: looked at often while the page has the focus, and told of when they change. What a button does is sent
// on the reliable channel; sticks and triggers alone go as motion does, and what they came to rest at is said again
// reliably. Every message is the whole state, so one that is lost or refused is made up for by the next.
import type { PadState } from './encode.ts';
import { mapped, rememberedMaps, rememberMaps, type PadMap } from './remap.ts';
import type { InputSender } from './sender.ts';

/** Gamepads that a session has room for. */
export const MOST_PADS = 4;
/** Time between looks. Browsers read gamepads about as often. */
const LOOK_MS = 4;
/** What rests this long after it was told unreliably is told again. */
const SETTLE_MS = 100;
/** Browsers play no effect for longer at once (W3C Gamepad Extensions, `effectMax`). */
const LONGEST_EFFECT_MS = 5_000;
/** Length of the rumble that shows which gamepad it is. */
const TEST_MS = 500;
/** Buttons of the standard mapping, and which of them are the triggers. */
const BUTTONS = 17;
const TRIGGERS = [6, 7] as const;

export const AT_REST: PadState = { buttons: 0, axes: [0, 0, 0, 0], triggers: [0, 0] };

/** What of a browser's gamepad is read. */
export type PadLike = Pick<Gamepad, 'index' | 'id' | 'connected' | 'mapping' | 'axes' | 'buttons'> & {
  readonly vibrationActuator?: Gamepad['vibrationActuator'] | null;
  /** It is a DualSense that says all that it has. */
  readonly dualSense?: true;
};

/** A gamepad's state as it travels. */
export function stateOf({ axes, buttons }: Pick<PadLike, 'axes' | 'buttons'>): PadState {
  const axis = (number: number): number => Math.round(clamp(axes[number] ?? 0, -1, 1) * 32_767);
  const trigger = (number: number): number => Math.round(clamp(buttons[number]?.value ?? 0, 0, 1) * 255);
  let bits = 0;
  for (let number = 0; number < BUTTONS; number += 1) if (buttons[number]?.pressed === true) bits |= 1 << number;
  return {
    buttons: bits,
    axes: [axis(0), axis(1), axis(2), axis(3)],
    triggers: [trigger(TRIGGERS[0]), trigger(TRIGGERS[1])],
  };
}

/** Not a number, which a broken driver may say, is the lower bound's nearest to rest. */
function clamp(value: number, least: number, most: number): number {
  return Number.isNaN(value) ? 0 : Math.min(Math.max(value, least), most);
}

function same(a: PadState, b: PadState): boolean {
  return a.buttons === b.buttons
    && a.axes.every((value, number) => value === b.axes[number])
    && a.triggers.every((value, number) => value === b.triggers[number]);
}

/** What the node was told of a gamepad. */
interface Told {
  /** The session's number of it. */
  readonly pad: number;
  /** It was told that it is there, on this connection and since everything was released. */
  plugged: boolean;
  state: PadState;
  /** When it was told on the channel that may lose it, if that was the last. */
  unsureAt: number | undefined;
}

export interface GamepadOptions {
  /** Whether gamepads are the session's just now: it is played, and the page has the focus. */
  readonly active: () => boolean;
  /** The session has one more. */
  readonly onCome?: () => void;
  /** One came that the browser has no standard mapping for, and nobody has told what its buttons are. */
  readonly onStrange: (id: string) => void;
  readonly read: () => readonly (PadLike | null)[];
  readonly now?: () => number;
}

/** The browser's gamepads. */
export function readGamepads(): readonly (PadLike | null)[] {
  // Pages that are not secure have none.
  return 'getGamepads' in navigator ? navigator.getGamepads() : [];
}

/** What those say whose buttons are known, by the browser or by what the user taught. */
export function knownPads(pads: readonly (PadLike | null)[], maps: ReadonlyMap<string, PadMap> = rememberedMaps()): readonly Pick<PadLike, 'axes' | 'buttons'>[] {
  return pads.flatMap((pad) => {
    if (pad?.connected !== true) return [];
    const map = maps.get(pad.id);
    if (map !== undefined) return [mapped(pad, map)];
    return pad.mapping === 'standard' ? [pad] : [];
  });
}

export class Gamepads {
  /** By the browser's numbers. */
  private readonly told = new Map<number, Told>();
  private readonly strange = new Set<number>();
  /** What is held on these was meant for the page. */
  private readonly waiting = new Set<number>();
  private readonly maps = new Map(rememberedMaps());
  private readonly effects = new Map<number, ReturnType<typeof setTimeout>>();
  private readonly timer: ReturnType<typeof setInterval>;
  private readonly read: () => readonly (PadLike | null)[];
  private readonly now: () => number;

  constructor(private readonly sender: InputSender, private readonly options: GamepadOptions) {
    this.read = options.read;
    this.now = options.now ?? (() => performance.now());
    this.timer = setInterval(() => { this.look(); }, LOOK_MS);
  }

  /** Gamepads that there are, with the session's number of each that is in use. */
  get all(): readonly { readonly pad: number | undefined; readonly gamepad: PadLike }[] {
    return this.connected().map((gamepad) => ({ pad: this.told.get(gamepad.index)?.pad, gamepad }));
  }

  /** The session's number of a gamepad, while it is the session's. */
  padOf(index: number): number | undefined {
    const told = this.told.get(index);
    return told?.plugged === true && this.options.active() ? told.pad : undefined;
  }

  /** The node takes all for untouched now. They are told anew as they are, if the page may. */
  forget(): void {
    for (const told of this.told.values()) {
      told.plugged = false;
      told.state = AT_REST;
      told.unsureAt = undefined;
    }
    this.still();
  }

  /** The game makes a gamepad do this, from 0 to 65535, for so long. */
  rumble(pad: number, strong: number, weak: number, ms: number): void {
    const index = [...this.told].find(([, told]) => told.pad === pad)?.[0];
    if (index !== undefined && this.options.active()) this.play(index, strong, weak, performance.now() + ms);
  }

  /** What is held now was for the page, and is the session's only when it is pressed again. */
  waitForRest(): void {
    for (const { index } of this.connected()) this.waiting.add(index);
  }

  /** Whether it is known what its buttons are. */
  isKnown({ id, mapping }: PadLike): boolean {
    return mapping === 'standard' || this.maps.has(id);
  }

  /** What a gamepad says, by what its buttons mean. */
  mapped(gamepad: PadLike): Pick<PadLike, 'axes' | 'buttons'> {
    const map = this.maps.get(gamepad.id);
    return map === undefined ? gamepad : mapped(gamepad, map);
  }

  /** What the buttons of gamepads of this name mean from now on; without a map, what the browser says. */
  setMap(id: string, map: PadMap | undefined): void {
    if (map === undefined) this.maps.delete(id);
    else this.maps.set(id, map);
    rememberMaps(this.maps);
  }

  hasMap(id: string): boolean {
    return this.maps.has(id);
  }

  /** Makes a gamepad rumble whether it plays or not, so that it is found among others. */
  test(index: number): void {
    this.play(index, 65_535, 65_535, performance.now() + TEST_MS);
  }

  close(): void {
    clearInterval(this.timer);
    this.still();
  }

  private connected(): readonly PadLike[] {
    return this.read().filter((each): each is PadLike => each?.connected === true);
  }

  private look(): void {
    if (!this.options.active()) return;
    const connected = this.connected();
    for (const [index, told] of this.told) {
      if (connected.some((each) => each.index === index)) continue;
      if (this.sender.send({ kind: 'gamepad-plugged', pad: told.pad, plugged: false })) this.told.delete(index);
    }
    for (const index of this.strange) if (!connected.some((each) => each.index === index)) this.strange.delete(index);
    for (const gamepad of connected) this.take(gamepad);
  }

  private take(gamepad: PadLike): void {
    if (!this.isKnown(gamepad)) {
      if (this.strange.has(gamepad.index)) return;
      this.strange.add(gamepad.index);
      this.options.onStrange(gamepad.id);
      return;
    }
    const told = this.told.get(gamepad.index) ?? this.room(gamepad.index);
    if (told === undefined) return;
    const { pad } = told;
    told.plugged ||= this.sender.send({ kind: 'gamepad-plugged', pad, plugged: true, ...(gamepad.dualSense === true && { dualSense: true }) });
    if (!told.plugged) return;
    const state = stateOf(this.mapped(gamepad));
    if (state.buttons !== 0 && this.waiting.has(gamepad.index)) return;
    this.waiting.delete(gamepad.index);
    if (same(state, told.state)) {
      this.settle(told);
      return;
    }
    const event = { kind: 'gamepad', pad, ...state } as const;
    const sure = state.buttons !== told.state.buttons;
    if (!(sure ? this.sender.send(event) : this.sender.sendMotion(event))) return;
    told.state = state;
    told.unsureAt = sure ? undefined : this.now();
  }

  private settle(told: Told): void {
    if (told.unsureAt === undefined || this.now() - told.unsureAt < SETTLE_MS) return;
    if (this.sender.send({ kind: 'gamepad', pad: told.pad, ...told.state })) told.unsureAt = undefined;
  }

  private room(index: number): Told | undefined {
    const taken = new Set([...this.told.values()].map((told) => told.pad));
    const pad = Array.from({ length: MOST_PADS }, (_, number) => number).find((number) => !taken.has(number));
    if (pad === undefined) return undefined;
    const told: Told = { pad, plugged: false, state: AT_REST, unsureAt: undefined };
    this.told.set(index, told);
    this.options.onCome?.();
    return told;
  }

  /** Plays an effect until then, again and again where the browser plays none for so long. */
  private play(index: number, strong: number, weak: number, until: number): void {
    clearTimeout(this.effects.get(index));
    this.effects.delete(index);
    const actuator = this.connected().find((each) => each.index === index)?.vibrationActuator;
    if (actuator == null) return;
    const left = until - performance.now();
    if ((strong === 0 && weak === 0) || left <= 0) {
      actuator.reset().catch(() => undefined);
      return;
    }
    const duration = Math.min(left, LONGEST_EFFECT_MS);
    const effect = { startDelay: 0, duration, strongMagnitude: strong / 65_535, weakMagnitude: weak / 65_535 };
    // One that cannot rumble refuses.
    actuator.playEffect('dual-rumble', effect).catch(() => undefined);
    if (left > duration) this.effects.set(index, setTimeout(() => { this.play(index, strong, weak, until); }, duration));
  }

  /** No effect plays any more. */
  private still(): void {
    for (const { index } of this.connected()) this.play(index, 0, 0, 0);
  }
}
