"""What a web ACL costs a cache hit: none, twenty rules, the Core Rule Set; and nginx with ModSecurity 3.

Over HTTP/1.1 keep-alive, a browser's headers, each server on one core, wrk on the other. Two loads: the same request
again and again, and one whose query no request had before (the object is the same, the cache key leaves the query out).
The rule set is the Debian package's (modsecurity-crs) for both sides, at its first paranoia level. What is not there is
left out, and said. Ends within two minutes; leaves no process.
"""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from edge_server import PATH, edge, origin
from servers import NGINX, get, nginx, wrk

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

SHOWN = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
Statement = dict[str, Any]


def transformed(field: Statement, steps: tuple[str, ...]) -> Statement:
    told = [{"Priority": n, "Type": each} for n, each in enumerate(steps or ("NONE",))]
    return {"FieldToMatch": field, "TextTransformations": told}


def text(search: str, field: Statement, *steps: str) -> Statement:
    encoded = base64.b64encode(search.encode()).decode()
    match = {"SearchString": encoded, "PositionalConstraint": "CONTAINS", **transformed(field, steps)}
    return {"ByteMatchStatement": match}


def regex(pattern: str, field: Statement, *steps: str) -> Statement:
    return {"RegexMatchStatement": {"RegexString": pattern, **transformed(field, steps)}}


NAME: Statement = {"UriPath": {}}
QUERY: Statement = {"QueryString": {}}
AGENT: Statement = {"SingleHeader": {"Name": "user-agent"}}
EVERY = {"MatchPattern": {"All": {}}, "MatchScope": "ALL", "OversizeHandling": "CONTINUE"}
STATEMENTS: list[Statement] = [
    {"IPSetReferenceStatement": {"ARN": "set"}},
    {"NotStatement": {"Statement": {"IPSetReferenceStatement": {"ARN": "own"}}}},
    {"RateBasedStatement": {"Limit": 2000000000, "AggregateKeyType": "IP"}},
    text("/admin", NAME, "URL_DECODE", "LOWERCASE"),
    text("/.git", NAME, "URL_DECODE", "LOWERCASE"),
    text("/wp-login", NAME, "URL_DECODE", "LOWERCASE"),
    text(".php", NAME, "URL_DECODE", "LOWERCASE"),
    regex("/(etc|proc|sys)/", NAME, "URL_DECODE", "LOWERCASE"),
    text("sqlmap", AGENT, "LOWERCASE"),
    text("nikto", AGENT, "LOWERCASE"),
    regex("(curl|wget|python)/[0-9]", AGENT, "LOWERCASE"),
    text("<script", QUERY, "URL_DECODE", "LOWERCASE"),
    text("union select", QUERY, "URL_DECODE", "LOWERCASE"),
    regex("(or|and) [0-9]+=[0-9]+", QUERY, "URL_DECODE", "LOWERCASE"),
    {
        "SizeConstraintStatement": {
            "FieldToMatch": QUERY,
            "ComparisonOperator": "GT",
            "Size": 2048,
            "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
        }
    },
    {
        "SqliMatchStatement": {
            "FieldToMatch": {"AllQueryArguments": {}},
            "TextTransformations": [{"Priority": 0, "Type": "URL_DECODE"}],
        }
    },
    {
        "XssMatchStatement": {
            "FieldToMatch": {"AllQueryArguments": {}},
            "TextTransformations": [{"Priority": 0, "Type": "URL_DECODE"}],
        }
    },
    text("stolen", {"Cookies": EVERY}),
    {"AndStatement": {"Statements": [text("/api", NAME, "URL_DECODE", "LOWERCASE"), text("bot", AGENT, "LOWERCASE")]}},
    {"LabelMatchStatement": {"Scope": "LABEL", "Key": "bad"}},
]


def bundle(kind: str) -> Statement:
    """The web ACL of that kind, as a location gets it."""
    if kind == "managed":
        group = {"ManagedRuleGroupStatement": {"VendorName": "OWASP", "Name": "CoreRuleSetPL1"}}
        rules = [{"Name": "m", "Priority": 0, "OverrideAction": {"None": {}}, "Statement": group}]
    else:
        rules = [
            {"Name": f"r{n}", "Priority": n, "Action": {"Block": {}}, "Statement": each}
            for n, each in enumerate(STATEMENTS)
        ]
    rules = [{**rule, "VisibilityConfig": SHOWN} for rule in rules]
    acl = {"Name": "a", "ARN": "arn", "DefaultAction": {"Allow": {}}, "VisibilityConfig": SHOWN, "Rules": rules}
    return {"acl": acl, "addresses": {"set": [f"192.0.{n}.0/24" for n in range(200)], "own": ["127.0.0.0/8"]}}


MODSECURITY = (
    "load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;"
    + NGINX
    + """
  access_log off; proxy_cache_path {folder}/cache keys_zone=one:10m max_size=100m; proxy_cache_key $uri;
  server {{
    listen 127.0.0.1:{port};
    modsecurity on; modsecurity_rules_file {rules};
    location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache one; }}
  }}
}}
"""
)


def modsecurity(folder: Path, behind: int) -> AbstractContextManager[tuple[int, int]]:
    files = [path for path in sorted((RULES / "rules").glob("*.conf")) if "-910-" not in path.name]
    lines = ["SecRuleEngine On", "SecRequestBodyAccess On", "SecAuditEngine Off"]
    lines += ['SecAction "id:900990,phase:1,nolog,pass,t:none,setvar:tx.crs_setup_version=334"']
    lines += [f"Include {path}" for path in files]
    (folder / "rules.conf").write_text("\n".join(lines) + "\n")
    return nginx(MODSECURITY, origin=behind, rules=folder / "rules.conf")


def measure(
    name: str, running: AbstractContextManager[tuple[int, int]], loads: Mapping[str, Path | None]
) -> list[float]:
    """Microseconds of CPU a request, for each of the two loads."""
    spent = []
    with running as (port, pid):
        url = f"http://127.0.0.1:{port}{PATH}"
        for _ in range(2):
            get(url)
        for load, script in loads.items():
            found = wrk(url, pid, connections=CONNECTIONS, seconds=SECONDS, headers=HEADERS, script=script)
            print(f"{name:<32} {load:<11} {found.rate:>9,.0f} hits/s {found.spent:8.1f} µs CPU each", flush=True)
            spent.append(found.spent)
    return spent


def main() -> None:
    if shutil.which("wrk") is None:
        print("wrk is not installed: skipped")
        return
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, origin() as behind:
        folder = Path(name)
        folder.chmod(0o755)
        unseen = folder / "unseen.lua"
        unseen.write_text(UNSEEN)
        loads = {"the same": None, "never seen": unseen}
        for kind, shown in (("none", "no web ACL"), ("twenty", "20 rules"), ("managed", "Core Rule Set, level 1")):
            if kind == "managed" and not RULES.is_dir():
                print("modsecurity-crs is not installed: no rule set")
                continue
            acl = folder / f"{kind}.json"
            acl.write_text(json.dumps(bundle(kind)))
            guarded = [] if kind == "none" else ["--acl", str(acl)]
            spent[kind] = measure(f"littoral, {shown}", edge(folder / kind, behind, *guarded), loads)
        if not Path("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so").exists() or not RULES.is_dir():
            print("libnginx-mod-http-modsecurity is not installed: no ratio")
        else:
            spent["peer"] = measure("nginx, ModSecurity, level 1", modsecurity(folder, behind), loads)
    for number, load in enumerate(loads):
        for kind, other in (("none", "twenty"), ("none", "managed"), ("peer", "managed")):
            if kind in spent and other in spent:
                ratio = spent[kind][number] / spent[other][number]
                print(f"{load}: rate with {other} / rate with {kind}: {ratio:.2f}")


if __name__ == "__main__":
    main()
