"""Mixers from files outside: found by name, refused in one line where a file is not one."""

import subprocess
import sys

import pytest

from zoology_teach.mixers import find, plugin
from zoology_teach.model import LanguageModel, ModelConfig, layer

MIXER = """
from zoology_teach.mixers.mixer import Mixer, rows

class Same(Mixer):
    def __init__(self, d_model):
        super().__init__()

    def forward(self, u, positions=None):
        return rows(u, positions)

    def state_size(self, n):
        return 0

    def flops(self, n):
        return 0
"""


@pytest.fixture
def put(tmp_path):
    def write(name, content=MIXER):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    return write


def test_a_mixer_is_found_by_file_and_class(put):
    path = put("my work/plug_same.py")
    assert plugin.load(path) == plugin.load(path) == ["plug_same:Same"]
    assert find("plug_same:Same").__name__ == "Same"
    model = LanguageModel(ModelConfig(8, 4, (layer("plug_same:Same"),)))
    assert model.state_size(9) == 0


def test_a_relative_path_is_of_the_current_folder(put, monkeypatch):
    monkeypatch.chdir(put("a/plug_relative.py").parent)
    assert plugin.load("plug_relative.py") == ["plug_relative:Same"]
    put("a/b/plug_relative_too.py")
    assert plugin.load("../a/b/plug_relative_too.py") == ["plug_relative_too:Same"]


def test_two_files_and_what_they_import_beside_them(put):
    put("x/plug_helper.py", "FACTOR = 2\n")
    first = put("x/plug_one.py", "import plug_helper\n" + MIXER)
    second = put("y/plug_two.py", MIXER.replace("Same", "Other"))
    assert plugin.load(first) + plugin.load(second) == ["plug_one:Same", "plug_two:Other"]


def test_of_a_file_only_its_own_complete_mixers_count(put):
    more = """
from zoology_teach.mixers import BaseConv

class Half(Mixer):
    pass

class Whole(Same):
    pass

Alias = Whole
"""
    assert plugin.load(put("plug_more.py", MIXER + more)) == ["plug_more:Same", "plug_more:Whole"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("plug.txt", MIXER, "must be a Python file, such as my_mixer.py"),
        ("my-mixer.py", MIXER, "must be a file whose name is a Python name"),
        ("my.mixer.py", MIXER, "must be a file whose name is a Python name"),
        ("json.py", MIXER, "must be renamed: another module is called json"),
        ("sys.py", MIXER, "must be renamed: another module is called sys"),
        ("torch.py", MIXER, "must be renamed: another module is called torch"),
        ("plug_empty.py", "", "must be a file with a subclass of Mixer"),
        ("plug_import.py", "from zoology_teach.mixers.mixer import Mixer\n", "a subclass of Mixer"),
        ("plug_raises.py", "1 / 0\n", "ZeroDivisionError: division by zero"),
        ("plug_exits.py", "import sys; sys.exit(3)\n", "SystemExit: 3"),
        ("plug_syntax.py", "def f(:\n", "SyntaxError"),
        ("plug_missing.py", "import no_such_module\n", "No module named 'no_such_module'"),
        (
            "plug_heads.py",
            MIXER.replace("d_model):", "d_model, heads):"),
            "must be one whose mixers can be made of d_model; Same needs heads too",
        ),
        (
            "plug_half.py",
            MIXER.replace("def flops", "def operations"),
            "must be complete: its mixer lacks flops",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_path(put, name, content, complaint):
    path = put(name, content)
    with pytest.raises(ValueError) as error:
        plugin.load(path)
    assert str(error.value).startswith(f"plugin = {str(path)!r}: ")
    assert complaint in str(error.value)
    assert find("base_conv").__name__ == "BaseConv", "what was there before is there still"


def test_a_folder_and_nothing_are_no_files(tmp_path):
    (tmp_path / "plug_folder.py").mkdir()
    for path in (tmp_path / "plug_folder.py", tmp_path / "plug_nothing.py"):
        with pytest.raises(ValueError, match="must be a Python file"):
            plugin.load(path)


def test_a_second_file_of_the_same_name_is_refused(put):
    plugin.load(put("one/plug_twice.py"))
    with pytest.raises(ValueError, match="another module is called plug_twice"):
        plugin.load(put("two/plug_twice.py"))


def test_a_file_that_shadows_a_module_leaves_the_module_alone(put):
    """The folder of a plugin comes last on the path."""
    put("shadow/random.py", "raise SystemExit\n")
    path = put("shadow/plug_beside_random.py")
    code = f"from zoology_teach.mixers.plugin import load; load({str(path)!r}); import random"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_content_is_known_by_a_hash(put):
    path = put("plug_hash.py")
    first = plugin.content(path)
    path.write_text(MIXER + "#")
    assert first.startswith("plug_hash.py ") and plugin.content(path) != first


@pytest.mark.parametrize(
    ("stem", "parameters", "needs"),
    [
        ("plug_defaults", "d_model, size=3, *, way='up'", None),
        ("plug_any", "d_model, *more, **options", None),
        ("plug_both", "d_model, size=3, **options", None),
        ("plug_needs", "d_model, size, *, way, more=1", "size, way"),
        ("plug_len", "d_model, *, max_len", "max_len"),
    ],
)
def test_a_recipe_knows_only_the_width(put, stem, parameters, needs):
    path = put(f"{stem}.py", MIXER.replace("(self, d_model)", f"(self, {parameters})"))
    if needs is None:
        assert plugin.load(path) == [f"{stem}:Same"]
    else:
        with pytest.raises(ValueError, match=f"can be made of d_model; Same needs {needs} too"):
            plugin.load(path)
