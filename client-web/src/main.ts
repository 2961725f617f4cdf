// Nearlight's page: the catalogue and the player.
// In this order: what comes later is over what came before.
import './ui/style.css';
import './ui/player.css';
import './ui/boxes.css';
import './ui/adapt.css';
import { Api } from './api.ts';
import { App, hideFragment } from './app.ts';
import { exposeDebug } from './debug.ts';
import { readSettings } from './settings.ts';
import { unsupportedPage } from './ui/notice.ts';
import { lacksOf } from './video/view.ts';

const base = document.querySelector<HTMLMetaElement>('meta[name="nearlight-api"]')?.content ?? '';
const settings = readSettings(new URL(location.href), base);
hideFragment();

const root = document.querySelector<HTMLElement>('#app') ?? document.body;
const wall = unsupportedPage(lacksOf(settings));
if (wall === undefined) {
  const app = new App(root, new Api(settings.api, settings.token), settings);
  exposeDebug(() => app.player);
  app.start();
} else {
  root.replaceChildren(wall);
}
