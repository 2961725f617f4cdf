// Where the picture is in its element: whole, in its own proportions, in the middle.
import type { Size } from '../units.ts';

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The box that a picture fills in an element with `object-fit: contain`. */
export function contentBox(element: Box, picture: Size): Box {
  if (picture.width <= 0 || picture.height <= 0) return element;
  const scale = Math.min(element.width / picture.width, element.height / picture.height);
  const width = picture.width * scale;
  const height = picture.height * scale;
  return {
    left: element.left + (element.width - width) / 2,
    top: element.top + (element.height - height) / 2,
    width,
    height,
  };
}

/** A place on the page as 0 to 65535 across and down the box; places beside it count as its edge. */
export function normalise(box: Box, x: number, y: number): { readonly x: number; readonly y: number } {
  return { x: share(x - box.left, box.width), y: share(y - box.top, box.height) };
}

function share(offset: number, length: number): number {
  if (!(length > 0)) return 0;
  return Math.round(Math.min(Math.max(offset / length, 0), 1) * 0xffff);
}
