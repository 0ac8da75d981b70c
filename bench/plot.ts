/** Two kinds of plot as SVG that reads on light and dark pages alike. */

type XY = readonly [x: number, y: number];

export interface LinePlot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly { readonly name: string; readonly points: readonly XY[] }[];
}

export interface BarPlot {
  readonly title: string;
  readonly unit: string;
  /** From the top down. */
  readonly bars: readonly { readonly name: string; readonly value: number; readonly ours?: boolean }[];
}

const COLOURS = ['#8a8f98', '#2f81f7', '#b08800', '#2da44e', '#bf3989', '#cf222e'];
const [LEFT, TOP, WIDTH, HEIGHT] = [80, 40, 560, 260];

/** Both axes are logarithmic: what matters is how things grow. */
export function linePlot({ title, x, y, series }: LinePlot): string {
  const points = series.flatMap((each) => each.points);
  const across = logScale(
    points.map(([at]) => at),
    LEFT,
    LEFT + WIDTH,
  );
  const up = logScale(
    points.map(([, value]) => value),
    TOP + HEIGHT,
    TOP,
  );
  const lines = series.map(({ points: own }, index) => {
    const colour = COLOURS[index % COLOURS.length] ?? '';
    const path = own.map(([at, value]) => `${across.place(at)},${up.place(value)}`).join(' ');
    const dots = own.map(
      ([at, value]) => `<circle cx="${across.place(at)}" cy="${up.place(value)}" r="3.5" fill="${colour}"/>`,
    );
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}`;
  });
  const legend = series.map(({ name }, index) => {
    const at = TOP + HEIGHT + 62 + index * 18;
    const colour = COLOURS[index % COLOURS.length];
    return `<rect x="${LEFT}" y="${at - 9}" width="12" height="4" fill="${colour}"/>${text(LEFT + 20, at - 3, name)}`;
  });
  const grid = [
    ...across.ticks.map((at) => rule(across.place(at), TOP, across.place(at), TOP + HEIGHT)),
    ...up.ticks.map((at) => rule(LEFT, up.place(at), LEFT + WIDTH, up.place(at))),
    ...across.ticks.map((at) => text(across.place(at), TOP + HEIGHT + 18, short(at), 'middle')),
    ...up.ticks.map((at) => text(LEFT - 8, up.place(at) + 4, short(at), 'end')),
  ];
  const names = [text(LEFT + WIDTH / 2, TOP + HEIGHT + 38, x, 'middle'), text(LEFT, TOP - 8, y)];
  return page(title, TOP + HEIGHT + 66 + series.length * 18, [...grid, ...lines, ...names, ...legend]);
}

/** The length is logarithmic as well, from a tenth of the shortest bar: the figure stands beside it. */
export function barPlot({ title, unit, bars }: BarPlot): string {
  const [nameWidth, rowHeight] = [230, 24];
  const start = Math.min(...bars.map(({ value }) => value)) / 10;
  const scale = (WIDTH + LEFT - nameWidth - 100) / Math.log10(Math.max(...bars.map(({ value }) => value)) / start);
  const rows = bars.map(({ name, value, ours }, index) => {
    const at = TOP + index * rowHeight;
    const length = (Math.log10(value / start) * scale).toFixed(1);
    return [
      text(nameWidth - 8, at + 13, name, 'end'),
      `<rect x="${nameWidth}" y="${at}" width="${length}" height="17" rx="2" fill="${ours ? COLOURS[1] : COLOURS[0]}"/>`,
      text(nameWidth + Number(length) + 6, at + 13, `${short(value)} ${unit}`),
    ].join('');
  });
  return page(title, TOP + bars.length * rowHeight + 10, rows);
}

interface Scale {
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

function logScale(values: readonly number[], from: number, to: number): Scale {
  const positive = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(...positive)) * 2) / 2;
  const high = Math.max(Math.ceil(Math.log10(Math.max(...positive)) * 2) / 2, low + 0.5);
  const place = (value: number) =>
    Math.round((from + ((Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)) * (to - from)) * 10) / 10;
  const steps = high - low > 3 ? [1] : [1, 3];
  const ticks = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const step of steps) {
      const tick = step * 10 ** power;
      if (Math.log10(tick) >= low - 1e-9 && Math.log10(tick) <= high + 1e-9) ticks.push(tick);
    }
  }
  return { place, ticks };
}

function short(value: number): string {
  if (value >= 1e6) return `${trim(value / 1e6)} M`;
  if (value >= 1e3) return `${trim(value / 1e3)} k`;
  return trim(value);
}

function trim(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function text(x: number, y: number, words: string, anchor = 'start'): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escaped}</text>`;
}

function rule(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#8a8f98" stroke-opacity="0.25"/>`;
}

function page(title: string, height: number, content: readonly string[]): string {
  const width = LEFT + WIDTH + 30;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">`,
    `<style>text{font:12px system-ui,sans-serif;fill:#57606a}.t{font-weight:600;font-size:14px}@media (prefers-color-scheme:dark){text{fill:#c9d1d9}}</style>`,
    `<text class="t" x="10" y="18">${title.replaceAll('&', '&amp;')}</text>`,
    ...content,
    '</svg>\n',
  ].join('\n');
}
