// What is remembered on this device by game: a record for each kind of choice, with an entry for each game that has one.

/** All that is remembered of a kind. */
export function recall(kind: string): Readonly<Record<string, unknown>> {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(kind) ?? '{}');
    return typeof read === 'object' && read !== null && !Array.isArray(read) ? read as Record<string, unknown> : {};
  } catch {
    // Storage may be turned off, or hold what is none of ours.
    return {};
  }
}

/** Remembers this of a game from now on; of undefined, nothing. */
export function remember(kind: string, game: string, choice: unknown): void {
  const others = Object.entries(recall(kind)).filter(([key]) => key !== game);
  const kept = choice === undefined ? others : [...others, [game, choice] as const];
  try {
    localStorage.setItem(kind, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    // Then it is forgotten.
  }
}
