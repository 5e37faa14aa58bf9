'use strict';
/*
 * process.env with one variable that is another at each event. Node sets a variable by setenv(3), and glibc keeps every
 * value that it was ever given (130 bytes an event). So functions have a copy, an object of plain properties, as their
 * process.env: what they set or delete there is set and deleted in the real environment as well, in Node's ways (all is
 * text, TZ moves the clock); what the runtime sets with each event is set in the copy alone. Programs that a function
 * starts get the copy; threads are made from the real environment, which gets that one variable before.
 */
const { syncBuiltinESMExports } = require('module');
const threads = require('worker_threads');

/** Put the copy in place. A property that is set on what is returned is a variable for JavaScript; `name` is the one. */
function copyEnvironment(name) {
  const real = process.env;
  const copy = { ...real };
  process.env = new Proxy(copy, {
    set(target, key, value) {
      real[key] = value; // throws for what cannot be one
      target[key] = real[key];
      return true;
    },
    defineProperty(target, key, descriptor) {
      Object.defineProperty(real, key, descriptor);
      return Reflect.defineProperty(target, key, { value: real[key], writable: true, enumerable: true, configurable: true });
    },
    deleteProperty(target, key) {
      delete real[key];
      return delete target[key];
    },
  });
  threads.Worker = class Worker extends threads.Worker {
    constructor(file, options) {
      if (copy[name] !== undefined) real[name] = copy[name];
      super(file, options);
    }
  };
  syncBuiltinESMExports(); // import { env } from 'node:process'
  return copy;
}

module.exports = { copyEnvironment };
