/**
 * What other servers say of their users' devices, and the messages those send to devices here.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#device-management and
 * https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging
 */
import type { Encryption } from '../../homeserver/encryption/create-encryption.ts';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import { isUserId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { EduDispatcher } from './edu-dispatcher.ts';

/** https://spec.matrix.org/v1.19/server-server-api/#definition-mdirect_to_device */
const MAX_MESSAGE_ID_CODE_POINTS = 32;
const MAX_TYPE_LENGTH = 255;

export const handleDeviceEdus = (
  edus: EduDispatcher,
  { remoteLists, toDevice }: Pick<Encryption, 'remoteLists' | 'toDevice'>,
): void => {
  edus.on('m.device_list_update', async (origin, content) => {
    const userId = userOf(origin, content['user_id']);
    if (userId !== undefined) await remoteLists.updated(userId, content);
  });
  edus.on('m.signing_key_update', async (origin, content) => {
    const userId = userOf(origin, content['user_id']);
    if (userId !== undefined) await remoteLists.signingKeysUpdated(userId, content);
  });
  edus.on('m.direct_to_device', async (origin, content) => {
    const sender = userOf(origin, content['sender']);
    const { type, message_id: messageId, messages } = content;
    if (sender === undefined || !isObject(messages)) return;
    if (typeof type !== 'string' || type.length > MAX_TYPE_LENGTH) return;
    if (typeof messageId !== 'string' || messageId.includes('\u0000')) return;
    if ([...messageId].length > MAX_MESSAGE_ID_CODE_POINTS) return;
    await toDevice.receive(origin, messageId, sender, type, messages);
  });
};

const userOf = (origin: ServerName, userId: JsonValue | undefined): UserId | undefined =>
  typeof userId === 'string' && isUserId(userId) && serverNameOf(userId) === origin
    ? userId
    : undefined;

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
