"""Loading is a function of the set of events: order, split and repetition change nothing."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import NOW, block, impression, registered, watched

from clapometer.eventlog import MemoryLog
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings

MAKERS = (impression, watched, registered)
sent = st.lists(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=6),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=3,
)
"""Loads of blocks of events, each named by its kind and number."""


@settings(max_examples=25, deadline=None)
@given(loads=sent, batch_bytes=st.sampled_from([300, 3000, 1 << 20]))
def test_events_in_any_order_split_and_repetition_give_the_same_table_and_a_ledger_of_zero(loads, batch_bytes):
    with tempfile.TemporaryDirectory() as folder:
        lake, log = Lake(Path(folder)), MemoryLog()
        loader = Loader(log, lake, LoadSettings(threads=1, max_batch_bytes=batch_bytes), clock=lambda: NOW)
        received = 0
        for blocks in loads:
            log.append_many([block([MAKERS[kind](f"{kind}-{name}") for kind, name in each]) for each in blocks])
            while (report := loader.load_once()).blocks:
                received += report.received
        sent_ids = [f"{kind}-{name}" for blocks in loads for each in blocks for kind, name in each]
        with lake.connect(threads=1) as connection:
            found = connection.execute("SELECT id FROM events ORDER BY id").fetchall()
            totals = connection.execute("SELECT coalesce(sum(duplicate), 0)::INT FROM ledger").fetchall()
        assert [id_ for (id_,) in found] == sorted(set(sent_ids))
        assert received == len(sent_ids)
        assert totals == [(len(sent_ids) - len(set(sent_ids)),)]
        assert ledger_difference(lake) == 0
