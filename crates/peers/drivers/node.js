'use strict';
// One end of the work, for servers whose users speak to them by a library for Node: it submits, or it works. It says `ready`
// once it is connected, begins when it is told `go`, and says at its end how long after its submit each task was started, in
// microseconds; nothing where no rate is asked for.
//
// Its only argument is an object: peer, role (submit, work), port, tasks, read (how many tasks the worker takes at a time),
// window (how many submits may be unconfirmed at a time), rate (tasks a second; 0: as fast as confirmations come).

const task = JSON.parse(process.argv.at(-1));

const PAYLOAD_BYTES = 100;
const STAMP_DIGITS = 20;
const TICK_MS = 1;

const now = () => process.hrtime.bigint();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Where a rate is asked for, a payload says when it was submitted: with timers of a millisecond that is not when it was due.
const payload = (number) =>
  String(task.rate ? now() : number).padStart(STAMP_DIGITS, '0').padEnd(PAYLOAD_BYTES, '.');

const delays = [];
let started = 0;

// A task is started.
function start(payload) {
  started += 1;
  if (task.rate) delays.push(Number((now() - BigInt(payload.slice(0, STAMP_DIGITS))) / 1000n));
}

// Submits all tasks. `send` resolves when the server has confirmed every one of these payloads.
async function submit(send, batch) {
  let sent = 0;
  if (task.rate) {
    const begun = now();
    const confirmed = [];
    while (sent < task.tasks) {
      const due = (Number(now() - begun) / 1e9) * task.rate;
      for (; sent < Math.min(due, task.tasks); sent += 1) confirmed.push(send([payload(sent)]));
      await sleep(TICK_MS);
    }
    await Promise.all(confirmed);
    return;
  }
  const lane = async () => {
    while (sent < task.tasks) {
      const first = sent;
      sent = Math.min(task.tasks, first + batch);
      await send(Array.from({ length: sent - first }, (_, index) => payload(first + index)));
    }
  };
  await Promise.all(Array.from({ length: task.window / batch }, lane));
}

// Each opens one end, and gives what has it do its work.
const peers = {
  // A quorum queue. What is published is confirmed when it is on disk; an acknowledgement is not, so that what the server is
  // asked after the last one stands for it.
  rabbitmq: {
    queue: 'tasks',
    batch: 250,
    connect: () => require('amqplib').connect(`amqp://127.0.0.1:${task.port}`),

    async submit() {
      const channel = await (await this.connect()).createConfirmChannel();
      const send = (payloads) =>
        new Promise((resolve, reject) => {
          let left = payloads.length;
          const confirm = (error) => (error ? reject(error) : --left || resolve());
          for (const payload of payloads) {
            channel.publish('', this.queue, Buffer.from(payload), { persistent: true }, confirm);
          }
        });
      return () => submit(send, this.batch);
    },

    async work() {
      const channel = await (await this.connect()).createChannel();
      await channel.assertQueue(this.queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      await channel.prefetch(task.read);
      let done;
      let last = null;
      // One acknowledgement for all that has come in since the one before.
      const acknowledge = () => {
        channel.ack(last, true);
        last = null;
        if (started === task.tasks) done();
      };
      await channel.consume(this.queue, (message) => {
        start(message.content.toString('latin1'));
        if (last === null) setImmediate(acknowledge);
        last = message;
      });
      return async () => {
        await new Promise((resolve) => { done = resolve; if (started === task.tasks) done(); });
        await channel.checkQueue(this.queue);
      };
    },
  },

  // Its jobs are fetched and completed in batches, as its documentation recommends for many short ones.
  graphile: {
    name: 'task',
    batch: 500,
    concurrency: 100,
    delayMs: 5,
    url: `postgres://peers@127.0.0.1:${task.port}/postgres`,

    async submit() {
      const pool = new (require('pg').Pool)({ connectionString: this.url, max: 8 });
      const text = `SELECT count(*) FROM graphile_worker.add_jobs(array(
        SELECT json_populate_record(NULL::graphile_worker.job_spec,
          json_build_object('identifier', '${this.name}', 'payload', json_build_object('p', p)))
        FROM unnest($1::text[]) p))`;
      await pool.query('SELECT 1');
      return () => submit((payloads) => pool.query({ name: 'add', text, values: [payloads] }), this.batch);
    },

    async work() {
      const { run, runMigrations, Logger } = require('graphile-worker');
      const pool = new (require('pg').Pool)({ connectionString: this.url, max: 1 });
      const logger = new Logger(() => () => {});
      await runMigrations({ connectionString: this.url, logger });
      const worker = {
        connectionString: this.url,
        concurrentJobs: this.concurrency,
        maxPoolSize: 12,
        localQueue: { size: task.read },
        completeJobBatchDelay: this.delayMs,
        failJobBatchDelay: this.delayMs,
      };
      const taskList = { [this.name]: async (job) => start(job.p) };
      await run({ logger, noHandleSignals: true, taskList, preset: { worker } });
      const isDone = async () => {
        if (started < task.tasks) return false;
        const left = await pool.query('SELECT 1 FROM graphile_worker.jobs LIMIT 1');
        return left.rows.length === 0;
      };
      return async () => {
        while (!(await isDone())) await sleep(TICK_MS);
      };
    },
  },
};

async function main() {
  const begin = await peers[task.peer][task.role]();
  console.log('ready');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  await begin();
  console.log(JSON.stringify(delays));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(`${task.peer}, ${task.role}: ${error.message}`);
    process.exit(1);
  },
);
