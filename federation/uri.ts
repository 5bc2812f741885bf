/** Request targets of the Server-Server API, encoded once and for all. */

export type QueryValue = string | number | boolean | undefined | readonly string[];

/** A path whose inserted parts are percent-encoded: `` uri`/_matrix/.../${roomId}` ``. */
export const uri = (texts: TemplateStringsArray, ...parts: readonly string[]): string =>
  texts.reduce((path, text, index) => path + encodeURIComponent(parts[index - 1] as string) + text);

/** `?name=value...`, a list becoming several; empty when nothing is given. */
export const queryString = (query: Readonly<Record<string, QueryValue>>): string => {
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const values = typeof value === 'object' ? value : [String(value)];
    return values.map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`);
  });
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
};
