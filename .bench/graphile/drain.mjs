// The drain of `postrider bench drain`, by graphile-worker: JOBS queued webhooks of BYTES each to a local receiver.
//
// As fast as it goes: local queue, batched completion, undici with keep-alive. It neither signs nor keeps a log of attempts.
// The receiver is the same one (`postrider bench sink`). Prints one line of JSON.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Logger, run, makeWorkerUtils } from "graphile-worker";
import { Pool as HttpPool } from "undici";
import pg from "pg";

const connectionString = process.env.DATABASE_URL;
const jobs = Number(process.env.JOBS ?? 100_000);
const bytes = Number(process.env.BYTES ?? 512);
const concurrentJobs = Number(process.env.CONCURRENCY ?? 100);
const program = process.env.POSTRIDER ?? "postrider";

const sink = spawn(program, ["bench", "sink"], { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: sink.stdout })[Symbol.asyncIterator]();
const address = (await lines.next()).value;
const received = async () => {
  sink.stdin.write("?\n");
  return Number((await lines.next()).value.split(" ")[0]);
};

const database = new pg.Pool({ connectionString, max: 2 });
await database.query("drop schema if exists graphile_worker cascade");
const utils = await makeWorkerUtils({ connectionString });
await utils.migrate();
await utils.release();
await database.query(
  `select count(*) from graphile_worker.add_jobs(array(
     select row('post', json_build_object('number', number, 'text', repeat('x', $2::int)), null, null, null, null, null, null)::graphile_worker.job_spec
     from generate_series(1, $1::int) number))`,
  [jobs, Math.max(bytes - 30, 0)],
);
await database.query("vacuum analyze");
await database.query("checkpoint").catch(() => {});

const http = new HttpPool(`http://${address}`, { connections: concurrentJobs, pipelining: 1 });
const headers = { "content-type": "application/json" };
const post = async (payload) => {
  const { statusCode, body } = await http.request({ method: "POST", path: "/", headers, body: JSON.stringify(payload) });
  await body.dump();
  if (statusCode !== 200) throw new Error(`the receiver said ${statusCode}`);
};

const runner = await run({
  connectionString,
  noHandleSignals: true,
  taskList: { post },
  preset: {
    worker: {
      concurrentJobs,
      maxPoolSize: 10,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      logger: new Logger(() => () => {}),
    },
  },
});
while ((await received()) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
const [start, already] = [performance.now(), await received()];
const before = process.cpuUsage();
while ((await received()) < jobs) await new Promise((resolve) => setTimeout(resolve, 20));
for (;;) {
  const { rows } = await database.query("select exists (select from graphile_worker._private_jobs) as some");
  if (!rows[0].some) break;
}
const seconds = (performance.now() - start) / 1000;
const cpu = process.cpuUsage(before);
await runner.stop();
await http.close();
await database.query("drop schema graphile_worker cascade");
await database.end();
sink.stdin.end();
console.log(JSON.stringify({
  worker: "graphile-worker",
  per_second: Math.round((jobs - already) / seconds),
  worker_cpu_us_each: Math.round(((cpu.user + cpu.system) / jobs) * 10) / 10,
}));
process.exit(0);
