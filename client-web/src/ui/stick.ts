// The stick that a finger on the picture makes where it is put down.
import type { StickView } from '../input/touch.ts';
import { h } from './dom.ts';

/** The knob goes no further from the middle, in pixels. */
const REACH = 44;

export class Stick {
  private readonly knob = h('div', { class: 'knob' });
  readonly element = h('div', { class: 'stick', 'aria-hidden': 'true', hidden: true }, this.knob);

  show(stick: StickView | undefined): void {
    this.element.hidden = stick === undefined;
    if (stick === undefined) return;
    const reach = Math.max(Math.hypot(stick.dx, stick.dy) / REACH, 1);
    this.element.style.translate = `${stick.x}px ${stick.y}px`;
    this.knob.style.translate = `${stick.dx / reach}px ${stick.dy / reach}px`;
  }
}
