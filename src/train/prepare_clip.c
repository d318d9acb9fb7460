#include "train/prepare_clip.h"
#include "base/file.h"
#include "base/memory.h"
#include "features/clip.h"
#include "media/ending.h"
#include "media/media.h"
#include "media/writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FRAME_MS (1000 / MEDIA_FPS)

/* ---- where to cut ---- */

/* The word before which to cut a piece that begins at start_ms: behind the longest pause in the
   second half of what may be taken, or if there is none in the first. 0: nowhere. */
static int32_t find_cut(int32_t *cut_ms, const struct manifest_word *words, int32_t first,
                        int32_t count, int32_t start_ms, int32_t most_ms)
{
    int32_t best = 0, longest = -1;
    for (int half = 1; half >= 0 && !best; half--)
        for (int32_t i = first + 1; i < count; i++) {
            const int32_t pause = words[i].start_ms - words[i - 1].end_ms;
            const int32_t middle = words[i].start_ms - (pause > 0 ? pause / 2 : 0);
            const int32_t at = (middle + FRAME_MS / 2) / FRAME_MS * FRAME_MS;
            if (at - start_ms > most_ms)
                break;
            if (pause < longest || at - start_ms < (half ? most_ms / 2 : FRAME_MS))
                continue;
            longest = pause;
            best = i;
            *cut_ms = at;
        }
    return best;
}

int prepare_plan(struct piece **pieces, const struct spoken *t, int32_t most_ms)
{
    const struct manifest_word *words = t->words;
    const int32_t count = t->word_count;
    struct piece *list = memory_new((size_t)count + 1, sizeof *list);
    int n = 0;
    *pieces = list;
    if (!list)
        return ERROR_MEMORY;
    struct piece piece = {.word_count = count, .end_ms = most_ms};
    const bool timed = spoken_timed(t);
    while (timed && words[count - 1].end_ms - piece.start_ms > most_ms) {
        int32_t cut_ms = 0;
        const int32_t cut =
            find_cut(&cut_ms, words, piece.first_word, count, piece.start_ms, most_ms);
        if (!cut) { /* a word of that length: these times are no good */
            list[0] = (struct piece){.word_count = count, .end_ms = most_ms};
            return 1;
        }
        piece.word_count = cut - piece.first_word;
        piece.end_ms = cut_ms;
        list[n++] = piece;
        piece = (struct piece){cut, count - cut, cut_ms, cut_ms + most_ms};
    }
    list[n++] = piece;
    return n;
}

/* ---- names ---- */

char *prepare_name(const struct import_clip *clip, int index, int count)
{
    const size_t room = strlen(clip->path) + 32;
    const int stem = (int)path_stem(clip->path);
    char *name = memory_new(room, 1);
    if (name && count == 1)
        snprintf(name, room, "clips/%.*s.mkv", stem, clip->path);
    else if (name)
        snprintf(name, room, "pieces/%.*s/%d.mkv", stem, clip->path, index + 1);
    return name;
}

static int out_of_memory(const struct import_clip *clip, struct error *err)
{
    return error_set(err, ERROR_MEMORY, "%s: out of memory", clip->path);
}

/* ---- reading ---- */

static int load_sound(struct clip *clip, const char *path, const struct clip_options *options,
                      struct error *err)
{
    struct clip_options sound_only = *options;
    struct clip sound;
    sound_only.no_pictures = true;
    int rc = clip_load(&sound, path, &sound_only, err);
    if (rc)
        return rc;
    clip->pcm = sound.pcm;
    clip->samples = sound.samples;
    clip->has_sound = sound.has_sound;
    sound.pcm = NULL;
    clip_release(&sound);
    return 0;
}

static int load(struct clip *clip, const struct prepare_place *place,
                const struct import_clip *source, const struct clip_options *options,
                struct error *err)
{
    char *path = file_join(place->root, source->path);
    char *sound = source->sound ? file_join(place->root, source->sound) : NULL;
    int rc = path && (sound || !source->sound) ? clip_load(clip, path, options, err)
                                               : out_of_memory(source, err);
    const bool silent = rc ? rc == ERROR_NO_STREAM : !clip->has_sound;
    if (sound && silent && place->streams != PREPARE_LIPS) {
        *err = (struct error){0};
        rc = load_sound(clip, sound, options, err);
        if (rc)
            clip_release(clip);
    }
    memory_free(path);
    memory_free(sound);
    return rc;
}

/* The landmark file may be missing: that is not the clip's fault, and all would fail alike. */
static int check_finder(struct face_finder *finder, struct error *err)
{
    static const uint8_t black[MOUTH_PIXELS];
    const struct gray_picture picture = {black, MOUTH_SIDE, MOUTH_SIDE, MOUTH_SIDE};
    const struct face_box box = {8, 8, 88, 88, 0};
    float points[FACE_LANDMARKS][2];
    return face_landmarks(finder, points, picture, &box, err);
}

static enum drop drop_of_error(int code, enum prepare_streams streams)
{
    if (code == ERROR_NO_STREAM && streams != PREPARE_BOTH)
        return streams == PREPARE_SOUND ? DROP_NO_SOUND : DROP_NO_PICTURES;
    return code == ERROR_NO_FACE ? DROP_NO_FACE : DROP_UNREADABLE;
}

static void set_drop(struct prepared *p, enum drop drop, const char *detail)
{
    p->drop = drop;
    p->detail = detail ? memory_strdup(detail) : NULL;
}

static bool all_zeros(const float *pcm, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (pcm[i] != 0)
            return false;
    return true;
}

/* What the whole clip lacks. */
static enum drop judge(const char **detail, const struct clip *clip, enum prepare_streams streams)
{
    *detail = NULL;
    if (streams != PREPARE_LIPS && !clip->has_sound)
        return DROP_NO_SOUND;
    if (streams != PREPARE_SOUND && !clip->has_pictures)
        return DROP_NO_PICTURES;
    if (streams != PREPARE_SOUND && !clip->has_face)
        return DROP_NO_FACE;
    if (streams != PREPARE_LIPS && all_zeros(clip->pcm, clip->samples)) {
        *detail = "all of its samples are 0";
        return DROP_NO_SOUND;
    }
    return DROP_NOT;
}

/* ---- writing ---- */

struct extent { /* of a piece in its clip */
    int64_t frame, frames, sample, samples;
};

static struct extent extent_of(const struct clip *clip, const struct piece *piece)
{
    const int64_t first = piece->start_ms / FRAME_MS, end = piece->end_ms / FRAME_MS;
    struct extent e = {.frame = first, .sample = first * FRAME_SAMPLES};
    e.frames = (end < clip->frames ? end : clip->frames) - e.frame;
    const int64_t last = end * FRAME_SAMPLES;
    e.samples = (last < clip->samples ? last : clip->samples) - e.sample;
    e.frames = e.frames > 0 ? e.frames : 0;
    e.samples = e.samples > 0 ? e.samples : 0;
    return e;
}

/* Pictures that show a mouth: seen, or bridged between pictures where it was; the others are
   zeros. */
static int64_t count_mouths(const uint8_t *mouths, int64_t frames)
{
    static const uint8_t none[MOUTH_PIXELS];
    int64_t count = 0;
    for (int64_t k = 0; k < frames; k++)
        count += memcmp(mouths + k * MOUTH_PIXELS, none, MOUTH_PIXELS) != 0;
    return count;
}

static int write_streams(struct writer *w, const struct clip *clip, const struct extent *e,
                         struct error *err)
{
    uint8_t rgb[MOUTH_PIXELS * 3];
    int rc = 0;
    int64_t sent = 0;
    for (int64_t k = 0; k < e->frames && !rc; k++) {
        const uint8_t *gray = clip->mouth + (e->frame + k) * MOUTH_PIXELS;
        for (int i = 0; i < MOUTH_PIXELS; i++)
            rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = gray[i];
        rc = writer_picture(w, rgb, MOUTH_SIDE * 3, err);
        const int64_t rest = e->samples - sent;
        const int64_t n = rest < FRAME_SAMPLES ? rest : FRAME_SAMPLES;
        if (!rc && n > 0)
            rc = writer_sound(w, clip->pcm + e->sample + sent, n, err);
        sent += n;
    }
    if (!rc && sent < e->samples)
        rc = writer_sound(w, clip->pcm + e->sample + sent, e->samples - sent, err);
    return rc;
}

/* Written beside, then moved: its folder never shows half a file. */
static int write_piece(int64_t *bytes, const struct prepare_place *place, const char *name,
                       const struct clip *clip, const struct extent *e, struct error *err)
{
    const struct writer_options options = {.width = e->frames ? MOUTH_SIDE : 0,
                                           .height = e->frames ? MOUTH_SIDE : 0,
                                           .sample_rate = e->samples ? MEDIA_SAMPLE_RATE : 0};
    struct stat st;
    struct writer *w;
    char *path = file_join(place->output, name);
    if (!path)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    int rc = file_make_folder(path, err);
    *slash = '/';
    if (!rc)
        rc = writer_open(&w, place->temporary, &options, err);
    if (!rc) {
        rc = write_streams(w, clip, e, err);
        if (rc)
            writer_abandon(w);
        else
            rc = writer_close(w, err);
    }
    if (!rc && (rename(place->temporary, path) != 0 || stat(path, &st) != 0))
        rc = error_set(err, ERROR_IO, "%s: cannot write: %s", path, strerror(errno));
    if (!rc)
        *bytes = st.st_size;
    memory_free(path);
    return rc;
}

static int do_piece(struct outcome *o, const struct prepare_place *place,
                    const struct import_clip *source, const struct clip *clip,
                    const struct piece *piece, int index, int count, struct error *err)
{
    const struct extent e = extent_of(clip, piece);
    const bool sound = place->streams != PREPARE_LIPS, lips = place->streams != PREPARE_SOUND;
    int64_t frames = lips ? e.frames : e.samples / FRAME_SAMPLES;
    if (sound && e.samples / FRAME_SAMPLES < frames)
        frames = e.samples / FRAME_SAMPLES;
    *o = (struct outcome){.ms = (int32_t)frames * FRAME_MS};
    if (frames < PREPARE_LEAST_FRAMES)
        o->drop = DROP_TOO_SHORT;
    else if (lips &&
             count_mouths(clip->mouth + e.frame * MOUTH_PIXELS, e.frames) < PREPARE_LEAST_FRAMES)
        o->drop = DROP_FEW_FACES;
    if (o->drop)
        return 0;
    char *name = prepare_name(source, index, count);
    int rc = name ? write_piece(&o->bytes, place, name, clip, &e, err) : out_of_memory(source, err);
    memory_free(name);
    return rc;
}

static int do_pieces(struct prepared *p, const struct prepare_place *place,
                     const struct import_clip *source, const struct clip *clip,
                     const struct piece *pieces, int count, struct error *err)
{
    int kept = 0, rc = 0;
    p->outcomes = memory_new((size_t)count, sizeof *p->outcomes);
    if (!p->outcomes)
        return out_of_memory(source, err);
    p->count = count;
    for (int i = 0; i < count && !rc; i++) {
        rc = do_piece(&p->outcomes[i], place, source, clip, &pieces[i], i, count, err);
        kept += !p->outcomes[i].drop;
    }
    if (!rc && !kept) {
        const enum drop drop = p->outcomes[0].drop;
        memory_free(p->outcomes);
        p->outcomes = NULL;
        p->count = 0;
        set_drop(p, drop, NULL);
    }
    return rc;
}

/* ---- all of it ---- */

/* Whether more is left over than may be, or more than was read. What is behind the last word does
   not count where the times of the words are known. */
static bool too_long(const struct clip *clip, const struct spoken *t, const struct piece *last,
                     int32_t most_ms)
{
    const int64_t frames =
        clip->frames > clip->samples / FRAME_SAMPLES ? clip->frames : clip->samples / FRAME_SAMPLES;
    if (frames >= CLIP_MAX_SECONDS * MEDIA_FPS)
        return true;
    return spoken_timed(t) ? t->words[t->word_count - 1].end_ms - last->start_ms > most_ms
                           : frames > most_ms / FRAME_MS;
}

/* What cannot be read is dropped, unless it is not the file's fault. */
static int drop_unread(struct prepared *p, const struct prepare_place *place,
                       const struct import_clip *source, const struct error *fault,
                       struct error *err)
{
    const size_t n = strlen(source->path);
    const char *named = strstr(fault->message, source->path);
    if (named && strncmp(named + n, ": ", 2) != 0)
        named = NULL;
    if (fault->code == ERROR_MEMORY)
        *err = *fault;
    else if (named || place->streams == PREPARE_SOUND || check_finder(place->finder, err) == 0)
        set_drop(p, drop_of_error(fault->code, place->streams),
                 named ? named + n + 2 : fault->message);
    return err->code;
}

static int do_clip(struct prepared *p, const struct prepare_place *place,
                   const struct import_clip *source, const struct clip *clip, struct error *err)
{
    const char *detail;
    struct piece *pieces = NULL;
    enum drop drop = judge(&detail, clip, place->streams);
    int count = drop ? 0 : prepare_plan(&pieces, &source->spoken, place->most_ms);
    int rc = 0;
    if (count < 0)
        rc = out_of_memory(source, err);
    else if (count && too_long(clip, &source->spoken, &pieces[count - 1], place->most_ms))
        drop = DROP_TOO_LONG;
    if (drop)
        set_drop(p, drop, detail);
    else if (!rc)
        rc = do_pieces(p, place, source, clip, pieces, count, err);
    memory_free(pieces);
    return rc;
}

int prepare_clip(struct prepared *p, const struct prepare_place *place,
                 const struct import_clip *source, struct error *err)
{
    const bool timed = spoken_timed(&source->spoken);
    const struct clip_options options = {
        .no_sound = place->streams == PREPARE_LIPS,
        .no_pictures = place->streams == PREPARE_SOUND,
        .max_seconds = timed ? CLIP_MAX_SECONDS : place->most_ms / 1000.0 + 1,
        .finder = place->finder,
    };
    struct error fault = {0};
    struct clip clip = {0};
    *p = (struct prepared){0};
    *err = (struct error){0};
    int rc = load(&clip, place, source, &options, &fault);
    rc = rc ? drop_unread(p, place, source, &fault, err) : do_clip(p, place, source, &clip, err);
    p->known = rc == 0;
    clip_release(&clip);
    if (rc)
        prepared_release(p);
    return rc;
}

void prepared_release(struct prepared *p)
{
    memory_free(p->detail);
    memory_free(p->outcomes);
    *p = (struct prepared){0};
}
