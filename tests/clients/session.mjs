// A session of a Redis client with its default settings: node session.mjs redis|ioredis single|cluster host:port,... tag
// Its lines are those of tests/clients_test.go. It ends when its standard input does.
import { createClient, createCluster } from 'redis';
import Redis from 'ioredis';

const [library, mode, list, tag] = process.argv.slice(2);
const seeds = list.split(',').map((seed) => {
  const [host, port] = seed.split(':');
  return { host, port: Number(port) };
});

const say = (line) => process.stdout.write(line + '\n');
const quiet = () => {}; // a listener must be there; what fails is told by the commands
const check = (what, is, wanted) => {
  if (JSON.stringify(is) !== JSON.stringify(wanted)) throw new Error(`${what}: ${JSON.stringify(is)}, not ${JSON.stringify(wanted)}`);
};

async function connect() {
  if (library === 'ioredis') {
    const client = mode === 'cluster' ? new Redis.Cluster(seeds) : new Redis(seeds[0].port, seeds[0].host);
    client.on('error', quiet);
    return client;
  }
  const urls = seeds.map(({ host, port }) => ({ url: `redis://${host}:${port}` }));
  // Unless told otherwise it asks for the slots of a dead node after five seconds, of whatever server.
  const cluster = () => createCluster({ rootNodes: urls, topologyRefreshOnReconnectionAttemptStrategy: 500 });
  const client = mode === 'cluster' ? cluster() : createClient(urls[0]);
  client.on('error', quiet);
  await client.connect();
  return client;
}

async function useAll(client) {
  const key = (name) => `{${tag}}${library}-${mode}-${name}`;
  const mget = library === 'ioredis' ? (...keys) => client.mget(...keys) : (...keys) => client.mGet(keys);
  await client.del(key('a'));
  await client.del(key('n'));
  check('set', await client.set(key('a'), 'é'), 'OK');
  check('get', await client.get(key('a')), 'é');
  check('get of nothing', await client.get(key('nothing')), null);
  check('incr', await Promise.all([1, 2, 3].map(() => client.incr(key('n')))), [1, 2, 3]); // pipelined
  check('mget', await mget(key('a'), key('nothing'), key('n')), ['é', null, '3']);
  check('del', await client.del(key('a')), 1);
  if (mode === 'single') {
    const found = new Set();
    if (library === 'ioredis') {
      for await (const keys of client.scanStream({ match: key('*') })) keys.forEach((k) => found.add(k));
    } else {
      for await (const keys of client.scanIterator({ MATCH: key('*') })) [].concat(keys).forEach((k) => found.add(k));
    }
    check('scan', [...found], [key('n')]);
    check('info', /redis_mode:cluster/.test(await client.info()), true);
  }
}

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
try {
  const client = await connect();
  await useAll(client);
  for (let n = 1; ; n++) {
    const key = `{${tag}}${library}-${mode}-${n}`;
    try {
      await client.set(key, String(n));
      check('get', await client.get(key), String(n));
      say(`${n} ok`);
    } catch (e) {
      say(`${n} failed ${String(e.message).split('\n')[0]}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
} catch (e) {
  say(`wrong ${e.message}`);
  process.exit(1);
}
