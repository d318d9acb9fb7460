#!/usr/bin/env python3
"""Reference ids for src/text, from the published libraries (PyPI: tokenizers, sentencepiece, gguf).

    make_tokenizers.py fixtures        trains tokenizers/*.json on strings of another seed
    make_tokenizers.py hash [MODELS]   writes text_tokenizers.json: for each tokenizer and each 100
                                       of the 10,000 strings of tests/tokenizer_strings.h the hash of
                                       the ids ("plain": without added tokens; "special": with) and
                                       of the text decoded from the plain ones ("text")
    make_tokenizers.py check FOLDER [MODELS]
                                       the files that test-golden-text_tokenizers FOLDER left there
                                       give `tokenizers` the same ids as the files they were made of

MODELS has smollm2.gguf and whisper-tokenizer.json (tools/check-models.sh). Llama 2's tokenizer.json
is in ../shared/data/models. SmolLM2's pipeline is the one of its published tokenizer.json (single
digits, then ByteLevel with its expression); vocabulary and merges are read from the GGUF.
"""
import copy
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
FIXTURE = HERE / "text_tokenizers.json"
COUNT, PER_HASH, SEED = 10000, 100, 1

RANGES = [
    (0x20, 0x7E), (0x61, 0x7A), (0x41, 0x5A), (0xA0, 0xFF), (0x100, 0x17F), (0x370, 0x373),
    (0x391, 0x3A1), (0x3B1, 0x3C9), (0x410, 0x44F), (0x5D0, 0x5EA), (0x627, 0x63A), (0x641, 0x652),
    (0x905, 0x939), (0x93E, 0x94D), (0x958, 0x95F), (0xE01, 0xE30), (0xE31, 0xE3A),
    (0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2), (0x1E00, 0x1E9B), (0x3041, 0x3096),
    (0x30A1, 0x30FA), (0x4E00, 0x4EFF), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xF900, 0xFA2D),
    (0x1D15E, 0x1D164), (0x20000, 0x20100), (0x1F600, 0x1F64F), (0x2190, 0x21FF), (0x2580, 0x259F),
    (0xFF01, 0xFF5E), (0x212A, 0x212B), (0xE000, 0xE010), (0x10FFFC, 0x10FFFF), (0x17F, 0x17F),
    (0x2126, 0x2126), (0xFFFD, 0xFFFD),
]
SPACES = [0x20] * 7 + [
    0x09, 0x0A, 0x0D, 0x0B, 0x0C, 0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x2003, 0x200B, 0x2028,
    0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF, 0x2581,
]
DIGITS = [0x30, 0x30, 0x660, 0x966, 0xFF10, 0xB2, 0xBC, 0x2160, 0x2460]
WORDS = [
    "the", "The", "and", "of", "transcribe", "speech", "to", "text", "bin", "blue", "at", "f",
    "two", "now", "it's", "IT'S", "they'll", "DON'T", "we've", "I'm", "he'd", "you're", "'s", "'LL",
    "'\u017f", "internationalization", "Z\u00fcrich", "na\u00efve", "a_b", "x+=1;",
    "for(int i=0;i<n;++i){", "}\n", "return\t", "\r\n", "//", "/*", "*/", "<html>", "https://",
    "e.g.", "...", "!!", "?!", "--", "1,000.50", "2024-11-23", "0x1F", "3.14", "<s>", "</s>",
    "<unk>", "<pad>", "<audio>", "</audio>", "<|endoftext|>", "<|im_start|>", "<|im_end|>",
    "<|begin_of_text|>", "<|eot_id|>", "<|startoftranscript|>", "<|en|>", "<|notimestamps|>",
    "<|", "|>", "<0x0A>", "<0xE2>", "<tool_call>", "[INST]", "[one]", "[two]", "[three]", "[four]",
    "\u2581the", "\u2581", "\u0120the",
]
BYTES = [0x80, 0xBF, 0xC0, 0xC3, 0xE2, 0x96, 0x81, 0xED, 0xA0, 0xF0, 0x9F, 0x98, 0xF4, 0x90, 0xF8,
         0xFE, 0xFF, 0x41]
HEADS = [0x1F600, 0x1F468, 0x1F469, 0x1F44D, 0x1F3F3, 0x2764, 0x1F1E9, 0x1F680, 0x31]
TAILS = [0x1F3FB, 0x1F3FF, 0x200D, 0xFE0F, 0x1F1EA, 0x20E3]


class Maker:
    def __init__(self, seed):
        self.state = seed

    def draw(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit

    def of(self, items):
        return items[self.draw(len(items))]

    def character(self, low, high):
        return low + self.draw(high - low + 1)

    def emoji(self):
        codes = [self.of(HEADS)]
        for _ in range(self.draw(4)):
            codes.append(self.of(TAILS))
            if self.draw(2):
                codes.append(self.of(HEADS))
        return codes

    def part(self):
        kind = self.draw(100)
        codes = []
        if kind < 30:
            low, high = self.of(RANGES)
            codes = [self.character(low, high) for _ in range(1 + self.draw(8))]
        elif kind < 55:
            codes = [ord(c) for c in self.of(WORDS)]
            if self.draw(3):
                codes.append(0x20)
        elif kind < 70:
            space = self.of(SPACES)
            codes = [space] * ((1 + self.draw(3)) if self.draw(8) else (1 + self.draw(20)))
        elif kind < 77:
            zero = self.of(DIGITS)
            limit = {0xB2: 2, 0xBC: 3}.get(zero, 10)
            codes = [zero + self.draw(limit) for _ in range(1 + self.draw(9))]
        elif kind < 83:
            codes = self.emoji()
        elif kind < 90:
            codes = [self.character(0x41, 0x7A)]
            codes += [self.character(0x300, 0x345) for _ in range(1 + self.draw(3))]
        elif kind < 93:
            codes = [self.draw(0x20)]
        elif kind < 97:
            return bytes(self.of(BYTES) for _ in range(1 + self.draw(4)))
        else:
            code = self.character(*self.of(RANGES))
            codes = [code] * ((1 + self.draw(60)) if self.draw(20) else (1 + self.draw(2000)))
        return "".join(map(chr, codes)).encode()

    def string(self):
        return as_seen(b"".join(self.part() for _ in range(self.draw(12))))


def as_seen(text):
    """Every byte that is no UTF-8 becomes U+FFFD; an unfinished character at the end one."""
    out = ""
    while True:
        try:
            return out + text.decode()
        except UnicodeDecodeError as e:
            out += text[: e.start].decode() + "\ufffd"
            text = b"" if e.reason == "unexpected end of data" else text[e.start + 1 :]


def strings(seed, count):
    maker = Maker(seed)
    return [maker.string() for _ in range(count)]


def fnv(h, data):
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


# ---- fixtures -----------------------------------------------------------------------------------

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def added(first, rows):
    """rows: (content, special, flags that are true)"""
    names = ("single_word", "lstrip", "rstrip", "normalized")
    return [{"id": first + i, "content": content, **{n: n in flags for n in names}, "special": special}
            for i, (content, special, flags) in enumerate(rows)]


def byte_level(name, regex, texts, normalizer, ignore_merges, tokens):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(regex), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=1100, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    root = json.loads(t.to_str())
    merges = root["model"]["merges"]
    if ignore_merges:  # tokens that only a whole piece makes
        parts = {p for m in merges for p in m}
        root["model"]["merges"] = [m for i, m in enumerate(merges) if "".join(m) in parts or i % 3]
    root["added_tokens"] = added(len(root["model"]["vocab"]), tokens)
    write(name, root)


def write(name, root):
    root["model"]["merges"] = [" ".join(m) for m in root["model"]["merges"]]
    path = HERE / "tokenizers" / name
    path.write_text(json.dumps(root, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(name, path.stat().st_size, len(root["model"]["vocab"]), len(root["model"]["merges"]))


def sentence_piece(texts):
    import io
    import sentencepiece
    from transformers.convert_slow_tokenizer import generate_merges

    # Few characters, so that many fall back to bytes.
    texts = ["".join(c for c in t if ord(c) < 0x1000 or 0x1F600 <= ord(c) < 0x1F610) for t in texts]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="bpe", vocab_size=1400,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
        max_sentence_length=100000, minloglevel=2)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    scores = {p: sp.get_score(i) for p, i in vocab.items() if i >= 259}
    assert all(s == 259 - vocab[p] for p, s in scores.items())
    write("sentencepiece.json", {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": added(0, [("<unk>", True, ()), ("<s>", True, ()), ("</s>", True, ())])
        + added(len(vocab), [("<pad>", True, ()), ("[one]", False, ("normalized",)),
                             ("[two]", False, ("lstrip", "rstrip")),
                             ("[three]", False, ("single_word", "normalized"))]),
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None, "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>",
                  "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
                  "byte_fallback": True, "ignore_merges": False, "vocab": vocab,
                  "merges": generate_merges(vocab, scores)}})
    return model.getvalue()


def fixtures():
    texts = [t.replace("\0", "") for t in strings(2, 6000)]
    pathlib.Path(HERE / "tokenizers").mkdir(exist_ok=True)
    byte_level("llama3.json", LLAMA3, texts, False, True, [
        ("<|begin_of_text|>", True, ()), ("<|eot_id|>", True, ()), ("<audio>", True, ("rstrip",))])
    byte_level("qwen2.json", QWEN2, texts, True, False, [
        ("<|endoftext|>", True, ()), ("<|im_start|>", True, ()), ("<|im_end|>", True, ()),
        ("<tool_call>", False, ()), ("[one]", False, ("normalized",)),
        ("[two]", False, ("lstrip",)), ("[three]", False, ("single_word",)),
        ("[four]", False, ("lstrip", "rstrip", "single_word", "normalized"))])
    sentence_piece(texts)


# ---- references ---------------------------------------------------------------------------------

REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}


def metaspace(scheme, split):
    return {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581",
                                                  "prepend_scheme": scheme, "split": split}}


# name, file, what is changed in it (merged into it, objects inside objects)
ENTRIES = [
    ("tiny", "models/tiny/tokenizer.json", {}),
    ("llama3", "tests/golden/tokenizers/llama3.json", {}),
    ("qwen2", "tests/golden/tokenizers/qwen2.json", {}),
    ("smollm pipeline", "tests/golden/tokenizers/llama3.json", {
        "model": {"ignore_merges": False},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
             "use_regex": True}]}}),
    ("gpt-2 pipeline", "tests/golden/tokenizers/qwen2.json", {
        "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True,
                                              "trim_offsets": True, "use_regex": True}}),
    ("sentencepiece", "tests/golden/tokenizers/sentencepiece.json", {}),
    ("metaspace first", "tests/golden/tokenizers/sentencepiece.json", metaspace("first", False)),
    ("metaspace always", "tests/golden/tokenizers/sentencepiece.json", metaspace("always", True)),
    ("metaspace never", "tests/golden/tokenizers/sentencepiece.json", metaspace("never", False)),
    ("no prefix", "tests/golden/tokenizers/sentencepiece.json", {
        "normalizer": {"type": "Sequence", "normalizers": [REPLACE]}}),
    ("unknown fused", "tests/golden/tokenizers/sentencepiece.json",
     {"model": {"byte_fallback": False}}),
    ("unknown apart", "tests/golden/tokenizers/sentencepiece.json",
     {"model": {"byte_fallback": False, "fuse_unk": False}}),
    ("llama2", "../shared/data/models/llama2-tokenizer.json", {}),
    ("whisper", "MODELS/whisper-tokenizer.json", {}),
    ("smollm2", "MODELS/smollm2.gguf", {}),
]
NO_TEXT = ("gpt-2 pipeline", "metaspace always", "metaspace never", "no prefix", "unknown fused",
           "unknown apart", "smollm2")  # the file's decoder is not made for the changed pipeline,
#                                         or a byte has no token


def merge(into, change):
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
    return into


def from_gguf(path):
    import gguf

    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [dict(a, id=i) for i, t in enumerate(tokens) if types[i] == 3
                         for a in added(i, [(t, True, ())])],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, level]},
        "post_processor": None, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)},
                  "merges": fields["tokenizer.ggml.merges"].contents()}}


def load(path, change, models):
    path = path.replace("MODELS", models)
    root = from_gguf(path) if path.endswith(".gguf") else json.loads(pathlib.Path(path).read_text())
    return merge(root, copy.deepcopy(change))


def encoders(root):
    """The tokenizer without and with its added tokens."""
    from tokenizers import Tokenizer

    return (Tokenizer.from_str(json.dumps(dict(root, added_tokens=[]))),
            Tokenizer.from_str(json.dumps(root)))


def hash_blocks(rows):
    hashes = []
    for i, data in enumerate(rows):
        h = fnv(0xCBF29CE484222325 if i % PER_HASH == 0 else h, data)
        if i % PER_HASH == PER_HASH - 1:
            hashes.append(f"{h:016x}")
    return hashes


def packed(ids):
    return struct.pack(f"<{len(ids) + 1}i", len(ids), *ids)


def hash_all(models):
    old = {e["name"]: e for e in json.loads(FIXTURE.read_text())} if FIXTURE.exists() else {}
    texts = strings(SEED, COUNT)
    print(len(texts), "strings,", len("".join(texts).encode()), "bytes")
    entries = []
    for name, path, change in ENTRIES:
        if "MODELS" in path and not models:
            entries.append(old[name])
            continue
        plain, special = encoders(load(path, change, models))
        ids = [plain.encode(t, add_special_tokens=False).ids for t in texts]
        entry = {"name": name, "file": path, "change": change,
                 "plain": hash_blocks(map(packed, ids)),
                 "special": hash_blocks(packed(special.encode(t, add_special_tokens=False).ids)
                                        for t in texts)}
        if name not in NO_TEXT:
            entry["text"] = hash_blocks(plain.decode(i).encode() for i in ids)
        print(name, sum(map(len, ids)), "ids")
        entries.append(entry)
    FIXTURE.write_text("[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]\n")


def check(folder, models):
    for name, path, change in ENTRIES:
        saved = pathlib.Path(folder) / (name + ".json")
        if not saved.exists():
            print(name, "is not there")
            continue
        pairs = zip(encoders(load(path, change, models)), encoders(json.loads(saved.read_text())))
        for ours, theirs in pairs:
            for text in strings(SEED, COUNT):
                a, b = (t.encode(text, add_special_tokens=False).ids for t in (ours, theirs))
                assert a == b, (name, text, a, b)
        print(name, "is the same")


if sys.argv[1:] == ["fixtures"]:
    fixtures()
elif len(sys.argv) in (2, 3) and sys.argv[1] == "hash":
    hash_all(sys.argv[2] if len(sys.argv) == 3 else "")
elif len(sys.argv) in (3, 4) and sys.argv[1] == "check":
    check(sys.argv[2], "".join(sys.argv[3:]))
else:
    sys.exit(__doc__)
