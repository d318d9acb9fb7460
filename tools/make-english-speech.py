#!/usr/bin/env python3
"""Makes read English speech for training: prose of the public domain, spoken by the synthesisers of Debian 12.

usage: tools/make-english-speech.py --output DIR [--hours 10] [--seed 1] [--jobs 1] [--voices NAME,NAME]
           [--text MANIFEST.tsv]... [--avoid MANIFEST.tsv]... | --list

  --text    manifest (path, text) whose sentences are spoken too, e.g. LibriSpeech's train split
  --avoid   manifest (path, text) to keep clear of: whatever shares five words in a row with it is not spoken.
            Name every split that will be tested on.

DIR/manifest.tsv (path, text) grows by a line once a clip, DIR/clips/*.opus (16 kHz mono, 1-15.5 s), is whole; DIR/voices.tsv
says how each was made. Run again, it goes on where it stopped. Clip i is the same for the same seed, texts and packages.
Text is written as LibriSpeech writes it: lower case, no punctuation but apostrophes inside words, "mister" for "Mr.".

Packages (contrib/non-free only for pico): apt install ffmpeg flite festival festvox-us-slt-hts festvox-kallpc16k
festvox-kdlpc16k libttspico-utils espeak-ng bible-kjv. The other texts' packages are downloaded by apt and unpacked in DIR.

Voices, and what their licences say. All may be used for any purpose, and none limits what is done with its speech:
  flite-slt -rms -awb       statistical, trained on CMU ARCTIC's readers (US woman, US man, Scot); CMU's free licence
  flite-kal16               diphones, US man; CMU's free licence
  hts-slt                   HMM voice of ARCTIC's slt (festvox-us-slt-hts); CMU's free licence, parts BSD-3-clause
  kal, ked                  Festival's diphones, two US men; Edinburgh's and CMU's free licence
  pico-us, pico-gb          SVOX Pico, two women; Apache-2.0 (in non-free, as the sources of its voice data are missing)
  espeak                    formant synthesis, variants and accents; the program is GPL-3+, which does not reach its output
Left out: MBROLA's voices (for non-commercial use only).

Whisper base (greedy) reads them at these word error rates; few clips each (in brackets), so only a rough order:
  flite-slt 3 % (6)   ked 4 % (5)   pico-us 6 % (4)   pico-gb 7 % (5)   flite-awb 9 % (19)   flite-kal16 10 % (7)
  hts-slt 10 % (3)   kal 12 % (5)   flite-rms 26 % (4, dictionary words among them)   espeak 31 % (18)

A few voices become many: each clip draws a vocal tract length (the wave played faster or slower by it, while the
synthesiser is told a pitch and a XX
"""
import argparse
import glob
import gzip
import itertools
import math
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import wave
import zlib
from concurrent.futures import ThreadPoolExecutor

# name: (share of the clips, mean pitch in Hz, lowest and highest vocal tract factor). More for what sounds natural.
VOICES = {
    "flite-slt": (13, 175, 0.84, 1.10),
    "flite-rms": (13, 98, 0.92, 1.20),
    "flite-awb": (11, 128, 0.90, 1.18),
    "flite-kal16": (4, 100, 0.92, 1.18),
    "hts-slt": (6, 175, 0.84, 1.10),
    "kal": (3, 105, 0.92, 1.18),
    "ked": (4, 105, 0.92, 1.18),
    "pico-us": (21, 190, 0.82, 1.08),
    "pico-gb": (21, 190, 0.82, 1.08),
    "espeak": (4, 110, 0.95, 1.08),
}
ESPEAK_ACCENTS = "en-us en-gb en-gb-x-rp en-gb-scotland en-us-nyc".split()
ESPEAK_VARIANTS = "male2 male3 male7 female2 female5 klatt klatt4 Andy Annie Alex Michael Steph2 Lee".split()
# text: share of the words
SOURCES = {"austen": 42, "webster": 20, "bible": 9, "wordnet": 5, "devil": 7, "opticks": 5, "manifests": 12}
PACKAGES = ["r-cran-janeaustenr", "dict-gcide", "dict-wn", "dict-devil", "golang-1.19-src"]
LONGEST, SHORTEST, BATCH = 15.5, 1.0, 24

# ---- text ----------------------------------------------------------------------------------------------------------

TITLES = {"mr": "mister", "mrs": "missus", "dr": "doctor", "messrs": "messieurs"}
UNSPOKEN = set("etc viz esq vol vols capt col gen lieut rev hon st no nos pp sc cf obs ca mme mlle ms jr sr ie eg bot "
               "zool anat geom naut arch hist syn pl sing".split())
ROMAN = re.compile(r"m{0,3}(cm|cd|d?c{0,3})(xc|xl|l?x{0,3})(ix|iv|v?i{0,3})")
CLAUSE_END = re.compile(r"(?<=[,;:.?!])\s+")


def clean(text):
    """Typesetting made plain: what a synthesiser shall read, or None where a symbol cannot be read as it stands."""
    text = text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2014: ", ", 0x2013: ", "})
    text = re.sub(r"--+|\s-\s", ", ", text)
    text = re.sub(r"\b(Mr|Mrs|Dr|Messrs)\b\.?", lambda m: TITLES[m.group(1).lower()].capitalize(), text)
    text = re.sub(r'["_()]|(?<![a-z])\'|\'(?![a-z])', " ", text.replace("-", " "), flags=re.I)
    text = re.sub(r"\s+([,;:.?!])", r"\1", re.sub(r"\s+", " ", text)).strip(" ,;:")
    text = re.sub(r"([,;:.?!])[,;:.?!]+", r"\1", text)
    return text if re.fullmatch(r"[A-Za-z' ,;:.?!]+", text) else None


def words_of(text):
    """The words of a cleaned text as LibriSpeech writes them; None where one would not be read as written."""
    words = re.findall(r"[a-z']+", text.lower())
    for word in words:
        known = word in ("a", "i", "o", "mix", "mild") or (len(word) > 1 and re.search(r"[aeiouy]", word))
        if not known or word in UNSPOKEN or len(word) > 20 or (word not in ("i", "mix") and ROMAN.fullmatch(word)):
            return None
    return [TITLES.get(word, word) for word in words]


def passages(paragraph, rng):
    """Cuts a paragraph at its commas and stops into pieces of 1-40 words, as read speech is cut at pauses."""
    piece, target = [], 0
    for clause in CLAUSE_END.split(paragraph):
        if not piece:
            target = rng.choice((5, 12, 20, 26, 30, 34, 38))
        piece.append(clause)
        count = sum(len(c.split()) for c in piece)
        if count > 40:
            piece = []
        elif count >= target * 0.75:
            yield " ".join(piece)
            piece = []
    if piece:
        yield " ".join(piece)


def r_strings(path):
    """The strings of an R package's data, a row of zlib streams of R's serialised vectors; a string is a line of a book."""
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        stream = zlib.decompressobj()
        book = stream.decompress(data[at + 4:])  # after its length
        at = len(data) - len(stream.unused_data)
        i = book.find(b"\0\4\0\x09")
        while 0 <= i < len(book) - 8 and book[i:i + 4] == b"\0\4\0\x09":
            size = struct.unpack(">i", book[i + 4:i + 8])[0]
            yield book[i + 8:i + 8 + max(size, 0)].decode("utf-8", "replace")
            i += 8 + max(size, 0)
        yield ""


def paragraphs(lines):
    """Lines joined up to the next empty one; headings and verse, whose lines begin anew, fall out by their case."""
    block = []
    for line in lines:
        if line.strip():
            block.append(line.strip())
        elif block:
            text = " ".join(block)
            if not text.isupper() and len(text) > 20:
                yield text
            block = []


def dictionary(root, name):
    return gzip.open(f"{root}/usr/share/dictd/{name}.dict.dz").read().decode("utf-8", "replace")


def webster(root):
    """Webster of 1913: the quotations, deeply indented and signed "--Milton.", and the definitions."""
    quote, sense = [], None
    for line in dictionary(root, "gcide").split("\n"):
        if line.startswith(" " * 9) and not line.strip().startswith("[") and len(quote) < 12:
            words, signed, _ = line.strip().partition("--")
            quote.append(words)
            if signed:
                yield " ".join(quote)
                quote = []
            continue
        quote = []
        start = re.match(r"   (?:\d\. |\(a\) )?([A-Z][a-z].*)", line)
        if start or (sense and line.startswith("      ")):
            sense = start.group(1) if start else sense + " " + line.strip()
            if re.search(r"[.;]", sense):
                yield re.split(r"[.;]", sense)[0] + "."
                sense = None
        else:
            sense = None


def read_sources(root, manifests):
    """source: paragraphs, in the order of the books"""
    book = f"{root}/usr/share/go-1.19/src/testdata/Isaac.Newton-Opticks.txt"
    bible = subprocess.run(["bible", "-f", "-l", "100000", "gen1:1-rev22:21"], capture_output=True, text=True, check=True)
    sources = {
        "austen": paragraphs(r_strings(f"{root}/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")),
        "webster": webster(root),
        "wordnet": re.findall(r'"([a-z][^";]{12,}?)"', re.sub(r"\s+", " ", dictionary(root, "wn"))),
        "devil": paragraphs(re.sub(r"^\S.*?, [a-z.]+ ", "", dictionary(root, "devil"), flags=re.M).split("\n")),
        "opticks": paragraphs(open(book, encoding="utf-8", errors="replace")),
        "bible": (verse.partition(" ")[2] for verse in bible.stdout.split("\n")),
        "manifests": (row for path in manifests for row in column(path, "text")),
    }
    return sources


def column(path, name):
    with open(path, encoding="utf-8") as file:
        at = file.readline().rstrip("\n").split("\t").index(name)
        return [line.rstrip("\n").split("\t")[at] for line in file]


def five_words(words):
    return {tuple(words[i:i + 5]) for i in range(len(words) - 4)} or {tuple(words)}


def plan(root, manifests, avoid, seed):
    """The endless reading: (source, text to speak, words), sources mixed by their shares of words, each piece once."""
    rng = random.Random(f"{seed}/plan")
    forbidden = {run for path in avoid for text in column(path, "text") for run in five_words(text.split())}
    pieces, seen = {}, set()
    for source, texts in read_sources(root, manifests).items():
        if source == "manifests":
            pieces[source] = [text for text in texts if len(text.split()) <= 36]
        else:
            pieces[source] = [piece for text in texts for piece in passages(text, rng)]
        rng.shuffle(pieces[source])
    spent = dict.fromkeys(SOURCES, 0.0)
    while any(pieces.values()):
        source = min((s for s in SOURCES if pieces[s]), key=lambda s: spent[s] / SOURCES[s])
        spoken = clean(pieces[source].pop())
        words = spoken and words_of(spoken)
        few = words and len(words) < 6 and rng.random() < 0.75  # dictionaries have too many of these
        if words and not few and len(words) <= 40 and not forbidden & five_words(words) and " ".join(words) not in seen:
            seen.add(" ".join(words))
            spent[source] += len(words)
            yield source, spoken, words


# ---- speech --------------------------------------------------------------------------------------------------------


def run(command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120, **options)


def draw_style(index, seed, voices):
    """How clip `index` is spoken: the voice, and factors of vocal tract (of all frequencies), pitch, tempo and range."""
    rng = random.Random(f"{seed}/{index}")
    voice = rng.choices(voices, [VOICES[v][0] for v in voices])[0]
    _, hertz, low, high = VOICES[voice]
    tract = rng.uniform(low, high)
    return {
        "voice": voice, "tract": tract, "hertz": hertz,
        "pitch": tract ** 1.6 * math.exp(rng.gauss(0, 0.11)),
        "tempo": min(1.3, max(0.72, 0.95 * math.exp(rng.gauss(0, 0.13)))),
        "range": rng.uniform(0.8, 1.6), "accent": rng.choice(ESPEAK_ACCENTS), "variant": rng.choice(ESPEAK_VARIANTS),
        "bass": rng.gauss(0, 3), "treble": rng.gauss(0, 4), "gain": rng.uniform(-16, -2),
        "lead": rng.uniform(0.05, 0.45), "tail": rng.uniform(0.1, 0.5),
    }


def speak_flite(style, text, out, pitch, tempo):
    deviation = 15 * style["range"] * style["hertz"] / 110
    run(["flite", "-voice", style["voice"][6:], "--setf", f"duration_stretch={1 / tempo:.3f}",
         "--setf", f"int_f0_target_mean={pitch * style['hertz']:.1f}", "--setf", f"int_f0_target_stddev={deviation:.1f}",
         "-t", text, "-o", out])


def speak_pico(style, text, out, pitch, tempo):
    marked = f'<pitch level="{100 * pitch:.0f}"><speed level="{100 * tempo:.0f}">{text}</speed></pitch>'
    run(["pico2wave", "-l", {"us": "en-US", "gb": "en-GB"}[style["voice"][5:]], "-w", out, marked])


def speak_espeak(style, text, out, pitch, tempo):
    run(["espeak-ng", "-v", f"{style['accent']}+{style['variant']}", "-s", f"{160 * tempo:.0f}",
         "-p", f"{min(90, max(10, 45 * pitch)):.0f}", "-w", out, text])


SPEAKERS = {"flite": speak_flite, "pico": speak_pico, "espeak": speak_espeak}


def festival_script(style, text, out, pitch, tempo):
    """The diphone voices take their intonation's mean; the HMM voice wants semitones, and its speed as a rate."""
    if style["voice"] == "hts-slt":
        voice = f"""(voice_cmu_us_slt_arctic_hts)
            (set! hts_engine_params (append hts_engine_params
                (list '("-r" {tempo:.3f}) '("-fm" {12 * math.log2(pitch):.2f}))))"""
    else:
        voice = f"""(voice_{style["voice"]}_diphone)
            (set! int_lr_params '((target_f0_mean {pitch * style["hertz"]:.1f}) (target_f0_std {14 * style["range"]:.1f})
                (model_f0_mean 170) (model_f0_std 34)))
            (Parameter.set 'Duration_Stretch {1.08 / tempo:.3f})"""
    return f"""{voice}
        (utt.save.wave (utt.synth (Utterance Text "{text}")) "{out}" 'riff)
        """


def speak(clips, work):
    """Every clip's words into WORK/NAME.wav. Festival, slow to start, is started once for all of its clips."""
    script = ""
    for clip in clips:
        style = clip["style"]
        how = (style, clip["text"], f"{work}/{clip['index']:06d}.wav", style["pitch"] / style["tract"],
               style["tempo"] / style["tract"])
        engine = SPEAKERS.get(style["voice"].partition("-")[0])
        if engine:
            engine(*how)
        else:
            script += festival_script(*how)
    if script:
        run(["festival", "--pipe"], input=script.encode())


def record(clips, work, folder):
    """The waves through vocal tract, tone and level to Opus, in one start of ffmpeg; yields the clips made.
    Too short or too long ones are left out."""
    inputs, outputs, made = [], [], []
    for clip in clips:
        style, wav = clip["style"], f"{work}/{clip['index']:06d}.wav"
        with wave.open(wav) as file:
            rate, frames = file.getframerate(), file.getnframes()
        clip["seconds"] = frames / rate / style["tract"] + style["lead"] + style["tail"]
        if not SHORTEST <= clip["seconds"] <= LONGEST:
            continue
        graph = (f"asetrate={rate * style['tract']:.0f},aresample=16000,bass=g={style['bass']:.1f}:f=220,"
                 f"treble=g={style['treble']:.1f}:f=3200,volume={style['gain']:.1f}dB,"
                 f"adelay={1000 * style['lead']:.0f},apad=pad_dur={style['tail']:.2f}")
        inputs += ["-i", wav]
        outputs += ["-map", f"{len(made)}:a", "-af", graph, "-ac", "1", "-ar", "16000", "-c:a", "libopus", "-b:a", "24k",
                    "-compression_level", "5", "-f", "opus", f"{folder}/clips/{clip['index']:06d}.part"]
        made.append(clip)
    if made:
        run(["ffmpeg", "-v", "error", "-nostdin", "-y", *inputs, *outputs])
    for clip in made:
        path = f"{folder}/clips/{clip['index']:06d}"
        os.replace(f"{path}.part", f"{path}.opus")
    return made


def make_clips(batch, folder, seed, voices):
    """Makes a batch of (index, piece); the clips that came out well, with their seconds."""
    clips = [{"index": index, "source": source, "text": text, "words": words, "style": draw_style(index, seed, voices)}
             for index, (source, text, words) in batch]
    with tempfile.TemporaryDirectory() as work:
        try:
            speak(clips, work)
            return record(clips, work, folder)
        except (subprocess.SubprocessError, OSError, EOFError, wave.Error) as error:
            reason = getattr(error, "stderr", b"") or b""
            print(f"\nclips {batch[0][0]}-{batch[-1][0]} left out: {error} {reason.decode(errors='replace')}",
                  file=sys.stderr)
            return []


# ---- the work ------------------------------------------------------------------------------------------------------


def fetch_texts(root):
    """Unpacks the text packages below `root` with apt and dpkg; needs no root."""
    for package in PACKAGES:
        if not os.path.exists(f"{root}/usr/share/doc/{package}"):
            work = f"{root}/{package}"
            os.makedirs(work, exist_ok=True)
            subprocess.run(["apt-get", "download", "-q", package], cwd=work, check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["dpkg", "-x", glob.glob(f"{work}/*.deb")[0], root], check=True)
            shutil.rmtree(work)


def done_already(folder):
    """What an earlier run finished, {index: seconds}; a line cut off by a kill is taken away from both tables."""
    tables = {}
    for name, header in (("voices.tsv", "path\tseconds\tvoice\tsource\ttract\tpitch\ttempo"), ("manifest.tsv", "path\ttext")):
        path = f"{folder}/{name}"
        if not os.path.exists(path) or os.path.getsize(path) == 0:
            with open(path, "w", encoding="utf-8") as file:
                file.write(header + "\n")
        with open(path, "r+b") as file:
            whole = file.read().rpartition(b"\n")[0] + b"\n"
            file.truncate(len(whole))
        tables[name] = dict(line.split("\t")[:2] for line in whole.decode().splitlines()[1:])
    return {int(path[6:12]): float(tables["voices.tsv"][path]) for path in tables["manifest.tsv"]}


def write_lines(clips, manifest, voices):
    """Both tables' lines; manifest.tsv's last, as it is what says that a clip is there."""
    for clip in clips:
        style, name = clip["style"], f"clips/{clip['index']:06d}.opus"
        numbers = "\t".join(f"{style[k]:.3f}" for k in ("tract", "pitch", "tempo"))
        voices.write(f"{name}\t{clip['seconds']:.2f}\t{style['voice']}\t{clip['source']}\t{numbers}\n")
    voices.flush()
    manifest.write("".join(f"clips/{clip['index']:06d}.opus\t{' '.join(clip['words'])}\n" for clip in clips))
    manifest.flush()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output")
    parser.add_argument("--hours", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--voices", default=",".join(VOICES))
    parser.add_argument("--text", action="append", default=[])
    parser.add_argument("--avoid", action="append", default=[])
    parser.add_argument("--list", action="store_true", help="list the voices and their shares")
    args = parser.parse_args()
    args.voices = args.voices.split(",")
    unknown = [v for v in args.voices if v not in VOICES]
    if unknown:
        parser.error(f"no voice {unknown[0]}; --list names them")
    if not args.list and not args.output:
        parser.error("--output DIR says where the clips go")
    missing = [p for p in ("ffmpeg", "flite", "festival", "pico2wave", "espeak-ng", "bible") if not shutil.which(p)]
    if missing and not args.list:
        parser.error(f"{', '.join(missing)}: not installed; --help names the packages")
    return args


def main():
    args = arguments()
    if args.list:
        for name, (share, hertz, low, high) in VOICES.items():
            print(f"{name:12} share {share:2} %  pitch {hertz} Hz  vocal tract factor {low}-{high}")
        return
    os.makedirs(f"{args.output}/clips", exist_ok=True)
    fetch_texts(f"{args.output}/texts")
    done = done_already(args.output)
    seconds, goal, began, first = sum(done.values()), args.hours * 3600, time.time(), sum(done.values())
    reading = enumerate(plan(f"{args.output}/texts", args.text, args.avoid, args.seed))
    todo = (item for item in reading if item[0] not in done)
    batches = iter(lambda: list(itertools.islice(todo, BATCH)), [])
    with open(f"{args.output}/manifest.tsv", "a", encoding="utf-8") as manifest, \
            open(f"{args.output}/voices.tsv", "a", encoding="utf-8") as voices, ThreadPoolExecutor(args.jobs) as pool:
        while seconds < goal:
            several = list(itertools.islice(batches, args.jobs))
            if not several:
                print("\nall text is spoken")
                break
            for made in pool.map(lambda batch: make_clips(batch, args.output, args.seed, args.voices), several):
                write_lines(made, manifest, voices)
                seconds += sum(clip["seconds"] for clip in made)
            left = (goal - seconds) * (time.time() - began) / max(seconds - first, 1)
            print(f"\r{seconds / 3600:.2f} of {args.hours:g} h, {max(left, 0) / 60:.0f} min left ", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
