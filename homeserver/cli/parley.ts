#!/usr/bin/env node
/**
 * The command `parley`. This file alone is written so that an old Node can read it and say that it is
 * too old; everything else is loaded after that.
 */
const needed = [20, 19];
const found = process.versions.node.split('.').map(Number);
const major = Number(found[0]);
const minor = Number(found[1]);

if (major < Number(needed[0]) || (major === needed[0] && minor < Number(needed[1]))) {
  process.stderr.write(
    'Parley needs Node ' +
      needed.join('.') +
      ' or later, and this is Node ' +
      process.versions.node +
      ' (' +
      process.execPath +
      '). Install a newer one from https://nodejs.org and start again.\n',
  );
  process.exitCode = 71;
} else {
  import('./run.ts').then((module) => module.runCommandLine(process.argv.slice(2)));
}

export {};
