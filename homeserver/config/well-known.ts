/** The keys of `well_known`, and the document of contacts made of them. */
import { type Static, Type } from 'typebox';
import type { JsonObject } from '../../spec/event.ts';
import { flag, group, optionalText } from './fields.ts';
import { serverNamePattern } from './patterns.ts';

/** One way to reach whoever runs the server; at least one of the last two is there. */
export interface SupportContact {
  readonly role: string;
  readonly matrix_id?: string;
  readonly email_address?: string;
}

const contact = {
  type: 'object',
  expects: 'a group of role, and of matrix_id or email_address or both',
  additionalProperties: false,
  required: ['role'],
  anyOf: [{ required: ['matrix_id'] }, { required: ['email_address'] }],
  properties: {
    role: {
      type: 'string',
      minLength: 1,
      expects: 'm.role.admin, m.role.security or a name of your own',
    },
    matrix_id: { type: 'string', pattern: '^@[^:]+:.+$', expects: 'a user id' },
    email_address: { type: 'string', pattern: '^[^@\\s]+@[^@\\s]+$', expects: 'an e-mail address' },
  },
};

export const wellKnownSchema = group('What /.well-known/matrix answers.', {
  client: flag({
    default: true,
    description: 'Whether clients are told public_base_url.',
  }),
  client_extra: Type.Unsafe<JsonObject>({
    type: 'object',
    default: {},
    expects: 'names with their values',
    description:
      'What clients are told besides, for instance where calls are set up ' +
      '(org.matrix.msc4143.rtc_foci) or whether rooms are encrypted (io.element.e2ee).',
  }),
  server: optionalText({
    pattern: serverNamePattern,
    expects: 'a host name with port such as matrix.example.org:443, or null',
    description:
      'Where other servers find this one, as host:port. null: no answer, and they try port 8448 ' +
      'of server_name.',
  }),
  support_contacts: Type.Unsafe<readonly SupportContact[]>({
    type: 'array',
    default: [],
    items: contact,
    expects: 'a list of contacts',
    description:
      'Whom people ask for help or tell of abuse. Per contact: role (m.role.admin, ' +
      'm.role.security); matrix_id, best on another server; email_address.',
  }),
  support_page: optionalText({
    pattern: '^https?://',
    expects: 'a web address, or null',
    description: 'A page that helps people with this server.',
  }),
});

/** https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport */
export const supportDocument = ({
  support_contacts: contacts,
  support_page: page,
}: Static<typeof wellKnownSchema>): JsonObject | undefined =>
  contacts.length === 0 && page === null
    ? undefined
    : {
        ...(contacts.length > 0 && { contacts: contacts as unknown as JsonObject[] }),
        ...(page !== null && { support_page: page }),
      };
