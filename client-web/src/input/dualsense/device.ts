// A DualSense that the user gave the page (WebHID): its whole state as it comes, and what it is told. Browsers' own gamepads say
// its buttons and sticks alone.
import { calibrationOf, effectsReport, parseReport, PRODUCTS, SONY, type Calibration, type DualSenseEffects, type DualSenseState, type Wire } from './report.ts';

/** What of a browser's HID device is used. */
export interface HidDevice extends EventTarget {
  readonly opened: boolean;
  readonly vendorId: number;
  readonly productId: number;
  readonly productName: string;
  readonly collections: readonly { readonly outputReports?: readonly { readonly reportId?: number }[] }[];
  open(): Promise<void>;
  close(): Promise<void>;
  sendReport(number: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  receiveFeatureReport(number: number): Promise<DataView>;
}

export interface Hid extends EventTarget {
  getDevices(): Promise<readonly HidDevice[]>;
  requestDevice(options: { readonly filters: readonly { readonly vendorId: number; readonly productId: number }[] }): Promise<readonly HidDevice[]>;
}

const FILTERS = PRODUCTS.map((productId) => ({ vendorId: SONY, productId }));
/** Feature report of the calibration. Whoever reads it by Bluetooth gets whole reports from then on. */
const CALIBRATION = 5;

/** The browser's HID devices, where it has any. */
export function hid(): Hid | undefined {
  return (navigator as { readonly hid?: Hid }).hid;
}

function isDualSense({ vendorId, productId }: HidDevice): boolean {
  return FILTERS.some((filter) => filter.vendorId === vendorId && filter.productId === productId);
}

/** Those that the user gave this page before. */
export async function known(from: Hid): Promise<readonly HidDevice[]> {
  return (await from.getDevices()).filter(isDualSense);
}

/** Asks the user for one; it must be called while they click. Nothing where they give none. */
export async function ask(from: Hid): Promise<HidDevice | undefined> {
  return (await from.requestDevice({ filters: FILTERS })).find(isDualSense);
}

export interface DualSenseEvents {
  readonly onState: (state: DualSenseState) => void;
}

export class DualSense {
  private readonly abort = new AbortController();
  private count = 0;
  /** Reports go out one after the other. */
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly device: HidDevice,
    readonly wire: Wire,
    calibration: Calibration,
    events: DualSenseEvents,
  ) {
    const told = (event: Event): void => {
      const { reportId, data } = event as Event & { readonly reportId: number; readonly data: DataView };
      const state = parseReport(reportId, data, wire, calibration);
      if (state !== undefined) events.onState(state);
    };
    device.addEventListener('inputreport', told, { signal: this.abort.signal });
  }

  /** Opens it; fails where the system or another program keeps it. */
  static async open(device: HidDevice, events: DualSenseEvents): Promise<DualSense> {
    if (!device.opened) await device.open();
    // By USB it has no output report 0x31.
    const outputs = device.collections.flatMap(({ outputReports }) => outputReports ?? []);
    const wire = outputs.some(({ reportId }) => reportId === 0x31) ? 'bluetooth' : 'usb';
    const calibration = calibrationOf(await device.receiveFeatureReport(CALIBRATION));
    return new DualSense(device, wire, calibration, events);
  }

  get name(): string {
    return this.device.productName;
  }

  is(device: unknown): boolean {
    return this.device === device;
  }

  /** Tells it to do this. What cannot be told is left out: it may have gone. */
  tell(effects: DualSenseEffects): void {
    const { number, bytes } = effectsReport(effects, this.wire, this.count);
    this.count += 1;
    this.last = this.last.then(() => this.device.sendReport(number, bytes)).catch(() => undefined);
  }

  close(): void {
    this.abort.abort();
    // Triggers that resist, and motors, would go on.
    this.tell({ rumble: [0, 0], left: OFF, right: OFF });
    this.last.then(() => this.device.close()).catch(() => undefined);
  }
}

/** A trigger without resistance. */
const OFF = [0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] as const;
