// The player: one session, its picture, its input, and everything drawn over them.
import type { Api } from '../api.ts';
import { Speaker } from '../audio/speaker.ts';
import { InputCapture } from '../input/capture.ts';
import { DualSenses } from '../input/dualsense/pads.ts';
import { knownPads, readGamepads } from '../input/gamepad.ts';
import { rememberedKeys, rememberKeys } from '../input/key-map.ts';
import { shortcutOf, type Shortcut } from '../input/keyboard.ts';
import { FrameConnection, startAhead } from '../quic/connection.ts';
import { TITLES, type TransportChoice } from '../session/choice.ts';
import { Connection } from '../session/connection.ts';
import type { Acknowledger } from '../rented/acknowledger.ts';
import { PlaySession, type Seat } from '../session/play.ts';
import type { Taken } from '../session/events.ts';
import { isFinal, type PlayState } from '../session/state.ts';
import { Transports } from '../session/transports.ts';
import { isCoarse, lockKeyboard, takesSound } from '../platform.ts';
import { type Link, type Settings, type TicketLink, videoFor } from '../settings.ts';
import { displayIsHigh } from '../stats/range.ts';
import type { Micros, Size } from '../units.ts';
import type { Progress } from '../video/messages.ts';
import type { RangedView } from '../video/ranged-view.ts';
import { createView } from '../video/view.ts';
import type { CatalogueEntry, Hello, Role, Session, Stats } from '../wire/index.ts';
import { Bar } from './bar.ts';
import { SideBoxes, type SideBox } from './boxes.ts';
import { ClipboardLink } from './clipboard.ts';
import { GameCursor } from './cursor.ts';
import { h } from './dom.ts';
import { FilesBox } from './files.ts';
import { Hud } from './hud.ts';
import { ControllersBox } from './controllers.ts';
import { touchAfter, TouchPad } from './touch-pad.ts';
import { InviteBox } from './invite.ts';
import { KeysBox } from './keys.ts';
import { LeaseView } from './lease.ts';
import { SessionMenu } from './menu.ts';
import { MouseControl } from './mouse.ts';
import { StatePanel } from './panel.ts';
import { fitChoice, PicturePlace } from './place.ts';
import { qualityChoices } from './quality.ts';
import { SaveButton, SavesBox, type SavesActions } from './saves.ts';
import { ScreenWatch } from './screen.ts';
import { Stick } from './stick.ts';
import { VoiceControl } from './voice.ts';
import { channelsChoice, volumeChoice } from './volume.ts';
import { Warning } from './warning.ts';
import { announcement, company, howToBegin, MENU_KEYS, ROLES, withMouse } from './words.ts';

/** What is to be played. */
export interface PlayRequest {
  readonly entry: CatalogueEntry;
  /** The session to take over or to join, where one is. */
  readonly link: Link | undefined;
  /** The session of this entry that the page before left in this tab, to be taken up. */
  readonly left: TicketLink | undefined;
  /** When the user asked for it. */
  readonly askedAt: Micros;
  /** Who plays, and from which save. */
  readonly seat: Seat;
  /** What the player keeps of it, where somebody may keep something. */
  readonly saves: SavesActions | undefined;
  /** What signs receipts, where the machine is rented. */
  readonly receipts: Acknowledger | undefined;
}

export interface PlayerEvents {
  /** Back to the catalogue. */
  readonly onLeave: () => void;
  /** The same anew; asked for at this time. */
  readonly onAgain: (askedAt: Micros) => void;
  /** The same anew, with this token. */
  readonly onToken: (token: string, askedAt: Micros) => void;
  /** The user rents the machine, and wants to prove it. */
  readonly onProve: () => void;
  /** There is no session any more, and gamepads that were its are the page's. */
  readonly onPadsFree: () => void;
}

/** Time between looks at the connection's averages, which are only taken while they are shown. */
const AVERAGES_MS = 1_000;

export class Player {
  readonly element: HTMLElement;
  readonly session: PlaySession;
  readonly view: RangedView;
  readonly speaker: Speaker;
  progress: Progress | undefined;
  stats: Stats | undefined;
  hello: Hello | undefined;
  taken: Taken | undefined;
  private readonly surface: HTMLElement;
  private readonly mayHaveMore: boolean;
  /** The session is to be made, with the channels that there are. */
  private readonly begins: boolean;
  private readonly input: InputCapture;
  private readonly cursor: GameCursor;
  /** Where the address says no size. */
  private readonly screen: ScreenWatch | undefined;
  private readonly bar: Bar;
  private readonly hud: Hud;
  private readonly panel: StatePanel;
  private readonly invite: InviteBox;
  private readonly saving: SaveButton;
  private readonly controllers: ControllersBox;
  private readonly dualSenses: DualSenses;
  private readonly keys: KeysBox;
  private readonly saves: SavesBox | undefined;
  readonly voice: VoiceControl;
  private readonly mouse: MouseControl;
  private readonly clipboard: ClipboardLink;
  private readonly files: FilesBox;
  private readonly lease: LeaseView;
  private readonly boxes: SideBoxes;
  private readonly touchPad = new TouchPad();
  /** What a session offers beside its picture; whoever has more adds it here. */
  readonly menu = new SessionMenu(() => {
    this.bar.showMenu(false);
    this.surface.focus({ preventScroll: true });
    // What was chosen may open a box, which is the gamepad's then.
    queueMicrotask(() => { this.settlePads(); });
  });
  private readonly place: PicturePlace;
  /** What may be done in the session; known once there is one. */
  private role: Role = 'player';
  private readonly backdrop = h('div', { class: 'backdrop', 'aria-hidden': 'true' });
  private readonly live = h('div', { class: 'sr-only', role: 'status', 'aria-live': 'polite' });
  private readonly warning = new Warning();
  private readonly hint = h('p', { class: 'hint' });
  private readonly stick = new Stick();
  private readonly abort = new AbortController();
  private readonly timers = new Set<ReturnType<typeof setInterval>>();
  private liveSince: number | undefined;
  private playedMs = 0;

  private title = '';
  /** Whose choices hold; empty while that is not known. */
  private game = '';
  /** A gamepad opened the menu: until that and what was opened from it are closed, gamepads are not the session's. */
  private padMenu = false;
  /** Keys are text as the user types it, and not places. */
  private typing = false;
  /** The user has said which of the two they are. */
  private typingChosen = false;
  private touchChosen = false;
  private hasPad = false;
  /** What the menu says of the volume. */
  private volume: string | undefined;
  /** Escape and the system's own keys go to the session. */
  private keyboardLocked = false;

  constructor(
    { entry, link, left, askedAt, seat, saves, receipts }: PlayRequest,
    api: Api,
    settings: Settings,
    transports: TransportChoice,
    private readonly events: PlayerEvents,
  ) {
    this.element = h('div', { class: 'player', 'data-state': 'idle' });
    this.speaker = new Speaker(() => { this.showSound(); }, settings.channels);
    // What the node draws has two channels, and so has a track that the browser plays.
    this.mayHaveMore = entry.kind === 'game' && !settings.forceAudioElement;
    this.begins = link === undefined;
    this.surface = h('div', {
      class: 'surface',
      tabindex: 0,
      role: 'application',
      'aria-describedby': 'surface-help',
    });
    const video = videoFor(settings, displayIsHigh().matches);
    const asked = { ...settings, video, seat, receipts };
    // Of another's session nothing is asked.
    this.hud = new Hud(link === undefined && settings.range === 'display' && video.hdr !== true, (kind) => {
      this.say(`Changing to ${TITLES[kind]}`);
      this.session.switchTransport(kind);
    });
    this.view = createView(asked, {
      onDecoded: (frame) => { this.session.decoded(frame); },
      onProgress: (progress) => { this.progressed(progress); },
      onStopped: (failure) => { this.session.presenterStopped(failure); },
    });
    this.session = new PlaySession(api, link ?? entry.id, left, asked, {
      onSession: (session) => { this.given(session); },
      onState: (state) => { this.show(state); },
      onTrack: (track) => { this.view.attach(track); },
      onSound: (track, receiver) => {
        this.session.plays(2);
        this.speaker.attachTrack(track, receiver);
      },
      onTransport: (taken) => {
        this.taken = taken;
        this.hud.transport(taken);
      },
      onHello: (hello) => {
        const before = this.hello?.screen_refused ?? undefined;
        this.hello = hello;
        this.place.update();
        const refused = hello.screen_refused ?? undefined;
        // Once: while a window is dragged each size has a sentence of its own.
        if (refused !== undefined && before === undefined) this.tell(`${refused} The picture is scaled.`);
        this.view.setRange(hello.video.hdr);
        this.hud.hello(hello);
        this.greeted(hello);
        this.voice.allow(hello.microphone);
        this.offerQuality(hello);
        // Who came by a link learns it here.
        if (hello.input != null) {
          this.suggestTyping(hello.input.prefers_text);
          // Scenes take every finger, too, and are walked through with a stick on the screen.
          const takesFingers = hello.input.touch === 'itself' && hello.input.text;
          this.suggestPointing(hello.input.prefers_absolute, takesFingers);
          this.controllers.tell(hello.input);
        }
      },
      onStarting: (step) => { this.panel.progress(step); },
      onStats: (stats) => {
        this.stats = stats;
        this.hud.stats(stats);
        this.showSound();
        this.bar.showDelay(stats.total?.p50);
        this.bar.showCompany([this.role === 'player' ? '' : ROLES[this.role].title, company(stats.viewers)].filter(Boolean).join(' · '));
      },
      onPadEffects: (effects) => { this.dualSenses.tell(effects); },
      onSpeechFailed: (reason) => { this.voice.microphone.turnOff(`The microphone cannot be sent: ${reason}`); },
      onRumble: ({ pad, strong, weak, ms }) => { this.input.gamepads.rumble(pad, strong, weak, ms); },
      onCursor: (cursor) => {
        this.cursor.show(cursor);
      },
      onPointer: (place) => { this.cursor.moved(place); },
      onCopied: (number) => { this.clipboard.copied(number); },
      onWarning: (reason, inMs) => { this.warning.show(reason, inMs); },
      onLease: (status) => {
        this.lease.show(status);
        this.menu.add({ id: 'lease', label: 'Lease', onChoose: () => { this.open(this.lease); } });
      },
      onInputReady: () => { this.input.releaseAll(); },
    }, askedAt, new Transports(transports, {
      webrtc: (of) => new Connection(of, takesSound() && !settings.forceAudioElement ? (sound) => { this.speaker.attachBlocks(sound); } : undefined),
      frames: (kind, of, decodes, limitMs) => new FrameConnection(kind, of, decodes, limitMs, (pictures) => { this.view.attachPictures(pictures); }, (sound) => { this.speaker.attachBlocks(sound); }),
      prepare: startAhead,
    }));
    this.bar = new Bar(this.element, {
      on: (shortcut) => { this.does(shortcut); },
      onTouchMode: () => { this.switchTouch(); },
      onVolume: (level) => { this.speaker.setLevel(level); },
      onInvite: () => { this.toggleInvite(); },
      onControllers: () => { this.toggleControllers(); },
      onMicrophone: () => { this.voice.toggle(); },
      onMenu: () => { this.does('menu'); },
    });
    this.invite = new InviteBox({
      // The keyboard opens the menu before there is a session, too.
      make: async (role) => await api.invite(this.known, role),
      list: async () => await api.invitations(this.known),
      revoke: async (id) => { await api.revoke(this.known, id); },
      say: (text) => { this.say(text); },
    });
    this.saving = new SaveButton(() => api.save(this.known), (text) => { this.tell(text); });
    this.clipboard = new ClipboardLink({
      read: () => api.readClipboard(this.known),
      write: (clip) => api.writeClipboard(this.known, clip),
      say: (text) => { this.tell(text); },
      onChange: () => { this.offerClipboard(); },
    });
    this.files = new FilesBox({
      list: () => api.files(this.known),
      upload: (file, onProgress, signal) => api.uploadFile(this.known, file, onProgress, signal),
      download: (name) => api.downloadFile(this.known, name),
      remove: (name) => api.deleteFile(this.known, name),
      onOpen: () => { this.open(this.files); },
    });
    this.files.listen(this.element);
    this.lease = new LeaseView({
      list: () => receipts?.list() ?? api.receipts(),
      download: (chain, format) => receipts?.download(chain, format) ?? api.downloadReceipts(chain, format),
      signed: () => receipts?.signed,
    });
    this.panel = new StatePanel(entry.title, link !== undefined, {
      onAgain: events.onAgain,
      onToken: events.onToken,
      onProve: events.onProve,
      onLeave: () => { this.does('leave'); },
    });
    const picture = (): Size => this.progress?.size ?? { width: 0, height: 0 };
    this.place = new PicturePlace(this.surface, picture, () => this.hello?.video, () => { this.cursor.fit(); });
    this.cursor = new GameCursor(this.surface, { scale: () => this.place.scale(), box: () => this.place.box() });
    for (const name of ['pointerdown', 'pointermove'] as const) {
      this.surface.addEventListener(name, ({ pointerType }) => { this.points(pointerType !== 'touch'); }, { signal: this.abort.signal });
    }
    const fixed = (video.width ?? video.height) !== undefined;
    this.screen = fixed ? undefined : new ScreenWatch(this.surface, (view) => { this.session.showIn(view); });
    this.dualSenses = new DualSenses(this.session.input, {
      padOf: (index) => this.input.gamepads.padOf(index),
      taken: () => this.hello?.input?.pad_extras === true,
    });
    this.input = new InputCapture(this.surface, this.session.input, {
      box: () => this.place.box(),
      onShortcut: (shortcut) => { this.does(shortcut); },
      onLock: (locked) => { this.locked(locked); },
      onStick: (stick) => { this.stick.show(stick); },
      takesPens: () => (this.hello?.input?.pen ?? 'nothing') !== 'nothing',
      onForget: () => { this.dualSenses.forget(); },
      onTextBlur: (to) => {
        // Who puts an on-screen keyboard away is done with it.
        const stays = to instanceof Node && (to === this.surface || this.bar.element.contains(to));
        if (isCoarse() && !stays) this.setTyping(false);
      },
      clipboard: this.clipboard,
      gamepads: {
        read: () => [...this.dualSenses.without(readGamepads()), ...this.dualSenses.pads, this.touchPad.gamepad ?? null],
        active: () => document.hasFocus() && document.visibilityState === 'visible' && this.session.state.name === 'live' && !this.controllers.isOpen && !this.padMenu,
        // That on the screen has no buttons that open the menu.
        onCome: () => { if (!this.hasPad && knownPads(readGamepads()).length > 0) this.metPad(); },
        onStrange: (id) => { this.say(`The browser does not know the buttons of ${id}: teach them in Controllers`); },
      },
    });
    this.controllers = new ControllersBox(this.input.gamepads, this.dualSenses);
    this.keys = new KeysBox({
      map: () => this.input.keyMap,
      setMap: (map) => {
        this.input.setKeyMap(map);
        if (this.game !== '') rememberKeys(this.game, map);
      },
    });
    this.saves = saves && new SavesBox(entry.title, saves);
    const boxes = [this.invite, this.controllers, this.keys, this.files, this.lease, this.saves].filter((box) => box !== undefined);
    this.boxes = new SideBoxes(boxes, (box) => { this.closed(box); });
    this.surface.addEventListener('focus', () => {
      if (this.typing) this.input.text.element.focus({ preventScroll: true });
    }, { signal: this.abort.signal });
    this.voice = new VoiceControl(this.bar, this.menu, {
      onTrack: (track) => { this.session.speak(track); },
      onLeft: () => { this.surface.focus({ preventScroll: true }); },
      say: (text) => { this.tell(text); },
    });
    this.mouse = new MouseControl(this.input, this.menu, (text) => { this.say(text); });
    this.fillMenu();
    if (entry.id !== '') this.plays(entry.id);
    this.compose();
    this.describe(entry);
    document.addEventListener('fullscreenchange', () => { this.fullscreenChanged(); }, { signal: this.abort.signal });
    // The game stands still then.
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'hidden') this.voice.microphone.turnOff('The microphone is off: the page was hidden');
    }, { signal: this.abort.signal });
    // The window may move to another display.
    displayIsHigh().addEventListener('change', () => {
      if (this.hello !== undefined) this.hud.hello(this.hello);
    }, { signal: this.abort.signal });
    // While the picture has the focus, the keyboard finds shortcuts itself and stops the event.
    this.element.addEventListener('keydown', (event) => {
      const shortcut = shortcutOf(event);
      if (shortcut === undefined) return;
      event.preventDefault();
      this.does(shortcut);
    });
    this.every(AVERAGES_MS, () => { this.readAverages(); });
  }

  /** Starts the session; resolves when it is over. */
  async run(): Promise<void> {
    // It begins with the size that it is to have.
    this.screen?.tell();
    if (this.mayHaveMore) {
      const known = this.speaker.lookForChannels().then(() => { this.offerChannels(); });
      if (this.begins) await known;
    }
    await this.session.run();
  }

  close(): void {
    this.abort.abort();
    for (const timer of this.timers) clearInterval(timer);
    this.warning.hide();
    this.input.close();
    this.dualSenses.close();
    this.place.close();
    this.screen?.close();
    this.invite.close();
    this.controllers.close();
    this.voice.close();
    this.clipboard.close();
    this.files.close();
    this.lease.close();
    this.session.leave();
    this.speaker.close();
    this.bar.close();
    this.view.close();
    if (document.fullscreenElement === this.element) document.exitFullscreen().catch(() => undefined);
    this.element.remove();
  }

  /** What gamepads move the focus in; nothing while they are the session's. */
  get padScope(): HTMLElement | undefined {
    if (this.controllers.isTeaching) return undefined;
    const { name } = this.session.state;
    // What is pushed and pressed for the game while it is interrupted must not leave it.
    if (name === 'reconnecting' && !this.padMenu) return undefined;
    if (name !== 'live') return this.element;
    if (!this.padMenu && !this.controllers.isOpen) return undefined;
    return this.menu.isOpen ? this.menu.element : this.boxes.open?.element;
  }

  /** Takes gamepads to the menu, or to what can be done while the session is interrupted, or back to it. */
  togglePadMenu(): void {
    const { name } = this.session.state;
    if (name !== 'live' && name !== 'reconnecting') return;
    // Home is an answer then.
    if (this.controllers.isTeaching) return;
    if (this.padMenu) {
      this.leavePadMenu();
      return;
    }
    this.input.releaseAll();
    this.padMenu = true;
    if (name === 'live') this.does('menu');
  }

  /** Gamepads are the session's again; of one that does not play, nothing is left to do but leave. */
  leavePadMenu(): void {
    const { name } = this.session.state;
    if (name !== 'live' && name !== 'reconnecting') {
      this.does('leave');
      return;
    }
    if (this.menu.isOpen) this.menu.close();
    else this.boxes.close();
    this.padMenu = false;
    this.input.gamepads.waitForRest();
    if (name === 'live') this.surface.focus({ preventScroll: true });
  }

  /** Gamepads are the session's again once the menu and what was opened from it are closed. */
  private settlePads(): void {
    if (!this.padMenu || this.menu.isOpen || this.boxes.open !== undefined) return;
    this.padMenu = false;
    this.input.gamepads.waitForRest();
  }

  /** Says what is played; the catalogue may know it only after the session began. */
  describe({ title, poster_url: poster, keyboard }: CatalogueEntry): void {
    this.title = title;
    this.surface.setAttribute('aria-label', `Picture of ${title}`);
    this.bar.rename(title);
    this.panel.rename(title);
    this.suggestTyping(keyboard === 'text');
    this.backdrop.replaceChildren(...(poster == null ? [] : [h('img', { src: poster, alt: '' })]));
  }

  /** It is this game: what was chosen for it holds again. */
  private plays(game: string): void {
    this.game = game;
    this.input.setKeyMap(rememberedKeys(game));
    this.mouse.of(game);
  }

  private compose(): void {
    const help = h('p', { id: 'surface-help', class: 'sr-only' },
      'Keys go to the session while this has the focus. Control Alt Shift M moves to the session’s menu, Control Alt Shift Q leaves.');
    this.surface.append(this.view.element);
    this.bar.add(this.saving.element);
    this.bar.showLease(this.lease.badge);
    this.element.append(this.bar.element, this.menu.element, this.surface, this.cursor.element, this.backdrop, this.panel.element, this.hud.element, this.invite.element, this.controllers.element, this.keys.element, this.voice.element, this.files.element, this.lease.element, this.clipboard.element, ...(this.saves === undefined ? [] : [this.saves.element]), this.hint, this.warning.element, this.stick.element, this.touchPad.element, help, this.input.text.element, this.live);
  }

  /** What may be done is known. */
  private given({ app, role, sharing }: Session): void {
    // Who came by a link learns it now.
    if (this.game === '') this.plays(app);
    this.bar.setRole(role);
    this.element.dataset['role'] = role;
    this.role = role;
    if (role !== 'player') {
      for (const id of ['invite', 'rate', 'fps']) this.menu.remove(id);
    }
    this.clipboard.allow(sharing?.clipboard ?? undefined);
    this.offerClipboard();
    this.files.allow(sharing?.files ?? undefined);
    if (sharing?.files != null) this.menu.add({ id: 'files', label: 'Files', onChoose: () => { this.open(this.files); } });
    if (!this.watches) return;
    for (const id of ['keyboard', 'keys', 'controllers']) this.menu.remove(id);
    this.mouse.close();
    this.cursor.setOver(true);
    this.setTyping(false);
    this.input.close();
    this.surface.setAttribute('role', 'img');
  }

  private greeted({ saves }: Hello): void {
    this.saving.show(saves ?? undefined);
    if (saves != null) {
      this.menu.add({ id: 'save', label: 'Save', onChoose: () => { this.saving.element.click(); } });
      const { saves: box } = this;
      if (box !== undefined) this.menu.add({ id: 'saves', label: 'Saved games', onChoose: () => { this.open(box); } });
    }
    if (this.session.state.name !== 'live') return;
    const news = this.saving.takeNews();
    if (news !== undefined) this.tell(news);
  }

  private fillMenu(): void {
    this.menu.add({ id: 'back', label: 'Back to the picture', onChoose: () => undefined });
    this.menu.add(fitChoice((fit) => { this.place.fit = fit; }));
    if (document.fullscreenEnabled) this.menu.add({ id: 'fullscreen', label: 'Full screen', onChoose: () => { this.does('fullscreen'); } });
    this.addKeyboard();
    this.mouse.show();
    this.menu.add({ id: 'keys', label: 'Keys', onChoose: () => { this.open(this.keys); } });
    this.menu.add({ id: 'controllers', label: 'Controllers', onChoose: () => { this.toggleControllers(); } });
    this.menu.add({ id: 'invite', label: 'Invite', onChoose: () => { this.toggleInvite(); } });
    this.menu.add({ id: 'hud', label: 'Statistics', onChoose: () => { this.does('hud'); } });
    this.menu.add({ id: 'leave', label: 'Leave', onChoose: () => { this.does('leave'); } });
  }

  /** What keys are is chosen here, too. */
  private addKeyboard(): void {
    if (this.watches) return;
    this.menu.add({
      id: 'keyboard',
      label: 'Keyboard',
      options: [{ value: 'places', label: 'Keys by their place' }, { value: 'text', label: 'Text as typed' }],
      value: this.typing ? 'text' : 'places',
      onChoose: (choice) => {
        this.typingChosen = true;
        this.setTyping(choice === 'text');
      },
    });
  }

  /** Opens a box at the side, or closes it. Says which. */
  private open(box: SideBox): boolean {
    // What is held stays where it is meanwhile, and must not stay down.
    this.input.releaseAll();
    const opened = this.boxes.toggle(box);
    this.settlePads();
    return opened;
  }

  private closed(box: SideBox): void {
    if (box === this.invite) this.bar.pressInvite(false);
    if (box === this.controllers) this.bar.pressControllers(false);
  }

  /** What the session was granted says what there is to choose from. */
  private offerQuality(hello: Hello): void {
    if (this.role !== 'player') return;
    const choices = qualityChoices(hello, this.session.limits, (quality) => {
      this.session.limit(quality);
      this.offerQuality(hello);
    });
    for (const choice of choices) this.menu.add(choice);
  }

  /** Where there are more than two. */
  private offerChannels(): void {
    const { surround, channels } = this.speaker;
    if (surround === 'none') return;
    this.session.plays(channels);
    this.menu.add(channelsChoice(surround, (stereo) => {
      this.speaker.setStereo(stereo);
      this.offerChannels();
    }));
  }

  private offerClipboard(): void {
    const { choice } = this.clipboard;
    if (choice !== undefined) this.menu.add(choice);
    if (this.clipboard.pastes) this.menu.add({ id: 'paste', label: 'Paste now', onChoose: () => { this.clipboard.pasteNow().catch(() => undefined); } });
    else this.menu.remove('paste');
  }

  private toggleInvite(): void {
    this.bar.pressInvite(this.open(this.invite));
  }

  /** The user points into the picture with something that has a pointer of its own, or with fingers. */
  private points(hasPointer: boolean): void {
    if (this.watches) return;
    this.cursor.setOver(!hasPointer);
    this.session.followPointer(!hasPointer);
  }

  private get watches(): boolean {
    return this.role === 'spectator';
  }

  /** The session that invitations are for; the button to make them shows once there is one. */
  private get known(): Session {
    const session = this.session.given;
    if (session === undefined) throw new Error('There is no session yet.');
    return session;
  }

  private progressed(progress: Progress): void {
    const before = this.progress?.size;
    this.progress = progress;
    if (before?.width !== progress.size.width || before.height !== progress.size.height) this.place.update();
    this.speaker.pictured(progress.rtp, progress.presentedAt);
    this.session.progressed(progress);
  }

  private show(state: PlayState): void {
    const was = this.element.dataset['state'];
    this.element.dataset['state'] = state.name;
    if (state.name === 'live') this.liveSince ??= performance.now();
    else if (isFinal(state) && this.liveSince !== undefined) this.playedMs = performance.now() - this.liveSince;
    if (state.name !== 'live') {
      this.menu.close();
      // Nobody sees what is asked.
      this.controllers.endLesson();
    }
    if (isFinal(state)) this.voice.close();
    else this.voice.interrupted(state.name !== 'live');
    this.panel.show(state, this.playedMs);
    this.bar.pin(state.name !== 'live');
    const words = announcement(state, this.title);
    if (words !== '') this.live.textContent = words;
    if (state.name === 'live' && was !== 'live') {
      this.surface.focus({ preventScroll: true });
      this.settlePads();
      this.showHint();
    }
    // What a panel offers is to be clicked.
    if (state.name !== 'live') this.input.unlockPointer();
    if (isFinal(state)) {
      this.warning.hide();
      if (!this.padMenu) this.events.onPadsFree();
    }
    // A picture behind a panel cannot be played: nothing in it should take the focus.
    this.surface.tabIndex = state.name === 'live' ? 0 : -1;
  }

  private does(shortcut: Shortcut): void {
    switch (shortcut) {
      case 'hud':
        this.bar.press('hud', this.hud.toggle());
        return;
      case 'fullscreen':
        this.toggleFullscreen().catch(() => { this.say('The browser refused full screen'); });
        return;
      case 'pointer':
        this.mouse.toggle().catch(() => undefined);
        return;
      case 'menu':
        this.input.unlockPointer();
        if (this.menu.isOpen) {
          this.menu.close();
          return;
        }
        this.bar.showMenu(true);
        this.menu.open();
        return;
      case 'sound':
        if (this.speaker.state.blocked) return;
        this.speaker.toggleMuted();
        return;
      case 'type':
        this.typingChosen = true;
        this.setTyping(!this.typing);
        (this.typing ? this.input.text.element : this.surface).focus({ preventScroll: true });
        return;
      case 'leave':
        this.session.leave();
        this.events.onLeave();
    }
  }

  private async toggleFullscreen(): Promise<void> {
    if (document.fullscreenElement !== null) {
      await document.exitFullscreen();
      return;
    }
    await this.element.requestFullscreen({ navigationUI: 'hide' });
    this.surface.focus({ preventScroll: true });
    // Escape, Tab, the system key and browser shortcuts then go to the session; holding Escape leaves.
    this.keyboardLocked = await lockKeyboard();
    if (isCoarse()) return;
    this.say(`${this.keyboardLocked ? 'Hold' : 'Press'} Esc to leave full screen. ${MENU_KEYS} opens the menu`);
  }

  private fullscreenChanged(): void {
    const full = document.fullscreenElement === this.element;
    this.bar.press('fullscreen', full);
    if (full) return;
    navigator.keyboard?.unlock?.();
    this.keyboardLocked = false;
  }

  private locked(locked: boolean): void {
    this.bar.press('pointer', locked);
    this.element.classList.toggle('locked', locked);
    // With the keyboard locked, Escape is the session's own.
    const free = this.keyboardLocked ? `${MENU_KEYS} frees the mouse` : 'Press Esc to free the mouse';
    this.say(locked ? free : withMouse(this.input.pointerIsFree));
  }

  /** Sessions without sound show nothing of it. */
  private showSound(): void {
    if (this.stats?.audio == null) return;
    const { state } = this.speaker;
    this.bar.showSound(state);
    const choice = volumeChoice(state, (level) => { this.speaker.setLevel(level); });
    if (choice.value !== this.volume) this.menu.add(choice);
    this.volume = choice.value;
  }

  private switchTouch(): void {
    this.touchChosen = true;
    const direct = this.input.touchMode === 'direct';
    const way = touchAfter(!this.touchPad.element.hidden ? 'gamepad' : direct ? 'direct' : 'look and move', (this.hello?.input?.pads ?? 'nothing') !== 'nothing');
    this.touchPad.show(way === 'gamepad');
    this.input.setTouchMode(way === 'look and move' ? 'look-and-move' : 'direct');
    this.bar.showTouchMode(way);
  }

  /** What is pointed at leaves the mouse free until the user chooses, and has fingers as they are, as has what takes every one. */
  private suggestPointing(isPointedAt: boolean, takesFingers: boolean): void {
    const before = this.beginning;
    const isShown = this.hint.textContent === before;
    this.mouse.suggest(isPointedAt);
    this.suggestTouch(isPointedAt || takesFingers);
    // The picture may have come first, and what was said with it is wrong then.
    if (isShown && this.beginning !== before) this.say(this.beginning);
  }

  private get beginning(): string {
    return howToBegin(isCoarse() ? 'fingers' : 'mouse', { isFree: this.input.pointerIsFree, isDirect: this.input.touchMode === 'direct', hasPad: this.hasPad });
  }

  /** There is a gamepad, whose way to the menu is said with the rest. */
  private metPad(): void {
    const before = this.beginning;
    this.hasPad = true;
    if (this.hint.textContent === before) this.say(this.beginning);
  }

  /** Fingers are as they are, until the user chooses. */
  private suggestTouch(direct: boolean): void {
    if (!direct || this.touchChosen || this.input.touchMode === 'direct') return;
    this.input.setTouchMode('direct');
    this.bar.showTouchMode('direct');
  }

  private toggleControllers(): void {
    this.bar.pressControllers(this.open(this.controllers));
  }

  /** What is played is better played like this: so it is, until the user chooses. On-screen keyboards come when they are asked for. */
  private suggestTyping(typing: boolean): void {
    if (!this.typingChosen && !isCoarse()) this.setTyping(typing);
  }

  /** Keys are text from now on, or places again. */
  private setTyping(typing: boolean): void {
    const [field, surface] = [this.input.text.element, this.surface];
    this.typing = typing && !this.watches;
    this.bar.press('type', this.typing);
    this.addKeyboard();
    const [from, to] = this.typing ? [surface, field] : [field, surface];
    if (document.activeElement === from) to.focus({ preventScroll: true });
  }

  private showHint(): void {
    if (this.watches) {
      this.say('You are watching: what you do here stays here');
      return;
    }
    const news = this.saving.takeNews();
    if (news !== undefined) {
      this.tell(news);
      return;
    }
    this.say(this.beginning);
  }

  /** A passing hint; its animation takes it away. */
  private say(text: string): void {
    const fresh = h('span', {}, text);
    this.hint.replaceChildren(fresh);
  }

  /** The same for screen readers, too. */
  private tell(text: string): void {
    this.say(text);
    this.live.textContent = text;
  }

  private readAverages(): void {
    if (!this.hud.isOpen) return;
    this.session.averages().then(
      (averages) => {
        if (averages !== undefined) this.hud.averages(averages, this.speaker.figures, this.speaker.skewMs);
      },
      () => undefined,
    );
  }

  private every(milliseconds: number, tick: () => void): void {
    this.timers.add(setInterval(tick, milliseconds));
  }
}
