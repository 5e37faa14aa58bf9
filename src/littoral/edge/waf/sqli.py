"""Whether a value looks like the rest of an SQL statement: SqliMatchStatement, and SecLang's @detectSQLi.

The value is read as SQL in up to three ways: as it stands, and as what follows an opening ``'`` or ``"`` of the
statement that it is meant to break out of. Each reading is cut into tokens, each token is one letter by its kind, and
the word of these letters is matched against shapes that statements have and text has not. No grammar, no database;
linear in the value, of which at most ``LONGEST`` bytes and ``MOST_TOKENS`` tokens are read.

    1 number          n name            s quoted string      v variable      f name of a function, before a parenthesis
    o operator        & logical operator                     U union         E statement (select, insert, …)
    D definition (create, drop, …)
    T procedural      k other keyword   B group by, order by c comment       X comment that MySQL executes
    H having
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
    "k": "from where into values table limit offset as on join inner outer cross natural using all distinct top case "
    "when then else end exists database schema if outfile dumpfile load procedure for desc asc collate escape",
    "B": "group order",
    "H": "having",
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
  | (?P<string>'(?:[^'\\]|\\.|'')*(?:'|\Z)|"(?:[^"\\]|\\.|"")*(?:"|\Z))
  | (?P<name>`[^`]*(?:`|\Z)|\[[^\]\[]*\])
  | (?P<variable>@@?(?:[\w$.]+|`[^`]*`)?)
  | (?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<word>[A-Za-z_\x80-\xff][\w$\x80-\xff]*(?:\.[A-Za-z_*][\w$]*)*)
  | (?P<logical>&&|\|\|)
  | (?P<operator><=>|<<|>>|<>|!=|<=|>=|:=|::|[-+*/%&|^~=<>!])
  | (?P<mark>[(),;])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LETTERS = {
    "mysql": "X",
    "comment": "c",
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
            rf"^[1sv)]+&+[(o]*(?:{_V}\)*[o&c]|[DE]|k(?:[^n]|n[^n]|n?$)|{_LITERAL}\)*$|f\()",  # ' or 1=1, 1 and sleep(
            rf"^n\)*&+[(o]*(?:{_V}o+{_LITERAL}|{_LITERAL}o+{_V}|f\(|\(+[DE]|[DE][1svf(k])",  # x or 1=1
            rf"^{_V}?\)*;c?[DETf]",  # ; drop table
            r"^[sv1n]?\)*[o&(]*\([DE][kfnv1s(o*]",  # (select …
            r"^E(?:[1svfo(]|k?\(?n?\)?,[1snvf(]|k?\(?n\)?k|kn(?:$|[;c&(BH]))",  # select … from
            r"^Dkn(?:$|[;c&(BH])",  # drop table x
            r"^[s1]\)*c",  # ' --
            r"^s\)*o+(?:[1sv]o|n(?:o+n)*o+s)",  # '='…=, '|x|'; a path in quotes is none
            rf"^s\)*o+{_LITERAL}\)*$",  # '='
            rf"^[1snv)]+o+\(*f\({_V}?",  # 1 - sleep(
            r"^[1s]\)*B[nk]?[1n(]",  # ' order by 1
            rf"^[1s]\)*H[(o]*(?:{_V}\)*[o&c]|f\()",  # ' having 1=1
            r"^[1snv)&o(]*X",
            r"^T[1svk]|^Tn[1svf(]",
            r"^[s1]\)*;?T[nkv1sf]",
            r"^f\([1snv]?[,)]",
            r"^[s1]\)+[&o]*[(]*[1s]o",
        )
    )
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
    readings = [shape(text)]
    readings += [shape(quote + text) for quote in "'\"" if quote in text]
    if any(_SHAPES.search(each) for each in readings):
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
        if letter == "c" and kinds and at < len(text):
            continue  # a comment between is white space
        if letter:
            kinds.append(letter)
    return "".join(kinds)


def _letter(found: re.Match[str], text: str, at: int) -> str:
    kind = found.lastgroup or ""
    if kind == "mark":
        return found[0]
    if kind != "word":
        return _LETTERS.get(kind, "")
    word = found[0].lower()
    called = text[at : at + 16].lstrip()[:1] == "("
    if called and word in _FUNCTIONS and word not in {"select", "exists"}:
        return "f"
    if word == "in" and text[at : at + 16].lstrip()[:1].isdigit():  # a year; a list has a parenthesis
        return "k"
    return _KIND.get(word, "n")
