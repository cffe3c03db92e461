"""The tasks of a coalition: who contributes what, what is computed, and who receives it.

::

    retailer r                 compute node                key holder            recipients
    ----------                 ------------                ----------            ----------
    left_r, right_r  ------->  P_r' P_s for all r < s
                               concealed block   ------->  decrypt, gate ----->  every block
    e_r W_rt         ------->  sum over r                                        items, bias
                               score on the items <----------------------------- of target t
                               concealed scores  ------->  decrypt, gate ----->  top k
    vector_r         ------->  sum over r with weights
                               encrypted sum     ------->  decrypt, gate ----->  the sum
    rows of two      ------->  A B'              ------->  decrypt, gate ----->  best n of a row
    own shoppers,
    own key          ------->  score on the items <----------------------------- of an owner
                     <-------  concealed scores, to be decrypted at home

The Gram task follows from the terms; every other task is declared by a retailer. All parties
compute its identifier for themselves from terms, plan and parameters.
"""

from hecf.protocol.tasks.gram import GRAM_PRECISION, GramTask, gram_plan
from hecf.protocol.tasks.identity import Part
from hecf.protocol.tasks.parameters import agreed_fingerprint, has_gram_task, key_parameters
from hecf.protocol.tasks.query import KEY, QueryTask
from hecf.protocol.tasks.score import (
    EMBEDDING_BOUND,
    MODEL,
    MOST_ITEMS,
    SCORE_PRECISION,
    SCORES,
    ScoreTask,
)
from hecf.protocol.tasks.similarity import (
    SIMILARITY_PRECISION,
    SimilarityTask,
    result_name,
    tile_rows,
)
from hecf.protocol.tasks.summation import MOST_VALUES, TOTAL, SumTask

Task = GramTask | ScoreTask | QueryTask | SumTask | SimilarityTask
ReleasedTask = GramTask | ScoreTask | SumTask | SimilarityTask
"""Tasks whose results a key holder decrypts and releases."""
DeclaredTask = ScoreTask | QueryTask | SumTask | SimilarityTask
"""Tasks that a retailer declares."""

__all__ = [
    "EMBEDDING_BOUND",
    "GRAM_PRECISION",
    "KEY",
    "MODEL",
    "MOST_ITEMS",
    "MOST_VALUES",
    "SCORES",
    "SCORE_PRECISION",
    "SIMILARITY_PRECISION",
    "TOTAL",
    "DeclaredTask",
    "GramTask",
    "Part",
    "QueryTask",
    "ReleasedTask",
    "ScoreTask",
    "SimilarityTask",
    "SumTask",
    "Task",
    "agreed_fingerprint",
    "gram_plan",
    "has_gram_task",
    "key_parameters",
    "result_name",
    "tile_rows",
]
