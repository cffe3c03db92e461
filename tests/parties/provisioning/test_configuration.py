"""Configuration files: what is read, and one sentence for everything that is wrong."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import dp_accounting
import pytest
from pydantic import ValidationError

import parties
from hecf.errors import ConfigurationError, HecfError
from hecf.kits.configuration import PartyConfiguration
from hecf.protocol.terms import Terms
from parties.provisioning.configuration import CoalitionConfiguration

COALITION = """\
[coalition]
name = "loyal"
scheme = "clear"
factors = 8
ridge = 1
topology = "coalition-key"

[members]
path = "members.csv"

[compute_node]
address = "node.example:50151"

[key_holder]
address = "[::1]:50152"

[retailers.produce]
interactions = "produce.parquet"
held_out_members = "/data/hidden.txt"

[retailers.grocer]
source = "complete-journey"
items = "product"
weighting = "log1p"

[evaluation]
held_out_fraction = 0.5

[limits]
patience_seconds = 3
"""

RETAILER_KIT = """\
[party]
role = "retailer"
name = "grocer"

[files]
certificate = "certificate.pem"
private_key = "private-key.pem"
authority = "/etc/hecf/authority.pem"
terms = "terms.json"
state = "state"
output = "output"
pseudonym_key = "pseudonym.key"
directory = "directory.txt"

[compute_node]
address = "127.0.0.1:50151"

[key_holder]
address = "127.0.0.1:50152"

[data]
interactions = "/data/grocer.parquet"

[evaluation]
held_out_fraction = 0.2
seed = 3
"""

NODE_KIT = (
    RETAILER_KIT[: RETAILER_KIT.index("[data]")]
    .replace('"retailer"', '"compute-node"')
    .replace('"grocer"', '"compute-node"')
    .replace('pseudonym_key = "pseudonym.key"\ndirectory = "directory.txt"\n', 'allowed = "a"\n')
)

KEY_HOLDER_KIT = NODE_KIT.replace('"compute-node"', '"key-holder"').replace(
    'output = "output"',
    'output = "output"\nstorage_key = "storage.key"\nledger_witness = "ledger.witness"',
)

KITS = {"retailer": RETAILER_KIT, "compute-node": NODE_KIT, "key-holder": KEY_HOLDER_KIT}


def write(folder: Path, text: str | bytes, name: str = "coalition.toml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def changed(text: str, old: str, new: str) -> str:
    """Replace one place of a good file, and insist that there is exactly one."""
    assert text.count(old) == 1
    return text.replace(old, new)


def refusal(load: type[CoalitionConfiguration | PartyConfiguration], path: Path) -> str:
    """Sentence with which a file is refused, after the checks that hold for every sentence."""
    with pytest.raises(HecfError) as caught:
        load.load(path)
    sentence = str(caught.value)
    assert type(caught.value) is ConfigurationError
    assert caught.value.got is not None
    assert caught.value.expected is not None
    assert str(path) in sentence
    assert "\n" not in sentence
    assert len(sentence) < 400 + len(str(path))
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return sentence


def test_a_coalition_is_read(tmp_path: Path) -> None:
    configuration = CoalitionConfiguration.load(write(tmp_path, COALITION))
    assert configuration.coalition.name == "loyal"
    assert configuration.coalition.scheme == "clear"
    assert configuration.coalition.ridge == 1.0
    assert configuration.coalition.releases == 4096
    assert configuration.members.path == tmp_path / "members.csv"
    assert configuration.members.source is None
    assert configuration.compute_node.address == "node.example:50151"
    assert configuration.key_holder.address == "[::1]:50152"
    # The order of the file, which is neither the alphabet's nor its reverse in general.
    assert list(configuration.retailers) == ["produce", "grocer"]
    produce, grocer = configuration.retailers.values()
    assert produce.interactions == tmp_path / "produce.parquet"
    assert produce.held_out_members == Path("/data/hidden.txt")
    assert produce.weighting == "binary"
    assert (grocer.source, grocer.items, grocer.weighting) == (
        "complete-journey",
        "product",
        "log1p",
    )
    assert configuration.evaluation is not None
    assert configuration.evaluation.held_out_fraction == 0.5
    assert configuration.evaluation.seed == 0
    assert configuration.limits.patience_seconds == 3.0
    assert configuration.limits.message_bytes == 4 * 1024 * 1024
    assert configuration.limits.upload_bytes == 1024 * 1024 * 1024
    assert configuration.limits.concurrent_calls == 32


@pytest.mark.parametrize("order", [("grocer", "produce", "butcher"), ("produce", "x-1", "a")])
def test_retailers_keep_the_order_of_the_file(tmp_path: Path, order: tuple[str, ...]) -> None:
    start, end = COALITION.index("[retailers.produce]"), COALITION.index("[evaluation]")
    tables = "".join(f'[retailers.{name}]\ninteractions = "{name}.csv"\n' for name in order)
    text = COALITION[:start] + tables + changed(COALITION[end:], "0.5", "0.3")
    assert tuple(CoalitionConfiguration.load(write(tmp_path, text)).retailers) == order


def test_relative_paths_start_at_the_file_whatever_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, COALITION)
    monkeypatch.chdir(tmp_path.parent)
    configuration = CoalitionConfiguration.load(Path(tmp_path.name) / "coalition.toml")
    assert configuration.members.path == tmp_path / "members.csv"


def test_terms_carry_the_configuration(tmp_path: Path) -> None:
    configuration = CoalitionConfiguration.load(write(tmp_path, COALITION))
    terms = configuration.terms("a" * 32, 500, "b" * 64)
    assert terms == Terms(
        coalition="loyal",
        identifier="a" * 32,
        scheme="clear",
        retailers=("produce", "grocer"),
        shoppers=500,
        directory="b" * 64,
        factors=8,
        ridge=1.0,
        topology="coalition-key",
    )
    with pytest.raises(ConfigurationError, match="got 99, expected at least"):
        configuration.terms("a" * 32, 99, "b" * 64)


def test_the_demonstration_is_valid_and_as_documented() -> None:
    path = Path(str(parties.__file__)).parent / "complete-journey.toml"
    configuration = CoalitionConfiguration.load(path)
    assert list(configuration.retailers) == ["grocer", "drugstore", "butcher", "produce"]
    assert {data.source for data in configuration.retailers.values()} == {"complete-journey"}
    assert configuration.coalition.scheme == "ckks"
    assert configuration.evaluation is not None
    assert configuration.evaluation.held_out_fraction == 0.2
    assert configuration.evaluation.seed == 11
    assert configuration.compute_node.address.startswith("127.0.0.1:")
    # Every term is written out, so that a reader of the file sees what is agreed.
    with path.open("rb") as file:
        written = set(tomllib.load(file)["coalition"])
    assert written == set(type(configuration.coalition).model_fields)


def test_configurations_are_immutable(tmp_path: Path) -> None:
    configuration = CoalitionConfiguration.load(write(tmp_path, COALITION))
    with pytest.raises(ValidationError):
        configuration.coalition.factors = 9
    with pytest.raises(TypeError):
        configuration.retailers["late"] = configuration.retailers["grocer"]  # type: ignore[index]


# One change of the good file a line: what is replaced, by what, and the pieces that the sentence
# must hold. The sign ⏎ is an end of line.
COALITION_REFUSALS = r"""
ridge = 1 => rigde = 1 :: coalition.rigde | an unknown key | ridge
[limits] => [limit] :: limit in | an unknown key | limits
items = "product" => item = "product" :: retailers.grocer.item | unknown | items
name = "loyal" => :: coalition.name | nothing | a value
[key_holder]⏎address = "[::1]:50152" => :: key_holder | nothing | a value
"loyal" => "Loyal" :: coalition | got 'Loyal' | a name like
"loyal" => "lo\nyal" :: coalition | lo\nyal | a name like
factors = 8 => factors = "8" :: coalition.factors | '8' | integer
factors = 8 => factors = 8.0 :: coalition.factors | 8.0 | integer
factors = 8 => factors = true :: coalition.factors | True | integer
factors = 8 => factors = 0 :: factors | got 0 | 1 to 1024
ridge = 1 => ridge = nan :: coalition.ridge | nan | finite
"clear" => "rot13" :: coalition.scheme | 'rot13' | 'ckks', 'paillier' or 'clear'
"coalition-key" => "threshold" :: topology | not built | got 'threshold' | coalition-key
"coalition-key" => "shared" :: topology | got 'shared' | coalition-key
name = "loyal" => name = {} :: coalition.name | {} | string
path = "members.csv" => :: members.source | none of them | source or path or most_shoppers
[members] => [members]⏎source = "complete-journey" :: members.source | source and path | path
path = "members.csv" => most_shoppers = 150 :: coalition.factors | 8 | no factors
path = "members.csv" => most_shoppers = 1 :: members.most_shoppers | got 1 | 2
"members.csv" => " " :: members.path | ' ' | a path
"members.csv" => "a\u0000b" :: members.path | \x00 | a path
"members.csv" => 3 :: members.path | got 3 | a path
node.example:50151 => node.example :: compute_node.address | 'node.example' | HOST:PORT
:50151 => :0 :: compute_node.address | 'node.example:0' | 1 to 65535
:50151 => :65536 :: compute_node.address | :65536' | 1 to 65535
:50151 => :+5015 :: compute_node.address | :+5015' | HOST:PORT
node.example => http://node :: compute_node.address | 'http | HOST:PORT
node.example => :: compute_node.address | ':50151' | HOST:PORT
node.example => 999.1.1.1 :: compute_node.address | '999 | HOST:PORT
[::1]:50152 => ::1:50152 :: key_holder.address | '::1 | HOST:PORT
[::1] => [name] :: key_holder.address | '[name] | HOST:PORT
[::1]:50152 => node.example:50151 :: key_holder.address | 'node.example | another address
[retailers.grocer] => [retailers.compute-node] :: retailers | 'compute-node' | other than
[retailers.grocer] => [retailers.key-holder] :: retailers | 'key-holder' | other than
[retailers.grocer] => [retailers.authority] :: retailers | 'authority' | other than
[retailers.grocer] => [retailers.Grocer] :: retailers | 'Grocer' | like 'grocer'
[retailers.grocer] => [retailers."../grocer"] :: retailers | '../grocer' | like 'grocer'
[retailers.grocer] => [retailers."grocer\n"] :: retailers | 'grocer\n' | like 'grocer'
[retailers.grocer] => [retailers]⏎butcher = 1⏎[retailers.x] :: retailers.butcher | got 1 | a table
items = "product" => interactions = "x" :: retailers.grocer.source | source and | interactions
held_out_members = "/data/hidden.txt" => items = "product" :: produce.items | 'product' | no items
items = "product" => held_out_members = "x" :: grocer.held_out_members | a file | no file
"log1p" => "tfidf" :: retailers.grocer.weighting | 'tfidf' | 'log1p'
= 0.5 => = 0.0 :: evaluation.held_out_fraction | 0.0 | greater than 0
= 0.5 => = 0.51 :: evaluation.held_out_fraction | 0.51 | at most 1 / 2
= 0.5 => = 0.5⏎seed = -1 :: evaluation.seed | -1 | greater than or equal to 0
= 3 => = 0 :: limits.patience_seconds | got 0 | greater than 0
= 3 => = inf :: limits.patience_seconds | inf | finite
patience_seconds = 3 => message_megabytes = 2048 :: limits.message_megabytes | 2048 | 64
patience_seconds = 3 => upload_megabytes = 3 :: limits.upload_megabytes | got 3 | megabytes = 4
"""


def rows(table: str) -> list[tuple[str, str, list[str]]]:
    split = [line.replace("⏎", "\n").partition(" :: ") for line in table.strip().split("\n")]
    changes = [(change.partition(" =>"), pieces) for change, _, pieces in split]
    return [(old, new.removeprefix(" "), tail.split(" | ")) for (old, _, new), tail in changes]


@pytest.mark.parametrize(("old", "new", "pieces"), rows(COALITION_REFUSALS))
def test_a_wrong_coalition_is_refused(
    tmp_path: Path, old: str, new: str, pieces: list[str]
) -> None:
    # The control: without the change the same file is accepted.
    CoalitionConfiguration.load(write(tmp_path, COALITION))
    path = write(tmp_path, changed(COALITION, old, new))
    sentence = refusal(CoalitionConfiguration, path).replace(str(tmp_path), "")
    for piece in (*pieces, "got ", "expected "):
        assert piece in sentence


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    path = write(tmp_path, changed(COALITION, '"loyal"', f'"{"x" * 9999}"'))
    assert "got 'xxx" in refusal(CoalitionConfiguration, path)


def test_a_single_retailer_is_refused(tmp_path: Path) -> None:
    start, end = COALITION.index("[retailers.grocer]"), COALITION.index("[evaluation]")
    path = write(tmp_path, COALITION[:start] + COALITION[end:])
    assert "got 1, expected at least 2" in refusal(CoalitionConfiguration, path)


def test_an_unknown_key_of_several_lines_is_quoted(tmp_path: Path) -> None:
    path = write(tmp_path, r'"a\nb" = 1' + "\n" + COALITION)
    assert r'"a\nb"' in refusal(CoalitionConfiguration, path)


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("[coalition\nname = 1\n", "line 1"),
        ("[coalition]\nname == 1\n", "line 2"),
        ("[coalition]\nname = 1\nname = 2\n", "line 3"),
        ("[coalition]\n\nname = [1,", "line 3"),
        (b"[coalition]\n# \xff\n", "line 2"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "9" * 10_000, "10000 digits"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, piece: str
) -> None:
    sentence = refusal(CoalitionConfiguration, write(tmp_path, text))
    assert "is not a TOML file" in sentence
    assert piece in sentence


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(CoalitionConfiguration, tmp_path / "none.toml")
    assert "a folder" in refusal(PartyConfiguration, tmp_path)
    huge = write(tmp_path, b"#" * ((1 << 20) + 1))
    assert "too large" in refusal(CoalitionConfiguration, huge)


@pytest.mark.parametrize("text", KITS.values(), ids=KITS)
def test_kits_of_all_roles_are_read(tmp_path: Path, text: str) -> None:
    configuration = PartyConfiguration.load(write(tmp_path, text, "party.toml"))
    files = configuration.files
    assert files.certificate == tmp_path / "certificate.pem"
    assert files.authority == Path("/etc/hecf/authority.pem")
    retailer = configuration.party.role == "retailer"
    assert (files.pseudonym_key is not None) == retailer
    assert (files.directory is not None) == retailer
    assert (configuration.data is not None) == retailer
    assert (files.storage_key is not None) == (configuration.party.role == "key-holder")
    assert (files.allowed is None) == retailer
    assert configuration.limits.concurrent_calls == 32


PARTY_REFUSALS = r"""
compute-node: role = "compute-node" => role = "auditor" :: party.role | 'auditor' | 'retailer'
compute-node: name = "compute-node" => name = "grocer" :: party.name | 'grocer' | 'compute-node'
retailer: "grocer" => "authority" :: party.name | 'authority' | other than
compute-node: [files] => [files]⏎pseudonym_key = "x" :: files.pseudonym_key | no pseudonym_key
key-holder: [files] => [files]⏎pseudonym_key = "x" :: files.pseudonym_key | no pseudonym_key
compute-node: [files] => [files]⏎directory = "x" :: files.directory | no directory
key-holder: [files] => [files]⏎directory = "x" :: files.directory | no directory
compute-node: [files] => [files]⏎storage_key = "x" :: files.storage_key | no storage_key
retailer: [files] => [files]⏎storage_key = "x" :: files.storage_key | no storage_key
retailer: pseudonym_key = "pseudonym.key" => :: files.directory | one file | or neither
retailer: directory = "directory.txt" => :: files.directory | one file | or neither
retailer: [files] => [files]⏎allowed = "x" :: files.allowed | no allowed
compute-node: allowed = "a" => :: files.allowed | nothing | a file
key-holder: storage_key = "storage.key" => :: files.storage_key | nothing | a file
key-holder: ledger_witness = "ledger.witness" => :: files.ledger_witness | nothing | a file
retailer: [files] => [files]⏎ledger_witness = "x" :: files.ledger_witness | no ledger_witness
retailer: [data]⏎interactions = "/data/grocer.parquet" => :: data | nothing | a table
retailer: interactions = "/data/grocer.parquet" => :: data.source | none of them | interactions
compute-node: [files] => [data]⏎source = "complete-journey"⏎[files] :: data | a table | no data
key-holder: [files] => [evaluation]⏎held_out_fraction = 0.1⏎[files] :: evaluation | no evaluation
compute-node: certificate = "certificate.pem" => :: files.certificate | nothing | a value
compute-node: terms = => secret_key = :: files.secret_key | an unknown key | private_key
"""


@pytest.mark.parametrize(("old", "new", "pieces"), rows(PARTY_REFUSALS))
def test_a_wrong_kit_is_refused(tmp_path: Path, old: str, new: str, pieces: list[str]) -> None:
    role, _, old = old.partition(": ")
    # The control: without the change the same file is accepted.
    PartyConfiguration.load(write(tmp_path, KITS[role], "party.toml"))
    path = write(tmp_path, changed(KITS[role], old, new), "party.toml")
    sentence = refusal(PartyConfiguration, path).replace(str(tmp_path), "")
    for piece in (*pieces, "got ", "expected "):
        assert piece in sentence


PRIVACY = """
[privacy]
epsilon = 2.0
delta = 1e-6
"""


def test_the_noise_of_agreed_privacy_is_computed_when_terms_are_made(tmp_path: Path) -> None:
    configuration = CoalitionConfiguration.load(write(tmp_path, COALITION + PRIVACY))
    terms = configuration.terms("ab" * 16, 5000, "cd" * 32)
    assert (terms.epsilon, terms.delta, terms.clip) == (2.0, 1e-6, 1.5)
    spent = dp_accounting.get_epsilon_gaussian(terms.noise_multiplier, 1e-6)
    assert abs(spent - 2.0) < 1e-6
    without = CoalitionConfiguration.load(write(tmp_path, COALITION))
    assert without.terms("ab" * 16, 5000, "cd" * 32).gram_privacy is None


def test_private_sums_share_the_budget(tmp_path: Path) -> None:
    """Four sums and no Gram blocks: together they spend epsilon, each alone less."""
    sums = "clip = 0\nsums = 4\nsum_clip = 10.0\n"
    configuration = CoalitionConfiguration.load(write(tmp_path, COALITION + PRIVACY + sums))
    terms = configuration.terms("ab" * 16, 5000, "cd" * 32)
    assert terms.gram_privacy is None
    assert (terms.sums, terms.sum_clip, terms.colluders) == (4, 10.0, 1)
    together = dp_accounting.get_epsilon_gaussian(terms.noise_multiplier / 2, 1e-6)
    assert abs(together - 2.0) < 1e-6
    assert dp_accounting.get_epsilon_gaussian(terms.noise_multiplier, 1e-6) < 1.2
    for half in ("sums = 4", "sum_clip = 10.0", "clip = 0"):
        with pytest.raises(ConfigurationError, match="out of range"):
            CoalitionConfiguration.load(write(tmp_path, f"{COALITION}{PRIVACY}{half}\n"))


def test_privacy_without_its_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    CoalitionConfiguration.load(write(tmp_path, COALITION))
    with pytest.raises(ConfigurationError, match=r"dp_accounting is needed .*hecf\[dp\]"):
        CoalitionConfiguration.load(write(tmp_path, COALITION + PRIVACY))


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("epsilon = 0.0", "privacy.epsilon"),
        ("epsilon = 2.0\ndelta = 0.0", "privacy.delta"),
        ("epsilon = 2.0\ndelta = 1e-6\nclip = -1.0", "privacy.clip"),
        ("epsilon = 2.0", "privacy.delta"),
        ("delta = 1e-6", "privacy.epsilon"),
        ("epsilon = 2.0\ndelta = 1e-6\nnoise = 1.0", "privacy.noise"),
    ],
)
def test_privacy_out_of_range_is_named(tmp_path: Path, line: str, key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{key} in "):
        CoalitionConfiguration.load(write(tmp_path, f"{COALITION}\n[privacy]\n{line}\n"))
