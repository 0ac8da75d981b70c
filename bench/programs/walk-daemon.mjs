// The daemon, composed from src/, with V8 counting calls: answers every message of its parent with the functions called
// since the last one.
import { Session } from 'node:inspector/promises';
import { main } from '../../src/cli/main.ts';
import { processIo } from '../../src/platform/process-io.ts';

const SOURCES = new URL('../../src/', import.meta.url).href;

const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
process.on('message', async () => {
  const { result } = await session.post('Profiler.takePreciseCoverage');
  process.send(result.filter(({ url }) => url.startsWith(SOURCES)).flatMap(calledIn));
});
process.channel.unref();
await main(['daemon'], processIo());

/** A function from the first character on is the module itself. */
function calledIn({ url, functions }) {
  return functions.flatMap(({ functionName, ranges: [{ startOffset, count }] }) => {
    const called = { file: url.slice(SOURCES.length), name: functionName, at: startOffset, calls: count };
    return count > 0 && startOffset > 0 ? [called] : [];
  });
}
