"""
The smallest change to a file that lets a call pass, what it risks, and whom else it concerns.

It turns what `amended` found into lines of the file, or into flags where flags hold the policy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from corsproxy.config.diagnostics import Source
from corsproxy.config.settings import PolicyPlaces, Settings
from corsproxy.cors.names import SAFELISTED_METHODS
from corsproxy.cors.origin import parse_origin
from corsproxy.cors.pattern import parse_pattern
from corsproxy.cors.policy import DEFAULT_METHODS, DEFAULT_REQUEST_HEADERS, CorsPolicy
from corsproxy.explanation import file_edits
from corsproxy.explanation.amended import Additions, Impossible, amend, reach
from corsproxy.explanation.file_edits import Edit, Hunk, listed, quoted
from corsproxy.problems import Fault
from corsproxy.reasons import places_of
from corsproxy.rehearse import Rehearsal

_ORIGINS: Final = "allow_origins"


@dataclass(frozen=True, slots=True)
class Change:
    """
    What to write so that the call works.

    `words` say it in a sentence. `file` is the file's name, `edits` what changes in its text, and `hunks` the same as lines to show; all
    are empty where the policy came from flags or variables, or stands in the file in a way that cannot be extended with certainty.
    `flags` are to be added to the command line. `risks` are what it lets in beside the call; `reach` are the routes that the policy
    speaks for. `elsewhere` names the flag or variable that the policy came from, if no file can be changed.
    """

    words: str
    file: str = ""
    edits: tuple[Edit, ...] = ()
    hunks: tuple[Hunk, ...] = ()
    flags: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()
    elsewhere: str = ""

    def apply(self, text: str) -> str:
        """Return the file's text with the change made."""
        return file_edits.apply(text, self.edits)


def propose(settings: Settings, rehearsal: Rehearsal) -> Change | Impossible:
    """Say what to change so that a call works, or why no change is safe or of use. Pure; never raises."""
    added = amend(settings, rehearsal)
    if isinstance(added, Impossible):
        return added
    exchange = rehearsal.decisive
    places, policy = places_of(settings, exchange), exchange.planned.context.cors
    words = _in_words(added)
    risks, concerned = tuple(_risks(added, policy)), reach(settings, exchange, added.keys)
    # A mode, and flags alone, hold no policy in a file.
    edits = _edits(added, policy, places) if places is not None else None
    flags = _flags(added, places)
    file = next((source for source in _sources(places) if source.is_file), None)
    if edits and file is not None:
        return Change(words, file.name, edits, file_edits.hunks(file.lines, edits), flags, risks, concerned)
    where = next((source.name for source in _sources(places) if not source.is_file), "")
    return Change(words, flags=flags, risks=risks, reach=concerned, elsewhere=where)


def _sources(places: PolicyPlaces | None) -> Iterator[Source]:
    spans = (*places.values.values(), *places.keys.values(), places.cors) if places is not None else ()
    yield from (span.source for span in spans)


def _edits(added: Additions, policy: object, places: PolicyPlaces) -> tuple[Edit, ...] | None:
    """Write the additions into the file; None if one of them cannot be, nothing if none belongs there."""
    if added.opens:
        edit = file_edits.replace_value(places, "cors", _whole_policy(added))
        return (edit,) if edit is not None else None
    made: list[Edit | None] = []
    if added.origin and not _is_flag(places, _ORIGINS):
        made.append(file_edits.extend_list(places, _ORIGINS, (added.origin,)))
    if added.socket:
        made.append(_add_socket(added, policy, places))
    if added.methods:
        made.append(_extend(places, "allow_methods", DEFAULT_METHODS, added.methods))
    if added.headers:
        made.append(_extend(places, "allow_headers", DEFAULT_REQUEST_HEADERS, added.headers))
    if added.credentials and not _is_flag(places, "allow_credentials"):
        key = "allow_credentials"
        made.append(file_edits.replace_value(places, key, "true") if key in places.keys else file_edits.add_key(places, key, "true"))
    whole = tuple(edit for edit in made if edit is not None)
    return whole if len(whole) == len(made) else None


def _extend(places: PolicyPlaces, key: str, default: tuple[str, ...], more: tuple[str, ...]) -> Edit | None:
    if key in places.keys:
        return file_edits.extend_list(places, key, more)
    return file_edits.add_key(places, key, listed((*default, *more)))


def _add_socket(added: Additions, policy: object, places: PolicyPlaces) -> Edit | None:
    is_closed = isinstance(policy, CorsPolicy) and policy.sockets is not None and not policy.sockets.patterns
    if is_closed:
        return file_edits.replace_value(places, "websocket_origins", listed((added.socket,)))
    return file_edits.extend_list(places, "websocket_origins", (added.socket,))


def _whole_policy(added: Additions) -> str:
    parts = [f"allow_origins: {listed((added.origin,))}"]
    if added.methods:
        parts.append(f"allow_methods: {listed((*DEFAULT_METHODS, *added.methods))}")
    if added.headers:
        parts.append(f"allow_headers: {listed((*DEFAULT_REQUEST_HEADERS, *added.headers))}")
    if added.credentials:
        parts.append("allow_credentials: true")
    return f"{{{', '.join(parts)}}}"


def _is_flag(places: PolicyPlaces | None, key: str) -> bool:
    """Tell whether the value came from elsewhere than a file, or would, because the whole policy did."""
    span = places.values.get(key) if places is not None else None
    if span is None:
        return places is not None and places.body is not None and not places.body.source.is_file
    return not span.source.is_file


def _flags(added: Additions, places: PolicyPlaces | None) -> tuple[str, ...]:
    wanted = [(_ORIGINS, f"--allow-origin {added.origin}")] if added.origin and not added.opens else []
    wanted += [("allow_credentials", "--allow-credentials")] if added.credentials and not added.opens else []
    return tuple(flag for key, flag in wanted if _is_flag(places, key) and _is_from_flags(places, key))


def _is_from_flags(places: PolicyPlaces | None, key: str) -> bool:
    span = places.values.get(key) if places is not None else None
    # What no flag set, beside flags that set the rest, a flag can.
    return span is None or span.source.name.startswith("flag ")


def _in_words(added: Additions) -> str:
    if added.opens:
        return f"give the route a policy for `{added.origin}`, in the place of `cors: none`"
    done = [f"`{quoted(added.origin)}` to `allow_origins`"] if added.origin else []
    done += [f"`{quoted(added.socket)}` to `websocket_origins`"] if added.socket else []
    done += [f"{_names(added.methods)} to `allow_methods`"] if added.methods else []
    done += [f"{_names(added.headers)} to `allow_headers`"] if added.headers else []
    said = [f"add {_joined(done)}"] if done else []
    said += ["write `allow_credentials: true`"] if added.credentials else []
    return ", and ".join(said)


def _names(texts: tuple[str, ...]) -> str:
    return _joined([f"`{text}`" for text in texts])


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _risks(added: Additions, policy: object) -> Iterator[str]:
    """Yield what the additions let in beside the call."""
    has_credentials = added.credentials or (isinstance(policy, CorsPolicy) and policy.credentials)
    if added.opens:
        yield "the route was closed to pages of other origins on purpose: ask who closed it"
    if added.origin:
        yield from _risks_of_origin(added.origin, has_credentials=has_credentials)
    if added.socket:
        yield f"every page of `{added.socket}` may open WebSockets, which no CORS check limits afterwards"
    everybody = "every origin that the policy names" if not (isinstance(policy, CorsPolicy) and policy.any_origin) else "every web site"
    if added.methods:
        changing = [method for method in added.methods if method.encode() not in SAFELISTED_METHODS]
        yield f"{everybody} may send {', '.join(changing or added.methods)}, also to paths where nobody thought of it"
    if added.headers:
        yield f"{everybody} may set {', '.join(added.headers)}: see that the API does not trust what it says"
    if any(name.lower() == "authorization" for name in added.headers):
        yield "a script can then send any token that it has, in the visitor's name or another's"
    if added.credentials:
        yield f"pages of {everybody} act as the visitor, with the visitor's session: a hole in one of these pages is a hole in the API"


def _risks_of_origin(text: str, *, has_credentials: bool) -> Iterator[str]:
    as_visitor = ", as the visitor and with the visitor's session" if has_credentials else ""
    yield f"every page and every script on `{text}` may call, and read the answers{as_visitor}"
    pattern, origin = parse_pattern(text), parse_origin(text.encode())
    if not isinstance(pattern, Fault) and pattern.is_insecure:
        yield "it is plain http: whoever controls the visitor's network can put a script there"
    if origin is not None and (origin.host == b"localhost" or origin.host.startswith(b"127.") or origin.host == b"[::1]"):
        yield "it is the visitor's own machine: whatever program serves pages on that port may call; keep it out of a production file"
