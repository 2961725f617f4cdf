// The boxes at the side of the picture, of which one is open at a time.

export interface SideBox {
  readonly element: HTMLElement;
  readonly isOpen: boolean;
  /** Opens or closes it; says which. */
  toggle(): boolean;
}

export class SideBoxes {
  constructor(private readonly all: readonly SideBox[], private readonly onClosed: (box: SideBox) => void) {}

  /** The one that is open. */
  get open(): SideBox | undefined {
    return this.all.find(({ isOpen }) => isOpen);
  }

  /** Opens one in place of any other, or closes it; says which. */
  toggle(box: SideBox): boolean {
    this.close(box);
    const opened = box.toggle();
    if (!opened) this.onClosed(box);
    return opened;
  }

  /** Closes all but this one. */
  close(but?: SideBox): void {
    for (const box of this.all) {
      if (box === but || !box.isOpen) continue;
      box.toggle();
      this.onClosed(box);
    }
  }
}
