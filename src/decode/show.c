#include "decode/show.h"
#include "base/file.h"
#include "base/memory.h"
#include "decode/show_layout.h"
#include "media/media.h"
#include "media/writer.h"
#include "text/subtitle.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_FPS 1000 /* of pictures; what says more is not to be believed */

enum { CUE_LOOKS = 5 }; /* pictures: how often mouths are looked for in a cue */

struct shown_cue {
    double start, end;
    struct words words; /* owned */
};

struct show {
    FILE *faces; /* [pictures] of show_faces */
    int64_t pictures;
    struct show_span *spans; /* in the order of their starts; owned, as the cues */
    int64_t span_count, span_room;
    struct shown_cue *cues;
    int64_t cue_count, cue_room;
    struct subtitler subtitler;
};

/* What a time lies in; moves on with it. */
struct show_cursor {
    int64_t span, cue; /* the last that has begun; -1: none */
    int64_t placed;    /* the cue that at_top is about */
    bool at_top;
};

/* ---- what can be shown --------------------------------------------------------------------- */

static int check_source(const char *media, struct stat *st, struct error *err)
{
    if (!strcmp(media, "-"))
        return error_set(err, ERROR_USAGE,
                         "standard input: --show reads a file twice, so it needs a file");
    if (stat(media, st))
        return error_set(err, ERROR_IO, "%s: cannot open: %s", media, strerror(errno));
    if (!S_ISREG(st->st_mode))
        return error_set(err, ERROR_USAGE, "%s: --show reads a file twice, and this is none",
                         media);
    return 0;
}

static int check_target(const char *path, const struct stat *source, bool replace,
                        struct error *err)
{
    const char *dot = strrchr(path, '.');
    struct stat st;
    struct file_writer w;
    if (!dot || strcmp(dot, ".mp4"))
        return error_set(err, ERROR_USAGE, "%s: --show writes an mp4: expected a name in .mp4",
                         path);
    const bool there = stat(path, &st) == 0;
    if (there && st.st_dev == source->st_dev && st.st_ino == source->st_ino)
        return error_set(err, ERROR_USAGE, "%s: is what --show reads, and cannot be written over",
                         path);
    if (there && !S_ISREG(st.st_mode))
        return error_set(err, ERROR_USAGE, "%s: is not a file, expected one for --show", path);
    if (there && !replace)
        return error_set(err, ERROR_USAGE, "%s: is there already (--force replaces it)", path);
    int rc = file_writer_open(&w, path, err);
    if (!rc)
        file_writer_abandon(&w);
    return rc;
}

int show_check(const char *media, const char *path, bool replace, struct error *err)
{
    const struct media_options pictures = {.no_sound = true};
    struct media *m = NULL;
    struct stat st;
    int rc = check_source(media, &st, err);
    rc = rc ? rc : check_target(path, &st, replace, err);
    rc = rc ? rc : media_open(&m, media, &pictures, err);
    if (rc == ERROR_NO_STREAM)
        rc = error_set(err, rc, "%s: no pictures in it, which --show draws into", media);
    media_close(m);
    return rc;
}

/* ---- the first pass ------------------------------------------------------------------------ */

static int take_cue(void *arg, const struct cue *cue, struct error *err)
{
    struct show *s = arg;
    if (!memory_reserve(&s->cues, &s->cue_room, s->cue_count, s->cue_count + 1, sizeof *s->cues))
        return error_set(err, ERROR_MEMORY, "out of memory");
    struct shown_cue *to = &s->cues[s->cue_count++];
    *to = (struct shown_cue){.start = cue->start, .end = cue->end};
    return words_copy(&to->words, cue->words, cue->count, err);
}

int show_new(struct show **out, struct error *err)
{
    struct show *s = *out = memory_new(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_MEMORY, "out of memory");
    subtitler_init(&s->subtitler, take_cue, s);
    s->faces = tmpfile();
    if (s->faces)
        return 0;
    int rc = error_set(err, ERROR_IO, "cannot make a temporary file: %s", strerror(errno));
    show_free(s);
    *out = NULL;
    return rc;
}

void show_free(struct show *s)
{
    if (!s)
        return;
    if (s->faces)
        fclose(s->faces);
    for (int64_t i = 0; i < s->cue_count; i++)
        words_release(&s->cues[i].words);
    subtitler_release(&s->subtitler);
    memory_free(s->cues);
    memory_free(s->spans);
    memory_free(s);
}

int show_faces(void *arg, const struct faces_picture *faces, struct error *err)
{
    struct show *s = arg;
    struct show_faces packed;
    show_faces_pack(&packed, faces);
    if (fwrite(&packed, sizeof packed, 1, s->faces) != 1)
        return error_set(err, ERROR_IO, "cannot write a temporary file: %s", strerror(errno));
    s->pictures++;
    return 0;
}

int show_utterance(struct show *s, const struct utterance *u, struct error *err)
{
    if (!memory_reserve(&s->spans, &s->span_room, s->span_count, s->span_count + 1,
                        sizeof *s->spans))
        return error_set(err, ERROR_MEMORY, "out of memory");
    s->spans[s->span_count++] = (struct show_span){.start = u->start,
                                                   .end = u->end,
                                                   .task = u->task,
                                                   .fallback = u->fallback,
                                                   .audio_rate = u->audio_rate,
                                                   .video_rate = u->video_rate,
                                                   .face = u->face};
    return subtitler_push(&s->subtitler, &u->words, u->face, err);
}

/* ---- the second ---------------------------------------------------------------------------- */

static int faces_at(struct show *s, struct show_faces *faces, int64_t picture, struct error *err)
{
    *faces = (struct show_faces){0};
    if (picture >= s->pictures)
        return 0;
    const ssize_t bytes = sizeof *faces;
    if (pread(fileno(s->faces), faces, sizeof *faces, picture * bytes) != bytes)
        return error_set(err, ERROR_IO, "cannot read a temporary file: %s", strerror(errno));
    return 0;
}

static void move_on(const struct show *s, struct show_cursor *at, double now)
{
    while (at->span + 1 < s->span_count && s->spans[at->span + 1].start <= now)
        at->span++;
    while (at->cue + 1 < s->cue_count && s->cues[at->cue + 1].start <= now)
        at->cue++;
}

/* Whether the cue, while it is seen, hides less at the top. */
static int place_cue(struct show *s, struct show_layout *l, struct show_cursor *at,
                     const struct show_span *span, struct error *err)
{
    const struct shown_cue *cue = &s->cues[at->cue];
    double bottom = 0, top = 0;
    int rc = 0;
    at->placed = at->cue;
    for (int64_t k = (int64_t)(cue->start * MEDIA_FPS);
         !rc && k <= (int64_t)(cue->end * MEDIA_FPS) && k < s->pictures; k += CUE_LOOKS) {
        struct show_faces faces;
        double hidden[2] = {0};
        rc = faces_at(s, &faces, k, err);
        rc = rc ? rc : show_layout_hides(l, hidden, &cue->words, span, &faces, err);
        bottom += hidden[0];
        top += hidden[1];
    }
    at->at_top = top < bottom;
    return rc;
}

static int draw(struct show *s, struct show_layout *l, struct show_cursor *at, uint8_t *rgb,
                const struct media_chunk *picture, struct error *err)
{
    const double now = (double)picture->time_us / 1e6;
    struct show_faces faces;
    move_on(s, at, now);
    const struct shown_cue *cue = at->cue >= 0 ? &s->cues[at->cue] : NULL;
    const struct show_span *span = at->span >= 0 ? &s->spans[at->span] : NULL;
    cue = cue && now < cue->end ? cue : NULL;
    span = span && (cue || now < span->end) ? span : NULL;
    int rc = cue && at->placed != at->cue ? place_cue(s, l, at, span, err) : 0;
    rc = rc ? rc : faces_at(s, &faces, picture->start, err);
    return rc ? rc
              : show_layout_draw(l, rgb, picture->stride, now, cue ? &cue->words : NULL, span,
                                 at->at_top, &faces, err);
}

/* What show_write has open. */
struct rewriting {
    struct media *media;
    struct writer *writer;
    struct show_layout *layout;
    uint8_t *rgb; /* the picture that is drawn into */
    struct show_cursor at;
    int (*progress)(void *arg, double seconds, double total);
    void *arg;
    double total;
};

static int open_writer(struct rewriting *r, const char *path, struct error *err)
{
    const struct media_info info = media_info(r->media);
    const bool sane = info.picture_rate >= 1 && info.picture_rate <= MOST_FPS;
    const struct writer_options options = {.width = info.width,
                                           .height = info.height,
                                           .fps_num = sane ? info.rate_num : 0,
                                           .fps_den = sane ? info.rate_den : 0,
                                           .own_times = true,
                                           .sound_stream = media_sound_stream(r->media)};
    r->total = info.duration_s;
    int rc = show_layout_open(&r->layout, info.width, info.height, err);
    return rc ? rc : writer_open(&r->writer, path, &options, err);
}

static int report(const struct rewriting *r, double seconds, struct error *err)
{
    return r->progress && r->progress(r->arg, seconds, r->total)
               ? error_set(err, ERROR_CANCELLED, "stopped")
               : 0;
}

static int rewrite_picture(struct show *s, struct rewriting *r, const struct media_chunk *c,
                           struct error *err)
{
    const size_t bytes = (size_t)c->height * (size_t)c->stride;
    r->rgb = r->rgb ? r->rgb : memory_new(bytes, 1);
    if (!r->rgb)
        return error_set(err, ERROR_MEMORY, "out of memory");
    memcpy(r->rgb, c->rgb, bytes);
    int rc = draw(s, r->layout, &r->at, r->rgb, c, err);
    rc = rc ? rc : writer_picture_at(r->writer, r->rgb, c->stride, c->time_us, err);
    return rc ? rc : report(r, (double)c->time_us / 1e6, err);
}

static int rewrite(struct show *s, struct rewriting *r, struct error *err)
{
    struct media_chunk chunk;
    int rc;
    while ((rc = media_read(r->media, &chunk, err)) == 1) {
        rc = chunk.kind == MEDIA_PACKET ? writer_packet(r->writer, chunk.packet, err)
                                        : rewrite_picture(s, r, &chunk, err);
        if (rc)
            return rc;
    }
    return rc ? rc : report(r, r->total, err);
}

int show_write(struct show *s, const char *media, const char *path,
               int (*progress)(void *arg, double seconds, double total), void *arg,
               struct error *err)
{
    const struct media_options options = {.own_times = true};
    struct rewriting r = {.at = {-1, -1, -1, false}, .progress = progress, .arg = arg};
    int rc = subtitler_finish(&s->subtitler, err);
    if (!rc && fflush(s->faces))
        rc = error_set(err, ERROR_IO, "cannot write a temporary file: %s", strerror(errno));
    rc = rc ? rc : media_open(&r.media, media, &options, err);
    rc = rc ? rc : open_writer(&r, path, err);
    rc = rc ? rc : rewrite(s, &r, err);
    if (!rc) {
        rc = writer_close(r.writer, err);
        r.writer = NULL;
    }
    writer_abandon(r.writer);
    show_layout_close(r.layout);
    media_close(r.media);
    memory_free(r.rgb);
    return rc;
}
