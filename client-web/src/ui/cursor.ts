// The pointer of what is played. Where the user points with a mouse, the browser shows it as its own: so it moves with the hand and
// not with the picture. While the browser has captured the mouse it shows none. Who has no pointer in the picture, because they
// only watch or have only fingers, is shown it over the picture, where the node says that it is.
import type { Cursor, CursorLook, PointerPlace } from '../wire/index.ts';
import type { Box } from '../video/layout.ts';
import { h } from './dom.ts';

/** Browsers show no larger one, in CSS pixels. */
const LARGEST = 128;

/**
 * A look as a value of `cursor`, where the picture is shown this many times as large, in CSS pixels. The first
 * value is for browsers that do not scale pointers.
 */
export function cursorStyles({ png, size, scale, hotspot }: CursorLook, shown: number): readonly [string, string] {
  const url = `url("${address(png)}")`;
  // Pixels of the image in a CSS pixel.
  const density = Math.max(1 / (shown * scale), Math.max(...size) / LARGEST);
  const at = hotspot.map((edge) => (edge / density).toFixed(1)).join(' ');
  return [`${url} ${hotspot.join(' ')}, default`, `image-set(${url} ${density.toFixed(4)}x) ${at}, default`];
}

/** Where the left upper corner of a look is on the page, and its width there, for a pointer at a place of the picture. */
export function lookAt({ size, scale, hotspot }: CursorLook, { x, y }: PointerPlace, box: Box, shown: number): { readonly x: number; readonly y: number; readonly width: number } {
  const [across, down] = hotspot;
  const corner = (edge: number, at: number, hot: number): number => edge + (at - hot * scale) * shown;
  return { x: corner(box.left, x, across ?? 0), y: corner(box.top, y, down ?? 0), width: (size[0] ?? 0) * scale * shown };
}

function address(png: string): string {
  return `data:image/png;base64,${png}`;
}

export interface CursorPlace {
  /** CSS pixels for each pixel of the picture, had it not been coded smaller. */
  readonly scale: () => number;
  /** Where the picture is, in CSS pixels of the window. */
  readonly box: () => Box;
}

export class GameCursor {
  /** Shown over the picture to those who have no pointer there. */
  readonly element = h('img', { class: 'pointer', alt: '', hidden: true });
  private cursor: Cursor | undefined;
  private at: PointerPlace | undefined;
  private over = false;

  constructor(private readonly surface: HTMLElement, private readonly place: CursorPlace) {}

  show(cursor: Cursor): void {
    this.cursor = cursor;
    this.fit();
  }

  /** It is over the picture from now on, or the browser's own. */
  setOver(over: boolean): void {
    this.over = over;
    this.fit();
  }

  /** The node says where it is. */
  moved(at: PointerPlace): void {
    this.at = at;
    this.draw();
  }

  /** The picture may have another size on the page. */
  fit(): void {
    this.draw();
    if (this.cursor === undefined || this.over) return;
    const look = this.cursor.look ?? undefined;
    // What a browser does not know it does not take, and the value before stays.
    for (const style of look === undefined ? ['none'] : cursorStyles(look, this.place.scale())) this.surface.style.cursor = style;
  }

  private draw(): void {
    const look = this.over ? this.cursor?.look : undefined;
    this.element.hidden = look == null || this.at === undefined;
    if (look == null || this.at === undefined) return;
    const source = address(look.png);
    if (this.element.getAttribute('src') !== source) this.element.src = source;
    const { x, y, width } = lookAt(look, this.at, this.place.box(), this.place.scale());
    this.element.style.width = `${width}px`;
    this.element.style.translate = `${x}px ${y}px`;
  }
}
