/** Where a request goes and as whom the other end must prove itself. */
import { isIP } from 'node:net';

export interface HttpTarget {
  readonly protocol: 'https:' | 'http:';
  /** What to connect to: a hostname, or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** The `Host` header, exactly as sent. */
  readonly hostHeader: string;
  /** The hostname or IP literal the certificate must be valid for; a hostname is sent as SNI. */
  readonly certificateName: string;
}

const withoutBrackets = (host: string): string =>
  host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;

/** The target an ordinary URL names; `undefined` for other schemes and URLs with credentials. */
export const targetOfUrl = (url: URL): HttpTarget | undefined => {
  const { protocol } = url;
  if (protocol !== 'https:' && protocol !== 'http:') return undefined;
  if (url.username !== '' || url.password !== '' || url.hostname === '') return undefined;
  const host = withoutBrackets(url.hostname);
  const usualPort = protocol === 'https:' ? 443 : 80;
  const port = url.port === '' ? usualPort : Number(url.port);
  return { protocol, host, port, hostHeader: url.host, certificateName: host };
};

/** SNI carries hostnames only: https://www.rfc-editor.org/rfc/rfc6066#section-3 */
export const serverNameIndication = ({ certificateName }: HttpTarget): string =>
  isIP(certificateName) === 0 ? certificateName : '';
