import fc from 'fast-check';
import { parsePropertyPath, propertyAt } from './property-path.ts';

it.each([
  ['content.body', ['content', 'body']],
  [String.raw`content.m\.relates_to`, ['content', 'm.relates_to']],
  [String.raw`content.m\\foo`, ['content', 'm\\foo']],
  [String.raw`content.\x`, ['content', '\\x']],
  ['a\\', ['a\\']],
  ['a..b', ['a', '', 'b']],
  ['', ['']],
])('takes %j apart', (path, names) => expect(parsePropertyPath(path)).toEqual(names));

it('takes apart what is escaped and joined as the specification says', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1 }), (names) => {
      const path = names.map((name) => name.replace(/[.\\]/g, '\\$&')).join('.');
      expect(parsePropertyPath(path)).toEqual(names);
    }),
  );
});

it('finds own properties of objects only', () => {
  const root = { content: { a: { b: null }, list: [1] } };
  expect(propertyAt(root, ['content', 'a', 'b'])).toBeNull();
  expect(propertyAt(root, ['content', 'missing', 'b'])).toBeUndefined();
  expect(propertyAt(root, ['content', 'constructor', 'name'])).toBeUndefined();
  expect(propertyAt(root, ['content', 'list', '0'])).toBeUndefined();
});
