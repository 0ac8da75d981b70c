export interface Series {
  readonly label: string;
  readonly colour: string;
  readonly values: readonly number[];
  readonly dashed?: boolean;
}

export interface Panel {
  readonly title: string;
  /** Seconds at the left edge, and per value. */
  readonly fromS: number;
  readonly stepS: number;
  readonly series: readonly Series[];
}

const WIDTH = 860;
const HEIGHT = 260;
const LEFT = 70;
const TOP = 44;
const BOTTOM = 40;

/** Panels below one another, each with its own scale: plain SVG, no script, readable on light and dark. */
export function drawPanels(panels: readonly Panel[]): string {
  const height = panels.length * HEIGHT + 10;
  const body = panels
    .map((panel, index) => `<g transform="translate(0 ${index * HEIGHT})">${draw(panel)}</g>`)
    .join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${body}
</svg>
`;
}

function draw({ title, fromS, stepS, series }: Panel): string {
  const most = niceCeiling(Math.max(...series.flatMap(({ values }) => values), 1));
  const count = Math.max(...series.map(({ values }) => values.length));
  const x = (index: number) => LEFT + (index / Math.max(1, count - 1)) * (WIDTH - LEFT - 20);
  const y = (value: number) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const at = y(most * part);
    return (
      `<line x1="${LEFT}" x2="${WIDTH - 20}" y1="${at}" y2="${at}" stroke="#dddddd"/>` +
      `<text x="${LEFT - 8}" y="${at + 4}" text-anchor="end" fill="#555555">${Math.round(most * part)}</text>`
    );
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const index = part * (count - 1);
    const label = `${Math.round(fromS + index * stepS)} s`;
    return `<text x="${x(index)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#555555">${label}</text>`;
  });
  const lines = series.map(({ colour, values, dashed }) => {
    const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
    const dash = dashed ? ' stroke-dasharray="6 4"' : '';
    return `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="1.8"${dash}/>`;
  });
  const legend = series.map(
    ({ label, colour }, index) =>
      `<rect x="${LEFT + index * 250}" y="24" width="12" height="4" fill="${colour}"/>` +
      `<text x="${LEFT + 18 + index * 250}" y="30" fill="#222222">${label}</text>`,
  );
  return [
    `<text x="${LEFT}" y="16" font-weight="bold" fill="#222222">${title}</text>`,
    ...legend,
    ...grid,
    ...ticks,
    ...lines,
  ].join('\n');
}

function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 7.5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}
