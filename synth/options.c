#include "options.h"

#include "base/file.h"
#include "base/memory.h"
#include "speech.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXTS_LIMIT_BYTES (64 << 20)

static const char help[] =
    "usage: mome-synth [OPTIONS] -o PATH\n\n"
    "Makes talking clips: a voice (flite) says a sentence, a drawn face moves its lips\n"
    "with it, and a manifest tells when each word and each phone was said. No recording, no\n"
    "person, no licence. The same command makes the same clips.\n"
    "\n"
    "One clip (prints its manifest line):\n"
    "  mome-synth --text \"bin blue at f two now\" -o clip.mp4\n"
    "Many clips and FOLDER/manifest.tsv (path, text, words_ms, phones_ms; times in milliseconds):\n"
    "  mome-synth --grammar grid --count 1000 --seed 7 -o FOLDER\n"
    "  mome-synth --texts sentences.txt -o FOLDER        one sentence a line\n"
    "Noise: ten people reading at once\n"
    "  mome-synth --babble 60 -o babble.wav              (.m4a: compressed)\n"
    "A picture of 12 faces, to look at\n"
    "  mome-synth --faces 12 -o faces.png\n"
    "\n"
    "  --text TEXT         one clip that says this\n"
    "  --texts FILE        a clip of each line\n"
    "  --grammar G         clips of made-up sentences: grid\n"
    "  --babble S          noise of so many seconds\n"
    "  --faces N           a picture of so many faces\n"
    "  -o, --output PATH   clip, folder, babble or picture to write\n"
    "  --sound-only        .wav instead of .mp4: about 20 times cheaper\n"
    "  --count N           clips to make (default: 10 of a grammar, every line of --texts)\n"
    "  --seed S            another seed: other sentences, speakers, faces (default 1)\n"
    "  --jobs N            processes (default: one for each processor)\n"
    "  --voice NAME        slt, rms, awb, kal16 or kal (default: drawn for each clip)\n"
    "  --pitch F --rate F  factors on the voice's own: 0.5 .. 2 (default: drawn)\n"
    "  --face-seed S       this face in every clip (default: drawn for each clip)\n"
    "  --help              this text\n"
    "\n"
    "Exit code: 0 made, 1 failed, 2 the command line is wrong.\n";

void options_help(void)
{
    fputs(help, stdout);
}

static int parse_count(int64_t *out, const char *name, const char *text, int64_t low, int64_t high,
                       struct error *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < low || v > high)
        return error_set(err, ERROR_USAGE, "--%s %s: expected a whole number %lld .. %lld", name,
                         text, (long long)low, (long long)high);
    *out = v;
    return 0;
}

static int parse_factor(double *out, const char *name, const char *text, double low, double high,
                        struct error *err)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= low && v <= high))
        return error_set(err, ERROR_USAGE, "--%s %s: expected a number %g .. %g", name, text, low,
                         high);
    *out = v;
    return 0;
}

/* Lines of a file that hold anything become o->texts. */
static int read_texts(struct options *o, const char *path, struct error *err)
{
    size_t size;
    int rc = file_read(&o->text_file, &size, path, TEXTS_LIMIT_BYTES, err);
    if (rc != 0)
        return rc;
    size_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += o->text_file[i] == '\n';
    o->texts = memory_new(lines, sizeof *o->texts);
    if (!o->texts)
        return error_set(err, ERROR_MEMORY, "%s: out of memory for %zu lines", path, lines);
    char *rest = o->text_file, *line;
    while ((line = strsep(&rest, "\n"))) {
        line[strcspn(line, "\r")] = '\0';
        if (line[strspn(line, " \t")])
            o->texts[o->text_count++] = line;
    }
    if (o->text_count == 0)
        return error_set(err, ERROR_FORMAT, "%s: no sentence in it; write one on each line", path);
    return 0;
}

static int one_text(struct options *o, const char *text, struct error *err)
{
    o->text_file = memory_strdup(text);
    o->texts = memory_new(1, sizeof *o->texts);
    if (!o->text_file || !o->texts)
        return error_set(err, ERROR_MEMORY, "out of memory");
    o->texts[0] = o->text_file;
    o->text_count = 1;
    return 0;
}

enum key {
    KEY_TEXT = 256,
    KEY_TEXTS,
    KEY_GRAMMAR,
    KEY_BABBLE,
    KEY_FACES,
    KEY_COUNT,
    KEY_SEED,
    KEY_FACE_SEED,
    KEY_JOBS,
    KEY_VOICE,
    KEY_PITCH,
    KEY_RATE,
    KEY_SOUND,
};

static const struct option table[] = {
    {"text", 1, 0, KEY_TEXT},
    {"texts", 1, 0, KEY_TEXTS},
    {"grammar", 1, 0, KEY_GRAMMAR},
    {"babble", 1, 0, KEY_BABBLE},
    {"faces", 1, 0, KEY_FACES},
    {"count", 1, 0, KEY_COUNT},
    {"seed", 1, 0, KEY_SEED},
    {"face-seed", 1, 0, KEY_FACE_SEED},
    {"jobs", 1, 0, KEY_JOBS},
    {"voice", 1, 0, KEY_VOICE},
    {"pitch", 1, 0, KEY_PITCH},
    {"rate", 1, 0, KEY_RATE},
    {"output", 1, 0, 'o'},
    {"sound-only", 0, 0, KEY_SOUND},
    {"help", 0, 0, 'h'},
    {0, 0, 0, 0},
};

static int apply_number(struct options *o, int key, const char *name, const char *value,
                        struct error *err)
{
    int64_t v = 0;
    int rc = 0;
    switch (key) {
    case KEY_COUNT:
        return parse_count(&o->count, name, value, 1, 10000000, err);
    case KEY_FACES:
        o->mode = OPTIONS_SHEET;
        return parse_count(&o->count, name, value, 1, 400, err);
    case KEY_SEED:
        rc = parse_count(&v, name, value, 0, INT64_MAX, err);
        o->seed = (uint64_t)v;
        return rc;
    case KEY_FACE_SEED:
        rc = parse_count(&v, name, value, 0, INT64_MAX, err);
        o->face_seed = (uint64_t)v, o->has_face_seed = true;
        return rc;
    case KEY_JOBS:
        rc = parse_count(&v, name, value, 1, OPTIONS_JOBS_LIMIT, err);
        o->jobs = (int)v;
        return rc;
    case KEY_PITCH:
        return parse_factor(&o->pitch, name, value, 0.5, 2, err);
    case KEY_RATE:
        return parse_factor(&o->rate, name, value, 0.5, 2, err);
    default: /* KEY_BABBLE */
        o->mode = OPTIONS_BABBLE;
        return parse_factor(&o->seconds, name, value, 0.1, 36000, err);
    }
}

static int apply(struct options *o, int key, const char *name, const char *value, struct error *err)
{
    switch (key) {
    case 'o':
        o->output = value;
        return 0;
    case KEY_SOUND:
        o->sound_only = true;
        return 0;
    case KEY_GRAMMAR:
        o->grammar = true;
        return strcmp(value, "grid") == 0
                   ? 0
                   : error_set(err, ERROR_USAGE, "--grammar %s: there is only grid", value);
    case KEY_TEXT:
    case KEY_TEXTS:
        if (o->texts)
            return error_set(err, ERROR_USAGE, "--text and --texts: give one of them, once");
        if (key == KEY_TEXT && o->mode == OPTIONS_MANY)
            o->mode = OPTIONS_ONE;
        return key == KEY_TEXT ? one_text(o, value, err) : read_texts(o, value, err);
    case KEY_VOICE:
        o->voice = speech_voice_find(value);
        return o->voice >= 0
                   ? 0
                   : error_set(err, ERROR_USAGE,
                               "--voice %s: there are slt, rms, awb, kal16 and kal", value);
    default:
        return apply_number(o, key, name, value, err);
    }
}

static int check(struct options *o, struct error *err)
{
    if (o->mode == OPTIONS_HELP)
        return 0;
    if (!o->output)
        return error_set(err, ERROR_USAGE, "-o is missing: where to write (--help shows how)");
    if (o->grammar && o->texts)
        return error_set(err, ERROR_USAGE, "--grammar and a text: give one of them");
    if (o->mode == OPTIONS_MANY && !o->grammar && !o->texts)
        return error_set(err, ERROR_USAGE,
                         "nothing to say: --text, --texts or --grammar grid "
                         "(--help shows how)");
    if (o->mode == OPTIONS_MANY && o->count == 0)
        o->count = o->grammar ? 10 : o->text_count;
    if (o->jobs == 0)
        o->jobs = (int)fmin(fmax((double)sysconf(_SC_NPROCESSORS_ONLN), 1), OPTIONS_JOBS_LIMIT);
    if (o->jobs > o->count)
        o->jobs = (int)o->count;
    return 0;
}

int options_read(struct options *o, int count, char **words, struct error *err)
{
    *o = (struct options){.mode = OPTIONS_MANY, .seed = 1, .voice = -1};
    int key, at = 0, rc = 0;
    opterr = 0;
    while (rc == 0 && (key = getopt_long(count, words, "+:o:h", table, &at)) != -1) {
        if (key == 'h') {
            o->mode = OPTIONS_HELP;
            return 0;
        }
        if (key == '?' || key == ':')
            return error_set(err, ERROR_USAGE, "%s: %s (--help shows the options)",
                             words[optind - 1],
                             key == ':' ? "its value is missing" : "no such option");
        rc = apply(o, key, key == 'o' ? "output" : table[at].name, optarg, err);
    }
    if (rc == 0 && optind < count)
        return error_set(err, ERROR_USAGE, "%s: not an option (quote the text: --text \"...\")",
                         words[optind]);
    return rc != 0 ? rc : check(o, err);
}

void options_release(struct options *o)
{
    memory_free(o->texts);
    memory_free(o->text_file);
    *o = (struct options){0};
}
