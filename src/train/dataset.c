#include "train/dataset.h"
#include "base/hash.h"
#include "base/memory.h"
#include "decode/transcriber.h"
#include "features/clip_cache.h"
#include "features/face.h"
#include "text/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "out of memory for the training clips");
}

static int reserve(struct dataset *d, int64_t more, struct error *err)
{
    int64_t capacity = d->count + more;
    if (capacity > 10000000)
        return error_set(err, ERROR_LIMIT, "more than 10 million training clips");
    struct sample *samples = memory_new((size_t)capacity, sizeof *samples);
    if (!samples)
        return out_of_memory(err);
    if (d->count)
        memcpy(samples, d->samples, (size_t)d->count * sizeof *samples);
    memory_free(d->samples);
    d->samples = samples;
    d->capacity = (int)capacity;
    return 0;
}

static void sample_release(struct sample *s)
{
    for (int i = 0; i < s->word_count; i++)
        memory_free(s->words[i].text);
    memory_free(s->words);
    memory_free(s->path);
    memory_free(s->text);
    clip_release(&s->clip);
    *s = (struct sample){0};
}

static int copy_entry(struct sample *s, const struct manifest_entry *entry, int source,
                      struct error *err)
{
    s->source = source;
    s->path = memory_strdup(entry->path);
    s->text = memory_strdup(entry->text);
    s->words = memory_new((size_t)entry->word_count + 1, sizeof *s->words);
    if (!s->path || !s->text || !s->words)
        return out_of_memory(err);
    for (int i = 0; i < entry->word_count; i++) {
        const struct manifest_word *w = &entry->words[i];
        s->words[i] = (struct timed_word){w->start_ms, w->end_ms, 0, memory_strdup(w->text)};
        if (!s->words[i].text)
            return out_of_memory(err);
        s->word_count++;
    }
    return 0;
}

struct notes {
    const struct dataset_progress *progress;
    int done, total;
    int stop;
};

static void note(struct notes *n, const char *text)
{
    if (n->progress && n->progress->report(n->progress->arg, n->done, n->total, text))
        n->stop = 1;
}

static void note_broken_line(void *arg, const char *message)
{
    note(arg, message);
}

int64_t sample_frames(const struct sample *s)
{
    int64_t sound = s->clip.samples / FRAME_SAMPLES;
    if (!s->clip.has_face)
        return sound;
    return s->clip.has_sound && sound < s->clip.frames ? sound : s->clip.frames;
}

/* Whether every excerpt of it can be trained on. */
static int check_sample(const struct sample *s, const struct train_config *config,
                        struct error *err)
{
    int64_t frames = sample_frames(s), most = transcriber_window(&config->model);
    if (frames < 1)
        return error_set(err, ERROR_FORMAT, "%s: shorter than a picture (40 ms)", s->path);
    if (frames > most)
        return error_set(err, ERROR_LIMIT, "%s: %.1f s, the model's encoders take %.1f s", s->path,
                         (double)frames / 25, (double)most / 25);
    for (int i = 0; i < s->word_count; i++)
        if (s->words[i].start_ms >= frames * FRAME_MS)
            return error_set(err, ERROR_FORMAT, "%s: the word \"%.64s\" begins after its end",
                             s->path, s->words[i].text);
    return 0;
}

static int load_clip(struct sample *s, const struct manifest_entry *entry, int source,
                     const struct train_config *config, struct face_finder *finder,
                     struct error *err)
{
    const struct clip_options options = {.no_sound = !config->model.has_audio,
                                         .no_pictures = !config->model.has_video,
                                         .finder = finder};
    int rc = clip_cache_load(&s->clip, config->cache, entry->path, &options, err);
    if (!rc)
        rc = copy_entry(s, entry, source, err);
    if (!rc)
        rc = check_sample(s, config, err);
    s->sound_hash = hash_bytes(0, s->clip.pcm, (size_t)s->clip.samples * sizeof(float));
    s->mouth_hash = hash_bytes(0, s->clip.mouth, (size_t)s->clip.frames * MOUTH_PIXELS);
    if (rc)
        sample_release(s);
    return rc;
}

/* Clips are decoded in parallel, each into its own place, and then moved together, so that their
   order is the manifest's. One that cannot be trained on is told of and left out; only memory and a
   cancel end the load. */
static int load_entries(struct dataset *d, const struct manifest *m, int source,
                        const struct train_config *config, struct notes *n, struct error *err)
{
    struct face_finder *finder = NULL;
    struct sample *place = d->samples + d->count;
    int failed = face_finder_open(&finder, err); /* its models are loaded when first needed */
    if (failed)
        return failed;
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < m->count; i++) {
        struct error mine = {0};
        int rc = n->stop ? 0 : load_clip(&place[i], &m->entries[i], source, config, finder, &mine);
#pragma omp critical
        {
            if (rc == ERROR_MEMORY) {
                failed = rc;
                *err = mine;
            }
            if (rc && rc != ERROR_MEMORY)
                note(n, mine.message);
            n->done++;
            note(n, NULL);
        }
    }
    for (int64_t i = 0; i < m->count; i++)
        if (place[i].path) {
            struct sample moved = place[i];
            place[i] = (struct sample){0};
            d->samples[d->count++] = moved;
        }
    face_finder_close(finder);
    if (!failed && n->stop)
        failed = error_set(err, ERROR_CANCELLED, "stopped while reading clips");
    return failed;
}

static int load_source(struct dataset *d, const struct train_config *config, int source,
                       const struct dataset_progress *progress, struct error *err)
{
    struct manifest m;
    struct notes n = {.progress = progress};
    int rc = manifest_load(&m, config->sources[source].manifest, note_broken_line, &n, err);
    if (rc)
        return rc;
    n.total = (int)m.count;
    rc = reserve(d, m.count, err);
    if (!rc)
        rc = load_entries(d, &m, source, config, &n, err);
    manifest_release(&m);
    return rc;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int label_of(const struct dataset *d, char *text)
{
    char **found = bsearch(&text, d->labels + 1, (size_t)d->label_count - 1, sizeof *d->labels,
                           compare_strings);
    return found ? (int)(found - d->labels) : 0;
}

/* labels = "" and the sorted set of all timed words. */
static int make_labels(struct dataset *d, struct error *err)
{
    size_t words = 1, unique = 0;
    for (int i = 0; i < d->count; i++)
        words += (size_t)d->samples[i].word_count;
    char **all = memory_new(words, sizeof *all);
    if (!all)
        return out_of_memory(err);
    words = 0;
    for (int i = 0; i < d->count; i++)
        for (int w = 0; w < d->samples[i].word_count; w++)
            all[words++] = d->samples[i].words[w].text;
    if (words)
        qsort(all, words, sizeof *all, compare_strings);
    d->labels = memory_new(words + 1, sizeof *d->labels);
    if (!d->labels) {
        memory_free(all);
        return out_of_memory(err);
    }
    d->labels[unique++] = (char *)"";
    for (size_t i = 0; i < words; i++)
        if (i == 0 || strcmp(all[i], all[i - 1]))
            d->labels[unique++] = all[i];
    memory_free(all);
    d->label_count = (int)unique;
    for (int i = 0; i < d->count; i++)
        for (int w = 0; w < d->samples[i].word_count; w++)
            d->samples[i].words[w].label = label_of(d, d->samples[i].words[w].text);
    return 0;
}

int dataset_load(struct dataset *d, const struct train_config *config,
                 const struct dataset_progress *progress, struct error *err)
{
    double sum = 0;
    int rc = 0;
    *d = (struct dataset){0};
    for (int s = 0; !rc && s < config->source_count; s++) {
        rc = load_source(d, config, s, progress, err);
        d->source_start[s + 1] = d->count;
        if (d->count > d->source_start[s])
            sum += config->sources[s].weight;
        d->source_share[s] = sum;
    }
    if (!rc && (d->count == 0 || sum <= 0))
        rc = error_set(err, ERROR_FORMAT, "no training clip could be read");
    for (int s = 0; !rc && s < config->source_count; s++)
        d->source_share[s] /= sum;
    if (!rc)
        rc = make_labels(d, err);
    if (rc)
        dataset_release(d);
    return rc;
}

void dataset_release(struct dataset *d)
{
    for (int i = 0; i < d->count; i++)
        sample_release(&d->samples[i]);
    memory_free(d->samples);
    memory_free(d->labels);
    *d = (struct dataset){0};
}

const struct sample *dataset_draw(const struct dataset *d, struct random *random)
{
    double u = random_uniform(random);
    int source = 0;
    while (source < TRAIN_MAX_SOURCES - 1 && u >= d->source_share[source])
        source++;
    int start = d->source_start[source], count = d->source_start[source + 1] - start;
    return &d->samples[start + random_below(random, count)];
}

const struct sample *dataset_draw_near(const struct dataset *d, const struct sample *like,
                                       struct random *random)
{
    const struct sample *nearest = NULL;
    int64_t least = INT64_MAX;
    int64_t enough = sample_frames(like) / 2;
    for (int i = 0; i < 4 && least > enough; i++) {
        const struct sample *s = dataset_draw(d, random);
        int64_t distance = llabs(sample_frames(s) - sample_frames(like));
        if (distance < least) {
            least = distance;
            nearest = s;
        }
    }
    return nearest;
}

const struct sample *dataset_draw_like(const struct dataset *d, const struct sample *like,
                                       struct random *random)
{
    int start = d->source_start[like->source], count = d->source_start[like->source + 1] - start;
    for (int tries = 0; tries < 8; tries++) {
        const struct sample *s = &d->samples[start + random_below(random, count)];
        if (s->word_count == like->word_count && s->clip.has_face == like->clip.has_face &&
            s->clip.has_sound == like->clip.has_sound)
            return s;
    }
    return like;
}
