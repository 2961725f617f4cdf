// What the player's page makes of a choice about the mouse: a row of the session's menu, and what a click does. To capture the
// mouse by the button or the keyboard is to choose, too.
import { MouseChoice, type MouseWay } from '../input/mouse-choice.ts';
import type { InputCapture } from '../input/capture.ts';
import { canCapture } from '../platform.ts';
import type { SessionMenu } from './menu.ts';

export class MouseControl {
  private readonly choice = new MouseChoice();
  /** What a click does cannot be chosen here: by who watches. */
  private isOver = false;

  constructor(
    private readonly input: Pick<InputCapture, 'isLocked' | 'lockPointer' | 'unlockPointer' | 'setPointerFree'>,
    private readonly menu: Pick<SessionMenu, 'add' | 'remove'>,
    private readonly say: (text: string) => void,
  ) {}

  /** Does as was chosen, and puts the row that says so into the menu. */
  show(): void {
    const { way } = this.choice;
    this.input.setPointerFree(way === 'free');
    if (this.isOver || !canCapture()) return;
    this.menu.add({
      id: 'mouse',
      label: 'Mouse',
      options: [{ value: 'captured', label: 'A click captures it' }, { value: 'free', label: 'Free over the picture' }],
      value: way,
      onChoose: (chosen) => { this.choose(chosen as MouseWay); },
    });
  }

  /** It is this game that is played: what was chosen for it holds again. */
  of(game: string): void {
    this.choice.of(game);
    this.show();
  }

  /** What is played is pointed at, or looked around in. */
  suggest(isPointedAt: boolean): void {
    this.choice.suggest(isPointedAt ? 'free' : 'captured');
    this.show();
  }

  /** Captures the mouse, as a click does from now on; or frees it for now. */
  async toggle(): Promise<void> {
    if (this.isOver) return;
    if (this.input.isLocked) {
      this.input.unlockPointer();
      return;
    }
    if (!canCapture()) {
      this.say('There is no mouse here that the browser can capture');
      return;
    }
    this.choose('captured');
    if (!(await this.input.lockPointer())) this.say('The browser refused to capture the mouse. Click the picture to try again');
  }

  /** Nothing is chosen any more. */
  close(): void {
    this.isOver = true;
    this.menu.remove('mouse');
  }

  private choose(way: MouseWay): void {
    this.choice.choose(way);
    this.show();
  }
}
