// The pointer of what is played, shown by the browser as its own: so it moves with the hand and not with the
// picture. While the browser has captured the mouse it shows none.
import type { Cursor, CursorLook } from '../wire/index.ts';

/** Browsers show no larger one, in CSS pixels. */
const LARGEST = 128;

/**
 * A look as a value of `cursor`, where the picture is shown this many times as large, in CSS pixels. The first
 * value is for browsers that do not scale pointers.
 */
export function cursorStyles({ png, size, scale, hotspot }: CursorLook, shown: number): readonly [string, string] {
  const url = `url("data:image/png;base64,${png}")`;
  // Pixels of the image in a CSS pixel.
  const density = Math.max(1 / (shown * scale), Math.max(...size) / LARGEST);
  const at = hotspot.map((edge) => (edge / density).toFixed(1)).join(' ');
  return [`${url} ${hotspot.join(' ')}, default`, `image-set(${url} ${density.toFixed(4)}x) ${at}, default`];
}

export class GameCursor {
  private cursor: Cursor | undefined;

  constructor(
    private readonly surface: HTMLElement,
    /** CSS pixels for each pixel of the picture. */
    private readonly scale: () => number,
  ) {}

  show(cursor: Cursor): void {
    this.cursor = cursor;
    this.fit();
  }

  /** The picture may have another size on the page. */
  fit(): void {
    if (this.cursor === undefined) return;
    const look = this.cursor.look ?? undefined;
    // What a browser does not know it does not take, and the value before stays.
    for (const style of look === undefined ? ['none'] : cursorStyles(look, this.scale())) this.surface.style.cursor = style;
  }
}
