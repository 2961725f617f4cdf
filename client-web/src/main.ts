// Nearlight's page: the catalogue and the player.
import './ui/style.css';
import { Api } from './api.ts';
import { App } from './app.ts';
import { exposeDebug } from './debug.ts';
import { addressFor, readSettings } from './settings.ts';
import { unsupportedPage } from './ui/notice.ts';

const address = new URL(location.href);
const base = document.querySelector<HTMLMetaElement>('meta[name="nearlight-api"]')?.content ?? '';
const settings = readSettings(address, base);
// The token must not stay in the address bar, in the history, or in a screenshot of either.
if (address.hash !== '') history.replaceState(null, '', addressFor(address, settings.play));

const root = document.querySelector<HTMLElement>('#app') ?? document.body;
const wall = unsupportedPage();
if (wall === undefined) {
  const app = new App(root, new Api(settings.api, settings.token), settings);
  exposeDebug(() => app.player);
  app.start();
} else {
  root.replaceChildren(wall);
}
