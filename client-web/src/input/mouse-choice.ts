// Whether a click captures the mouse, to look around, or leaves it free, to point. What is played says which suits it; the
// player may choose the other, by game, and that is remembered on this device. Pure, but for the memory.
import { recall, remember } from './by-game.ts';

/** What a click makes of the mouse. */
export type MouseWay = 'captured' | 'free';

const KEY = 'nearlight.mouse';

export class MouseChoice {
  private game = '';
  private suits: MouseWay | undefined;
  private chosen: MouseWay | undefined;

  /** It is this game that is played; before that is known nothing is remembered. */
  of(game: string): void {
    this.game = game;
    const kept = recall(KEY)[game];
    this.chosen = kept === 'captured' || kept === 'free' ? kept : undefined;
  }

  /** This suits what is played, and holds until the player chooses. */
  suggest(way: MouseWay): void {
    this.suits = way;
  }

  /** The player wants it like this, in this game. */
  choose(way: MouseWay): void {
    // What suits the game anyway goes on to be what it says.
    this.chosen = way === this.suits ? undefined : way;
    if (this.game !== '') remember(KEY, this.game, this.chosen);
  }

  get way(): MouseWay {
    return this.chosen ?? this.suits ?? 'captured';
  }
}
