/* The file of a measurement, and which one is a transcriber's. */
#include "base/file.h"
#include "base/hash.h"
#include "base/machine.h"
#include "base/memory.h"
#include "decode/pace_measure.h"
#include "text/tokenizer.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FORMAT "mome-pace-1"
#define FILE_LIMIT ((size_t)64 << 10)
#define MOST 1e12 /* of a coefficient: as bytes or as seconds absurd */

#define WORDS_PER_SECOND 2.5 /* of read English */

struct field {
    const char *name;
    size_t offset; /* in struct pace_costs */
    int count;
};

static const struct field fields[] = {
    {"audio", offsetof(struct pace_costs, audio), PACE_CURVE},
    {"video", offsetof(struct pace_costs, video), PACE_CURVE},
    {"decoder", offsetof(struct pace_costs, decoder), PACE_DECODER},
    {"audio_bytes", offsetof(struct pace_costs, audio_bytes), PACE_CURVE},
    {"video_bytes", offsetof(struct pace_costs, video_bytes), PACE_CURVE},
    {"decoder_bytes", offsetof(struct pace_costs, decoder_bytes), PACE_CURVE},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static void key_text(char text[17], uint64_t key)
{
    snprintf(text, 17, "%016" PRIx64, key);
}

static int read_field(struct pace_costs *costs, const struct field *field, const json_t *root)
{
    const json_t *list = json_object_get(root, field->name);
    double *to = (double *)((char *)costs + field->offset);
    if (!json_is_array(list) || json_array_size(list) != (size_t)field->count)
        return -1;
    for (int i = 0; i < field->count; i++) {
        const json_t *value = json_array_get(list, (size_t)i);
        to[i] = json_number_value(value);
        if (!json_is_number(value) || !(to[i] >= 0 && to[i] <= MOST))
            return -1;
    }
    return 0;
}

int pace_file_read(struct pace_costs *costs, const char *path, uint64_t key, struct error *err)
{
    char *text, wanted[17];
    size_t size;
    int rc = file_read(&text, &size, path, FILE_LIMIT, err);
    if (rc)
        return rc;
    json_t *root = json_loadb(text, size, 0, NULL);
    const char *format = json_string_value(json_object_get(root, "format"));
    const char *found = json_string_value(json_object_get(root, "key"));
    key_text(wanted, key);
    if (!format || strcmp(format, FORMAT) != 0 || !found || strcmp(found, wanted) != 0)
        rc = error_set(err, ERROR_FORMAT, "%s: not the measurement of key %s", path, wanted);
    for (int i = 0; !rc && i < FIELDS; i++)
        if (read_field(costs, &fields[i], root))
            rc = error_set(err, ERROR_FORMAT, "%s: \"%s\" is not %d numbers from 0 up", path,
                           fields[i].name, fields[i].count);
    json_decref(root);
    memory_free(text);
    return rc;
}

int pace_file_write(const struct pace_costs *costs, const char *path, uint64_t key,
                    struct error *err)
{
    char name[17];
    key_text(name, key);
    json_t *root = json_pack("{s:s, s:s}", "format", FORMAT, "key", name);
    for (int i = 0; i < FIELDS; i++) {
        const double *from = (const double *)((const char *)costs + fields[i].offset);
        json_t *list = json_array();
        for (int k = 0; k < fields[i].count; k++)
            json_array_append_new(list, json_real(from[k]));
        json_object_set_new(root, fields[i].name, list);
    }
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    int rc = text ? file_write(path, text, strlen(text), err)
                  : error_set(err, ERROR_MEMORY, "out of memory");
    free(text);
    return rc;
}

static int find_key(uint64_t *key, const struct transcriber *t, const struct beam_options *options,
                    struct error *err)
{
    char *config = config_to_json(&t->recognizer->config), name[256];
    struct stat program = {0};
    if (!config)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (stat("/proc/self/exe", &program) != 0)
        program.st_size = 0;
    machine_processor(name, sizeof name, "");
    const int64_t numbers[] = {omp_get_max_threads(),   t->compute.precision,
                               t->exact_window,         t->longest,
                               options->ctc_weight > 0, program.st_size,
                               program.st_mtim.tv_sec,  program.st_mtim.tv_nsec};
    *key = hash_bytes(0, config, strlen(config));
    *key = hash_bytes(*key, name, strlen(name));
    *key = hash_bytes(*key, numbers, sizeof numbers);
    memory_free(config);
    return 0;
}

/* The file's path, its folder made; NULL: there is no place for it. */
static char *find_path(uint64_t key)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const bool named = cache && cache[0] == '/'; /* others are to be ignored (its specification) */
    char name[64], *folder, *path = NULL;
    struct error none;
    if (!named && (!home || home[0] != '/'))
        return NULL;
    folder = file_join(named ? cache : home, named ? "mome" : ".cache/mome");
    snprintf(name, sizeof name, "pace-%016" PRIx64 ".json", key);
    if (folder && file_make_folder(folder, &none) == 0)
        path = file_join(folder, name);
    memory_free(folder);
    return path;
}

/* Tokens a second of English, in the LLM's own. */
static double expected_steps(const struct tokenizer *tokenizer)
{
    static const char text[] =
        "the birch canoe slid on the smooth planks glue the sheet to the dark "
        "blue background it is easy to tell the depth of a well";
    enum { WORDS = 25 };
    struct error none;
    int32_t *ids = memory_new(tokenizer_room(tokenizer, sizeof text), sizeof *ids);
    int64_t count = ids ? tokenizer_encode(tokenizer, ids, text, sizeof text - 1, &none) : 0;
    memory_free(ids);
    return WORDS_PER_SECOND * (count > WORDS ? (double)count / WORDS : 1);
}

int pace_open(struct pace *p, struct transcriber *t, const struct beam_options *options,
              void (*note)(void *arg, const char *message), void *arg, struct error *err)
{
    struct pace_costs costs;
    struct error why = {0};
    struct stat st;
    uint64_t key = 0;
    int rc = find_key(&key, t, options, err);
    if (rc)
        return rc;
    char *path = find_path(key);
    bool there = path && stat(path, &st) == 0;
    bool good = there && pace_file_read(&costs, path, key, &why) == 0;
    if (there && !good && note)
        note(arg, why.message);
    rc = pace_measure(good ? NULL : &costs, t, options, err);
    if (!rc && !good && path && pace_file_write(&costs, path, key, &why) && note)
        note(arg, why.message);
    memory_free(path);
    if (!rc)
        pace_init(p, &costs, expected_steps(t->recognizer->tokenizer));
    return rc;
}
