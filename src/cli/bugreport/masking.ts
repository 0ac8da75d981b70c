import { hideShapes, isSecretName, REDACTED, redact, scrub, secretArguments } from '../../platform/text.ts';

/** Names that the broker itself gives to what is not a secret. */
const NO_SECRET = /^credentials?$/i;
const URL_LOGIN = /\b[a-z][a-z0-9+.-]*:\/\/([^\s/?#@"']+)@/gi;
/** `name = "value"`, also in a file that nobody can parse. */
const ASSIGNMENT = /(?:^|[\s{,])([\w."-]+?)"?\s*=\s*["']*([^"'\r\n]+)/g;
/** Shorter ones occur in ordinary text. */
const SHORTEST = 4;
const PLAIN_VALUE = /^(?:true|false|null|none|\d{1,5}|[[{].*)$/i;
/** Of a part of a base64 text: fewer characters could be anything. */
const SHORTEST_CORE = 8;

/** Removes what is or may be a secret from everything that goes into a bug report, by the one redactor and what is known here. */
export class Masking {
  readonly #home: string;
  readonly #known = new Set<string>();
  /** Of base64 with a secret in its midst what is the same however much precedes it. */
  readonly #cores = new Set<string>();

  constructor(homeDir: string) {
    this.#home = homeDir;
  }

  /** Secrets, each of them in every form in which it may be met. */
  learn(secrets: Iterable<string | undefined>): void {
    for (const secret of secrets) {
      const value = secret?.trim();
      if (value === undefined || value.length < SHORTEST) continue;
      for (const form of formsOf(value)) this.#known.add(form);
      for (const core of coresOf(value)) this.#cores.add(core);
    }
  }

  /** What the names in a configuration say to be a secret, whether or not it can be parsed. */
  learnAssignments(text: string): void {
    for (const [, name = '', value = ''] of text.matchAll(ASSIGNMENT)) {
      const last = name.split('.').at(-1) ?? '';
      if (isSecretName(last) && !NO_SECRET.test(last) && !PLAIN_VALUE.test(value.trim())) this.learn([value]);
    }
    this.#learnFrom(text);
  }

  text(text: string): string {
    this.#learnFrom(text);
    return redact(this.#withoutHome(this.finally(text)));
  }

  /** What broker says itself: "to use X_API_KEY: unset Y_TOKEN" names no secret, although it looks as if it did. */
  ownWords(text: string): string {
    return hideShapes(this.#withoutHome(this.finally(text)));
  }

  /** Every text in a value of JSON; those under a secret's name whatever they are. */
  value(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) {
      const hidden = secretArguments(value.map((each) => (typeof each === 'string' ? each : '')));
      this.learn(hidden);
      return value.map((each) => this.value(each));
    }
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, each]) => {
        const isHidden = typeof each === 'string' && isSecretName(name) && !NO_SECRET.test(name);
        return [this.text(name), isHidden ? REDACTED : this.value(each)];
      }),
    );
  }

  /** `providers.vault2.auth.method`: as one word it would look like a random one. */
  path(dotted: string): string {
    return dotted
      .split('.')
      .map((part) => this.text(part))
      .join('.');
  }

  json(value: unknown): string {
    return `${JSON.stringify(this.value(value), null, 2)}\n`;
  }

  /** One JSON document in each line, as the log and the events are; a line that is none is text. */
  jsonLines(text: string): string {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    return lines.map((line) => `${this.#line(line)}\n`).join('');
  }

  /** The last look at everything, once all secrets are known. */
  finally(text: string): string {
    const cores = [...this.#cores];
    const words = [...new Set(text.match(/[\w+/=-]{12,}/g))];
    const telling = words.filter((word) => {
      const standard = word.replaceAll('-', '+').replaceAll('_', '/');
      return cores.some((core) => standard.includes(core));
    });
    return scrub(scrub(text, telling, REDACTED), this.#known, REDACTED);
  }

  #learnFrom(text: string): void {
    for (const line of text.split('\n')) this.learn(secretArguments([line]));
    for (const [, login = ''] of text.matchAll(URL_LOGIN)) {
      this.learn([login, decoded(login), login.slice(login.indexOf(':') + 1)]);
    }
  }

  #line(line: string): string {
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === 'object') return JSON.stringify(this.value(value));
    } catch {}
    return this.text(line);
  }

  #withoutHome(text: string): string {
    if (this.#home.length < 2) return text;
    return text.replaceAll(this.#home, (found, at: number) =>
      /[\w.-]/.test(text[at + found.length] ?? '') ? found : '~',
    );
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  const escaped = JSON.stringify(secret).slice(1, -1);
  const hex = bytes.toString('hex');
  return [
    secret,
    escaped,
    encodeURIComponent(secret),
    bytes.toString('base64'),
    bytes.toString('base64url'),
    hex,
    hex.toUpperCase(),
  ];
}

function coresOf(secret: string): readonly string[] {
  const cores = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), Buffer.from(secret)])
      .toString('base64')
      .slice(4, -4),
  );
  return cores.filter((core) => core.length >= SHORTEST_CORE);
}
