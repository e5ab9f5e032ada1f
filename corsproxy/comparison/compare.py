"""
Two files held against each other: everything that one lets in more or less than the other.

It says what settings mean, not what texts say: a policy that was moved, renamed or written otherwise is the same.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from corsproxy.changes import changes
from corsproxy.comparison.difference import Difference, Effect
from corsproxy.comparison.policies import Written, compare_policies
from corsproxy.comparison.regions import Region, regions
from corsproxy.comparison.surroundings import compare_proxies, compare_routes
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route, Settings
from corsproxy.cors.policy import CorsPolicy

# What is compared in detail, and needs no mention by name.
_TOLD: Final = frozenset({"routes", "cors", "hosts", "public_url", "headers", "cookies", "upstream", "strip_prefix", "tests"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences, those that are so for all routes first; `others` are further keys of the file that differ and let nobody in."""

    differences: tuple[Difference, ...]
    others: tuple[str, ...] = ()

    @property
    def widens(self) -> bool:
        """Whether something is, or may be, allowed that was not."""
        return any(each.effect.widens for each in self.differences)

    def of(self, effect: Effect) -> tuple[Difference, ...]:
        """Return the differences of one kind."""
        return tuple(each for each in self.differences if each.effect is effect)


def compare(old: Settings, new: Settings) -> Comparison:
    """Say what differs between two files. Pure; never raises."""
    found = [*compare_proxies(old, new)]
    for region in regions(old, new):
        found += [replace(each, path=region.path, hosts=region.hosts) for each in _in_region(region)]
    told = {each.key.partition(".")[0] for each in found}
    others = tuple(name for name in changes(old, new) if name not in _TOLD | told)
    return Comparison(tuple(dict.fromkeys(found)), others)


def _in_region(region: Region) -> list[Difference]:
    old, new = region.old, region.new
    if new is None:
        assert old is not None  # noqa: S101 - a region has one of the two
        return [Difference(Effect.NARROWED, "routes", f"no longer served: it went to {old.upstream.url}", place=str(old.place))]
    if old is None:
        return [_served(new), *compare_policies(Written(None), _written(new))]
    found = [*compare_policies(_written(old), _written(new)), *compare_routes(old, new)]
    if new.path.decode() == region.path != old.path.decode() and found:
        found.append(Difference(Effect.CHANGED, "routes", f"has a route of its own; `{old.path.decode()}` took it", place=str(new.place)))
    if old.path.decode() == region.path != new.path.decode() and found:
        found.append(Difference(Effect.CHANGED, "routes", f"has no route of its own any longer: `{new.path.decode()}` takes it"))
    return found


def _served(new: Route) -> Difference:
    is_open = isinstance(new.cors, CorsPolicy) or new.cors is CorsMode.PASSTHROUGH
    who = "and pages of other origins may call" if is_open else "but not for pages of other origins"
    effect = Effect.WIDENED if is_open else Effect.CHANGED
    return Difference(effect, "routes", f"is served now, by {new.upstream.url}, {who}", place=str(new.place))


def _written(route: Route) -> Written:
    return Written(route.cors, route.places)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Write a comparison as the values of JSON; members are only ever added. Pure."""
    return {
        "widens": comparison.widens,
        "differences": [
            {
                "effect": each.effect.value,
                "path": each.path,
                "hosts": list(each.hosts),
                "key": each.key,
                "words": each.words,
                "items": list(each.items),
                "place": each.place,
            }
            for each in comparison.differences
        ],
        "others": list(comparison.others),
    }
