// What the node warns of, over the picture, with the time that is left.
import { h } from './dom.ts';
import { duration } from './words.ts';

export class Warning {
  readonly element = h('p', { class: 'toast', role: 'alert', hidden: true });
  private timer: ReturnType<typeof setInterval> | undefined;

  /** Of what happens in so many milliseconds. */
  show(reason: string, inMs: number): void {
    clearInterval(this.timer);
    const end = performance.now() + inMs;
    const left = h('b');
    const tick = (): void => {
      const rest = end - performance.now();
      left.textContent = duration(rest);
      if (rest <= 0) this.hide();
    };
    tick();
    this.element.replaceChildren(`${reason} `, left);
    this.element.hidden = false;
    // Only the first reading is announced; a countdown would never stop talking.
    left.setAttribute('aria-live', 'off');
    this.timer = setInterval(tick, 1_000);
  }

  hide(): void {
    clearInterval(this.timer);
    this.element.hidden = true;
  }
}
