import { decodeParameters, RoutingTree } from './routing-tree.ts';

const tree = () => {
  const routes = new RoutingTree<string>();
  routes.add('GET', '/rooms/{roomId}/state/{eventType}/{stateKey}', 'state event');
  routes.add('PUT', '/rooms/{roomId}/state/{eventType}/{stateKey}', 'set state');
  routes.add('GET', '/profile/{userId}/displayname', 'display name');
  routes.add('GET', '/profile/{userId}/{keyName}', 'any key');
  routes.add('GET', '/profile/special/{a}/{b}', 'special');
  return routes;
};

describe('RoutingTree', () => {
  it('prefers a literal to a parameter and comes back where the literal leads nowhere', () => {
    expect(tree().find('GET', '/profile/@a:b/displayname')).toMatchObject({
      value: 'display name',
      values: ['@a:b'],
    });
    expect(tree().find('GET', '/profile/special/x')).toMatchObject({
      value: 'any key',
      values: ['special', 'x'],
    });
  });

  it('matches an empty segment, and not a missing or a further one', () => {
    expect(tree().find('GET', '/rooms/!a/state/m.name/')).toMatchObject({
      values: ['!a', 'm.name', ''],
    });
    expect(tree().find('GET', '/rooms/!a/state/m.name')).toEqual({ kind: 'unknown' });
    expect(tree().find('GET', '/rooms/!a/state/m.name/k/')).toEqual({ kind: 'unknown' });
  });

  it('tells a wrong method from an unknown path, and answers HEAD where GET is', () => {
    expect(tree().find('DELETE', '/rooms/!a/state/t/k')).toMatchObject({
      kind: 'wrong-method',
      allowed: ['GET', 'PUT', 'HEAD'],
    });
    expect(tree().find('HEAD', '/rooms/!a/state/t/k')).toMatchObject({ value: 'state event' });
  });

  it('refuses two routes for one method and path', () => {
    expect(() => tree().add('GET', '/profile/{user}/displayname', 'again')).toThrow('two routes');
  });
});

describe('decodeParameters', () => {
  it('decodes exactly once', () => {
    expect(decodeParameters(['a', 'b'], ['x%2Fy', '%2525'])).toEqual({ a: 'x/y', b: '%25' });
  });

  it.each(['%zz', '%', '%ff', '%ed%a0%80', 'a%00b'])('refuses %s', (value) => {
    expect(() => decodeParameters(['a'], [value])).toThrow(
      expect.objectContaining({ errcode: 'M_INVALID_PARAM' }),
    );
  });
});
