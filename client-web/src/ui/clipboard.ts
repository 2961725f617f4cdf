// The clipboard between the player's own machine and the game: nothing goes either way before the player switches it on in
// the session's menu. What was copied in the game is asked for only then.
import type { ClipboardRules } from '../wire/index.ts';
import { button, h } from './dom.ts';
import type { MenuChoice } from './menu.ts';
import { sentence } from './words.ts';

/** Which ways it goes. */
export type ClipboardWay = 'off' | 'to_game' | 'from_game' | 'both';

const LABELS: Readonly<Record<ClipboardWay, string>> = {
  off: 'Off',
  to_game: 'Paste into the game',
  from_game: 'Copy from the game',
  both: 'Both ways',
};

const IMAGE = 'image/png';
const TEXT = 'text/plain';

export interface ClipboardActions {
  /** What was copied in the game. */
  readonly read: () => Promise<Blob>;
  /** Puts it into the game's clipboard. */
  readonly write: (clip: Blob) => Promise<void>;
  /** Something is to be said in passing. */
  readonly say: (text: string) => void;
  readonly onChange: () => void;
}

/** What a player may choose from. */
export function waysOf({ to_game: to, from_game: from }: Pick<ClipboardRules, 'to_game' | 'from_game'>): readonly ClipboardWay[] {
  const ways: ClipboardWay[] = ['off'];
  if (to) ways.push('to_game');
  if (from) ways.push('from_game');
  if (to && from) ways.push('both');
  return ways;
}

export class ClipboardLink {
  /** Asks to be clicked, where the browser lets nothing be copied otherwise. */
  readonly element = h('div', { class: 'toast offer', role: 'alert', hidden: true });
  private rules: ClipboardRules | undefined;
  private way: ClipboardWay = 'off';
  /** Copies in the game that are known of, and those that were asked for. */
  private told = 0;
  private had = 0;

  constructor(private readonly does: ClipboardActions) {}

  /** What the session shares. */
  allow(rules: ClipboardRules | undefined): void {
    this.rules = rules;
    this.way = 'off';
  }

  /** Where the player switches it on; undefined where the session does not share it. */
  get choice(): MenuChoice | undefined {
    if (this.rules === undefined) return undefined;
    const options = waysOf(this.rules).map((value) => ({ value, label: LABELS[value] }));
    return {
      id: 'clipboard',
      label: 'Clipboard',
      options,
      value: this.way,
      onChoose: (way) => {
        this.way = way as ClipboardWay;
        this.does.onChange();
        this.fetch();
      },
    };
  }

  /** What is copied elsewhere is pasted in the game. */
  get pastes(): boolean {
    return this.way === 'to_game' || this.way === 'both';
  }

  /** Something was copied in the game. */
  copied(number: number): void {
    this.told = Math.max(this.told, number);
    this.fetch();
  }

  /** Brings what the user pastes. Settles when the game has it, or cannot have it. */
  async paste(data: DataTransfer | null): Promise<void> {
    const clip = data === null ? undefined : clipOf(data);
    if (clip !== undefined) await this.bring(clip);
  }

  /** Brings what is in the browser's clipboard, which it may ask the user about. */
  async pasteNow(): Promise<void> {
    try {
      const clip = await clipOfBrowser();
      if (clip === undefined) this.does.say('There is neither text nor an image to paste');
      else if (await this.bring(clip)) this.does.say('It can be pasted in the game now');
    } catch {
      this.does.say(globalThis.isSecureContext ? 'The browser does not let this page see the clipboard' : 'Browsers give the clipboard to pages that came over HTTPS');
    }
  }

  close(): void {
    this.way = 'off';
    this.element.remove();
  }

  private async bring(clip: Blob): Promise<boolean> {
    const most = clip.type === IMAGE ? this.rules?.image_bytes : this.rules?.text_bytes;
    if (most !== undefined && clip.size > most) {
      this.does.say('This is too large to be pasted in the game');
      return false;
    }
    try {
      await this.does.write(clip);
      return true;
    } catch (error) {
      this.does.say(sentence(error instanceof Error ? error.message : 'it cannot be pasted in the game'));
      return false;
    }
  }

  /** Has what was copied in the game, where that is wanted and new. */
  private fetch(): void {
    if (this.told === this.had || (this.way !== 'from_game' && this.way !== 'both')) return;
    this.had = this.told;
    const number = this.told;
    this.does.read().then(
      (clip) => { if (number === this.told) this.offer(clip); },
      // The game may have copied something that is no clip, or something else since.
      () => undefined,
    );
  }

  private offer(clip: Blob): void {
    copy(clip).then(
      () => {
        this.element.hidden = true;
        this.does.say('Copied from the game');
      },
      () => {
        const act = button({
          label: 'Copy',
          name: 'Copy what the game copied',
          onClick: () => {
            this.element.hidden = true;
            copy(clip).then(
              () => { this.does.say('Copied from the game'); },
              () => { this.does.say('The browser does not let this page copy'); },
            );
          },
        });
        this.element.replaceChildren(h('span', {}, `The game copied ${clip.type === IMAGE ? 'an image' : 'text'}`), act);
        this.element.hidden = false;
      },
    );
  }
}

/** Text where there is any, else an image; what is given is gone after the event. */
function clipOf(data: DataTransfer): Blob | undefined {
  const text = data.getData(TEXT);
  if (text !== '') return textOf(text);
  return [...data.files].find(({ type }) => type === IMAGE);
}

async function clipOfBrowser(): Promise<Blob | undefined> {
  const items = await navigator.clipboard.read();
  const item = (type: string): ClipboardItem | undefined => items.find(({ types }) => types.includes(type));
  const text = await (await item(TEXT)?.getType(TEXT))?.text();
  if (text !== undefined && text !== '') return textOf(text);
  return item(IMAGE)?.getType(IMAGE);
}

/** Lines end as they do where games run. */
function textOf(text: string): Blob {
  return new Blob([text.replaceAll('\r\n', '\n')], { type: `${TEXT};charset=utf-8` });
}

async function copy(clip: Blob): Promise<void> {
  if (clip.type === IMAGE) await navigator.clipboard.write([new ClipboardItem({ [IMAGE]: clip })]);
  else await navigator.clipboard.writeText(await clip.text());
}
