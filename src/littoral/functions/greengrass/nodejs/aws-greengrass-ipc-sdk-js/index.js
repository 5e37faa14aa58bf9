'use strict';
/*
 * How aws-greengrass-core-sdk reaches the core that its function runs on: one HTTP request for one invocation, on the
 * Unix socket that the core shows its functions. What postWork got waits until getWorkResult asks for it. Littoral's own.
 */
const http = require('http');
const { randomUUID } = require('crypto');

const PATH = '/2016-11-01/functions/';

class IPCClient {
  constructor(authToken) {
    this.authToken = authToken;
    this.results = new Map();
  }

  /** Calls back with an error, or the id of an invocation that is done or, with Event, durably kept. */
  postWork(functionArn, payload, clientContext, invocationType, callback) {
    const body = payload === undefined || payload === null ? Buffer.alloc(0) : Buffer.from(payload);
    const headers = {
      Authorization: this.authToken,
      'X-Amz-InvocationType': invocationType,
      'Content-Length': body.length,
    };
    if (clientContext) headers['X-Amz-Client-Context'] = clientContext;
    const request = http.request(
      { socketPath: process.env.LITTORAL_LAMBDA_SOCKET, method: 'POST', path: PATH + encodeURI(functionArn), headers },
      (answer) => this._take(answer, invocationType, callback),
    );
    request.on('error', (problem) => callback(problem, null));
    request.end(body);
  }

  /** Calls back with an error, or the result, 'Handled' or 'Unhandled' where the function failed, and the status. */
  getWorkResult(functionArn, invocationId, callback) {
    const found = this.results.get(invocationId);
    this.results.delete(invocationId);
    if (found === undefined) callback(new Error(`there is no result of ${invocationId} of ${functionArn}`), null);
    else callback(null, found.body, found.functionError, found.status);
  }

  _take(answer, invocationType, callback) {
    const chunks = [];
    answer.on('data', (chunk) => chunks.push(chunk));
    answer.on('error', (problem) => callback(problem, null));
    answer.on('end', () => {
      const body = Buffer.concat(chunks);
      if (answer.statusCode >= 300) {
        callback(new Error(`${answer.statusCode}: ${body.toString()}`), null);
        return;
      }
      const id = randomUUID();
      if (invocationType === 'RequestResponse') {
        const functionError = answer.headers['x-amz-function-error'];
        this.results.set(id, { body, functionError, status: answer.statusCode });
      }
      callback(null, id);
    });
  }
}

module.exports = IPCClient;
