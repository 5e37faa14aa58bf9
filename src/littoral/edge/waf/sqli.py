"""Whether a value looks like the rest of an SQL statement: SqliMatchStatement, and SecLang's @detectSQLi.

The value is read as SQL in up to three ways: as it stands, and as what follows an opening ``'`` or ``"`` of the
statement that it is meant to break out of. Each reading is cut into tokens, each token is one letter by its kind, and
the word of these letters is matched against shapes that statements have and text has not. No grammar, no database;
linear in the value, of which at most ``LONGEST`` bytes and ``MOST_TOKENS`` tokens are read.

    1 number          n name            s quoted string      v variable      f name of a function, before a parenthesis
    o operator        & logical operator                     U union         E statement (select, insert, …)
    D definition (create, drop, …)
    T procedural      k other keyword   B group, order       b by            X comment that MySQL executes
    H having          W where           c comment            r comment from # on that says something
    ? what no statement holds: a row of asterisks or of equal signs, a brace that only closes
"""

from __future__ import annotations

import re

LONGEST = 8192
MOST_TOKENS = 40

_WORDS = {
    "E": "select insert update delete replace merge",
    "D": "truncate alter create drop rename",
    "T": "declare exec execute waitfor shutdown begin handler",
    "U": "union intersect except",
    "&": "and or xor",
    "o": "like rlike regexp between div mod is not in similar ilike",
    "k": "from into values table limit offset as on join inner outer cross natural using all distinct top case "
    "when then else end exists database schema if outfile dumpfile load procedure for desc asc collate escape",
    "B": "group order",
    "b": "by",
    "H": "having",
    "W": "where",
    "1": "null true false",
}
_KIND = {word: kind for kind, words in _WORDS.items() for word in words.split()}
_FUNCTIONS = frozenset(
    """abs ascii avg benchmark bin char char_length chr coalesce concat concat_ws conv convert count cast database
    dbms_pipe decode elt exp extractvalue field floor found_rows gtid_subset group_concat hex if ifnull instr isnull
    json_keys last_insert_id left length load_file locate lower lpad ltrim make_set max md5 mid min now nullif ord
    password pg_sleep pow rand randomblob repeat replace reverse right round row_count schema sha sha1 sleep space
    sqlite_version strcmp substr substring sum sysdate system_user to_char trim unhex updatexml upper user uuid version
    xmltype current_user current_database session_user isnumeric newid iif nvl makedate waitfor exists select""".split()
)
_TOKEN = re.compile(
    r"""
    (?P<space>(?:[\s\x00\xa0]|%[0-9a-fA-F]{2})+)  # what is still encoded is read when it is decoded
  | (?P<mysql>/\*!\d*)
  | (?P<comment>/\*(?:[^*]|\*(?!/))*(?:\*/|\Z)|--[^\n]*|\#[^\n]*)
  | (?P<row>={3,}|\*{2,})
  | (?P<brace>[{}])
  | (?P<string>'(?:[^'\\]|\\.|'')*(?:'|\Z)|"(?:[^"\\]|\\.|"")*(?:"|\Z))
  | (?P<name>`[^`]*(?:`|\Z)|\[[^\]\[]*\])
  | (?P<variable>@@?(?:[\w$.]+|`[^`]*`)?)
  | (?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<word>[A-Za-z_\x80-\xff][\w$\x80-\xff]*(?:\.[A-Za-z_*][\w$]*|[|-]\w[\w$]*(?![\w$]|\s*\())*)
  | (?P<logical>&&|\|\|)
  | (?P<operator><=>|<<|>>|<>|!=|<=|>=|:=|::|[-+*/%&|^~=<>!])
  | (?P<mark>[(),;])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LETTERS = {
    "mysql": "X",
    "row": "?",
    "string": "s",
    "name": "n",
    "variable": "v",
    "number": "1",
    "logical": "&",
    "operator": "o",
}

# A value: a number, string, name or variable, or the beginning of a call.
_V = r"(?:o*[1snv]|o*f\()"
_LITERAL = r"(?:o*[1sv]|o*f\()"
_SHAPES = re.compile(
    "|".join(
        (
            r"^[snv1)o(,&]*c?U[ck(]*[DE]",  # … union [all] [(] select
            rf"^[sv1)]+&+[(o]*(?:{_LITERAL}\)*[o&cr]|[DE]|k(?:[^n]|n[^n]|n?$)|f\()",  # ' or 1=1
            r"^[sv)][sv1)]*&+[(o]*n\)*(?:[oc]|&[^n])",  # ' or a=1
            r"^[1)]+&+[(o]*n\)*(?:c|&[^n]|o+(?:[nv(]|f\(|[1s]\)*(?:[^)s1]|$)))",  # 1 or a=1
            rf"^[sv)]+&+[(o]*{_LITERAL}\)*$",  # ' or 1
            rf"^n\)*&+[(o]*(?:{_V}o+{_LITERAL}|{_LITERAL}o+{_V}|f\(|\(+[DE]|[DE][1svf(kW])",  # x or 1=1
            rf"^o*(?:[1s]\)*|\)+)(?:kn)?W\(*{_LITERAL}o+{_LITERAL}",  # ') as x where 1=1
            rf"^{_V}?\)*;c?[DETf]",  # ; drop table
            r"^[sv1n]?\)*[o&(]*\([DE][kWfnv1s(o*]",  # (select …
            r"^[1s]\)*,\(*E[kf1v(]",  # 1, (select 1
            r"^E(?:[svf(]|1(?:[^n]|$)|o[kW(]|k?\(?n?\)?,[1snvf(]|k?\(?n\)?[kW]|kn(?:$|[;cr&(BH]))",  # select … from
            r"^Dkn(?:$|[;cr&(BH])",  # drop table x
            r"^[s1]\)*c|^[s1]\)+r",  # ' --
            rf"^[1snv)]+o+\(*f\({_V}?",  # 1 - sleep(
            r"^[1s]\)*Bb[1n(]",  # ' order by 1
            rf"^[1s]\)*H[(o]*(?:{_V}\)*[o&cr]|f\()",  # ' having 1=1
            r"^[1snv)&o(]*X",
            r"^T[1svk]|^Tn[1svf(]",
            r"^[s1]\)*;?T[nkv1sf]",
            r"^f\((?:[1snv]?[,)]|1o1,)",
            r"^[s1]\)+[&o]*[(]*[1s]o",
        )
    )
)
# What goes on behind a string that it has broken out of; a value that begins with a string of its own is a list.
_BROKEN_OUT = re.compile(
    "|".join(
        (
            r"^s\)*o+(?:[sv]o|1(?:o+n)*o+[1svf]|n(?:o+n)*o+s)",  # '='…=, '|x|'; a path in quotes is none
            r"^s\)*o+(?:o*[sv]|o*f\()\)*$",  # '='
        )
    )
)
# Fields that are separated by bars, a||b|c, or an identifier and such with names, a1b2c3d4||t=1|cs=2: no logic.
_LISTED = re.compile(
    r"(?!\d.*--|.*--\Z)[\w.:,&~-]*(?:\|\|?[\w.:,&~-]*)+\Z|\w{8,}\|\|[a-z]{1,4}=\w+(?:\|[a-z]{1,4}=\w+)+\Z"
)
# A word of its own in messages, '<unknown>': no comparisons.
_PLACEHOLDER = re.compile(r"""(?:(?<=\s)|^)(['"])<[\w -]{1,40}>\1(?=[\s.,;:)]|$)""")
_PLAIN = re.compile(rb"\A[\w.@ -]*\Z")
_WORDY = re.compile(
    rb"(?i)\b(?:select|union|insert|update|delete|drop|or|and|exec|declare|having|order|group|sleep)\b|--"
)


def is_sqli(value: bytes, *, sensitive: bool = False) -> bool:
    """One word of letters and digits is never. ``sensitive`` is a statement's sensitivity level HIGH: it also takes a
    value that breaks out of a string and goes on with an operator."""
    if len(value) < 3 or value.isalnum() or (_PLAIN.match(value) and not _WORDY.search(value)):
        return False
    text = _PLACEHOLDER.sub(" x ", value[:LONGEST].decode("latin-1"))
    if _LISTED.match(text):
        return False
    readings = [shape(text)]
    readings += [shape(quote + text) for quote in "'\"" if quote in text]
    if any(map(_SHAPES.search, readings)) or any(map(_BROKEN_OUT.search, readings[1:])):
        return True
    return sensitive and any(re.match(r"^s\)*[o&;,]", each) for each in readings[1:])


def shape(text: str) -> str:
    """The word of the tokens' letters."""
    kinds: list[str] = []
    at = 0
    while at < len(text) and len(kinds) < MOST_TOKENS:
        found = _TOKEN.match(text, at)
        assert found is not None  # the last alternative takes anything
        at = found.end()
        letter = _letter(found, text, at)
        if letter in {"c", "r"} and kinds and at < len(text):
            continue  # a comment between is white space
        if letter:
            kinds.append(letter)
    return "".join(kinds)


def _letter(found: re.Match[str], text: str, at: int) -> str:
    kind = found.lastgroup or ""
    if kind == "mark":
        return found[0]
    if kind == "brace":  # MySQL takes {x name}
        return "?" if found[0] == "}" and "{" not in text[: found.start()] else ""
    if kind == "comment":
        return "r" if found[0].startswith("#") and found[0].strip("# -") else "c"
    if kind != "word":
        return _LETTERS.get(kind, "")
    word = found[0].lower()
    called = text[at : at + 16].lstrip()[:1] == "("
    if called and word in _FUNCTIONS and word not in {"select", "exists"}:
        return "f"
    if word == "in" and text[at : at + 16].lstrip()[:1].isdigit():  # a year; a list has a parenthesis
        return "k"
    return _KIND.get(word, "n")
