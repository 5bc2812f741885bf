/** `parley rotate-signing-key`. */
import { systemClock } from '../clock.ts';
import { signingKeyFile } from '../config/derived.ts';
import { systemRandom } from '../random.ts';
import { rotateSigningKey } from '../signing-keys/key-file.ts';
import { type Command, configFor, print } from './command.ts';

export const rotateSigningKeyCommand: Command = {
  name: 'rotate-signing-key',
  summary: 'signs with a new key from now on; what the old one signed stays valid',
  async run(options) {
    const path = signingKeyFile(configFor(options));
    const { current } = await rotateSigningKey(path, { clock: systemClock, random: systemRandom });
    print(`${path} now has the key ${current[0].keyId}; a running server takes it within seconds.`);
    print('Copy the file to where your backups are.');
    return 0;
  },
};
