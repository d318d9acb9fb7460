/* Spans of streams to utterances: which modality, the transcriber, the seam between two. */
#include "decode/stream_parts.h"

#include "base/memory.h"
#include "media/media.h"
#include "decode/join.h"

#include <string.h>

#define SEEN_SHARE 0.6 /* of a span's pictures that must show the face */

/* One span, ready for the transcriber. */
struct piece {
    struct stream *stream;
    struct endpoint_span span;
    struct clip clip; /* views of the stream's sound; the mouths are owned */
    struct job job;
    enum fallback fallback;
    struct transcript out; /* once it is decoded */
    double encode_seconds;
    bool late;
};

/* ---- which modality ------------------------------------------------------------------------ */

/* Frames of the span in which a voice is heard, and those as loud as to hide one. */
static void listen(const struct stream *s, const struct endpoint_span *span, int64_t *voiced,
                   int64_t *loud)
{
    *voiced = *loud = 0;
    for (int64_t f = span->start; f < span->start + span->count; f++) {
        const int64_t at = f - s->base;
        if (at < 0 || at >= s->frame_count)
            continue;
        *voiced += s->frames[at].voice > 0.5f;
        *loud += s->frames[at].level > STREAM_HIDES_VOICES;
    }
}

/* The mouths of the span; whether they are of use. */
static int look(struct piece *p, bool *sees, struct error *err)
{
    const struct stream_options *o = &p->stream->options;
    *sees = false;
    if (!p->stream->seen.found)
        return 0;
    int64_t shown = clip_faces_choose(&p->stream->seen, &p->clip, p->span.start, p->span.count);
    if (shown < 0)
        return error_set(err, ERROR_MEMORY, "out of memory");
    const bool wanted = !o->automatic && o->task == TASK_VSR;
    *sees = shown >= SEEN_SHARE * (double)p->span.count && (p->clip.lips_move || wanted);
    return 0;
}

static enum fallback choose_task(const struct piece *p, enum task *task, bool sees)
{
    const struct stream_options *o = &p->stream->options;
    const enum task wanted = !o->automatic ? o->task
                             : o->pictures ? (o->sound ? TASK_AVSR : TASK_VSR)
                                           : TASK_ASR;
    int64_t voiced, loud;
    listen(p->stream, &p->span, &voiced, &loud);
    const bool hears = voiced >= ENDPOINT_LEAST;
    *task = wanted;
    if (wanted != TASK_AVSR || (hears && sees))
        return FALLBACK_NONE;
    *task = sees ? TASK_VSR : TASK_ASR;
    return !sees                      ? FALLBACK_NO_FACE
           : loud > p->span.count / 2 ? FALLBACK_DROWNED
                                      : FALLBACK_NO_SOUND;
}

/* ---- a span as a clip ---------------------------------------------------------------------- */

static int prepare(struct piece *p, struct stream *s, const struct endpoint_span *span,
                   struct error *err)
{
    bool sees;
    *p = (struct piece){.stream = s, .span = *span};
    const int64_t from = (span->start - s->base) * FRAME_SAMPLES;
    const int64_t samples = span->count * FRAME_SAMPLES, left = s->pcm_count - from;
    if (s->voice && left > 0) {
        p->clip.pcm = s->pcm + from;
        p->clip.samples = left < samples ? left : samples;
        p->clip.has_sound = true;
    }
    int rc = look(p, &sees, err);
    if (rc)
        return rc;
    p->fallback = choose_task(p, &p->job.task, sees);
    p->clip.has_pictures = p->clip.has_face = task_sees(p->job.task) && sees;
    p->clip.frames = p->clip.has_face ? p->clip.frames : 0;
    p->clip.has_sound = p->clip.has_sound && task_hears(p->job.task);
    p->job.audio_rate = task_hears(p->job.task) ? s->options.audio_rate : 0;
    p->job.video_rate = task_sees(p->job.task) ? s->options.video_rate : 0;
    return 0;
}

static void piece_release(struct piece *p)
{
    memory_free(p->clip.mouth);
    transcript_release(&p->out);
}

/* ---- results ------------------------------------------------------------------------------- */

static int take_n_best(struct utterance *u, struct transcript *from, struct error *err)
{
    u->n_best = memory_new((size_t)from->count + 1, sizeof *u->n_best);
    if (!u->n_best)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (; u->n_best_count < from->count; u->n_best_count++) {
        u->n_best[u->n_best_count] = (struct alternative){from->texts[u->n_best_count],
                                                          from->hypotheses[u->n_best_count].score};
        from->texts[u->n_best_count] = NULL;
    }
    return 0;
}

static int fill(struct utterance *u, struct piece *p, struct error *err)
{
    const double start = (double)p->span.start / MEDIA_FPS;
    *u = (struct utterance){
        .start = start,
        .end = start + (double)p->span.count / MEDIA_FPS,
        .task = p->job.task,
        .fallback = p->fallback,
        .audio_rate = task_hears(p->job.task) ? p->job.audio_rate : 0,
        .video_rate = task_sees(p->job.task) ? p->job.video_rate : 0,
        .face = task_sees(p->job.task) ? p->clip.face : 0,
        .words = p->out.words,
        .media_tokens = p->out.media_tokens,
        .experts = p->out.experts,
        .encode_seconds = p->encode_seconds,
        .decode_seconds = p->out.decode_seconds,
        .late = p->late,
    };
    p->out.words = (struct words){0};
    p->out.experts = (struct expert_slots){0};
    words_shift(&u->words, start);
    return take_n_best(u, &p->out, err);
}

/* Nothing was said, or what sounds like speech to the voice detector is none to the model. */
static bool is_empty(const struct stream *s, const struct utterance *u)
{
    return !u->words.count || (task_hears(u->task) && words_confidence(&u->words) <
                                                          s->recognizer->config.least_confidence);
}

static int finish_utterance(struct stream *s, struct utterance *u, struct error *err)
{
    bool room =
        memory_reserve(&s->done, &s->done_room, s->done_count, s->done_count + 1, sizeof *s->done);
    if (!room || is_empty(s, u))
        utterance_release(u);
    else
        s->done[s->done_count++] = *u;
    *u = (struct utterance){0};
    return room ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
}

/* A new utterance, which may share words with the one that is held back. */
static int deliver(struct stream *s, struct utterance *u, const struct endpoint_span *span,
                   struct error *err)
{
    int rc = 0;
    if (s->held_back && span->overlap)
        join_seam(&s->held.words, &u->words);
    if (s->held_back)
        rc = finish_utterance(s, &s->held, err);
    s->held_back = !rc && span->shared > 0;
    if (s->held_back)
        s->held = *u;
    else if (!rc)
        return finish_utterance(s, u, err);
    if (!rc)
        *u = (struct utterance){0};
    return rc;
}

int stream_release_held(struct stream *s, struct error *err)
{
    if (!s->held_back || s->span_count || !s->finished)
        return 0;
    s->held_back = false;
    return finish_utterance(s, &s->held, err);
}

/* ---- decoding ------------------------------------------------------------------------------ */

/* Several spans as one batch. */
static int decode_all(struct transcriber *t, struct piece *pieces, int count, struct error *err)
{
    struct job *jobs = memory_new((size_t)count, sizeof *jobs);
    struct transcript *out = memory_new((size_t)count, sizeof *out);
    int rc = jobs && out ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
    transcriber_forget(t);
    for (int i = 0; !rc && i < count; i++) {
        int loaded = transcriber_add(t, &pieces[i].clip, pieces[i].job.task, err);
        pieces[i].job.loaded = loaded;
        jobs[i] = pieces[i].job;
        rc = loaded < 0 ? loaded : 0;
    }
    if (!rc)
        rc = transcriber_run_all(t, out, jobs, count, &pieces[0].stream->options.beam, err);
    for (int i = 0; !rc && i < count; i++) {
        const struct loaded *l = &t->loaded[jobs[i].loaded];
        pieces[i].out = out[i];
        pieces[i].encode_seconds = l->audio_seconds + l->video_seconds;
    }
    memory_free(out);
    memory_free(jobs);
    return rc;
}

/* One span within its stream's limits. */
static int decode_paced(struct transcriber *t, struct piece *p, struct error *err)
{
    const struct stream_options *o = &p->stream->options;
    const struct pace_request request = {.task = p->job.task,
                                         .may_drop_pictures = o->automatic,
                                         .audio_rate = o->audio_rate,
                                         .video_rate = o->video_rate,
                                         .beam = o->beam,
                                         .limits = o->limits};
    struct paced paced;
    int rc = pace_run(o->pace, &paced, t, &p->clip, &request, err);
    if (rc)
        return rc;
    if (paced.count) {
        const struct pace_plan *plan = &paced.segments[0].plan;
        p->job.task = plan->task;
        p->job.audio_rate = plan->audio_rate;
        p->job.video_rate = plan->video_rate;
    }
    p->encode_seconds = paced.encode_seconds;
    p->late = paced.late;
    p->out = paced.transcript;
    paced.transcript = (struct transcript){0};
    paced_release(&paced);
    return 0;
}

static int decode(struct transcriber *t, struct piece *pieces, int count, struct error *err)
{
    if (!pieces[0].stream->options.pace)
        return decode_all(t, pieces, count, err);
    int rc = 0;
    for (int i = 0; !rc && i < count; i++)
        rc = decode_paced(t, &pieces[i], err);
    return rc;
}

static bool same_search(const struct stream_options *x, const struct stream_options *y)
{
    const struct beam_options *a = &x->beam, *b = &y->beam;
    return !x->pace == !y->pace && a->beam == b->beam && a->n_best == b->n_best &&
           a->max_tokens == b->max_tokens && a->length_penalty == b->length_penalty &&
           a->ctc_weight == b->ctc_weight;
}

/* The next spans of the streams that search like the first one, which `left` then has no longer. */
static int gather(struct piece *pieces, struct stream **left, int *count, int *rc,
                  struct error *err)
{
    const struct stream *first = left[0];
    int n = 0, stay = 0;
    for (int i = 0; i < *count; i++)
        if (!same_search(&left[i]->options, &first->options))
            left[stay++] = left[i];
        else if (!*rc)
            *rc = prepare(&pieces[n++], left[i], &left[i]->spans[0], err);
    *count = stay;
    return n;
}

static void drop_span(struct stream *s)
{
    memmove(s->spans, s->spans + 1, (size_t)--s->span_count * sizeof *s->spans);
}

/* What was decoded becomes the streams' utterances. */
static int take_results(struct piece *pieces, int count, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < count; i++) {
        struct utterance u;
        rc = fill(&u, &pieces[i], err);
        rc = rc ? rc : deliver(pieces[i].stream, &u, &pieces[i].span, err);
        if (rc)
            utterance_release(&u);
        drop_span(pieces[i].stream);
        rc = rc ? rc : stream_release_held(pieces[i].stream, err);
    }
    return rc;
}

int streams_decode(struct transcriber *t, struct stream *const *streams, int count,
                   struct error *err)
{
    struct piece *pieces = memory_new((size_t)count, sizeof *pieces);
    struct stream **left = memory_new((size_t)count, sizeof *left);
    int rc = pieces && left ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
    int waiting = 0;
    for (int i = 0; !rc && i < count; i++)
        if (stream_ready(streams[i]))
            left[waiting++] = streams[i];
    while (!rc && waiting) {
        int n = gather(pieces, left, &waiting, &rc, err);
        rc = rc ? rc : decode(t, pieces, n, err);
        rc = rc ? rc : take_results(pieces, n, err);
        for (int i = 0; i < n; i++)
            piece_release(&pieces[i]);
    }
    memory_free(left);
    memory_free(pieces);
    return rc;
}

/* How many words two readings of an utterance begin with alike; the new one is kept. */
static int settle(struct stream *s, struct utterance *u, struct error *err)
{
    const int known = s->read_from == u->start ? s->read.count : 0;
    const struct word *before = s->read.list, *now = u->words.list;
    u->settled = 0;
    while (u->settled < known && u->settled < u->words.count &&
           !strcmp(before[u->settled].text, now[u->settled].text))
        u->settled++;
    words_clear(&s->read);
    s->read_from = u->start;
    return words_copy(&s->read, now, u->words.count, err);
}

int stream_partial(struct transcriber *t, struct stream *s, struct utterance *u, struct error *err)
{
    struct endpoint_span span;
    struct piece piece;
    *u = (struct utterance){0};
    if (!endpoint_open(s->endpoint, &span))
        return 0;
    if (s->voice) /* what is heard, though not yet decided to be voice */
        span.count = s->base + s->pcm_count / FRAME_SAMPLES - span.start;
    if (span.count > s->longest)
        span.count = s->longest;
    int rc = prepare(&piece, s, &span, err);
    rc = rc ? rc : decode(t, &piece, 1, err);
    rc = rc ? rc : fill(u, &piece, err);
    rc = rc ? rc : settle(s, u, err);
    if (rc)
        utterance_release(u);
    piece_release(&piece);
    return rc;
}
