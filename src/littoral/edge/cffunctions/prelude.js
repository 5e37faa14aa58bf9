/* What a CloudFront function finds around itself: modules, console, a clock that stands still, and no way to make code
 * of text. Evaluated once in each context, before the function's own code. `engine.py` calls what the last line returns.
 * The documented surface: "JavaScript runtime 2.0 features for CloudFront Functions" and the pages of its modules. */
(function (version) {
  'use strict';
  const global = globalThis;
  const RealFunction = Function;
  const parse = JSON.parse, stringify = JSON.stringify;
  const hide = (object, members) => {
    for (const name of Object.keys(members))
      Object.defineProperty(object, name, { value: members[name], writable: true, configurable: true, enumerable: false });
  };

  // ------------------------------------------------------------------------------------------ bytes and text

  const utf8 = (text) => {
    const out = [];
    for (let i = 0; i < text.length; i++) {
      let c = text.codePointAt(i);
      if (c > 0xffff) i++;
      if (c >= 0xd800 && c < 0xe000) c = 0xfffd;
      if (c < 0x80) out.push(c);
      else if (c < 0x800) out.push(0xc0 | (c >> 6), 0x80 | (c & 63));
      else if (c < 0x10000) out.push(0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
      else out.push(0xf0 | (c >> 18), 0x80 | ((c >> 12) & 63), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
    }
    return out;
  };
  const text = (bytes) => {
    let out = '';
    for (let i = 0; i < bytes.length; ) {
      const b = bytes[i++];
      let more = b < 0x80 ? 0 : b >= 0xc2 && b < 0xe0 ? 1 : b >= 0xe0 && b < 0xf0 ? 2 : b >= 0xf0 && b < 0xf5 ? 3 : -1;
      let c = more === 0 ? b : more === 1 ? b & 31 : more === 2 ? b & 15 : b & 7;
      const least = [0, 0x80, 0x800, 0x10000][more];
      let n = more;
      while (n > 0 && i < bytes.length && (bytes[i] & 0xc0) === 0x80) { c = (c << 6) | (bytes[i++] & 63); n--; }
      const bad = more < 0 || n > 0 || c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000);
      out += bad ? '\ufffd' : String.fromCodePoint(c);
    }
    return out;
  };
  const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const toBase64 = (bytes, url) => {
    const set = LETTERS + (url ? '-_' : '+/');
    let out = '';
    for (let i = 0; i < bytes.length; i += 3) {
      const n = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
      const left = bytes.length - i;
      out += set[n >> 18] + set[(n >> 12) & 63];
      out += left > 1 ? set[(n >> 6) & 63] : url ? '' : '=';
      out += left > 2 ? set[n & 63] : url ? '' : '=';
    }
    return out;
  };
  const DIGITS = {};
  [...LETTERS, '+', '/'].forEach((c, i) => { DIGITS[c] = i; });
  DIGITS['-'] = 62; DIGITS['_'] = 63;
  const fromBase64 = (string) => {
    const out = [];
    let n = 0, bits = 0;
    for (const c of string) {
      if (c === '=') break;
      const d = DIGITS[c];
      if (d === undefined) continue;
      n = ((n << 6) | d) & 0xffffff; bits += 6;
      if (bits >= 8) { bits -= 8; out.push((n >> bits) & 255); }
    }
    return out;
  };
  const HEX = '0123456789abcdef';
  const toHex = (bytes) => { let out = ''; for (const b of bytes) out += HEX[b >> 4] + HEX[b & 15]; return out; };
  const fromHex = (string) => {
    const out = [];
    for (let i = 0; i + 1 < string.length; i += 2) {
      const b = parseInt(string.substr(i, 2), 16);
      if (Number.isNaN(b)) break;
      out.push(b);
    }
    return out;
  };
  const latin1 = (string) => { const out = []; for (let i = 0; i < string.length; i++) out.push(string.charCodeAt(i) & 255); return out; };
  const fromLatin1 = (bytes) => { let out = ''; for (const b of bytes) out += String.fromCharCode(b); return out; };
  const ENCODINGS = {
    utf8: [utf8, text], hex: [fromHex, toHex],
    base64: [fromBase64, (b) => toBase64(b, false)], base64url: [fromBase64, (b) => toBase64(b, true)],
  };
  const encodingOf = (name) => {
    const known = ENCODINGS[name === undefined ? 'utf8' : String(name).toLowerCase().replace('utf-8', 'utf8')];
    if (known === undefined) throw new TypeError(`"${name}" encoding is not supported`);
    return known;
  };
  const bytesOf = (data, encoding) => {
    if (typeof data === 'string') return encodingOf(encoding)[0](data);
    if (data instanceof ArrayBuffer) return new Uint8Array(data);
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    throw new TypeError('data is neither a string nor a Buffer');
  };

  // -------------------------------------------------------------------------------------------------- Buffer

  class Buffer extends Uint8Array {
    static from(data, encoding, length) {
      if (typeof data === 'string') return Buffer.#of(encodingOf(encoding)[0](data));
      if (data instanceof ArrayBuffer) return new Buffer(data, encoding, length);
      if (data && data.type === 'Buffer' && Array.isArray(data.data)) return Buffer.#of(data.data);
      if (data && typeof data === 'object' && 'length' in data) return Buffer.#of(data);
      throw new TypeError('first argument is not a string or Buffer-like');
    }
    static #of(items) { const made = new Buffer(items.length); made.set(items); return made; }
    static alloc(size, fill, encoding) { const made = new Buffer(size); return fill === undefined ? made : made.fill(fill, 0, size, encoding); }
    static allocUnsafe(size) { return new Buffer(size); }
    static byteLength(data, encoding) { return bytesOf(data, encoding).length; }
    static compare(a, b) {
      for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
      return a.length === b.length ? 0 : a.length < b.length ? -1 : 1;
    }
    static concat(list, total) {
      if (total === undefined) total = list.reduce((sum, each) => sum + each.length, 0);
      const made = new Buffer(total);
      let at = 0;
      for (const each of list) { if (at >= total) break; made.set(each.subarray(0, total - at), at); at += each.length; }
      return made;
    }
    static isBuffer(data) { return data instanceof Buffer; }
    static isEncoding(name) { try { encodingOf(name); return true; } catch (e) { return false; } }
    toString(encoding, start, end) { return encodingOf(encoding)[1](this.subarray(start || 0, end === undefined ? this.length : end)); }
    toJSON() { return { type: 'Buffer', data: Array.from(this) }; }
    equals(other) { return Buffer.compare(this, other) === 0; }
    compare(target, tStart, tEnd, start, end) { return Buffer.compare(this.subarray(start || 0, end), target.subarray(tStart || 0, tEnd)); }
    copy(target, at, start, end) {
      const part = this.subarray(start || 0, end).subarray(0, target.length - (at || 0));
      target.set(part, at || 0);
      return part.length;
    }
    fill(value, start, end, encoding) {
      if (typeof start === 'string') { encoding = start; start = 0; }
      if (typeof value === 'number') return super.fill(value & 255, start, end);
      const bytes = bytesOf(value, encoding);
      if (bytes.length === 0) return super.fill(0, start, end);
      for (let i = start || 0, n = 0; i < (end === undefined ? this.length : end); i++, n++) this[i] = bytes[n % bytes.length];
      return this;
    }
    write(string, at, length, encoding) {
      if (typeof at === 'string') { encoding = at; at = 0; length = undefined; }
      const bytes = encodingOf(encoding)[0](string);
      const count = Math.min(bytes.length, length === undefined ? this.length : length, this.length - (at || 0));
      for (let i = 0; i < count; i++) this[(at || 0) + i] = bytes[i];
      return count;
    }
    slice(start, end) { return this.subarray(start, end); }
    #find(value, from, encoding, last) {
      if (typeof value === 'number') value = [value & 255];
      const wanted = Array.isArray(value) ? value : bytesOf(value, encoding);
      const most = this.length - wanted.length;
      const fits = (i) => { for (let n = 0; n < wanted.length; n++) if (this[i + n] !== wanted[n]) return false; return true; };
      if (last) { for (let i = Math.min(from === undefined ? most : from, most); i >= 0; i--) if (fits(i)) return i; }
      else for (let i = from || 0; i <= most; i++) if (fits(i)) return i;
      return -1;
    }
    indexOf(value, from, encoding) { return this.#find(value, from, encoding, false); }
    lastIndexOf(value, from, encoding) { return this.#find(value, from, encoding, true); }
    includes(value, from, encoding) { return this.indexOf(value, from, encoding) >= 0; }
    #swap(size) {
      if (this.length % size) throw new RangeError(`Buffer size must be a multiple of ${size * 8}-bits`);
      for (let i = 0; i < this.length; i += size) this.subarray(i, i + size).reverse();
      return this;
    }
    swap16() { return this.#swap(2); }
    swap32() { return this.#swap(4); }
    swap64() { return this.#swap(8); }
  }
  const numbers = {};
  const view = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  for (const [name, size, method] of [['Int8', 1, 'Int8'], ['UInt8', 1, 'Uint8'], ['Int16', 2, 'Int16'], ['UInt16', 2, 'Uint16'],
    ['Int32', 4, 'Int32'], ['UInt32', 4, 'Uint32'], ['Float', 4, 'Float32'], ['Double', 8, 'Float64']])
    for (const [order, little] of size === 1 ? [['', true]] : [['LE', true], ['BE', false]]) {
      numbers[`read${name}${order}`] = function (at) { return view(this)[`get${method}`](at || 0, little); };
      numbers[`write${name}${order}`] = function (value, at) { view(this)[`set${method}`](at || 0, value, little); return (at || 0) + size; };
    }
  for (const [order, little] of [['LE', true], ['BE', false]]) {
    const places = (buffer, at, length) => Array.from(buffer.subarray(at, at + length)).map((b, i) => b * 256 ** (little ? i : length - 1 - i));
    numbers[`readUInt${order}`] = function (at, length) { return places(this, at, length).reduce((a, b) => a + b, 0); };
    numbers[`readInt${order}`] = function (at, length) {
      const n = this[`readUInt${order}`](at, length);
      return n >= 2 ** (8 * length - 1) ? n - 2 ** (8 * length) : n;
    };
    numbers[`writeUInt${order}`] = numbers[`writeInt${order}`] = function (value, at, length) {
      let n = value < 0 ? value + 2 ** (8 * length) : value;
      for (let i = 0; i < length; i++, n = Math.floor(n / 256)) this[at + (little ? i : length - 1 - i)] = n % 256;
      return at + length;
    };
  }
  hide(Buffer.prototype, numbers);

  // -------------------------------------------------------------------------------------------------- crypto

  const words = (bytes, little) => {
    // RFC 1321 s. 3.1, FIPS 180-4 s. 5.1.1: a one, noughts, the length in bits
    const size = bytes.length, padded = new Uint8Array(((size + 72) >> 6) << 6), data = new DataView(padded.buffer);
    padded.set(bytes);
    padded[size] = 0x80;
    data.setUint32(padded.length - (little ? 8 : 4), size << 3, little);
    data.setUint32(padded.length - (little ? 4 : 8), size / 0x20000000, little);
    const out = new Int32Array(padded.length / 4);
    for (let i = 0; i < out.length; i++) out[i] = data.getInt32(i * 4, little);
    return out;
  };
  const digestOf = (state, little) => {
    const out = new Buffer(state.length * 4), data = view(out);
    state.forEach((word, i) => data.setInt32(i * 4, word, little));
    return out;
  };
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
  const fraction = (x) => ((x - Math.floor(x)) * 0x100000000) | 0;
  const K256 = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)));
  const KMD5 = Int32Array.from({ length: 64 }, (_, i) => (Math.abs(Math.sin(i + 1)) * 0x100000000) | 0);
  const SHIFTS = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
  const sha256 = (bytes) => {
    const m = words(bytes, false), w = new Int32Array(64), h = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
    for (let block = 0; block < m.length; block += 16) {
      for (let i = 0; i < 16; i++) w[i] = m[block + i];
      for (let i = 16; i < 64; i++) {
        const x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3))
          + (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10));
      }
      let [a, b, c, d, e, f, g, k] = h;
      for (let i = 0; i < 64; i++) {
        const t = (k + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))) + ((e & f) ^ (~e & g)) + K256[i] + w[i]) | 0;
        const u = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        k = g; g = f; f = e; e = (d + t) | 0; d = c; c = b; b = a; a = (t + u) | 0;
      }
      [a, b, c, d, e, f, g, k].forEach((x, i) => { h[i] = (h[i] + x) | 0; });
    }
    return digestOf(h, false);
  };
  const sha1 = (bytes) => {
    const m = words(bytes, false), w = new Int32Array(80), h = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476, 0xc3d2e1f0 | 0];
    for (let block = 0; block < m.length; block += 16) {
      let [a, b, c, d, e] = h;
      for (let i = 0; i < 80; i++) {
        if (i < 16) w[i] = m[block + i];
        else { const x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]; w[i] = (x << 1) | (x >>> 31); }
        const f = i < 20 ? ((b & c) | (~b & d)) + 0x5a827999 : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
          : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc : (b ^ c ^ d) + 0xca62c1d6;
        const t = (((a << 5) | (a >>> 27)) + f + e + w[i]) | 0;
        e = d; d = c; c = (b << 30) | (b >>> 2); b = a; a = t;
      }
      [a, b, c, d, e].forEach((x, i) => { h[i] = (h[i] + x) | 0; });
    }
    return digestOf(h, false);
  };
  const md5 = (bytes) => {
    const m = words(bytes, true), h = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476];
    for (let block = 0; block < m.length; block += 16) {
      let [a, b, c, d] = h;
      for (let i = 0; i < 64; i++) {
        const round = i >> 4;
        const f = round === 0 ? (b & c) | (~b & d) : round === 1 ? (d & b) | (~d & c) : round === 2 ? b ^ c ^ d : c ^ (b | ~d);
        const g = round === 0 ? i : round === 1 ? (5 * i + 1) & 15 : round === 2 ? (3 * i + 5) & 15 : (7 * i) & 15;
        const t = (a + f + KMD5[i] + m[block + g]) | 0, s = SHIFTS[round][i & 3];
        a = d; d = c; c = b; b = (b + ((t << s) | (t >>> (32 - s)))) | 0;
      }
      [a, b, c, d].forEach((x, i) => { h[i] = (h[i] + x) | 0; });
    }
    return digestOf(h, true);
  };
  const HASHES = { md5, sha1, sha256 };
  const hashOf = (name) => {
    const known = HASHES[String(name).toLowerCase()];
    if (known === undefined) throw new TypeError(`not supported algorithm: "${name}"`);
    return known;
  };
  const shown = (bytes, encoding) => {
    if (encoding !== undefined) return encodingOf(encoding)[1](bytes);
    return version === '1.0' ? fromLatin1(bytes) : bytes;
  };
  class Hash {
    #parts = []; #hash; #done = false;
    constructor(name) { this.#hash = hashOf(name); }
    update(data, encoding) {
      if (this.#done) throw new Error('Digest already called');
      this.#parts.push(Buffer.from(bytesOf(data, encoding)));
      return this;
    }
    digest(encoding) {
      if (this.#done) throw new Error('Digest already called');
      this.#done = true;
      return shown(this.#hash(Buffer.concat(this.#parts)), encoding);
    }
  }
  class Hmac {
    #parts = []; #hash; #outer; #done = false;
    constructor(name, key) {
      this.#hash = hashOf(name);
      let bytes = bytesOf(key);
      if (bytes.length > 64) bytes = this.#hash(bytes);
      const inner = Buffer.alloc(64, 0x36);
      this.#outer = Buffer.alloc(64, 0x5c);
      for (let i = 0; i < bytes.length; i++) { inner[i] ^= bytes[i]; this.#outer[i] ^= bytes[i]; }
      this.#parts.push(inner);
    }
    update(data, encoding) {
      if (this.#done) throw new Error('Digest already called');
      this.#parts.push(Buffer.from(bytesOf(data, encoding)));
      return this;
    }
    digest(encoding) {
      if (this.#done) throw new Error('Digest already called');
      this.#done = true;
      return shown(this.#hash(Buffer.concat([this.#outer, this.#hash(Buffer.concat(this.#parts))])), encoding);
    }
  }
  const crypto = { createHash: (name) => new Hash(name), createHmac: (name, key) => new Hmac(name, key) };

  // --------------------------------------------------------------------------------------------- querystring

  const unescape = (string) => { try { return decodeURIComponent(string); } catch (e) { return text(latin1(string.replace(/%([0-9a-f]{2})/gi, (_, x) => String.fromCharCode(parseInt(x, 16))))); } };
  const escape = encodeURIComponent;
  const querystring = {
    escape, unescape,
    parse(string, separator = '&', equals = '=', options = {}) {
      const found = {}, decode = options.decodeURIComponent || querystring.unescape;
      const most = options.maxKeys === undefined ? 1000 : options.maxKeys;
      const parts = string === '' ? [] : String(string).split(separator);
      for (const part of most > 0 ? parts.slice(0, most) : parts) {
        const at = part.indexOf(equals);
        const [name, value] = (at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + equals.length)]).map((each) => decode(each.replace(/\+/g, ' ')));
        if (!Object.hasOwn(found, name)) found[name] = value;
        else if (Array.isArray(found[name])) found[name].push(value);
        else found[name] = [found[name], value];
      }
      return found;
    },
    stringify(object, separator = '&', equals = '=', options = {}) {
      const encode = options.encodeURIComponent || querystring.escape, out = [];
      for (const name of Object.keys(object || {}))
        for (const value of Array.isArray(object[name]) ? object[name] : [object[name]])
          out.push(encode(name) + equals + encode(['string', 'number', 'boolean', 'bigint'].includes(typeof value) ? String(value) : ''));
      return out.join(separator);
    },
  };
  querystring.decode = querystring.parse;
  querystring.encode = querystring.stringify;

  // ---------------------------------------------------------------------------------- one call, and cloudfront

  let call;  // what belongs to the call under way: {logs, asked, origin, done}
  const stores = [];  // ids of the key-value stores that the function is associated with

  const ask = (store, operation, key) => new Promise((resolve, reject) => { call.asked.push({ store, operation, key, resolve, reject }); });
  const inFormat = (value, options) => {
    const format = (options && options.format) || 'string';
    if (format === 'json') return parse(value);
    if (format === 'bytes') return Buffer.from(value);
    if (format !== 'string') throw new TypeError(`unknown format ${format}`);
    return value;
  };
  const viewerRequestOnly = (name) => { if (call.kind !== 'viewer-request') throw new Error(`${name} is for viewer-request functions`); };
  const cloudfront = {
    kvs(id) {
      const store = id === undefined ? stores[0] : stores.find((each) => each === id);
      if (store === undefined) throw new Error('The function is not associated with this key value store');
      return {
        get: async (key, options) => inFormat(await ask(store, 'get', String(key)), options),
        exists: (key) => ask(store, 'exists', String(key)),
        count: () => ask(store, 'count', ''),
        meta: () => ask(store, 'meta', ''),
      };
    },
    updateRequestOrigin(changes) { viewerRequestOnly('updateRequestOrigin'); call.origin = { changes: changes || {} }; },
    selectRequestOriginById(id, changes) { viewerRequestOnly('selectRequestOriginById'); call.origin = { id: String(id), changes: changes || {} }; },
    createRequestOriginGroup() { throw new Error('createRequestOriginGroup is not implemented here'); },
  };
  const MODULES = { cloudfront, crypto, querystring, buffer: { Buffer } };
  const load = (name) => {
    if (!Object.hasOwn(MODULES, name)) throw new Error(`Cannot find module "${name}"`);
    return MODULES[name];
  };

  // ------------------------------------------------------------------------------------------------- globals

  const written = (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return value.stack ? `${value}` : String(value);
    if (typeof value === 'object' && value !== null) { try { return stringify(value); } catch (e) { return String(value); } }
    return String(value);
  };
  const line = (...values) => { if (call.logs.length < 1000) call.logs.push(values.map(written).join(' ')); };
  const RealDate = Date;
  function StillDate(...given) {
    if (!new.target) return new RealDate(call ? call.now : 0).toString();
    return Reflect.construct(RealDate, given.length ? given : [call ? call.now : 0], new.target);
  }
  StillDate.prototype = RealDate.prototype;
  hide(RealDate.prototype, { constructor: StillDate });
  hide(StillDate, { now: () => (call ? call.now : 0), parse: RealDate.parse, UTC: RealDate.UTC });
  const none = (name) => () => { throw new Error(`${name} is not available in CloudFront Functions`); };
  const NoFunction = none('Function');
  for (const kind of [RealFunction, async function () {}.constructor, function* () {}.constructor, async function* () {}.constructor])
    hide(kind.prototype, { constructor: NoFunction });
  NoFunction.prototype = RealFunction.prototype;
  hide(global, {
    Buffer, Date: StillDate, Function: NoFunction, eval: none('eval'),
    console: { log: line, info: line, warn: line, error: line, debug: line },
    atob: (string) => fromLatin1(fromBase64(String(string))),
    btoa: (string) => toBase64(latin1(String(string)), false),
    TextEncoder: class TextEncoder { encode(string = '') { return new Uint8Array(utf8(String(string))); } },
    TextDecoder: class TextDecoder { decode(bytes) { return bytes === undefined ? '' : text(bytesOf(bytes)); } },
  });
  for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'performance', 'SharedArrayBuffer', 'Atomics']) delete global[name];
  if (version === '1.0') {
    hide(String, { bytesFrom: (data, encoding) => fromLatin1(typeof data === 'string' ? bytesOf(data, encoding) : data) });
    hide(String.prototype, {
      toBytes() { return fromLatin1(latin1(this)); }, fromBytes() { return String(this); },
      toUTF8() { return fromLatin1(utf8(String(this))); }, fromUTF8() { return text(latin1(this)); },
    });
  }

  // ------------------------------------------------------------------------------------------ for engine.py

  let begin;  // makes the function's top level anew and returns its handler
  const finished = (value) => {
    try {
      if (value === undefined || value === null || typeof value !== 'object') throw new Error('The function returned neither a request nor a response');
      const plain = call.origin === undefined && call.logs.length === 0;
      // never a concatenation: what is handed to Python must be one flat string (the binding knows no ropes)
      call.done = stringify(plain ? { result: value } : { result: value, origin: call.origin, logs: call.logs });
    } catch (problem) { failed(problem); }
  };
  const failed = (problem) => {
    const said = problem instanceof Error ? `${problem.name}: ${problem.message}` : `${written(problem)}`;
    call.done = stringify({ error: said, logs: call.logs });
  };
  return {
    compile(source, ids) {
      begin = RealFunction('require', 'exports', source + '\n;return typeof handler === "function" ? handler : undefined;');
      stores.push(...ids);
    },
    /* The answer, or undefined where a promise is under way: then pending jobs, then take(). */
    run(event, now, query) {
      for (const name in global) delete global[name];  // what an earlier call left without declaring it
      const given = parse(event);
      call = { logs: [], asked: [], origin: undefined, done: undefined, now, kind: given.context && given.context.eventType };
      try {
        const handler = begin(load, {});
        if (handler === undefined) throw new ReferenceError('"handler" is not defined');
        if (given.request) hide(given.request, { rawQueryString: () => query });
        const value = handler(given);
        if (value && typeof value.then === 'function') value.then(finished, failed);
        else finished(value);
      } catch (problem) { failed(problem); }
      return call.done;
    },
    /* What is there by now: the answer, or questions to the stores as a list, or undefined: nobody will ever answer. */
    take() {
      if (call.done !== undefined) return call.done;
      if (!call.asked.length) return undefined;
      return stringify(call.asked.map((each) => [each.store, each.operation, each.key]));
    },
    /* Answers in the order of the questions: {value} or {error}. */
    tell(answers) {
      const asked = call.asked;
      call.asked = [];
      parse(answers).forEach((answer, i) => { if ('error' in answer) asked[i].reject(new Error(answer.error)); else asked[i].resolve(answer.value); });
    },
  };
})
