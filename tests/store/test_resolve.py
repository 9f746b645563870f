"""What people type becomes an id, or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.store.queries import Store, locate
from harness.store.resolve import check_tag
from harness.store.rows import ExperimentTagRow
from tests.store import build


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("resolve") / "results.db"
    tags = {"alpha0000000": ["good", "night"], "alphb0000000": ["night", "alphc0000000"], "alphc0000000": ["bravo"]}
    for number, (identifier, names) in enumerate(tags.items()):
        build.write(
            path,
            build.experiment(identifier, created_at=f"2026-01-0{number + 1}T00:00:00.000Z"),
            *[ExperimentTagRow(experiment_id=identifier, tag=name) for name in names],
        )
    build.write(
        path,
        build.cell("cellone00000", "alpha0000000"),
        build.run("runone000000", "cellone00000"),
        build.cell("celltwo00000", "alphb0000000"),
        build.cell("celltri00000", "alphb0000000", index=1),
        build.run("runtwo000000", "celltwo00000"),
        build.run("runtri000000", "celltwo00000", repeat=1),
        build.run("brav12345678", "celltri00000"),
    )
    with Store(path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "kinds", "found"),
    [
        ("alpha0000000", None, ("experiment", "alpha0000000")),
        ("alphb", None, ("experiment", "alphb0000000")),
        ("runone", None, ("run", "runone000000")),
        ("celltw", None, ("cell", "celltwo00000")),
        ("@latest", None, ("experiment", "alphc0000000")),
        ("@latest~0", None, ("experiment", "alphc0000000")),
        ("@latest~2", None, ("experiment", "alpha0000000")),
        ("good", None, ("experiment", "alpha0000000")),
        ("alphc0000000", None, ("experiment", "alphc0000000")),  # an id wins over a tag that looks like it
        ("bravo", None, ("experiment", "alphc0000000")),  # a tag wins over the beginning of an id
        ("brav1", None, ("run", "brav12345678")),
        ("runtwo", ["experiment"], ("experiment", "alphb0000000")),  # up
        ("runtwo", ["cell"], ("cell", "celltwo00000")),
        ("good", ["run"], ("run", "runone000000")),  # down, where there is no choice
        ("good", ["cell", "run"], ("cell", "cellone00000")),
        ("celltri", ["run"], ("run", "brav12345678")),
    ],
)
def test_what_is_typed_is_found(store: Store, text: str, kinds, found) -> None:
    assert (store.resolve(text, kinds) if kinds else store.resolve(text)) == found


@pytest.mark.parametrize(
    ("text", "kinds", "message", "hint"),
    [
        ("alph", None, "'alph' is the beginning of 3 ids", "alpha0000000, alphb0000000, alphc0000000"),
        ("al", None, "'al' is too short for an id, and no tag", "at least 3 characters"),
        ("night", None, "tag 'night' is on 2 experiments", "alphb0, alpha0"),
        ("nigth", None, "'nigth' names no experiment, cell or run here", "did you mean the tag 'night'?"),
        ("celloxe", ["cell"], "'celloxe' names no cell here", "did you mean 'cellone00000'?"),
        ("zzzzzz", ["cell", "run"], "'zzzzzz' names no cell or run here", "`bench list` shows"),
        ("@latest~3", None, "'@latest~3' names no experiment: there are 3 here", "the oldest is @latest~2"),
        ("@lates", None, "'@lates' is not like @latest or @latest~1", "did you mean '@latest'?"),
        ("@latest~99999999999999999999", None, "names no experiment: there are 3 here", "the oldest"),
        ("alphb", ["run"], "'alphb' is no run: it names the experiment alphb0, which has 2 cells", "celltw, celltr"),
        ("celltwo", ["run"], "'celltwo' is no run: it names the cell celltw, which has 2 runs", "runtwo, runtri"),
        ("@latest", ["run"], "'@latest' is no run: it names the experiment alphc0, which has no cells", None),
    ],
)
def test_what_is_not_clear_is_told_in_one_sentence(store: Store, text: str, kinds, message: str, hint) -> None:
    with pytest.raises(UsageError) as caught:
        store.resolve(text, kinds) if kinds else store.resolve(text)
    assert message in caught.value.message
    assert caught.value.hint is None if hint is None else hint in (caught.value.hint or "")


@given(st.text(max_size=12))
def test_any_text_is_found_or_refused(store: Store, text: str) -> None:
    try:
        kind, identifier = store.resolve(text)
    except UsageError:
        return
    assert store.resolve(identifier) == (kind, identifier)


def test_latest_in_an_empty_database_says_so(tmp_path: Path) -> None:
    build.write(tmp_path / "results.db")
    with Store(tmp_path / "results.db") as empty, pytest.raises(UsageError, match="there are none here"):
        empty.resolve("@latest")


def test_another_database_is_named_before_the_id() -> None:
    here = Path("results.db")
    assert locate("abc", here) == (here, "abc")
    assert locate("old/other.db::@latest", here) == (Path("old/other.db"), "@latest")
    assert locate("~/a.db::x", here) == (Path.home() / "a.db", "x")
    assert locate("odd::name.db::x", here) == (Path("odd::name.db"), "x")
    for text in ("::abc", "other.db::", "::"):
        with pytest.raises(UsageError, match=r"is not like other\.db::ID"):
            locate(text, here)


def test_tags_can_stand_beside_ids_on_a_command_line() -> None:
    for tag in ("nightly", "v1.2", "a/b", "2026-01-02", "größe"):
        assert check_tag(tag) == tag
    for tag in ("", "@latest", "-x", "a b", "a::b", "x" * 65, "~x", ".hidden"):
        with pytest.raises(UsageError, match="cannot be a tag"):
            check_tag(tag)
