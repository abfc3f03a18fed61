// What the scenarios share: the client, gates at which an agent waits, connections that are cut off, and what a stream
// brought.
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Client } from "@langchain/langgraph-sdk";

export const SERVER = new URL(process.env.SERVER_URL);

export const clientOf = (apiUrl) => new Client({ apiUrl, apiKey: null, callerOptions: { maxRetries: 0 } });
export const client = clientOf(SERVER.origin);

export const says = (text) => ({ messages: [{ role: "user", content: text }] });

export async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

// The names of the events without namespaces, each run of the same once.
export const events = (parts) =>
  parts.map((part) => part.event.split("|")[0]).filter((name, i, all) => name !== all[i - 1]);

export const datas = (parts, event) => parts.filter((part) => part.event === event).map((part) => part.data);

export const text = (parts) =>
  datas(parts, "messages")
    .map(([piece]) => (piece.type === "AIMessageChunk" ? piece.content : ""))
    .join("");

export const contents = (values) => values.messages.map((message) => message.content.trim());

// An agent that says `gate.word` waits there until the gate is opened.
export async function openGate(t) {
  const folder = await mkdtemp(path.join(tmpdir(), "gate-"));
  const socket = path.join(folder, "gate");
  let reach, open;
  const reached = new Promise((resolve) => (reach = resolve));
  const opened = new Promise((resolve) => (open = resolve));
  const server = net.createServer(async (connection) => {
    connection.on("error", () => {});
    reach();
    await opened;
    connection.end("\n");
  });
  await new Promise((resolve) => server.listen(socket, resolve));
  t.after(async () => {
    open();
    server.close();
    await rm(folder, { recursive: true });
  });
  return { word: `gate:${socket}`, reached, open };
}

// Passes connections on to the server, and cuts the first ones off after some bytes of what it sends.
export async function cuttingProxy(t, { afterBytes, cuts }) {
  const proxy = { cutsLeft: cuts };
  const server = net.createServer((near) => {
    const far = net.connect(Number(SERVER.port), SERVER.hostname);
    let sent = 0;
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
    near.pipe(far);
    far.on("data", (data) => {
      const room = proxy.cutsLeft > 0 ? afterBytes - sent : data.length;
      sent += data.length;
      if (room > data.length || proxy.cutsLeft === 0) {
        near.write(data);
        return;
      }
      proxy.cutsLeft -= 1;
      far.removeAllListeners("data");
      near.write(data.subarray(0, room), () => near.resetAndDestroy());
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  return proxy;
}
