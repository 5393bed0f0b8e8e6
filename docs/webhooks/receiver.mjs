// A receiver of 综治E通 webhooks in plain Node: `SECRET=whsec_… node receiver.mjs 9000`.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.SECRET.replace(/^whsec_/, ""), "base64");
const TOLERANCE_S = 300;
const seen = new Set(); // in production a table: every attempt at one event has the same id

// Standard Webhooks: HMAC-SHA256 over id.timestamp.body, over the bytes as they came.
function isGenuine(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const sentAt = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(sentAt) || Math.abs(Date.now() / 1000 - Number(sentAt)) > TOLERANCE_S) {
    return false;
  }
  const signed = Buffer.concat([Buffer.from(`${id}.${sentAt}.`), body]);
  const wanted = Buffer.from("v1," + createHmac("sha256", key).update(signed).digest("base64"));
  return (headers["webhook-signature"] ?? "").split(" ").some((one) => {
    const given = Buffer.from(one);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

// Answer within 15 seconds: keep the message, work on it later.
function take(id, message) {
  if (seen.has(id)) return;
  seen.add(id);
  console.log(message.type, JSON.stringify(message.data));
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (!isGenuine(request.headers, body)) {
    response.writeHead(401).end();
    return;
  }
  take(request.headers["webhook-id"], JSON.parse(body.toString("utf8")));
  response.writeHead(204).end();
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
  console.log("listening", server.address().port);
});
