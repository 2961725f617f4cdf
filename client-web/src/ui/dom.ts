// Elements without a framework. No markup is ever made from text, and no inline style: the page's
// content policy forbids both.

export type Child = Node | string | undefined;
type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** An element; attributes that are false or undefined are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes);
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

export function s(tag: string, attributes: Attributes, ...children: readonly Node[]): SVGElement {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
}

export interface ButtonOptions {
  readonly label: string;
  readonly icon?: SVGElement;
  readonly kind?: 'primary' | 'plain' | 'quiet';
  /** What assistive technology calls it, where the label alone says too little. */
  readonly name?: string;
  readonly shortcut?: string;
  readonly onClick: (event: MouseEvent) => void;
}

export function button({ label, icon, kind = 'plain', name, shortcut, onClick }: ButtonOptions): HTMLButtonElement {
  const text = h('span', { class: 'label' }, label);
  const element = h(
    'button',
    {
      type: 'button',
      class: `button ${kind}`,
      'aria-label': name,
      title: shortcut === undefined ? undefined : `${name ?? label} (${shortcut})`,
      'aria-keyshortcuts': shortcut?.replace('Ctrl', 'Control'),
    },
    icon,
    text,
  );
  element.addEventListener('click', onClick);
  return element;
}
