import { effectiveVariable } from '../effective.ts';
import type { Check, Finding } from '../finding.ts';

/** Two daemons: helper and CLI may talk to different ones. */
export const secondBroker: Check = ({ broker, input }) => {
  const findings: Finding[] = [];
  if (broker.sockets.length > 1) {
    findings.push({
      id: 'second-broker',
      severity: 'warning',
      title: `more than one broker answers: ${broker.sockets.join(', ')}`,
      cost: 'each has its own keys and its own idea of which are dead; which one a helper asks depends on its environment',
      remedy: 'stop the one you do not want: broker service stop, or end its process',
    });
  }
  const socket = effectiveVariable(input, 'BROKER_SOCKET');
  const used = broker.status?.daemon.socket;
  if (socket?.place.kind === 'settings' && used !== undefined && socket.value !== used) {
    findings.push({
      id: 'second-socket',
      severity: 'warning',
      title: `the settings send the helper to ${socket.value}, and this shell uses ${used}`,
      cost: 'what broker status says is not what the client gets',
      remedy: `remove env.BROKER_SOCKET from ${socket.place.file}`,
      where: `${socket.place.file}:${socket.place.line}`,
    });
  }
  return findings;
};
