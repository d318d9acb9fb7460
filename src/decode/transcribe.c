#include "decode/transcribe.h"

#include "media/media.h"

struct work {
    struct transcriber *transcriber;
    struct stream *stream;
    const struct transcribe_options *options;
    double total; /* seconds; 0: not known */
};

/* Decodes what is ready, and hands it on. */
static int drain(struct work *w, struct error *err)
{
    struct utterance u;
    int rc = 0;
    for (;;) {
        while (!rc && stream_pop(w->stream, &u)) {
            rc = w->options->utterance(w->options->arg, &u, err);
            utterance_release(&u);
        }
        if (rc || !stream_ready(w->stream))
            return rc;
        rc = streams_decode(w->transcriber, &w->stream, 1, err);
    }
}

static int report(const struct work *w, struct error *err)
{
    const struct transcribe_options *o = w->options;
    return o->progress && o->progress(o->arg, stream_seconds(w->stream), w->total)
               ? error_set(err, ERROR_CANCELLED, "stopped")
               : 0;
}

static int read_all(struct work *w, struct media *media, struct error *err)
{
    struct media_chunk chunk;
    int rc;
    while ((rc = media_read(media, &chunk, err)) == 1) {
        rc = chunk.kind == MEDIA_SOUND ? stream_sound(w->stream, chunk.pcm, chunk.count, err)
                                       : stream_picture(w->stream, chunk.rgb, chunk.width,
                                                        chunk.height, chunk.stride, err);
        rc = rc ? rc : drain(w, err);
        rc = rc ? rc : report(w, err);
        if (rc)
            return rc;
    }
    rc = rc ? rc : stream_finish(w->stream, err);
    rc = rc ? rc : drain(w, err);
    return rc ? rc : report(w, err);
}

/* Whether the file has what the task asks for. */
static int check(const struct transcribed *what, const struct stream_options *o, const char *path,
                 struct error *err)
{
    if (!o->automatic && task_hears(o->task) && !what->had_sound)
        return error_set(err, ERROR_NO_STREAM, "%s: no sound in it, which %s needs: try --task vsr",
                         path, task_name(o->task));
    if (!o->automatic && task_sees(o->task) && !what->had_pictures)
        return error_set(err, ERROR_NO_STREAM,
                         "%s: no pictures in it, which %s needs: try --task asr", path,
                         task_name(o->task));
    return 0;
}

static int check_face(const struct transcribed *what, const struct stream_options *o,
                      const char *path, struct error *err)
{
    if (what->saw || !what->had_pictures)
        return 0;
    if (!o->automatic && task_sees(o->task))
        return error_set(err, ERROR_NO_FACE,
                         "%s: no face found in its pictures, which %s needs: try --task asr", path,
                         task_name(o->task));
    if (!what->had_sound)
        return error_set(err, ERROR_NO_FACE,
                         "%s: no face found in its pictures and no sound to go by; show the "
                         "speaker's face from the front, at least 80 pixels wide",
                         path);
    return 0;
}

int transcribe_file(struct transcriber *t, struct transcribed *what, const char *path,
                    const struct transcribe_options *options, struct error *err)
{
    struct stream_options o = options->stream;
    const struct media_options media_options = {.no_sound = !o.sound, .no_pictures = !o.pictures};
    struct work w = {.transcriber = t, .options = options};
    struct media *media;
    *what = (struct transcribed){0};
    int rc = media_open(&media, path, &media_options, err);
    if (rc == ERROR_NO_STREAM && check(what, &o, path, err))
        return rc;
    if (rc)
        return rc;
    const struct media_info info = media_info(media);
    what->had_sound = info.has_sound;
    what->had_pictures = info.has_pictures;
    w.total = info.duration_s;
    rc = check(what, &o, path, err);
    o.sound = info.has_sound;
    o.pictures = info.has_pictures;
    rc = rc ? rc : stream_new(&w.stream, t->recognizer, options->finder, &o, err);
    rc = rc ? rc : read_all(&w, media, err);
    if (w.stream) {
        what->heard = stream_heard(w.stream);
        what->saw = stream_saw(w.stream);
        what->seconds = stream_seconds(w.stream);
    }
    rc = rc ? rc : check_face(what, &o, path, err);
    stream_free(w.stream);
    media_close(media);
    return rc;
}
