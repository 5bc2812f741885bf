/** What the server says of itself at `/metrics`, in the Prometheus text format. */
import { HttpConnection } from './http-connection.ts';
import { expectOk } from './person.ts';

export class Histogram {
  /** Ascending; the last is infinity. */
  readonly bounds: readonly number[];
  /** How many values are at or below each bound. */
  readonly cumulative: readonly number[];
  readonly sum: number;

  constructor(bounds: readonly number[], cumulative: readonly number[], sum: number) {
    this.bounds = bounds;
    this.cumulative = cumulative;
    this.sum = sum;
  }

  get count(): number {
    return this.cumulative.at(-1) ?? 0;
  }

  /** Only what was observed after an earlier look at the same histogram. */
  since(earlier: Histogram): Histogram {
    const cumulative = this.cumulative.map((value, at) => value - (earlier.cumulative[at] ?? 0));
    return new Histogram(this.bounds, cumulative, this.sum - earlier.sum);
  }

  /** The lowest bound with at least `percent` of all values at or below it. */
  upperBound(percent: number): number {
    const rank = (percent / 100) * this.count;
    return this.bounds[this.cumulative.findIndex((value) => value >= rank)] ?? Number.NaN;
  }
}

/** @throws when there is no such histogram without labels in the text */
export const parseHistogram = (text: string, name: string): Histogram => {
  const bounds: number[] = [];
  const cumulative: number[] = [];
  let sum: number | undefined;
  for (const line of text.split('\n')) {
    if (!line.startsWith(name)) continue;
    const [key, value] = line.slice(name.length).split(' ');
    const bound = /^_bucket\{le="([^"]+)"\}$/.exec(key ?? '')?.[1];
    if (bound !== undefined) {
      bounds.push(bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound));
      cumulative.push(Number(value));
    } else if (key === '_sum') {
      sum = Number(value);
    }
  }
  if (sum === undefined || bounds.length === 0) throw new Error(`the server has no metric ${name}`);
  return new Histogram(bounds, cumulative, sum);
};

/** A single value without labels; undefined when there is no such metric. */
export const parseValue = (text: string, name: string): number | undefined => {
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
};

/** @throws when the server has no metrics, or none for us */
export const metricsOf = async (server: URL): Promise<string> => {
  const http = new HttpConnection(server);
  try {
    return (await expectOk(http, { method: 'GET', path: '/metrics' })).toString();
  } finally {
    http.close();
  }
};

export const histogramOf = async (server: URL, name: string): Promise<Histogram> =>
  parseHistogram(await metricsOf(server), name);
