'use strict';
/*
 * The Node.js runtime of an instance. Booted ahead of need with nothing loaded, it waits on descriptor 3 until one
 * "configure" frame says which function it is; from then on it answers one event after another.
 *
 * Owns: what AWS Lambda's Node.js runtime promises to a handler (CommonJS and ES modules, async, callback, context,
 * console lines, error objects). Knows nothing of the place but this socket. No package is needed.
 *
 * Two ways to wait for an event. A plain function stands still between its events, as on AWS, where it is frozen: one
 * turn of the loop after each answer, then a blocking read ("Waiting" below). One that has extensions, or that streams
 * its response, has its loop run all the time, with the socket watched by it.
 *
 * A frame is a 32-bit big-endian length and as many bytes; the first is its kind:
 *   place -> instance  C  configuration JSON
 *                      I  request id (36), timeout (double, s), lengths of the next four (u16 each), ARN, client
 *                         context, X-Ray header, log group ("": as the function's), event
 *                      Q  the same; it was sent while another event was under way
 *                      L  (in the mailbox) an event that is too large for it comes on the socket
 *   instance -> place  B  booted: the function's own code comes now
 *                      R  ready     RM ready, and the events are read from the mailbox: I, Q or L without its length
 *                      F  init failed: error JSON
 *                      O  peak memory (u32, KiB), time taken (u32, µs), result JSON
 *                      E  the same, error JSON    X  the same, error JSON; it then exits
 *                      S  the response comes in pieces: content type    D  a piece    (then O without a result, E or X)
 */
const fs = require('fs');
const net = require('net');
const path = require('path');
const stream = require('stream');
const util = require('util');
const { pathToFileURL } = require('url');
const { copyEnvironment } = require('./environment.js');

const MAX_RESPONSE = 6 * 1024 * 1024 + 100;
const MAILBOX = 4;
const DIRECT = 65536; // bytes of a frame that is worth a try without the stream
const TRACE = '_X_AMZN_TRACE_ID';
const INVOKE_HEADER = 1 + 36 + 8 + 2 + 2 + 2 + 2;

let configuration = null;
let environment = null; // what handlers see as process.env
let handler = null;
let current = null; // the invocation under way: { requestId, finish }
let onEmptyLoop = null; // what an empty event loop means to the current invocation
let socket = null; // of a function whose loop runs all the time

// ---------------------------------------------------------------------------------------------- frames

let peak = 0; // KiB
let began = 0; // the event under way
let peakKnownAt = -Infinity;

let took = 0; // µs

/** The most memory that was resident; `took` as well. Asking costs as much as a small event, so a burst of the shortest shares an answer:
 * what does not last 0.2 ms has not touched much. */
function peakMemory() {
  const now = performance.now();
  took = Math.min(Math.trunc((now - began) * 1000), 0xffffffff);
  if (now - peakKnownAt > 10 || now - began > 0.2) {
    peak = process.resourceUsage().maxRSS;
    peakKnownAt = now;
  }
  return peak;
}

const outbox = Buffer.allocUnsafeSlow(DIRECT); // a frame is written before the next is made

/** One frame; then, when the process is to end after it, `then`. */
function send(kind, payload, withMemory, then, encoding = 'utf8') {
  const headSize = withMemory ? 13 : 5;
  const small = headSize + 3 * payload.length <= DIRECT;
  let frame = small ? outbox : Buffer.allocUnsafe(headSize + Buffer.byteLength(payload, encoding));
  const size = headSize + frame.write(payload, headSize, encoding);
  frame.writeUInt32BE(size - 4, 0);
  frame[4] = kind.charCodeAt(0);
  if (withMemory) {
    frame.writeUInt32BE(peakMemory(), 5);
    frame.writeUInt32BE(took, 9);
  }
  if (socket !== null && (then !== undefined || !small || socket.writableLength !== 0)) {
    if (small) frame = Buffer.from(frame.subarray(0, size));
    socket.write(frame, then);
    return;
  }
  sendDirectly(frame, size);
  if (then !== undefined) then();
}

/** One system call instead of a stream's write request; what a watched socket does not take at once goes the usual way. */
function sendDirectly(frame, size) {
  let taken = 0;
  try {
    do taken += fs.writeSync(3, frame, taken, size - taken);
    while (taken < size && socket === null);
  } catch (error) {
    if (error.code !== 'EAGAIN') return; // the place is gone; the end of the socket says so
  }
  if (taken < size && socket !== null) socket.write(Buffer.from(frame.subarray(taken, size)));
}

/** A piece of a response; `then` is called when the place has taken it: back-pressure. */
function sendPiece(kind, data, then) {
  const head = Buffer.allocUnsafe(5);
  head.writeUInt32BE(1 + data.length, 0);
  head[4] = kind.charCodeAt(0);
  socket.write(data.length ? Buffer.concat([head, data]) : head, then);
}

// ---------------------------------------------------------------------------------------------- waiting

let inbox = Buffer.allocUnsafeSlow(DIRECT);

/** The next frame, without its length, where the process stands still until it comes. */
function nextFrame() {
  let held = 0, size = 4;
  while (held < size) {
    let count = 0;
    try {
      count = fs.readSync(3, inbox, held, inbox.length - held, null);
    } catch (error) {
      if (error.code === 'EINTR') continue;
    }
    if (count === 0) process.exit(0); // the place is gone
    held += count;
    if (size === 4 && held >= 4) size = 4 + inbox.readUInt32BE(0);
    if (size > inbox.length) inbox = Buffer.concat([inbox.subarray(0, held)], size);
  }
  const frame = inbox.subarray(4, size);
  if (inbox.length > DIRECT) inbox = Buffer.allocUnsafeSlow(DIRECT);
  return frame;
}

/** The next event. What does not fit into the mailbox is announced there by an L. */
function nextEvent() {
  let count = 0;
  for (let again = true; again; ) {
    again = false;
    try {
      count = fs.readSync(MAILBOX, inbox, 0, inbox.length, null);
    } catch (error) {
      again = error.code === 'EINTR';
    }
  }
  if (count === 0) process.exit(0); // the place is gone
  return inbox[0] === 76 ? nextFrame() : inbox.subarray(0, count);
}

/** Nothing is under way: what the last event left for the loop has had its turn. */
function standStill() {
  invoke(nextEvent());
}

/** The loop goes on while we wait: for what extensions in this process do, and for pieces that a reader is slow to take. */
function watch() {
  let pending = Buffer.alloc(0);
  socket = new net.Socket({ fd: 3, readable: true, writable: true });
  socket.on('data', (chunk) => {
    pending = pending.length ? Buffer.concat([pending, chunk]) : chunk;
    while (pending.length >= 4) {
      const size = 4 + pending.readUInt32BE(0);
      if (pending.length < size) return;
      const frame = pending.subarray(4, size);
      pending = pending.subarray(size);
      invoke(frame);
    }
  });
  socket.on('end', () => process.exit(0)); // the place is gone
  socket.on('error', () => process.exit(0));
}

// ---------------------------------------------------------------------------------------------- log

const MARK = '\x00\x1alittoral ';
let mark = ''; // to be written before the next words: the event had waited, and the place may not know that it has begun

function writeMark() {
  const text = mark;
  mark = '';
  writeLog(text);
}

/** What is written to process.stdout and process.stderr is marked as well. */
function patchStream(name) {
  const { get } = Object.getOwnPropertyDescriptor(process, name);
  let patched = null;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get() {
      if (patched === null) {
        patched = get.call(process);
        const write = patched.write;
        patched.write = function markedWrite(...parts) {
          if (mark !== '') writeMark();
          return write.apply(this, parts);
        };
      }
      return patched;
    },
  });
}

function writeLog(text) {
  if (mark !== '') writeMark();
  const bytes = Buffer.from(text, 'utf8');
  let at = 0;
  while (at < bytes.length) {
    try {
      at += fs.writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') return; // the function closed its own log
    }
  }
}

const LEVELS = { TRACE: 0, DEBUG: 1, INFO: 2, WARN: 3, ERROR: 4, FATAL: 5 };

/** AWS: "Using structured JSON logs with Node.js". One argument stays the JSON it is; an error is taken apart. */
function jsonLine(level, parts) {
  const line = { timestamp: new Date().toISOString(), level, requestId: current ? current.requestId : undefined };
  const only = parts.length === 1 ? parts[0] : util.format(...parts);
  const error = parts.find(isError);
  if (isError(only)) line.message = stackOf(only).join('\n');
  else line.message = only === undefined ? 'undefined' : only;
  if (error) Object.assign(line, { errorType: error.name, errorMessage: error.message, stackTrace: stackOf(error) });
  let text;
  try {
    text = JSON.stringify(line);
  } catch {
    text = JSON.stringify({ ...line, message: util.inspect(only) });
  }
  writeLog(`${text}\n`);
}

function logParts(level, parts) {
  if (process.env.AWS_LAMBDA_LOG_FORMAT !== 'JSON') logLine(level, util.format(...parts));
  else if (LEVELS[level] >= (LEVELS[process.env.AWS_LAMBDA_LOG_LEVEL] ?? LEVELS.INFO)) jsonLine(level, parts);
}

function logLine(level, text) {
  writeLog(`${new Date().toISOString()}\t${current ? current.requestId : 'undefined'}\t${level}\t${text}\n`);
}

function patchConsole() {
  patchStream('stdout');
  patchStream('stderr');
  for (const [name, level] of [['log', 'INFO'], ['info', 'INFO'], ['debug', 'DEBUG'], ['warn', 'WARN'], ['error', 'ERROR']]) {
    console[name] = (...parts) => logParts(level, parts);
  }
  console.trace = (...parts) => {
    const holder = { name: 'Trace', message: util.format(...parts) };
    Error.captureStackTrace(holder, console.trace);
    logParts('TRACE', [holder.stack]);
  };
}

// ---------------------------------------------------------------------------------------------- errors

class RuntimeError extends Error {
  constructor(kind, message, cause) {
    super(message);
    this.name = kind;
    if (cause && cause.stack) this.stack = cause.stack;
  }
}

function isError(value) {
  return value instanceof Error || util.types.isNativeError(value);
}

function stackOf(error) {
  return String(error.stack || `${error.name}: ${error.message}`).split('\n');
}

function errorObject(error) {
  if (isError(error)) return { errorType: error.name || 'Error', errorMessage: error.message || '', trace: stackOf(error) };
  if (error === undefined || error === null) return { errorType: 'null', errorMessage: 'null', trace: [] };
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

function logError(title, error) {
  if (process.env.AWS_LAMBDA_LOG_FORMAT === 'JSON') {
    jsonLine('ERROR', [isError(error) ? error : util.format(title.trim(), error)]);
    return;
  }
  const shown = isError(error)
    ? { errorType: error.name, errorMessage: error.message, ...Object.fromEntries(Object.entries(error)), stack: stackOf(error) }
    : { errorType: typeof error, errorMessage: String(error), stack: [] };
  let text;
  try {
    text = JSON.stringify(shown);
  } catch {
    text = JSON.stringify({ errorType: shown.errorType, errorMessage: shown.errorMessage, stack: shown.stack });
  }
  logLine('ERROR', `${title}\t${text}`);
}

function fatal(title, error, status) {
  logError(title, error);
  const payload = JSON.stringify(errorObject(error));
  const leave = () => process.exit(status);
  if (handler === null) send('F', payload, false, leave);
  else if (current !== null) send('X', payload, true, leave);
  else leave();
}

process.on('uncaughtException', (error) => fatal('Uncaught Exception ', error, 129));
process.on('unhandledRejection', (reason, promise) => {
  const error = new RuntimeError('Runtime.UnhandledPromiseRejection', String(reason), isError(reason) ? reason : null);
  error.reason = reason;
  error.promise = promise;
  fatal('Unhandled Promise Rejection ', error, 128);
});
process.on('beforeExit', () => {
  const meaning = onEmptyLoop;
  onEmptyLoop = null;
  if (meaning !== null) meaning();
});

// ---------------------------------------------------------------------------------------------- loading

async function importFrom(file) {
  const found = [file, `${file}.js`, `${file}.mjs`, `${file}.cjs`].find((name) => {
    const facts = fs.statSync(name, { throwIfNoEntry: false });
    return facts !== undefined && facts.isFile();
  });
  if (found === undefined) return require(file); // a folder with an index.js, or Node's own words for its absence
  if (found.endsWith('.mjs') || (found.endsWith('.js') && isModulePackage(path.dirname(found)))) {
    return import(pathToFileURL(found).href);
  }
  return require(found);
}

function isModulePackage(folder) {
  for (let at = folder; ; at = path.dirname(at)) {
    const file = path.join(at, 'package.json');
    if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
    if (at === configuration.task_root || at === path.dirname(at)) return false;
  }
}

async function load(name) {
  const base = path.basename(name);
  const dot = base.indexOf('.');
  if (name.includes('..') || dot < 1 || dot === base.length - 1) throw new RuntimeError('Runtime.MalformedHandlerName', 'Bad handler');
  const file = path.resolve(configuration.task_root, path.dirname(name), base.slice(0, dot));
  let found;
  try {
    found = await importFrom(file);
  } catch (error) {
    if (error instanceof SyntaxError) throw new RuntimeError('Runtime.UserCodeSyntaxError', String(error), error);
    if (error && (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND')) {
      throw new RuntimeError('Runtime.ImportModuleError', String(error), error);
    }
    throw error;
  }
  for (const part of base.slice(dot + 1).split('.')) found = found && found[part] !== undefined ? found[part] : found?.default?.[part];
  if (found === undefined) throw new RuntimeError('Runtime.HandlerNotFound', `${base} is undefined or not exported`);
  if (typeof found !== 'function') throw new RuntimeError('Runtime.HandlerNotFound', `${base} is not a function`);
  if (configuration.no_callbacks && found.length >= 3) {
    throw new RuntimeError('Runtime.CallbackHandlerDeprecated', `${configuration.function.runtime} has no callback handlers: make the handler async`);
  }
  return found;
}

function configure(given) {
  configuration = given;
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, configuration.env);
  environment = copyEnvironment(TRACE);
  require('module').Module._initPaths(); // NODE_PATH is read at boot, and this process booted before it was known
  process.chdir(configuration.task_root);
  process.argv.push(...configuration.arguments);
  patchConsole();
  send('B', '', false);
  const loading = setInterval(() => {}, 2 ** 30); // a module that never loads ends by the clock, not by an empty loop
  load(configuration.handler).then(
    (loaded) => {
      handler = loaded;
      clearInterval(loading);
      // a component of a core is not frozen between its events: it hears what it subscribed to
      const watched = process.env.AWS_LAMBDA_RUNTIME_API || configuration.component || handler[STREAMING] === 'response';
      if (watched) watch();
      else setImmediate(standStill);
      send('R', watched ? '' : 'M', false);
    },
    (error) => fatal('Uncaught Exception ', error, 1),
  );
}

// ---------------------------------------------------------------------------------------------- streaming

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming'); // wrappers of handlers carry it over by this name
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const INTEGRATION = 'application/vnd.awslambda.http-integration-response';
const LARGEST_PIECE = 1024 * 1024;

/** What a streaming handler writes to: it waits when the caller is slower than the function. */
class ResponseStream extends stream.Writable {
  constructor(highWaterMark) {
    super({ highWaterMark: highWaterMark ?? 65536 });
    this._contentType = 'application/octet-stream';
    this._begun = false;
  }

  setContentType(contentType) {
    if (this._begun) throw new RuntimeError('Runtime.InvalidStreamingOperation', 'Cannot set content-type, too late.');
    this._contentType = String(contentType);
  }

  _begin() {
    if (this._begun) return;
    this._begun = true;
    sendPiece('S', Buffer.from(this._contentType, 'latin1'));
    if (typeof this._onBeforeFirstWrite === 'function') {
      this._onBeforeFirstWrite((data) => sendPiece('D', typeof data === 'string' ? Buffer.from(data) : data));
    }
  }

  _write(chunk, encoding, done) {
    this._begin();
    for (let at = LARGEST_PIECE; at < chunk.length; at += LARGEST_PIECE) {
      sendPiece('D', chunk.subarray(at - LARGEST_PIECE, at));
    }
    sendPiece('D', chunk.subarray(chunk.length - (chunk.length % LARGEST_PIECE || LARGEST_PIECE)), done);
  }

  _writev(chunks, done) {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'buffer', done);
  }

  _final(done) {
    this._begin();
    done();
  }
}

/** Status, headers and cookies of a function URL's answer go before the body: JSON, then eight NULs. */
class HttpResponseStream {
  static from(underlying, prelude) {
    underlying.setContentType(INTEGRATION);
    underlying._onBeforeFirstWrite = (write) => {
      write(JSON.stringify(prelude));
      write(Buffer.alloc(8));
    };
    return underlying;
  }
}

function streamifyResponse(found, options) {
  found[STREAMING] = 'response';
  if (typeof options?.highWaterMark === 'number') found[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
  return found;
}

globalThis.awslambda = { streamifyResponse, HttpResponseStream };

/** One event of a streaming handler: over when its promise and its stream are. */
function invokeStreaming(invocation, event, context, { finish, fail }) {
  const response = new ResponseStream(handler[HIGH_WATER_MARK]);
  const ended = new Promise((resolve, reject) => stream.finished(response, (error) => (error ? reject(error) : resolve())));
  ended.catch(() => {}); // told to `fail` below; here only kept from being unhandled
  const failed = (error) => {
    response.destroy();
    fail(error);
  };
  onEmptyLoop = () => { // nothing left to run: whatever the handler still waits for cannot come
    if (!response.writableEnded) {
      logLine('WARN', 'The response stream was not ended: call responseStream.end()');
      response.end();
    }
    ended.then(() => finish('O', ''), failed);
  };
  let returned;
  try {
    returned = handler(event, response, context);
    if (!returned || typeof returned.then !== 'function') {
      throw new RuntimeError('Runtime.InvalidStreamingOperation', 'A streaming handler has to be async or to return a promise');
    }
  } catch (error) {
    return failed(error);
  }
  return returned
    .then((result) => {
      if (result !== undefined && current === invocation) logLine('WARN', 'A streaming handler\'s return value is ignored');
      return ended;
    })
    .then(() => finish('O', ''), failed);
}

// ---------------------------------------------------------------------------------------------- invoking

function makeContext(requestId, arn, context, group, deadline) {
  const about = configuration.function;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: about.version,
    functionName: about.name,
    memoryLimitInMB: String(about.memory),
    logGroupName: group || about.log_group,
    logStreamName: about.log_stream,
    clientContext: context.length ? JSON.parse(context.toString('utf8')) : undefined,
    identity: undefined,
    invokedFunctionArn: arn,
    awsRequestId: requestId,
    getRemainingTimeInMillis: () => Math.max(0, Math.floor(deadline - performance.now())),
  };
}

/** The X-Ray header of an event that came without one. Of the request's id the first group is of this event alone. */
function newTrace(id) {
  const now = Math.floor(Date.now() / 1000).toString(16).padStart(8, '0');
  const middle = id.slice(19, 23);
  const root = id.slice(0, 8) + id.slice(9, 13) + id.slice(14, 18) + middle + id.slice(24, 28);
  return `Root=1-${now}-${root};Parent=${id.slice(0, 8)}${id.slice(28)};Sampled=0`;
}

function invoke(frame) {
  const requestId = frame.toString('latin1', 1, 37);
  began = performance.now();
  mark = frame[0] === 81 ? MARK + requestId : ''; // Q
  const deadline = began + frame.readDoubleBE(37) * 1000;
  const arnSize = frame.readUInt16BE(45);
  const contextSize = frame.readUInt16BE(47);
  const traceAt = INVOKE_HEADER + arnSize + contextSize;
  const groupAt = traceAt + frame.readUInt16BE(49);
  const payloadAt = groupAt + frame.readUInt16BE(51);
  const arn = frame.toString('utf8', INVOKE_HEADER, INVOKE_HEADER + arnSize);
  const group = payloadAt > groupAt ? frame.toString('utf8', groupAt, payloadAt) : '';
  const context = makeContext(requestId, arn, frame.subarray(INVOKE_HEADER + arnSize, traceAt), group, deadline);

  environment[TRACE] = groupAt > traceAt ? frame.toString('utf8', traceAt, groupAt) : newTrace(requestId);
  const invocation = { requestId };
  const finish = (kind, payload, encoding) => {
    if (current !== invocation) return; // answered already
    onEmptyLoop = null;
    if (socket !== null) socket.ref();
    else setImmediate(standStill);
    send(kind, payload, true, undefined, encoding);
    current = null;
  };
  const fail = (error) => {
    if (current !== invocation) return;
    logError('Invoke Error ', error);
    finish('E', JSON.stringify(errorObject(error)));
  };
  const succeed = (result) => {
    if (configuration.function.binary) return succeedWithBytes(result);
    let text;
    try {
      text = JSON.stringify(result === undefined ? null : result);
      if (text === undefined) text = 'null';
    } catch {
      return fail(new Error('Unable to stringify response body'));
    }
    if (text.length * 3 > MAX_RESPONSE && Buffer.byteLength(text) > MAX_RESPONSE) {
      return finish('E', JSON.stringify({
        errorType: 'Function.ResponseSizeTooLarge',
        errorMessage: `Response payload size exceeded maximum allowed payload size (${MAX_RESPONSE} bytes).`,
      }));
    }
    return finish('O', text);
  };
  const succeedWithBytes = (result) => {
    let bytes;
    try {
      bytes = Buffer.from(result ?? '');
    } catch {
      return fail(new Error('A function with binary payloads returns a Buffer'));
    }
    if (bytes.length > MAX_RESPONSE) return fail(new Error(`The response is longer than ${MAX_RESPONSE} bytes`));
    return finish('O', bytes.toString('latin1'), 'latin1');
  };
  const done = (error, result) => (error === undefined || error === null ? succeed(result) : fail(error));
  const callback = (error, result) => {
    if (current !== invocation) return;
    if ((error === undefined || error === null) && context.callbackWaitsForEmptyEventLoop) {
      onEmptyLoop = () => succeed(result);
    } else done(error, result);
  };
  context.done = done;
  context.succeed = succeed;
  context.fail = fail;

  current = invocation;
  if (socket !== null) socket.unref(); // the handler's loop is empty when its own work is done
  if (handler[STREAMING] === 'response') {
    let event;
    try {
      event = JSON.parse(frame.toString('utf8', payloadAt));
    } catch (error) {
      return fail(error);
    }
    return invokeStreaming(invocation, event, context, { finish, fail });
  }
  onEmptyLoop = () => succeed(null); // nothing left to run and no answer given: Lambda answers null
  try {
    const event = configuration.function.binary ? Buffer.from(frame.subarray(payloadAt)) : JSON.parse(frame.toString('utf8', payloadAt));
    const returned = handler(event, context, callback);
    if (returned && typeof returned.then === 'function') returned.then(succeed, fail);
  } catch (error) {
    fail(error);
  }
}

configure(JSON.parse(nextFrame().toString('utf8', 1)));
