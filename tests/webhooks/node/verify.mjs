// Reads {secret, headers, body} as JSON lines and says for each whether the library accepts it.
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    new Webhook(secret).verify(body, headers);
    console.log("accepted");
  } catch (refusal) {
    console.log("refused", refusal.message);
  }
}
