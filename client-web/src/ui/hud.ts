// The statistics overlay: how it goes, where every millisecond goes, and which encoder works and why.
import { summary } from '../stats/declined.ts';
import { StatsHistory, stageTitle } from '../stats/history.ts';
import { microphoneOf } from '../stats/microphone.ts';
import { displayIsHigh, rangeOf } from '../stats/range.ts';
import { rateOf } from '../stats/rate.ts';
import { soundOf } from '../stats/sound.ts';
import { KINDS, TITLES, type TransportKind } from '../session/choice.ts';
import type { SpeakerFigures } from '../audio/speaker.ts';
import type { PathAverages } from '../session/connection.ts';
import type { Taken } from '../session/events.ts';
import type { Hello, Stats } from '../wire/index.ts';
import { button, h } from './dom.ts';
import { LatencyGraph, stageColour } from './graph.ts';
import { company, ROLES } from './words.ts';

interface Row {
  readonly row: HTMLTableRowElement;
  readonly title: Text;
  readonly p50: HTMLTableCellElement;
  readonly p95: HTMLTableCellElement;
}

const FACTS = ['Picture', 'Drawn at', 'Round trip', 'Clock', 'Not encoded', 'Keyframes', 'Rate', 'Role', 'Viewers', 'Transport', 'Averages', 'Sound', 'Microphone', 'Encoder', 'Range', 'Device'] as const;
type Fact = (typeof FACTS)[number];

export class Hud {
  readonly element = h('aside', { class: 'hud', 'aria-label': 'Statistics', hidden: true, tabindex: 0 });
  private readonly history = new StatsHistory();
  private readonly graph = new LatencyGraph();
  private readonly fps = figure('frames/s');
  private readonly rate = figure('Mbit/s');
  private readonly total = figure('ms to screen');
  private readonly facts = new Map<Fact, HTMLElement>();
  private readonly summary = h('summary');
  private readonly reasons = h('ul', { 'aria-label': 'Encoders not in use, and why' });
  private readonly declined = h('details', { class: 'declined', hidden: true }, this.summary, this.reasons);
  private readonly body = h('tbody');
  /** A button for each transport that is not in use. */
  private readonly others = h('div', { class: 'others', hidden: true });
  private last: Stats | undefined;
  /** Why the picture is no larger. */
  private caveat: string | undefined;
  private readonly rows = new Map<string, Row>();

  /** `withheld`: see `rangeOf`. `onTransport` is told which one is wanted instead. */
  constructor(
    private readonly withheld: boolean,
    private readonly onTransport: (kind: TransportKind) => void,
  ) {
    const list = h('dl', { class: 'facts' });
    for (const name of FACTS) {
      const value = h('dd', {}, '–');
      this.facts.set(name, value);
      list.append(h('div', {}, h('dt', {}, name), value));
    }
    const head = h('tr', {}, h('th', { scope: 'col' }, 'Stage'), h('th', { scope: 'col' }, 'p50 ms'), h('th', { scope: 'col' }, 'p95 ms'));
    const legend = h('table', { class: 'legend' }, h('caption', { class: 'sr-only' }, 'Latency by stage, the last second'), h('thead', {}, head), this.body);
    this.element.append(
      h('div', { class: 'figures' }, this.fps.element, this.rate.element, this.total.element),
      this.graph.element,
      legend,
      list,
      this.others,
      this.declined,
    );
    // It is the last thing in a box that scrolls.
    this.declined.addEventListener('toggle', () => { this.declined.scrollIntoView({ block: 'nearest' }); });
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  /** Opens or closes it; says which. */
  toggle(): boolean {
    this.element.hidden = !this.element.hidden;
    if (this.last !== undefined) this.render(this.last);
    return this.isOpen;
  }

  hello(hello: Hello): void {
    const encoder = `${hello.codec} by ${hello.encoder}`;
    this.set('Encoder', hello.encoder_caveat == null ? encoder : `${encoder}: ${hello.encoder_caveat}`);
    this.caveat = hello.screen_refused ?? undefined;
    this.set('Range', rangeOf(hello, displayIsHigh().matches, this.withheld));
    this.set('Device', hello.device);
    this.set('Role', ROLES[hello.role].title);
    const declined = summary(hello.declined);
    this.declined.hidden = declined === undefined;
    this.summary.textContent = declined ?? '';
    this.reasons.replaceChildren(...hello.declined.map((line) => h('li', {}, line)));
  }

  stats(stats: Stats): void {
    this.history.add(stats, performance.now());
    this.last = stats;
    this.render(stats);
  }

  /** What the session came by, and why; offers the other ways. */
  transport({ kind, reason, connectMs }: Taken): void {
    const title = connectMs === undefined ? TITLES[kind] : `${TITLES[kind]}, connected in ${connectMs.toFixed(0)} ms`;
    this.set('Transport', `${title}: ${reason}`);
    const others = KINDS.filter((other) => other !== kind);
    this.others.replaceChildren(...others.map((other) => button({ label: `Use ${TITLES[other]}`, kind: 'quiet', onClick: () => { this.onTransport(other); } })));
    this.others.hidden = false;
  }

  /** What the browser counts over all frames; WebRTC has no such figures frame by frame. */
  averages({ bufferMs, decodeMs, lost, sound }: PathAverages, speaker: SpeakerFigures | undefined, skewMs: number | undefined): void {
    this.set('Sound', soundOf(this.last?.audio ?? undefined, sound, speaker, skewMs));
    const parts = [
      bufferMs === undefined ? undefined : `buffer ${bufferMs.toFixed(1)} ms`,
      decodeMs === undefined ? undefined : `decode ${decodeMs.toFixed(1)} ms`,
      lost,
    ];
    this.set('Averages', parts.filter((part) => part !== undefined).join(', '));
  }

  private render(stats: Stats): void {
    if (!this.isOpen) return;
    this.fps.set(stats.fps.toFixed(stats.fps < 10 ? 1 : 0));
    this.rate.set(`${mbit(stats.kbps)} of ${mbit(stats.target_kbps)}`);
    this.total.set(stats.total == null ? '–' : stats.total.p50.toFixed(1));
    const coded = stats.coded.join(' × ');
    this.set('Picture', this.caveat === undefined ? coded : `${coded}: ${this.caveat}`);
    this.set('Drawn at', stats.internal.join(' × '));
    this.set('Round trip', stats.rtt_ms == null ? 'not known yet' : `${stats.rtt_ms.toFixed(1)} ms`);
    this.set('Clock', stats.clock_error_ms == null ? 'not known yet' : `± ${stats.clock_error_ms.toFixed(2)} ms`);
    this.set('Not encoded', `${stats.unchanged} unchanged, ${stats.dropped} dropped`);
    this.set('Keyframes', String(stats.keyframes));
    this.set('Rate', rateOf(stats.rate));
    this.set('Viewers', company(stats.viewers) || 'none');
    this.set('Microphone', microphoneOf(stats.microphone ?? undefined));
    this.legend(stats);
    this.draw();
  }

  private legend(stats: Stats): void {
    const rows = stats.stages.map(({ stage, ms }) => {
      const row = this.rows.get(stage) ?? this.makeRow(stage);
      row.title.data = stageTitle(stage, stats.stages);
      row.p50.textContent = ms.p50.toFixed(2);
      row.p95.textContent = ms.p95.toFixed(2);
      return row.row;
    });
    // Another transport may have other stages.
    if (rows.some((row, at) => this.body.children[at] !== row) || this.body.children.length !== rows.length) this.body.replaceChildren(...rows);
  }

  private makeRow(stage: string): Row {
    const swatch = h('span', { class: 'swatch', 'aria-hidden': 'true' });
    swatch.style.backgroundColor = stageColour(stage);
    const [p50, p95] = [h('td'), h('td')];
    const title = new Text();
    const row = h('tr', {}, h('th', { scope: 'row' }, swatch, title), p50, p95);
    const made: Row = { row, title, p50, p95 };
    this.rows.set(stage, made);
    return made;
  }

  private draw(): void {
    this.graph.draw(this.history.samples, performance.now());
  }

  private set(fact: Fact, text: string): void {
    const element = this.facts.get(fact);
    if (element !== undefined && element.textContent !== text) element.textContent = text;
  }
}

function figure(unit: string): { readonly element: HTMLElement; set: (text: string) => void } {
  const value = h('b', {}, '–');
  return { element: h('p', { class: 'figure' }, value, h('span', {}, unit)), set: (text) => { value.textContent = text; } };
}

function mbit(kbps: number): string {
  return (kbps / 1000).toFixed(1);
}
