"""Routes: for one topic, who gets what. Worked out once, kept until a subscription or a policy changes.

A route is *plain* when those of its receivers that are there have one protocol level and ask for nothing special; then
a connection forwards the very bytes that it read, or stores them for those whose sessions are durable, there or not.
``generation`` grows with every change; whoever keeps a route compares it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from littoral.protocols.mqtt.packets import Filter
from littoral.things.broker.local import LocalSubscriber
from littoral.things.broker.session import Grant, Session
from littoral.things.broker.tree import Tree

MAX_ROUTES: Final = 50_000


@dataclass(slots=True)
class Delivery:
    session: Session
    qos: int
    no_local: bool  # one of its subscriptions says so
    retain_as_published: bool
    identifiers: tuple[int, ...]
    own: Delivery | None = None  # what is left where the session is the sender


class Group:
    """The members of one shared subscription take turns (5.0 s. 4.8.2)."""

    __slots__ = ("members", "name", "turn")

    def __init__(self, name: str) -> None:
        self.name = name  # with its filter
        self.members: dict[Session, Grant] = {}
        self.turn = 0

    def choose(self, topic: str) -> Delivery | None:
        """The next that is connected and may receive; without one, the next that is durable."""
        sessions = list(self.members)
        for connected in (True, False):
            for offset in range(1, len(sessions) + 1):
                turn = (self.turn + offset) % len(sessions)
                session = sessions[turn]
                there = session.connection is not None and not session.paused
                wanted = there if connected else not session.transient
                if wanted and session.access.receive(session.client, topic):
                    self.turn = turn
                    grant = self.members[session]
                    identifiers = (grant.identifier,) if grant.identifier else ()
                    return Delivery(session, grant.qos, False, grant.retain_as_published, identifiers)
        return None


@dataclass(slots=True)
class Route:
    topic: str
    generation: int
    deliveries: list[Delivery] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    locals: list[LocalSubscriber] = field(default_factory=list)
    taps: list[LocalSubscriber] = field(default_factory=list)
    plain: int = 0  # the one protocol level of a plain route, or 0
    at_qos0: list[Session] = field(default_factory=list)  # of a plain route
    at_qos1: list[Session] = field(default_factory=list)  # and transient
    kept: list[Session] = field(default_factory=list)  # at QoS 1 and durable
    everyone: list[Session] = field(default_factory=list)  # of a plain route, that is there
    receivers: int = 0  # of a plain route at QoS 1: those there, and those that are kept for who is away


RESERVED: Final = Route("", 0)  # of a topic that is handled in this process: never plain


class Router:
    def __init__(self) -> None:
        self._sessions: Tree[Session, Grant] = Tree()
        self._groups: Tree[tuple[str, str], Group] = Tree()
        self._locals: Tree[LocalSubscriber, LocalSubscriber] = Tree()
        self._taps: Tree[LocalSubscriber, LocalSubscriber] = Tree()
        self._routes: dict[str, Route] = {}
        self.generation = 0

    def changed(self) -> None:
        self.generation += 1
        self._routes.clear()

    @property
    def subscriptions(self) -> int:
        return self._sessions.size + self._groups.size

    # ----------------------------------------------------------------------------------- subscriptions

    def subscribe(self, session: Session, line: Filter, grant: Grant) -> bool:
        """True where the session had no subscription of that filter."""
        new = line.filter not in session.grants
        session.grants[line.filter] = grant
        self.place(session, grant)
        return new

    def place(self, session: Session, grant: Grant) -> None:
        if grant.group is None:
            self._sessions.add(grant.filter, session, grant)
        else:
            key = (grant.group, grant.filter)
            group = self._groups.get(grant.filter, key)
            if group is None:
                group = Group("/".join(key))
                self._groups.add(grant.filter, key, group)
            group.members[session] = grant
        self.changed()

    def unsubscribe(self, session: Session, text: str) -> bool:
        grant = session.grants.pop(text, None)
        if grant is None:
            return False
        self._remove(session, grant)
        return True

    def forget(self, session: Session) -> None:
        for grant in session.grants.values():
            self._remove(session, grant)

    def _remove(self, session: Session, grant: Grant) -> None:
        if grant.group is None:
            self._sessions.remove(grant.filter, session)
        else:
            key = (grant.group, grant.filter)
            group = self._groups.get(grant.filter, key)
            if group is not None:
                group.members.pop(session, None)
                if not group.members:
                    self._groups.remove(grant.filter, key)
        self.changed()

    def add_local(self, filter: str, subscriber: LocalSubscriber, *, tap: bool) -> None:
        (self._taps if tap else self._locals).add(filter, subscriber, subscriber)
        self.changed()

    def remove_local(self, filter: str, subscriber: LocalSubscriber, *, tap: bool) -> None:
        if (self._taps if tap else self._locals).remove(filter, subscriber):
            self.changed()

    # ------------------------------------------------------------------------------------------ routes

    def route(self, topic: str) -> Route:
        found = self._routes.get(topic)
        if found is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            found = self._routes[topic] = self._work_out(topic)
        return found

    def heard(self, topic: str) -> bool:
        """Whether anybody gets it: for who would otherwise make up a message for nobody."""
        route = self.route(topic)
        return bool(route.deliveries or route.groups or route.locals or route.taps)

    def _work_out(self, topic: str) -> Route:
        route = Route(topic, self.generation)
        by_session: dict[Session, list[Grant]] = {}
        for session, grant in self._sessions.match(topic):
            if not _applies(session, grant, topic):
                continue
            if session in by_session:
                by_session[session].append(grant)
            elif (session.connection is not None or not session.transient) and session.access.receive(
                session.client, topic
            ):
                by_session[session] = [grant]
        route.deliveries = [_delivery(session, grants) for session, grants in by_session.items()]
        route.groups = [group for _, group in self._groups.match(topic)]
        route.locals = [each for each, _ in self._locals.match(topic)]
        route.taps = [each for each, _ in self._taps.match(topic)]
        _simplify(route)
        return route


def _applies(session: Session, grant: Grant, topic: str) -> bool:
    return session.profile.hash_matches_parent or grant.filter != topic + "/#"


def _delivery(session: Session, grants: list[Grant]) -> Delivery:
    """Overlapping subscriptions: one copy, of the highest QoS, with every identifier (5.0 s. 3.3.4)."""
    merged = Delivery(
        session,
        max(grant.qos for grant in grants),
        any(grant.no_local for grant in grants),
        any(grant.retain_as_published for grant in grants),
        tuple(grant.identifier for grant in grants if grant.identifier),
    )
    if merged.no_local and (others := [grant for grant in grants if not grant.no_local]):
        merged.own = _delivery(session, others)
    return merged


def _simplify(route: Route) -> None:
    if route.groups or route.locals or route.taps:
        return
    levels = set()
    for each in route.deliveries:
        session = each.session
        if each.no_local or each.identifiers or (session.expiry and session.backlog is None):
            return
        if session.connection is not None:
            if session.max_packet or session.most_aliases:
                return
            levels.add(session.level)
        elif session.backlog is None:
            return
    if len(levels) > 1:
        return
    there = [each for each in route.deliveries if each.session.connection is not None]
    route.plain = levels.pop() if levels else -1
    route.at_qos0 = [each.session for each in there if each.qos == 0]
    route.at_qos1 = [each.session for each in there if each.qos and each.session.backlog is None]
    route.kept = [each.session for each in route.deliveries if each.qos and each.session.backlog is not None]
    route.everyone = [each.session for each in there]
    route.receivers = len(route.at_qos0) + len(route.at_qos1) + len(route.kept)
