from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array, csr_matrix

from hecf.errors import InvalidInput
from hecf.models.weights import interaction_weights

DENSE = np.array([[0.0, 2.0, 0.5], [0.0, 0.0, 0.0], [7.0, 0.0, 1.0]])


@pytest.mark.parametrize("make", [csr_array, csr_matrix])
def test_weights_equal_dense_numpy(make) -> None:
    counts = make(DENSE)
    np.testing.assert_array_equal(interaction_weights(counts, "binary").toarray(), DENSE > 0)
    log = interaction_weights(counts, "log1p").toarray()
    np.testing.assert_allclose(log, np.log(1 + DENSE), rtol=1e-15)
    # The two weightings differ, and the input stays as it was.
    assert not np.array_equal(log, DENSE > 0)
    np.testing.assert_array_equal(counts.toarray(), DENSE)


def test_stored_zeros_and_doubled_entries() -> None:
    counts = csr_array((np.array([1, 2, 0]), np.array([0, 0, 1]), np.array([0, 3])), shape=(1, 2))
    result = interaction_weights(counts, "log1p")
    assert result.nnz == 1
    assert result.toarray()[0, 0] == pytest.approx(np.log(4))
    assert counts.nnz == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_bad_counts_are_refused(value) -> None:
    with pytest.raises(InvalidInput, match="got 1 values"):
        interaction_weights(csr_array(np.array([[1.0, value]])), "binary")


def test_other_things_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got tfidf, expected one of binary, log1p"):
        interaction_weights(csr_array(DENSE), "tfidf")
    with pytest.raises(InvalidInput, match="got ndarray"):
        interaction_weights(DENSE, "binary")
    with pytest.raises(InvalidInput, match="got coo_array"):
        interaction_weights(coo_array(DENSE), "binary")
    with pytest.raises(InvalidInput, match="got complex128"):
        interaction_weights(csr_array(DENSE * 1j), "binary")
