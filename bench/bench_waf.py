"""What a web ACL costs a cache hit: none, twenty rules, the Core Rule Set; and nginx with ModSecurity 3.

Over HTTP/1.1 keep-alive, a browser's headers, each server on one core, wrk on the other. Two loads: the same request
again and again, and one whose query no request had before (the object is the same, the cache key leaves the query out).
The rule set is the Debian package's (modsecurity-crs) for both sides, at its first paranoia level. What is not there is
left out, and said. Ends within two minutes; leaves no process.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bench_edge import HOST, ORIGIN, PATH, cpu, free_port, get, python, wait_for, worker_of

SECONDS = 3
CONNECTIONS = 32
RULES = Path("/usr/share/modsecurity-crs")
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Cookie": "session=f3b0a9d27c; theme=dark",
}
UNSEEN = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", wrk.path .. "?id=" .. n .. "&page=tide" .. n)
end
"""

EDGE = """
import asyncio, gc, sys, time, uvloop
from pathlib import Path
from littoral.edge import answer
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE
from littoral.edge.upstream import Upstream
from littoral.edge.waf.crs.groups import Groups
from littoral.edge.waf.crs.ruleset import Source
from littoral.edge.waf.guard import Firewall, Guard
from littoral.edge.waf.webacl import compile_acl
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
folder, origin, host, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
CONFIG = {
    "Enabled": True,
    "Origins": {"Items": [{"Id": "o", "DomainName": "127.0.0.1", "CustomOriginConfig": {
        "HTTPPort": origin, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}}]},
    "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all",
                             "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"},
}
SHOWN = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
def text(search, field, *steps):
    import base64
    return {"ByteMatchStatement": {"SearchString": base64.b64encode(search.encode()).decode(), "FieldToMatch": field,
        "PositionalConstraint": "CONTAINS",
        "TextTransformations": [{"Priority": n, "Type": each} for n, each in enumerate(steps or ("NONE",))]}}
def regex(pattern, field, *steps):
    made = text("x", field, *steps)["ByteMatchStatement"]
    return {"RegexMatchStatement": {"RegexString": pattern, "FieldToMatch": field,
                                    "TextTransformations": made["TextTransformations"]}}
PATH, QUERY, AGENT = {"UriPath": {}}, {"QueryString": {}}, {"SingleHeader": {"Name": "user-agent"}}
EVERY = {"MatchPattern": {"All": {}}, "MatchScope": "ALL", "OversizeHandling": "CONTINUE"}
STATEMENTS = [
    {"IPSetReferenceStatement": {"ARN": "set"}},
    {"NotStatement": {"Statement": {"IPSetReferenceStatement": {"ARN": "own"}}}},
    {"RateBasedStatement": {"Limit": 2000000000, "AggregateKeyType": "IP"}},
    text("/admin", PATH, "URL_DECODE", "LOWERCASE"), text("/.git", PATH, "URL_DECODE", "LOWERCASE"),
    text("/wp-login", PATH, "URL_DECODE", "LOWERCASE"), text(".php", PATH, "URL_DECODE", "LOWERCASE"),
    regex("/(etc|proc|sys)/", PATH, "URL_DECODE", "LOWERCASE"),
    text("sqlmap", AGENT, "LOWERCASE"), text("nikto", AGENT, "LOWERCASE"),
    regex("(curl|wget|python)/[0-9]", AGENT, "LOWERCASE"),
    text("<script", QUERY, "URL_DECODE", "LOWERCASE"), text("union select", QUERY, "URL_DECODE", "LOWERCASE"),
    regex("(or|and) [0-9]+=[0-9]+", QUERY, "URL_DECODE", "LOWERCASE"),
    {"SizeConstraintStatement": {"FieldToMatch": QUERY, "ComparisonOperator": "GT", "Size": 2048,
                                 "TextTransformations": [{"Priority": 0, "Type": "NONE"}]}},
    {"SqliMatchStatement": {"FieldToMatch": {"AllQueryArguments": {}},
                            "TextTransformations": [{"Priority": 0, "Type": "URL_DECODE"}]}},
    {"XssMatchStatement": {"FieldToMatch": {"AllQueryArguments": {}},
                           "TextTransformations": [{"Priority": 0, "Type": "URL_DECODE"}]}},
    text("stolen", {"Cookies": EVERY}),
    {"AndStatement": {"Statements": [text("/api", PATH, "URL_DECODE", "LOWERCASE"), text("bot", AGENT, "LOWERCASE")]}},
    {"LabelMatchStatement": {"Scope": "LABEL", "Key": "bad"}},
]
def bundle():
    if kind == "managed":
        rules = [{"Name": "m", "Priority": 0, "OverrideAction": {"None": {}}, "VisibilityConfig": SHOWN, "Statement": {
            "ManagedRuleGroupStatement": {"VendorName": "OWASP", "Name": "CoreRuleSetPL1"}}}]
    else:
        rules = [{"Name": f"r{n}", "Priority": n, "Action": {"Block": {}}, "VisibilityConfig": SHOWN, "Statement": each}
                 for n, each in enumerate(STATEMENTS)]
    acl = {"Name": "a", "ARN": "arn", "DefaultAction": {"Allow": {}}, "VisibilityConfig": SHOWN, "Rules": rules}
    return {"acl": acl, "addresses": {"set": [f"192.0.{n}.0/24" for n in range(200)], "own": ["127.0.0.0/8"]}}
async def main():
    pipeline = Pipeline(pop="BENCH1", folder=folder, upstream=Upstream(HttpClient(), "BENCH1"), invoker=None)
    pipeline.use({"E1": compile_plan("E1", host, CONFIG, MANAGED_CACHE)})
    pipeline.firewall = Firewall(time.time, answer.request_id)
    if kind != "none":
        managed = Groups(Source.open()).step if kind == "managed" else None
        pipeline.firewall.use({host: Guard(compile_acl(bundle(), managed=managed), "E1")})
        async def report():
            while True:
                await asyncio.sleep(1)
                pipeline.firewall.report(with_keys=True)
        asyncio.ensure_future(report())
    listener = await listen_http(pipeline.handle)
    gc.freeze()  # as a place does (site/lifecycle.py)
    gc.set_threshold(10_000, 20, 500)
    print(listener.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""

NGINX = """
load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type text/plain;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=one:10m max_size=100m; proxy_cache_key $uri;
  server {{
    listen 127.0.0.1:{port};
    modsecurity on; modsecurity_rules_file {folder}/rules.conf;
    location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache one; }}
  }}
}}
"""


@contextmanager
def modsecurity(folder: Path, origin: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    files = [path for path in sorted((RULES / "rules").glob("*.conf")) if "-910-" not in path.name]
    rules = ["SecRuleEngine On", "SecRequestBodyAccess On", "SecAuditEngine Off"]
    rules += ['SecAction "id:900990,phase:1,nolog,pass,t:none,setvar:tx.crs_setup_version=334"']
    rules += [f"Include {path}" for path in files]
    (folder / "rules.conf").write_text("\n".join(rules) + "\n")
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, origin=origin))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = ["taskset", "-c", "0", program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield port, worker_of(process.pid)
        finally:
            process.terminate()


def measure(name: str, port: int, pid: int, script: Path | None) -> tuple[float, float]:
    """Requests a second, and microseconds of CPU for each."""
    for _ in range(2):
        get(port, PATH)
    wrk = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", "-H", f"Host: {HOST}"]
    wrk += [word for key, value in HEADERS.items() for word in ("-H", f"{key}: {value}")]
    wrk += ["-s", str(script)] if script is not None else []
    url = f"http://127.0.0.1:{port}{PATH}"
    subprocess.run([*wrk, "-d1", url], check=True, capture_output=True)
    before = cpu(pid)
    shown = subprocess.run([*wrk, f"-d{SECONDS}", url], check=True, capture_output=True, text=True).stdout
    used = cpu(pid) - before
    if "Non-2xx" in shown:
        raise RuntimeError(f"{name} refused requests:\n{shown}")
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", shown)[0])
    count = int(re.findall(r"(\d+) requests in", shown)[0])
    load = "never seen" if script is not None else "the same"
    print(f"{name:<32} {load:<11} {rate:>9,.0f} hits/s {used / count * 1e6:8.1f} µs CPU each", flush=True)
    return rate, used / count * 1e6


def main() -> None:
    if shutil.which("wrk") is None:
        print("wrk is not installed: skipped")
        return
    spent: dict[tuple[str, bool], float] = {}
    with tempfile.TemporaryDirectory() as scripts, python(ORIGIN, 1) as (origin, _):
        unseen = Path(scripts) / "unseen.lua"
        unseen.write_text(UNSEEN)
        for kind, name in (("none", "no web ACL"), ("twenty", "20 rules"), ("managed", "Core Rule Set, level 1")):
            if kind == "managed" and not RULES.is_dir():
                print("modsecurity-crs is not installed: no rule set")
                continue
            with (
                tempfile.TemporaryDirectory() as folder,
                python(EDGE, 0, folder, str(origin), HOST, kind) as (port, pid),
            ):
                for script in (None, unseen):
                    spent[kind, script is None] = measure(f"littoral, {name}", port, pid, script)[1]
        if not Path("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so").exists() or not RULES.is_dir():
            print("libnginx-mod-http-modsecurity is not installed: no ratio")
        else:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder).chmod(0o755)
                with modsecurity(Path(folder), origin) as (port, pid):
                    for script in (None, unseen):
                        spent["peer", script is None] = measure("nginx, ModSecurity, level 1", port, pid, script)[1]
    for same in (True, False):
        load = "the same" if same else "never seen"
        for kind, other in (("none", "twenty"), ("none", "managed"), ("peer", "managed")):
            if (kind, same) in spent and (other, same) in spent:
                print(f"{load}: rate with {other} / rate with {kind}: {spent[kind, same] / spent[other, same]:.2f}")


if __name__ == "__main__":
    main()
