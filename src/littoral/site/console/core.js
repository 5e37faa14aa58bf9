// Looks at status.json every two seconds and shows it, with the last lines of one component.
'use strict';

const EVERY = 2000; // milliseconds
const LINES = 50;
const STATES = ['up', 'down', 'RUNNING', 'ERRORED', 'BROKEN']; // words that have a colour

// What of the status stands at the top: [name, value].
function summary(status) {
  return [
    ['link', status.link.connected ? 'up' : 'down'],
    [status.link.connected ? 'up for' : 'down for', duration(status.link.seconds)],
    ['waiting to go up', String(status.spool.pending)],
    ['dropped', String(status.spool.dropped)],
    ['set aside', String(status.spool.setAside)],
    ['running for', duration(status.seconds)],
  ];
}

function duration(seconds) {
  for (const [size, unit] of [[86400, 'd'], [3600, 'h'], [60, 'min']]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}

function element(kind, text) {
  const made = Object.assign(document.createElement(kind), {textContent: text});
  if (STATES.includes(text)) made.className = text;
  return made;
}

function row(kind, cells) {
  const made = document.createElement('tr');
  made.append(...cells.map((text) => element(kind, text)));
  return made;
}

function show(status) {
  document.title = `Littoral: ${status.name}`;
  document.getElementById('name').textContent = `Core ${status.name}`;
  document.getElementById('now').replaceChildren(
    ...summary(status).map(([name, found]) => {
      const part = document.createElement('div');
      part.append(element('dt', name), element('dd', found));
      return part;
    }),
  );
  const {arn, status: outcome, reason} = status.deployment.outcome;
  document.getElementById('deployment').textContent = arn
    ? `last deployment: ${outcome} ${arn} ${reason || ''}` : 'nothing was deployed yet';
  document.getElementById('problem').textContent = status.link.connected
    ? '' : `the place above is not reached: ${status.link.last_problem || 'not yet connected'}`;
  const made = status.deployment.local.map((one) => [
    new Date(one.created * 1000).toLocaleString(), one.id, one.status, one.reason,
  ]);
  document.getElementById('local').replaceChildren(
    ...(made.length ? [row('th', ['made', 'id', 'status', 'reason']), ...made.map((one) => row('td', one))] : []),
  );
  const listed = status.components.map((one) => [
    one.name, one.version, one.state, one.local ? 'of this device' : '',
  ]);
  document.getElementById('components').replaceChildren(
    ...(listed.length ? [row('th', ['name', 'version', 'state', '']), ...listed.map((one) => row('td', one))] : []),
  );
  const which = document.getElementById('which');
  const names = status.components.map((one) => one.name);
  if ([...which.options].map((one) => one.value).join() !== names.join()) {
    const chosen = which.value;
    which.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  }
}

async function log() {
  const name = document.getElementById('which').value;
  if (!name) return;
  const answer = await fetch(`/_littoral/core/logs?component=${encodeURIComponent(name)}&lines=${LINES}`);
  document.getElementById('log').textContent = await answer.text();
}

async function look() {
  const told = document.getElementById('told');
  try {
    const answer = await fetch('/_littoral/core/status.json');
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
    await log();
    told.textContent = `at ${new Date().toLocaleTimeString()}`;
  } catch (problem) {
    told.textContent = `the core does not answer: ${problem.message}`;
  }
  setTimeout(look, EVERY);
}

if (typeof document !== 'undefined') look();
