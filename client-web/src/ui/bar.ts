// The bar over the picture. It hides while nothing points at it and nothing in it has the focus.
import type { Shortcut } from '../input/keyboard.ts';
import type { SpeakerState } from '../audio/speaker.ts';
import { canCapture, hasTouch } from '../platform.ts';
import type { Role } from '../wire/index.ts';
import { button, h } from './dom.ts';
import { icons } from './icons.ts';
import type { TouchWay } from './touch-pad.ts';

/** Time without pointer motion until the bar hides. */
const HIDE_MS = 2_500;

export interface BarActions {
  readonly on: (shortcut: Shortcut) => void;
  readonly onTouchMode: () => void;
  readonly onInvite: () => void;
  readonly onControllers: () => void;
  readonly onMicrophone: () => void;
  readonly onMenu: () => void;
  /** From 0 to 1. */
  readonly onVolume: (level: number) => void;
}

export class Bar {
  readonly element: HTMLElement;
  private readonly buttons: Readonly<Record<Exclude<Shortcut, 'menu'>, HTMLButtonElement>>;
  private readonly touchMode: HTMLButtonElement;
  private readonly invite: HTMLButtonElement;
  private readonly tools = h('span', { class: 'tools' });
  private readonly controllers: HTMLButtonElement;
  private readonly microphone: HTMLButtonElement;
  private readonly menu: HTMLButtonElement;
  private readonly company = h('span', { class: 'company' });
  private readonly volume = h('input', { type: 'range', class: 'volume', min: 0, max: 100, step: 5, 'aria-label': 'Volume' });
  private readonly title = h('span', { class: 'title' });
  private readonly delay = h('span', { class: 'delay', title: 'From capture to screen, median' });
  private readonly abort = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pinned = true;

  constructor(private readonly player: HTMLElement, actions: BarActions) {
    const make = (shortcut: Exclude<Shortcut, 'menu'>, label: string, icon: SVGElement, key: string): HTMLButtonElement =>
      button({ label, icon, kind: 'quiet', name: label, shortcut: `Ctrl+Alt+Shift+${key}`, onClick: () => { actions.on(shortcut); } });
    this.buttons = {
      leave: make('leave', 'Leave', icons.back(), 'Q'),
      hud: make('hud', 'Statistics', icons.stats(), 'S'),
      pointer: make('pointer', 'Capture mouse', icons.mouse(), 'L'),
      type: make('type', 'Type text', icons.keyboard(), 'T'),
      sound: make('sound', 'Mute', icons.sound(), 'A'),
      fullscreen: make('fullscreen', 'Full screen', icons.fullscreen(), 'F'),
    };
    this.touchMode = button({ label: 'Touch: look and move', icon: icons.touch(), kind: 'quiet', onClick: actions.onTouchMode });
    this.touchMode.hidden = !hasTouch();
    this.invite = button({ label: 'Invite', icon: icons.people(), kind: 'quiet', onClick: actions.onInvite });
    this.microphone = button({ label: 'Microphone', icon: icons.microphone(), kind: 'quiet', onClick: actions.onMicrophone });
    this.microphone.hidden = true;
    this.microphone.setAttribute('aria-pressed', 'false');
    this.menu = button({ label: 'Menu', icon: icons.menu(), kind: 'quiet', name: 'Menu', shortcut: 'Ctrl+Alt+Shift+M', onClick: actions.onMenu });
    this.menu.setAttribute('aria-haspopup', 'menu');
    this.showMenu(false);
    this.invite.hidden = true;
    this.invite.setAttribute('aria-pressed', 'false');
    this.controllers = button({ label: 'Controllers', icon: icons.controller(), kind: 'quiet', onClick: actions.onControllers });
    this.controllers.setAttribute('aria-pressed', 'false');
    this.buttons.fullscreen.hidden = !document.fullscreenEnabled;
    this.buttons.pointer.hidden = !canCapture();
    for (const name of ['hud', 'fullscreen', 'pointer', 'type'] as const) this.press(name, false);
    // Until there is something to hear.
    this.buttons.sound.hidden = true;
    this.volume.hidden = true;
    this.volume.addEventListener('input', () => { actions.onVolume(Number(this.volume.value) / 100); });
    this.element = h(
      'div',
      { class: 'bar', role: 'toolbar', 'aria-label': 'Session' },
      this.buttons.leave,
      this.title,
      this.company,
      this.delay,
      this.tools,
    );
    this.tools.append(
      this.menu, this.invite, this.controllers, this.buttons.hud, this.buttons.pointer, this.buttons.type, this.touchMode, this.microphone, this.volume, this.buttons.sound, this.buttons.fullscreen,
    );
    const { signal } = this.abort;
    for (const name of ['pointermove', 'pointerdown', 'focusin'] as const) {
      player.addEventListener(name, () => { this.wake(); }, { signal });
    }
  }

  rename(title: string): void {
    this.title.textContent = title;
  }

  /** Keeps the bar in sight, or lets it hide again. */
  pin(pinned: boolean): void {
    this.pinned = pinned;
    this.wake();
  }

  /** Shows a toggle as on or off. */
  press(name: 'hud' | 'fullscreen' | 'pointer' | 'type', pressed: boolean): void {
    this.buttons[name].setAttribute('aria-pressed', String(pressed));
  }

  /** What may be done: only the player invites, and who watches has nothing to capture or type. */
  setRole(role: Role): void {
    this.invite.hidden = role !== 'player';
    if (role !== 'spectator') return;
    for (const each of [this.buttons.pointer, this.buttons.type, this.touchMode, this.controllers]) each.hidden = true;
  }

  pressInvite(pressed: boolean): void {
    this.invite.setAttribute('aria-pressed', String(pressed));
  }

  pressControllers(pressed: boolean): void {
    this.controllers.setAttribute('aria-pressed', String(pressed));
  }

  /** It may be used, and is on or off. */
  showMicrophone(allowed: boolean, on: boolean): void {
    this.microphone.hidden = !allowed;
    this.microphone.setAttribute('aria-pressed', String(on));
  }

  /** Who else is there. */
  showCompany(text: string): void {
    if (this.company.textContent !== text) this.company.textContent = text;
  }

  /** There is sound, and it is heard like this. */
  showSound({ level, muted, blocked }: SpeakerState): void {
    const { sound } = this.buttons;
    const label = blocked ? 'Click to hear' : muted ? 'Unmute' : 'Mute';
    sound.hidden = false;
    sound.setAttribute('aria-label', label);
    sound.title = `${label} (Ctrl+Alt+Shift+A)`;
    sound.querySelector('.label')?.replaceChildren(label);
    sound.querySelector('svg')?.replaceWith(muted || blocked ? icons.silent() : icons.sound());
    this.volume.hidden = false;
    this.volume.value = String(Math.round((muted ? 0 : level) * 100));
  }

  showTouchMode(way: TouchWay): void {
    this.touchMode.querySelector('.label')?.replaceChildren(`Touch: ${way}`);
    this.touchMode.setAttribute('aria-label', `Touch: ${way}`);
  }

  showDelay(ms: number | undefined): void {
    this.delay.textContent = ms === undefined ? '' : `${ms.toFixed(0)} ms`;
  }

  /** How long the machine is rented for. */
  showLease(badge: HTMLElement): void {
    this.company.before(badge);
  }

  /** Another tool, before the others. */
  add(tool: HTMLElement): void {
    this.tools.prepend(tool);
  }

  /** Whether the menu is open. */
  showMenu(open: boolean): void {
    this.menu.setAttribute('aria-expanded', String(open));
    this.wake();
  }

  close(): void {
    clearTimeout(this.timer);
    this.abort.abort();
  }

  private wake(): void {
    clearTimeout(this.timer);
    this.player.classList.remove('idle');
    if (this.pinned) return;
    this.timer = setTimeout(() => {
      if (!this.element.contains(document.activeElement)) this.player.classList.add('idle');
    }, HIDE_MS);
  }
}
