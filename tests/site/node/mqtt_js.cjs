// A conversation by mqtt.js: node mqtt_js.cjs MODULE JSON. Prints what was seen as one line of JSON.
const fs = require("fs");
const mqtt = require(process.argv[2]);
const asked = JSON.parse(process.argv[3]);
const v5 = asked.version === 5;
const wait = 15000;

function options(more) {
  const files = Object.fromEntries(Object.entries(asked.files ?? {}).map(([k, path]) => [k, fs.readFileSync(path)]));
  const alpn = asked.alpn ? { ALPNProtocols: [asked.alpn] } : {};
  return { protocolVersion: asked.version, reconnectPeriod: 0, connectTimeout: wait, ...files, ...alpn, ...more };
}

// A client whose messages wait in a list until somebody asks for them.
async function connect(clientId, more = {}) {
  const client = mqtt.connect(asked.url, options({ clientId, ...more }));
  client.got = [];
  client.on("message", (topic, payload, packet) => client.got.push({ payload: String(payload), packet }));
  client.connack = await new Promise((done, failed) => {
    client.once("connect", done);
    client.once("error", failed);
  });
  return client;
}

async function messages(client, count) {
  const end = Date.now() + wait;
  while (client.got.length < count) {
    if (Date.now() > end) throw new Error(`${client.got.length} of ${count} messages`);
    await new Promise((done) => setTimeout(done, 5));
  }
  return client.got.splice(0, count);
}

async function live(client, seen) {
  await client.subscribeAsync("bed/live", { qos: 2 });
  for (let qos = 0; qos <= asked.qos; qos++) await client.publishAsync("bed/live", String(qos), { qos });
  const got = await messages(client, asked.qos + 1);
  seen.live = got.map(({ payload, packet }) => [payload, packet.qos, packet.retain]).sort();
  await client.publishAsync(`bed/kept${asked.version}`, "kept", { qos: 1, retain: true });
  await client.subscribeAsync(`bed/kept${asked.version}`, { qos: 1 });
  const [kept] = await messages(client, 1);
  seen.kept = [kept.payload, kept.packet.retain];
}

async function shared(client, seen) {
  const members = [await connect("one"), await connect("two")];
  for (const member of members) await member.subscribeAsync("$share/js/bed/work", { qos: 1 });
  for (let n = 0; n < 4; n++) await client.publishAsync("bed/work", String(n), { qos: 1 });
  const got = await Promise.all(members.map((member) => messages(member, 2)));
  seen.shared = new Set(got.flat().map(({ payload }) => payload)).size;
  for (const member of members) await member.endAsync();
}

async function persistent(client, seen) {
  const stays = { clean: false, ...(v5 ? { properties: { sessionExpiryInterval: 60 } } : {}) };
  const name = `stays${asked.version}`;
  const first = await connect(name, stays);
  await first.subscribeAsync("bed/away", { qos: 1 });
  await first.endAsync();
  await client.publishAsync("bed/away", "while away", { qos: 1 });
  const second = await connect(name, stays);
  seen.resumed = [first, second].map(({ connack }) => connack.sessionPresent);
  seen.waited = (await messages(second, 1)).map(({ payload }) => payload);
  await second.endAsync();
}

async function will(client, seen) {
  await client.subscribeAsync("bed/gone", { qos: 1 });
  const dying = await connect("dying", { will: { topic: "bed/gone", payload: "gone", qos: 1 } });
  dying.stream.destroy();
  seen.will = (await messages(client, 1))[0].payload;
}

async function five(client, seen) {
  await client.subscribeAsync("bed/props", { qos: 1, properties: { subscriptionIdentifier: 9 } });
  const properties = {
    contentType: "a/b",
    responseTopic: "bed/answer",
    correlationData: Buffer.from("abc"),
    userProperties: { ward: "7" },
    messageExpiryInterval: 600,
  };
  await client.publishAsync("bed/props", "v", { qos: 1, properties });
  const told = (await messages(client, 1))[0].packet.properties;
  const correlation = String(told.correlationData);
  const expires = told.messageExpiryInterval > 0 && told.messageExpiryInterval <= 600;
  const user = { ...told.userProperties };
  seen.properties = [told.contentType, told.responseTopic, correlation, user, told.subscriptionIdentifier, expires];

  const unnamed = await connect("");
  seen.assigned = unnamed.connack.properties.assignedClientIdentifier.length > 0;
  await unnamed.endAsync();

  const small = { properties: { topicAliasMaximum: 1, maximumPacketSize: 100 }, autoUseTopicAlias: true };
  const aliases = await connect("aliases", small);
  await aliases.subscribeAsync(["bed/alias", "bed/large"], { qos: 1 });
  for (const payload of ["first", "second", "third"]) await aliases.publishAsync("bed/alias", payload, { qos: 1 });
  seen.aliased = (await messages(aliases, 3)).map(({ payload }) => payload);
  await client.publishAsync("bed/large", "x".repeat(200), { qos: 1 });
  await client.publishAsync("bed/large", "fits", { qos: 1 });
  seen.large = (await messages(aliases, 1)).map(({ payload }) => payload);
  await aliases.endAsync();
}

async function main() {
  const seen = {};
  const client = await connect(asked.name, { keepalive: 5 });
  await live(client, seen);
  if (!asked.one) {
    await shared(client, seen);
    await persistent(client, seen);
    await will(client, seen);
    if (v5) await five(client, seen);
  } else if (v5) {
    seen.keep_alive = client.connack.properties.serverKeepAlive;
  }
  await client.endAsync();
  console.log(JSON.stringify(seen));
}

main().then(
  () => process.exit(0),
  (problem) => {
    console.error(problem);
    process.exit(1);
  },
);
