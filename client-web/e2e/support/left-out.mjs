// What tests need beside a node and a browser, and what becomes of them where it is missing: they are left out with a reason,
// which stands at the end of the run, or fail where scripts/setup installs it and NEARLIGHT_HOST says that all of that must work.

/** What tests are left out for: `reason`, false where there is none. It must not be where setup `installs` what they need. */
export function leftOut(reason, installs, must = process.env.NEARLIGHT_HOST === '1') {
  if (reason === undefined) return false;
  if (must && installs()) throw new Error(`NEARLIGHT_HOST is set, and ${reason}`);
  return reason;
}

/** A reporter of node's test runner that says which tests were left out: among hundreds nobody sees that. */
export default async function* names(events) {
  const left = [];
  for await (const { type, data } of events) {
    if (type !== 'test:pass' || data.skip === undefined || data.skip === false) continue;
    left.push(`${data.name}: ${data.skip === true ? 'without a reason' : data.skip}`);
  }
  if (left.length > 0) yield `\n${left.length} left out:\n${left.map((line) => `  ${line}\n`).join('')}`;
}
