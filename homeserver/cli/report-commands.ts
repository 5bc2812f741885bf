/** Commands about what people have reported. */
import { matrixError } from '../../spec/errors.ts';
import { systemClock } from '../clock.ts';
import type { Database } from '../storage/database.ts';
import { openDatabaseForCommand } from '../storage/open-database.ts';
import { closeReport, listReports, type StoredReport } from '../storage/reports.ts';
import { type Command, commandLogger, configFor, type OptionValues, print } from './command.ts';

const PAGE = 200;

const withDatabase = async (
  options: OptionValues,
  work: (database: Database) => Promise<void>,
): Promise<number> => {
  const opened = await openDatabaseForCommand(configFor(options), commandLogger());
  try {
    await work(opened.database);
  } finally {
    await opened.stop();
  }
  return 0;
};

const shown = (report: StoredReport): string => {
  const about = [report.userId, report.roomId, report.eventId].filter((id) => id !== undefined);
  const state = report.closedAtMs === undefined ? 'open' : 'closed';
  const when = new Date(report.receivedAtMs).toISOString().slice(0, 16).replace('T', ' ');
  const reason = report.reason === undefined ? '' : `\n    ${JSON.stringify(report.reason)}`;
  return `${report.reportId}  ${state}  ${when}  ${report.reporter} reports ${about.join(' ')}${reason}`;
};

export const reportsCommand: Command = {
  name: 'reports',
  summary: 'lists what people have reported and nobody has closed, the oldest first',
  options: { all: { type: 'boolean', help: 'closed ones too' } },
  run: (options) =>
    withDatabase(options, async (database) => {
      let after = 0;
      for (;;) {
        const reports = await listReports(database, {
          after,
          limit: PAGE,
          closed: options['all'] === true,
        });
        for (const report of reports) print(shown(report));
        after = reports.at(-1)?.reportId ?? after;
        if (reports.length < PAGE) return;
      }
    }),
};

export const closeReportCommand: Command = {
  name: 'close-report',
  arguments: ['NUMBER'],
  summary: 'closes a report that has been dealt with',
  run: (options, [number = '']) =>
    withDatabase(options, async (database) => {
      const reportId = Number(number);
      const isClosed =
        Number.isSafeInteger(reportId) &&
        (await database.transaction((tx) => closeReport(tx, reportId, systemClock.nowMs())));
      if (!isClosed) throw matrixError('M_NOT_FOUND', `There is no open report ${number}`);
      print(`Report ${reportId} is closed`);
    }),
};
