/** What the schema cannot say: keys that must agree with each other. */
import { isIP } from 'node:net';
import { isServerName } from '../../spec/identifiers.ts';
import type { Problem } from './problems.ts';
import type { Config } from './schema.ts';

const portClashes = ({ listeners }: Config): Problem[] => {
  const taken = new Map<string, number>();
  return listeners.flatMap(({ port, bind }, index) =>
    bind.flatMap((address) => {
      const key = `${address} ${port}`;
      const other = taken.get(key);
      taken.set(key, index);
      if (port === 0 || other === undefined) return [];
      const text = `is ${port}, which listeners[${other}] takes on ${address} already`;
      return [{ path: ['listeners', index, 'port'], text }];
    }),
  );
};

const badAddresses = ({ listeners, trusted_proxies }: Config): Problem[] => [
  ...listeners.flatMap(({ bind }, index) =>
    bind.flatMap((address, at) =>
      isIP(address) !== 0 || /^[a-z0-9.-]+$/i.test(address)
        ? []
        : [
            {
              path: ['listeners', index, 'bind', at],
              text: `is "${address}", expected an address such as 127.0.0.1 or ::`,
            },
          ],
    ),
  ),
  ...trusted_proxies.flatMap((range, at) => {
    const [address = '', bits, ...more] = range.split('/');
    const version = isIP(address);
    const most = version === 4 ? 32 : 128;
    const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
    if (version !== 0 && fits && more.length === 0) return [];
    return [
      {
        path: ['trusted_proxies', at],
        text: `is "${range}", expected an IP address or range such as 10.0.0.0/8`,
      },
    ];
  }),
];

const noClients = ({ listeners }: Config): Problem[] =>
  listeners.some(({ resources }) => resources.includes('client'))
    ? []
    : [{ path: ['listeners'], text: 'has no listener with the resource client' }];

const badServerName = ({ server_name }: Config): Problem[] =>
  isServerName(server_name)
    ? []
    : [
        {
          path: ['server_name'],
          text: `is "${server_name}", expected a server name such as example.org`,
        },
      ];

/** Better than to let somebody believe that it is used. */
const notYet = ({ redis }: Config): Problem[] =>
  redis.url === null
    ? []
    : [
        {
          path: ['redis', 'url'],
          text: 'is set, but this release has no use for Redis, with several processes neither: leave it null',
        },
      ];

/** Other machines cannot reach a database that lies in this one's data folder. */
const clusterWithoutDatabase = ({ cluster, database }: Config): Problem[] =>
  cluster.port === null || database.url !== null
    ? []
    : [
        {
          path: ['cluster', 'port'],
          text: 'needs a database that all machines reach: database.url',
        },
      ];

export const crossChecks = (config: Config): Problem[] => [
  ...badServerName(config),
  ...portClashes(config),
  ...badAddresses(config),
  ...noClients(config),
  ...notYet(config),
  ...clusterWithoutDatabase(config),
];
