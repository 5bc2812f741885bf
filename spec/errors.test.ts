import { ERROR_STATUS, limitExceeded, MatrixError, matrixError } from './errors.ts';

describe('a Matrix error', () => {
  it('takes its status from its code', () => {
    const error = matrixError('M_FORBIDDEN', 'not for you');
    expect(error).toBeInstanceOf(MatrixError);
    expect(error).toBeInstanceOf(Error);
    expect(error.status).toBe(403);
    expect(error.message).toBe('not for you');
  });

  it('may be given another', () => {
    expect(matrixError('M_UNRECOGNIZED', 'wrong method', {}, { status: 405 }).status).toBe(405);
  });

  it('says its fields in the body, but no others in place of code and message', () => {
    const fields = { room_version: '99', errcode: 'M_OTHER' };
    expect(
      JSON.parse(JSON.stringify(matrixError('M_INCOMPATIBLE_ROOM_VERSION', 'no', fields))),
    ).toEqual({ errcode: 'M_INCOMPATIBLE_ROOM_VERSION', error: 'no', room_version: '99' });
  });

  it('of a rate limiter says in whole milliseconds when to come back', () => {
    expect(limitExceeded(1_234.5).toJSON()).toMatchObject({
      errcode: 'M_LIMIT_EXCEEDED',
      retry_after_ms: 1_235,
    });
    expect(limitExceeded(-3).fields).toEqual({ retry_after_ms: 0 });
    expect(limitExceeded(1).status).toBe(429);
  });
});

it('every code has the status of an error', () => {
  for (const [errcode, status] of Object.entries(ERROR_STATUS)) {
    expect(errcode).toMatch(/^M_[A-Z]+(_[A-Z]+)*$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
  }
});
