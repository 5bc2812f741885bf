/**
 * Two checkouts doing the same in turns: a figure of one machine on one day proves nothing about
 * another, but the ratio of two figures taken in turns does.
 */
import { number } from './format.ts';
import { median } from './measure.ts';
import { columns } from './report.ts';
import type { Compared, Outcome, Scenario, World } from './scenario.ts';

/** By how much one of the two may be behind without it meaning anything. */
const NOISE = 0.05;

export interface ComparedFigure {
  readonly scenario: string;
  readonly detail: string;
  /** Medians of the rounds. */
  readonly here: number;
  readonly there: number;
  readonly better: Compared['better'];
}

/** Everything a scenario is compared by: what its bars judge, and what it names beside. */
export const comparedBy = ({ bars = [], compared = [] }: Scenario): readonly Compared[] => [
  ...bars.map(
    ({ detail, atLeast }): Compared => ({
      detail,
      better: atLeast === undefined ? 'lower' : 'higher',
    }),
  ),
  ...compared,
];

/**
 * Runs a scenario `rounds` times in each world, the one that begins changing with every round.
 *
 * @throws what the scenario throws in either
 */
export const compare = async (
  scenario: Scenario,
  here: World,
  there: World,
  rounds: number,
): Promise<ComparedFigure[]> => {
  const outcomes = new Map<World, Outcome[]>([
    [here, []],
    [there, []],
  ]);
  for (let round = 0; round < rounds; round++) {
    for (const world of round % 2 === 0 ? [here, there] : [there, here]) {
      outcomes.get(world)!.push(await scenario.run(world));
    }
  }
  const medianOf = (world: World, detail: string): number | undefined => {
    const values = outcomes.get(world)!.flatMap(({ details }) => details[detail] ?? []);
    return values.length === 0 ? undefined : median(values);
  };
  return comparedBy(scenario).flatMap(({ detail, better }) => {
    const [hereValue, thereValue] = [medianOf(here, detail), medianOf(there, detail)];
    // What only one of them can tell is nothing to compare.
    if (hereValue === undefined || thereValue === undefined) return [];
    return [{ scenario: scenario.name, detail, here: hereValue, there: thereValue, better }];
  });
};

/** Above 1: better here than there. */
export const gainOf = ({ here, there, better }: ComparedFigure): number =>
  better === 'higher' ? here / there : there / here;

export const isWorse = (figure: ComparedFigure): boolean => !(gainOf(figure) >= 1 - NOISE);

export const comparisonTable = (figures: readonly ComparedFigure[]): string =>
  columns([
    ['scenario', 'figure', 'here', 'there', 'gain', ''],
    ...figures.map((figure) => [
      figure.scenario,
      figure.detail,
      number(figure.here),
      number(figure.there),
      gainOf(figure).toFixed(2),
      isWorse(figure) ? '✘' : '✔',
    ]),
  ]);
