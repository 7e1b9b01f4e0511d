"""What the tests of the pages share."""

from streamlit.testing.v1 import AppTest


def ran(at: AppTest) -> AppTest:
    """Run the script once more; a traceback on the page fails the test."""
    at.run()
    assert not at.exception
    return at
