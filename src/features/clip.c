#include "features/clip.h"
#include "base/memory.h"
#include "features/clip_faces.h"
#include "features/mouth_debug.h"
#include "media/media.h"

#include <math.h>
#include <string.h>

struct loader {
    struct clip *clip;
    const char *path;
    int64_t sample_room; /* what the clip's array has room for */
    int face;            /* the number asked for; 0: the one who speaks */
    struct face_finder *own_finder;
    struct faces *tracker;
    struct clip_faces faces;
    struct faces_picture picture; /* the last popped */
    struct mouth_debug *debug;    /* NULL: not wanted */
};

static int out_of_memory(const struct loader *l, struct error *err)
{
    return error_set(err, ERROR_MEMORY, "%s: out of memory", l->path);
}

static int add_sound(struct loader *l, const struct media_chunk *chunk, struct error *err)
{
    struct clip *clip = l->clip;
    if (!memory_reserve(&clip->pcm, &l->sample_room, clip->samples, clip->samples + chunk->count,
                        sizeof *clip->pcm))
        return out_of_memory(l, err);
    memcpy(clip->pcm + clip->samples, chunk->pcm, (size_t)chunk->count * sizeof *clip->pcm);
    clip->samples += chunk->count;
    return l->debug ? mouth_debug_sound(l->debug, chunk->pcm, chunk->count, err) : 0;
}

static int add_mouths(struct loader *l, struct error *err)
{
    while (faces_pop(l->tracker, &l->picture)) {
        if (!clip_faces_add(&l->faces, &l->picture, l->face))
            return out_of_memory(l, err);
        int rc = l->debug ? mouth_debug_faces(l->debug, &l->picture, err) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

static int add_picture(struct loader *l, const struct media_chunk *chunk, struct error *err)
{
    int rc = l->debug ? mouth_debug_picture(l->debug, chunk->rgb, chunk->stride, err) : 0;
    if (rc == 0)
        rc = faces_push(l->tracker, chunk->rgb, chunk->width, chunk->height, chunk->stride, err);
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
    int rc = faces_new(&l->tracker, finder, err);
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
        faces_finish(l->tracker);
        rc = add_mouths(l, err);
    }
    return rc;
}

/* Says what the clip has, and chooses its mouth. */
static int conclude(struct loader *l, struct error *err)
{
    struct clip *clip = l->clip;
    clip->has_sound = clip->samples > 0;
    clip->has_pictures = l->faces.pictures > 0;
    clip->has_face = l->faces.found > 0;
    if (l->face && l->faces.numbers > 0 && !clip->has_face)
        return error_set(err, ERROR_NO_FACE, "%s: has no face %d; its faces are numbered 1 to %d",
                         l->path, l->face, l->faces.numbers);
    if (clip->has_face && clip_faces_choose(&l->faces, clip, 0, l->faces.pictures) < 0)
        return out_of_memory(l, err);
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
    struct loader l = {.clip = clip, .path = path, .face = o->face};
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
    faces_free(l.tracker);
    clip_faces_release(&l.faces);
    face_finder_close(l.own_finder);
    media_close(media);
    return rc;
}

double clip_seconds(int64_t samples, int64_t frames)
{
    return fmax((double)samples / MEDIA_SAMPLE_RATE, (double)frames / MEDIA_FPS);
}

int clip_init(struct clip *clip, int64_t frames, struct error *err)
{
    *clip = (struct clip){.samples = frames * FRAME_SAMPLES,
                          .frames = frames,
                          .has_sound = true,
                          .has_pictures = true,
                          .has_face = true,
                          .lips_move = true};
    clip->pcm = memory_new((size_t)clip->samples, sizeof *clip->pcm);
    clip->mouth = memory_new((size_t)frames, MOUTH_PIXELS);
    if (clip->pcm && clip->mouth)
        return 0;
    clip_release(clip);
    return error_set(err, ERROR_MEMORY, "out of memory");
}

void clip_release(struct clip *clip)
{
    memory_free(clip->pcm);
    memory_free(clip->mouth);
    *clip = (struct clip){0};
}
