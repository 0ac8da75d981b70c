import type { TemporaryHome } from './home.ts';

/** Where `security` finds its items: one `service<TAB>account` a line; `locked` in it: it may not say. */
export const KEYCHAIN = 'programs/keychain';

/**
 * `security` and `plutil` as far as they are asked, for the front of PATH. The real plutil takes JSON for a property
 * list as well, which spares these homes the XML.
 */
export function installMacPrograms(home: TemporaryHome): void {
  home.write('programs/plutil', '#!/bin/sh\n[ "$*" = "-convert json -o - -" ] || exit 64\nexec cat\n', 0o755);
  home.write(
    'programs/security',
    `#!/bin/sh
[ "$1 $2 $4" = "find-generic-password -a -s" ] && [ $# = 5 ] || exit 64
keychain='${home.path(KEYCHAIN)}'
[ -f "$keychain" ] || exit 44
grep -q locked "$keychain" && exit 36
grep -qx "$5	$3" "$keychain" || exit 44
printf 'class: "genp"\\nattributes:\\n    "svce"<blob>="%s"\\n' "$5"
`,
    0o755,
  );
}
