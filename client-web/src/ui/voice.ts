// What the player's page shows of the microphone: a row of the menu, a button of the bar, and the sign that it is on.
import { Microphone, type MicrophoneState } from '../audio/microphone.ts';
import type { MicrophoneAccess } from '../wire/index.ts';
import type { Bar } from './bar.ts';
import type { SessionMenu } from './menu.ts';
import { OnAir } from './on-air.ts';

/** A path that is interrupted for longer than this turns it off: whoever comes back then is to know that they are heard. */
const INTERRUPTED_MS = 5_000;

/** Why it cannot be turned on, where the browser has no part in it. */
export const REFUSED: Readonly<Record<Exclude<MicrophoneAccess, 'allowed'>, { readonly short: string; readonly long: string }>> = {
  not_by_game: { short: 'Not used here', long: 'This game does not listen to a microphone' },
  not_by_node: { short: 'Not allowed', long: 'This node does not let games listen to a microphone' },
  not_by_role: { short: 'The player’s', long: 'Only the player has a microphone' },
};

export interface VoiceControlEvents {
  /** Send the sound of this track from now on; of none: no more. */
  readonly onTrack: (track: MediaStreamTrack | undefined) => void;
  /** The sign that had the focus goes. */
  readonly onLeft: () => void;
  /** To be told to the user. */
  readonly say: (text: string) => void;
}

export class VoiceControl {
  readonly microphone: Microphone;
  private readonly sign: OnAir;
  private access: MicrophoneAccess | undefined;
  private interruption: ReturnType<typeof setTimeout> | undefined;
  /** The newest, 0 to 1. */
  level = 0;

  constructor(private readonly bar: Bar, private readonly menu: SessionMenu, private readonly events: VoiceControlEvents) {
    this.microphone = new Microphone({
      onState: (state) => { this.changed(state); },
      onLevel: (level) => {
        this.level = level;
        this.sign.level(level);
      },
    });
    this.sign = new OnAir(() => { this.microphone.turnOff(); });
  }

  /** The sign that it is on. */
  get element(): HTMLElement {
    return this.sign.element;
  }

  /** What the node says of it. */
  allow(access: MicrophoneAccess): void {
    if (access === this.access) return;
    this.access = access;
    if (access !== 'allowed') this.microphone.turnOff(REFUSED[access].long);
    this.show();
  }

  /** Turns it on, which asks the user, or off; says why it cannot be. */
  toggle(): void {
    const { access } = this;
    if (access === undefined) return;
    if (access === 'allowed') this.microphone.toggle();
    else this.events.say(REFUSED[access].long);
  }

  /** The session cannot be played for now, or can again. */
  interrupted(interrupted: boolean): void {
    if (!interrupted) {
      clearTimeout(this.interruption);
      this.interruption = undefined;
      return;
    }
    this.interruption ??= setTimeout(() => { this.microphone.turnOff('The microphone is off: the connection was interrupted'); }, INTERRUPTED_MS);
  }

  close(): void {
    clearTimeout(this.interruption);
    this.microphone.turnOff();
  }

  private changed(state: MicrophoneState): void {
    this.level = 0;
    this.events.onTrack(state.name === 'on' ? state.track : undefined);
    this.show();
    if (state.name === 'on') this.events.say('The microphone is on');
    else if (state.name === 'off') this.events.say(state.why ?? 'The microphone is off');
  }

  private show(): void {
    const { access, microphone: { state } } = this;
    const left = state.name !== 'on' && document.activeElement === this.sign.element;
    this.sign.show(state.name === 'on');
    if (left) this.events.onLeft();
    if (access === undefined) return;
    this.bar.showMicrophone(access === 'allowed', state.name === 'on');
    // Who watches has no such row.
    if (access === 'not_by_role') {
      this.menu.remove('microphone');
      return;
    }
    const value = access === 'allowed' ? state.name : access;
    const labels = { off: 'Off', asking: 'The browser asks', on: 'On' };
    const shown = access === 'allowed' ? labels[state.name] : REFUSED[access].short;
    this.menu.add({ id: 'microphone', label: 'Microphone', options: [{ value, label: shown }], value, onChoose: () => { this.toggle(); } });
  }
}
