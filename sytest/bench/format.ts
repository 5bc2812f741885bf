/** Figures as people read them. */

/** Three significant digits, with thousands separated: 5,480 or 13.1 or 0.62. */
export const number = (value: number): string => {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-GB', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
};

export const perSecond = (rate: number): string => `${number(rate)}/s`;

export const ms = (milliseconds: number): string => `${number(milliseconds)} ms`;

export const percent = (share: number): string => `${Math.round(share * 100)}%`;

export const withUnit = (value: number, unit: string): string =>
  unit === '' ? number(value) : `${number(value)} ${unit}`;
