// Firefox as Debian ships it, without a driver: it speaks WebDriver BiDi.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Bidi } from './bidi.mjs';
import { leftOut } from './left-out.mjs';
import { DEADLINE_MS, until } from './node.mjs';

const EXECUTABLE = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

/** As scripts/setup looks: not every system has the package. */
const isInstalled = () => process.env.FIREFOX !== undefined || spawnSync('apt-cache', ['show', 'firefox-esr']).status === 0;

/** Why it cannot be tested with here, or false. */
export const noFirefox = leftOut(existsSync(EXECUTABLE) ? undefined : `${EXECUTABLE} does not exist: install firefox-esr, or set FIREFOX`, isInstalled);

/**
 * What a fresh profile changes: nothing is asked, nothing is fetched, and a node on this machine is told addresses,
 * not mDNS names.
 */
const PREFERENCES = {
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.peerconnection.ice.loopback': true,
  'app.update.disabledForTesting': true,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'toolkit.telemetry.server': '',
  'services.settings.server': 'data:,',
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

export class Firefox {
  #child;
  #profile;
  #bidi;
  #context;
  version;

  static async launch(preferences = {}) {
    const firefox = new Firefox();
    firefox.#profile = mkdtempSync(join(tmpdir(), 'nearlight-firefox-'));
    const lines = Object.entries({ ...PREFERENCES, ...preferences }).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
    writeFileSync(join(firefox.#profile, 'user.js'), lines.join('\n'));
    const child = spawn(EXECUTABLE, ['--headless', '--no-remote', '--profile', firefox.#profile, '--remote-debugging-port', '0', 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });
    firefox.#child = child;
    const listens = new Promise((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        const address = /^WebDriver BiDi listening on (ws:\S+)/.exec(line)?.[1];
        if (address !== undefined) resolve(address);
      });
      child.once('exit', (status) => { reject(new Error(`Firefox ended with ${status}`)); });
      setTimeout(() => { reject(new Error('Firefox did not start')); }, DEADLINE_MS).unref();
    });
    try {
      firefox.#bidi = await Bidi.connect(`${await listens}/session`);
      const { capabilities } = await firefox.#bidi.send('session.new', { capabilities: {} });
      firefox.version = capabilities.browserVersion;
      const { contexts } = await firefox.#bidi.send('browsingContext.getTree');
      firefox.#context = contexts[0].context;
      return firefox;
    } catch (error) {
      await firefox.close();
      throw error;
    }
  }

  async goto(url) {
    await this.#bidi.send('browsingContext.navigate', { context: this.#context, url, wait: 'complete' });
  }

  /** What an expression yields in the page, by way of JSON. */
  async evaluate(expression) {
    const answer = await this.#bidi.send('script.evaluate', {
      expression: `(async () => JSON.stringify((await (${expression})) ?? null))()`, target: { context: this.#context }, awaitPromise: true,
    });
    if (answer.type !== 'success') throw new Error(answer.exceptionDetails.text);
    return JSON.parse(answer.result.value);
  }

  /** Waits until an expression yields something true; yields that. */
  until(what, expression) {
    return until(what, async () => (await this.evaluate(expression)) || undefined);
  }

  /** Presses and releases keys and buttons as a user does; see WebDriver BiDi's `input.performActions`. */
  async act(...actions) {
    await this.#bidi.send('input.performActions', { context: this.#context, actions });
  }

  async close() {
    this.#bidi?.close();
    if (this.#child.exitCode === null) {
      const gone = new Promise((resolve) => { this.#child.once('exit', resolve); });
      this.#child.kill('SIGTERM');
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), DEADLINE_MS / 10);
      await gone;
      clearTimeout(timer);
    }
    rmSync(this.#profile, { recursive: true, force: true });
  }
}
