"""Retailers of the topology ``own-key`` as processes: what they write, and what nobody sees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from processes import Provisioned, make_coalition

from hecf.errors import ConfigurationError
from hecf.kits.kit import Kit
from hecf.models import CrossRetailerRidge, LocalEmbedding
from hecf.protocol.terms import OWN_KEY
from hecf.rpc.identity import COMPUTE_NODE, KEY_HOLDER
from parties.demonstrations import in_memory
from parties.processes import local_data
from parties.processes.asking import KEYS
from parties.processes.launcher import Launcher
from parties.processes.retailer import CATALOGUE, RECOMMENDATIONS

RETAILERS = ("alder", "birch")
MEMBERS = 40


def provisioned(folder: Path, **changes: str) -> Provisioned:
    options = {"scheme": "ckks", "limits": f"queried_members = {MEMBERS}"}
    return make_coalition(folder, topology=OWN_KEY, **(options | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Provisioned:
    coalition = provisioned(tmp_path_factory.mktemp("asking") / "coalition")
    logs = coalition.folder / "logs"
    logs.mkdir()
    with Launcher(coalition.kits, logs) as launcher:
        launcher.start()
        launcher.wait_for_retailers(60)
        launcher.stop()
    return coalition


def expected_scores(asker: Kit, owner: Kit) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scores in clear of an asker's busiest members on the catalogue of an owner."""
    fitted, data = {}, {}
    for kit in (asker, owner):
        data[kit.party.name] = local_data.load(kit)
        training = data[kit.party.name].training
        fitted[kit.party.name] = LocalEmbedding.fit(training, kit.terms.factors)
    first, second = (fitted[name] for name in RETAILERS)
    ridge = CrossRetailerRidge.fit(
        {RETAILERS: first.shoppers.T @ second.shoppers},
        RETAILERS,
        ridge=asker.terms.ridge,
        decay=asker.terms.decay,
    )
    rows = list(data[asker.party.name].rows[:MEMBERS])
    share = fitted[asker.party.name].shoppers[rows]
    share = share @ ridge.maps[asker.party.name, owner.party.name]
    model = fitted[owner.party.name]
    return share @ model.items + model.mean, data[asker.party.name].members[:MEMBERS]


def test_every_retailer_learns_what_its_members_would_like_elsewhere(
    finished: Provisioned,
) -> None:
    kits = {name: Kit.load(finished.party(name)) for name in RETAILERS}
    for asker, owner in (RETAILERS, RETAILERS[::-1]):
        table = pq.read_table(kits[asker].output / RECOMMENDATIONS).to_pydict()
        assert set(table["retailer"]) == {owner}
        scores, members = expected_scores(kits[asker], kits[owner])
        assert table["user_id"][:: kits[asker].terms.top_k] == list(members)
        items = np.array(table["item"]).reshape(len(members), -1)
        best = np.take_along_axis(scores, items, axis=1)
        ideal = np.sort(scores, axis=1)[:, ::-1][:, : items.shape[1]]
        np.testing.assert_allclose(best, ideal, atol=1e-4)
        names = pq.read_table(kits[owner].output / CATALOGUE).to_pydict()
        assert names["item_id"] == sorted(finished.items[owner])
        assert names["item"] == list(range(len(finished.items[owner])))


def test_the_key_holder_saw_no_score_and_keys_of_queries_stay_at_home(
    finished: Provisioned,
) -> None:
    summary = json.loads((finished.kits[KEY_HOLDER] / "output" / "summary.json").read_text())
    assert any(line.startswith("scores of 0 members by position") for line in summary["saw"])
    for name in RETAILERS:
        path = Kit.load(finished.party(name)).state / KEYS
        assert path.stat().st_mode & 0o777 == 0o600
        [kept] = json.loads(path.read_text()).values()
        key = kept.partition(" ")[2]
        for other in (COMPUTE_NODE, KEY_HOLDER, *set(RETAILERS) - {name}):
            for file in finished.kits[other].rglob("*"):
                if file.is_file():
                    content = file.read_bytes()
                    assert bytes.fromhex(key)[200:248] not in content
                    assert key[400:496].encode() not in content


def test_a_second_run_reads_the_same_answers(tmp_path: Path) -> None:
    coalition = provisioned(tmp_path / "coalition", scheme="clear")
    kits = {name: Kit.load(coalition.party(name)) for name in coalition.kits}
    tables = []
    for _ in range(2):
        in_memory.run(kits, lambda name: None)
        tables.append(pq.read_table(kits["alder"].output / RECOMMENDATIONS))
    assert tables[0] == tables[1]


def test_an_evaluation_of_others_catalogues_is_refused_in_words(tmp_path: Path) -> None:
    coalition = provisioned(tmp_path / "coalition", more="[evaluation]\nheld_out_fraction = 0.2\n")
    with pytest.raises(ConfigurationError, match=r"cannot judge .* none with topology own-key"):
        local_data.load(Kit.load(coalition.party("alder")))
