#include "features/clip_cache.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "media/media.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "MOMECLIP"
#define MAX_SAMPLES ((uint64_t)(CLIP_MAX_SECONDS + 1) * MEDIA_SAMPLE_RATE)
#define MAX_FRAMES ((uint64_t)(CLIP_MAX_SECONDS + 1) * MEDIA_FPS)

enum { HAS_SOUND = 1, HAS_PICTURES = 2, HAS_FACE = 4, LIPS_MOVE = 8 };

struct header {
    char magic[8];
    uint32_t version, flags;
    uint64_t key, samples, frames, check;
    int32_t face, faces;
};

_Static_assert(sizeof(struct header) == 56, "the file's layout");

static uint64_t payload_hash(const void *pcm, size_t pcm_bytes, const void *mouth,
                             size_t mouth_bytes)
{
    return hash_bytes(hash_bytes(1, pcm, pcm_bytes), mouth, mouth_bytes);
}

static int broken(const char *name, const char *what, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "%s: not a clip cache file: %s", name, what);
}

/* Checks everything but the payload's hash. */
static int check_header(const struct header *h, size_t size, const char *name, struct error *err)
{
    if (memcmp(h->magic, MAGIC, sizeof h->magic) != 0)
        return broken(name, "wrong first bytes", err);
    if (h->version != CLIP_CACHE_VERSION)
        return broken(name, "another version", err);
    if (h->samples > MAX_SAMPLES || h->frames > MAX_FRAMES)
        return broken(name, "too long", err);
    if (size != sizeof *h + h->samples * sizeof(float) + h->frames * MOUTH_PIXELS)
        return broken(name, "wrong size", err);
    if (h->flags > 15 || !(h->flags & HAS_SOUND) != !h->samples ||
        !(h->flags & HAS_FACE) != !h->frames || (h->frames && !(h->flags & HAS_PICTURES)) ||
        (!h->frames && (h->flags & LIPS_MOVE)) || h->face < 0 || h->face > h->faces ||
        !h->frames != !h->face || !h->frames != !h->faces)
        return broken(name, "contradictory header", err);
    return 0;
}

int clip_cache_decode(struct clip *clip, uint64_t *key, const void *bytes, size_t size,
                      const char *name, struct error *err)
{
    struct header h;
    *clip = (struct clip){0};
    if (size < sizeof h)
        return broken(name, "too short", err);
    memcpy(&h, bytes, sizeof h);
    int rc = check_header(&h, size, name, err);
    if (rc)
        return rc;
    size_t pcm_bytes = h.samples * sizeof(float), mouth_bytes = h.frames * MOUTH_PIXELS;
    const char *pcm = (const char *)bytes + sizeof h, *mouth = pcm + pcm_bytes;
    if (payload_hash(pcm, pcm_bytes, mouth, mouth_bytes) != h.check)
        return broken(name, "wrong checksum", err);
    clip->pcm = pcm_bytes ? memory_new(pcm_bytes, 1) : NULL;
    clip->mouth = mouth_bytes ? memory_new(mouth_bytes, 1) : NULL;
    if ((pcm_bytes && !clip->pcm) || (mouth_bytes && !clip->mouth)) {
        clip_release(clip);
        return error_set(err, ERROR_MEMORY, "%s: out of memory", name);
    }
    if (pcm_bytes)
        memcpy(clip->pcm, pcm, pcm_bytes);
    if (mouth_bytes)
        memcpy(clip->mouth, mouth, mouth_bytes);
    clip->samples = (int64_t)h.samples;
    clip->frames = (int64_t)h.frames;
    clip->has_sound = h.flags & HAS_SOUND;
    clip->has_pictures = h.flags & HAS_PICTURES;
    clip->has_face = h.flags & HAS_FACE;
    clip->lips_move = h.flags & LIPS_MOVE;
    clip->face = h.face;
    clip->faces = h.faces;
    *key = h.key;
    return 0;
}

int clip_cache_write(const struct clip *clip, uint64_t key, const char *name, struct error *err)
{
    size_t pcm_bytes = (size_t)clip->samples * sizeof(float);
    size_t mouth_bytes = (size_t)clip->frames * MOUTH_PIXELS;
    struct header h = {
        .version = CLIP_CACHE_VERSION,
        .flags = (clip->has_sound ? HAS_SOUND : 0) | (clip->has_pictures ? HAS_PICTURES : 0) |
                 (clip->has_face ? HAS_FACE : 0) | (clip->lips_move ? LIPS_MOVE : 0),
        .key = key,
        .samples = (uint64_t)clip->samples,
        .frames = (uint64_t)clip->frames,
        .check = payload_hash(clip->pcm, pcm_bytes, clip->mouth, mouth_bytes),
        .face = clip->face,
        .faces = clip->faces,
    };
    memcpy(h.magic, MAGIC, sizeof h.magic);
    struct file_writer w;
    int rc = file_writer_open(&w, name, err);
    if (rc)
        return rc;
    fwrite(&h, sizeof h, 1, w.stream);
    if (pcm_bytes)
        fwrite(clip->pcm, 1, pcm_bytes, w.stream);
    if (mouth_bytes)
        fwrite(clip->mouth, 1, mouth_bytes, w.stream);
    return file_writer_commit(&w, err);
}

/* Where the clip's file is in the folder (freed by memory_free), and the key it must have. */
static int place(char **name, uint64_t *key, const char *folder, const char *path,
                 const struct clip_options *o, struct error *err)
{
    struct stat st;
    char *whole = realpath(path, NULL);
    if (!whole || stat(whole, &st) != 0) {
        int rc = error_set(err, ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
        free(whole);
        return rc;
    }
    int64_t source[3] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
    double asked[4] = {o->no_sound, o->no_pictures, o->max_seconds, o->face};
    uint64_t id = hash_bytes(hash_bytes(2, whole, strlen(whole)), asked, sizeof asked);
    *key = hash_bytes(hash_bytes(3, &id, sizeof id), source, sizeof source);
    free(whole);
    char file[32];
    snprintf(file, sizeof file, "%016llx.clip", (unsigned long long)id);
    *name = file_join(folder, file);
    return *name ? 0 : error_set(err, ERROR_MEMORY, "%s: out of memory", path);
}

/* Whether the file is there, whole, and the wanted one. */
static bool read_back(struct clip *clip, const char *name, uint64_t wanted)
{
    struct error ignored = {0};
    struct file_map map;
    uint64_t key = 0;
    if (file_map_open(&map, name, &ignored))
        return false;
    bool good = clip_cache_decode(clip, &key, map.data, map.size, name, &ignored) == 0;
    if (good && key != wanted) {
        clip_release(clip);
        good = false;
    }
    file_map_close(&map);
    return good;
}

int clip_cache_load(struct clip *clip, const char *folder, const char *path,
                    const struct clip_options *options, struct error *err)
{
    const struct clip_options everything = {0};
    const struct clip_options *o = options ? options : &everything;
    char *name = NULL;
    uint64_t key = 0;
    *clip = (struct clip){0};
    if (strcmp(path, "-") == 0 || o->debug_mouth)
        return clip_load(clip, path, o, err);
    int rc = place(&name, &key, folder, path, o, err);
    if (rc || read_back(clip, name, key))
        goto out;
    rc = clip_load(clip, path, o, err);
    if (rc)
        goto out;
    rc = file_make_folder(folder, err);
    if (rc == 0)
        rc = clip_cache_write(clip, key, name, err);
    if (rc)
        clip_release(clip);
out:
    memory_free(name);
    return rc;
}
