// Shows what a video element decodes by leaving it where it is: the element is on the page.
import type { Micros } from '../units.ts';
import type { DecodedFrame, Presenter } from './seam.ts';

export class ElementPresenter implements Presenter<HTMLVideoElement> {
  present({ metadata }: DecodedFrame<HTMLVideoElement>): Micros {
    return metadata.displayedAt ?? metadata.decodedAt;
  }
}
