#include "features/clip.h"
#include "base/memory.h"
#include "features/mouth_debug.h"
#include "media/media.h"

#include <string.h>

struct loader {
    struct clip *clip;
    const char *path;
    int64_t sample_room, frame_room; /* what the clip's arrays have room for */
    struct face_finder *own_finder;
    struct mouth_tracker *tracker;
    struct mouth_debug *debug; /* NULL: not wanted */
};

/* Makes room for `needed` items of `size` bytes in *data, doubling it. */
static int reserve(void **data, int64_t *room, int64_t used, int64_t needed, size_t size)
{
    if (needed <= *room)
        return 0;
    int64_t larger = 2 * needed;
    void *copy = memory_new((size_t)larger, size);
    if (!copy)
        return ERROR_MEMORY;
    if (used)
        memcpy(copy, *data, (size_t)used * size);
    memory_free(*data);
    *data = copy;
    *room = larger;
    return 0;
}

static int out_of_memory(const struct loader *l, struct error *err)
{
    return error_set(err, ERROR_MEMORY, "%s: out of memory", l->path);
}

static int add_sound(struct loader *l, const struct media_chunk *chunk, struct error *err)
{
    struct clip *clip = l->clip;
    if (reserve((void **)&clip->pcm, &l->sample_room, clip->samples, clip->samples + chunk->count,
                sizeof *clip->pcm))
        return out_of_memory(l, err);
    memcpy(clip->pcm + clip->samples, chunk->pcm, (size_t)chunk->count * sizeof *clip->pcm);
    clip->samples += chunk->count;
    return l->debug ? mouth_debug_sound(l->debug, chunk->pcm, chunk->count, err) : 0;
}

static int add_mouths(struct loader *l, struct error *err)
{
    struct clip *clip = l->clip;
    struct mouth_frame frame;
    while (mouth_tracker_pop(l->tracker, &frame)) {
        if (reserve((void **)&clip->mouth, &l->frame_room, clip->frames, clip->frames + 1,
                    MOUTH_PIXELS))
            return out_of_memory(l, err);
        memcpy(clip->mouth + clip->frames * MOUTH_PIXELS, frame.crop, MOUTH_PIXELS);
        clip->frames++;
        int rc = l->debug ? mouth_debug_frame(l->debug, &frame, err) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

static int add_picture(struct loader *l, const struct media_chunk *chunk, struct error *err)
{
    int rc = l->debug ? mouth_debug_picture(l->debug, chunk->rgb, chunk->stride, err) : 0;
    if (rc == 0)
        rc = mouth_tracker_push(l->tracker, chunk->rgb, chunk->width, chunk->height, chunk->stride,
                                err);
    return rc ? rc : add_mouths(l, err);
}

static int open_tracker(struct loader *l, const struct clip_options *o, struct media_info info,
                        struct error *err)
{
    struct face_finder *finder = o->finder;
    if (!finder) {
        int rc = face_finder_open(&l->own_finder, err);
        if (rc)
            return rc;
        finder = l->own_finder;
    }
    int rc = mouth_tracker_new(&l->tracker, finder, err);
    if (rc == 0 && o->debug_mouth)
        rc = mouth_debug_open(&l->debug, o->debug_mouth, info.width, info.height, info.has_sound,
                              err);
    return rc;
}

static int read_all(struct loader *l, struct media *media, bool limited, struct error *err)
{
    struct media_chunk chunk;
    int rc;
    while ((rc = media_read(media, &chunk, err)) == 1) {
        int64_t rate = chunk.kind == MEDIA_SOUND ? MEDIA_SAMPLE_RATE : MEDIA_FPS;
        if (!limited && chunk.start + chunk.count > CLIP_MAX_SECONDS * rate)
            return error_set(err, ERROR_LIMIT, "%s: longer than %d s, cut it into utterances",
                             l->path, CLIP_MAX_SECONDS);
        rc = chunk.kind == MEDIA_SOUND ? add_sound(l, &chunk, err) : add_picture(l, &chunk, err);
        if (rc)
            return rc;
    }
    if (rc == 0 && l->tracker) {
        mouth_tracker_finish(l->tracker);
        rc = add_mouths(l, err);
    }
    return rc;
}

/* Says what the clip has, and gives up what is of no use. */
static int conclude(struct loader *l, struct error *err)
{
    struct clip *clip = l->clip;
    clip->has_sound = clip->samples > 0;
    clip->has_pictures = clip->frames > 0;
    clip->has_face = l->tracker && mouth_tracker_found(l->tracker) > 0;
    if (!clip->has_face) {
        memory_free(clip->mouth);
        clip->mouth = NULL;
        clip->frames = 0;
    }
    if (clip->has_sound || clip->has_face)
        return 0;
    if (clip->has_pictures)
        return error_set(err, ERROR_NO_FACE,
                         "%s: no face found in its pictures and no sound to go by; show the "
                         "speaker's face from the front, at least 80 pixels wide",
                         l->path);
    return error_set(err, ERROR_NO_STREAM, "%s: neither sound nor pictures in it", l->path);
}

int clip_load(struct clip *clip, const char *path, const struct clip_options *options,
              struct error *err)
{
    const struct clip_options everything = {0};
    const struct clip_options *o = options ? options : &everything;
    const struct media_options media_options = {
        .no_sound = o->no_sound,
        .no_pictures = o->no_pictures,
        .max_seconds = o->max_seconds > 0 ? o->max_seconds : CLIP_MAX_SECONDS + 1,
    };
    struct loader l = {.clip = clip, .path = path};
    struct media *media;
    *clip = (struct clip){0};
    int rc = media_open(&media, path, &media_options, err);
    if (rc)
        return rc;
    if (media_info(media).has_pictures)
        rc = open_tracker(&l, o, media_info(media), err);
    if (rc == 0)
        rc = read_all(&l, media, o->max_seconds > 0, err);
    if (rc == 0 && l.debug) { /* also of a clip without a face: it shows why */
        rc = mouth_debug_close(l.debug, err);
        l.debug = NULL;
    }
    if (rc == 0)
        rc = conclude(&l, err);
    if (rc)
        clip_release(clip);
    mouth_debug_abandon(l.debug);
    mouth_tracker_free(l.tracker);
    face_finder_close(l.own_finder);
    media_close(media);
    return rc;
}

void clip_release(struct clip *clip)
{
    memory_free(clip->pcm);
    memory_free(clip->mouth);
    *clip = (struct clip){0};
}
