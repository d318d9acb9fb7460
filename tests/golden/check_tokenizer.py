#!/usr/bin/env python3
"""Checks src/text/tokenizer against the published library (PyPI package `tokenizers`).

    check_tokenizer.py make            writes text_tokenizer.json: 1000 strings, no hashes yet
    test-golden-text_tokenizer FOLDER  trains two tokenizers on them, leaves FOLDER/{0,1}.json
    check_tokenizer.py hash FOLDER     encodes the strings with the library, from those two files,
                                       checks that they decode to themselves, and writes the hashes
                                       (FNV-1a, 64 bit, of the ids as little-endian int32)

After that test-golden-text_tokenizer compares our ids with the library's. Strings use characters
of Unicode 3.2 only, so that no library's Unicode tables are too old or too new for them.
"""
import json
import pathlib
import random
import struct
import sys
import unicodedata

FIXTURE = pathlib.Path(__file__).with_name("text_tokenizer.json")
WORDS = """bin blue at f two now lay green by m seven again place red in set white with please soon
it's they'll DON'T we've I'm he'd you're Zürich été naïve Straße Привет мир кот Ελλάδα λόγος שלום
עולם سلام العالم नमस्ते दुनिया สวัสดี 你好 世界 こんにちは 東京 한국어 Việt ﬁn ½ Ⅷ ²³ 2024 3.14 007
1,000,000 ... !? -- <audio </ video> #tag @you a_b C++ 🚀 👩‍🚀 🏳️‍🌈 ❤️ e\u0301 \u00ad \u200b""".split()
SPACES = [" "] * 12 + ["  ", "   ", "\n", "\r\n", "\n\n ", "\t", " \n", "\u00a0", "\u3000", ""]


def any_character(r):
    while True:
        c = chr(r.randrange(1, 0x30000))
        if unicodedata.ucd_3_2_0.category(c) not in ("Cn", "Cs") and c != "\u180e":
            return c


def make_string(r):
    kind = r.random()
    if kind < 0.2:
        return "".join(any_character(r) for _ in range(r.randrange(1, 12)))
    if kind < 0.35:
        return "".join(chr(r.randrange(1, 128)) for _ in range(r.randrange(1, 24)))
    text = r.choice(["", "", "", " ", "\n"])
    for _ in range(r.randrange(1, 9)):
        text += r.choice(WORDS) + r.choice(SPACES)
    return text


def make():
    r = random.Random(1)
    write([[make_string(r), "", ""] for _ in range(1000)])


def write(rows):
    lines = ",\n".join(json.dumps(row) for row in rows)
    FIXTURE.write_text("[\n" + lines + "\n]\n")


def fnv(ids):
    h = 0xCBF29CE484222325
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def hash_all(folder):
    from tokenizers import Tokenizer

    rows = json.loads(FIXTURE.read_text())
    for which in (0, 1):
        t = Tokenizer.from_file(f"{folder}/{which}.json")
        assert t.encode("<audio></audio>").ids == [t.token_to_id("<audio>"), t.token_to_id("</audio>")]
        tokens = 0
        for row in rows:
            ids = t.encode(row[0]).ids
            tokens += len(ids)
            assert t.decode(ids) == row[0], row[0]
            row[1 + which] = fnv(ids)
        print(f"{folder}/{which}.json: {t.get_vocab_size()} ids, {tokens} tokens in {len(rows)} strings")
    write(rows)


if sys.argv[1:] == ["make"]:
    make()
elif len(sys.argv) == 3 and sys.argv[1] == "hash":
    hash_all(sys.argv[2])
else:
    sys.exit(__doc__)
