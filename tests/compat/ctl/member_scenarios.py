"""The member commands and move-leader on a cluster of one; `test_three_members` has what needs more."""

import json

from tests.compat.ctl.sides import Side

ANY = "(any order)"
"""Ends the label of a step whose order depends on ids, which are drawn."""


def members(side: Side) -> None:
    """A cluster of one, and learners that nobody starts, so that it never waits for anybody."""
    own = side.quiet("member", "list").split(",")[0]
    for number, form in enumerate(side.formats, 1):
        url = f"http://127.0.0.9:{number}"
        side.run(
            "member", "add", "fresh", "--learner", f"--peer-urls={url}", "-w", form, label=f"member add -w {form} {ANY}"
        )
        side.run("member", "list", "-w", "json", label=f"member list after add {form} {ANY}")
        learner = next(line.split(",")[0] for line in side.quiet("member", "list").split("\n") if url in line)
        both = f"--peer-urls={url},http://127.0.0.9:900"
        side.run("member", "promote", learner, "-w", form, label=f"member promote -w {form} {ANY}")
        side.run("member", "update", learner, both, "-w", form, label=f"member update -w {form} {ANY}")
        side.run("member", "remove", learner, "-w", form, label=f"member remove -w {form} {ANY}")
        side.run("move-leader", own, "-w", form, label=f"move-leader to itself -w {form}")
    wrong: tuple[tuple[str, ...], ...] = (
        (), ("a", "b"), ("a", "http://x:1"), ("a", "--peer-urls="), ("a", "--peer-urls=bogus"),
        ("a", "--peer-urls=http://x"), ("a", "--peer-urls=http://x:1/y"), ("a", "--peer-urls=bogus", "-w", "bogus"),
    )  # fmt: skip
    for words in wrong:
        side.run("member", "add", *words)
    peer = json.loads(side.quiet("member", "list", "-w", "json"))["members"][0]["peerURLs"][0]
    side.run("member", "add", "a", f"--peer-urls={peer}", label="member add at another's URL")
    side.quiet("member", "add", "a", "--learner", "--peer-urls=http://127.0.0.9:31,http://127.0.0.9:32")
    side.run("member", "add", "b", "--learner", "--peer-urls=http://127.0.0.9:33")
    side.run("member", "list", "-w", "json", label=f"member list with a learner {ANY}")
    learner = next(line.split(",")[0] for line in side.quiet("member", "list").split("\n") if "127.0.0.9:31," in line)
    side.run("move-leader", learner, label="move-leader to a learner")
    side.run("member", "update", learner, f"--peer-urls={peer}", label="member update to another's URL")
    side.quiet("member", "remove", learner)
    for verb in ("remove", "update", "promote"):
        urls = ["--peer-urls=http://x:5"] if verb == "update" else []
        side.run("member", verb)
        side.run("member", verb, "a", "b")
        side.run("member", verb, "zz", *urls)
        side.run("member", verb, "11112222333344445", *urls)
        side.run("member", verb, "1234", *urls)
        side.run("member", verb, learner, *urls, label=f"member {verb} one that was removed")
    side.run("member", "update", "1234")
    side.run("member", "update", "1234", "--peer-urls=bogus")
    side.run("member", "promote", own, label="member promote a voter")
    side.run("member", "remove", own, label="member remove the last voter")
    side.run("member")
    for line in ("", "1", "zzz", "a b"):
        side.run("move-leader", *line.split())
