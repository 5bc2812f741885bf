/** Fetching an ordinary URL, following redirects as far as the caller allows. */
import { PermanentFailure } from './failures.ts';
import type { OutboundHttp, OutboundRequest, OutboundResponse } from './outbound-http.ts';
import { targetOfUrl } from './target.ts';

export interface FetchRequest extends Omit<OutboundRequest, 'path' | 'method'> {
  readonly method?: 'GET' | 'HEAD';
  readonly maxRedirects: number;
  /** Whether a redirect may lead from https to http. */
  readonly allowDowngrade?: boolean;
}

export interface FetchedResponse extends OutboundResponse {
  /** Where the answer came from in the end. */
  readonly url: string;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * The limits hold for all hops together (time) and for each (size). Every hop passes the address
 * guard, and headers given go to every hop, so they must be fit for strangers.
 * @throws {OutboundFailure} with `bad_url` or `redirect` for what cannot be followed
 */
export const fetchUrl = async (
  outbound: OutboundHttp,
  address: string,
  { maxRedirects, allowDowngrade = false, method = 'GET', ...request }: FetchRequest,
): Promise<FetchedResponse> => {
  const deadlineMs = performance.now() + request.timeoutMs;
  let url = parse(address);
  const visited = new Set<string>();
  for (let hop = 0; ; hop++) {
    const target = url && targetOfUrl(url);
    if (url === undefined || target === undefined) {
      throw new PermanentFailure('bad_url', `${address} leads to a URL that cannot be fetched`);
    }
    visited.add(url.href);
    const response = await outbound.send(target, {
      ...request,
      method,
      path: `${url.pathname}${url.search}`,
      timeoutMs: Math.max(1, deadlineMs - performance.now()),
    });
    const location = response.headers.location;
    if (!REDIRECTS.has(response.status) || location === undefined) {
      return { ...response, url: url.href };
    }
    const next = parse(location, url);
    if (hop >= maxRedirects)
      throw new PermanentFailure('redirect', `${address}: too many redirects`);
    if (next !== undefined && visited.has(next.href)) {
      throw new PermanentFailure('redirect', `${address}: redirected in a circle`);
    }
    if (next?.protocol === 'http:' && url.protocol === 'https:' && !allowDowngrade) {
      throw new PermanentFailure('redirect', `${address}: redirected away from https`);
    }
    url = next;
  }
};

const parse = (text: string, base?: URL): URL | undefined =>
  URL.canParse(text, base?.href) ? new URL(text, base?.href) : undefined;
