// tus-js-client against a server: one way of uploading a file, named on the command line.
import { createReadStream, readFileSync } from "node:fs";
import { basename } from "node:path";
import { PassThrough } from "node:stream";
import * as tus from "tus-js-client";

const [, , way, endpoint, token, path, metadata] = process.argv;
const ways = {
  plain: {},
  pieces: { chunkSize: 1024 * 1024 },
  stream: { chunkSize: 700000 },
  creation: { uploadDataDuringCreation: true },
  "creation-pieces": { uploadDataDuringCreation: true, chunkSize: 500000 },
  deferred: { uploadLengthDeferred: true, chunkSize: 900000 },
  readable: { chunkSize: 700000 },
  // no multiple of the chunk's size: it would wait for more of a stream that has ended
  "readable-deferred": { uploadLengthDeferred: true, chunkSize: 700000 },
  // in one chunk: of a file read in several it never learns the end, and sends empty ones for ever
  "stream-deferred": { uploadLengthDeferred: true },
  override: { overridePatchMethod: true, chunkSize: 1024 * 1024 },
  pause: { chunkSize: 600000 },
};
const whole = readFileSync(path);
const sources = {
  stream: () => createReadStream(path), // the client opens the file again for each chunk
  readable: () => createReadStream(path).pipe(new PassThrough()), // it has what comes, once
};
const streamed = way.split("-")[0] in sources;
const options = {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: basename(path), ...JSON.parse(metadata) },
  retryDelays: [0, 500, 1000, 2000],
  uploadSize: streamed && !ways[way].uploadLengthDeferred ? whole.length : undefined,
  ...ways[way],
};
let paused = way !== "pause";
const done = new Promise((resolve, reject) => {
  options.onSuccess = resolve;
  options.onError = reject;
});
const upload = new tus.Upload(streamed ? sources[way.split("-")[0]]() : whole, {
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
