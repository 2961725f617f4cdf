// Why better encoders are not in use, in a few words: of most a node has neither library nor device.

/** What the server's reason begins with where an encoder, its driver or its device is not there. */
const MISSING = 'missing: ';

/** The best of them and how many more, those apart that are missing; undefined where there are none. */
export function summary(declined: readonly string[]): string | undefined {
  const isMissing = (line: string): boolean => line.slice(line.indexOf(': ') + 2).startsWith(MISSING);
  const missing = counted(declined.filter(isMissing).map((line) => line.slice(0, line.indexOf(': '))));
  const others = counted(declined.filter((line) => !isMissing(line)));
  const parts = [others, missing === undefined ? undefined : `${missing} (missing)`];
  const text = parts.filter((part) => part !== undefined).join('; ');
  return text === '' ? undefined : `Not in use: ${text}`;
}

function counted([best, ...more]: readonly string[]): string | undefined {
  return best === undefined || more.length === 0 ? best : `${best} and ${more.length} more`;
}
