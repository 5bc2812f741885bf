import type { EventId } from '../identifiers.ts';
import { KNOWN_ROOM_VERSIONS } from '../room-versions.ts';
import { buildRoom } from '../testing/room-builder.ts';
import { mayApplyRedaction } from './redaction.ts';

const BOB = '@bob:beta.test';

// https://spec.matrix.org/v1.19/rooms/v12/#handling-redactions
describe.each(KNOWN_ROOM_VERSIONS)('a redaction of version %s', (version) => {
  const isDecidedByAuthorisation = Number(version) < 3;
  const room = buildRoom({ version, powerLevels: { users: { '@mod:x': 50, '@helper:x': 49 } } });
  const ofBob = room.message(BOB);
  const input = { createEvent: room.create, state: room.lookup() };
  const redact = (sender: string, redacts: EventId, own = room) =>
    own.send({
      type: 'm.room.redaction',
      sender,
      ...(own.rules.redaction.redactsInContent ? { content: { redacts } } : { redacts }),
    });
  const mayApply = (sender: string) =>
    mayApplyRedaction(redact(sender, ofBob.eventId), ofBob, input, room.rules);

  it('applies if its sender has the redact level', () => {
    expect(mayApply('@mod:x')).toBe(true);
    expect(mayApply('@helper:x')).toBe(isDecidedByAuthorisation);
  });

  it('applies if it comes from the server of the event', () => {
    expect(mayApply(BOB)).toBe(true);
    expect(mayApply('@colleague:beta.test')).toBe(true);
    expect(mayApply('@stranger:gamma.test')).toBe(isDecidedByAuthorisation);
  });

  it('applies to the event that it names, in its room', () => {
    const other = room.message(BOB);
    const redaction = redact(BOB, ofBob.eventId);
    expect(mayApplyRedaction(redaction, other, input, room.rules)).toBe(false);
    const elsewhere = buildRoom({ version, name: 'elsewhere' });
    const foreign = redact(BOB, ofBob.eventId, elsewhere);
    expect(mayApplyRedaction(foreign, ofBob, input, room.rules)).toBe(false);
    expect(mayApplyRedaction(ofBob, ofBob, input, room.rules)).toBe(false);
  });

  it('by the creator applies even without power levels', () => {
    const withoutLevels = { ...input, state: () => undefined };
    const redaction = redact(room.creator, ofBob.eventId);
    expect(mayApplyRedaction(redaction, ofBob, withoutLevels, room.rules)).toBe(true);
  });
});
