"""The book as pages, as an EPUB and as a PDF, from the executed notebooks; nothing is run.

python site/build.py html     build/site/index.html
python site/build.py epub     build/zoology_teach.epub
python site/build.py pdf      build/zoology_teach.pdf, printed by Chromium
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import colab_copies
import pdf
from stage import stage
from zoology_teach.files import replace, replacing

HERE = Path(__file__).parent
NAME = "zoology_teach"
MADE = ".buildinfo"  # Sphinx writes it
START = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>zoology_teach</title>
<meta http-equiv="refresh" content="0; url=book/index.html">
<p><a href="book/index.html">The book</a></p>
</html>
"""


def main() -> None:
    """Build one form of the book."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("form", choices=["html", "epub", "pdf"])
    parser.add_argument("--out", type=Path, default=HERE.parent / "build", help="default: build/")
    parser.add_argument("--solutions", action="store_true", help="the solutions too, folded")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        source, made = Path(folder) / "source", Path(folder) / "made"
        if chosen.form == "html":
            stage(source, solutions=chosen.solutions)
            sphinx("html", source, made)
            (made / "index.html").write_text(START)
            (made / ".nojekyll").touch()  # or GitHub Pages would leave out _static and _images
            colab_copies.write(source, made)
            put(made, chosen.out / "site")
            print(chosen.out / "site" / "index.html")
        elif chosen.form == "epub":
            stage(source, live=False, solutions=chosen.solutions)
            sphinx("epub", source, made)
            replace(chosen.out / f"{NAME}.epub", (made / f"{NAME}.epub").read_bytes())
            print(chosen.out / f"{NAME}.epub")
        else:
            stage(source, live=False, chapters_only=True)
            replace(chosen.out / f"{NAME}.pdf", pdf.printed(one_page(source, made)))
            print(chosen.out / f"{NAME}.pdf")


def one_page(source: Path, made: Path) -> Path:
    """The whole book as one HTML file; Sphinx writes its paths as if it stood at the top."""
    sphinx("singlehtml", source, made)
    return (made / "book" / "index.html").rename(made / "index.html")


def put(made: Path, site: Path) -> None:
    """Let what was made take the place of a site made before, and of nothing else."""
    if site.exists() and not (site / MADE).exists():
        sys.exit(f"{site}: is no site that was made here; move it, or choose another --out")
    with replacing(site) as new:
        shutil.copytree(made, new)
        if site.exists():
            shutil.rmtree(site)


def sphinx(builder: str, source: Path, target: Path) -> None:
    """Run Sphinx; a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--jobs", "auto"]
    options = [
        "--builder",
        builder,
        "--conf-dir",
        HERE,
        "--doctree-dir",
        target.parent / "doctrees",
    ]
    done = subprocess.run([*command, *options, source, target])
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
