/** `parley doctor`: looks at everything a server needs and says what to mend. */
import type { Config } from '../config/schema.ts';
import { StartFailure } from '../ops/start-failure.ts';
import { type Command, configFile, configFor, type OptionValues, print } from './command.ts';
import { checkCertificates } from './doctor-certificates.ts';
import { checkClock, checkPorts, checkProxies, checkPublicAddress } from './doctor-network.ts';
import { checkDatabase, checkDataFolder } from './doctor-storage.ts';
import type { Finding } from './finding.ts';

type Check = readonly [name: string, run: (config: Config) => Promise<Finding[]>];

const checks: readonly Check[] = [
  ['data folder', checkDataFolder],
  ['database', checkDatabase],
  ['ports', checkPorts],
  ['proxies', checkProxies],
  ['clock', checkClock],
  ['certificates', checkCertificates],
  ['public address', checkPublicAddress],
];

const marks = { good: 'ok  ', remark: 'note', bad: 'BAD ' } as const;

const show = (name: string, findings: readonly Finding[]): void => {
  for (const { grade, text, advice } of findings) {
    print(`${marks[grade]}  ${name.padEnd(14)}  ${text}`);
    if (advice !== undefined) print(`${' '.repeat(22)}${advice}`);
  }
};

const readConfig = (options: OptionValues): Config | undefined => {
  try {
    const config = configFor(options);
    const text = configFile(options) ?? 'no file: the defaults and the environment';
    show('configuration', [{ grade: 'good', text }]);
    return config;
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    show('configuration', [{ grade: 'bad', text: error.message }]);
    return undefined;
  }
};

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'checks configuration, database, ports, clock, certificates and well-known',
  async run(options) {
    const config = readConfig(options);
    if (config === undefined) return 1;
    let bad = 0;
    for (const [name, check] of checks) {
      const findings = await check(config).catch((error: Error): Finding[] => [
        { grade: 'bad', text: error.message },
      ]);
      bad += findings.filter(({ grade }) => grade === 'bad').length;
      show(name, findings);
    }
    print(bad === 0 ? '\nNothing to mend.' : `\n${bad} to mend.`);
    return bad === 0 ? 0 : 1;
  },
};
