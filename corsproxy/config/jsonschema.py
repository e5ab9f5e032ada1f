"""
The JSON Schema of the file, made from the table of keys.

Editors complete and check by it while a file is written; the loader stays the judge, because it knows what a schema
cannot say: what belongs together, what is named elsewhere, how large a written size is.
"""

import json
import re
from typing import Any, Final

from corsproxy.config import patterns
from corsproxy.config.choices import CorsMode
from corsproxy.config.keys_admin import OFF
from corsproxy.config.keys_tests import EXPECTATIONS
from corsproxy.config.nodes import json_of, read_value
from corsproxy.config.scalars import AUTO, MAX_TEXT, NONE
from corsproxy.config.schema import CORS, EXPECT, EXTENSION_PREFIX, FILE, ROUTE, SECTIONS, TESTS, Key, Kind
from corsproxy.cors.names import SENDABLE_METHODS
from corsproxy.cors.origins import ANY
from corsproxy.cors.policy import MAX_MAX_AGE_S, NO_SOCKETS, SOCKETS_AS_CORS

Schema = dict[str, Any]

_INTERPOLATED: Final = r"\$\{"
_ALONE: Final[Schema] = {"if": {"contains": {"const": ANY}}, "then": {"maxItems": 1}}


def json_schema() -> Schema:
    """
    Make the schema. Pure.

    Spec: JSON Schema draft-07, which the language servers of editors know.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "corsproxy.schema.json",
        "title": "A policy for corsproxy",
        **_object(list(SECTIONS[FILE].values())),
        "patternProperties": {f"^{EXTENSION_PREFIX}": {}},
        "allOf": _FILE_RULES,
        "definitions": {
            **_TEXTS,
            "boolean": {"anyOf": [{"type": "boolean"}, _ref("interpolated")]},
            **{section: _object(list(keys.values())) | _RULES.get(section, {}) for section, keys in SECTIONS.items() if section != FILE},
        },
    }


def schema_text() -> str:
    """Write the schema as the file that is shipped. Pure."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$|{_INTERPOLATED}"}


_TEXTS: Final[Schema] = {
    "interpolated": {"type": "string", "pattern": _INTERPOLATED},
    "address": _text(patterns.ADDRESS),
    "digits": _text(patterns.DIGITS),
    "duration": _text(patterns.DURATION),
    "duration_or_zero": {"anyOf": [{"const": 0}, _text(patterns.DURATION_OR_ZERO)]},
    "host": _text(patterns.HOST),
    "field_name": _text(patterns.FIELD_NAME),
    "name": _text(patterns.TOKEN),
    "network": _text(patterns.NETWORK),
    "origin": {
        "anyOf": [
            _text(patterns.ORIGIN),
            # The word `null` without quotes is the origin of that name.
            {"type": "null"},
            {
                "type": "object",
                "properties": {"regex": {"type": ["string", "integer", "boolean"], "minLength": 1, "maxLength": MAX_TEXT}},
                "required": ["regex"],
                "additionalProperties": False,
            },
        ],
    },
    "public_url": _text(patterns.PUBLIC_URL),
    "route_path": _text(patterns.ROUTE_PATH),
    "size": _text(patterns.SIZE),
    "upstream_url": _text(patterns.UPSTREAM_URL),
}


def _object(keys: list[Key]) -> Schema:
    made: Schema = {"type": "object", "properties": {key.name: _key(key) for key in keys}, "additionalProperties": False}
    required = [key.name for key in keys if key.is_required]
    needs = {key.name: list(key.needs) for key in keys if key.needs}
    return made | ({"required": required} if required else {}) | ({"dependencies": needs} if needs else {})


def _key(key: Key) -> Schema:
    made: Schema = {"description": key.doc}
    if key.default:
        made["default"] = json_of(read_value(key.default))
    if key.example and key.example != key.default:
        made["examples"] = [json_of(read_value(key.example))]
    body = _body(key)
    # Draft-07 ignores whatever stands beside a reference.
    return made | ({"allOf": [body]} if "$ref" in body else body)


def _body(key: Key) -> Schema:
    match key.kind:
        case Kind.CHOICE:
            return {"anyOf": [{"enum": [*key.choices, *_numbers(key.choices)]}, _ref("interpolated")]}
        case Kind.COUNT | Kind.COUNT_OR_AUTO:
            word = [{"const": AUTO}] if key.kind is Kind.COUNT_OR_AUTO else []
            return {"anyOf": [{"type": "integer", "minimum": key.least, "maximum": key.most}, *word, _ref("digits")]}
        case Kind.NAMES:
            return _list_or_any(_NAMES.get(key.name, _ref("name")), _STAR_AMONG_NAMES.get(key.name, _ALONE))
        case Kind.SECTION if key.section == ROUTE and any(child.is_global for child in SECTIONS[key.children].values()):
            return _object([child for child in SECTIONS[key.children].values() if not child.is_global])
        case Kind.SECTION if key.choices:
            return {"anyOf": [{"enum": list(key.choices)}, _ref(key.children)]}
        case Kind.SECTION:
            return _ref(key.children)
        case Kind.UPSTREAM:
            return {"oneOf": [_ref("upstream_url"), _ref(key.children)]}
        case _:
            return _BODIES[key.kind]


def _numbers(words: tuple[str, ...]) -> list[float]:
    """Return those of some words that YAML reads as numbers with a fraction, which is how they look to a schema without quotes."""
    return [float(word) for word in words if re.fullmatch(r"[0-9]+\.[0-9]+", word)]


def _one_or_many(name: str, rule: Schema) -> Schema:
    return {"oneOf": [_ref(name), {"type": "array", "items": _ref(name), "minItems": 1, **rule}]}


def _list_or_any(item: Schema, rule: Schema) -> Schema:
    return {"oneOf": [{"const": ANY}, _ref("interpolated"), {"type": "array", "items": item, **rule}]}


_METHODS: Final = sorted(method.decode() for method in SENDABLE_METHODS)
_NAMES: Final[Schema] = {"allow_methods": {"anyOf": [{"enum": [ANY, *_METHODS]}, _ref("interpolated")]}}
# Authorization is listed beside `*`, which does not stand for it.
_STAR_AMONG_NAMES: Final[Schema] = {"allow_headers": {}}

# Kinds whose schema is the same for every key.
_BODIES: Final[dict[Kind, Schema]] = {
    Kind.ADDRESSES: _one_or_many("address", {}),
    Kind.ADDRESS_OR_OFF: {"anyOf": [{"const": OFF}, _ref("address")]},
    Kind.HOSTS: _one_or_many("host", {"uniqueItems": True, **_ALONE}),
    Kind.ORIGIN_URLS: _one_or_many("public_url", {"uniqueItems": True}),
    Kind.URL: _ref("upstream_url"),
    Kind.DURATION: _ref("duration"),
    Kind.DURATION_OR_ZERO: _ref("duration_or_zero"),
    Kind.SECONDS: {"anyOf": [{"type": "integer", "minimum": 0}, _text(patterns.SECONDS)]},
    Kind.SIZE: _ref("size"),
    Kind.SIZE_OR_NONE: {"anyOf": [{"const": NONE}, _ref("size")]},
    Kind.RATE: _text(patterns.RATE),
    Kind.RATE_KEY: _text(patterns.RATE_KEY),
    Kind.BOOLEAN: _ref("boolean"),
    Kind.ORIGINS: _list_or_any(_ref("origin"), {"minItems": 1, **_ALONE}),
    Kind.SOCKET_ORIGINS: {
        "oneOf": [{"enum": [ANY, SOCKETS_AS_CORS, NO_SOCKETS]}, {"type": "array", "items": _ref("origin"), "minItems": 1, **_ALONE}]
    },
    Kind.POLICY: {"oneOf": [_ref(CORS), {"type": "string", "anyOf": [{"enum": list(CorsMode)}, {"minLength": 1}]}]},
    Kind.POLICIES: {
        "type": "object",
        "propertyNames": {"minLength": 1, "not": {"enum": list(CorsMode)}},
        "additionalProperties": _ref(CORS),
    },
    Kind.ROUTES: {"type": "array", "items": _ref(ROUTE)},
    Kind.PATH: _ref("route_path"),
    Kind.TESTS: {"type": "array", "items": _ref(TESTS)},
    Kind.ORIGIN: {"anyOf": [_text(patterns.PAGE_ORIGIN), {"type": "null"}]},
    Kind.NETWORKS: {"oneOf": [_ref("network"), {"type": "array", "items": _ref("network")}]},
    Kind.FIELD_NAME: _ref("field_name"),
    Kind.FIELD_NAMES: {"oneOf": [_ref("interpolated"), {"type": "array", "items": _ref("field_name")}]},
    Kind.FIELDS: {
        "type": "object",
        "propertyNames": {"pattern": f"^(?:{patterns.FIELD_NAME})$"},
        "additionalProperties": {"type": ["string", "integer", "number", "boolean"], "pattern": _text(patterns.FIELD_VALUE)["pattern"]},
    },
    Kind.HOST_HEADER: _text(patterns.HOST_NAME),
    Kind.COOKIE_DOMAIN: _text(patterns.HOST_NAME),
    Kind.FILE: {"type": "string", "minLength": 1},
    Kind.HOST_NAME: _text(patterns.HOST_NAME),
    Kind.METHOD: {"anyOf": [{"enum": _METHODS}, _ref("interpolated")]},
    Kind.REQUEST_PATH: _text(patterns.REQUEST_PATH),
    Kind.HOST: _text(patterns.REQUEST_HOST),
    Kind.HEADER_NAMES: {"type": "array", "items": _ref("name")},
    Kind.EXPECTATION: {"anyOf": [{"enum": list(EXPECTATIONS)}, _ref("interpolated"), _ref(EXPECT)]},
    Kind.HEADER_VALUES: {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^(?:{patterns.TOKEN})$"},
        "additionalProperties": {"type": ["string", "integer", "boolean", "null"]},
    },
}


def _where(item: Schema, **settings: bool) -> Schema:
    """Describe a policy that has such an origin in one of its lists, and these settings."""
    said = {name: {"const": value} for name, value in settings.items()}
    return {
        "required": list(settings),
        "properties": said,
        "anyOf": [
            {"required": [name], "properties": {name: {"type": "array", "contains": item}}}
            for name in ("allow_origins", "websocket_origins")
        ],
    }


def _unless(key: str, schema: Schema) -> Schema:
    return {"if": {"not": {"required": [key], "properties": {key: {"const": True}}}}, "then": {"not": schema}}


def _all_listed(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"const": ANY}}}


_NULL: Final[Schema] = {"enum": [None, "null"]}
_INSECURE: Final[Schema] = {"type": "string", "pattern": f"^{patterns.INSECURE_ORIGIN}$"}
_CREDENTIALS: Final[Schema] = {"required": ["allow_credentials"], "properties": {"allow_credentials": {"const": True}}}
# What stands beside the keys of a section: the rules that bind several of them.
_RULES: Final[Schema] = {
    CORS: {
        "allOf": [
            {"if": _CREDENTIALS, "then": {"not": _all_listed("allow_origins")}},
            {"if": _CREDENTIALS, "then": {"not": _all_listed("websocket_origins")}},
            {"not": _where({"const": ANY}, allow_credentials=True)},
            {"not": _where(_NULL, allow_credentials=True)},
            _unless("dangerously_allow_null_origin", _where(_NULL)),
            _unless("dangerously_allow_insecure_origins", _where(_INSECURE, allow_credentials=True)),
            {"properties": {"max_age": {"maximum": MAX_MAX_AGE_S}}},
        ],
    },
}
# Each path that is served has an upstream and a policy: one at the top level, or one in each route.
_FILE_RULES: Final[list[Schema]] = [
    {"anyOf": [{"required": [name]}, {"required": ["routes"], "properties": {"routes": {"minItems": 1, "items": {"required": [name]}}}}]}
    for name in ("upstream", "cors")
] + [
    {
        "anyOf": [
            {"required": ["cors"]},
            {"not": {"required": ["upstream"]}},
            {
                "required": ["routes"],
                "properties": {"routes": {"contains": {"required": ["path"], "properties": {"path": {"const": "/"}}}}},
            },
        ],
    },
]
