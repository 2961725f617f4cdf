// The panel in the middle of the player for every state but play: what is going on, why, and what can be
// done about it.
import type { FinalState, PlayState } from '../session/state.ts';
import { toMicros, type Micros } from '../units.ts';
import { button, h } from './dom.ts';
import { icons } from './icons.ts';
import type { StartStep } from '../wire/index.ts';
import { duration, ending, REFUSED, sentence, STARTS, STEPS, type EndMark } from './words.ts';

const MARKS: Readonly<Record<EndMark, () => SVGElement>> = {
  done: icons.done,
  exited: icons.exit,
  crashed: icons.crash,
  failed: icons.alert,
};

export interface PanelActions {
  /** The same anew; clicked at this time. */
  readonly onAgain: (askedAt: Micros) => void;
  readonly onToken: (token: string, askedAt: Micros) => void;
  /** The user rents the machine, and wants to prove it. */
  readonly onProve: () => void;
  readonly onLeave: () => void;
}

export class StatePanel {
  readonly element = h('section', { class: 'panel', tabindex: -1, 'aria-labelledby': 'panel-title' });
  private readonly title = h('h2', { id: 'panel-title' });
  private readonly detail = h('p', { class: 'detail' });
  private readonly advice = h('p', { class: 'advice' });
  private readonly mark = h('div', { class: 'mark', 'aria-hidden': 'true' });
  /** What the node does while it starts, once it says so. */
  private readonly steps = h('ol', { class: 'steps', hidden: true });
  private step: StartStep | undefined;
  private readonly extra = h('div', { class: 'extra' });
  private readonly actions = h('div', { class: 'actions' });
  private shown: PlayState | undefined;

  constructor(private name: string, private readonly byLink: boolean, private readonly does: PanelActions) {
    this.element.append(this.mark, this.title, this.detail, this.advice, this.steps, this.extra, this.actions);
  }

  /** What is played turns out to be called this. */
  rename(name: string): void {
    this.name = name;
    if (this.shown?.name === 'connecting') this.show(this.shown, 0);
  }

  /** The node says what the start waits for. */
  progress(step: StartStep): void {
    this.step = step;
    if (this.shown?.name === 'connecting') this.show(this.shown, 0);
  }

  /** Shows a state. `playedMs` is how long the session was live. */
  show(state: PlayState, playedMs: number): void {
    this.element.hidden = state.name === 'live' || state.name === 'idle';
    this.element.dataset['state'] = state.name;
    const before = this.shown?.name;
    this.showSteps(state.name === 'connecting' ? this.step : undefined);
    this.shown = state;
    switch (state.name) {
      case 'idle':
      case 'live':
        return;
      case 'connecting':
        this.say(`Starting ${this.name}`, '', this.step === undefined ? STEPS[state.step] : '');
        break;
      case 'reconnecting':
        this.say('Reconnecting', 'The connection was interrupted. The node keeps your place for a short time.', '');
        break;
      case 'refused': {
        const { title, advice } = REFUSED[state.reason];
        this.say(title, state.detail, advice);
        break;
      }
      case 'ended': {
        const { title, advice } = ending(state);
        this.say(title, state.detail, [advice, playedMs > 0 ? `Played for ${duration(playedMs)}.` : ''].filter(Boolean).join(' '));
      }
    }
    // Steps within a state keep the buttons, and with them the focus.
    if (before !== state.name) {
      this.offer(state);
      // Not to a button: a key that was held for the game would press it.
      (this.extra.querySelector('input') ?? this.element).focus({ preventScroll: true });
    }
  }

  private showSteps(now: StartStep | undefined): void {
    this.steps.hidden = now === undefined;
    if (now === undefined) return;
    const all = Object.entries(STARTS);
    const at = all.findIndex(([step]) => step === now);
    this.steps.replaceChildren(...all.map(([, label], number) => h('li', {
      class: number < at ? 'done' : undefined,
      'aria-current': number === at ? 'step' : undefined,
    }, label)));
  }

  private say(title: string, detail: string | undefined, advice: string): void {
    this.title.textContent = title;
    this.detail.textContent = sentence(detail ?? '');
    this.advice.textContent = advice;
  }

  private offer(state: PlayState): void {
    const { onLeave } = this.does;
    this.extra.replaceChildren();
    switch (state.name) {
      case 'connecting':
      case 'reconnecting':
        this.mark.replaceChildren(h('div', { class: 'spinner' }));
        this.actions.replaceChildren(
          button({ label: state.name === 'connecting' ? 'Cancel' : 'Leave', onClick: onLeave }),
        );
        return;
      case 'refused': {
        const needsToken = state.reason === 'unauthorized';
        this.mark.replaceChildren(needsToken || state.reason === 'rented' ? icons.lock() : icons.alert());
        if (needsToken) this.extra.replaceChildren(this.tokenForm());
        if (state.reason === 'rented') this.extra.replaceChildren(button({ label: 'I rent it', kind: 'primary', onClick: () => { this.does.onProve(); } }));
        this.finish(needsToken || state.reason === 'rented' ? undefined : 'Try again', state);
        return;
      }
      case 'ended':
        this.mark.replaceChildren(MARKS[ending(state).mark]());
        this.mark.dataset['mark'] = ending(state).mark;
        this.finish('Play again', state);
        return;
      case 'idle':
      case 'live':
        return;
    }
  }

  /** The ways on from a final state. */
  private finish(again: string | undefined, state: FinalState): void {
    const { onAgain, onLeave } = this.does;
    // A link works once: only where it did not get to the node there is more to try.
    const usable = !this.byLink || (state.name === 'refused' && state.reason === 'unreachable');
    const back = { label: 'Back to the catalogue', onClick: onLeave };
    if (again === undefined || !usable) {
      this.actions.replaceChildren(button({ ...back, kind: again === undefined ? 'plain' : 'primary' }));
      return;
    }
    this.actions.replaceChildren(
      button({ label: again, kind: 'primary', onClick: ({ timeStamp }) => { onAgain(toMicros(timeStamp)); } }),
      button(back),
    );
  }

  private tokenForm(): HTMLFormElement {
    const field = h('input', {
      id: 'token',
      type: 'password',
      autocomplete: 'off',
      required: true,
      spellcheck: 'false',
    });
    const submit = h('button', { type: 'submit', class: 'button primary' }, 'Continue');
    const form = h('form', { class: 'token' }, h('label', { for: 'token' }, 'Access token'), h('div', { class: 'row' }, field, submit));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (field.value.trim() !== '') this.does.onToken(field.value.trim(), toMicros(event.timeStamp));
    });
    return form;
  }
}
