"""What a gateway has beside the store: streams, and services that answer alike while nothing is configured."""

from typing import Any

from tests.compat.differential.draw import Draw, Step

QUIET = b"nobody/"


class DrawStreams(Draw):
    """Draws steps for servers that are reached through gRPC, or through JSON."""

    def __init__(self, seed: int, *, grpc: bool = True) -> None:
        super().__init__(seed)
        self._grpc = grpc
        self._makers = (
            *self._makers, (4, self.watch), (0.5, self.watch_ids), (1, self.keep_alives), (1, self.service),
            (3, self.users),
        )  # fmt: skip

    def watch(self) -> Step:
        """A watch from now, from the past, from before a compaction, or from later on."""
        key = self.key()
        start = 0 if self.chance(0.2) else max(0, self.some_revision())  # known.py: not below 0
        request: dict[str, Any] = {
            "key": key,
            "range_end": self.range_end(key),
            "start_revision": start + (start == self.compacted),  # known.py
            "filters": self.dice.choice(([], [], [], [0], [1], [0, 1], [1, 1])),
        }
        for name in ("prev_kv", "fragment", "progress_notify"):
            if self.chance(0.4):
                request[name] = True
        if self.chance(0.2):
            request["watch_id"] = self.dice.choice((1, 7, 2**63 - 1))
        return "+watch", request

    def watch_ids(self) -> Step:
        """Watches that are given ids, or not, and ended, or not. Only what must be answered is."""
        requests: list[dict[str, Any]] = []
        answers = 0
        live: set[int] = set()
        upcoming = 0
        for _ in range(self.dice.randint(1, 5)):
            if live and self.chance(0.3):
                ended = self.dice.choice(sorted(live))
                live.discard(ended)
                requests.append({"cancel_request": {"watch_id": ended}})
            else:
                wanted = self.dice.choice((0, 0, 3, 4))
                request: dict[str, Any] = {"key": QUIET, "watch_id": wanted}
                if self.chance(0.1):
                    request["range_end"] = QUIET[:-1]  # before the key: refused
                else:
                    if not wanted:
                        while upcoming in live:
                            upcoming += 1
                        wanted, upcoming = upcoming, upcoming + 1
                    live.add(wanted)
                requests.append({"create_request": request})
            answers += 1
        return "+watch_ids", {"requests": requests, "answers": answers}

    def keep_alives(self) -> Step:
        """Renewals of leases that are there or are not, in one stream."""
        return "+keep_alives", {"ids": [self.lease() for _ in range(self.dice.randint(1, 4))]}

    def users(self) -> Step:
        """A change of users and roles, or a look at them. Nobody is called root: authentication must stay off. Each
        range has a key of its own, since etcd has one that shares it with another twice (docs/gateway.md)."""
        choice = self.dice.choice
        user, role = choice(("", "nobody", "u/1", "u/2", "ü")), choice(("", "none", "r1", "r2", "root"))
        key, range_end = choice(((b"a", b""), (b"b", b"c"), (b"c", b"\0"), (b"d\xff", b"e")))
        perm = {"permType": self.dice.randrange(3), "key": key, "range_end": range_end}
        steps: list[Step] = [
            ("user_add", {"name": user, "options": {"no_password": True}}),
            ("user_add", {"name": user, "options": {"no_password": True}}),
            ("user_delete", {"name": user}),
            ("user_change_password", {"name": user}),
            ("user_grant_role", {"user": user, "role": role}),
            ("user_grant_role", {"user": user, "role": role}),
            ("user_revoke_role", {"name": user, "role": role}),
            ("user_get", {"name": user}),
            ("user_list", {}),
            ("role_add", {"name": role}),
            ("role_delete", {"role": role}),
            ("role_grant_permission", {"name": role, "perm": perm}),
            ("role_grant_permission", {"name": role, "perm": perm}),
            ("role_revoke_permission", {"role": role, "key": key, "range_end": range_end}),
            ("role_get", {"role": role}),
            ("role_list", {}),
            ("auth_status", {}),
        ]
        return choice(steps)

    def service(self) -> Step:
        """A call to another service that changes nothing."""
        nobody = {"name": self.dice.choice(("", "nobody"))}
        revision = self.some_revision()
        hash_kv = [("hash_kv", {"revision": revision})] if self._grpc and revision != self.compacted else []  # known.py
        steps: list[Step] = [
            ("alarm", {}),
            ("alarm", {"action": self.dice.choice((0, 2)), "alarm": self.dice.randint(0, 2)}),
            ("auth_enable", {}),
            ("auth_status", {}),
            ("authenticate", {**nobody, "password": "x"}),
            ("user_get", nobody),
            ("user_list", {}),
            ("role_get", {"role": nobody["name"]}),
            ("role_list", {}),
            ("member_promote", {"ID": 4711}),
            ("member_remove", {"ID": 4711}),
            ("move_leader", {"targetID": 4711}),
            *hash_kv,
        ]
        return self.dice.choice(steps)
