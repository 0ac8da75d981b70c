import path from 'node:path';
import type { Addition } from './edit.ts';
import { managedFolder } from './files.ts';

/** What an administrator copies into managed settings, as one JSON object. */
export function managedSettings(additions: readonly Addition[]): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const addition of additions) {
    let object = settings;
    for (const name of addition.path.slice(0, -1)) {
      object[name] ??= {};
      object = object[name] as Record<string, unknown>;
    }
    object[addition.path.at(-1) ?? ''] = 'value' in addition ? addition.value : addition.items;
  }
  return settings;
}

export function managedText(additions: readonly Addition[]): string {
  const snippet = JSON.stringify(managedSettings(additions), null, 2);
  return [
    `# Linux: ${path.join(managedFolder('linux'), 'managed-settings.json')}`,
    `# macOS: ${path.join(managedFolder('darwin'), 'managed-settings.json')}`,
    '# owner root, mode 0644; users cannot override it. Strict JSON: leave these three lines out.',
    snippet,
    '',
  ].join('\n');
}
