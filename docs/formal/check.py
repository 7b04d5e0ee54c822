"""Shows the models of cxr/1 to Verifpal: each holds, and with any one part of the protocol taken out it does not.

Usage: python3 docs/formal/check.py [--sessions N]

Needs `verifpal` on the PATH, or named by VERIFPAL. N runs of each principal at once are looked at (1); 2 take longer.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
VERIFPAL = os.environ.get("VERIFPAL", "verifpal")

# What a model is asked besides what it says itself: the attacker gets other secrets, or gets them earlier.
STOLEN_PREKEY = [("\tgiik_b = PUBKEY(iik_b)\n", "\tleaks spk\n\tgiik_b = PUBKEY(iik_b)\n")]
STOLEN_STATE = [
    ("principal Alice[leaks iik_a, idh_a, ek, rk]", "principal Alice[leaks iik_a, idh_a]"),
    ("principal Bob[leaks iik_b, idh_b, spk, opk]", "principal Bob[leaks iik_b, idh_b, spk, kpk]"),
]

# What is taken out of the protocol.
NO_KEM = [(", ss_a), root_label", "), root_label"), (", ss_b), root_label", "), root_label")]
NO_BUNDLE_CHECK = [("\t_ = SIGNVERIF(giik_b, CONCAT(gidh_b, suites_b, gspk, gkpk), bundle)?\n", "")]
NO_INIT_SIGNATURE = [("\t_ = SIGNVERIF(giik_a, t_b, sig)?\n", "")]
NO_ONE_TIME = [("DH_KEX(gspk, ek), DH_KEX(gopk, ek), ss_a", "DH_KEX(gspk, ek), ss_a"),
               ("DH_KEX(gek, spk), DH_KEX(gek, opk), ss_b", "DH_KEX(gek, spk), ss_b")]
NO_SUITES_IN_BUNDLE = [("SIGN(iik_b, CONCAT(gidh_b, suites_b, gspk, gkpk))", "SIGN(iik_b, CONCAT(gidh_b, gspk, gkpk))"),
                       ("SIGNVERIF(giik_b, CONCAT(gidh_b, suites_b, gspk, gkpk), bundle)",
                        "SIGNVERIF(giik_b, CONCAT(gidh_b, gspk, gkpk), bundle)")]
NO_SUITES_IN_TRANSCRIPT = [("t_a = HASH(CONCAT(giik_a, gidh_a), bundle, gek, CONCAT(gopk, ct), suites_a)",
                            "t_a = HASH(CONCAT(giik_a, gidh_a), bundle, gek, CONCAT(gopk, ct))"),
                           ("t_b = HASH(CONCAT(giik_a, gidh_a), bundle, gek, CONCAT(gopk, ct), suites_a)",
                            "t_b = HASH(CONCAT(giik_a, gidh_a), bundle, gek, CONCAT(gopk, ct))")]
KEPT_CHAIN_KEY = [("rk1, next1_a, next2_a", "rk1, ck1_a, next2_a")]
NO_TURN = [("HKDF(root3_b, DH_KEX(grk3, rk4), nil)", "HKDF(root3_b, nil, nil)"),
           ("HKDF(root3_a, DH_KEX(grk4, rk3), nil)", "HKDF(root3_a, nil, nil)")]

# Name, model, edits, and how many of its queries must fail at least: none, where it must hold.
CASES = [
    ("handshake", "handshake.vp", [], 0),
    ("handshake; a prekey was stolen before", "handshake.vp", STOLEN_PREKEY, 0),
    ("handshake; all but the one-time prekey is stolen later", "handshake.vp", STOLEN_STATE, 0),
    ("no KEM mixed in", "handshake.vp", NO_KEM, 1),
    ("no check of the bundle", "handshake.vp", NO_BUNDLE_CHECK, 1),
    ("no signature of the initiator; a prekey was stolen before", "handshake.vp", STOLEN_PREKEY + NO_INIT_SIGNATURE, 1),
    ("no one-time prekey; all that there is, is stolen later", "handshake.vp", STOLEN_STATE + NO_ONE_TIME, 1),
    ("the suites of the bundle not signed", "handshake.vp", NO_SUITES_IN_BUNDLE, 1),
    ("the suites of the initiator not in the transcript", "handshake.vp", NO_SUITES_IN_TRANSCRIPT, 1),
    ("ratchet", "ratchet.vp", [], 0),
    ("chain keys that stay", "ratchet.vp", KEPT_CHAIN_KEY, 1),
    ("recovery", "recovery.vp", [], 0),
    ("turns without an agreement", "recovery.vp", NO_TURN, 1),
]


def edited(model, edits):
    text = (HERE / model).read_text()
    for old, new in edits:
        assert text.count(old) == 1, f"{model} has {text.count(old)} times: {old!r}"
        text = text.replace(old, new)
    return text


def failing(text, sessions):
    """How many queries the attacker breaks: the last line has a letter and a digit for each."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "model.vp"
        path.write_text(text)
        command = [VERIFPAL, "verify", str(path), "--sessions", sessions, "--result-code"]
        output = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = output.stdout.split()
    code = lines[-1] if lines else ""
    assert output.returncode == 0 and set(code[1::2]) <= set("01") and code, output.stdout + output.stderr
    return code[1::2].count("1")


def main():
    sessions = sys.argv[sys.argv.index("--sessions") + 1] if "--sessions" in sys.argv else "1"
    wrong = 0
    for name, model, edits, least in CASES:
        fails = failing(edited(model, edits), sessions)
        right = fails >= least if least else fails == 0
        verdict = ("holds" if fails == 0 else f"{fails} broken") + ("" if right else "  <- not as it must be")
        print(f"{name}: {verdict}")
        wrong += not right
    sys.exit(1 if wrong else 0)


main()
