// Shows that the microphone is on, for as long as it is, whatever else is on show; a click turns it off.
import { h } from './dom.ts';
import { icons } from './icons.ts';

export class OnAir {
  readonly element: HTMLButtonElement;
  private readonly bar = h('span', { class: 'level' });

  constructor(onClick: () => void) {
    this.element = h(
      'button',
      { type: 'button', class: 'on-air', 'aria-label': 'The microphone is on. Turn it off', title: 'The microphone is on. Click to turn it off', hidden: true },
      icons.microphone(),
      h('span', { class: 'meter', 'aria-hidden': 'true' }, this.bar),
    );
    this.element.addEventListener('click', onClick);
  }

  show(on: boolean): void {
    this.element.hidden = !on;
    if (!on) this.level(0);
  }

  /** From 0 to 1. */
  level(level: number): void {
    this.bar.style.scale = `${level.toFixed(2)} 1`;
  }
}
