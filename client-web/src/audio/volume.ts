// How loud, and whether in two channels where there are more, remembered on this device.

export interface Volume {
  /** 0 to 1. */
  readonly level: number;
  readonly muted: boolean;
}

const KEY = 'nearlight.volume';
const FULL: Volume = { level: 1, muted: false };

export function rememberedVolume(): Volume {
  try {
    const read = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Volume> | null;
    const { level, muted } = read ?? FULL;
    if (typeof level !== 'number' || !(level >= 0 && level <= 1) || typeof muted !== 'boolean') return FULL;
    return { level, muted };
  } catch {
    // Storage may be turned off, or hold what is none of ours.
    return FULL;
  }
}

export function rememberVolume(volume: Volume): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(volume));
  } catch {
    // Then it is forgotten.
  }
}

const STEREO_KEY = 'nearlight.stereo';

/** The user wants two channels, whatever the device has. */
export function rememberedStereo(): boolean {
  try {
    return localStorage.getItem(STEREO_KEY) === 'true';
  } catch {
    return false;
  }
}

export function rememberStereo(stereo: boolean): void {
  try {
    localStorage.setItem(STEREO_KEY, String(stereo));
  } catch {
    // Then it is forgotten.
  }
}
