#include "train/features_cache.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "models/params.h"
#include "tensor/ops.h"

#include <stdio.h>
#include <string.h>

#define MAGIC "MOMEFEAT"

enum { VERSION = 1, AUDIO = 0, VIDEO = 1 };

static const uint64_t copies_seed = 7; /* not the run's: runs of several seeds share the files */

struct header {
    char magic[8];
    uint32_t version, width;
    uint64_t rows, key, check;
};

_Static_assert(sizeof(struct header) == 40, "the file's layout");

/* ---- keys -------------------------------------------------------------------------------- */

static uint64_t add_number(uint64_t h, double x)
{
    return hash_bytes(h, &x, sizeof x);
}

static unsigned stream_of(int modality)
{
    return modality == AUDIO ? EXCERPT_SOUND : EXCERPT_PICTURES;
}

static bool touched(const struct augment *augment, const struct stage_config *stage, int modality)
{
    const struct augment_config *a = &stage->augment;
    const struct train_config *config = augment->config;
    bool cut = a->speed > 0 || a->time_masks > 0 || (a->margin >= 0 && a->whole < 1);
    for (int i = 0; i < config->source_count; i++)
        cut = cut || config->sources[i].splice > 0;
    if (modality == VIDEO)
        return cut || a->zoom > 0 || a->rotate > 0 || a->shift > 0 || a->flip > 0 ||
               a->contrast > 0;
    bool noisy = augment->noise && (stage->noise_share[0] > 0 || stage->noise_share[1] > 0);
    return cut || noisy || a->gain_db > 0 || a->equalise > 0 || a->mel_masks > 0;
}

static uint64_t add_sample(uint64_t h, const struct sample *s, int modality)
{
    return hash_bytes(h, modality == AUDIO ? &s->sound_hash : &s->mouth_hash, sizeof(uint64_t));
}

/* Everything that augmentation depends on, but for the copy. */
static uint64_t hash_augmentation(uint64_t h, const struct augment *augment,
                                  const struct stage_config *stage, int modality)
{
    const struct augment_config *a = &stage->augment;
    const double numbers[] = {
        a->speed,          a->gain_db,          a->equalise, a->mel_masks, a->mel_mask_width,
        a->time_masks,     a->time_mask_frames, a->zoom,     a->rotate,    a->shift,
        a->flip,           a->contrast,         a->margin,   a->whole,     stage->noise_share[1],
        stage->snr_low[1], stage->snr_high};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        h = add_number(h, numbers[i]);
    h = hash_bytes(h, &copies_seed, sizeof copies_seed);
    if (augment->noise)
        h = hash_bytes(h, augment->noise->pcm, (size_t)augment->noise->samples * sizeof(float));
    bool splices = false;
    for (int i = 0; i < augment->config->source_count; i++)
        splices = splices || augment->config->sources[i].splice > 0;
    for (int i = 0; splices && i < augment->config->source_count; i++)
        h = add_number(h, augment->config->sources[i].splice);
    for (int i = 0; splices && i < augment->dataset->count; i++) /* any may be a donor */
        h = add_sample(h, &augment->dataset->samples[i], modality);
    return h;
}

static uint64_t hash_tensor(uint64_t h, const struct tensor *t)
{
    enum { CHUNK = 8192 };
    float numbers[CHUNK];
    int64_t width = tensor_width(t), rows = CHUNK / width;
    int64_t step = rows > 0 ? rows * width : CHUNK, count = tensor_count(t);
    if (t->data)
        return hash_bytes(h, t->data, (size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i += step) {
        int64_t n = count - i < step ? count - i : step;
        parameter_read(numbers, t, i, n);
        h = hash_bytes(h, numbers, (size_t)n * sizeof(float));
    }
    return h;
}

static int hash_encoder(uint64_t *h, struct recognizer *r, int modality, struct error *err)
{
    static const char *const prefixes[2][2] = {{"audio.", "audio."}, {"video.", "video_lora."}};
    struct param_list list;
    param_list_init(&list, err);
    recognizer_params(r, &list.visitor);
    for (int64_t i = 0; !list.code && i < list.count; i++)
        for (int p = 0; p < 2; p++)
            if (!strncmp(list.entries[i].name, prefixes[modality][p],
                         strlen(prefixes[modality][p])))
                *h = hash_tensor(*h, list.entries[i].tensor);
    int rc = list.code;
    param_list_release(&list);
    return rc;
}

int features_cache_init(struct features_cache *f, struct recognizer *r,
                        const struct augment *augment, const struct stage_config *stage,
                        enum precision precision, struct error *err)
{
    const struct recognizer_config *c = &r->config;
    const bool has[2] = {c->has_audio, c->has_video};
    *f = (struct features_cache){.augment = augment, .stage = stage};
    f->width[AUDIO] = c->audio.d;
    f->width[VIDEO] = c->video.d;
    if (!stage->copies)
        return 0;
    f->folder = file_join(augment->config->cache, "features");
    if (!f->folder)
        return error_set(err, ERROR_MEMORY, "out of memory");
    int rc = file_make_folder(f->folder, err);
    for (int m = 0; !rc && m < 2; m++) {
        if (!has[m] || stage->parts & train_config_through(c, m == AUDIO))
            continue;
        f->streams |= stream_of(m);
        f->touched[m] = touched(augment, stage, m);
        f->start[m] = add_number(add_number(VERSION, m), precision);
        f->start[m] = add_number(add_number(f->start[m], c->audio.exact_window),
                                 m == AUDIO ? c->audio.heads : c->video.heads);
        rc = hash_encoder(&f->start[m], r, m, err);
        if (f->touched[m])
            f->start[m] = hash_augmentation(f->start[m], augment, stage, m);
    }
    return rc;
}

void features_cache_release(struct features_cache *f)
{
    memory_free(f->folder);
    *f = (struct features_cache){0};
}

static uint64_t key_of(const struct features_cache *f, const struct draw *d, int modality)
{
    uint64_t h = add_sample(f->start[modality], d->sample, modality);
    if (!f->touched[modality])
        return h;
    h = hash_bytes(h, d->sample->text, strlen(d->sample->text));
    for (int i = 0; i < d->sample->word_count; i++)
        h = add_number(add_number(h, d->sample->words[i].start_ms), d->sample->words[i].end_ms);
    return add_number(h, d->copy);
}

void features_cache_seed(struct random *random, const struct draw *d)
{
    uint64_t h = add_sample(add_sample(copies_seed, d->sample, AUDIO), d->sample, VIDEO);
    random_seed(random, add_number(h, d->copy));
}

/* ---- files ------------------------------------------------------------------------------- */

static char *file_of(const struct features_cache *f, uint64_t key)
{
    char name[32];
    snprintf(name, sizeof name, "%016llx.features", (unsigned long long)key);
    return file_join(f->folder, name);
}

/* The states of a file, checked; *states stays NULL where there is no good one. */
static int read_file(const struct features_cache *f, float **states, uint64_t key, int modality,
                     int64_t rows, struct error *err)
{
    struct header h;
    struct file_map map;
    struct error none = {0};
    char *path = file_of(f, key);
    int64_t d = f->width[modality];
    *states = NULL;
    if (!path)
        return error_set(err, ERROR_MEMORY, "out of memory");
    int rc = file_map_open(&map, path, &none);
    memory_free(path);
    if (rc)
        return 0;
    size_t bytes = (size_t)(rows * d) * sizeof(uint16_t);
    const unsigned char *payload = map.data + sizeof h;
    if (map.size == sizeof h + bytes) {
        memcpy(&h, map.data, sizeof h);
        bool good = !memcmp(h.magic, MAGIC, sizeof h.magic) && h.version == VERSION &&
                    h.width == (uint64_t)d && h.rows == (uint64_t)rows && h.key == key &&
                    h.check == hash_bytes(1, payload, bytes);
        if (good && !(*states = memory_new((size_t)(rows * d), sizeof(float))))
            rc = error_set(err, ERROR_MEMORY, "out of memory");
        if (*states)
            dtype_to_float(*states, DTYPE_BF16, payload, rows * d);
    }
    file_map_close(&map);
    return rc;
}

static int write_file(const struct features_cache *f, const float *states, uint64_t key,
                      int modality, int64_t rows, struct error *err)
{
    int64_t d = f->width[modality];
    size_t bytes = (size_t)(rows * d) * sizeof(uint16_t);
    char *path = file_of(f, key);
    void *payload = memory_new((size_t)(rows * d), sizeof(uint16_t));
    int rc = path && payload ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
    struct file_writer w;
    if (!rc)
        rc = file_writer_open(&w, path, err);
    if (!rc) {
        dtype_from_float(payload, DTYPE_BF16, states, rows * d);
        struct header h = {.version = VERSION,
                           .width = (uint32_t)d,
                           .rows = (uint64_t)rows,
                           .key = key,
                           .check = hash_bytes(1, payload, bytes)};
        memcpy(h.magic, MAGIC, sizeof h.magic);
        fwrite(&h, sizeof h, 1, w.stream);
        fwrite(payload, 1, bytes, w.stream);
        rc = file_writer_commit(&w, err);
    }
    memory_free(payload);
    memory_free(path);
    return rc;
}

static bool has_stream(const struct draw *d, int modality)
{
    return modality == AUDIO ? d->sample->clip.has_sound : d->sample->clip.has_face;
}

int features_cache_read(const struct features_cache *f, struct example *e, const struct draw *draw,
                        struct error *err)
{
    int rc = 0;
    for (int m = 0; !rc && m < 2; m++) {
        float **states = m == AUDIO ? &e->audio_states : &e->video_states;
        if (!(f->streams & stream_of(m)) || !has_stream(draw, m))
            continue;
        int64_t rows = e->frames * (m == AUDIO ? 2 : 1);
        rc = read_file(f, states, key_of(f, draw, m), m, rows, err);
        if (!rc && !*states)
            rc = error_set(err, ERROR_IO, "%s: a file of %s is gone or broken: start again",
                           f->folder, draw->sample->path);
    }
    return rc;
}

/* ---- filling ----------------------------------------------------------------------------- */

static int encode(const struct features_cache *f, struct recognizer *r, const struct compute *c,
                  const struct example *e, const struct draw *d, int modality, struct error *err)
{
    struct compute frozen = *c;
    frozen.tape = NULL;
    frozen.random = NULL;
    frozen.training = false;
    struct tensor *states;
    if (modality == AUDIO)
        states = recognizer_encode_audio(
            r, &frozen,
            tensor_from(&frozen, e->mel, TENSOR_SHAPE(1, e->mel_rows, f->augment->mels)), NULL);
    else
        states = recognizer_encode_video(
            r, &frozen, tensor_from(&frozen, e->pictures, TENSOR_SHAPE(1, e->frames, 88, 88, 1)),
            NULL);
    int64_t rows = e->frames * (modality == AUDIO ? 2 : 1);
    return write_file(f, states->data, key_of(f, d, modality), modality, rows, err);
}

/* What there is to make of a clip's copy: streams without a good file. */
static int missing_streams(unsigned *missing, const struct features_cache *f, struct example *e,
                           const struct draw *d, struct error *err)
{
    struct random random;
    features_cache_seed(&random, d);
    *missing = 0;
    int rc =
        augment_example(e, f->augment, d->sample, 0, f->stage, f->stage->steps - 1, &random, err);
    for (int m = 0; !rc && m < 2; m++) {
        float *states = NULL;
        if (!(f->streams & stream_of(m)) || !has_stream(d, m) || (d->copy && !f->touched[m]))
            continue;
        rc = read_file(f, &states, key_of(f, d, m), m, e->frames * (m == AUDIO ? 2 : 1), err);
        if (!rc && !states)
            *missing |= stream_of(m);
        memory_free(states);
    }
    example_release(e);
    if (rc || !*missing)
        return rc;
    features_cache_seed(&random, d);
    return augment_example(e, f->augment, d->sample, EXCERPT_SOUND | EXCERPT_PICTURES, f->stage,
                           f->stage->steps - 1, &random, err);
}

/* One clip's copy, by one thread. */
static int fill_one(const struct features_cache *f, struct recognizer *r, const struct compute *c,
                    const struct draw *d, struct error *err)
{
    struct example e = {0};
    struct arena arena;
    struct compute mine = *c;
    unsigned missing = 0;
    int rc = missing_streams(&missing, f, &e, d, err);
    if (rc || !missing)
        return rc;
    mine.arena = &arena;
    rc = arena_init(&arena, ARENA_DEFAULT_LIMIT, err);
    for (int m = 0; !rc && m < 2; m++)
        if (missing & stream_of(m))
            rc = encode(f, r, &mine, &e, d, m, err);
    arena_release(&arena);
    example_release(&e);
    return rc;
}

/* Clips side by side, each by one thread: they are short. */
int features_cache_fill(const struct features_cache *f, struct recognizer *r,
                        const struct compute *c, const struct dataset_progress *progress,
                        struct error *err)
{
    const struct dataset *dataset = f->augment->dataset;
    bool any = f->touched[AUDIO] || f->touched[VIDEO];
    int copies = any ? f->stage->copies : 1, done = 0, failed = 0;
    int total = f->streams ? dataset->count * copies : 0;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < total; i++) {
        struct error mine = {0};
        const struct draw d = {.sample = &dataset->samples[i / copies], .copy = i % copies};
        int rc = __atomic_load_n(&failed, __ATOMIC_RELAXED) ? 0 : fill_one(f, r, c, &d, &mine);
#pragma omp critical
        {
            if (!rc && !failed && progress->report(progress->arg, ++done, total, NULL))
                rc = error_set(&mine, ERROR_CANCELLED, "stopped while encoding clips");
            if (rc) {
                failed = rc;
                *err = mine;
            }
        }
    }
    return failed;
}
