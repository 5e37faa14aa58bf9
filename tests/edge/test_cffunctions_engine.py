"""CloudFront functions by themselves: the language, the modules, the limits."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from littoral.edge.cffunctions.engine import DoesNotCompile, Engine, Ran
from littoral.edge.cffunctions.functions import Store

EVENT = {"version": "1.0", "context": {"eventType": "viewer-request"}, "request": {"method": "GET", "uri": "/"}}
STORE = Store({"a": "1", "j": '{"x": [1]}'}, 0.0, 60.0)


def engine(code: str, runtime: str = "2.0", stores: tuple[str, ...] = ()) -> Engine:
    text = code if "handler" in code else f"function handler(event) {{ {code} }}"
    return Engine(text, f"cloudfront-js-{runtime}", stores)


def run(code: str, runtime: str = "2.0", **event: Any) -> Ran:
    made = engine(code, runtime, ("S",))
    return made.call(json.dumps(EVENT | event), 1_700_000_000.5, "a=1&b", lambda _, what, key: STORE.answer(what, key))


def value(code: str, runtime: str = "2.0") -> Any:
    ran = run(f"return {{v: (() => {{ {code} }})()}}", runtime)
    assert ran.error is None, ran.error
    assert ran.result is not None
    return ran.result.get("v")


@pytest.mark.parametrize("word", ["function", "async function"])
def test_an_event_goes_in_and_an_answer_comes_out(word: str) -> None:
    ran = run(f"{word} handler(event) {{ event.request.uri += 'index.html'; console.log('to', event); return event; }}")
    assert ran.result == {**EVENT, "request": {"method": "GET", "uri": "/index.html"}}
    assert ran.logs == ["to " + json.dumps(ran.result, separators=(",", ":"))]
    assert 0 < ran.seconds < 1


def test_each_call_begins_anew() -> None:
    code = "var n = 0; let s = {}; function handler() { n++; m = (typeof m === 'undefined' ? 0 : m) + 1; s[n] = 1; "
    made = engine(code + "return {n, m, s, k: Object.keys(globalThis)}; }")
    for _ in range(3):
        assert made.call(json.dumps(EVENT), 0.0).result == {"n": 1, "m": 1, "s": {"1": 1}, "k": ["m"]}


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
@pytest.mark.parametrize("name", ["md5", "sha1", "sha256"])
def test_digests_are_those_of_everybody(name: str, size: int) -> None:
    data, key = "é" * (size // 2) + "x" * (size % 2), "k" * (size % 100 + 1)
    found = value(
        f"const c = require('crypto'); const d = {json.dumps(data)};"
        f"return [c.createHash('{name}').update(d).digest('hex'), c.createHash('{name}').update(d).digest('base64'),"
        f"c.createHmac('{name}', {json.dumps(key)}).update(d.slice(0, 3)).update(d.slice(3)).digest('hex')];"
    )
    expected = hashlib.new(name, data.encode(), usedforsecurity=False)
    assert found[0] == expected.hexdigest()
    assert len(found[1]) % 4 == 0
    assert found[2] == hmac.new(key.encode(), data.encode(), name).hexdigest()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Buffer.from('aGk', 'base64').toString()", "hi"),
        ("Buffer.from('aG-_', 'base64url').toString('hex')", "686fbf"),
        ("Buffer.from('é€😀').toString('hex')", "c3a9e282acf09f9880"),
        ("Buffer.from('c3a9e282acf09f9880', 'hex').toString()", "é€😀"),
        ("Buffer.from([0xff, 0x41]).toString()", "\ufffdA"),
        ("Buffer.concat([Buffer.from('a'), Buffer.from('bc')]).toString()", "abc"),
        ("Buffer.from([1, 2, 3, 4]).readUInt32BE(0)", 0x01020304),
        ("Buffer.from([1, 2, 3]).readUIntLE(0, 3)", 0x030201),
        ("Buffer.from([0xff, 0xff, 0xfe]).readIntBE(0, 3)", -2),
        ("(b => { b.writeInt16LE(-2, 1); return b.toString('hex'); })(Buffer.alloc(4))", "00feff00"),
        ("Buffer.from('abcabc').indexOf('ca')", 2),
        ("Buffer.from('abcabc').lastIndexOf('abc')", 3),
        ("Buffer.from('a').equals(Buffer.from('a'))", True),
        ("Buffer.compare(Buffer.from('a'), Buffer.from('b'))", -1),
        ("Buffer.alloc(5, 'ab').toString()", "ababa"),
        ("JSON.stringify(Buffer.from('a'))", '{"type":"Buffer","data":[97]}'),
        ("Buffer.isBuffer(Buffer.from('abc').slice(1)) && Buffer.byteLength('é')", 2),
        ("btoa('hi') + atob('aGk=')", "aGk=hi"),
        ("new TextDecoder().decode(new TextEncoder().encode('é'))", "é"),
        ("require('querystring').parse('a=1&a=%20x&b').a[1]", " x"),
        ("require('querystring').stringify({a: ['1', '&'], b: 'c d'})", "a=1&a=%26&b=c%20d"),
        ("Date.now()", 1_700_000_000_500),
        ("new Date().getTime() === Date.now() && new Date(0).toISOString()", "1970-01-01T00:00:00.000Z"),
        (
            "[typeof setTimeout, typeof fetch, typeof process, typeof performance, typeof std].join()",
            ",".join(["undefined"] * 5),
        ),
    ],
)
def test_what_a_function_finds_around_itself(code: str, expected: Any) -> None:
    assert value(f"return {code};") == expected


def test_the_older_runtime_has_its_own_ways() -> None:
    assert value("return String.bytesFrom('aGk', 'base64url')", "1.0") == "hi"
    assert value("return typeof require('crypto').createHash('md5').digest()", "1.0") == "string"
    assert value("return require('crypto').createHash('md5').digest().length") == 16


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("eval('1')", "eval is not available"),
        ("Function('return 1')()", "Function is not available"),
        ("(() => 1).constructor('return 1')()", "Function is not available"),
        ("(async () => 1).constructor('return 1')()", "Function is not available"),
        ("(function* () {}).constructor('return 1')()", "Function is not available"),
        ("require('fs')", 'Cannot find module "fs"'),
        ("nothing()", "ReferenceError: nothing is not defined"),
        ("return 7", "neither a request nor a response"),
        ("return undefined", "neither a request nor a response"),
        ("throw 'text'", "text"),
        ("function f() { return f() + 1 } return f()", "call stack"),
        ("const a = []; for (;;) a.push('x'.repeat(1000) + a.length)", "allowed memory"),
        ("for (;;);", "allowed execution time"),
        ("let a = {}; for (let i = 0; i < 20000; i++) a = {a}; return a", ""),
        ("return /^(a+)+$/.test('a'.repeat(40) + 'b')", "allowed execution time"),
        ("async function handler() { for (;;) await null; }", "allowed execution time"),
        ("async function handler() { await new Promise(() => {}); }", "never settled"),
        ("const handle = 1; // no handler", '"handler" is not defined'),
    ],
)
def test_what_fails_says_why_and_the_next_call_is_as_ever(code: str, said: str) -> None:
    text = code.replace("const handle = 1; // no handler", "var h; //handler")
    made = engine(text)
    ran = made.call(json.dumps(EVENT), 0.0)
    assert ran.result is None
    assert said in (ran.error or ""), ran.error
    assert made.call(json.dumps(EVENT), 0.0).error == ran.error


def test_a_context_outlives_a_function_that_used_it_up() -> None:
    made = engine("if (event.request.uri === '/bad') { const a = []; for (;;) a.push([1, 2, 3]) } return event.request")
    bad = json.dumps(EVENT | {"request": {"method": "GET", "uri": "/bad"}})
    for _ in range(3):
        assert made.call(bad, 0.0).error is not None
        assert made.call(json.dumps(EVENT), 0.0).result == EVENT["request"]


def test_keys_are_read_and_missing_ones_said() -> None:
    code = """
    import cf from 'cloudfront';
    import { createHash as hash } from "crypto"
    import * as qs from 'querystring';
    const kvs = cf.kvs();
    async function handler(event) {
        const meta = await kvs.meta();
        const [a, j] = await Promise.all([kvs.get('a'), kvs.get('j', {format: 'json'})]);
        let missing = await kvs.get('b').catch(String);
        return {a, j, missing, has: await kvs.exists('a'), hasnt: await cf.kvs('S').exists('b'), n: await kvs.count(),
                keys: meta.keyCount, at: meta.lastUpdatedDateTime, hash: hash('md5').digest('hex').slice(0, 4),
                qs: qs.stringify({a: 1}), raw: event.request.rawQueryString()};
    }"""
    assert run(code).result == {
        "a": "1",
        "j": {"x": [1]},
        "missing": "Error: KeyNotFound",
        "has": True,
        "hasnt": False,
        "n": 2,
        "keys": 2,
        "at": "1970-01-01T00:01:00Z",
        "hash": "d41d",
        "qs": "a=1",
        "raw": "a=1&b",
    }
    assert "not associated" in (run("import cf from 'cloudfront'; function handler() { cf.kvs('other') }").error or "")


def test_an_origin_may_be_chosen() -> None:
    code = "import cf from 'cloudfront'\nfunction handler(e) { cf.updateRequestOrigin({domainName: 'x'}); return e; }"
    assert run(code).origin == {"changes": {"domainName": "x"}}
    late = run(code, context={"eventType": "viewer-response"})
    assert "viewer-request functions" in (late.error or "")
    assert "not implemented" in (run(code.replace("updateRequestOrigin", "createRequestOriginGroup")).error or "")


@pytest.mark.parametrize(
    "code", ["function handler(", "handler = 1 2", "import x y from 'crypto'; var handler", "'\u0000"]
)
def test_what_is_no_javascript_is_refused_at_once(code: str) -> None:
    with pytest.raises(DoesNotCompile):
        engine(code + "//handler")
