import { LogWriteFailed } from '../streams/log.ts';
import { serviceError } from './service-errors.ts';

const withCode = (code: string): Error => Object.assign(new Error('from the database'), { code });

describe('what a client is told when the database cannot serve', () => {
  it('is to try again while it is away', () => {
    for (const error of [withCode('57P01'), withCode('ECONNREFUSED'), new LogWriteFailed('lost')]) {
      expect(serviceError(error)).toMatchObject({ status: 503, errcode: 'M_UNKNOWN' });
    }
  });

  it('is that storage is full when it is, found in the log or in a query', () => {
    const full = withCode('53100');
    for (const error of [full, new LogWriteFailed('not written', { cause: full })]) {
      expect(serviceError(error)).toMatchObject({ status: 507 });
    }
  });

  it('is nothing for other errors: those are bugs', () => {
    expect(serviceError(withCode('42601'))).toBeUndefined();
    expect(serviceError(new TypeError('x is undefined'))).toBeUndefined();
  });
});
