#include "media/live.h"

#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { SOURCES = 2 };

struct item {
    struct media_chunk chunk; /* what it points to stands behind the item */
    size_t bytes;
    struct item *next;
};

struct live_source {
    struct live *live;
    struct media *media;
    pthread_t thread;
    bool runs;
    int code; /* how it ended: 0, or an error */
    struct error error;
};

struct live {
    struct live_source sources[SOURCES];
    int count;
    bool file;
    atomic_bool stop;
    double zero; /* the clock's, in clock_seconds */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    struct item *first, *last;
    size_t bytes;
    int running;
    struct item *taken; /* the taker's own */
};

/* ---- the queue ----------------------------------------------------------------------------- */

static struct item *copy_of(const struct media_chunk *chunk)
{
    const bool sound = chunk->kind == MEDIA_SOUND;
    const size_t bytes = sound ? (size_t)chunk->count * sizeof *chunk->pcm
                               : (size_t)chunk->height * (size_t)chunk->stride;
    struct item *item = memory_new(1, sizeof *item + bytes);
    if (!item)
        return NULL;
    memcpy(item + 1, sound ? (const void *)chunk->pcm : chunk->rgb, bytes);
    item->bytes = bytes;
    item->chunk = *chunk;
    if (sound)
        item->chunk.pcm = (const float *)(item + 1);
    else
        item->chunk.rgb = (const uint8_t *)(item + 1);
    return item;
}

/* Waits for room, unless it is to stop. */
static void append(struct live *l, struct item *item)
{
    pthread_mutex_lock(&l->lock);
    while (l->bytes + item->bytes > LIVE_QUEUE_BYTES && l->first && !atomic_load(&l->stop))
        pthread_cond_wait(&l->changed, &l->lock);
    if (l->last)
        l->last->next = item;
    else
        l->first = item;
    l->last = item;
    l->bytes += item->bytes;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

/* Until clock_seconds is `when`, or something changed; under the lock. */
static void wait_until(struct live *l, double when)
{
    const time_t whole = (time_t)when;
    const struct timespec t = {whole, (long)(1e9 * (when - (double)whole))};
    pthread_cond_timedwait(&l->changed, &l->lock, &t);
}

/* ---- the readers --------------------------------------------------------------------------- */

static bool stopped(void *arg)
{
    const struct live *l = arg;
    return atomic_load(&l->stop);
}

/* When the last of a chunk has happened, by the clock of the media. */
static double end_of(const struct media_chunk *c)
{
    return (double)(c->start + c->count) / (c->kind == MEDIA_SOUND ? MEDIA_SAMPLE_RATE : MEDIA_FPS);
}

/* A file's chunk is there when it has been heard or seen. */
static void keep_pace(struct live *l, const struct media_chunk *chunk)
{
    const double when = l->zero + end_of(chunk);
    pthread_mutex_lock(&l->lock);
    while (!atomic_load(&l->stop) && clock_seconds() < when)
        wait_until(l, when);
    pthread_mutex_unlock(&l->lock);
}

static void *read_source(void *arg)
{
    struct live_source *s = arg;
    struct live *l = s->live;
    struct media_chunk chunk;
    int rc;
    while ((rc = media_read(s->media, &chunk, &s->error)) == 1) {
        if (l->file)
            keep_pace(l, &chunk);
        if (atomic_load(&l->stop))
            break;
        struct item *item = copy_of(&chunk);
        if (!item) {
            rc = error_set(&s->error, ERROR_MEMORY, "out of memory");
            break;
        }
        append(l, item);
    }
    pthread_mutex_lock(&l->lock);
    s->code = rc < 0 && !atomic_load(&l->stop) ? rc : 0;
    l->running--;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- opening ------------------------------------------------------------------------------- */

static int open_source(struct live *l, const char *device, const char *path, struct media_options o,
                       struct error *err)
{
    struct live_source *s = &l->sources[l->count];
    s->live = l;
    o.device = device;
    o.stop = stopped;
    o.arg = l;
    int rc = media_open(&s->media, path, &o, err);
    l->count += !rc;
    return rc;
}

/* "alsa:hw:1": the kind stands before the first colon. */
static int open_microphone(struct live *l, const char *name, struct error *err)
{
    const char *const kinds[] = {"pulse", "alsa"};
    for (int i = 0; i < 2; i++) {
        const size_t length = strlen(kinds[i]);
        if (!strncmp(name, kinds[i], length) && name[length] == ':')
            return open_source(l, kinds[i], name + length + 1,
                               (struct media_options){.no_pictures = true}, err);
    }
    return error_set(err, ERROR_USAGE,
                     "%s: a microphone is named pulse:NAME or alsa:NAME, such as pulse:default or "
                     "alsa:hw:0",
                     name);
}

/* One clock for both, that of wall time at the one that began first. */
static void set_clock(struct live *l)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    l->zero = clock_seconds();
    if (l->file)
        return;
    int64_t zero = media_zero(l->sources[0].media);
    for (int i = 1; i < l->count; i++)
        if (media_zero(l->sources[i].media) < zero)
            zero = media_zero(l->sources[i].media);
    for (int i = 0; i < l->count; i++)
        media_set_zero(l->sources[i].media, zero);
    l->zero -= (double)wall.tv_sec - 1e-6 * (double)zero + 1e-9 * (double)wall.tv_nsec;
}

static int open_all(struct live *l, const struct live_options *o, struct error *err)
{
    int rc = 0;
    l->file = o->file != NULL;
    if (l->file)
        return open_source(
            l, NULL, o->file,
            (struct media_options){.no_sound = o->no_sound, .no_pictures = o->no_pictures}, err);
    if (o->camera)
        rc = open_source(l, "v4l2", o->camera, (struct media_options){.no_sound = true}, err);
    if (!rc && o->microphone)
        rc = open_microphone(l, o->microphone, err);
    if (!rc && !l->count)
        rc = error_set(err, ERROR_USAGE, "neither a camera nor a microphone to listen to");
    return rc;
}

static int start(struct live *l, struct error *err)
{
    for (int i = 0; i < l->count; i++) {
        struct live_source *s = &l->sources[i];
        l->running++;
        s->runs = !pthread_create(&s->thread, NULL, read_source, s);
        if (!s->runs)
            return error_set(err, ERROR_MEMORY, "no thread can be started");
    }
    return 0;
}

int live_open(struct live **out, const struct live_options *options, struct error *err)
{
    struct live *l = *out = memory_new(1, sizeof *l);
    if (!l)
        return error_set(err, ERROR_MEMORY, "out of memory");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&l->lock, NULL);
    int rc = open_all(l, options, err);
    if (!rc) {
        set_clock(l);
        rc = start(l, err);
    }
    if (rc) {
        live_close(l);
        *out = NULL;
    }
    return rc;
}

void live_stop(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    atomic_store(&l->stop, true);
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

void live_close(struct live *l)
{
    if (!l)
        return;
    live_stop(l);
    for (int i = 0; i < l->count; i++) {
        if (l->sources[i].runs)
            pthread_join(l->sources[i].thread, NULL);
        media_close(l->sources[i].media);
    }
    while (l->first) {
        struct item *next = l->first->next;
        memory_free(l->first);
        l->first = next;
    }
    memory_free(l->taken);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    memory_free(l);
}

struct media_info live_info(const struct live *l)
{
    struct media_info info = media_info(l->sources[0].media);
    if (l->count < 2)
        return info;
    const struct media_info sound = media_info(l->sources[1].media);
    info.has_sound = sound.has_sound;
    info.sample_rate = sound.sample_rate;
    info.channels = sound.channels;
    return info;
}

/* ---- taking -------------------------------------------------------------------------------- */

/* How the sources ended, the first error of them. */
static int at_end(const struct live *l, struct error *err)
{
    for (int i = 0; i < l->count; i++)
        if (l->sources[i].code) {
            *err = l->sources[i].error;
            return l->sources[i].code;
        }
    return 0;
}

int live_take(struct live *l, struct media_chunk *chunk, double seconds, struct error *err)
{
    const double until = clock_seconds() + seconds;
    memory_free(l->taken);
    l->taken = NULL;
    pthread_mutex_lock(&l->lock);
    while (!l->first && l->running && clock_seconds() < until)
        wait_until(l, until);
    struct item *item = l->taken = l->first;
    if (item) {
        l->first = item->next;
        l->last = l->first ? l->last : NULL;
        l->bytes -= item->bytes;
        pthread_cond_broadcast(&l->changed);
    }
    const bool over = !item && !l->running;
    pthread_mutex_unlock(&l->lock);
    if (item)
        *chunk = item->chunk;
    return item ? 1 : over ? at_end(l, err) : LIVE_NOTHING;
}

double live_now(const struct live *l)
{
    return clock_seconds() - l->zero;
}
