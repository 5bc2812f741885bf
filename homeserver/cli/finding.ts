/** What the doctor finds. */

export interface Finding {
  /** `remark`: works, yet somebody should know. */
  readonly grade: 'good' | 'remark' | 'bad';
  readonly text: string;
  /** What to do about it. */
  readonly advice?: string;
}

export const good = (text: string): Finding => ({ grade: 'good', text });
export const remark = (text: string, advice?: string): Finding => ({
  grade: 'remark',
  text,
  ...(advice === undefined ? {} : { advice }),
});
export const bad = (text: string, advice: string): Finding => ({ grade: 'bad', text, advice });
