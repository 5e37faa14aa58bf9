// Looks at /metrics every two seconds and shows it. What is counted is in site/readings.py.
'use strict';

const EVERY = 2000; // milliseconds
const KEPT = 150; // points of the plot: five minutes
const GAUGES = ['connections', 'sessions', 'subscriptions', 'queued'];

// Prometheus text to [{name, labels, value}]; what is no sample is left out.
function parse(text) {
  const samples = [];
  for (const line of text.split('\n')) {
    const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, key, value] of (found[2] || '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
    }
    samples.push({name: found[1], labels, value: Number(found[3])});
  }
  return samples;
}

function value(samples, name) {
  const found = samples.find((one) => one.name === name);
  return found ? found.value : 0;
}

// Of a counter, a second; one that is smaller than before began anew.
function rate(before, after, seconds) {
  return (after >= before ? after - before : after) / seconds;
}

// The points attribute of a line: the newest value is at the right, ``most`` at the top.
function points(values, most) {
  const left = KEPT - values.length;
  return values.map((one, n) => `${((left + n) * 600) / (KEPT - 1)},${156 - (152 * one) / (most || 1)}`).join(' ');
}

// Rows of [labels…, count] with the largest count first.
function rows(samples, name, ...labels) {
  return samples
    .filter((one) => one.name === name && one.value)
    .sort((a, b) => b.value - a.value)
    .map((one) => [...labels.map((label) => one.labels[label]), String(one.value)]);
}

function fill(table, head, body) {
  const row = (kind, cells) => {
    const made = document.createElement('tr');
    made.append(...cells.map((text) => Object.assign(document.createElement(kind), {textContent: text})));
    return made;
  };
  table.replaceChildren(...(body.length ? [row('th', head), ...body.map((cells) => row('td', cells))] : []));
}

const seen = {in: [], out: [], before: null};

function show(samples, at) {
  const totals = {
    in: value(samples, 'littoral_mqtt_received_total'),
    out: value(samples, 'littoral_mqtt_sent_total'),
    at,
  };
  if (seen.before) {
    for (const way of ['in', 'out']) {
      seen[way].push(rate(seen.before[way], totals[way], (at - seen.before.at) / 1000));
      seen[way].splice(0, seen[way].length - KEPT);
    }
  }
  seen.before = totals;
  const most = Math.max(1, ...seen.in, ...seen.out);
  for (const way of ['in', 'out']) document.getElementById(way).setAttribute('points', points(seen[way], most));
  document.getElementById('most').textContent = most.toFixed(1);
  const now = [
    ...GAUGES.map((name) => [name, value(samples, `littoral_mqtt_${name}`)]),
    ['messages in', totals.in],
    ['messages out', totals.out],
  ];
  document.getElementById('now').replaceChildren(
    ...now.map(([name, found]) => {
      const part = document.createElement('div');
      part.append(
        Object.assign(document.createElement('dt'), {textContent: name}),
        Object.assign(document.createElement('dd'), {textContent: String(found)}),
      );
      return part;
    }),
  );
  const table = (id, head, body) => fill(document.getElementById(id), head, body);
  table('refused', ['action', 'reason', 'times'], rows(samples, 'littoral_iot_refused_total', 'action', 'reason'));
  table('authorizers', ['authorizer', 'answer', 'times'],
    rows(samples, 'littoral_iot_authorizer_answers_total', 'authorizer', 'result'));
  table('rules', ['rule', 'result', 'messages'], rows(samples, 'littoral_rule_messages_total', 'rule', 'result'));
}

async function look() {
  const told = document.getElementById('told');
  try {
    const answer = await fetch('/metrics');
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(parse(await answer.text()), Date.now());
    told.textContent = `at ${new Date().toLocaleTimeString()}`;
  } catch (problem) {
    told.textContent = `the place does not answer: ${problem.message}`;
  }
  setTimeout(look, EVERY);
}

if (typeof document !== 'undefined') look();
