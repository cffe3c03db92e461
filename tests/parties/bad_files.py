"""Files of purchases that cannot be used, and the sentence that each one gets."""

from __future__ import annotations

from dataclasses import dataclass

HEADER = "user_id,item_id,rating\n"


@dataclass(frozen=True)
class File:
    """What stands in a retailer's file of purchases, and what is said of it."""

    content: str | bytes
    sentence: str
    name: str = "alder.csv"


def rows(*changed: str) -> str:
    """Usable purchases with some rows of another kind at the end."""
    usable = [f"loyalty-card-{7919 * n % 99991:05d}-quartzite,shelf-{n % 9},1" for n in range(40)]
    return HEADER + "\n".join([*usable, *changed]) + "\n"


FILES = {
    "unknown columns": File(
        "shopper,article\na,b\n",
        "there is no user column 'user_id': got columns 'shopper', 'article', "
        "expected 'user_id' among them",
    ),
    "a column twice": File(
        "user_id,item_id,item_id\na,b,c\n",
        "the column 'item_id' occurs more than once: got 'user_id', 'item_id', 'item_id', "
        "expected different columns",
    ),
    "an empty file": File("", "the file 'alder.csv' is empty: got 0 bytes"),
    "no rows": File(HEADER, "there are no interactions: got 0 rows, expected at least 1"),
    "text for a number": File(
        rows("x,y,many"),
        "rating in column 'rating' is not a number: got 1 of 41 rows, the first is row 41, "
        "expected numbers such as 3 or 0.5",
    ),
    "a negative number": File(
        rows("x,y,-1", "x,z,1"),
        "rating in column 'rating' is negative: got 1 of 42 rows, the first is row 41, "
        "expected numbers of at least 0",
    ),
    "NaN": File(
        rows("x,y,NaN"),
        "rating in column 'rating' is NaN or infinite: got 1 of 41 rows, the first is row 41, "
        "expected finite numbers",
    ),
    "infinity": File(
        rows("x,y,inf"),
        "rating in column 'rating' is NaN or infinite: got 1 of 41 rows, the first is row 41, "
        "expected finite numbers",
    ),
    "no number": File(
        rows("x,y,"),
        "rating in column 'rating' is missing: got 1 of 41 rows, the first is row 41, "
        "expected a number in every row",
    ),
    "no user": File(
        rows(",y,1"),
        "user id is missing, empty or not text: got 1 of 41 rows, the first is row 41, "
        "expected text in every row",
    ),
    "repeated rows": File(
        rows("x,y,1", "x,y,2"),
        "rows repeat an earlier user and item: got 1 of 42 rows, the first is row 42, "
        "expected one row for each user and item, summed beforehand",
    ),
    "somebody who is no member": File(
        rows("x,y,1"),
        "users of the table are not in the member directory: got 1 unknown of 41 users, "
        "expected only members, and the coalition's own pseudonym key",
    ),
    "a line too long": File(
        rows("x,y,1,2"),
        "line 42 of 'alder.csv' has another number of fields: got 4, expected 3",
    ),
    "bytes that are no text": File(
        b"\xff\xfe\x00\x01" * 99,
        "'alder.csv' cannot be read as CSV: expected UTF-8 text with a header",
    ),
    "fewer shoppers than factors": File(
        HEADER + "loyalty-card-00000-quartzite,shelf-0,1\n",
        "the number of factors does not suit the interactions: got 4 factors, 1 shoppers with "
        "interactions, 1 items, expected 1 to 0 factors",
    ),
    "shoppers who are all alike": File(
        HEADER
        + "".join(
            f"loyalty-card-{7919 * n % 99991:05d}-quartzite,shelf-{item},1\n"
            for n in range(40)
            for item in range(9)
        ),
        "the interactions have fewer independent directions than factors: got 4 factors, "
        "expected at most 0",
    ),
}
