// The logo and the page's few icons, drawn on a 24-unit grid.
import { s } from './dom.ts';

function icon(...paths: readonly string[]): SVGElement {
  return s(
    'svg',
    { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' },
    ...paths.map((d) => s('path', { d })),
  );
}

/** A light, near, and its two rings. */
export function logo(): SVGElement {
  return s(
    'svg',
    { viewBox: '0 0 32 32', class: 'logo', 'aria-hidden': 'true', focusable: 'false' },
    s('circle', { cx: 10, cy: 22, r: 5, class: 'logo-light' }),
    s('path', { d: 'M10 11a11 11 0 0 1 11 11', class: 'logo-ring' }),
    s('path', { d: 'M10 4a18 18 0 0 1 18 18', class: 'logo-ring far' }),
  );
}

export const icons = {
  play: () => icon('M8 5.5v13l10.5-6.5z'),
  back: () => icon('M19 12H5', 'M11 6l-6 6 6 6'),
  menu: () => icon('M4 7h16', 'M4 12h16', 'M4 17h16'),
  stats: () => icon('M5 19V11', 'M12 19V5', 'M19 19v-5'),
  fullscreen: () => icon('M9 4H4v5', 'M15 4h5v5', 'M9 20H4v-5', 'M15 20h5v-5'),
  mouse: () => icon('M12 3a6 6 0 0 1 6 6v6a6 6 0 0 1-12 0V9a6 6 0 0 1 6-6z', 'M12 7v3'),
  keyboard: () => icon('M3 7h18v10H3z', 'M7 11h.01', 'M11 11h.01', 'M15 11h.01', 'M8 14h8'),
  sound: () => icon('M4 9.5v5h3.5l4.5 4v-13l-4.5 4z', 'M15.5 9a4 4 0 0 1 0 6', 'M18 6.5a7.5 7.5 0 0 1 0 11'),
  silent: () => icon('M4 9.5v5h3.5l4.5 4v-13l-4.5 4z', 'M16 9.5l5 5', 'M21 9.5l-5 5'),
  microphone: () => icon('M12 3.5a3 3 0 0 1 3 3V12a3 3 0 0 1-6 0V6.5a3 3 0 0 1 3-3z', 'M5.5 11.5a6.5 6.5 0 0 0 13 0', 'M12 18v2.5'),
  touch: () => icon('M10 12V5.5a1.5 1.5 0 0 1 3 0V11l4.5 1.2a2 2 0 0 1 1.5 2L18 20h-7l-4.5-5.5a1.5 1.5 0 0 1 2.2-2z'),
  alert: () => icon('M12 4l9 16H3z', 'M12 10v4', 'M12 17h.01'),
  done: () => icon('M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z', 'M8.5 12.2l2.4 2.4 4.6-5'),
  exit: () => icon('M13 4H6v16h7', 'M10.5 12H20', 'M16.5 8.5L20 12l-3.5 3.5'),
  crash: () => icon('M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z', 'M9 9l6 6', 'M15 9l-6 6'),
  people: () => icon('M9 11a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4z', 'M3 19.5a6 6 0 0 1 12 0', 'M18.5 8v6', 'M15.5 11h6'),
  save: () => icon('M5 4h11l3 3v13H5z', 'M8 4v5h7V4', 'M8 20v-6h8v6'),
  controller: () => icon('M7.5 8h9a4.5 4.5 0 0 1 4.4 5.4l-.5 2.4a2.4 2.4 0 0 1-4.3.9L15 15H9l-1.1 1.7a2.4 2.4 0 0 1-4.3-.9l-.5-2.4A4.5 4.5 0 0 1 7.5 8z', 'M8 10.5v3', 'M6.5 12h3', 'M15 12h.01', 'M17 11h.01'),
  lock: () => icon('M6 11h12v9H6z', 'M8.5 11V8a3.5 3.5 0 0 1 7 0v3'),
};
