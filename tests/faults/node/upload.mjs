// tus-js-client against a server: one way of uploading a file, named on the command line.
import { createReadStream, readFileSync } from "node:fs";
import { basename } from "node:path";
import * as tus from "tus-js-client";

const [, , way, endpoint, token, path, metadata] = process.argv;
const ways = {
  plain: {},
  pieces: { chunkSize: 1024 * 1024 },
  stream: { chunkSize: 700000 },
  creation: { uploadDataDuringCreation: true },
  "creation-pieces": { uploadDataDuringCreation: true, chunkSize: 500000 },
  deferred: { uploadLengthDeferred: true, chunkSize: 900000 },
  override: { overridePatchMethod: true, chunkSize: 1024 * 1024 },
  pause: { chunkSize: 600000 },
};
const streamed = way === "stream";
const whole = readFileSync(path);
const options = {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: basename(path), ...JSON.parse(metadata) },
  retryDelays: [0, 500, 1000, 2000],
  uploadSize: streamed ? whole.length : undefined,
  ...ways[way],
};
let paused = way !== "pause";
const done = new Promise((resolve, reject) => {
  options.onSuccess = resolve;
  options.onError = reject;
});
const upload = new tus.Upload(streamed ? createReadStream(path) : whole, {
  ...options,
  onProgress(sent) {
    if (!paused && sent > whole.length / 3) {
      paused = true;
      upload.abort().then(() => setTimeout(() => upload.start(), 300));
    }
  },
});
upload.start();
await done;
console.log(upload.url);
