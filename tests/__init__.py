"""Tests, and what they stand on."""

import pytest

# Helpers tell as much about what they found as the tests themselves.
pytest.register_assert_rewrite("tests.running", "tests.world", "tests.stories.stage")
