/* mome convert INPUT -o FILE: any weights as one safetensors file, in any type. */
#include "weights/convert.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "text/text_json.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help_text[] =
    "usage: mome convert INPUT -o FILE [OPTIONS]\n\n"
    "Writes any weights as one safetensors file. INPUT is a file (safetensors, GGUF, PyTorch's "
    ".pt\n"
    ".pth .bin .ckpt, whisper.cpp's or CTranslate2's .bin), an index of shards, or a folder that\n"
    "holds one of these.\n\n"
    "  mome convert Llama-3.2-1B -o llama.safetensors --type q8_0      a Hugging Face folder\n"
    "  mome convert large_vox_iter5.pt -o avhubert.safetensors --type bf16\n"
    "  mome convert ggml-base.en.bin -o whisper.safetensors            types as they are\n\n"
    "  -o, --output FILE  where to write; replaced only when all is written\n"
    "  --type T           of the matrices and tables, which are nearly all of a model: f32, f16,\n"
    "                     bf16 (half of f32), q8_0 (a quarter and a little), q4_0 (an eighth and "
    "a\n"
    "                     little). Norms and biases become f32, or stay 16 bits if they are and T\n"
    "                     is not f32. Other widths than multiples of 32 do likewise.\n"
    "                     Default: every tensor keeps the type that it has\n"
    "  --mean FILE        the mean with these weights, of the same tensors (of several, where "
    "given\n"
    "                     several times): of models that went on from one another, often better\n"
    "                     than either\n"
    "  --quiet            no progress, no summary\n\n"
    "Names stay as they are. What the input says besides its tensors goes into the file's "
    "metadata\n"
    "as JSON (see mome inspect); a tokenizer in a GGUF does not. Exit code: 0 good, 1 failed, 2\n"
    "wrong usage.\n";

enum { MOST_OTHERS = 32 };

struct convert {
    const char *input, *output;
    const char *others[MOST_OTHERS]; /* [other_count] */
    int other_count;
    enum dtype type; /* DTYPE_OTHER: as it is */
    struct progress progress;
};

static int report(void *arg, int64_t done, int64_t total)
{
    struct convert *c = arg;
    int64_t all = (total >> 20) + 1;
    progress_update(&c->progress, done == total ? all : done >> 20, all, -1, "MB");
    return interrupted();
}

/* What the file says, by key, and where it came from. */
static char *describe(const struct weights *w)
{
    const char *slash = strrchr(weights_path(w), '/');
    json_t *keys = json_object();
    for (int i = 0; i < weights_key_count(w); i++) {
        const char *key = weights_key_at(w, i), *text = weights_text(w, key);
        double number;
        if (text)
            json_object_set_new(keys, key, text_json(text));
        else if (weights_number(w, key, &number))
            json_object_set_new(keys, key, json_real(number));
    }
    json_t *root = json_pack("{s:o, s:s, s:o}", "converted_from",
                             text_json(slash && slash[1] ? slash + 1 : weights_path(w)), "format",
                             weights_format_name(weights_format(w)), "metadata", keys);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

/* Whether writing to `output` would replace what is read: the input itself, or a file of the folder
   whose shards it is. */
static bool replaces_input(const char *input, const char *output)
{
    struct stat in, out, folder;
    if (stat(output, &out) || stat(input, &in))
        return false;
    if (in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return true;
    size_t length = strlen(input);
    bool index = length > 5 && !strcmp(input + length - 5, ".json");
    if (!S_ISDIR(in.st_mode) && !index)
        return false;
    char *of_input = memory_strdup(input), *of_output = memory_strdup(output);
    char *end = index && of_input ? strrchr(of_input, '/') : NULL;
    if (end)
        *end = 0;
    char *slash = of_output ? strrchr(of_output, '/') : NULL;
    if (slash)
        *slash = 0;
    bool same = of_input && of_output && !stat(index && !end ? "." : of_input, &in) &&
                !stat(slash ? of_output : ".", &folder) && in.st_dev == folder.st_dev &&
                in.st_ino == folder.st_ino;
    memory_free(of_input);
    memory_free(of_output);
    return same;
}

static void summarise(const struct convert *c, const struct conversion *result, int64_t before)
{
    printf("%s: %d tensors, %.1f MB (%s: %.1f MB)", c->output, result->written,
           (double)result->bytes / 1e6, c->input, (double)before / 1e6);
    if (result->skipped)
        printf("; %d left out that hold no weights (integers and the like)", result->skipped);
    printf("\n");
}

static int write_file(struct convert *c, const struct weights *w, struct weights **others,
                      struct error *err)
{
    char *metadata = describe(w);
    struct conversion conversion = {.type = c->type,
                                    .others = (const struct weights *const *)others,
                                    .other_count = c->other_count,
                                    .metadata = metadata,
                                    .progress = report,
                                    .arg = c};
    int rc = metadata ? weights_convert(c->output, w, &conversion, err)
                      : error_set(err, ERROR_MEMORY, "%s: out of memory", c->input);
    progress_end(&c->progress);
    if (!rc && !c->progress.quiet)
        summarise(c, &conversion, weights_bytes(w));
    free(metadata);
    return rc;
}

static int open_checked(struct weights **w, const char *path, const char *output, struct error *err)
{
    if (replaces_input(path, output))
        return error_set(err, ERROR_USAGE, "%s: would replace a file that is read: name another",
                         output);
    return weights_open(w, path, err);
}

static int convert(struct convert *c, struct error *err)
{
    struct weights *w = NULL, *others[MOST_OTHERS] = {0};
    int rc = open_checked(&w, c->input, c->output, err);
    for (int i = 0; !rc && i < c->other_count; i++)
        rc = open_checked(&others[i], c->others[i], c->output, err);
    rc = rc ? rc : write_file(c, w, others, err);
    for (int i = 0; i < c->other_count; i++)
        weights_close(others[i]);
    weights_close(w);
    return rc;
}

static bool read_type(enum dtype *type, const char *name)
{
    bool known = dtype_from_name(type, name);
    return known && (*type == DTYPE_F32 || *type == DTYPE_F16 || *type == DTYPE_BF16 ||
                     *type == DTYPE_Q8_0 || *type == DTYPE_Q4_0);
}

int command_convert(int argc, char **argv)
{
    enum { TYPE = 256, MEAN, QUIET, HELP };
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'}, {"type", required_argument, NULL, TYPE},
        {"mean", required_argument, NULL, MEAN},  {"quiet", no_argument, NULL, QUIET},
        {"help", no_argument, NULL, HELP},        {0}};
    struct convert c = {.type = DTYPE_OTHER};
    struct error err = {0};
    bool quiet = false;
    int option;
    while ((option = getopt_long(argc, argv, ":ho:q", options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            fputs(help_text, stdout);
            return EXIT_GOOD;
        }
        if (option == 'o')
            c.output = optarg;
        else if (option == QUIET || option == 'q')
            quiet = true;
        else if (option == MEAN && c.other_count < MOST_OTHERS)
            c.others[c.other_count++] = optarg;
        else if (option == MEAN)
            return command_usage("convert", "--mean is given too often", NULL);
        else if (option != TYPE)
            return command_bad_option("convert", option, argv);
        else if (!read_type(&c.type, optarg))
            return command_usage("convert", "--type takes f32, f16, bf16, q8_0 or q4_0, not",
                                 optarg);
    }
    if (argc - optind != 1)
        return command_usage("convert", "takes one file or folder", NULL);
    if (!c.output)
        return command_usage("convert", "needs -o FILE", NULL);
    c.input = argv[optind];
    interrupt_install();
    progress_start(&c.progress, "convert", quiet);
    return convert(&c, &err) ? command_failed(&err) : EXIT_GOOD;
}
