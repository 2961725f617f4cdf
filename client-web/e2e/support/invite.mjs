// Invitations, as people make them.

export const SPECTATOR = 'Spectator: watches';
export const CO_PLAYER = 'Co-player: plays along';

/** Makes an invitation in the player's page, and yields its link. */
export async function invite(tab, title) {
  const { page } = tab;
  const box = page.locator('.invite');
  if (!(await box.isVisible())) await tab.press(page.getByRole('button', { name: 'Invite' }));
  await box.getByLabel('Whoever has the link joins as').selectOption({ label: title });
  const answer = page.waitForResponse((response) => response.url().endsWith('/invitations') && response.request().method() === 'POST');
  await box.getByRole('button', { name: 'Make a link' }).click();
  return (await (await answer).json()).url;
}
