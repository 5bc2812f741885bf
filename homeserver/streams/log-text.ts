/**
 * The log between processes, as JSON: what members ask the leader to write, and what the leader tells
 * them of the log. Rows travel as they are, so they hold nothing that JSON does not.
 */
import type { LogSection, SectionRows } from './log-batch.ts';
import type { AskedGround } from './log-writer.ts';

export type LogSections = ReadonlyMap<string, LogSection<unknown>>;

/** Rows by the name of their section. */
export type PartsText = readonly (readonly [section: string, rows: readonly unknown[]])[];

/** Member to leader. */
export interface WriteText {
  readonly id: number;
  readonly parts: PartsText;
  readonly ground?: AskedGround | undefined;
}

/** To the member whose write it was: what the log has filled in. */
export interface ReceiptText {
  readonly id: number;
  readonly answers: readonly (readonly unknown[])[];
}

/** To everyone else. */
export interface BodyText {
  readonly parts: PartsText;
}

export type ToldText = ReceiptText | BodyText;

export const partsText = (parts: readonly SectionRows[]): PartsText =>
  parts.map(({ section, rows }) => [section.name, rows]);

/** @throws for a section that this release does not have */
export const partsFrom = (sections: LogSections, text: PartsText): SectionRows[] =>
  text.map(([name, rows]) => {
    const section = sections.get(name);
    if (section === undefined) throw new Error(`The log has no section '${name}' here`);
    return { section, rows };
  });

export const answersOf = (parts: readonly SectionRows[]): unknown[][] =>
  parts.map(({ section, rows }) => rows.map((row) => section.answer(row)));

export const takeAnswers = (
  parts: readonly SectionRows[],
  answers: readonly (readonly unknown[])[],
): void => {
  for (const [nth, { section, rows }] of parts.entries()) {
    for (const [index, row] of rows.entries()) section.take(row, answers[nth]?.[index]);
  }
};
