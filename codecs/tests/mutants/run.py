"""Takes the checks of cxr/1 and what they are about out of a copy of the code, one at a time: some test must fail.

Usage: python3 codecs/tests/mutants/run.py [--list | --quick] [WORD...]

Runs all mutants of `mutants.txt`, or those whose name has one of the words in it. One build below target/mutants serves
all: a mutant is chosen by the environment, in that copy alone. Exits with 1 when one is missed. With --quick the slowest
tests are not asked, and what they alone see counts as missed.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
COPY = ROOT / "target" / "mutants"

# Tests of everything else, and those that take longest: they are asked when the others see nothing.
SLOW = ["hostile", "properties", "samples", "known_answers", "machine", "parsers", "too_far_or_too_late", "names_its_messages"]

# The tests to ask first about what a mutant's name begins with.
NEAREST = {
    **dict.fromkeys(["certificate", "log", "bundle", "one-time prekey", "prekeys", "pins"], "identities"),
    **dict.fromkeys(["voucher", "acceptance"], "vouchers"),
    **dict.fromkeys(["handshake", "transcript", "init", "session"], "handshakes"),
    **dict.fromkeys(["statement", "step", "batch", "evidence"], "proofs"),
    **dict.fromkeys(["pool prekey", "pool", "once"], "pools"),
    **dict.fromkeys(["request", "window"], "requests"),
    **{"group": "groups", "store": "secrecy"},
}

# What the frozen bytes alone tell is asked last: a test that says what goes wrong says more.
FROZEN = ["frozen"]

# Whether a check is on: all are, but for the one that is named.
SWITCH = '''
pub(crate) fn on(check: &str) -> bool {
    static OFF: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    OFF.get_or_init(|| std::env::var("MUTANT").ok()).as_deref() != Some(check)
}
'''


def mutants():
    """Name to edits: file, what stands there, what stands there instead. See the head of mutants.txt."""
    table, name, path, old = {}, None, None, None
    for line in (HERE / "mutants.txt").read_text().splitlines():
        mark, text = line[:2], line[2:]
        if mark == "= ":
            name = text
            assert name not in table, f"`{name}` twice"
            table[name] = []
        elif mark == "@ ":
            path = text
        elif mark == "- ":
            old = text
        elif mark in ("+ ", "! ") or line == "+":
            table[name].append((path, old, switched(name, old, mark, text)))
    return table


def switched(name, old, mark, new):
    """The text of an edit in the copy: `old` while the check is on."""
    if mark == "! ":
        return new.replace("ON", f'crate::on("{name}")')
    if new == "":
        return f'if crate::on("{name}") {{ {old} }}'
    return f'(if crate::on("{name}") {{ {old} }} else {{ {new} }})'


def prepare(table):
    """A workspace of this one package, with every mutant in it and none chosen."""
    COPY.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(COPY / "codecs", ignore_errors=True)
    shutil.copytree(ROOT / "codecs", COPY / "codecs")
    shutil.copytree(ROOT / "tests" / "vectors", COPY / "tests" / "vectors", dirs_exist_ok=True)
    shutil.copy(ROOT / "Cargo.lock", COPY / "Cargo.lock")
    manifest = (ROOT / "Cargo.toml").read_text()
    manifest = re.sub(r"^members = .*$", 'members = ["codecs"]', manifest, flags=re.M)
    manifest = re.sub(r"^connectome[a-z-]* = .*\n", "", manifest, flags=re.M)
    (COPY / "Cargo.toml").write_text(manifest)
    library = COPY / "codecs" / "src" / "lib.rs"
    library.write_text(library.read_text() + SWITCH)
    for name, edits in table.items():
        for path, old, new in edits:
            file = COPY / "codecs" / "src" / path
            text = file.read_text()
            assert text.count(old) == 1, f"{name}: {path} has {text.count(old)} times: {old}"
            file.write_text(text.replace(old, new))


def build():
    """The binaries of the tests."""
    command = ["cargo", "test", "--no-run", "--lib", "--test", "codecs"]
    environment = dict(os.environ, CARGO_TARGET_DIR=str(COPY / "target"), RUSTFLAGS="-Awarnings")
    built = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return [COPY / path if not os.path.isabs(path) else path for path in re.findall(r"Executable .*\((\S+)\)", built.stderr)]


def failing(binaries, mutant, skipped, filters=()):
    """The first tests that fail: of those whose name has a filter in it, but for those with one of these words."""
    environment = dict(os.environ, MUTANT=mutant, PROPTEST_CASES="64", PROPTEST_FAILURE_PERSISTENCE="off")
    for binary in binaries:
        command = ["timeout", "120", str(binary), *filters, *(f"--skip={word}" for word in skipped)]
        ran = subprocess.run(command, cwd=COPY / "codecs", env=environment, capture_output=True, text=True, check=False)
        failed = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", ran.stdout, flags=re.M)
        if failed or ran.returncode:
            return failed or ["(stopped)"]
    return []


def caught_by(binaries, name, is_quick):
    """Tests that fail with this mutant: the nearest are asked first, the slowest last."""
    nearest = NEAREST.get(name.split(":")[0], "conversations")
    failed = failing(binaries, name, SLOW + FROZEN, [nearest]) or failing(binaries, name, SLOW + FROZEN)
    failed = failed or failing(binaries, name, SLOW, FROZEN)
    return failed if failed or is_quick else failing(binaries, name, [])


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    table = mutants()
    chosen = [name for name in table if not words or any(word in name for word in words)]
    if "--list" in sys.argv:
        print("\n".join(chosen))
        return
    prepare(table)
    binaries = build()
    assert not failing(binaries, "", SLOW + FROZEN), "tests fail without a mutant"
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        verdicts = workers.map(lambda name: caught_by(binaries, name, "--quick" in sys.argv), chosen)
        for name, failed in zip(chosen, verdicts):
            print(f"{name}: {'caught by ' + failed[0] if failed else 'MISSED'}", flush=True)
            missed += not failed
    print(f"{len(chosen)} mutants, {missed} missed")
    sys.exit(1 if missed else 0)


main()
