/**
 * PostgreSQL refuses to run as root. When this process is root, its programs run as an unprivileged
 * user that already exists; every other time they run as whoever we are.
 */
import { constants } from 'node:fs';
import { access, chown, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StartFailure } from '../ops/start-failure.ts';

export interface UnprivilegedUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** How to start one program: the command, and the ids to hand to `spawn` if any. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly ids: { uid?: number; gid?: number };
}

export interface PostgresUser {
  /** Absent: no change of user. */
  readonly user?: UnprivilegedUser;
  launch(program: string, args: readonly string[]): Launch;
  /** Gives a folder we created to that user. */
  own(path: string): Promise<void>;
}

/** Tried in this order; `nobody` is on every system, the others keep the files apart from it. */
const preferredNames = ['parley', 'postgres', '_postgres', 'nobody'];

const unchanged: PostgresUser = {
  launch: (command, args) => ({ command, args, ids: {} }),
  own: async () => undefined,
};

const readUsers = async (): Promise<UnprivilegedUser[]> => {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#') && line.includes(':'))
    .map((line) => line.split(':'))
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .map((user) => ({
      ...user,
      // macOS writes nobody as -2.
      uid: user.uid < 0 ? user.uid + 2 ** 32 : user.uid,
      gid: user.gid < 0 ? user.gid + 2 ** 32 : user.gid,
    }))
    .filter((user) => user.uid > 0);
};

/** Whether `user` may enter `folder` and everything above it, by the classic permission bits. */
export const canReach = async (user: UnprivilegedUser, folder: string): Promise<boolean> => {
  for (let path = folder; ; path = dirname(path)) {
    const { mode, uid, gid } = await stat(path);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (path === dirname(path)) return true;
  }
};

const findOnPath = async (program: string): Promise<string | undefined> => {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/bin', '/bin'];
  for (const folder of folders) {
    if (folder === '') continue;
    const path = join(folder, program);
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  return undefined;
};

/**
 * The least of our rights that lets a program pass every folder. Containers often come without the
 * first. Both need CAP_SETPCAP (8) to be handed on.
 */
const searchCapability = async (): Promise<string | undefined> => {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const has = (bit: bigint) => ((held >> bit) & 1n) === 1n;
  if (!has(8n)) return undefined;
  if (has(2n)) return 'dac_read_search';
  return has(1n) ? 'dac_override' : undefined;
};

const chooseUser = async (clusterOwner: number | undefined): Promise<UnprivilegedUser> => {
  const users = await readUsers();
  if (clusterOwner !== undefined && clusterOwner !== 0) {
    const owner = users.find((user) => user.uid === clusterOwner);
    const { gid } = owner ?? { gid: clusterOwner };
    return owner ?? { name: `#${clusterOwner}`, uid: clusterOwner, gid };
  }
  for (const name of preferredNames) {
    const user = users.find((candidate) => candidate.name === name);
    if (user !== undefined) return user;
  }
  throw new StartFailure(
    'permission',
    'PostgreSQL refuses to run as root, and this system has none of the unprivileged users ' +
      `${preferredNames.join(', ')} to run it as. Create one ("useradd --system parley"), start the ` +
      'server as an ordinary user, or point database.url at a PostgreSQL server of your own.',
  );
};

/**
 * Decides who runs PostgreSQL. `clusterOwner` is the uid that owns an existing cluster; `folders`
 * are those the programs must enter. Where they lie behind a folder only root may enter (/root, for
 * one), Linux lets a program keep just the right to search folders, through `setpriv`.
 */
export const choosePostgresUser = async (
  clusterOwner: number | undefined,
  folders: readonly string[],
): Promise<PostgresUser> => {
  const uid = process.getuid?.();
  if (uid !== 0) {
    if (uid !== undefined && clusterOwner !== undefined && clusterOwner !== uid) {
      throw new StartFailure(
        'permission',
        `The database in ${folders[0]} belongs to another user (uid ${clusterOwner}), so uid ${uid} ` +
          'cannot run it. Start the server as that user or as root, or give the data folder to this ' +
          'user with "chown -R".',
      );
    }
    return unchanged;
  }
  const user = await chooseUser(clusterOwner);
  const own = (path: string) => chown(path, user.uid, user.gid);
  const blocked: string[] = [];
  for (const folder of folders) if (!(await canReach(user, folder))) blocked.push(folder);
  if (blocked.length === 0) {
    const ids = { uid: user.uid, gid: user.gid };
    return { user, own, launch: (command, args) => ({ command, args, ids }) };
  }
  const setpriv = process.platform === 'linux' ? await findOnPath('setpriv') : undefined;
  const capability = await searchCapability();
  if (setpriv === undefined || capability === undefined) {
    throw new StartFailure(
      'permission',
      `PostgreSQL refuses to run as root, so it runs as the user ${user.name}, who may not enter ` +
        `${blocked.join(' and ')}. Move the program and its data folder out of root's home, start ` +
        'the server as an ordinary user, or point database.url at a PostgreSQL server of your own.',
    );
  }
  const prefix = [
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    '--clear-groups',
    `--inh-caps=-all,+${capability}`,
    `--ambient-caps=-all,+${capability}`,
    // Without it, access(2) goes by the user alone, and PostgreSQL asks it about its own programs.
    '--securebits=+no_setuid_fixup',
    '--',
  ];
  return {
    user,
    own,
    launch: (program, args) => ({ command: setpriv, args: [...prefix, program, ...args], ids: {} }),
  };
};
