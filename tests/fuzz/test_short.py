"""A short form of ``make fuzz``: no server error, no answer that the documents do not name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fuzz.heads import heads
from tests.fuzz.runs import covered, documented, grammar, mutations, replayed
from tests.fuzz.servers import Servers
from tests.fuzz.terminal import texts


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("fuzz"), sql_seconds=5) as running:
        yield running


def test_what_atheris_finds_in_this_process_the_server_answers_as_documented(servers: Servers, tmp_path: Path) -> None:
    decoded, corpus, complaint = covered(tmp_path, 2_000)
    assert (complaint, decoded) == (None, 2_000)
    found = replayed(servers, corpus)
    assert found.complaints == {}
    assert found.statuses.total() == 2 * len(corpus) > 0


def test_what_hypothesis_makes_of_the_grammar_is_answered_as_documented(servers: Servers) -> None:
    found = grammar(servers, 100, 1)
    assert found.complaints == {}
    assert {202, 422} <= set(found.statuses)


def test_mutations_of_good_requests_are_answered_as_documented(servers: Servers) -> None:
    found = mutations(servers, 2_000, 1, [])
    assert found.complaints == {}
    assert found.statuses.total() == 2_000
    assert {200, 202, 400, 401, 403, 415, 422} <= set(found.statuses)


def test_the_documents_are_what_the_services_do(servers: Servers, tmp_path: Path) -> None:
    found = documented(servers, 8, tmp_path)
    assert found.complaints == {}
    assert found.statuses.total() > 50


def test_what_no_client_sends_is_answered_or_cut_off_and_takes_no_memory(servers: Servers) -> None:
    found = heads(servers, 200, 1, growth=2.0)
    assert found.complaints == {}
    assert found.statuses[400] > 100


def test_no_text_is_obeyed_by_a_terminal() -> None:
    found = texts(100, 1)
    assert (found.complaints, found.texts) == ({}, 100)
