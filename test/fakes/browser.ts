/** What a person types into the fields of a form, by name. */
export type Typed = Readonly<Record<string, string>>;

const MOST_STEPS = 20;

/**
 * A browser with a person before it who fills in and submits every form: cookies by host, redirects, hidden fields. Ends at the
 * first page without a form, or that is none of the identity provider's.
 */
export class Browser {
  readonly #typed: Typed;
  readonly #cookies = new Map<string, Map<string, string>>();

  constructor(typed: Typed) {
    this.#typed = typed;
  }

  /** @returns the last page. */
  async visit(address: string): Promise<{ readonly status: number; readonly text: string; readonly url: string }> {
    let url = new URL(address);
    let body: URLSearchParams | undefined;
    for (let step = 0; step < MOST_STEPS; step += 1) {
      const answer = await this.#fetch(url, body);
      const location = answer.headers.get('location');
      const text = await answer.text();
      if (location !== null && answer.status >= 300 && answer.status < 400) {
        url = new URL(location, url);
        body = undefined;
        continue;
      }
      const form = formIn(text, url, this.#typed);
      if (form === undefined) return { status: answer.status, text, url: url.href };
      url = form.action;
      body = form.body;
    }
    throw new Error(`no end after ${MOST_STEPS} pages: ${url.href}`);
  }

  async #fetch(url: URL, body: URLSearchParams | undefined): Promise<Response> {
    const jar = this.#cookies.get(url.host) ?? new Map<string, string>();
    this.#cookies.set(url.host, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { cookie, accept: 'text/html' };
    const answer = await fetch(url, {
      redirect: 'manual',
      headers,
      ...(body === undefined ? {} : { method: 'POST', body }),
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=;]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /expires=Thu, 01[ -]Jan[ -]1970|max-age=0/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return answer;
  }
}

function formIn(html: string, url: URL, typed: Typed): { action: URL; body: URLSearchParams } | undefined {
  const form = /<form\b[^>]*>[\s\S]*?<\/form>/i.exec(html)?.[0];
  if (form === undefined) return undefined;
  const head = /<form\b[^>]*>/i.exec(form)?.[0] ?? '';
  const body = new URLSearchParams();
  for (const [field] of form.matchAll(/<(?:input|button)\b[^>]*>/gi)) {
    const name = attribute(field, 'name');
    const type = attribute(field, 'type')?.toLowerCase() ?? '';
    if (name === undefined || type === 'checkbox' || /cancel|abort|^no$/i.test(name)) continue;
    if (type === 'submit' && name !== 'accept') continue;
    body.set(name, typed[name] ?? attribute(field, 'value') ?? '');
  }
  return { action: new URL(attribute(head, 'action') ?? url.href, url), body };
}

function attribute(tag: string, name: string): string | undefined {
  return new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(tag)?.[1]?.replaceAll('&amp;', '&').replaceAll('&#x2F;', '/');
}
