// What the page shows of the saves of a game.
import { until } from './node.mjs';

export class SavesOnPage {
  /** Of the game of this title. */
  constructor(tab, title) {
    this.tab = tab;
    this.card = tab.page.getByRole('article', { name: title });
    this.title = title;
  }

  play() {
    return this.card.getByRole('button', { name: `Play ${this.title}` }).click();
  }

  /** Opens the list, once nothing plays any more and there are so many; yields its rows, the newest first. */
  async rows(many) {
    await this.card.waitFor();
    const details = this.card.locator('details');
    return until('the list of saves', async () => {
      await details.evaluate((element) => { element.open = false; });
      await details.getByText('Saved games').click();
      await this.card.locator('.saves .state:empty, .saves li').first().waitFor({ state: 'attached' });
      if (await this.card.getByText('being played').count() > 0) return undefined;
      const found = await this.card.locator('.saves li').all();
      return found.length === many ? found : undefined;
    });
  }

  /** Presses the button that saves, with the mouse unless the game is not to see that; what the page says came of it. */
  async press(mouse = true) {
    const { page } = this.tab;
    // What it said before is no answer.
    await page.evaluate(() => { document.querySelector('.hint').replaceChildren(); });
    const save = page.getByRole('button', { name: 'Save', exact: true });
    if (mouse) await this.tab.press(save);
    else await save.evaluate((element) => { element.click(); });
    const hint = await until('an answer', async () => (/(Saved|saved already|nothing to save)/.exec(await page.locator('.hint').textContent()) ?? undefined));
    return hint[0];
  }

  /** Presses the button that saves until something was. */
  async save() {
    await until('a save', async () => ((await this.press()) === 'nothing to save' ? undefined : true));
    await this.tab.page.evaluate(() => { document.querySelector('.surface').focus(); });
  }

  /** Leaves, and waits until the catalogue is there. */
  async leave() {
    await this.tab.leave();
    await this.card.waitFor();
  }
}
