"""Whether a value holds markup that runs script: XssMatchStatement, and SecLang's @detectXSS.

The value is read as HTML in the contexts that it may be put into: as text, and as the rest of an attribute without
quotes, in single, double or back quotes. What is dangerous in any of them: elements that run or load, event handlers,
attributes with a script URL or a style that runs, declarations that change how a document is read. One pass of RE2
expressions over the value: linear, without a parser.
"""

from __future__ import annotations

from littoral.edge.waf.patterns import PatternSet, options

LONGEST = 16384

_VALUE = rb"""["'`]?[\s\x00-\x20]*"""
_URL = (
    rb"(?:j[\s\x00]*a[\s\x00]*v[\s\x00]*a|v[\s\x00]*b|v[\s\x00]*i[\s\x00]*e[\s\x00]*w[\s\x00]*-)[\s\x00]*s[\s\x00]*c"
    rb"[\s\x00]*r?[\s\x00]*[io]?[\s\x00]*p?[\s\x00]*[tu]?[\s\x00]*[a-z]*[\s\x00]*:"
)
_ELEMENTS = (
    rb"script|iframe|frame|frameset|object|embed|applet|base|link|meta|style|svg|isindex|import|ilayer|layer|bgsound|"
    rb"comment|noembed|noscript|xml|xss|listener|handler|vmlframe|animate|set|foreignobject|math"
)
_URL_ATTRIBUTES = (
    rb"href|src|action|formaction|background|data|codebase|poster|cite|dynsrc|lowsrc|longdesc|from|to|values|by|"
    rb"xlink:href|folder|srcdoc|datasrc|classid"
)
_DANGEROUS = (
    rb"(?i)<[\s\x00]*/?(?:[a-z]+:)?(?:" + _ELEMENTS + rb")(?:[\s\x00/>\x0b]|\z)",
    rb"(?i)<[!?](?:\[if|\[endif|doctype|entity|element|attlist|import|xml)",
    rb"(?i)<\?(?:xml|import)",
    rb"""(?i)(?:<[a-z!/?][^>]*|\A[^<>]*["'`]?)["'`\s\x00/\x0b]on[a-z]{3,20}[\s\x00]*=""",
    rb"(?i)(?:<[a-z][^>]*|\A[^<>]*)["  # an attribute that loads, with a URL that runs
    rb"\"'`\s\x00/\x0b](?:" + _URL_ATTRIBUTES + rb")[\s\x00]*=[\s\x00]*" + _VALUE + _URL,
    rb"""(?i)<[a-z][^>]*["'`\s\x00/\x0b](?:style|filter)[\s\x00]*=""",
    rb"(?i)<[a-z][^>]*[\s/](?:xmlns|xlink:href|datafld|dataformatas|datasrc|srcdoc|attributename)[\s\x00:]*=",
)
_dangerous = PatternSet(_DANGEROUS, options(dot_nl=True))


def is_xss(value: bytes) -> bool:
    if b"<" not in value and b"=" not in value:
        return False
    return _dangerous.match(value[:LONGEST]) != 0
