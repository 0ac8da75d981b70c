import { parseHelperCommand } from './helper-command.ts';

/**
 * What may be shown of somebody's helper command: people write keys into them. Our own is shown as it is, of any other
 * the program, if it is plainly one, and the number of its arguments.
 */
export function describeCommand(command: string, ours: boolean): string {
  if (ours) return command;
  const { words, simple } = parseHelperCommand(command);
  const [program = '', ...rest] = words;
  const isPath = /^(\/|~\/|\.{1,2}\/|\$HOME\/)[\w./@+ -]*$/.test(program);
  const isName = /^[a-z][a-z_.-]{0,19}$/.test(program);
  if (!isPath && !isName) return '(a command)';
  const more = simple
    ? rest.length === 0
      ? ''
      : ` (and ${rest.length} more word${rest.length === 1 ? '' : 's'})`
    : ' …';
  return program + more;
}
