// What is left out of the tests in browsers is a failure where it must not be, and is named.
import { expect, test } from 'vitest';
import names, { leftOut } from '../e2e/support/left-out.mjs';

test('what is missing leaves tests out, and fails where setup installs it and all of that must work', () => {
  expect(leftOut(undefined, () => true, true)).toBe(false);
  expect(leftOut('it is missing', () => true, false)).toBe('it is missing');
  expect(leftOut('it is missing', () => false, true)).toBe('it is missing');
  expect(() => leftOut('it is missing', () => true, true)).toThrow('NEARLIGHT_HOST is set, and it is missing');
});

test('what was left out is named with its reason, and nothing else is', async () => {
  const told = async (events) => {
    let text = '';
    for await (const line of names(events)) text += line;
    return text;
  };
  const pass = (name, skip) => ({ type: 'test:pass', data: { name, skip } });
  expect(await told([pass('one'), pass('two', false), { type: 'test:fail', data: { name: 'three' } }])).toBe('');
  expect(await told([pass('one', 'no browser'), pass('two'), pass('three', true)])).toBe('\n2 left out:\n  one: no browser\n  three: without a reason\n');
});
