// Connects as a user of socket.io-client does, and prints what happens, a JSON object a line. Each line of input is emitted.
const { io } = require("socket.io-client");
// Where it asks to resume, it says where it was, as our documentation shows it.
const [url, json] = process.argv.slice(1);
const options = JSON.parse(json);
let cursor;
if (options.query?.resume) options.auth = (send) => send({ cursor });
const say = (what) => console.log(JSON.stringify(what));
const socket = io(url, { reconnectionDelay: 100, reconnectionDelayMax: 200, ...options });
socket.on("connect", () => say({ connected: socket.io.engine.transport.name }));
socket.on("connect_error", (error) => say({ refused: error.message, context: error.context?.responseText ?? null }));
socket.on("disconnect", (reason) => say({ disconnected: reason }));
socket.onAny((name, ...values) => {
  cursor = values[0]?.cursor;
  say({ name, values });
});
require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => socket.emit(...JSON.parse(line), (answer) => say({ answer })));
