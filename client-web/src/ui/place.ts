// Where the picture is on the page: as large as there is room for, or a pixel of it for each pixel of the display.
import type { Size } from '../units.ts';
import { type Box, contentBox } from '../video/layout.ts';
import type { MenuChoice } from './menu.ts';

export type Fit = 'fit' | 'exact';

/** A picture that lacks no more than this of its place, in device pixels, is not scaled: it would be blurred. */
const ALMOST = 2;

/** The size of a picture in CSS pixels where each of its pixels is one of the display; undefined where it is scaled. */
export function exactSize(place: Size, picture: Size, fit: Fit, ratio: number): Size | undefined {
  if (picture.width <= 0 || picture.height <= 0) return undefined;
  const fills = ([here, there]: readonly [number, number]): boolean => Math.abs(here * ratio - there) < ALMOST;
  const almost = fills([place.width, picture.width]) && fills([place.height, picture.height]);
  return fit === 'exact' || almost ? { width: picture.width / ratio, height: picture.height / ratio } : undefined;
}

/**
 * The size of a picture before it was coded smaller for a weak link: that of the session's, unless the picture is of another shape,
 * as it is until one of a new size comes.
 */
export function wholeSize(picture: Size, session: Size | undefined): Size {
  if (session === undefined || picture.width <= 0 || picture.width >= session.width) return picture;
  // Edges are rounded down to even numbers.
  const off = Math.abs(session.width * picture.height - session.height * picture.width);
  return off < 2 * Math.max(session.width, session.height) ? session : picture;
}

/** The row of the session's menu for it. */
export function fitChoice(onChoose: (fit: Fit) => void): MenuChoice {
  return {
    id: 'fit',
    label: 'Picture',
    options: [{ value: 'fit', label: 'As large as the window' }, { value: 'exact', label: 'Pixel by pixel' }],
    value: 'fit',
    onChoose: (fit) => { onChoose(fit as Fit); },
  };
}

export class PicturePlace {
  private fitted: Fit = 'fit';
  private readonly resized: ResizeObserver;

  constructor(
    private readonly surface: HTMLElement,
    /** Size of the picture, once it is known. */
    private readonly picture: () => Size,
    /** The session's, once the node has told it. */
    private readonly session: () => Size | undefined,
    /** It is elsewhere, or of another size on the page. */
    private readonly onChange: () => void,
  ) {
    this.resized = new ResizeObserver(() => { this.update(); });
    this.resized.observe(surface);
  }

  get fit(): Fit {
    return this.fitted;
  }

  set fit(fit: Fit) {
    this.fitted = fit;
    this.update();
  }

  /** Where it is, in CSS pixels. */
  box(): Box {
    const place = this.surface.getBoundingClientRect();
    const exact = this.exact(place);
    if (exact === undefined) return contentBox(place, this.picture());
    const { left, top } = this.corner(place, exact);
    return { left: place.left + left, top: place.top + top, ...exact };
  }

  /** CSS pixels of the page for each pixel of the whole picture. */
  scale(): number {
    const { width } = this.whole();
    const box = this.box();
    return width > 0 && box.width > 0 ? box.width / width : 1;
  }

  private whole(): Size {
    return wholeSize(this.picture(), this.session());
  }

  /** The picture, or its place, has another size. */
  update(): void {
    const place = this.surface.getBoundingClientRect();
    const exact = this.exact(place);
    this.surface.classList.toggle('exact', exact !== undefined);
    if (exact !== undefined) {
      for (const [name, length] of Object.entries({ ...exact, ...this.corner(place, exact) })) {
        this.surface.style.setProperty(`--exact-${name}`, `${length}px`);
      }
    }
    this.onChange();
  }

  close(): void {
    this.resized.disconnect();
  }

  /** In the middle, and between no two pixels of the display. */
  private corner(place: Size, exact: Size): { readonly left: number; readonly top: number } {
    const ratio = window.devicePixelRatio;
    const middle = (all: number, part: number): number => Math.floor(((all - part) / 2) * ratio) / ratio;
    return { left: middle(place.width, exact.width), top: middle(place.height, exact.height) };
  }

  private exact(place: Size): Size | undefined {
    return exactSize(place, this.whole(), this.fitted, window.devicePixelRatio);
  }
}
