"""Builders and oracles of the folder above, as fixtures for files that take them so."""

import pytest

from tests import cases, oracles


@pytest.fixture
def func_hessian():
    return oracles.func_hessian


@pytest.fixture
def mlp():
    return cases.mlp


@pytest.fixture
def data():
    return cases.classification
