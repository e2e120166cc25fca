"""The version names the commit, or says that it does not know."""

import re

from zoology_teach import __version__, version


def test_the_commit_of_this_checkout():
    found = version.commit()
    if (version.ROOT / ".git").exists():
        assert re.fullmatch(rf"{re.escape(__version__)}\+[0-9a-f]{{12}}(-dirty)?", found)
    else:
        assert found == "unknown"


def test_outside_a_checkout_and_without_git_it_is_unknown(monkeypatch, tmp_path):
    for root, path in ((tmp_path, None), (version.ROOT, "")):
        version.commit.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(version, "ROOT", root)
            if path is not None:
                patch.setenv("PATH", path)
            assert version.commit() == "unknown"
    version.commit.cache_clear()
