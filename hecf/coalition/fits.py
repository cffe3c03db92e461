"""Which shoppers a retailer has fitted with, as salted digests on its own disk (control C20).

The sums of two fits are released to all retailers. If between the two one shopper came, left or
bought something, their difference is hers, so such a second fit is refused before anything is sent.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from pathlib import Path

from hecf.data.user_items import UserItems
from hecf.errors import ConfigurationError
from hecf.kits.files import read_private, write_private
from hecf.privacy.overlap import check_shoppers

DIGEST_BYTES = 8
_SALT_BYTES = 16
_SALT = "salt"
_NAME_LENGTH = 64


class FittedShoppers:
    """Remembers the shoppers of every fit, and who of them brought what.

    Parameters
    ----------
    folder : Path
        Of the retailer's own state; files of mode 0600.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def enter(self, user_items: UserItems, minimum: int) -> None:
        """Note the shoppers of a fit before it begins; the same ones again change nothing.

        Raises
        ------
        ReleaseRefused
            If fewer shoppers than `minimum` have changed since another fit; nothing is noted then.
        ConfigurationError
            If a file cannot be read or written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = _digests(user_items, self._salt())
        earlier = [path for path in self._folder.iterdir() if len(path.name) == _NAME_LENGTH]
        check_shoppers((parsed(read_private(path)) for path in earlier), now, minimum)
        content = b"".join(shopper + now[shopper] for shopper in sorted(now))
        write_private(self._folder / hashlib.sha256(content).hexdigest(), content)

    def _salt(self) -> bytes:
        path = self._folder / _SALT
        if not path.exists():
            write_private(path, secrets.token_bytes(_SALT_BYTES))
        return read_private(path)


def _digests(user_items: UserItems, salt: bytes) -> dict[bytes, bytes]:
    """Return what every shopper brings: by a digest of her id one of her items and counts."""
    counts = user_items.counts
    items = [_digest(salt, item.encode()) for item in user_items.item_ids]
    found = {}
    for row, user in enumerate(user_items.user_ids):
        place = slice(counts.indptr[row], counts.indptr[row + 1])
        bought = [items[column] for column in counts.indices[place]]
        # Sorted by item, so that another order of the catalogue changes nothing.
        text = repr(sorted(zip(bought, counts.data[place].tolist(), strict=True))).encode()
        found[_digest(salt, user.encode())] = _digest(salt, text)
    return found


def _digest(salt: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES, key=salt).digest()


def parsed(data: bytes) -> dict[bytes, bytes]:
    """Read the record of one fit: digests of a shopper and of what she brought, in order.

    Raises
    ------
    ConfigurationError
        If it is cut off, not in order, or names a shopper twice.
    """
    parts = [data[start : start + DIGEST_BYTES] for start in range(0, len(data), DIGEST_BYTES)]
    shoppers = parts[::2]
    whole = len(data) % (2 * DIGEST_BYTES) == 0
    if not whole or any(a >= b for a, b in itertools.pairwise(shoppers)):
        raise ConfigurationError("a record of fitted shoppers is broken", got=f"{len(data)} bytes")
    return dict(zip(shoppers, parts[1::2], strict=True))
